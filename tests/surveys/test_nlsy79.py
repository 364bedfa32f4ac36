"""NLSY79: from the answers of invented respondents to interviews, rule by rule."""

import pandas as pd
import pytest

from labor_llm.errors import InputError
from labor_llm.surveys.nlsy79 import (
    Nlsy79Options,
    date_of_week,
    missing_years,
    nlsy79_interviews,
    nlsy79_variables,
)
from labor_llm.surveys.variables import RawSurvey


def raw_survey(answers: dict[tuple[str, int], list[int | None]]) -> RawSurvey:
    """Three invented respondents with the given answers, and what every respondent has."""
    given = {("sex", 0): [1, 2, 2], ("race", 0): [1, 2, 3], ("birth_year", 1979): [60, 61, 62], **answers}
    columns = {(concept, "", year): values for (concept, year), values in given.items()}
    values = pd.DataFrame(columns, index=pd.Index([1, 2, 3], name="person", dtype="int64")).astype("Int32")
    values.columns = pd.MultiIndex.from_tuples(columns, names=["concept", "role", "year"])
    return RawSurvey(values, dict.fromkeys(columns, "default.csv"), (), ())


def interview(raw: RawSurvey, person: int, year: int, options: Nlsy79Options | None = None) -> pd.Series:
    table = nlsy79_interviews(raw, options).interviews
    return table[(table["person"] == person) & (table["year"] == year)].squeeze()


def test_the_first_week_ends_on_the_seventh_of_january_1978():
    assert str(date_of_week(1)) == "1978-01-07"
    assert str(date_of_week(1879)) == "2014-01-04"


def test_variables_have_one_key_and_one_name_each():
    variables = nlsy79_variables()
    keys = [variable.key for variable in variables]
    names = [variable.name for variable in variables if variable.name]
    assert len(set(keys)) == len(keys)
    assert len(set(names)) == len(names)


def test_persons_have_their_covariates_in_words():
    raw = raw_survey(
        {
            ("birth_year", 1981): [60, -5, 62],
            ("region", 1979): [-5, 3, 4],
            ("region", 1980): [1, 2, 4],
            ("occupation_1970_cps", 1979): [245, 245, 245],
        }
    )
    persons = nlsy79_interviews(raw).persons
    assert persons["gender"].tolist() == ["male", "female", "female"]
    assert persons["ethnicity"].tolist() == [
        "hispanic",
        "black or african american",
        "non-black non-hispanic",
    ]
    assert persons["birth_year"].tolist() == [1960, 1961, 1962]
    assert persons["region"].tolist() == ["northeast", "south", "west"]


def test_non_interviews_give_no_row():
    raw = raw_survey(
        {("occupation_1970_cps", 1985): [245, -5, -4], ("reason_noninterview", 1985): [-4, 65, 65]}
    )
    table = nlsy79_interviews(raw).interviews
    assert table[["person", "year"]].to_numpy().tolist() == [[1, 1985]]


def test_without_status_the_occupation_tells_who_works():
    raw = raw_survey({("occupation_1970_cps", 1981): [245, -4, -3]})
    table = nlsy79_interviews(raw).interviews
    assert table["employment"].tolist() == ["working", "not working", "unknown"]
    assert table["code"].fillna(-1).tolist() == [245, -1, -1]
    assert set(table["frame"]) == {"census1970"}


def test_the_month_of_the_interview_decides_the_week():
    may, june = (week for week in range(1, 400) if str(date_of_week(week)) in ("1985-05-11", "1985-06-08"))
    raw = raw_survey(
        {
            ("occupation_1970_cps", 1985): [245, 245, 245],
            ("interview_month", 1985): [5, 6, -3],
            ("weekly_status", may): [701, 701, 5],
            ("weekly_status", june): [5, 4, 4],
        }
    )
    # The third has no month: both weeks count once, and the later one decides.
    assert nlsy79_interviews(raw).interviews["employment"].tolist() == ["working", "unemployed", "unemployed"]


def test_weeks_without_information_leave_it_to_the_recode_and_that_to_the_occupation():
    week = next(week for week in range(1, 400) if str(date_of_week(week)) == "1985-05-11")
    raw = raw_survey(
        {
            ("occupation_1970_cps", 1985): [245, 245, -4],
            ("weekly_status", week): [0, 0, 3],
            ("employment_status_recode", 1985): [5, -3, 5],
        }
    )
    assert nlsy79_interviews(raw).interviews["employment"].tolist() == [
        "out of the labor force",
        "working",
        "working",
    ]


@pytest.mark.parametrize(
    ("year", "frame", "wanted"),
    [
        (1981, "census1980", "census1970"),
        (1990, "census1980", "census1980"),
        (1990, "census1970", "census1970"),
        (1998, "census1980", "census1980"),
        (1998, "census1970", "census1970"),
        (2002, "census1980", "census2000"),
        (2004, "census1970", "census2002"),
    ],
)
def test_frames_follow_the_year_and_the_option(year, frame, wanted):
    code = {"census1970": 245, "census1980": 19, "census2000": 43, "census2002": 430}
    answers = {("occupation_1980_cps", year): [19] * 3} if year in range(1982, 2001) else {}
    if year < 1994:
        answers[("occupation_1970_cps", year)] = [245] * 3
    elif year <= 2000:
        answers[("occupation_job1", year)] = [245] * 3
    else:
        answers[("occupation_job1", year)] = [code[wanted]] * 3
    got = interview(raw_survey(answers), 1, year, Nlsy79Options(frame_1982_2000=frame))
    assert (got["frame"], got["code"]) == (wanted, code[wanted])


def test_revised_answers_come_before_unrevised_ones():
    raw = raw_survey(
        {
            ("occupation_1970_cps", 1985): [-4, -4, -4],
            ("enrollment_revised", 1985): [3, 4, -3],
            ("enrollment", 1985): [1, 2, 2],
            ("schooling_revised", 1985): [13, -3, -3],
            ("schooling", 1985): [12, 14, 95],
        }
    )
    table = nlsy79_interviews(raw).interviews
    assert table["enrolled"].tolist() == [True, False, True]
    assert table["schooling"].fillna(-1).tolist() == [13, 14, -1]


def test_years_without_an_occupation_are_named():
    raw = raw_survey({("occupation_1970_cps", 1985): [245] * 3})
    assert 1985 not in missing_years(raw)
    assert {1984, 1986, 2014} <= set(missing_years(raw))


def test_a_missing_variable_is_named_with_its_remedy():
    raw = raw_survey({("occupation_1970_cps", 1985): [245] * 3})
    del raw.found[("race", "", 0)]
    with pytest.raises(InputError, match=r"R0214700 SAMPLE_RACE.*labor-llm variables nlsy79"):
        nlsy79_interviews(raw)


def test_codes_of_another_variable_are_refused_without_showing_them():
    raw = raw_survey({("occupation_1970_cps", 1985): [245] * 3, ("race", 0): [1, 2, 77]})
    with pytest.raises(InputError, match=r"default\.csv: 1 respondents.*race") as error:
        nlsy79_interviews(raw)
    assert "77" not in str(error.value)


def test_another_cohort_is_refused_by_its_years_of_birth():
    raw = raw_survey({("occupation_1970_cps", 1985): [245] * 3, ("birth_year", 1979): [80, 81, 62]})
    with pytest.raises(InputError, match="2 respondents have a year of birth"):
        nlsy79_interviews(raw)
