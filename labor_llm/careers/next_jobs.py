"""The next job of a career that is typed or in a file: the record that is asked for, and its most likely titles.

The record is added at the end of the career, so that it is scored like any other. The occupation that has to stand
there is never seen by a model, which predicts a record from its year, its education and the records before it.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from labor_llm.careers.panel import CareerPanel, career_panel
from labor_llm.careers.predictions import Predictions
from labor_llm.careers.settings import STATIC
from labor_llm.errors import InputError
from labor_llm.plain_text import comparable

# Whose values are words that a model has learned.
_NAMED = ("education", "gender", "ethnicity", "region")
_ECHOED = 200  # of a refused cell
# As a line of a resume.
_JOB = re.compile(r"([0-9]{4})\s*(?:\(([^()]+)\)\s*)?:\s*(\S.*)", re.DOTALL)


def typed_records(jobs: Sequence[str], about: Sequence[str], known: CareerPanel) -> pd.DataFrame:
    """Return typed jobs as the records of one worker: columns of a career panel, all text, by what was typed.

    Args:
        jobs: such as "1990: Cooks", or with the education of that year "1990 (college): Cooks".
        about: NAME=VALUE of education and covariates; a year of birth, and what all others have, may be left out.
        known: the data set.

    Raises:
        InputError: if there is no job, one is not of that form or not after the one before, or a value is missing.
    """
    values = _values(known)
    common = {column: found[0] for column, found in values.items() if len(found) == 1}
    common |= {"worker_id": "typed", "birth_year": ""}
    for setting in about:
        column, _, value = map(str.strip, setting.partition("="))
        if column not in (names := ["education", *STATIC]) or not value:
            raise InputError(f"--about {setting!r}: write NAME=VALUE, of {', '.join(names)}.")
        common[column] = value
    records, before = {}, ""
    for job in jobs:
        if not (parts := _JOB.fullmatch(job.strip())):
            raise InputError(f"--job {job!r}: write '1990: Cooks' or '1990 (college): Cooks'.")
        year, education, title = parts.groups()
        if year <= before:
            raise InputError(f"--job {job!r} is not after that of {before}. Sort jobs by year, one for each.")
        record = common | ({"education": education} if education else {})
        if lacking := [column for column in values if column not in record]:
            raise InputError(f"Add --about {lacking[0]}=VALUE: one of {', '.join(values[lacking[0]])}.")
        records[f"--job {job!r}"], before = record | {"year": year, "occupation": title}, year
    if not records:
        raise InputError("The career is empty. Give each job by --job 'YEAR: TITLE', or a CSV by --careers.")
    return pd.DataFrame.from_dict(records, orient="index")


def next_job_questions(records: pd.DataFrame, known: CareerPanel, source: str, year: int = 0) -> CareerPanel:
    """Return careers, each with the record that is asked for: after its last one, with that one's education.

    Args:
        records: columns of a career panel, all text, by the place that messages name; occupations as titles or codes.
        known: the data set whose models are asked.
        source: what messages call all of the records.
        year: that is asked for; 0 for the year after each worker's last one.

    Raises:
        InputError: if the data set lacks an occupation or value, a career is not valid, or the year is not after it.
    """
    space, dataset = known.outcomes, known.dataset
    codes = dict(zip(space.titles, space.codes, strict=True))
    # A title that is a code too means the occupation of that code.
    found = {"occupation": _found(records["occupation"], codes | {code: code for code in space.codes}, codes)}
    for column, values in _values(known).items():
        found[column] = _found(records[column], dict(zip(values, values, strict=True)), values)
    careers = career_panel(records.assign(**found), space, dataset, known.survey, source).frame
    last = careers.groupby("worker_id", sort=False).tail(1)
    if year and (latest := last["year"].max()) >= year:
        raise InputError(f"--year {year} is not after {latest}, the last year of a career. Give a later one.")
    # The index is that of the worker's last record, behind which the record is put.
    frame = pd.concat([careers, last.assign(year=year or last["year"] + 1)]).sort_index(kind="stable")
    return career_panel(frame, space, dataset, known.survey, f"{source}, with the year that is asked for")


def likely_next_jobs(predictions: Predictions, questions: CareerPanel) -> list[dict[str, Any]]:
    """Return each worker's last record, as JSON has it, with `jobs`: all with probability, the likely ones first.

    Args:
        predictions: with exact scores of all titles, at least of the last records.
        questions: the panel that was asked about; its titles are told, whichever variant of them a model has read.
    """
    last = predictions.select((~predictions.table["worker_id"].duplicated(keep="last")).to_numpy())
    asked = questions.frame.groupby("worker_id", sort=False).tail(1).drop(columns=["dataset", "occupation"])
    careers = json.loads(asked.to_json(orient="records"))
    for career, log_probs in zip(careers, np.asarray(last.log_probs, dtype=np.float64), strict=True):
        jobs = questions.outcomes.frame().assign(probability=np.exp(log_probs))
        career["jobs"] = jobs.sort_values("probability", ascending=False, kind="stable").to_dict("records")
    return careers


def _values(known: CareerPanel) -> dict[str, list[str]]:
    return {column: sorted(known.frame[column].unique()) for column in _NAMED}


def _found(written: pd.Series, names: dict[str, str], shown: Sequence[str]) -> list[str]:
    """Return what each cell names; refuse the first that names nothing, with the nearest of what is shown."""
    meant = {comparable(name): of for name, of in names.items()}
    for place, cell in written.items():
        if (asked := comparable(cell)) not in meant:
            of = {comparable(name): repr(name) for name in shown}
            near = " or ".join(of[name] for name in difflib.get_close_matches(asked, of, n=3, cutoff=0))
            said = repr(cell[:_ECHOED]) + " is not known" if asked else "is empty"
            raise InputError(f"{place}, column {written.name}: {said}. Write {near}.")
    return [meant[comparable(cell)] for cell in written]
