"""NLSY79: the National Longitudinal Survey of Youth 1979, from its variables to interviews.

12,686 persons born 1957 to 1964, interviewed every year from 1979 to 1994 and every second year since.

* **Main job**: the CPS job (current or most recent) at the interview. Its occupation is coded by the Census of
  1970 in 1979 to 1981, by that of 1980 (CPSOCC80) or 1970 in 1982 to 2000, by that of 2000 in 2002 (three
  digits) and since 2004 (four digits, as updated in 2002). From 1994 on the CPS job is job 1 of OCCALL-EMP.
* **Employment**: from the weekly array where the files have it: the most frequent status over the weeks of the
  month of the interview; a tie goes to the later week. Where no week of that month tells it, the latest of the 12
  weeks before the month that does; where the month is not known, all weeks of the survey year. Otherwise the
  Employment Status Recode (made 1984 to 1998). Otherwise the occupation itself: a code means working, a valid skip
  (-4, no job since the last interview) not working.
* **Month of the interview**: CURDATE~M of the year CURDATE~Y (asked since 1993), for rounds spill over into the next
  calendar year, those since 2012 with most of their interviews. Where that year is not known, it is the survey year,
  but for rounds since 2012, which begin in autumn, the next one for a month before September.
* **Enrolment**: as of 1 May of the survey year, revised (ENROLLMTREV) where at hand, otherwise unrevised (ENROLLMT).

Source: NLSY79 codebook and the guide "Occupations" of nlsinfo.org; the meanings of ESR 4 to 7 are as commonly
used, not read from the codebook; the reference numbers of CURDATE~Y are those on which published programs agree.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from labor_llm.errors import InputError
from labor_llm.surveys.nls.extracts import NON_INTERVIEW
from labor_llm.surveys.rules import SurveyInterviews, sorted_interviews, worded
from labor_llm.surveys.variables import WEEKLY, RawSurvey, Variable, variables_of

SURVEY = "NLSY79"
YEARS = (*range(1979, 1995), *range(1996, 2023, 2))
_WEEKS = range(1, 2348)
_LAST_DAY_OF_WEEK_1 = datetime.date(1978, 1, 7)
VALID_SKIP = -4

GENDERS = {1: "male", 2: "female"}
ETHNICITIES = {1: "hispanic", 2: "black or african american", 3: "non-black non-hispanic"}
REGIONS = {1: "northeast", 2: "northcentral", 3: "south", 4: "west"}
BIRTH_YEARS = range(1955, 1967)
# Every code of the weekly array from 100 on is a job (round x 100 + number of the job); 0 is no information.
WEEKLY_STATUS = {2: "not working", 3: "working", 4: "unemployed", 5: "out of the labor force", 7: "military"}
FIRST_JOB_CODE, _JOB = 100, 3
EMPLOYMENT_STATUS_RECODE = {
    1: "working",
    2: "working",
    3: "unemployed",
    **dict.fromkeys((4, 5, 6, 7), "out of the labor force"),
    8: "military",
}
# Rounds from this one on begin in about this month; without CURDATE~Y, an earlier month is the next year's.
_AUTUMN_ROUNDS, _AUTUMN = 2012, 9
# The years in which an interview of a round can lie, relative to the survey year.
_YEARS_OF_ROUND = range(-1, 3)
_DAYS_BEFORE = 12 * 7
_ENROLLED = {1: False, 2: True, 3: True, 4: False}
# Completed years of schooling; 95 is an ungraded school.
_GRADES = {grade: grade for grade in range(21)}
# The occupation's variables to 2000; from 2002 on there is the last alone, in another frame.
_FRAMES = {
    "occupation_1980_cps": "census1980",
    "occupation_1980_job1": "census1980",
    "occupation_1970_cps": "census1970",
    "occupation_job1": "census1970",
}
# Everyone who was interviewed has an answer other than -5 to one of these.
_ASKED_OF_ALL = (
    *_FRAMES, "interview_month", "interview_year", "employment_status_recode", "enrollment_revised", "enrollment",
    "schooling_revised", "schooling", "region",
)  # fmt: skip
# Of both cohorts.
REMEDY = (
    "Add what is missing to the extract in the NLS Investigator and download it with its codebook (.sdf or .cdb); "
    "`labor-llm variables {}` writes the list to use there."
)


@dataclass(frozen=True)
class Nlsy79Options:
    """Choices of the NLSY79 reader.

    Attributes:
        frame_1982_2000: Census frame of the occupations of 1982 to 2000: `census1980` maps more finely to
            occ1990dd; `census1970` keeps one frame from 1979 to 2000. A year whose variable of the chosen
            frame is not at hand is read in the other one.
    """

    frame_1982_2000: Literal["census1980", "census1970"] = "census1980"


def nlsy79_variables() -> list[Variable]:
    """Return all variables that the reader looks for, the weekly array included."""
    first = {1: "W0061300"}
    weekly = [Variable(WEEKLY, week, first.get(week, ""), f"STATUS_WK_NUM{week:04d}") for week in _WEEKS]
    return [*variables_of("nlsy79"), *weekly]


def missing_years(raw: RawSurvey) -> list[int]:
    """Return the survey years for which the files have no occupation at all."""
    return [year for year in YEARS if not any(raw.has(concept, year) for concept in _FRAMES)]


def nlsy79_interviews(raw: RawSurvey, options: Nlsy79Options | None = None) -> SurveyInterviews:
    """Return the interviews of the NLSY79.

    Args:
        raw: what was read from the files.
        options: choices; the documented defaults if not given.

    Raises:
        InputError: if sex, race, year of birth, every occupation or all schooling is missing, or a variable holds
            codes that it does not have in the NLSY79; names the variables.
    """
    options = options or Nlsy79Options()
    _check_required(raw)
    years = [_interviews_of(raw, year, options) for year in YEARS]
    interviews = sorted_interviews(part for part in years if not part.empty)
    return SurveyInterviews(SURVEY, _persons(raw), interviews)


def _check_required(raw: RawSurvey) -> None:
    required = {"sex": "R0214800 SAMPLE_SEX", "race": "R0214700 SAMPLE_RACE"}
    absent = [name for concept, name in required.items() if not raw.years(concept)]
    if not raw.years("birth_year"):
        absent.append("R0000500 Q1-3_A~Y (1979) or R0410300 (1981), the year of birth")
    if not any(raw.years(concept) for concept in _FRAMES):
        absent.append("an occupation of any year (CPSOCC70, CPSOCC80 or OCCALL-EMP.01)")
    if not raw.years("schooling_revised") and not raw.years("schooling"):
        absent.append("years of schooling of any year (HGCREV79 to HGCREV12, R0216701 of 1979)")
    if absent:
        raise InputError(f"{SURVEY}: no file has {'; nor '.join(absent)}. {REMEDY.format('nlsy79')}")
    for concept, year, allowed in (("sex", 0, GENDERS), ("race", 0, ETHNICITIES), ("region", 1979, REGIONS)):
        values = raw.get(concept, year).dropna()
        wrong = int((~values[values >= 0].isin(allowed)).sum())
        if wrong:
            file = raw.found[(concept, "", year)]
            raise InputError(
                f"{file}: {wrong:,} respondents have another value of {concept} than {', '.join(map(str, allowed))}. "
                f"Check that the column is {SURVEY}'s variable, with codes as they are downloaded."
            )


def _persons(raw: RawSurvey) -> pd.DataFrame:
    birth = raw.get("birth_year", 1981)
    birth = birth.where(birth > 0, raw.get("birth_year", 1979))
    birth = birth.where(birth > 0)
    birth = birth.where(birth >= 1900, birth + 1900).astype("Int64")
    outside = birth.dropna()[~birth.dropna().isin(list(BIRTH_YEARS))]
    if len(outside):
        raise InputError(
            f"{SURVEY}: {len(outside):,} respondents have a year of birth (Q1-3_A~Y) before {BIRTH_YEARS[0]} or after "
            f"{BIRTH_YEARS[-1]}. The cohort was born 1957 to 1964: check that the files are the NLSY79's."
        )
    return described(raw, birth, ETHNICITIES)


def described(raw: RawSurvey, birth_year: pd.Series, ethnicities: dict[int, str]) -> pd.DataFrame:
    """Return `SurveyInterviews.persons` of a cohort; the region is that of the first year that knows it.

    The household is the one of the first interview, from which brothers and sisters were sampled too.
    """
    years = raw.years("region") or YEARS[:1]
    regions = pd.DataFrame({year: raw.get("region", year) for year in years})
    region = regions.where(regions.isin(list(REGIONS))).bfill(axis=1).iloc[:, 0]
    persons = pd.DataFrame(
        {
            "gender": worded(raw.get("sex"), GENDERS),
            "ethnicity": worded(raw.get("race"), ethnicities),
            "region": worded(region, REGIONS),
            "birth_year": birth_year,
        }
    )
    if years := raw.years("household"):
        number = raw.get("household", years[0])
        alone = "person " + persons.index.astype(str).to_series(persons.index)
        persons["household"] = number.astype(object).astype(str).where((number > 0).fillna(False), alone)
    return persons


def _interviews_of(raw: RawSurvey, year: int, options: Nlsy79Options) -> pd.DataFrame:
    """Return the interviews of one survey year; empty if the files have nothing of that year."""
    asked = [(concept, "", year) for concept in _ASKED_OF_ALL if raw.has(concept, year)]
    if not asked:
        return pd.DataFrame()
    interviewed = (raw.values[asked] != NON_INTERVIEW).fillna(False).any(axis=1)
    # A reason for non-interview is above zero only where there was none.
    interviewed &= ~(raw.get("reason_noninterview", year) > 0).fillna(False)
    frame, answer = _occupation(raw, year, options)
    table = pd.DataFrame(
        {
            "person": raw.values.index.to_numpy("int64"),
            "year": year,
            "employment": _employment(raw, year, answer),
            "enrolled": _first_known(raw, year, "enrollment", _ENROLLED, "boolean"),
            "frame": frame,
            "code": answer.where(answer > 0).astype("Int64").to_numpy(),
            "schooling": _first_known(raw, year, "schooling", _GRADES, "Int64"),
        }
    )
    return table[interviewed.to_numpy(bool)]


def _occupation(raw: RawSurvey, year: int, options: Nlsy79Options) -> tuple[str | None, pd.Series]:
    """Return the frame and the raw answers of the main job's occupation in a year."""
    if year >= 2002:
        frames = [("occupation_job1", "census2000" if year == 2002 else "census2002")]
    else:
        frames = sorted(_FRAMES.items(), key=lambda item: item[1] != options.frame_1982_2000)
    for concept, frame in frames:
        if raw.has(concept, year):
            return frame, raw.get(concept, year)
    return None, raw.get("occupation_job1", year)


