"""The NLSY97 reader: each rule on a case worked by hand, weeks against the official calendar, and what it refuses."""

from __future__ import annotations

import datetime
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import given

from labor_llm.errors import InputError
from labor_llm.surveys.nls.nlsy97 import (
    ROUNDS,
    Nlsy97Options,
    missing_rounds,
    nlsy97_interviews,
    nlsy97_variables,
    week_index,
    week_index_of,
)
from labor_llm.surveys.rules import SurveyInterviews
from labor_llm.surveys.variables import RawSurvey

PERSON = {("sex", 0): 1, ("race", 0): 4, ("birth_year", 0): 1982}
# One who was interviewed on 20 October 2005, in week 43, worked and was not enrolled.
ANSWERS = {
    **PERSON,
    ("occupation_2002_job01", 2005): 4020,
    ("interview_month_number", 2005): 310,
    ("interview_day", 2005): 20,
    ("enrollment", 2005): 3,
    ("schooling", 2005): 12,
    ("region", 2005): 2,
    ("weekly_status", 200543): 200501,
}


def raw(*answers: dict[tuple[str, int], int | None]) -> RawSurvey:
    """The answers of persons 1, 2, ...; what one of them has and another lacks is -5 for that other."""
    keys = list(dict.fromkeys(key for answer in answers for key in answer))
    columns = {
        (concept, "", year): [answer.get((concept, year), -5) for answer in answers] for concept, year in keys
    }
    values = pd.DataFrame(columns, index=pd.RangeIndex(1, len(answers) + 1, name="person")).astype("Int32")
    values.columns.names = ["concept", "role", "year"]
    return RawSurvey(values, {key: Path("extract.csv") for key in columns}, (), (Path("extract.csv"),))


def read(
    *answers: dict[tuple[str, int], int | None], options: Nlsy97Options | None = None
) -> SurveyInterviews:
    return nlsy97_interviews(raw(*answers), options)


def interviews(*changes: dict[tuple[str, int], int | None], **options: str) -> pd.DataFrame:
    """An interview a person: that of `ANSWERS` with some of them set anew; None takes one out of the files."""
    answers = [
        {key: value for key, value in {**ANSWERS, **change}.items() if value is not None}
        for change in changes
    ]
    return read(*answers, options=Nlsy97Options(**options)).interviews


def employment(*changes: dict[tuple[str, int], int | None], **options: str) -> list[str]:
    return interviews(*changes, **options)["employment"].tolist()


def week(number: int, status: int | None) -> dict[tuple[str, int], int | None]:
    return {("weekly_status", number): status}


def test_one_interview_worked_by_hand() -> None:
    got = read(ANSWERS)
    assert got.survey == "NLSY97"
    assert got.interviews.to_dict("records") == [{
        "person": 1, "year": 2005, "employment": "working", "enrolled": False, "frame": "census2002",
        "code": 4020, "schooling": 12,
    }]  # fmt: skip
    assert got.persons.loc[1].tolist() == ["male", "non-black non-hispanic", "northcentral", 1982]
    assert got.persons.columns.tolist() == ["gender", "ethnicity", "region", "birth_year"]
    assert {name: str(got.interviews[name].dtype) for name in ("person", "year", "enrolled", "code", "schooling")} == {
        "person": "int64", "year": "int64", "enrolled": "boolean", "code": "Int64", "schooling": "Int64",
    }  # fmt: skip


OUT = "out of the labor force"


def test_the_week_of_the_interview_tells_employment() -> None:
    cases = {9701: "working", 201909: "working", 1: OUT, 2: "not working", 3: "working", 4: "unemployed", 5: OUT,
             6: "military"}  # fmt: skip
    assert employment(*(week(200543, status) for status in cases)) == list(cases.values())
    # Undetermined weeks are read as the options say; an unknown status leaves it to the occupation.
    options = {"not_searching": "unknown", "gap_unknown": "not working"}
    assert employment(week(200543, 3), week(200543, 1), **options) == ["not working", "working"]


