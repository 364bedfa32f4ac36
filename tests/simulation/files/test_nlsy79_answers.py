"""Round trip: what simulated workers answer, the NLSY79 reader gives back."""

import numpy as np
import pandas as pd
import pytest

from labor_llm.errors import InputError
from labor_llm.simulation.files.nlsy79 import nlsy79_answers
from labor_llm.surveys.nls.nlsy79 import YEARS, nlsy79_interviews
from labor_llm.surveys.variables import RawSurvey

FRAMES = ("census1970", "census1980", "census2000", "census2002")
CODES = {frame: {"4": [41 + step, 51 + step], "7": [61 + step]} for step, frame in enumerate(FRAMES)}


def invented_careers(seed: int = 1, workers: int = 40) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    rows = []
    for worker in range(workers):
        static = {
            "gender": generator.choice(["male", "female"]),
            "ethnicity": generator.choice(
                ["hispanic", "black or african american", "non-black non-hispanic"]
            ),
            "region": generator.choice(["northeast", "northcentral", "south", "west"]),
            "birth_year": int(generator.integers(1957, 1965)),
        }
        for year in sorted(generator.choice(YEARS, 12, replace=False)):
            states = ["4", "7", "unemployed", "out_of_labor_force", *(["education"] if year <= 2006 else [])]
            rows.append(
                {
                    "worker_id": f"w{worker}",
                    "year": int(year),
                    "occupation": generator.choice(states),
                    "schooling": 12,
                    **static,
                }
            )
    return pd.DataFrame(rows)


def test_interviews_are_the_simulated_records():
    careers = invented_careers()
    values, persons = nlsy79_answers(careers, CODES, seed=2)
    raw = RawSurvey(values, dict.fromkeys(values.columns, "simulated.csv"), (), ())
    read = nlsy79_interviews(raw)
    assert len(read.interviews) == len(careers)
    merged = careers.assign(person=careers["worker_id"].map(persons)).merge(
        read.interviews, on=["person", "year"], suffixes=("", "_read"), validate="one_to_one"
    )
    assert len(merged) == len(careers)
    targets = {
        (frame, code): target
        for frame, codes in CODES.items()
        for target, sources in codes.items()
        for code in sources
    }
    for row in merged.itertuples():
        if row.employment == "working":
            assert targets[(row.frame, row.code)] == row.occupation
        elif row.occupation == "education":
            assert row.enrolled is True
        else:
            assert row.employment.replace("the ", "").replace(" ", "_") == row.occupation
    # Years of schooling are not asked in 2022.
    assert (merged["schooling"] == merged["schooling_read"])[merged["year"] < 2022].all()
    statics = ["gender", "ethnicity", "region", "birth_year"]
    expected = merged.drop_duplicates("person").set_index("person")[statics].sort_index()
    pd.testing.assert_frame_equal(read.persons[statics], expected, check_dtype=False)


def employments(values: pd.DataFrame) -> pd.Series:
    raw = RawSurvey(values, dict.fromkeys(values.columns, "simulated.csv"), (), ())
    return nlsy79_interviews(raw).interviews.set_index(["person", "year"])["employment"]


def test_some_interviews_lie_in_the_next_year_and_need_its_weeks():
    values, _ = nlsy79_answers(invented_careers(), CODES, seed=2)
    spilled = [
        (person, year)
        for year in YEARS
        if ("interview_year", "", year) in values
        for person in values.index[values["interview_year", "", year] == year + 1]
    ]
    assert {year for _, year in spilled} >= {2004, 2010, 2020}
    assert min(year for _, year in spilled) == 2004 and max(year for _, year in spilled) == 2020
    months = pd.Series([values.loc[person, ("interview_month", "", year)] for person, year in spilled])
    assert set(months) == {1, 2}
    # Without the year, those rounds that begin in autumn are still dated right, and the earlier ones are not.
    without = employments(values.drop(columns="interview_year", level="concept")).loc[spilled]
    wrong = without != employments(values).loc[spilled]
    years = wrong.index.get_level_values("year")
    assert wrong[years < 2012].any() and not wrong[years >= 2012].any()


@pytest.mark.parametrize("state", ["unemployed", "4"])
def test_years_in_which_nobody_works_or_everybody_does_are_answered(state: str):
    careers = invented_careers(workers=3).assign(occupation=state)
    got = employments(nlsy79_answers(careers, CODES, seed=1)[0])
    assert len(got) == len(careers)
    assert set(got) == {"unemployed" if state == "unemployed" else "working"}


def test_the_same_seed_gives_the_same_answers():
    careers = invented_careers()
    first, second = (nlsy79_answers(careers, CODES, seed=3)[0] for _ in range(2))
    pd.testing.assert_frame_equal(first, second)


def test_careers_that_the_survey_cannot_ask_for_are_refused():
    careers = invented_careers()
    with pytest.raises(InputError, match="no survey in 1995"):
        nlsy79_answers(careers.assign(year=1995), CODES, seed=1)
    late = careers[careers["year"] > 2006].assign(occupation="education")
    with pytest.raises(InputError, match="no question on enrolment"):
        nlsy79_answers(late, CODES, seed=1)
