"""NLSY97: the National Longitudinal Survey of Youth 1997, from its variables to interviews.

8,984 persons born 1980 to 1984, interviewed every year from 1997 to 2011 and every second year since. A round is
fielded from the autumn of its year to the spring or summer of the next; its survey year is the round's label.

* **Main job**: the job of the roster that CV_MAINJOB_FLG names (current or most recent employer), job 01 where the
  flag is not at hand. Its occupation is coded by the Census of 2002, four digits, in every round.
* **Employment**: the status of the week of the interview in the weekly array (EMP_STATUS), or of the latest of the
  12 weeks before that has one (the array often ends a week before the interview). The week is that of
  CV_INTERVIEW_CMONTH and, where at hand, the day; of the 15th where it is not; of 31 December of the survey year
  where no month is known. Where no week tells it, the occupation of the main job does: a code means working,
  although the job may have ended, and a valid skip (-4, no job since the last interview) not working.
* **Enrolment**: CV_ENROLLSTAT, edited where there is such a version: 8 to 11 are enrolled.
* **Schooling**: CV_HGC_EVER_EDT, the highest grade completed; 95 (ungraded) is not known.

Weeks run from Sunday to Saturday and belong to the year of their Saturday, so that week 1 holds 1 January and
1994, 2000, 2005, 2011, 2016 and 2022 have 53 (NLSY97 codebook supplement, appendix 7). The texts of the weekly
codes and the reference numbers are those on which two or more published programs agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from labor_llm.errors import InputError
from labor_llm.surveys.nls.extracts import NON_INTERVIEW
from labor_llm.surveys.nls.nlsy79 import GENDERS, REMEDY, VALID_SKIP, described
from labor_llm.surveys.nls.nlsy79 import REGIONS as REGIONS  # the same in both cohorts
from labor_llm.surveys.rules import SurveyInterviews, sorted_interviews, worded
from labor_llm.surveys.variables import CROSS_ROUND, WEEKLY, RawSurvey, Variable, variables_of

SURVEY = "NLSY97"
ROUNDS = (*range(1997, 2012), *range(2013, 2024, 2))
# Every round's roster has seven jobs or more; the main job is hardly ever beyond the seventh.
JOBS = range(1, 8)
WEEKLY_YEARS = range(1997, 2025)
INVALID_SKIP = -3

ETHNICITIES = {1: "black or african american", 2: "hispanic", 3: "mixed race", 4: "non-black non-hispanic"}
BIRTH_YEARS = range(1980, 1985)
# The codes that the cohort has of variables without which nothing can be read.
_OF_PERSONS = {
    "sex": ("KEY!SEX", (0, *GENDERS)),
    "race": ("KEY!RACE_ETHNICITY", tuple(ETHNICITIES)),
    "birth_year": ("KEY!BDATE_Y", tuple(BIRTH_YEARS)),
}
_ENROLLED = {status: status >= 8 for status in range(1, 12)}
HIGHEST_GRADE = 20
# The weekly array: codes 1 and 3 are options; jobs, from 9701 on, are year of the round and number of the job.
_WEEKLY_STATUS = {2: "not working", 4: "unemployed", 5: "out of the labor force", 6: "military"}
FIRST_EMPLOYER = 9701
CIVILIAN_CODES, MILITARY_CODES = range(1, 9800), range(9800, 9841)
# The day of the month for which an interview counts whose day is not in the public files.
MID_MONTH = 15
_WEEKS_BEFORE = 12
# Reference numbers of the weekly array (E0011701 is week 1 of 1997) are documented up to this year.
_LAST_NUMBERED = 2020


def occupation_concept(job: int) -> str:
    """Return the concept of a job's occupation: `occupation_2002_job01` for job 1."""
    return f"occupation_2002_job{job:02d}"


_OF_ROUND = (
    "interview_month_number", "interview_day", "region", "enrollment", "schooling", "main_job_flag",
    *map(occupation_concept, JOBS),
)  # fmt: skip


@dataclass(frozen=True)
class Nlsy97Options:
    """Choices of the NLSY97 reader.

    Attributes:
        main_job: `flagged` takes the job that CV_MAINJOB_FLG names, and job 01 where the flag is not at hand;
            `first` always takes job 01, as many published programs do.
        not_searching: weekly status 1, "not associated with an employer, not actively searching for an employer
            job"; such a person neither has an employer nor looks for one, but may do freelance work.
        gap_unknown: weekly status 3, "associated with an employer, periods not working for the employer are missing".
    """

    main_job: Literal["flagged", "first"] = "flagged"
    not_searching: Literal["out of the labor force", "not working", "unknown"] = "out of the labor force"
    gap_unknown: Literal["working", "not working", "unknown"] = "working"


