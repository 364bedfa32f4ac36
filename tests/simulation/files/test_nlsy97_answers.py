"""Simulated answers to the NLSY97: what the reader makes of them is the careers that gave them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from labor_llm.errors import InputError
from labor_llm.simulation.files.nlsy97 import nlsy97_answers
from labor_llm.surveys.nls.nlsy97 import (
    ETHNICITIES,
    GENDERS,
    REGIONS,
    ROUNDS,
    Nlsy97Options,
    nlsy97_interviews,
    nlsy97_variables,
)
from labor_llm.surveys.variables import RawSurvey

CODES = {"census2002": {"4": [10, 20], "313": [5700], "436": [4020, 4030, 4040]}}
STATES = {
    "unemployed": ("unemployed", False),
    "out_of_labor_force": ("out of the labor force", False),
    "education": ("out of the labor force", True),
}


def careers(workers: int = 300) -> pd.DataFrame:
    """Random careers with gaps, in the order of a panel."""
    rng = np.random.default_rng(5)
    worker = np.repeat(np.arange(workers), len(ROUNDS))
    kept = rng.random(len(worker)) < 0.7
    persons = {
        "gender": rng.choice(list(GENDERS.values()), workers),
        "ethnicity": rng.choice(list(ETHNICITIES.values()), workers),
        "region": rng.choice([*REGIONS.values(), "unknown"], workers),
        "birth_year": rng.integers(1980, 1985, workers),
    }
    frame = pd.DataFrame({name: values[worker] for name, values in persons.items()})
    frame["worker_id"] = [f"97-{number:04d}" for number in worker]
    frame["year"] = np.tile(ROUNDS, workers)
    frame["occupation"] = rng.choice([*CODES["census2002"], *STATES], len(frame))
    schooling = pd.array(rng.integers(0, 21, len(frame)), dtype="Int64")
    frame["schooling"] = pd.Series(schooling).mask(rng.random(len(frame)) < 0.1)
    return frame[kept].reset_index(drop=True)


def survey(values: pd.DataFrame) -> RawSurvey:
    return RawSurvey(values, dict.fromkeys(values.columns, Path("simulated.csv")), (), ())


def test_the_reader_gives_back_every_record() -> None:
    given = careers()
    values, persons = nlsy97_answers(given, CODES, seed=1)
    got = nlsy97_interviews(survey(values))

    read, expected = got.interviews, given.assign(person=given["worker_id"].map(persons))
    assert read["person"].tolist() == expected["person"].tolist()
    assert read["year"].tolist() == expected["year"].tolist()
    pd.testing.assert_series_equal(read["schooling"], expected["schooling"], check_names=False)
    works = ~expected["occupation"].isin(STATES)
    for (_, record), (_, answer) in zip(expected.iterrows(), read.iterrows(), strict=True):
        if record["occupation"] in STATES:
            assert (answer["employment"], answer["enrolled"]) == STATES[record["occupation"]]
            assert pd.isna(answer["code"])
        else:
            assert (answer["employment"], answer["enrolled"]) == ("working", False)
            assert answer["code"] in CODES["census2002"][record["occupation"]]
    # Every code of an occupation is drawn, not the first alone.
    assert set(read.loc[works, "code"]) == {10, 20, 5700, 4020, 4030, 4040}
    statics = expected.drop_duplicates("person").set_index("person")[
        ["gender", "ethnicity", "region", "birth_year"]
    ]
    pd.testing.assert_frame_equal(got.persons, statics.astype({"birth_year": "Int64"}), check_dtype=False)


def test_the_answers_have_the_form_of_the_survey() -> None:
    values, persons = nlsy97_answers(careers(), CODES, seed=1)

    assert values.columns.names == ["concept", "role", "year"]
    assert values.dtypes.unique().tolist() == [pd.Int32Dtype()]
    assert values.index.equals(pd.Index(np.arange(1, 301), name="person"))
    assert persons.is_unique
    table = {variable.key for variable in nlsy97_variables()}
    assert table.issuperset(values.columns)
    assert {key for key in table if key[0] != "weekly_status"} <= set(values.columns)
    weekly = values["weekly_status"]
    assert set(np.unique(weekly)) >= {-4, 0, 1, 2, 3, 4, 5, 9701, 9702, 9801, 199901, 202301}
    # The array ends with the last interview, of which no one's is later than 15 December.
    assert values["weekly_status", "", 202352].eq(-4).all()
    assert values["weekly_status", "", 200545].gt(0).any()
    assert (values["occupation_2002_job01", "", 2004] == -5).any()


def test_the_rules_of_the_array_and_of_the_main_job_are_needed() -> None:
    given = careers()
    values, _ = nlsy97_answers(given, CODES, seed=1)
    expected = nlsy97_interviews(survey(values)).interviews

    without_weeks = nlsy97_interviews(
        survey(values.drop(columns="weekly_status", level="concept"))
    ).interviews
    assert (without_weeks["employment"] == "unemployed").sum() == 0
    first = nlsy97_interviews(survey(values), Nlsy97Options(main_job="first")).interviews
    assert first["code"].fillna(0).ne(expected["code"].fillna(0)).any()


def test_the_draws_depend_on_the_seed_alone() -> None:
    given = careers(40)
    first, again, other = (nlsy97_answers(given, CODES, seed)[0] for seed in (1, 1, 2))

    pd.testing.assert_frame_equal(first, again)
    assert not first.equals(other)


@pytest.mark.parametrize(
    ("column", "value"),
    [("year", 2012), ("birth_year", 1960), ("ethnicity", "white"), ("occupation", "999"), ("schooling", 21)],
)
def test_careers_that_the_survey_cannot_record_are_refused(column: str, value: object) -> None:
    given = careers(20).astype({column: object})
    given.loc[3, column] = value

    with pytest.raises(InputError, match=f"column {column}: {value!r} has no answer in the NLSY97"):
        nlsy97_answers(given, CODES, seed=1)
