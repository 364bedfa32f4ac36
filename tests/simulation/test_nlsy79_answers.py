"""Round trip: what simulated workers answer, the NLSY79 reader gives back."""

import numpy as np
import pandas as pd
import pytest

from labor_llm.errors import InputError
from labor_llm.simulation.nlsy79_answers import nlsy79_answers
from labor_llm.surveys.nlsy79 import YEARS, nlsy79_interviews
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