def test_a_week_without_information_leaves_it_to_the_latest_of_twelve_weeks_before() -> None:
    nothing = {**week(200543, 0), **week(200544, 5)}
    told, too_early = {**nothing, **week(200542, -4), **week(200531, 4)}, {**nothing, **week(200530, 4)}
    assert employment(told, too_early) == ["unemployed", "working"]  # by the occupation


def test_the_week_follows_from_month_and_day_or_the_15th_or_the_end_of_the_year() -> None:
    weeks = {**week(200540, 4), **week(200542, 5), **week(200543, 6), **week(200553, 4), **week(200601, 5)}
    month, day = ("interview_month_number", 2005), ("interview_day", 2005)
    # 1, 15 and 20 October 2005 lie in weeks 40, 42 and 43; a round goes on into January 2006, month 313.
    dates = [{day: 1}, {day: -3}, {day: None}, {month: -3}, {month: 313, day: 3}]
    expected = ["unemployed", OUT, OUT, "unemployed", OUT]
    assert employment(*({**weeks, **date} for date in dates)) == expected


def test_without_a_week_the_occupation_tells_employment() -> None:
    cases = {
        10: ("working", 10), 9750: ("working", 9750), 9800: ("military", 9800), 9840: ("military", 9840),
        9920: ("unknown", 0),  # no recent job
        9990: ("unknown", 0), 0: ("unknown", 0), -4: ("not working", 0), -3: ("unknown", 0), -1: ("unknown", 0),
    }  # fmt: skip
    job = ("occupation_2002_job01", 2005)
    got = interviews(*({job: answer, **week(200543, None)} for answer in cases))
    assert [*zip(got["employment"], got["code"].fillna(0), strict=True)] == list(cases.values())
    # A civilian employer in the array does not hide a military occupation.
    assert employment({job: 9820}, {job: 9820, **week(200543, 4)}) == ["military", "unemployed"]


def test_the_flag_names_the_main_job() -> None:
    jobs = {("occupation_2002_job02", 2005): 800, ("occupation_2002_job03", 2005): 5000}

    def codes(*flags: int | None, **options: str) -> list[int]:
        changes = ({**jobs, ("main_job_flag", 2005): flag} for flag in flags)
        return interviews(*changes, **options)["code"].fillna(0).tolist()

    # Where the main job is not among those read, or there is none: not another job's occupation in its place.
    assert codes(3, 1, -3, 5, 11, -4) == [5000, 4020, 4020, 0, 0, 0]
    assert codes(None) == codes(3, main_job="first") == [4020]


def test_enrollment_and_schooling_have_an_unknown() -> None:
    statuses = {1: False, 7: False, 8: True, 11: True, -3: None, 0: None}
    enrolled = interviews(*({("enrollment", 2005): status} for status in statuses))["enrolled"]
    assert enrolled.astype(object).where(enrolled.notna(), None).tolist() == list(statuses.values())
    grades = interviews(*({("schooling", 2005): grade} for grade in (0, 20, 95, -2)))["schooling"]
    assert grades.fillna(-1).tolist() == [0, 20, -1, -1]


def test_non_interviews_have_minus_five_everywhere() -> None:
    other = {**PERSON, ("enrollment", 2005): -3, ("occupation_2002_job01", 2006): 10, ("region", 2006): 3}
    got = read(other, ANSWERS)  # person 2 was not interviewed in 2006
    assert got.interviews[["person", "year"]].to_numpy().tolist() == [[1, 2005], [1, 2006], [2, 2005]]
    # No file has person 1 of 2006: neither an answer nor a non-interview.
    values = raw(other, ANSWERS).values
    values.loc[1, values.columns.get_level_values("year") == 2006] = pd.NA
    assert nlsy97_interviews(RawSurvey(values, {}, (), ())).interviews["year"].tolist() == [2005, 2005]


def test_the_region_is_that_of_the_first_round_that_knows_it() -> None:
    answers = {**ANSWERS, ("region", 2005): -4, ("occupation_2002_job01", 2006): 10, ("region", 2006): 3}
    moved = {**answers, ("occupation_2002_job01", 2007): 10, ("region", 2007): 4}
    assert read(moved).persons["region"].tolist() == ["south"]
    assert read({**ANSWERS, ("region", 2005): -4}).persons["region"].tolist() == ["unknown"]


