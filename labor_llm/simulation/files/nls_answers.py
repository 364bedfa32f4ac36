"""Simulated workers answer the NLSY79 and the NLSY97: what the readers make of it is, record for record, their careers.

The weekly arrays hold some weeks alone, so that the files stay small, and noise in all but those that a record fixes,
so that a reader that takes the wrong weeks gives other careers.

* NLSY79: each interview lies in May or June of the survey year or, in some rounds from 2004 on, in January or February
  of the next. The array holds the weeks of these months, and of January and February of those survey years.
* NLSY97: the field period is shortened to 1 October to 15 December of the round's year, and the array holds the weeks
  from mid-September to the end of the year. A record fixes the week of the interview (or, now and then, the week
  before, with no information on the last one, as in the real array); the other weeks mostly repeat it.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from labor_llm.surveys.nls import nlsy79, nlsy97
from labor_llm.surveys.nls.nlsy97 import NON_INTERVIEW, VALID_SKIP, week_index, week_index_of
from labor_llm.surveys.variables import CROSS_ROUND, Key

# By Census frame and occ1990dd code, the source codes to draw from.
Codes = Mapping[str, Mapping[str, Sequence[int]]]
Given = tuple[pd.DataFrame, dict[str, int]]

# Statuses in the weekly arrays of both cohorts; any that is not working.
_STATUS = {"unemployed": 4, "out_of_labor_force": 5, "education": 5}

# NLSY79. Rounds with interviews in the next year, and the share of these; the array ends before those of 2022 could be.
_MONTHS, _SPILL_MONTHS = (5, 6), (1, 2)
_SPILL_ROUNDS, _SPILLED = range(2004, 2022), 0.25
_RECODE = {"unemployed": 3, "out_of_labor_force": 5, "education": 5}
_ENROLLED, _NOT_ENROLLED = 3, 4
# Answers of those not interviewed, where they are not -5: a reason for it, and no information in the array.
_ABSENT = {"reason_noninterview": 65, "weekly_status": 0}
_DATES = {week: nlsy79.date_of_week(week) for week in range(1, 2348)}
_NOISE = np.array([0, 2, 4, 5, 7, 101])

# NLSY97. Shares: main jobs that are job 02 of the roster, interview weeks without information, weeks with any status,
# respondents of the cross-sectional sample.
_FIRST_WEEK = 38
# The number that the weekly array has for job 01 of a round's roster, such as 9701 or 200501.
_FIRST_EMPLOYERS = {year: (year % 100 if year < 1999 else year) * 100 + 1 for year in nlsy97.ROUNDS}
_SECOND_JOB, _NO_INFORMATION, _ANY_STATUS, _CROSS_SECTIONAL = 0.1, 0.05, 0.15, 0.75


def nlsy79_answers(careers: pd.DataFrame, occupation_codes: Codes, seed: int) -> Given:
    """Return what simulated workers answer to the NLSY79, and the respondent number of each.

    Args:
        careers: columns `worker_id`, `year` (of a survey), `occupation` (occ1990dd code or state; in education to 2006
            alone, the last year with a question on enrolment), `gender`, `ethnicity`, `region`, `birth_year` and
            `schooling` (completed years).
        occupation_codes: the codes to draw from.
        seed: of the drawn codes, months and noise.

    Returns:
        The answers in the form of `RawSurvey.values`, and the respondent number by worker id.
    """
    rng = np.random.default_rng(seed)
    worker, workers = pd.factorize(careers["worker_id"])
    records = careers.assign(worker=worker)
    first = records.drop_duplicates("worker")
    birth = first["birth_year"].to_numpy(np.int64) - 1900
    answers: dict[Key, np.ndarray] = {
        ("sex", "", CROSS_ROUND): coded(first["gender"], nlsy79.GENDERS),
        ("race", "", CROSS_ROUND): coded(first["ethnicity"], nlsy79.ETHNICITIES),
        ("household", "", 1979): _households(len(workers)),
        ("birth_year", "", 1979): birth,
        ("birth_year", "", 1981): birth,
    }
    asked = {variable.key for variable in nlsy79.nlsy79_variables()}
    for year in nlsy79.YEARS:
        of_year = records[records["year"] == year]
        for (concept, number), codes in _of_1979(of_year, year, occupation_codes, rng).items():
            if (concept, "", number) in asked:
                absent = _ABSENT.get(concept, NON_INTERVIEW)
                answers[concept, "", number] = _spread(codes, of_year["worker"], len(workers), absent)
    return _given(answers, workers)


def _households(workers: int) -> np.ndarray:
    """Return numbers of households: of two for every fifth worker and the one before, of one for the others."""
    number = np.arange(1, workers + 1)
    return number - (number % 5 == 0)


def _of_1979(
    records: pd.DataFrame, year: int, occupation_codes: Codes, rng: np.random.Generator
) -> dict[tuple[str, int], np.ndarray | pd.Series]:
    """Return the answers of those interviewed in a year, by concept and number."""
    state, size = records["occupation"], len(records)
    works = (~state.isin(list(_STATUS))).to_numpy()
    month = rng.choice(_MONTHS, size)
    spilled = (rng.random(size) < _SPILLED) & (year in _SPILL_ROUNDS)
    month = np.where(spilled, rng.choice(_SPILL_MONTHS, size), month)
    answers = {
        "reason_noninterview": np.full(size, VALID_SKIP),
        "interview_month": month,
        "interview_year": year + spilled,
        "region": coded(records["region"], nlsy79.REGIONS),
        "enrollment_revised": np.where(state == "education", _ENROLLED, _NOT_ENROLLED),
        "employment_status_recode": state.map(_RECODE).fillna(1),
        "schooling_revised": records["schooling"],
        "schooling": records["schooling"],
    }
    for concept, frame in _occupation_questions(year).items():
        answers[concept] = np.full(size, VALID_SKIP)
        answers[concept][works] = [rng.choice(occupation_codes[frame][target]) for target in state[works]]
    found = {(concept, year): codes for concept, codes in answers.items()}
    status = state.map(_STATUS).fillna((year - 1978) * 100 + nlsy79.FIRST_JOB_CODE + 1)
    for week, date in _DATES.items():
        if _holds_answers(date, year):
            own = (month == date.month) & (year + spilled == date.year)
            found["weekly_status", week] = np.where(own, status, rng.choice(_NOISE, size))
    return found


def _holds_answers(date: datetime.date, year: int) -> bool:
    """Tell whether the weekly array holds the week of a date because of a round."""
    if date.year == year and date.month in _MONTHS:
        return True
    return year in _SPILL_ROUNDS and date.month in _SPILL_MONTHS and date.year in (year, year + 1)


def _occupation_questions(year: int) -> dict[str, str]:
    """Return the questions on the main job's occupation in a year, with their Census frames."""
    if year < 1982:
        return {"occupation_1970_cps": "census1970"}
    if year < 1994:
        return {"occupation_1970_cps": "census1970", "occupation_1980_cps": "census1980"}
    if year <= 2000:
        return {"occupation_job1": "census1970", "occupation_1980_job1": "census1980"}
    return {"occupation_job1": "census2000" if year == 2002 else "census2002"}


