"""Round trip: what simulated workers answer, the readers of the NLSY79 and the NLSY97 give back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from labor_llm.simulation.files.nls_answers import nlsy79_answers, nlsy97_answers
from labor_llm.surveys.nls import nlsy79, nlsy97
from labor_llm.surveys.variables import RawSurvey

FRAMES = ("census1970", "census1980", "census2000")
CODES = {frame: {"4": [41 + step, 51 + step], "7": [61 + step]} for step, frame in enumerate(FRAMES)}
CODES["census2002"] = {"4": [4020, 4030], "7": [20]}
TARGETS = {
    (frame, code): target
    for frame, codes in CODES.items()
    for target, sources in codes.items()
    for code in sources
}
STATES = {
    "unemployed": ("unemployed", False),
    "out_of_labor_force": ("out of the labor force", False),
    "education": ("out of the labor force", True),
}
STATICS = ["gender", "ethnicity", "region", "birth_year"]
COHORTS = {
    "nlsy79": (nlsy79_answers, nlsy79.nlsy79_interviews, nlsy79.YEARS, range(1957, 1965), nlsy79.ETHNICITIES),
    "nlsy97": (
        nlsy97_answers, nlsy97.nlsy97_interviews, nlsy97.ROUNDS, nlsy97.BIRTH_YEARS, nlsy97.ETHNICITIES,
    ),
}  # fmt: skip


def invented_careers(cohort: str, workers: int = 200) -> pd.DataFrame:
    """Random careers with gaps, in the order of a panel."""
    _, _, years, births, ethnicities = COHORTS[cohort]
    rng = np.random.default_rng(5)
    worker = np.repeat(np.arange(workers), len(years))
    persons = {
        "gender": rng.choice(["male", "female"], workers),
        "ethnicity": rng.choice(list(ethnicities.values()), workers),
        "region": rng.choice(["northeast", "northcentral", "south", "west"], workers),
        "birth_year": rng.choice(births, workers),
    }
    frame = pd.DataFrame({name: values[worker] for name, values in persons.items()})
    frame["worker_id"] = [f"w{number:04d}" for number in worker]
    frame["year"] = np.tile(years, workers)
    frame["occupation"] = rng.choice(["4", "7", *STATES], len(frame))
    if cohort == "nlsy79":  # enrolment was not asked after 2006
        late = (frame["year"] > 2006) & (frame["occupation"] == "education")
        frame["occupation"] = frame["occupation"].mask(late, "unemployed")
    frame["schooling"] = rng.integers(0, 21, len(frame))
    return frame[rng.random(len(frame)) < 0.7].reset_index(drop=True)


def survey(values: pd.DataFrame) -> RawSurvey:
    return RawSurvey(values, dict.fromkeys(values.columns, Path("simulated.csv")), (), ())


@pytest.fixture(scope="module")
def answered() -> Callable[[str], tuple[pd.DataFrame, dict[str, int], pd.DataFrame]]:
    """A function from a cohort to the answers of 200 workers, their numbers, and their careers."""
    careers = {cohort: invented_careers(cohort) for cohort in COHORTS}
    given = {cohort: COHORTS[cohort][0](careers[cohort], CODES, seed=1) for cohort in COHORTS}
    return lambda cohort: (*given[cohort], careers[cohort])


@pytest.mark.parametrize("cohort", COHORTS)
def test_the_reader_gives_back_every_record(answered: Callable, cohort: str) -> None:
    values, persons, careers = answered(cohort)
    assert values.columns.names == ["concept", "role", "year"]
    assert values.dtypes.unique().tolist() == [pd.Int32Dtype()]
    assert values.index.equals(pd.Index(np.arange(1, 201), name="person"))
    got = COHORTS[cohort][1](survey(values))
    expected = careers.assign(person=careers["worker_id"].map(persons))
    interviews = got.interviews.reset_index(drop=True)
    pd.testing.assert_frame_equal(
        interviews[["person", "year"]], expected[["person", "year"]], check_dtype=False
    )
    outcome = [
        TARGETS[row.frame, row.code]
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


@pytest.mark.parametrize("cohort", COHORTS)
def test_the_draws_depend_on_the_seed_alone_and_all_may_be_in_one_state(cohort: str) -> None:
    answer, read, *_ = COHORTS[cohort]
    careers = invented_careers(cohort, 3)
    first, again, other = (answer(careers, CODES, seed)[0] for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(first, again)
    assert not first.equals(other)
    for occupation, employment in (("unemployed", "unemployed"), ("4", "working")):
        got = read(survey(answer(careers.assign(occupation=occupation), CODES, seed=1)[0])).interviews
        assert got["employment"].tolist() == [employment] * len(careers)


def test_some_interviews_of_the_nlsy79_lie_in_the_next_year_and_need_its_weeks(answered: Callable) -> None:
    values, *_ = answered("nlsy79")
    year, month = (
        values[f"interview_{what}"].stack("year").dropna().iloc[:, 0] for what in ("year", "month")
    )
    spilled = year[year == year.index.get_level_values("year") + 1].index
    years = spilled.get_level_values("year")
    assert (years.min(), years.max()) == (2004, 2020)
    assert set(month[spilled]) == {1, 2}
    # Without the year, those rounds that begin in autumn are still dated right, and the earlier ones are not.
    with_year, without = (
        nlsy79.nlsy79_interviews(survey(table)).interviews.set_index(["person", "year"])["employment"]
        for table in (values, values.drop(columns="interview_year", level="concept"))
    )
    wrong = (without[spilled] != with_year[spilled]).to_numpy()
    assert wrong[years < 2012].any() and not wrong[years >= 2012].any()


def test_the_weekly_array_of_the_nlsy97_ends_with_the_last_interview(answered: Callable) -> None:
    values, *_ = answered("nlsy97")
    asked = {variable.key for variable in nlsy97.nlsy97_variables()}
    assert asked.issuperset(values.columns)
    assert {key for key in asked if key[0] != "weekly_status"} <= set(values.columns)
    assert set(np.unique(values["weekly_status"])) >= {-4, 0, 1, 2, 3, 4, 5, 9701, 9702, 9801, 199901, 202301}
    # No interview is later than 15 December.
    assert values["weekly_status", "", 202352].eq(-4).all()
    assert values["weekly_status", "", 200545].gt(0).any()
    assert (values["occupation_2002_job01", "", 2004] == -5).any()


def test_the_rules_of_the_array_and_of_the_main_job_are_needed(answered: Callable) -> None:
    values, *_ = answered("nlsy97")
    expected = nlsy97.nlsy97_interviews(survey(values)).interviews
    without_weeks = nlsy97.nlsy97_interviews(survey(values.drop(columns="weekly_status", level="concept")))
    assert (without_weeks.interviews["employment"] == "unemployed").sum() == 0
    first = nlsy97.nlsy97_interviews(survey(values), nlsy97.Nlsy97Options(main_job="first")).interviews
    assert first["code"].fillna(0).ne(expected["code"].fillna(0)).any()
