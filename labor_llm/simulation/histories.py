"""What a worker's earlier records come to, for many workers at once, record number by record number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from labor_llm.careers.occupations import OutcomeSpace
from labor_llm.careers.panel import COLUMNS
from labor_llm.errors import InputError
from labor_llm.simulation.parameters import EDUCATION_LEVELS, ETHNICITIES, GENDERS, REGIONS

# Stands for no record so far.
NONE = -1


class Histories:
    """The state of many careers, moved on by `meet` (a new record's year and education) and `record` (its outcome).

    Outcomes are numbered with the occupations first (0 to J - 1) and the states after them: unemployed, out of the
    labor force, in education. Arrays have one entry a worker unless said otherwise.

    Attributes:
        last: outcome of the last record; `last_occupation` the last one that is an occupation.
        longest: occupation held for most years so far, the earlier one where two are equal.
        duration: years since the present spell in `last` began.
        moves, records: number of moves and of records so far.
        idle: years unemployed or out of the labor force so far, decayed.
        experience: [workers, G], years worked in each major group so far, decayed.
        held: float32 [workers, J], years in each occupation so far.
        year, education: of the record to be predicted; `gap` years since the last record (0 at the first);
            `new_degree` whether the education level rose since then.
    """

    def __init__(self, workers: int, group_of: np.ndarray, decay: float, cap: float) -> None:
        self.group_of, self.decay, self.cap = group_of, decay, cap
        for name in ("last", "last_occupation", "longest", "education"):
            setattr(self, name, np.full(workers, NONE))
        for name in ("duration", "moves", "records", "idle", "year", "gap"):
            setattr(self, name, np.zeros(workers))
        self.new_degree = np.zeros(workers, dtype=bool)
        self.experience = np.zeros((workers, group_of.max() + 1))
        self.held = np.zeros((workers, len(group_of)), dtype=np.float32)

    def __len__(self) -> int:
        return len(self.last)

    def keep_first(self, workers: int) -> None:
        """Forget all but the first workers."""
        for name, values in vars(self).items():
            if isinstance(values, np.ndarray) and name != "group_of":
                setattr(self, name, values[:workers])

    def meet(self, year: np.ndarray, education: np.ndarray) -> None:
        """Move on to the records to be predicted: their year and education level, [workers]."""
        started = self.last != NONE
        self.gap = np.where(started, year - self.year, 0.0)
        self.new_degree = started & (education > self.education)
        self.year, self.education = year.astype(np.float64), education
        self.duration = self.duration + self.gap
        fading = self.decay**self.gap
        self.experience = self.experience * fading[:, None]
        self.idle = self.idle * fading

    def record(self, outcome: np.ndarray) -> None:
        """Add the outcome of the records that were met, int [workers]."""
        occupations = len(self.group_of)
        started = self.last != NONE
        moved = started & (outcome != self.last)
        credit = np.where(started, np.minimum(self.gap, self.cap), 1.0)
        self.moves = self.moves + moved
        self.records = self.records + 1.0
        self.duration = np.where(moved, 0.0, self.duration)
        idle = (outcome == occupations) | (outcome == occupations + 1)
        self.idle = self.idle + np.where(idle, credit, 0.0)
        self.last = outcome.copy()
        rows = np.flatnonzero(outcome < occupations)
        worked = outcome[rows]
        self.experience[rows, self.group_of[worked]] += credit[rows]
        self.held[rows, worked] += credit[rows].astype(np.float32)
        self.last_occupation[rows] = worked
        best = self.longest[rows]
        ahead = (best == NONE) | (self.held[rows, worked] > self.held[rows, np.maximum(best, 0)])
        self.longest[rows[ahead]] = worked[ahead]


@dataclass(frozen=True)
class EncodedCareers:
    """Career records of many workers, one worker after the other."""

    counts: np.ndarray  # int [workers], number of records
    covariates: np.recarray  # [workers], as `covariates_of` makes them
    year: np.ndarray  # int [rows]
    education: np.ndarray  # int [rows], level
    outcome: np.ndarray  # int [rows], as `Histories` numbers them


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