def nlsy97_answers(careers: pd.DataFrame, occupation_codes: Codes, seed: int) -> Given:
    """Return what simulated workers answer to the NLSY97, and the respondent number of each.

    Args:
        careers: as for `nlsy79_answers`, to the last year. Someone in education is enrolled and out of the labor
            force, everyone else is not enrolled.
        occupation_codes: the codes to draw from (those of `census2002` are).
        seed: of the draws.

    Returns:
        The answers in the form of `RawSurvey.values`, and the respondent number by worker id.
    """
    rng = np.random.default_rng(seed)
    worker, workers = pd.factorize(careers["worker_id"])
    size, code = len(workers), np.full(len(careers), VALID_SKIP)
    for occupation, rows in careers.reset_index(drop=True).groupby("occupation").indices.items():
        if occupation not in _STATUS:
            code[rows] = rng.choice(occupation_codes["census2002"][occupation], len(rows))
    records = careers.assign(worker=worker, code=code)
    first = records.drop_duplicates("worker")
    answers: dict[Key, np.ndarray] = {
        ("sex", "", CROSS_ROUND): coded(first["gender"], nlsy97.GENDERS),
        ("household", "", 1997): _households(size),
        ("birth_month", "", CROSS_ROUND): rng.integers(1, 13, size),
        ("birth_year", "", CROSS_ROUND): first["birth_year"].to_numpy(np.int64),
        ("race", "", CROSS_ROUND): coded(first["ethnicity"], nlsy97.ETHNICITIES),
        ("sample_type", "", CROSS_ROUND): (rng.random(size) < _CROSS_SECTIONAL).astype(np.int64),
    }
    weekly = {
        number: rng.choice([0, 1, 2, 3, 4, 5, _FIRST_EMPLOYERS[number // 100]], size)
        for number in (variable.year for variable in nlsy97.weekly_variables())
        if number // 100 in nlsy97.ROUNDS and number % 100 >= _FIRST_WEEK
    }
    last_week = np.zeros(size, dtype=np.int64)
    for year in nlsy97.ROUNDS:
        of_round = records[records["year"] == year]
        found, last_week[of_round["worker"]] = _of_1997(of_round, year, weekly, rng)
        for concept, values in found.items():
            answers[concept, "", year] = _spread(values, of_round["worker"], size, NON_INTERVIEW)
    for number, status in weekly.items():
        # The array ends with the week of a person's last interview.
        answers["weekly_status", "", number] = np.where(week_index_of(number) > last_week, VALID_SKIP, status)
    keys = [variable.key for variable in nlsy97.nlsy97_variables()]
    return _given({key: answers[key] for key in keys if key in answers}, workers)


def _of_1997(
    records: pd.DataFrame, year: int, weekly: Mapping[int, np.ndarray], rng: np.random.Generator
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return the answers of those interviewed in a round and their weeks, and put their statuses into the array."""
    size, state, code = len(records), records["occupation"], records["code"].to_numpy()
    asked = {variable.concept for variable in nlsy97.nlsy97_variables() if variable.year == year}
    dates = np.datetime64(f"{year}-10-01") + rng.integers(0, 76, size)
    months = dates.astype("datetime64[M]")
    first_days = months.astype("datetime64[D]")
    works = code > 0
    main = np.where(works & (rng.random(size) < _SECOND_JOB), 2, 1)
    years = records["schooling"].to_numpy(np.int64)
    # CV_ENROLLSTAT: 8 to 11 by the school that follows the years completed, or 1, 3, 4, 6, 7.
    school = np.select([years < 12, years < 14, years < 16], [8, 9, 10], default=11)
    left = np.select([years < 12, years < 13, years < 16, years < 17], [1, 3, 4, 6], default=7)
    answers = {
        "interview_month_number": months.astype(np.int64) - 119,
        "interview_day": (dates - first_days).astype(np.int64) + 1,
        "region": coded(records["region"], nlsy97.REGIONS),
        "schooling": years,
        "enrollment": np.where(state == "education", school, left),
        "main_job_flag": np.where(works, main, VALID_SKIP),
    }
    for job in nlsy97.JOBS:
        answers[nlsy97.occupation_concept(job)] = np.where(main == job, code, VALID_SKIP)
    if (second := main == 2).any():
        # The job that is not the main one is another worker's.
        answers[nlsy97.occupation_concept(1)][second] = rng.choice(code[works], int(second.sum()))
    status = np.where(works, _FIRST_EMPLOYERS[year] - 1 + main, state.map(_STATUS).fillna(0)).astype(np.int64)
    interview = week_index(dates if "interview_day" in asked else first_days + (nlsy97.MID_MONTH - 1))
    worker, blank = records["worker"].to_numpy(), rng.random(size) < _NO_INFORMATION
    for number in (number for number in weekly if number // 100 == year):
        week, column = week_index_of(number), weekly[number]
        keeps = rng.random(size) >= _ANY_STATUS
        keeps |= (interview == week) | (blank & (interview == week + 1))
        column[worker] = np.where(keeps, status, column[worker])
        column[worker[blank & (interview == week)]] = 0
    return {concept: codes for concept, codes in answers.items() if concept in asked}, interview


def coded(words: pd.Series, meanings: Mapping[int, str]) -> np.ndarray:
    """Return the codes of a survey's answers, int64, given what each code means."""
    return words.map({word: code for code, word in meanings.items()}).to_numpy(np.int64)


def _spread(codes: np.ndarray | pd.Series, worker: pd.Series, workers: int, absent: int) -> np.ndarray:
    """Return an answer [workers] from that of those interviewed, `absent` of the others."""
    answer = np.full(workers, absent, dtype=np.int64)
    answer[worker] = codes
    return answer


def _given(answers: Mapping[Key, np.ndarray], workers: pd.Index) -> Given:
    columns = pd.MultiIndex.from_tuples(answers, names=["concept", "role", "year"])
    numbers = {worker: number for number, worker in enumerate(workers, start=1)}
    index = pd.Index(list(numbers.values()), name="person")
    return pd.DataFrame(np.column_stack(list(answers.values())), index, columns).astype("Int32"), numbers
