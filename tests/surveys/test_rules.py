"""From interviews to records: each rule and option on hand-made interviews, and the counts of every step."""

from pathlib import Path

import pandas as pd
import pytest

from labor_llm.crosswalks.files import write_crosswalks
from labor_llm.crosswalks.mapping import Crosswalks, load_crosswalks
from labor_llm.errors import InputError
from labor_llm.surveys.rules import (
    STEPS,
    RecordOptions,
    SurveyInterviews,
    career_frame,
    coded_records,
    records_at,
)

# Invented source codes: 11 and 12 are occ1990dd's 4 and 7, 580 is military, 13 is in no list.
CODES = {11: 4, 12: 7, 580: 905}


@pytest.fixture
def crosswalks(tmp_path: Path) -> Crosswalks:
    write_crosswalks(tmp_path, {"census1970": CODES, "census1980": CODES})
    return load_crosswalks(tmp_path, other_versions=True, patched=False)


def survey(*rows: tuple) -> SurveyInterviews:
    """Interviews (person, year, employment, enrolled, code, schooling) in the frame of 1970, people born in 1960."""
    columns = ["person", "year", "employment", "enrolled", "frame", "code", "schooling"]
    table = pd.DataFrame([(*row[:4], "census1970", *row[4:]) for row in rows], columns=columns)
    table = table.astype({"enrolled": "boolean", "code": "Int64", "schooling": "Int64"})
    persons = pd.DataFrame(
        {"gender": "female", "ethnicity": "unknown", "region": "south", "birth_year": 1960},
        index=pd.Index(sorted(table["person"].unique()), name="person"),
    ).astype({"birth_year": "Int64"})
    return SurveyInterviews("ACME", persons, table)


STATES = survey(
    (1, 1980, "working", False, 11, 12),
    (1, 1981, "working", True, 12, 12),
    (1, 1982, "unemployed", False, None, 12),
    (1, 1983, "unemployed", True, None, 12),
    (1, 1984, "out of the labor force", None, None, 12),
    (1, 1985, "out of the labor force", True, None, 12),
    (1, 1986, "not working", False, None, 12),
    (1, 1987, "not working", True, None, 12),
    (1, 1988, "unknown", True, None, 12),
    (1, 1989, "military", True, None, 12),
    (1, 1990, "working", False, None, 12),
)
OUT, UN, ED = "out_of_labor_force", "unemployed", "education"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ["4", "7", UN, ED, OUT, ED, OUT, ED, None, None, None]),
        ({"education": "before work"}, ["4", ED, UN, ED, OUT, ED, OUT, ED, ED, ED, None]),
        ({"education": "after unemployment"}, ["4", "7", UN, UN, OUT, ED, OUT, ED, None, None, None]),
        ({"undetermined": "unemployed"}, ["4", "7", UN, ED, OUT, ED, UN, ED, None, None, None]),
        ({"undetermined": "exclude"}, ["4", "7", UN, ED, OUT, ED, None, ED, None, None, None]),
        ({"military": "out of the labor force"}, ["4", "7", UN, ED, OUT, ED, OUT, ED, None, OUT, None]),
    ],
)
def test_states_follow_the_precedence_that_is_chosen(crosswalks, options, expected):
    coded = coded_records(STATES, crosswalks, RecordOptions(**options))
    assert coded["occupation"].tolist() == expected
    decided = [] if options.get("undetermined") == "exclude" else [1986]
    assert coded.loc[coded["undetermined"], "year"].tolist() == decided


def test_the_armed_forces_are_told_by_their_code_too(crosswalks):
    soldier = survey((1, 1980, "working", False, 580, 12))
    for options, expected in (RecordOptions(), None), (RecordOptions(military="out of the labor force"), OUT):
        assert coded_records(soldier, crosswalks, options)["occupation"].tolist() == [expected]


def test_every_step_counts_what_it_leaves(crosswalks):
    interviews = survey(
        (1, 1977, "working", False, 11, 12),  # 17 years old
        (1, 1978, "working", False, None, 12),  # no code
        (1, 1979, "working", False, 13, 12),  # not in the crosswalk
        (1, 1980, "working", False, 11, 12),
        (2, 1980, "working", False, 11, 12),
        (2, 1981, "working", False, 12, 12),
    )
    coded = coded_records(interviews, crosswalks, RecordOptions(fewest_records=2))
    assert {step: len(records_at(coded, step)) for step in STEPS} == {
        "read": 6, "in range": 5, "coded": 4, "mapped": 3, "kept": 2,
    }  # fmt: skip
    assert career_frame(coded, interviews.persons)["worker_id"].tolist() == ["2", "2"]


@pytest.mark.parametrize(
    ("options", "years"),
    [
        ({}, [1978, 1979, 2040]),
        ({"first_age": 17}, [1977, 1978, 1979, 2040]),
        ({"last_age": 81}, [1978, 1979, 2040, 2041]),
        ({"first_year": 1979, "last_year": 2000}, [1979]),
    ],
)
def test_the_window_holds_both_ends(crosswalks, options, years):
    interviews = survey(
        *((1, year, "unemployed", False, None, 12) for year in (1977, 1978, 1979, 2040, 2041))
    )
    coded = coded_records(interviews, crosswalks, RecordOptions(**options))
    assert records_at(coded, "kept")["year"].tolist() == years
    # Nobody without a year of birth is in range.
    interviews.persons["birth_year"] = pd.array([pd.NA], dtype="Int64")
    assert set(coded_records(interviews, crosswalks, RecordOptions(**options))["step"]) == {"read"}


def test_schooling_is_carried_forward_and_put_into_levels(crosswalks):
    known = [None, 11, 12, 13, None, 15, 16, 17, 20]
    rows = [(1, 1980 + step, "unemployed", False, None, years) for step, years in enumerate(known)]
    # The second worker's schooling is told by an interview that gives no record.
    rows += [(2, 1979, "unknown", None, None, 16), (2, 1980, "unemployed", False, None, None)]
    interviews = survey(*rows)
    frame = career_frame(coded_records(interviews, crosswalks, RecordOptions()), interviews.persons)
    assert frame["education"].tolist() == [
        "unknown", "less than high school", "high school", "some college", "some college", "some college",
        "college", "graduate degree", "graduate degree", "college",
    ]  # fmt: skip


def test_a_frame_without_crosswalk_is_named(tmp_path):
    write_crosswalks(tmp_path, {"census1980": CODES})
    crosswalks = load_crosswalks(tmp_path, other_versions=True)
    with pytest.raises(InputError, match=r"occ1970_occ1990dd"):
        coded_records(survey((1, 1980, "working", False, 11, 12)), crosswalks, RecordOptions())


def test_codes_of_another_frame_in_one_year_are_refused_with_the_year(tmp_path):
    frame = dict.fromkeys(range(11, 300), 4)
    write_crosswalks(tmp_path, {"census1970": frame, "census2010": {10 * code: 4 for code in frame}})
    crosswalks = load_crosswalks(tmp_path, other_versions=True, patched=False)
    years, workers = range(1979, 1999), range(60)
    right = [(worker, year, "working", False, 20 + worker, 12) for year in years for worker in workers]
    wrong = [(worker, 1999, "working", False, 10 * (20 + worker), 12) for worker in workers]
    coded_records(survey(*right), crosswalks, RecordOptions())
    with pytest.raises(InputError, match=r"ACME, census1970, 1999: .*list of census1970"):
        coded_records(survey(*right, *wrong), crosswalks, RecordOptions())
