"""NLSY79: from the answers of invented respondents to interviews, rule by rule."""

from dataclasses import replace

import pandas as pd
import pytest

from labor_llm.errors import InputError
from labor_llm.surveys.nls.nlsy79 import (
    Nlsy79Options,
    date_of_week,
    missing_years,
    nlsy79_interviews,
)
from labor_llm.surveys.variables import RawSurvey

JOB85 = ("occupation_1970_cps", 1985)


def raw_survey(answers: dict[tuple[str, int], list[int | None]]) -> RawSurvey:
    """Three invented respondents with the given answers, and what every respondent has."""
    given = {
        ("sex", 0): [1, 2, 2],
        ("race", 0): [1, 2, 3],
        ("birth_year", 1979): [60, 61, 62],
        ("schooling", 1980): [-5, -5, -5],
        **answers,
    }
    columns = {(concept, "", year): values for (concept, year), values in given.items()}
    values = pd.DataFrame(columns, index=pd.Index([1, 2, 3], name="person", dtype="int64")).astype("Int32")
    values.columns = pd.MultiIndex.from_tuples(columns, names=["concept", "role", "year"])
    return RawSurvey(values, dict.fromkeys(columns, "default.csv"), (), ())


def interviews(answers: dict[tuple[str, int], list[int | None]], **options: str) -> pd.DataFrame:
    return nlsy79_interviews(raw_survey(answers), Nlsy79Options(**options)).interviews


def weeks(**statuses: list[int]) -> dict[tuple[str, int], list[int]]:
    """Statuses of weeks named by the Saturday that ends them, such as d1985_05_11."""
    ends = {day[1:].replace("_", "-"): codes for day, codes in statuses.items()}
    found = {str(date_of_week(week)): week for week in range(1, 2348)}
    return {("weekly_status", found[end]): codes for end, codes in ends.items()}


def test_weeks_have_their_dates():
    assert [str(date_of_week(week)) for week in (1, 1879)] == ["1978-01-07", "2014-01-04"]


def test_persons_have_their_covariates_in_words():
    answers = {
        ("birth_year", 1981): [60, -5, 62],
        ("region", 1979): [-5, 3, 4],
        ("region", 1980): [1, 2, 4],
        ("occupation_1970_cps", 1979): [245, 245, 245],
    }
    assert nlsy79_interviews(raw_survey(answers)).persons.to_numpy().tolist() == [
        ["male", "hispanic", "northeast", 1960],
        ["female", "black or african american", "south", 1961],
        ["female", "non-black non-hispanic", "west", 1962],
    ]


def test_non_interviews_give_no_row():
    table = interviews({JOB85: [245, -5, -4], ("reason_noninterview", 1985): [-4, 65, 65]})
    assert table[["person", "year"]].to_numpy().tolist() == [[1, 1985]]


def test_without_status_the_occupation_tells_who_works():
    table = interviews({("occupation_1970_cps", 1981): [245, -4, -3]})
    assert table["employment"].tolist() == ["working", "not working", "unknown"]
    assert table["code"].fillna(-1).tolist() == [245, -1, -1]
    assert set(table["frame"]) == {"census1970"}


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        # The month of the interview decides. The third has none: both weeks count once, and the later one decides.
        ({JOB85: [245, 245, 245], ("interview_month", 1985): [5, 6, -3],
          **weeks(d1985_05_11=[701, 701, 5], d1985_06_08=[5, 4, 4])}, ["working", "unemployed", "unemployed"]),
        # A month without information is told by the latest of the twelve weeks before, the first of which ends on 9
        # March; weeks after the month never count. The second has no week of the twelve; the occupation tells.
        ({JOB85: [245, 245, 245], ("interview_month", 1985): [6, 6, 6],
          **weeks(d1985_03_02=[5, 5, 5], d1985_03_09=[4, 0, 4], d1985_05_18=[0, 0, 5], d1985_06_08=[0, 0, 0],
                  d1985_07_06=[5, 5, 4], d1985_12_07=[5, 5, 4])}, ["unemployed", "working", "out of the labor force"]),
        # A January interview looks back into the year before, as far as 13 October. Without month, the weeks of 1985.
        ({JOB85: [245, 245, 245], ("interview_month", 1985): [1, 1, -3],
          **weeks(d1984_12_29=[4, 0, 4], d1984_10_13=[5, 4, 4], d1985_11_09=[5, 5, 5])},
         ["unemployed", "unemployed", "out of the labor force"]),
        # Weeks without information leave it to the recode, and that to the occupation.
        ({JOB85: [245, 245, -4], ("employment_status_recode", 1985): [5, -3, 5], **weeks(d1985_05_11=[0, 0, 3])},
         ["out of the labor force", "working", "working"]),
    ],
    ids=["month", "twelve weeks before", "January", "recode"],
)  # fmt: skip
def test_the_weeks_of_the_interview_tell_employment(answers, expected):
    assert interviews(answers)["employment"].tolist() == expected


