"""Schooling of simulated workers: a level that rises by one a year or stays, by chances that depend on level and age.

The chances depend on nothing but level, age and year of birth, so that what happened in a year without an interview
can be summed out exactly, whatever one works as.
"""

from __future__ import annotations

import numpy as np

from labor_llm.simulation.parameters import EDUCATION_LEVELS

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


def _table() -> np.ndarray:
    """Return the chances by level and age, [levels, ages from FIRST_AGE]; none for the last level."""
    ages = np.arange(FIRST_AGE, LAST_AGE + 1)
    found = np.zeros((len(EDUCATION_LEVELS), len(ages)))
    for level, steps in enumerate(_CHANCES):
        for begins, chance in steps:
            found[level, ages >= begins] = chance
    return found


_BY_AGE = _table()


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
