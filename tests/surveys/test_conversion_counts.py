"""The counts of a conversion: what is missing is named, and what rests on few persons is not counted."""

from pathlib import Path

import pandas as pd
import pytest

from labor_llm.crosswalks.files import write_crosswalks
from labor_llm.crosswalks.mapping import Crosswalks, load_crosswalks
from labor_llm.store.artefacts import sha256
from labor_llm.surveys.conversion import count_conversion
from labor_llm.surveys.rules import INTERVIEW_COLUMNS, RecordOptions, SurveyInterviews, coded_records
from labor_llm.surveys.variables import RawSurvey, Variable


@pytest.fixture
def crosswalks(tmp_path: Path) -> Crosswalks:
    write_crosswalks(tmp_path / "crosswalks", {"census1970": {11: 4, 12: 7}})
    return load_crosswalks(tmp_path / "crosswalks", other_versions=True, patched=False)


def counted(crosswalks: Crosswalks, rows: list[tuple], missing=(), read=(), column_map=None):
    """Counts of interviews (person, year, employment, code) of people born in 1960."""
    table = pd.DataFrame(
        [(person, year, state, False, "census1970", code, 12) for person, year, state, code in rows],
        columns=list(INTERVIEW_COLUMNS),
    ).astype({"enrolled": "boolean", "code": "Int64", "schooling": "Int64"})
    persons = pd.DataFrame(
        {"gender": "male", "ethnicity": "unknown", "region": "south", "birth_year": 1960},
        index=pd.Index(sorted(table["person"].unique()), name="person"),
    ).astype({"birth_year": "Int64"})
    coded = coded_records(SurveyInterviews("ACME", persons, table), crosswalks, RecordOptions())
    raw = RawSurvey(pd.DataFrame(), {("sex", "", 0): Path("x.csv")}, tuple(missing), tuple(read))
    return count_conversion("ACME", {}, coded, raw, crosswalks, [], column_map=column_map)


def test_counts_of_few_persons_are_left_out(crosswalks):
    rows = [(person, 1980, "working", 11) for person in range(20)]
    rows += [(person, 1981, "working", 11) for person in range(5)]
    rows += [(person, 1982, "working", 13 if person < 3 else 12) for person in range(20)]
    counts = counted(crosswalks, rows)
    assert {row.year: row.kept for row in counts.coverage} == {1980: 20, 1981: None, 1982: 17}
    # 45 codes, of which 42 are mapped, would tell of the three persons whose code is not.
    assert [(row.coded, row.mapped) for row in counts.frames] == [(45, None)]
    assert counts.unmapped == []


def test_waves_of_which_the_files_have_a_part_are_named(crosswalks):
    rows = [(person, 1980, "working" if person < 8 else "unknown", 11) for person in range(100)]
    rows += [(person, 1981, "working", 11) for person in range(100)]
    (thin,) = counted(crosswalks, rows).missing_waves
    assert thin.startswith("ACME 1980: 8% of 100 interviews tell an occupation or a state")


def test_records_that_the_fallback_decided_are_counted_by_year(crosswalks):
    rows = [(person, 1980, "not working" if person < 30 else "working", 11) for person in range(60)]
    (row,) = counted(crosswalks, rows).coverage
    assert (row.kept, row.undetermined) == (60, 30)


def test_missing_variables_are_named_by_concept(crosswalks):
    missing = [Variable("sex", 0, "R0214800", "SAMPLE_SEX")]
    missing += [Variable("weekly_status", week, "", f"STATUS_WK_NUM{week:04d}") for week in range(1, 101)]
    rows = [(person, 1980, "working", 11) for person in range(20)]
    assert counted(crosswalks, rows, missing).missing_variables == [
        "sex: 1 of 2 variables, such as R0214800",
        "weekly_status: all 100 variables, such as STATUS_WK_NUM0001; 1 to 100",
    ]


def test_every_file_that_was_read_is_told_by_its_checksum(crosswalks, tmp_path):
    archive, column_map = tmp_path / "fam1981.zip", tmp_path / "map.csv"
    archive.write_bytes(b"zip")
    column_map.write_text("map")
    rows = [(person, 1980, "working", 11) for person in range(20)]
    read = [archive / "FAM1981.txt", archive / "FAM1981.sas"]
    counts = counted(crosswalks, rows, read=read, column_map=column_map)
    assert counts.files == [
        {"name": path.name, "bytes": 3, "sha256": sha256(path)} for path in (archive, column_map)
    ]
