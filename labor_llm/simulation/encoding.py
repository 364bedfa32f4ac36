"""Career records as the numbers that a market computes with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from labor_llm.career_schema import COLUMNS
from labor_llm.errors import InputError
from labor_llm.occupations import OutcomeSpace
from labor_llm.simulation.histories import Covariates
from labor_llm.simulation.market_parameters import EDUCATION_LEVELS, ETHNICITIES, GENDERS, REGIONS


@dataclass(frozen=True)
class EncodedCareers:
    """Career records of many workers, the workers with most records first.

    Attributes:
        counts: int [workers], number of records, descending; `starts` the row of each worker's first record.
        covariates: [workers], in the same order.
        year, education, outcome: int [rows], in the order of the frame; `outcome` as `Histories` numbers them.
    """

    counts: np.ndarray
    starts: np.ndarray
    covariates: Covariates
    year: np.ndarray
    education: np.ndarray
    outcome: np.ndarray


def encode_careers(frame: pd.DataFrame, outcomes: OutcomeSpace, columns: np.ndarray) -> EncodedCareers:
    """Return the records of a frame as numbers.

    Args:
        frame: the columns of the career panel, sorted by worker and year.
        outcomes: the outcome space of the market.
        columns: the column of the outcome space of each outcome as `Histories` numbers them.

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
    _check_order(workers, year)
    starts = np.flatnonzero(np.diff(workers, prepend=-1))
    counts = np.diff(starts, append=len(frame))
    order = np.argsort(-counts, kind="stable")
    starts, counts = starts[order], counts[order]
    birth_year = frame["birth_year"].astype("Float64").to_numpy(dtype=np.float64, na_value=np.nan)
    if unknown := np.flatnonzero(np.isnan(birth_year)).tolist():
        raise InputError(
            f"careers, row {unknown[0] + 2}, column birth_year: missing. The market's probabilities depend on it: "
            "leave such workers out."
        )
    numbers = np.empty(len(columns), dtype=np.int64)
    numbers[columns] = np.arange(len(columns))
    return EncodedCareers(
        counts=counts,
        starts=starts,
        covariates=Covariates(
            gender=_positions(frame, "gender", GENDERS)[starts],
            ethnicity=_positions(frame, "ethnicity", tuple(ETHNICITIES))[starts],
            region=_positions(frame, "region", REGIONS)[starts],
            birth_year=birth_year[starts],
        ),
        year=year,
        education=_positions(frame, "education", EDUCATION_LEVELS),
        outcome=numbers[_positions(frame, "occupation", outcomes.codes)],
    )


def _positions(frame: pd.DataFrame, column: str, words: Sequence[str]) -> np.ndarray:
    """Return the place of each cell in a list of words."""
    places = pd.Index(words).get_indexer(frame[column].astype(object))
    if unknown := np.flatnonzero(places < 0).tolist():
        raise InputError(
            f"careers, row {unknown[0] + 2}, column {column}: not known to the market, whose words are "
            f"{', '.join(words[:12])}{', ...' if len(words) > 12 else ''}."
        )
    return places


def _check_order(workers: np.ndarray, year: np.ndarray) -> None:
    """Refuse rows of a worker that are not together (numbers of workers ascend by first appearance) or not in order."""
    step = np.diff(workers)
    wrong = (step < 0) | ((step == 0) & (np.diff(year) <= 0))
    if wrong.any():
        raise InputError(
            f"careers, row {int(wrong.argmax()) + 3}: out of order. Sort the rows by worker and year, one row a year."
        )