def _employment(raw: RawSurvey, year: int, answer: pd.Series) -> np.ndarray:
    """Return the state of employment: weekly array, else recode, else what the occupation's answer tells."""
    employment = _weekly_employment(raw, year)
    recode = worded(raw.get("employment_status_recode", year), EMPLOYMENT_STATUS_RECODE)
    codes = answer.to_numpy("int64", na_value=0)
    by_occupation = np.select([codes > 0, codes == VALID_SKIP], ["working", "not working"], default="unknown")
    for stand_in in (recode, by_occupation):
        employment = np.where(employment != "unknown", employment, stand_in)
    return employment.astype(object)


def _interview_months(raw: RawSurvey, year: int) -> np.ndarray:
    """Return the calendar month (datetime64[M]) of each interview [persons]; NaT where it is not known."""
    month, stated = raw.codes("interview_month", year), raw.codes("interview_year", year)
    # Rounds of the 1990s may write 93 for 1993.
    stated = np.where((stated >= 0) & (stated < 100), stated + 1900, stated)
    spilled = (year >= _AUTUMN_ROUNDS) & (month < _AUTUMN)
    calendar_year = np.where(np.isin(stated - year, _YEARS_OF_ROUND), stated, year + spilled)
    months = ((calendar_year - 1970) * 12 + month - 1).astype("datetime64[M]")
    return np.where((month >= 1) & (month <= 12), months, np.datetime64("NaT"))


