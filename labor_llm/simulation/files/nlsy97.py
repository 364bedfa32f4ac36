"""Simulated workers answer the NLSY97: the raw variables from which the reader returns exactly their careers.

The field period is shortened to 1 October to 15 December of the round's year, and the weekly array is given for
the weeks from mid-September to the end of the year alone, so that the files stay small. The state of a record
fixes the week of the interview (or, now and then, the week before, with no information on the last one, as in
the real array); the other weeks mostly repeat it and otherwise hold any status.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from labor_llm.errors import InputError
from labor_llm.surveys.nls.nlsy97 import (
    BIRTH_YEARS,
    CIVILIAN_CODES,
    ETHNICITIES,
    GENDERS,
    HIGHEST_GRADE,
    INVALID_SKIP,
    JOBS,
    MID_MONTH,
    NON_INTERVIEW,
    OUT_OF_THE_LABOR_FORCE,
    REGIONS,
    ROUNDS,
    UNEMPLOYED,
    VALID_SKIP,
    nlsy97_variables,
    occupation_concept,
    week_index,
    week_index_of,
)
from labor_llm.surveys.variables import CROSS_ROUND

FRAME = "census2002"
STATES = {
    "unemployed": UNEMPLOYED,
    "out_of_labor_force": OUT_OF_THE_LABOR_FORCE,
    "education": OUT_OF_THE_LABOR_FORCE,
}
_FIRST_WEEK = 38
# Shares: main jobs that are job 02 of the roster, interview weeks without information, weeks with any status,
# respondents of the cross-sectional sample.
_SECOND_JOB, _NO_INFORMATION, _ANY_STATUS, _CROSS_SECTIONAL = 0.1, 0.05, 0.15, 0.75
_STATUSES = (0, 1, 2, 3, UNEMPLOYED, OUT_OF_THE_LABOR_FORCE)

Key = tuple[str, str, int]


def nlsy97_answers(
    careers: pd.DataFrame, occupation_codes: Mapping[str, Mapping[str, Sequence[int]]], seed: int
) -> tuple[pd.DataFrame, pd.Series]:
    """Return what simulated workers answered.

    Args:
        careers: one row a worker-year, the year a round of the NLSY97: `worker_id`, `year`, `occupation` (an
            occ1990dd code or `unemployed`, `out_of_labor_force`, `education`), `gender`, `ethnicity`, `region`,
            `birth_year`, `schooling` (completed years, missing where not known). Someone in education is enrolled
            and out of the labor force, everyone else is not enrolled.
        occupation_codes: by frame (`census2002` is used) and occ1990dd code, the four-digit codes to draw from.
        seed: of the draws.

    Returns:
        values: `RawSurvey.values`, Int32: one row a worker (index `person`), one column a variable of the round, of
            the person or of the weeks from mid-September to December of the rounds.
        persons: the respondent's number (int64) of each worker (index `worker_id`).

    Raises:
        InputError: if a record cannot be answered in this survey: a year that is no round, a birth year outside
            1980 to 1984, a word or an occupation for which the survey has no code.
    """
    _check(careers, occupation_codes.get(FRAME, {}))
    rng = np.random.default_rng(seed)
    worker, workers = pd.factorize(careers["worker_id"])
    persons = pd.Series(
        np.arange(1, len(workers) + 1, dtype=np.int64),
        index=pd.Index(workers, name="worker_id"),
        name="person",
    )
    records = careers.assign(worker=worker, code=_source_codes(careers, occupation_codes[FRAME], rng))
    answers = _person_answers(records.drop_duplicates("worker"), rng)
    weekly = _weekly_background(len(workers), rng)
    last_week = np.zeros(len(workers), dtype=np.int64)
    for year in ROUNDS:
        weeks = _round_answers(answers, weekly, records[records["year"] == year], year, len(workers), rng)
        last_week = np.maximum(last_week, weeks)
    for number, status in weekly.items():
        # The array ends with the week of a person's last interview.
        answers["weekly_status", "", number] = np.where(week_index_of(number) > last_week, VALID_SKIP, status)
    keys = [variable.key for variable in nlsy97_variables() if variable.key in answers]
    columns = pd.MultiIndex.from_tuples(keys, names=["concept", "role", "year"])
    values = pd.DataFrame(np.column_stack([answers[key] for key in keys]), columns=columns)
    return values.astype("Int32").set_index(pd.Index(persons.to_numpy(), name="person")), persons


def _check(careers: pd.DataFrame, codes: Mapping[str, Sequence[int]]) -> None:
    usable = {code for code, sources in codes.items() if all(source in CIVILIAN_CODES for source in sources)}
    answerable = {
        "year": set(ROUNDS),
        "occupation": {code for code in usable if len(codes[code])} | set(STATES),
        "gender": set(GENDERS.values()),
        "ethnicity": set(ETHNICITIES.values()),
        "region": {*REGIONS.values(), "unknown"},
        "birth_year": set(BIRTH_YEARS),
        "schooling": set(range(HIGHEST_GRADE + 1)),
    }
    for column, allowed in answerable.items():
        unknown = careers[column].isna() & (column == "schooling")
        wrong = careers.loc[~careers[column].isin(allowed) & ~unknown, column]
        if len(wrong):
            raise InputError(
                f"Simulated careers, column {column}: {wrong.iloc[0]!r} has no answer in the NLSY97 "
                f"({len(wrong):,} records). Simulate its cohort, or give the occupation a code in {FRAME}."
            )


def _source_codes(
    careers: pd.DataFrame, codes: Mapping[str, Sequence[int]], rng: np.random.Generator
) -> np.ndarray:
    """Draw a code of the survey for each record [records]; a valid skip where nobody works."""
    drawn = np.full(len(careers), VALID_SKIP, dtype=np.int64)
    for occupation, rows in careers.reset_index(drop=True).groupby("occupation").indices.items():
        if occupation not in STATES:
            drawn[rows] = rng.choice(np.asarray(codes[occupation], dtype=np.int64), len(rows))
    return drawn


def _person_answers(first: pd.DataFrame, rng: np.random.Generator) -> dict[Key, np.ndarray]:
    """Return the answers that belong to no round, from each worker's first record."""
    return {
        ("sex", "", CROSS_ROUND): _codes(first["gender"], GENDERS),
        ("birth_month", "", CROSS_ROUND): rng.integers(1, 13, len(first)),
        ("birth_year", "", CROSS_ROUND): first["birth_year"].to_numpy(np.int64),
        ("race", "", CROSS_ROUND): _codes(first["ethnicity"], ETHNICITIES),
        ("sample_type", "", CROSS_ROUND): (rng.random(len(first)) < _CROSS_SECTIONAL).astype(np.int64),
    }


