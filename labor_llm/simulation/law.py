"""What a simulated worker does in a year, given where he or she was the year before.

A worker stays in an occupation or state with probability 1 / (1 + exp(-s)). One who does not stay, and everyone at the
first record, goes on to an occupation or to one of the three states, with probabilities proportional to exp(k) of each
kind that is not the present state (an occupation: k = 0), and within the occupations to occupation j, other than the
present one, with probability proportional to exp(v_j). s, k and v are sums of the terms that `MarketParameters` lists.

Where a worker is, is the situation (new in an occupation, settled in it, or in one of the states) and the last
occupation. A worker also has a steadiness and a vocation, for good and seen by nobody: all that earlier records tell
about a worker's future beyond the last situation, they tell about these.

The level of schooling rises by one in a year or stays, by chances that depend on nothing but level, age and year of
birth, so that what happened in a year without an interview can be summed out exactly, whatever one works as.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, softmax

from labor_llm.simulation.parameters import (
    EDUCATION_LEVELS,
    SCHOOLING,
    SOME_COLLEGE,
    STATES,
    STEADINESS,
    MarketParameters,
    MarketTables,
)

# Situations; what is left of them without the first is an outcome: in an occupation, or in the three states.
NEW, SETTLED, FIRST_STATE = 0, 1, 2
SITUATIONS = FIRST_STATE + len(STATES)
# Whence one goes: from an occupation (0), a state (1 to 3), or nowhere, at the first record.
NOWHERE = 1 + len(STATES)

# In years, of the first and last record that a simulated worker can have.
FIRST_AGE, LAST_AGE = 18, 80
# Shares of the levels below the last one reached before the age of 18 is over; nobody has more by then.
_AT_FIRST_AGE = (0.50, 0.96)
# For each level but the last: ages from which on a chance of rising in a year holds; of those born in 1960.
_CHANCES: tuple[tuple[tuple[int, float], ...], ...] = (
    ((18, 0.45), (20, 0.10), (25, 0.01), (41, 0.002)),
    ((18, 0.22), (22, 0.06), (27, 0.015), (41, 0.002)),
    ((18, 0.00), (20, 0.05), (22, 0.30), (24, 0.12), (28, 0.025), (41, 0.002)),
    ((18, 0.00), (23, 0.08), (31, 0.02), (41, 0.002)),
)
# How much more likely a rise is with each year of birth, and the most likely one.
_COHORT, _MOST = 0.012, 0.9
# The chances by level and age, [levels, ages from FIRST_AGE]; none for the last level.
_BY_AGE = np.zeros((len(EDUCATION_LEVELS), LAST_AGE - FIRST_AGE + 1))
for _level, _steps in enumerate(_CHANCES):
    for _begins, _chance in _steps:
        _BY_AGE[_level, _begins - FIRST_AGE :] = _chance


@dataclass(frozen=True)
class Year:
    """The circumstances of some workers in one year, an entry each."""

    workers: np.recarray  # as `labor_llm.simulation.market.covariates_of` makes them
    year: np.ndarray
    education: np.ndarray  # level, int
    new_degree: np.ndarray  # bool, whether the level rose this year

    @property
    def age(self) -> np.ndarray:
        """In years."""
        return self.year - self.workers.birth_year

    def of(self, rows: np.ndarray) -> Year:
        """Return those of some of the workers."""
        return Year(self.workers[rows], self.year[rows], self.education[rows], self.new_degree[rows])


class Law:
    """The probabilities of one year, made of a market's parameters and tables; J occupations.

    Attributes:
        parameters, tables: of the market.
    """

    def __init__(self, parameters: MarketParameters, tables: MarketTables) -> None:
        self.parameters, self.tables = parameters, tables
        self._vocations = np.exp(tables.vocation_group)[:, tables.group_of]

    def _sum(self, **terms: np.ndarray | float) -> np.ndarray:
        """Return the terms, each times the parameter of its name."""
        return np.asarray(sum(getattr(self.parameters, name) * term for name, term in terms.items()))

    def staying(self, at: Year) -> np.ndarray:
        """Return the log-odds of staying but for what steadiness and the occupation add, [workers, 4 whences]."""
        tables, age, female = self.tables, at.age, at.workers.gender == 1
        everyone = (
            tables.ethnicity_stay[at.workers.ethnicity]
            + tables.region_stay[at.workers.region]
            + self._sum(stay_change=at.year >= self.parameters.change_year)
        )
        working = self._sum(
            stay=1.0,
            stay_maturity=1.0 - np.exp(-np.maximum(age - 18.0, 0.0) / 8.0),
            stay_retirement=np.maximum(age - 61.0, 0.0),
            stay_new_degree=at.new_degree,
            stay_female=female,
        )
        unemployed = np.full(len(age), self.parameters.stay_unemployed)
        out = self._sum(stay_out=1.0, stay_out_age=np.clip(age - 55.0, 0.0, 20.0), stay_out_female=female)
        studying = self._sum(
            stay_education=1.0,
            stay_education_age=np.clip(age - 18.0, 0.0, 17.0),
            education_beyond=age > self.parameters.education_last_age,
            stay_new_degree=at.new_degree,
            education_college=at.education == SOME_COLLEGE,
        )
        return np.stack([working, unemployed, out, studying], axis=1) + everyone[:, None]

    def stays_in_occupation(
        self, at: Year, occupation: np.ndarray, settled: np.ndarray, steadiness: np.ndarray
    ) -> np.ndarray:
        """Return the probability of staying in an occupation, of the shape of the last three.

        Their first axis is that of the workers; `steadiness` is one of `STEADINESS`.
        """
        shape = (-1, *[1] * (occupation.ndim - 1))
        schooling = SCHOOLING[at.education].reshape(shape)
        misfit = np.abs(schooling - self.tables.required[occupation])
        own = self.tables.attachment[occupation] + self._sum(stay_misfit=misfit)
        return expit(
            self.staying(at)[:, 0].reshape(shape)
            + own
            + self._sum(stay_settled=settled, stay_steady=steadiness)
        )

    def stays_in_state(self, at: Year) -> np.ndarray:
        """Return the probability of staying in each state, [workers, 3]."""
        return expit(self.staying(at)[:, 1:])

    def kinds(self, at: Year) -> np.ndarray:
        """Return the probabilities of what one who does not stay goes to: [workers, 2 of steadiness, 5 whences, 4].

        The last axis is an occupation and the three states; none goes to the state that one comes from.
        """
        age, tables = at.age, self.tables
        turns = (at.year - tables.cycle_phase) / self.parameters.cycle_period
        utility = np.zeros((len(age), 2, NOWHERE + 1, 1 + len(STATES)))
        unemployed = self._sum(
            unemployed=1.0,
            unemployed_young=np.maximum(30.0 - age, 0.0) / 10.0,
            unemployed_schooling=SCHOOLING[at.education] - 12.0,
            unemployed_cycle=np.sin(2.0 * np.pi * turns),
        )
        out = self._sum(
            out=1.0,
            out_female=(at.workers.gender == 1) & (age < 45.0),
            out_retirement=np.clip(age - 55.0, 0.0, 25.0),
        )
        education = self._sum(
            education=1.0,
            education_age=np.clip(age - 18.0, 0.0, 12.0),
            education_beyond=age > self.parameters.education_last_age,
            education_college=at.education == SOME_COLLEGE,
            education_new_degree=at.new_degree,
        )
        states = np.stack([unemployed, out, education], axis=1)
        states += tables.ethnicity_state[at.workers.ethnicity] + tables.region_state[at.workers.region]
        utility[..., 1:] += states[:, None, None]
        utility[..., 1:3] += self._sum(idle_steady=STEADINESS)[:, None, None]
        utility[:, :, NOWHERE, 2] += self.parameters.out_first
        for state in range(1, NOWHERE):
            utility[:, :, state, state] = -np.inf
        return softmax(utility, axis=-1)

    def attraction(self, at: Year) -> np.ndarray:
        """Return exp(v_j) but for what whence one comes adds: [workers, vocations, J]."""
        return self.own_attraction(at)[:, None] * self._vocations

    def own_attraction(self, at: Year, vocation: np.ndarray | None = None) -> np.ndarray:
        """Return the same of one vocation each, or without its part: [workers, J]."""
        tables, own = self.tables, at.workers
        by_group = (
            tables.ethnicity_group[own.ethnicity]
            + tables.region_group[own.region]
            + ((at.year - 2000.0) / 10.0)[:, None] * tables.year_trend
            + ((own.birth_year - 1960.0) / 10.0)[:, None] * tables.cohort_trend
        )
        utility = tables.base.take(at.education * 2 + own.gender, axis=0) + by_group.take(
            tables.group_of, axis=1
        )
        weights = np.exp(utility)
        return weights if vocation is None else weights * self._vocations[vocation]


def chance_to_rise(level: np.ndarray, year: np.ndarray, birth_year: np.ndarray) -> np.ndarray:
    """Return the probability that the level of the year before has risen by one in a year, [workers]."""
    age = np.clip(year - birth_year, FIRST_AGE, LAST_AGE).astype(int) - FIRST_AGE
    return np.minimum(_BY_AGE[level, age] * np.exp(_COHORT * (birth_year - 1960.0)), _MOST)


def drawn_levels(uniform: np.ndarray, birth_year: np.ndarray, years: np.ndarray) -> np.ndarray:
    """Return the level of each worker in each year, int [workers, years], never falling; before 18 that at 18.

    Args:
        uniform: numbers between 0 and 1, [workers, ages from FIRST_AGE to LAST_AGE].
        birth_year: [workers].
        years: ascending.
    """
    levels = np.empty(uniform.shape, dtype=np.int64)
    levels[:, 0] = np.searchsorted(_AT_FIRST_AGE, uniform[:, 0], side="right")
    for age in range(1, uniform.shape[1]):
        before = levels[:, age - 1]
        levels[:, age] = before + (
            uniform[:, age] < chance_to_rise(before, birth_year + FIRST_AGE + age, birth_year)
        )
    ages = np.clip(years - birth_year[:, None], FIRST_AGE, LAST_AGE) - FIRST_AGE
    return np.take_along_axis(levels, ages, axis=1)
