"""What a market draws from its seed: tables by occupation, major group, ethnicity and region.

Each table has a random stream of its own, keyed by the seed and the table's name, so that a table added
later leaves the others as they were.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from labor_llm.simulation.market_parameters import (
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
