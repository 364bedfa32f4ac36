"""When the simulated surveys interview whom: waves, cohorts, attrition and non-response.

Who is interviewed when never depends on an occupation, so that the market's probabilities, which are those of the
observed records, are exact whatever the gaps. Sizes and shares are near those of the three surveys.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Literal

import numpy as np

from labor_llm.errors import InputError

# Stands for a chance of zero where a formula needs a positive one.
_NEVER = 1e-9


@dataclasses.dataclass(frozen=True)
class Schedule:
    """The design of a survey.

    Attributes:
        survey: its name, as the resume states it.
        workers: number of persons at full size.
        waves: interview years, ascending.
        births: first and last year of birth. A cohort survey draws it uniformly between them; a household panel
            (`design='household'`) draws the wave and the age at which a person enters, and keeps to these years.
        ethnicities: share of each word, adding up to one.
        attrition: chance of leaving the survey for good after a wave in which one belonged to it, per wave.
        response: chance of being interviewed in a wave while in the survey.
        present_at_start: household panel only: share of the persons who are in the first wave.
        design: 'cohort' or 'household'.
        first_age, last_age: ages in years at which records are made, both included.

    Raises:
        InputError: if the waves do not ascend, a share is no share, or the ages leave no wave to somebody.
    """

    survey: str
    workers: int
    waves: tuple[int, ...]
    births: tuple[int, int]
    ethnicities: Mapping[str, float]
    attrition: float
    response: float
    present_at_start: float = 0.0
    design: Literal["cohort", "household"] = "cohort"
    first_age: int = 18
    last_age: int = 80

    def __post_init__(self) -> None:
        if list(self.waves) != sorted(set(self.waves)) or not self.waves:
            raise InputError(f"{self.survey}: the waves must be ascending years.")
        shares = [*self.ethnicities.values(), self.attrition, self.response, self.present_at_start]
        if min(shares) < 0 or max(shares) > 1 or abs(sum(self.ethnicities.values()) - 1) > 1e-9:
            raise InputError(
                f"{self.survey}: shares must lie between 0 and 1, those of ethnicities add up to 1."
            )
        if self.first_age > self.last_age:
            raise InputError(
                f"{self.survey}: the first age, {self.first_age}, is above the last, {self.last_age}."
            )
        first, last = self.births
        if self.design == "cohort" and not (
            first <= last
            and any(last + self.first_age <= year <= first + self.last_age for year in self.waves)
        ):
            raise InputError(
                f"{self.survey}: no wave in which all born {first} to {last} are {self.first_age} to "
                f"{self.last_age} years old."
            )


def observed_waves(
    schedule: Schedule, generators: Mapping[str, np.random.Generator], workers: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draw years of birth and the waves in which each worker is interviewed.

    Args:
        schedule: the survey's design.
        generators: random streams 'birth', 'entry', 'exit' and 'response'.
        workers: how many.

    Returns:
        Birth years, int [workers], and a boolean array [workers, waves] with at least one wave for everybody.
    """
    waves = np.array(schedule.waves)
    if schedule.design == "cohort":
        first, last = schedule.births
        birth = generators["birth"].integers(first, last + 1, workers)
        entry = np.zeros(workers, dtype=np.int64)
    else:
        entry, birth = _household_entry(schedule, generators, workers)
    number = np.arange(len(waves))
    age = waves - birth[:, None]
    eligible = (age >= schedule.first_age) & (age <= schedule.last_age) & (number >= entry[:, None])
    begins = eligible.argmax(axis=1)
    stays = generators["exit"].geometric(schedule.attrition or _NEVER, workers)
    eligible &= number < (begins + stays)[:, None]
    seen = eligible & (generators["response"].random((workers, len(waves))) < schedule.response)
    # A person of the sample was interviewed at least once, when entering it.
    seen[np.arange(workers), begins] = True
    return birth, seen


def _household_entry(
    schedule: Schedule, generators: Mapping[str, np.random.Generator], workers: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draw the wave of entry and the year of birth of a household panel's persons."""
    waves = np.array(schedule.waves)
    draws = generators["entry"].random((workers, 2))
    late = max(1.0 - schedule.present_at_start, _NEVER)
    spread = 1 + np.floor((draws[:, 0] - schedule.present_at_start) / late * (len(waves) - 1)).astype(
        np.int64
    )
    entry = np.where(draws[:, 0] < schedule.present_at_start, 0, np.minimum(spread, len(waves) - 1))
    # Those there from the start are adults of all ages; later ones set up a household of their own or marry in.
    old = np.floor(schedule.first_age + 56.0 * draws[:, 1] ** 1.9)
    young = np.floor(schedule.first_age + 30.0 * draws[:, 1] ** 2.0)
    age = np.minimum(np.where(entry == 0, old, young).astype(np.int64), schedule.last_age)
    return entry, np.clip(waves[entry] - age, *schedule.births)


_ANNUAL_TO_1997 = tuple(range(1981, 1998))
PSID81 = Schedule(
    survey="PSID",
    workers=31_056,
    waves=(*_ANNUAL_TO_1997, *range(1999, 2024, 2)),
    births=(1901, 2005),
    ethnicities={
        "white": 0.56,
        "black or african american": 0.29,
        "hispanic": 0.11,
        "asian": 0.02,
        "other": 0.02,
    },
    attrition=0.064,
    response=0.96,
    present_at_start=0.45,
    design="household",
)
NLSY79 = Schedule(
    survey="NLSY79",
    workers=12_479,
    waves=(*range(1979, 1995), *range(1996, 2023, 2)),
    births=(1957, 1964),
    ethnicities={"hispanic": 0.17, "black or african american": 0.28, "non-black non-hispanic": 0.55},
    attrition=0.018,
    response=0.90,
)
NLSY97 = Schedule(
    survey="NLSY97",
    workers=8_984,
    waves=(*range(1997, 2012), *range(2013, 2024, 2)),
    births=(1980, 1984),
    ethnicities={
        "hispanic": 0.20,
        "black or african american": 0.26,
        "non-black non-hispanic": 0.53,
        "mixed race": 0.01,
    },
    attrition=0.004,
    response=0.96,
)
SCHEDULES = {schedule.survey: schedule for schedule in (PSID81, NLSY79, NLSY97)}
