"""Careers of simulated workers: who they are, what the market makes of them year by year, when a survey asks them.

A career is drawn for every year from the first interview to the last, and the years without an interview are then
forgotten. Who is interviewed when never depends on an occupation, so that the market's probabilities are those of the
observed records. Sizes and shares are near those of the three surveys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from labor_llm.errors import InputError
from labor_llm.simulation.law import (
    FIRST_AGE,
    FIRST_STATE,
    LAST_AGE,
    NEW,
    NOWHERE,
    SETTLED,
    Year,
    drawn_levels,
)
from labor_llm.simulation.market import Market, covariates_of
from labor_llm.simulation.parameters import (
    EDUCATION_LEVELS,
    ETHNICITIES,
    GENDERS,
    REGIONS,
    SCHOOLING,
    STEADINESS,
    VOCATIONS,
    stream,
)

# Shares of the four census regions in the order of REGIONS.
_REGION_SHARES, _FEMALE_SHARE = (0.17, 0.24, 0.40, 0.19), 0.50

# So many workers who take another occupation are drawn at once: their weights stay in a processor's cache.
_BLOCK = 1024

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
    years = np.arange(waves[0], waves[-1] + 1)
    education = drawn_levels(
        draws("education").random((workers, LAST_AGE - FIRST_AGE + 1)), birth_year, years
    )
    alive = _years_lived(seen, waves - waves[0], len(years))
    outcome = _live(market, draws, covariates, years, education, alive)
    worker, wave = np.nonzero(seen)
    place = (waves - waves[0])[wave]
    outcome, education = outcome[worker, place], education[worker, place]
    own = covariates[worker]
    return pd.DataFrame(
        {
            "worker_id": (worker + 1).astype(str).astype(object),
            "year": waves[wave],
            "occupation": np.array(market.outcomes.codes, dtype=object)[market.columns[outcome]],
            "education": np.array(EDUCATION_LEVELS, dtype=object)[education],
            "gender": np.array(GENDERS, dtype=object)[own.gender],
            "ethnicity": np.array(list(ETHNICITIES), dtype=object)[own.ethnicity],
            "region": np.array(REGIONS, dtype=object)[own.region],
            "birth_year": birth_year[worker],
            "schooling": SCHOOLING[education],
        }
    )


def _years_lived(seen: np.ndarray, places: np.ndarray, years: int) -> np.ndarray:
    """Return whether each year lies from a worker's first interview to the last, bool [workers, years]."""
    asked = np.zeros((len(seen), years), dtype=bool)
    asked[:, places] = seen
    backwards = np.logical_or.accumulate(asked[:, ::-1], axis=1)[:, ::-1]
    return np.logical_or.accumulate(asked, axis=1) & backwards


def _live(
    market: Market,
    draws: Draws,
    covariates: np.recarray,
    years: np.ndarray,
    education: np.ndarray,
    alive: np.ndarray,
) -> np.ndarray:
    """Return the outcome of each worker in each year that is lived, int [workers, years], -1 in others."""
    law, occupations = market.law, len(market.occupations)
    size = len(covariates)
    steady = draws("steadiness").integers(0, len(STEADINESS), size)
    vocation = draws("vocation").integers(0, VOCATIONS, size)
    luck = draws("luck").random((size, len(years), 3))
    situation, last = np.full(size, NEW), np.full(size, occupations)
    outcome = np.full(alive.shape, -1)
    for number, year in enumerate(years):
        rows = np.flatnonzero(alive[:, number])
        level = education[rows, number]
        begins = outcome[rows, number - 1] < 0 if number else np.ones(len(rows), bool)
        risen = ~begins & (level > education[rows, number - 1])
        at = Year(covariates[rows], np.full(len(rows), float(year)), level, risen)
        whence = np.where(begins, NOWHERE, np.maximum(situation[rows] - FIRST_STATE + 1, 0))
        stays = law.stays_in_occupation(
            at, np.minimum(last[rows], occupations - 1), situation[rows] == SETTLED, STEADINESS[steady[rows]]
        )
        for state, chance in enumerate(law.stays_in_state(at).T, 1):
            stays[whence == state] = chance[whence == state]
        stays[begins] = 0.0
        kind = _inverse(law.kinds(at)[np.arange(len(rows)), steady[rows], whence], luck[rows, number, 1])
        moves = luck[rows, number, 0] >= stays
        into_state = np.flatnonzero(moves & (kind > 0))
        situation[rows[into_state]] = FIRST_STATE + kind[into_state] - 1
        into_work = np.flatnonzero(moves & (kind == 0))
        settles = ~moves & (whence == 0)
        for some in np.array_split(into_work, len(into_work) // _BLOCK + 1):
            who = rows[some]
            closeness = law.tables.closeness[(whence[some] > 0).astype(int), last[who]]
            weights = law.own_attraction(at.of(some), vocation[who]) * closeness
            last[who] = _inverse(weights, luck[who, number, 2])
        situation[rows[into_work]], situation[rows[settles]] = NEW, SETTLED
        now = situation[rows]
        outcome[rows, number] = np.where(now < FIRST_STATE, last[rows], occupations + now - FIRST_STATE)
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