def _weekly_employment(raw: RawSurvey, year: int) -> np.ndarray:
    """Return the most frequent status over the weeks of the interview's month, or what stands in for it."""
    months = _interview_months(raw, year)
    weeks = np.array(raw.years(WEEKLY), dtype=np.int64)
    ends = np.datetime64(_LAST_DAY_OF_WEEK_1, "D") + 7 * (weeks - 1)
    # Only the weeks that some interview of the round may need are looked at.
    year_ends = np.array([f"{year}-01", f"{year}-12"], dtype="datetime64[M]")
    possible = np.append(months[~np.isnat(months)], year_ends)
    first, last = np.array([possible.min(), possible.max() + 1]).astype("datetime64[D]")
    near = (ends >= first - _DAYS_BEFORE) & (ends < last)
    if not near.any():
        return np.full(len(raw.values), "unknown", dtype=object)
    codes = np.stack([raw.codes(WEEKLY, week) for week in weeks[near].tolist()], axis=1)  # [persons, weeks]
    status = np.where(codes >= FIRST_JOB_CODE, _JOB, codes)
    counted = _counted_weeks(np.isin(status, list(WEEKLY_STATUS)), ends[near], months, year)
    # A later week weighs a little more, so that it decides a tie and nothing else.
    weights = 1 + np.arange(near.sum()) / (1000 * near.sum())
    # [persons, codes]
    votes = np.stack([((status == code) & counted) @ weights for code in WEEKLY_STATUS], axis=1)
    words = np.array(list(WEEKLY_STATUS.values()), dtype=object)[votes.argmax(axis=1)]
    return np.where(votes.any(axis=1), words, "unknown")