@pytest.mark.parametrize(
    ("year", "month", "stated", "day"),
    [
        (2012, 9, None, "d2012_09_08"), (2012, 8, None, "d2013_08_10"), (2010, 1, None, "d2010_01_09"),
        (2010, 1, 2011, "d2011_01_08"), (2012, 8, 2012, "d2012_08_11"), (2012, 8, 1999, "d2013_08_10"),
        (2012, 8, -3, "d2013_08_10"), (2012, 8, 2013, "d2013_08_10"), (2016, 11, 2017, "d2017_11_11"),
        (1993, 6, 93, "d1993_06_12"), (2010, 12, 2009, "d2009_12_12"),
    ],
)  # fmt: skip
def test_the_calendar_year_of_the_interview(year: int, month: int, stated: int | None, day: str) -> None:
    """As stated where that can be; else the survey year, but since 2012 the next one for a month before September."""
    others = {name: [5] * 3 for name in ("d2012_09_08", "d2013_08_10", "d2010_01_09", "d2011_01_08", "d2012_08_11",
              "d2017_11_11", "d2016_11_12", "d1993_06_12", "d2009_12_12", "d2010_12_11")}  # fmt: skip
    got = interviews({
        ("occupation_1980_cps" if year < 1994 else "occupation_job1", year): [-4, -4, -4],
        ("interview_month", year): [month] * 3,
        **({} if stated is None else {("interview_year", year): [stated] * 3}),
        **weeks(**{**others, day: [4] * 3}),
    })  # fmt: skip
    assert got["employment"].tolist() == ["unemployed"] * 3


@pytest.mark.parametrize(
    ("year", "question", "chosen", "frame", "code"),
    [
        (1981, "occupation_1970_cps", "census1980", "census1970", 245),
        (1990, "occupation_1970_cps", "census1980", "census1980", 19),
        (1990, "occupation_1970_cps", "census1970", "census1970", 245),
        (1998, "occupation_job1", "census1980", "census1980", 19),
        (1998, "occupation_job1", "census1970", "census1970", 245),
        (2002, "occupation_job1", "census1980", "census2000", 245),
        (2004, "occupation_job1", "census1970", "census2002", 245),
    ],
)
def test_frames_follow_the_year_and_the_option(year, question, chosen, frame, code):
    answers = {(question, year): [245] * 3}
    if year in range(1982, 2001):
        answers["occupation_1980_cps", year] = [19] * 3
    got = interviews(answers, frame_1982_2000=chosen).iloc[0]
    assert (got["year"], got["frame"], got["code"]) == (year, frame, code)


def test_revised_answers_come_before_unrevised_ones():
    table = interviews({
        JOB85: [-4, -4, -4],
        ("enrollment_revised", 1985): [3, 4, -3],
        ("enrollment", 1985): [1, 2, 2],
        ("schooling_revised", 1985): [13, -3, -3],
        ("schooling", 1985): [12, 14, 95],
    })  # fmt: skip
    assert table["enrolled"].tolist() == [True, False, True]
    assert table["schooling"].fillna(-1).tolist() == [13, 14, -1]


def test_years_without_an_occupation_and_all_that_is_missing_are_named_at_once():
    raw = raw_survey({JOB85: [245] * 3})
    assert 1985 not in missing_years(raw)
    assert {1984, 1986, 2014} <= set(missing_years(raw))
    gone = ["sex", "race", "birth_year", "schooling"]
    with pytest.raises(InputError) as error:
        nlsy79_interviews(replace(raw, values=raw.values.drop(columns=gone, level="concept")))
    for part in ("R0214800 SAMPLE_SEX", "R0214700 SAMPLE_RACE", "R0000500 Q1-3_A~Y",
                 "years of schooling of any year (HGCREV79", ".cdb", "labor-llm variables nlsy79"):  # fmt: skip
        assert part in str(error.value)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({("race", 0): [1, 2, 77]}, r"default\.csv: 1 respondents.*race"),
        ({("birth_year", 1979): [77, 81, 62]}, "2 respondents have a year of birth"),
    ],
)
def test_codes_of_another_variable_or_cohort_are_refused_without_showing_them(answer, message):
    with pytest.raises(InputError, match=message) as error:
        interviews({JOB85: [245] * 3, **answer})
    assert "77" not in str(error.value)


def test_the_household_of_the_first_interview_is_told_where_the_files_have_it() -> None:
    occupation = {("occupation_1970_cps", 1979): [10, 20, 30], ("schooling", 1979): [12, 12, 12]}
    told = nlsy79_interviews(raw_survey({**occupation, ("household", 1979): [7, 7, -3]})).persons
    # Who has none is a household alone.
    assert told["household"].tolist() == ["7", "7", "person 3"]
    assert "household" not in nlsy79_interviews(raw_survey(occupation)).persons