def test_weeks_are_those_of_the_official_calendar() -> None:
    # Starts of weeks as in appendix 7 of the codebook supplement: date, year x 100 + week.
    official = {
        "1980-01-01": 198001, "1980-01-06": 198002, "1980-12-28": 198101, "1994-12-25": 199453, "2000-12-24": 200053,
        "2005-12-25": 200553, "2006-01-01": 200601, "2011-12-25": 201153, "2016-12-25": 201653,
    }  # fmt: skip
    dates = np.array(list(official), dtype="datetime64[D]")
    assert week_index(dates).tolist() == [week_index_of(number) for number in official.values()]


@given(st.dates(datetime.date(1994, 1, 1), datetime.date(2030, 12, 31)))
def test_a_date_lies_in_the_week_that_its_saturday_numbers(date: datetime.date) -> None:
    saturday = date + datetime.timedelta(days=(5 - date.weekday()) % 7)
    number = saturday.year * 100 + (saturday.timetuple().tm_yday + 6) // 7
    assert week_index_of(number) == int(week_index(np.array(date, dtype="datetime64[D]")))


def test_every_week_and_job_is_there() -> None:
    variables = nlsy97_variables()
    job = [variable.year for variable in variables if variable.concept == "occupation_2002_job07"]
    assert sorted(job) == list(ROUNDS)
    weekly = [variable for variable in variables if variable.concept == "weekly_status"]
    assert [week.year // 100 for week in weekly if week.year % 100 == 53] == [2000, 2005, 2011, 2016, 2022]
    assert (weekly[0].name, weekly[0].question) == ("E0011701", "EMP_STATUS_1997.01")
    named = {week.question: week.name for week in weekly}
    assert (named["EMP_STATUS_2013.52"], named["EMP_STATUS_2024.01"]) == ("E0013352", "")


def test_rounds_without_any_variable_are_reported() -> None:
    assert missing_rounds(raw(ANSWERS)) == [year for year in ROUNDS if year != 2005]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({("race", 0): None}, "no file has R1482600 KEY!RACE_ETHNICITY. Add"),
        ({("birth_year", 0): None}, "no file has R0536402 KEY!BDATE_Y. Add"),
        ({("sex", 0): None, ("race", 0): None}, "no file has R0536300 KEY!SEX; nor R1482600 KEY!RACE_ETHNICITY. Add"),
        ({("schooling", 2005): None}, "no file has CV_HGC_EVER_EDT of any round"),
        ({("occupation_2002_job01", 2005): None}, "round 2005: no file has YEMP_OCCODE-2002.01 (2005)"),
        ({("region", 2021): 1}, "round 2021: no file has YEMP_OCCODE-2002.01 (2021)"),
        (dict.fromkeys(ANSWERS.keys() - PERSON.keys()), "no file has an answer of any round"),
        # The NLSY79's codes, and labels that were numbered anew.
        ({("birth_year", 0): 61}, "KEY!BDATE_Y: 1 of 1 respondents have another code than 1980, 1981"),
        ({("race", 0): 5}, "KEY!RACE_ETHNICITY: 1 of 1 respondents have another code than 1, 2, 3, 4"),
    ],
)  # fmt: skip
def test_missing_and_foreign_variables_are_refused(
    changes: dict[tuple[str, int], int | None], message: str
) -> None:
    with pytest.raises(InputError) as refused:
        interviews(changes)
    assert message in str(refused.value)
    if "no file" in message:
        assert "labor-llm variables nlsy97" in str(refused.value)


def test_three_digit_occupations_are_refused() -> None:
    answers = [{**ANSWERS, ("occupation_2002_job01", 2005): 300 + person} for person in range(30)]
    four_digits = r"no occupation has four digits.*not YEMP_OCCODE \(Census of 1990\)"
    with pytest.raises(InputError, match=four_digits):
        read(*answers)
    assert len(read(*answers[1:]).interviews) == 29
