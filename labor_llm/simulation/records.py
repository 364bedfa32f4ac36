"""Career records as numbers, in the order in which a simulated market counts outcomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from labor_llm.careers.occupations import OutcomeSpace
from labor_llm.careers.panel import COLUMNS
from labor_llm.errors import InputError
from labor_llm.simulation.parameters import EDUCATION_LEVELS, ETHNICITIES, GENDERS, REGIONS


@dataclass(frozen=True)
class EncodedCareers:
    """Career records of many workers, one worker after the other."""

    counts: np.ndarray  # int [workers], number of records
    covariates: np.recarray  # [workers], as `covariates_of` makes them
    year: np.ndarray  # int [rows]
    education: np.ndarray  # int [rows], level
    outcome: (
        np.ndarray
    )  # int [rows]; occupations first (0 to J - 1), then unemployed, out of the labor force, in education


def encode_careers(frame: pd.DataFrame, outcomes: OutcomeSpace, columns: np.ndarray) -> EncodedCareers:
    """Return the records of a frame as numbers.

    Args:
        frame: the columns of the career panel, sorted by worker and year.
        outcomes: the outcome space of the market.
        columns: the column of the outcome space of each outcome as `EncodedCareers` numbers them.

    Raises:
        InputError: naming row (the header being row 1) and column, if a column is missing, the rows are not in
            order, a word or code is not known, or a year of birth is missing.
    """
    if missing := [column for column in COLUMNS if column not in frame.columns]:
        raise InputError(f"careers: column {missing[0]!r} is missing; needed are {', '.join(COLUMNS)}.")
    if frame.empty:
        raise InputError("careers: no records.")
    workers = pd.factorize(frame["worker_id"])[0]
    year = frame["year"].to_numpy(dtype=np.int64)
    step = np.diff(workers)  # workers are numbered by first appearance
    if (wrong := (step < 0) | ((step == 0) & (np.diff(year) <= 0))).any():
        raise InputError(
            f"careers, row {int(wrong.argmax()) + 3}: out of order. Sort the rows by worker and year, one row a year."
        )
    birth_year = frame["birth_year"].astype("Float64").to_numpy(dtype=np.float64, na_value=np.nan)
    if (unknown := np.isnan(birth_year)).any():
        raise InputError(
            f"careers, row {int(unknown.argmax()) + 2}, column birth_year: missing. The market's probabilities depend "
            "on it: leave such workers out."
        )
    covariates = covariates_of(
        _positions(frame, "gender", GENDERS),
        _positions(frame, "ethnicity", tuple(ETHNICITIES)),
        _positions(frame, "region", REGIONS),
        birth_year,
    )
    education = _positions(frame, "education", EDUCATION_LEVELS)
    outcome = np.argsort(columns)[_positions(frame, "occupation", outcomes.codes)]
    firsts = np.flatnonzero(np.diff(workers, prepend=-1))
    return EncodedCareers(np.bincount(workers), covariates[firsts], year, education, outcome)


def covariates_of(
    gender: np.ndarray, ethnicity: np.ndarray, region: np.ndarray, birth_year: np.ndarray
) -> np.recarray:
    """Return what never changes, one record a worker: words as positions in the market's lists, the year as float."""
    arrays = [gender, ethnicity, region, birth_year.astype(np.float64)]
    return np.rec.fromarrays(arrays, names="gender, ethnicity, region, birth_year")


def _positions(frame: pd.DataFrame, column: str, words: Sequence[str]) -> np.ndarray:
    """Return the place of each cell in a list of words."""
    places = pd.Index(words).get_indexer(frame[column].astype(object))
    if (unknown := places < 0).any():
        raise InputError(
            f"careers, row {int(unknown.argmax()) + 2}, column {column}: not known to the market, whose words are "
            f"{', '.join(words[:12])}{', ...' if len(words) > 12 else ''}."
        )
    return places