def _counted_weeks(known: np.ndarray, ends: np.ndarray, months: np.ndarray, year: int) -> np.ndarray:
    """Return which weeks, of those with information, tell the employment at the interview [persons, weeks].

    Args:
        known: where a week has information [persons, weeks].
        ends: the last day of each week, ascending.
        months: as `_interview_months` gives them.
        year: survey year, whose weeks count where the month is not known.
    """
    in_month = known & (ends.astype("datetime64[M]") == months[:, None])
    first_day = months.astype("datetime64[D]")[:, None]
    before = known & (ends < first_day) & (ends >= first_day - _DAYS_BEFORE)
    # The latest alone.
    before &= np.cumsum(before[:, ::-1], axis=1)[:, ::-1] == 1
    in_year = known & (ends.astype("datetime64[Y]") == np.datetime64(str(year)))
    told = np.where(in_month.any(axis=1)[:, None], in_month, before)
    return np.where(np.isnat(months)[:, None], in_year, told)


def date_of_week(week: int) -> datetime.date:
    """Return the Saturday that ends a week of the array, to whose year it counts; week 1 ends on 7 January 1978."""
    return _LAST_DAY_OF_WEEK_1 + datetime.timedelta(weeks=week - 1)


def _first_known(
    raw: RawSurvey, year: int, concept: str, meanings: dict[int, bool] | dict[int, int], kind: str
) -> np.ndarray:
    """Return what a variable says, revised where at hand, NA where it says nothing of the meanings."""
    revised, plain = (
        raw.get(name, year).map(meanings).astype(kind) for name in (f"{concept}_revised", concept)
    )
    return revised.fillna(plain).to_numpy()