def weekly_variables() -> list[Variable]:
    """Return the variables of the weekly array since 1997: `year` is the calendar year x 100 + the week."""
    return [
        Variable(
            WEEKLY,
            year * 100 + week,
            f"E{114 + year - 1994:05d}{week:02d}" if year <= _LAST_NUMBERED else "",
            f"EMP_STATUS_{year}.{week:02d}",
        )
        for year in WEEKLY_YEARS
        for week in range(1, week_index_of((year + 1) * 100 + 1) - week_index_of(year * 100 + 1) + 1)
    ]


def nlsy97_variables() -> list[Variable]:
    """Return all variables that the reader looks for, the weekly array included."""
    return [*variables_of("nlsy97"), *weekly_variables()]


def missing_rounds(raw: RawSurvey) -> list[int]:
    """Return the rounds of which the files have no variable at all, the weekly array aside."""
    return [year for year in ROUNDS if not any(raw.has(concept, year) for concept in _OF_ROUND)]


def week_index(dates: np.ndarray) -> np.ndarray:
    """Return the running number of the weeks (Sunday to Saturday) in which dates (datetime64[D]) lie."""
    days = dates.astype("datetime64[D]").astype(np.int64)
    # 1970-01-03, day 2 since the epoch, was a Saturday.
    return (days + 4) // 7


def week_index_of(number: int) -> int:
    """Return the running number of a week given as year x 100 + week of the year."""
    return int(week_index(np.array(f"{number // 100}-01-01", dtype="datetime64[D]"))) + number % 100 - 1


def nlsy97_interviews(raw: RawSurvey, options: Nlsy97Options | None = None) -> SurveyInterviews:
    """Return the interviews of the NLSY97: one a person and round with any answer other than non-interview (-5).

    Args:
        raw: what was read from the files.
        options: choices; the documented defaults if not given.

    Raises:
        InputError: if sex, race, year of birth, all schooling or the occupation of a round whose other answers are
            there is missing, or a variable holds codes that it does not have in the NLSY97; names question and round.
    """
    options = options or Nlsy97Options()
    rounds = _checked_rounds(raw)
    interviews = sorted_interviews(_interviews_of(raw, year, options) for year in rounds)
    birth = raw.get("birth_year").astype("Int64")
    persons = described(raw, birth.where(birth > 0), ETHNICITIES)
    return SurveyInterviews(SURVEY, persons, interviews)


def _coded(raw: RawSurvey, concept: str, year: int = CROSS_ROUND) -> np.ndarray:
    """One variable's codes [persons], int64; a respondent whom no file has counts as not interviewed."""
    return raw.codes(concept, year, blank=NON_INTERVIEW)


def _checked_rounds(raw: RawSurvey) -> list[int]:
    """Return the rounds at hand, after checking that the variables that they need are there, with codes of theirs."""
    remedy = REMEDY.format("nlsy97")
    needed = [variable for variable in variables_of("nlsy97") if variable.concept in _OF_PERSONS]
    if absent := [str(variable) for variable in needed if not raw.has(variable.concept)]:
        raise InputError(f"{SURVEY}: no file has {'; nor '.join(absent)}. {remedy}")
    lacking = missing_rounds(raw)
    rounds = [year for year in ROUNDS if year not in lacking]
    if not rounds:
        raise InputError(
            f"{SURVEY}: no file has an answer of any round, such as YEMP_OCCODE-2002.01. "
            "Add the variables that `labor-llm variables nlsy97` lists to the extract in the NLS Investigator."
        )
    if not raw.years("schooling"):
        raise InputError(
            f"{SURVEY}: no file has CV_HGC_EVER_EDT of any round, the highest grade completed. {remedy}"
        )
    if without := [year for year in rounds if not raw.has(occupation_concept(1), year)]:
        raise InputError(
            f"{SURVEY}, round {without[0]}: no file has YEMP_OCCODE-2002.01 ({without[0]}), the occupation, though "
            f"other answers of that round are there. {remedy}"
        )
    for concept, (question, allowed) in _OF_PERSONS.items():
        found = _coded(raw, concept)
        if wrong := int(((found >= 0) & ~np.isin(found, allowed)).sum()):
            raise InputError(
                f"{SURVEY}, {question}: {wrong:,} of {len(found):,} respondents have another code than "
                f"{', '.join(map(str, allowed))}. Check that the files are the NLSY97's (R0000100 is the respondent's "
                "number in the NLSY79, too), with codes as they are downloaded."
            )
    codes = np.concatenate([_coded(raw, occupation_concept(1), year) for year in rounds])
    codes = codes[codes > 0]
    if len(codes) >= 30 and codes.max() < 1000:
        raise InputError(
            f"{SURVEY}, YEMP_OCCODE-2002.01: no occupation has four digits, so these are not the codes of the Census "
            "of 2002. Take YEMP_OCCODE-2002, not YEMP_OCCODE (Census of 1990)."
        )
    return rounds


