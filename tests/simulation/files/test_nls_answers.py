"""Round trip: what simulated workers answer, the readers of the NLSY79 and the NLSY97 give back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from labor_llm.simulation.files.nls_answers import nlsy79_answers, nlsy97_answers
from labor_llm.surveys.nls import nlsy79, nlsy97
from labor_llm.surveys.rules import SurveyInterviews
from labor_llm.surveys.variables import RawSurvey

FRAMES = ("census1970", "census1980", "census2000")
CODES = {frame: {"4": [41 + step, 51 + step], "7": [61 + step]} for step, frame in enumerate(FRAMES)}
CODES["census2002"] = {"4": [4020, 4030], "7": [20]}
STATES = {
    "unemployed": ("unemployed", False),
    "out_of_labor_force": ("out of the labor force", False),
    "education": ("out of the labor force", True),
}
STATICS = ["gender", "ethnicity", "region", "birth_year"]
Cohort = tuple[Callable, Callable, pd.DataFrame]


def invented_careers(
    years: tuple[int, ...], births: range, ethnicities: list[str], workers: int = 200
) -> pd.DataFrame:
    """Random careers with gaps, in the order of a panel."""
    rng = np.random.default_rng(5)
    worker = np.repeat(np.arange(workers), len(years))
    persons = {
        "gender": rng.choice(["male", "female"], workers),
        "ethnicity": rng.choice(ethnicities, workers),
        "region": rng.choice(["northeast", "northcentral", "south", "west"], workers),
        "birth_year": rng.choice(births, workers),
    }
    frame = pd.DataFrame({name: values[worker] for name, values in persons.items()})
    frame["worker_id"] = [f"w{number:04d}" for number in worker]
    frame["year"] = np.tile(years, workers)
    frame["occupation"] = rng.choice(["4", "7", *STATES], len(frame))
    frame["schooling"] = rng.integers(0, 21, len(frame))
    return frame[rng.random(len(frame)) < 0.7].reset_index(drop=True)


def of_1979(workers: int = 200) -> pd.DataFrame:
    careers = invented_careers(nlsy79.YEARS, range(1957, 1965), list(nlsy79.ETHNICITIES.values()), workers)
    # Enrolment was not asked after 2006.
    late = (careers["year"] > 2006) & (careers["occupation"] == "education")
    return careers.assign(occupation=careers["occupation"].mask(late, "unemployed"))


def of_1997(workers: int = 200) -> pd.DataFrame:
    return invented_careers(nlsy97.ROUNDS, nlsy97.BIRTH_YEARS, list(nlsy97.ETHNICITIES.values()), workers)


COHORTS = {
    "nlsy79": (nlsy79_answers, nlsy79.nlsy79_interviews, of_1979),
    "nlsy97": (nlsy97_answers, nlsy97.nlsy97_interviews, of_1997),
}
cohorts = pytest.mark.parametrize(("answer", "read", "made"), COHORTS.values(), ids=list(COHORTS))


def survey(values: pd.DataFrame) -> RawSurvey:
    return RawSurvey(values, dict.fromkeys(values.columns, Path("simulated.csv")), (), ())


def employment(read: SurveyInterviews) -> pd.Series:
    return read.interviews.set_index(["person", "year"])["employment"]


@cohorts
def test_the_reader_gives_back_every_record(answer: Callable, read: Callable, made: Callable) -> None:
    careers = made()
    values, persons = answer(careers, CODES, seed=1)
    got = read(survey(values))
    expected = careers.assign(person=careers["worker_id"].map(persons))
    interviews = got.interviews.reset_index(drop=True)
    pd.testing.assert_frame_equal(
        interviews[["person", "year"]], expected[["person", "year"]], check_dtype=False
    )
    targets = {
        (frame, code): target
        for frame, codes in CODES.items()
        for target, sources in codes.items()
        for code in sources
    }
    outcome = [
        targets[row.frame, row.code]
        if row.employment == "working"
        else (row.employment, pd.notna(row.enrolled) and bool(row.enrolled))
        for row in interviews.itertuples()
    ]
    assert outcome == [STATES.get(occupation, occupation) for occupation in careers["occupation"]]
    # Every code of an occupation is drawn, not the first alone.
    works = interviews["employment"] == "working"
    assert set(interviews.loc[works & (interviews["frame"] == "census2002"), "code"]) == {4020, 4030, 20}
    # Years of schooling are not asked in the NLSY79 of 2022.
    asked = expected["year"] != 2022
    assert (interviews["schooling"] == expected["schooling"])[asked].all()
    persons_expected = expected.drop_duplicates("person").set_index("person")[STATICS]
    pd.testing.assert_frame_equal(got.persons[STATICS], persons_expected, check_dtype=False)


@cohorts
def test_the_draws_depend_on_the_seed_alone(answer: Callable, read: Callable, made: Callable) -> None:
    first, again, other = (answer(made(40), CODES, seed)[0] for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(first, again)
    assert not first.equals(other)


@cohorts
@pytest.mark.parametrize("state", ["unemployed", "4"])
def test_years_in_which_nobody_works_or_everybody_does_are_answered(
    answer: Callable, read: Callable, made: Callable, state: str
) -> None:
    careers = made(3).assign(occupation=state)
    got = employment(read(survey(answer(careers, CODES, seed=1)[0])))
    assert len(got) == len(careers)
    assert set(got) == {"unemployed" if state == "unemployed" else "working"}


@cohorts
def test_the_answers_have_the_form_of_the_survey(answer: Callable, read: Callable, made: Callable) -> None:
    values, persons = answer(made(), CODES, seed=1)
    assert values.columns.names == ["concept", "role", "year"]
    assert values.dtypes.unique().tolist() == [pd.Int32Dtype()]
    assert values.index.equals(pd.Index(np.arange(1, 201), name="person"))
    assert sorted(persons.values()) == values.index.tolist()


def test_some_interviews_of_the_nlsy79_lie_in_the_next_year_and_need_its_weeks() -> None:
    values, _ = nlsy79_answers(of_1979(), CODES, seed=2)
    spilled = [
        (person, year)
        for year in nlsy79.YEARS
        if ("interview_year", "", year) in values
        for person in values.index[values["interview_year", "", year] == year + 1]
    ]
    years = {year for _, year in spilled}
    assert years >= {2004, 2010, 2020}
    assert (min(years), max(years)) == (2004, 2020)
    months = {values.loc[person, ("interview_month", "", year)] for person, year in spilled}
    assert months == {1, 2}
    # Without the year, those rounds that begin in autumn are still dated right, and the earlier ones are not.
    with_year, without = (
        employment(nlsy79.nlsy79_interviews(survey(table)))
        for table in (values, values.drop(columns="interview_year", level="concept"))
    )
    wrong = without.loc[spilled] != with_year.loc[spilled]
    of_round = wrong.index.get_level_values("year")
    assert wrong[of_round < 2012].any() and not wrong[of_round >= 2012].any()


def test_the_weekly_array_of_the_nlsy97_ends_with_the_last_interview() -> None:
    values, _ = nlsy97_answers(of_1997(), CODES, seed=1)
    asked = {variable.key for variable in nlsy97.nlsy97_variables()}
    assert asked.issuperset(values.columns)
    assert {key for key in asked if key[0] != "weekly_status"} <= set(values.columns)
    assert set(np.unique(values["weekly_status"])) >= {-4, 0, 1, 2, 3, 4, 5, 9701, 9702, 9801, 199901, 202301}
    # No interview is later than 15 December.
    assert values["weekly_status", "", 202352].eq(-4).all()
    assert values["weekly_status", "", 200545].gt(0).any()
    assert (values["occupation_2002_job01", "", 2004] == -5).any()


def test_the_rules_of_the_array_and_of_the_main_job_are_needed() -> None:
    values, _ = nlsy97_answers(of_1997(), CODES, seed=1)
    expected = nlsy97.nlsy97_interviews(survey(values)).interviews
    without_weeks = nlsy97.nlsy97_interviews(survey(values.drop(columns="weekly_status", level="concept")))
    assert (without_weeks.interviews["employment"] == "unemployed").sum() == 0
    first = nlsy97.nlsy97_interviews(survey(values), nlsy97.Nlsy97Options(main_job="first")).interviews
    assert first["code"].fillna(0).ne(expected["code"].fillna(0)).any()