def _codes(words: pd.Series, codes: Mapping[int, str]) -> np.ndarray:
    inverse = {word: code for code, word in codes.items()}
    return words.map(inverse).fillna(VALID_SKIP).to_numpy(np.int64)


def _weekly_background(workers: int, rng: np.random.Generator) -> dict[int, np.ndarray]:
    """Return a status of any kind for every worker and week that the files hold, by year x 100 + week."""
    return {
        year * 100 + week: rng.choice([*_STATUSES, _employer(year)], workers)
        for year in ROUNDS
        for week in range(
            _FIRST_WEEK, 1 + week_index_of((year + 1) * 100 + 1) - week_index_of(year * 100 + 1)
        )
    }


def _employer(year: int, job: int = 1) -> int:
    """Return the number that the weekly array has for a job of a round's roster, such as 9701 or 200502."""
    return (year % 100 if year < 1999 else year) * 100 + job


def _round_answers(
    answers: dict[Key, np.ndarray],
    weekly: dict[int, np.ndarray],
    records: pd.DataFrame,
    year: int,
    workers: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Add the answers of one round; return the week [workers] of the interview, 0 where there was none."""
    worker, size = records["worker"].to_numpy(), len(records)
    variables = {variable.key: variable for variable in nlsy97_variables() if variable.year == year}

    def put(concept: str, codes: np.ndarray) -> None:
        if (concept, "", year) in variables:
            answer = np.full(workers, NON_INTERVIEW, dtype=np.int64)
            answer[worker] = codes
            answers[concept, "", year] = answer

    dates = np.datetime64(f"{year}-10-01") + rng.integers(0, 76, size)
    months = dates.astype("datetime64[M]")
    put("interview_month_number", months.astype(np.int64) - 119)
    put("interview_day", (dates - months.astype("datetime64[D]")).astype(np.int64) + 1)
    if ("interview_day", "", year) not in variables:
        dates = months.astype("datetime64[D]") + (MID_MONTH - 1)
    put("region", _codes(records["region"], REGIONS))
    put("schooling", records["schooling"].astype("Float64").fillna(INVALID_SKIP).to_numpy(np.int64))
    put("enrollment", _enrollment(records))
    code = records["code"].to_numpy()
    works = code > 0
    second = works & (rng.random(size) < _SECOND_JOB)
    main = np.where(second, 2, 1)
    put("main_job_flag", np.where(works, main, VALID_SKIP))
    for job in JOBS:
        put(occupation_concept(job), np.where(main == job, code, VALID_SKIP))
    if second.any():
        # The job that is not the main one is another worker's.
        answers[occupation_concept(1), "", year][worker[second]] = rng.choice(code[works], int(second.sum()))
    status = np.where(works, _employer(year) - 1 + main, records["occupation"].map(STATES).fillna(0))
    _add_weeks(weekly, worker, status.astype(np.int64), week_index(dates), year, rng)
    interviewed = np.zeros(workers, dtype=np.int64)
    interviewed[worker] = week_index(dates)
    return interviewed


def _enrollment(records: pd.DataFrame) -> np.ndarray:
    """Return CV_ENROLLSTAT [records]: 8 to 11 by the school that follows the years completed, or 1, 3, 4, 6, 7."""
    years = records["schooling"].astype("Float64").fillna(12).to_numpy(float)
    enrolled = np.select([years < 12, years < 14, years < 16], [8, 9, 10], default=11)
    left = np.select([years < 12, years < 13, years < 16, years < 17], [1, 3, 4, 6], default=7)
    return np.where(records["occupation"] == "education", enrolled, left)


def _add_weeks(
    weekly: dict[int, np.ndarray],
    worker: np.ndarray,
    status: np.ndarray,
    interview: np.ndarray,
    year: int,
    rng: np.random.Generator,
) -> None:
    """Write the statuses [records] of those interviewed in a round into the weeks of its year."""
    blank = rng.random(len(worker)) < _NO_INFORMATION
    for number in (number for number in weekly if number // 100 == year):
        week = week_index_of(number)
        keeps = rng.random(len(worker)) >= _ANY_STATUS
        keeps |= (interview == week) | (blank & (interview == week + 1))
        column = weekly[number]
        column[worker] = np.where(keeps, status, column[worker])
        column[worker[blank & (interview == week)]] = 0