def _interviews_of(raw: RawSurvey, year: int, options: Nlsy97Options) -> pd.DataFrame:
    interviewed = np.any([_coded(raw, concept, year) != NON_INTERVIEW for concept in _OF_ROUND], axis=0)
    answer = _main_job(raw, year, options)
    code, grade = pd.Series(answer, dtype="Int64"), pd.Series(_coded(raw, "schooling", year), dtype="Int64")
    table = pd.DataFrame(
        {
            "person": raw.values.index.to_numpy("int64"),
            "year": np.int64(year),
            "employment": _employment(_latest_status(raw, _interview_weeks(raw, year)), answer, options),
            "enrolled": pd.Series(_coded(raw, "enrollment", year)).map(_ENROLLED).astype("boolean"),
            "frame": "census2002",
            "code": code.where(code.between(CIVILIAN_CODES[0], MILITARY_CODES[-1])),
            "schooling": grade.where(grade.between(0, HIGHEST_GRADE)),
        }
    )
    return table[interviewed]


def _main_job(raw: RawSurvey, year: int, options: Nlsy97Options) -> np.ndarray:
    """Return what the respondents [persons] answered on the occupation of their main job; -3 where it was not read."""
    answer = _coded(raw, occupation_concept(1), year)
    if options.main_job == "first" or not raw.has("main_job_flag", year):
        return answer
    flag = _coded(raw, "main_job_flag", year)
    answer = np.where(flag == VALID_SKIP, VALID_SKIP, np.where(flag > 1, INVALID_SKIP, answer))
    for job in JOBS[1:]:
        if raw.has(occupation_concept(job), year):
            answer = np.where(flag == job, _coded(raw, occupation_concept(job), year), answer)
    return answer


def _interview_weeks(raw: RawSurvey, year: int) -> np.ndarray:
    """Return the running number [persons] of the week of the interview, or of the last week of the survey year."""
    month, day = _coded(raw, "interview_month_number", year), _coded(raw, "interview_day", year)
    day = np.where((day >= 1) & (day <= 31), day, MID_MONTH)
    # CV_INTERVIEW_CMONTH counts the months since January 1980, which is month 1.
    first = (np.clip(month, 1, None) + 119).astype("datetime64[M]").astype("datetime64[D]")
    year_end = np.datetime64(f"{year}-12-31")
    return week_index(np.where(month > 0, first + (day - 1), year_end))


def _employment(status: np.ndarray, answer: np.ndarray, options: Nlsy97Options) -> np.ndarray:
    """Return the words [persons] for the status of a week, or for the occupation where no week tells it."""
    words = _WEEKLY_STATUS | {1: options.not_searching, 3: options.gap_unknown}
    employment = worded(status, words).copy()
    employment[status >= FIRST_EMPLOYER] = "working"
    unknown = employment == "unknown"
    employment[unknown & (answer > 0) & (answer < CIVILIAN_CODES.stop)] = "working"
    employment[unknown & (answer == VALID_SKIP)] = "not working"
    military = np.isin(answer, list(MILITARY_CODES))
    employment[military & (unknown | (employment == "working"))] = "military"
    return employment


def _latest_status(raw: RawSurvey, weeks: np.ndarray) -> np.ndarray:
    """Return the latest status that tells anything in each person's week or the 12 before it, 0 if there is none."""
    latest = np.zeros(len(weeks), dtype=np.int64)
    for number in raw.years(WEEKLY):
        before = weeks - week_index_of(number)
        counts = (before >= 0) & (before <= _WEEKS_BEFORE)
        if counts.any():
            status = raw.codes(WEEKLY, number, blank=0)
            latest = np.where(counts & (status > 0), status, latest)
    return latest
