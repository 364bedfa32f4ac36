"""Careers of simulated workers: when a survey interviews them, who they are, and what the market makes of them.

Who is interviewed when never depends on an occupation, so that the market's probabilities, which are those of the
observed records, are exact whatever the gaps. Sizes and shares are near those of the three surveys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from labor_llm.errors import InputError
from labor_llm.simulation.histories import EncodedCareers, Histories, covariates_of
from labor_llm.simulation.market import Market
from labor_llm.simulation.parameters import EDUCATION_LEVELS, ETHNICITIES, GENDERS, REGIONS, stream

# In years, both with records.
FIRST_AGE, LAST_AGE = 18, 80
# Shares of the four census regions in the order of REGIONS.
_REGION_SHARES, _FEMALE_SHARE = (0.17, 0.24, 0.40, 0.19), 0.50
_LEVEL_BOUNDS = (12, 13, 16, 17)

Draws = Callable[[str], np.random.Generator]


@dataclass(frozen=True)
class Schedule:
    """The design of a survey.

    A cohort survey draws the year of birth uniformly; a household panel draws the wave and the age at which a person
    enters, and keeps to the years of birth. Everybody must be of an age for records in some wave.
    """

    survey: str  # its name, as the resume states it
    workers: int  # number of persons at full size
    waves: tuple[int, ...]  # interview years, ascending
    births: tuple[int, int]  # first and last year of birth
    ethnicities: Mapping[str, float]  # share of each word, adding up to one
    attrition: float  # chance of leaving for good after a wave in which one belonged to the survey, per wave
    response: float  # chance of being interviewed in a wave while in the survey
    present_at_start: float | None = None  # household panel: share of the persons who are in its first wave


PSID81 = Schedule(
    survey="PSID", workers=31_056, waves=(*range(1981, 1998), *range(1999, 2024, 2)), births=(1901, 2005),
    ethnicities={
        "white": 0.56, "black or african american": 0.29, "hispanic": 0.11, "asian": 0.02, "other": 0.02,
    },
    attrition=0.064, response=0.96, present_at_start=0.45,
)  # fmt: skip
NLSY79 = Schedule(
    survey="NLSY79", workers=12_479, waves=(*range(1979, 1995), *range(1996, 2023, 2)), births=(1957, 1964),
    ethnicities={"hispanic": 0.17, "black or african american": 0.28, "non-black non-hispanic": 0.55},
    attrition=0.018, response=0.90,
)  # fmt: skip
NLSY97 = Schedule(
    survey="NLSY97", workers=8_984, waves=(*range(1997, 2012), *range(2013, 2024, 2)), births=(1980, 1984),
    ethnicities={
        "hispanic": 0.20, "black or african american": 0.26, "non-black non-hispanic": 0.53, "mixed race": 0.01,
    },
    attrition=0.004, response=0.96,
)  # fmt: skip
SCHEDULES = {schedule.survey: schedule for schedule in (PSID81, NLSY79, NLSY97)}


def simulate_careers(
    market: Market, workers: int | None = None, schedule: Schedule = NLSY79, seed: int = 1
) -> pd.DataFrame:
    """Return the careers of a survey's workers in a market, one row a worker and interview.

    The first workers of a larger simulation are those of a smaller one with the same seed.

    Args:
        market: where they work.
        workers: how many; the survey's full size if None.
        schedule: the survey's design.
        seed: of the workers and their luck, not negative; each survey has streams of its own.

    Returns:
        The columns of the career panel, sorted by worker and year: `worker_id` (text, numbered from 1), `year` (int64),
        `occupation` (code), `education` (level), `gender`, `ethnicity`, `region` (text), `birth_year` (int64); and
        `schooling` (int64, completed years), of which `education` is the level.

    Raises:
        InputError: if there is no worker, or the seed is negative.
    """
    workers = schedule.workers if workers is None else workers
    if workers < 1 or seed < 0:
        raise InputError(
            f"simulation of {schedule.survey}: {workers} workers with seed {seed}; give at least one worker, and a "
            "seed of 0 or more."
        )

    def draws(name: str) -> np.random.Generator:
        return stream(seed, f"{schedule.survey} {name}")

    waves = np.array(schedule.waves)
    birth_year, seen = _observed_waves(schedule, draws, workers)
    covariates = _covariates(schedule, draws, birth_year)
    schooling = _schooling(draws, covariates.birth_year, waves)[seen]
    education = np.searchsorted(_LEVEL_BOUNDS, schooling, side="right")
    worker, wave = np.nonzero(seen)
    year, outcome = waves[wave], np.empty(len(wave), dtype=np.int64)
    # The luck of the first records, whichever waves they are of, so that each worker's is its own.
    luck = draws("luck").random((workers, len(waves), 2))[np.arange(len(waves)) < seen.sum(axis=1)[:, None]]
    careers = EncodedCareers(seen.sum(axis=1), covariates, year, education, outcome)
    for members, rows, histories in market.walk(careers):
        outcome[rows] = _draw(market, histories, members, luck[rows])
    own = covariates[worker]
    return pd.DataFrame(
        {
            "worker_id": (worker + 1).astype(str).astype(object),
            "year": year,
            "occupation": np.array(market.outcomes.codes, dtype=object)[market.columns[outcome]],
            "education": np.array(EDUCATION_LEVELS, dtype=object)[education],
            "gender": np.array(GENDERS, dtype=object)[own.gender],
            "ethnicity": np.array(list(ETHNICITIES), dtype=object)[own.ethnicity],
            "region": np.array(REGIONS, dtype=object)[own.region],
            "birth_year": birth_year[worker],
            "schooling": schooling,
        }
    )


def _draw(market: Market, histories: Histories, workers: np.recarray, luck: np.ndarray) -> np.ndarray:
    """Draw one record's outcome for each worker: first the kind, then the occupation of those who take another."""
    kind = _inverse(np.exp(market.kind_log_probabilities(histories, workers)), luck[:, 0])
    outcome = np.where(kind == 0, histories.last, len(market.occupations) + kind - 2)
    movers = np.flatnonzero(kind == 1)
    weights = np.exp(market.destination_utilities(histories, workers, movers))
    outcome[movers] = _inverse(weights, luck[movers, 1])
    return outcome


