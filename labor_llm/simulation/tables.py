"""What a market draws from its seed: tables by occupation, major group, ethnicity and region.

Each table has a random stream of its own, keyed by the seed and the table's name, so that a table added
later leaves the others as they were.

What a worker's earlier records come to, for many workers at once, record number by record number.

Career records as the numbers that a market computes with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from labor_llm.careers.occupations import OutcomeSpace
from labor_llm.careers.panel import COLUMNS
from labor_llm.errors import InputError
from labor_llm.simulation.parameters import (
    EDUCATION_LEVELS,
    EDUCATION_YEARS,
    ETHNICITIES,
    GENDERS,
    GROUP_PROFILES,
    REGIONS,
    STATES,
    MarketParameters,
)


@dataclass(frozen=True)
class MarketTables:
    """The drawn tables, float64, in log-odds unless said otherwise; J occupations, G major groups.

    Attributes:
        group_of: int [J], the group of each occupation.
        required: [J], years of schooling that an occupation asks for.
        attachment: [J], how readily it is kept.
        base: [5 * 2, J], size, schooling and gender: the row is education level * 2 + gender.
        closeness: [J, J], of the destination (column) to the occupation that one comes from (row).
        ethnicity_group, region_group: [ethnicities or regions, G].
        ethnicity_stay, region_stay: [ethnicities or regions].
        ethnicity_state, region_state: [ethnicities or regions, 3], for the three states.
        year_trend, cohort_trend: [G], per 10 years.
        cycle_phase: years; the business cycle is highest at this year plus a quarter period.
    """

    group_of: np.ndarray
    required: np.ndarray
    attachment: np.ndarray
    base: np.ndarray
    closeness: np.ndarray
    ethnicity_group: np.ndarray
    region_group: np.ndarray
    ethnicity_stay: np.ndarray
    region_stay: np.ndarray
    ethnicity_state: np.ndarray
    region_state: np.ndarray
    year_trend: np.ndarray
    cohort_trend: np.ndarray
    cycle_phase: float

    def checksum(self) -> float:
        """Return one number that any other draw would change: the sum of the magnitudes of all tables."""
        return float(sum(np.abs(np.asarray(table, dtype=np.float64)).sum() for table in vars(self).values()))


def draw_tables(
    seed: int, parameters: MarketParameters, codes: Sequence[str], groups: Mapping[str, str]
) -> MarketTables:
    """Draw the tables of a market.

    Args:
        seed: of the market.
        parameters: of the market.
        codes: the occupations in the order of the outcome space, without the states.
        groups: the major group of each code.
    """
    names = list(dict.fromkeys(groups[code] for code in codes))
    group_of = np.array([names.index(groups[code]) for code in codes])
    lean, usual = _group_profiles(seed, names)

    def normal(name: str, *shape: int) -> np.ndarray:
        return stream(seed, name).standard_normal(shape)

    required = usual[group_of] + parameters.requirement * normal("requirement", len(codes))
    years = np.array([EDUCATION_YEARS[level] for level in EDUCATION_LEVELS])
    fit = parameters.mismatch * ((required - years[:, None]) / 2.0) ** 2
    gender = np.array([-0.5, 0.5])[:, None] * lean[group_of]
    base = fit[:, None, :] + gender[None] + parameters.size * normal("size", len(codes)).clip(-2.0, 2.0)
    affinity = parameters.group_affinity * normal("affinity", len(names), len(names))
    distance = parameters.group_distance * np.abs(usual[:, None] - usual)
    by_group = parameters.group_covariates
    by_state = parameters.state_covariates
    return MarketTables(
        group_of=group_of,
        required=required,
        attachment=parameters.stay_attachment * normal("attachment", len(codes)),
        base=base.reshape(len(EDUCATION_LEVELS) * len(GENDERS), len(codes)),
        closeness=_closeness(parameters, group_of, affinity + distance),
        ethnicity_group=by_group * _by_ethnicity(seed, "ethnicity group", len(names)),
        region_group=by_group * normal("region group", len(REGIONS), len(names)),
        ethnicity_stay=parameters.stay_covariates * _by_ethnicity(seed, "ethnicity stay", 1)[:, 0],
        region_stay=parameters.stay_covariates * normal("region stay", len(REGIONS)),
        ethnicity_state=by_state * _by_ethnicity(seed, "ethnicity state", len(STATES)),
        region_state=by_state * normal("region state", len(REGIONS), len(STATES)),
        year_trend=parameters.group_year_trend * normal("year trend", len(names)),
        cohort_trend=parameters.group_cohort_trend * normal("cohort trend", len(names)),
        cycle_phase=float(parameters.cycle_period * stream(seed, "cycle").random()),
    )


def stream(seed: int, name: str) -> np.random.Generator:
    """Return the random stream of one name under a seed (not negative)."""
    return np.random.default_rng([seed, *name.encode()])


def _group_profiles(seed: int, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the lean towards women and the usual schooling of each group, drawn where not listed."""
    drawn = {name: stream(seed, f"group {name}").standard_normal(2) for name in names}
    profiles = [
        GROUP_PROFILES.get(name, (13.0 + 1.8 * drawn[name][0], 0.8 * drawn[name][1])) for name in names
    ]
    usual, lean = np.array(profiles).T
    return lean, usual


def _closeness(parameters: MarketParameters, group_of: np.ndarray, between: np.ndarray) -> np.ndarray:
    """Return [J, J]: of two groups what `between` says, within a group by places in the list of codes."""
    place = np.zeros(len(group_of))
    for group in np.unique(group_of):
        members = np.flatnonzero(group_of == group)
        place[members] = np.arange(len(members))
    near = np.exp(-(np.abs(place[:, None] - place) - 1.0) / parameters.near_code_reach)
    within = parameters.same_group + parameters.near_code * np.minimum(near, 1.0)
    same = group_of[:, None] == group_of
    return np.where(same, within, between[group_of[:, None], group_of])


def _by_ethnicity(seed: int, name: str, width: int) -> np.ndarray:
    """Return [words for ethnicity, width] standard normal draws; words for the same people share one."""
    return np.stack(
        [stream(seed, f"{name} {people}").standard_normal(width) for people in ETHNICITIES.values()]
    )


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
