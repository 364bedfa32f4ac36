"""What a worker's earlier records come to, for many workers at once, record number by record number."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

NONE = -1


@dataclass(frozen=True)
class Covariates:
    """The covariates that never change, one entry a worker, as positions in the market's lists of words.

    Attributes:
        gender, ethnicity, region: int [workers].
        birth_year: float [workers], calendar year.
    """

    gender: np.ndarray
    ethnicity: np.ndarray
    region: np.ndarray
    birth_year: np.ndarray

    def first(self, workers: int) -> Covariates:
        """Return the first workers."""
        return Covariates(**{name: values[:workers] for name, values in vars(self).items()})


class Histories:
    """The state of many careers, moved on by `meet` (a new record's year and education) and `record` (its outcome).

    Outcomes are numbered with the occupations first (0 to J - 1) and the states after them; `NONE` stands for
    no record so far. Arrays have one entry a worker.

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

    def __init__(self, workers: int, group_of: np.ndarray, groups: int, decay: float, cap: float) -> None:
        self.group_of, self.decay, self.cap = group_of, decay, cap
        integers = ("last", "last_occupation", "longest", "education")
        for name in integers:
            setattr(self, name, np.full(workers, NONE))
        for name in ("duration", "moves", "records", "idle", "year", "gap"):
            setattr(self, name, np.zeros(workers))
        self.new_degree = np.zeros(workers, dtype=bool)
        self.experience = np.zeros((workers, groups))
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
        # The order of the states is unemployed, out of the labor force, education.
        idle = (outcome == occupations) | (outcome == occupations + 1)
        self.idle = self.idle + np.where(idle, credit, 0.0)
        self.last = outcome.copy()
        rows = np.flatnonzero(outcome < occupations)
        worked = outcome[rows]
        self.experience[rows, self.group_of[worked]] += credit[rows]
        self.held[rows, worked] += credit[rows].astype(np.float32)
        self.last_occupation = self.last_occupation.copy()
        self.last_occupation[rows] = worked
        best = self.longest[rows]
        ahead = (best == NONE) | (self.held[rows, worked] > self.held[rows, np.maximum(best, 0)])
        self.longest = self.longest.copy()
        self.longest[rows[ahead]] = worked[ahead]