def _inverse(weights: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """Return the column at which the cumulated weights of each row exceed its share of their sum, int [rows]."""
    cumulated = np.cumsum(weights, axis=1)
    chosen = (cumulated <= (uniform * cumulated[:, -1])[:, None]).sum(axis=1)
    return np.minimum(chosen, weights.shape[1] - 1)


def _observed_waves(schedule: Schedule, draws: Draws, workers: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw years of birth, int [workers], and who is interviewed, bool [workers, waves]: everybody in some wave."""
    waves, number = np.array(schedule.waves), np.arange(len(schedule.waves))
    if schedule.present_at_start is None:
        first, last = schedule.births
        birth = draws("birth").integers(first, last + 1, workers)
        entry = np.zeros(workers, dtype=np.int64)
    else:
        entry, birth = _household_entry(schedule, draws("entry").random((workers, 2)))
    age = waves - birth[:, None]
    eligible = (age >= FIRST_AGE) & (age <= LAST_AGE) & (number >= entry[:, None])
    begins = eligible.argmax(axis=1)
    stays = draws("exit").geometric(schedule.attrition, workers)
    eligible &= number < (begins + stays)[:, None]
    seen = eligible & (draws("response").random((workers, len(waves))) < schedule.response)
    # A person of the sample was interviewed at least once, when entering it.
    seen[np.arange(workers), begins] = True
    return birth, seen


def _household_entry(schedule: Schedule, uniform: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the wave of entry and the year of birth of a household panel's persons, from draws [workers, 2]."""
    waves, present = np.array(schedule.waves), schedule.present_at_start
    when, age_of_entry = uniform.T
    later = 1 + np.floor((when - present) / (1.0 - present) * (len(waves) - 1)).astype(np.int64)
    entry = np.where(when < present, 0, np.minimum(later, len(waves) - 1))
    # Those there from the start are adults of all ages; later ones set up a household of their own or marry in.
    old = np.floor(FIRST_AGE + 56.0 * age_of_entry**1.9)
    young = np.floor(FIRST_AGE + 30.0 * age_of_entry**2.0)
    age = np.minimum(np.where(entry == 0, old, young).astype(np.int64), LAST_AGE)
    return entry, np.clip(waves[entry] - age, *schedule.births)


def _covariates(schedule: Schedule, draws: Draws, birth_year: np.ndarray) -> np.recarray:
    """Draw gender, ethnicity and region of each worker."""
    gender, ethnicity, region = draws("covariates").random((len(birth_year), 3)).T
    places = np.array([list(ETHNICITIES).index(word) for word in schedule.ethnicities])
    ethnicity = places[_category(ethnicity, schedule.ethnicities.values())]
    female = (gender < _FEMALE_SHARE).astype(np.int64)
    return covariates_of(female, ethnicity, _category(region, _REGION_SHARES), birth_year)


def _category(uniform: np.ndarray, shares: Iterable[float]) -> np.ndarray:
    """Return the category that each uniform number falls into."""
    return np.searchsorted(np.cumsum(list(shares))[:-1], uniform, side="right")


def _schooling(draws: Draws, birth_year: np.ndarray, waves: np.ndarray) -> np.ndarray:
    """Return completed years of schooling of each worker in each wave, int [workers, waves], never falling.

    A worker has a number of years that will be completed in the end: normal with standard deviation 2.3 about a
    mean that grows by 0.35 years with ten years of birth and is 13.0 for those born in 1960, rounded, between 6
    and 20; of those with 13 to 15 years 40 percent hold 12 or 16 instead. Schooling goes on from six years of age
    year by year, up to two years late; 8 percent complete their last two years only between 24 and 40. Nothing
    of it depends on an occupation.
    """
    uniform = draws("schooling").random((len(birth_year), 5)).T
    normal = draws("ability").standard_normal(len(birth_year))
    final = np.rint(13.0 + 0.035 * (birth_year - 1960.0) + 2.3 * normal).clip(6, 20)
    unfinished = (final >= 13) & (final <= 15) & (uniform[0] < 0.4)
    final = np.where(unfinished, np.where(uniform[1] < 0.5, 12, 16), final)
    late = np.searchsorted([0.80, 0.97], uniform[2], side="right")
    returns = (uniform[3] < 0.08) & (final > 12)
    age_of_return = 24.0 + np.floor(17.0 * uniform[4])
    age = waves - birth_year[:, None]
    by_age = np.maximum(age - 6.0 - late[:, None], 6.0)
    before_return = returns[:, None] & (age < age_of_return[:, None])
    limit = np.where(before_return, np.maximum(final - 2.0, 12.0)[:, None], final[:, None])
    return np.minimum(by_age, limit).astype(np.int64)
