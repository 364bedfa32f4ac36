"""Simulated workers answer the questions of the NLSY79: the inverse of its reader.

What the reader makes of these answers is, record for record, the careers that were simulated. Each interview lies in
May or June of the survey year or, in some rounds from 2004 on, in January or February of the next. The weekly array
holds the weeks of these months, and of January and February of those survey years; all but the interview's own month
are noise, so that a reader that takes the wrong weeks gives other careers.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from labor_llm.errors import InputError
from labor_llm.surveys.nls.nlsy79 import (
    ETHNICITIES,
    FIRST_JOB_CODE,
    GENDERS,
    NON_INTERVIEW,
    REGIONS,
    VALID_SKIP,
    YEARS,
    date_of_week,
    nlsy79_variables,
)

_MONTHS, _SPILL_MONTHS = (5, 6), (1, 2)
# Rounds with interviews in the next year, and the share of these. The array ends before those of 2022 could be.
_SPILL_ROUNDS, _SPILLED = range(2004, 2022), 0.25
_STATUS = {"unemployed": 4, "out_of_labor_force": 5, "education": 5}
_RECODE = {"unemployed": 3, "out_of_labor_force": 5, "education": 5}
_ENROLLED, _NOT_ENROLLED = 3, 4
_NOT_FOUND = 65  # a reason for non-interview
_DATES = {week: date_of_week(week) for week in range(1, 2348)}
_NOISE = np.array([0, 2, 4, 5, 7, 101])


def nlsy79_answers(
    careers: pd.DataFrame, occupation_codes: Mapping[str, Mapping[str, Sequence[int]]], seed: int
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return the answers of simulated workers and the respondent number of each.

    Args:
        careers: columns `worker_id`, `year`, `occupation` (occ1990dd code or state), `gender`, `ethnicity`,
            `region`, `birth_year` and `schooling` (completed years).
        occupation_codes: by Census frame and occ1990dd code, the source codes to draw from.
        seed: of the drawn codes, months and noise.

    Returns:
        The answers in the form of `RawSurvey.values`, and the respondent number by worker id.

    Raises:
        InputError: if a record cannot be answered: a year without a survey, or in education in a year without a
            question on enrolment (after 2006).
    """
    generator = np.random.default_rng(seed)
    workers = careers["worker_id"].drop_duplicates().to_numpy()
    persons = {worker: number for number, worker in enumerate(workers, start=1)}
    questions = {(variable.concept, variable.year) for variable in nlsy79_variables()}
    if wrong := sorted(set(careers["year"]) - set(YEARS)):
        raise InputError(f"The NLSY79 has no survey in {wrong[0]}. Simulate with its schedule.")
    careers = careers.assign(person=careers["worker_id"].map(persons))
    everyone = pd.Index(np.arange(1, len(workers) + 1), name="person")
    columns = _static_answers(careers)
    for year in YEARS:
        records = careers[careers["year"] == year].set_index("person")
        answers = _answers_of(records, year, questions, occupation_codes, generator)
        # Everything of a year in which a person was not interviewed is -5; the weekly array has no information.
        for (concept, number), values in answers.items():
            absent = 0 if concept == "weekly_status" else NON_INTERVIEW
            columns[(concept, "", number)] = values.astype("int64").reindex(everyone, fill_value=absent)
        interviewed = everyone.isin(records.index)
        if ("reason_noninterview", year) in questions:
            reason = np.where(interviewed, VALID_SKIP, _NOT_FOUND)
            columns[("reason_noninterview", "", year)] = pd.Series(reason, index=everyone)
    values = pd.DataFrame(columns, index=everyone).astype("Int32")
    values.columns = pd.MultiIndex.from_tuples(values.columns, names=["concept", "role", "year"])
    return values, persons


def _static_answers(careers: pd.DataFrame) -> dict[tuple[str, str, int], pd.Series]:
    first = careers.drop_duplicates("person").set_index("person").sort_index()
    birth = (first["birth_year"].astype("int64") - 1900).astype("int64")
    return {
        ("sex", "", 0): first["gender"].map({word: code for code, word in GENDERS.items()}),
        ("race", "", 0): first["ethnicity"].map({word: code for code, word in ETHNICITIES.items()}),
        ("birth_year", "", 1979): birth,
        ("birth_year", "", 1981): birth,
    }


def _answers_of(
    records: pd.DataFrame,
    year: int,
    questions: set[tuple[str, int]],
    occupation_codes: Mapping[str, Mapping[str, Sequence[int]]],
    generator: np.random.Generator,
) -> dict[tuple[str, int], pd.Series]:
    """Return the answers of the persons interviewed in a year, by concept and number."""
    state = records["occupation"]
    studies = state == "education"
    enrolment = "enrollment_revised"
    if studies.any() and (enrolment, year) not in questions:
        raise InputError(f"The NLSY79 of {year} has no question on enrolment, so nobody can be in education.")
    works = ~state.isin(list(_STATUS))
    month = pd.Series(generator.choice(_MONTHS, len(records)), index=records.index)
    spilled = (generator.random(len(records)) < _SPILLED) & (year in _SPILL_ROUNDS)
    month = month.mask(spilled, generator.choice(_SPILL_MONTHS, len(records)))
    interview_year = pd.Series(year + spilled, index=records.index)
    answers: dict[tuple[str, int], pd.Series] = {
        ("interview_month", year): month,
        ("interview_year", year): interview_year,
        ("region", year): records["region"].map({word: code for code, word in REGIONS.items()}),
        (enrolment, year): pd.Series(np.where(studies, _ENROLLED, _NOT_ENROLLED), index=records.index),
        ("employment_status_recode", year): state.map(_RECODE).fillna(1),
    }
    for concept in ("schooling_revised", "schooling"):
        answers[(concept, year)] = records["schooling"]
    for concept, frame in _occupation_questions(year).items():
        code = np.full(len(records), VALID_SKIP, dtype=np.int64)
        sources = occupation_codes[frame]
        code[works.to_numpy(bool)] = [int(generator.choice(sources[target])) for target in state[works]]
        answers[(concept, year)] = pd.Series(code, index=records.index)
    answers = {key: values for key, values in answers.items() if key in questions}
    status = state.map(_STATUS).fillna((year - 1978) * 100 + FIRST_JOB_CODE + 1)
    for week, date in _DATES.items():
        if _holds_answers(date, year):
            noise = generator.choice(_NOISE, len(records))
            own = (month == date.month) & (interview_year == date.year)
            answers[("weekly_status", week)] = status.where(own, noise)
    return answers


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
