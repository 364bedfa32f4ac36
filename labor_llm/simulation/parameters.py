"""The parameters of the simulated labor market, each with its unit and meaning, and the tables drawn with them.

All values are invented. They were chosen so that the rates look like a labor market's (how many stay, are
unemployed or out of the labor force, at which ages), and say nothing of any real group of people. Differences by
ethnicity and region in particular are drawn at random from the market's seed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from pydantic import ConfigDict, Field

from labor_llm.careers import occupations as occ1990dd
from labor_llm.settings import Settings

STATES = tuple(occ1990dd.STATES)
EDUCATION_LEVELS = ("less than high school", "high school", "some college", "college", "graduate degree")
SOME_COLLEGE = EDUCATION_LEVELS.index("some college")
# Completed years of schooling of each level; of all graduate work 17, as the PSID has it.
SCHOOLING = np.array([10, 12, 14, 16, 17])
# Groups of occupations that draw workers alike: each worker has one of so many vocations, all of them equally often.
VOCATIONS = 4
# A worker is mobile or steady, equally often; the sign of the terms that tell the two apart.
STEADINESS = np.array([-1.0, 1.0])
GENDERS = ("male", "female")
REGIONS = ("northeast", "northcentral", "south", "west", "alaska or hawaii", "unknown")
# The surveys' words; two words for the same people (the PSID's and the NLSY's) share one draw.
ETHNICITIES = {
    "white": "white", "non-black non-hispanic": "white", "black or african american": "black",
    "hispanic": "hispanic", "asian": "asian", "american indian": "american indian",
    "mixed race": "mixed race", "other": "other",
}  # fmt: skip

# Major group of occ1990dd: usual years of schooling, and log-odds of women against men within it. A group
# that is not listed (another outcome space) has both drawn from the seed.
GROUP_PROFILES = {
    "Executive, administrative, and managerial occupations": (14.5, -0.4),
    "Management related occupations": (15.0, 0.1),
    "Professional specialty occupations": (16.5, 0.2),
    "Technicians and related support occupations": (14.0, 0.0),
    "Financial sales and related occupations": (14.0, -0.2),
    "Retail sales occupations": (12.0, 0.7),
    "Administrative support occupations": (12.7, 1.4),
    "Housekeeping, cleaning, laundry": (10.0, 1.8),
    "Supervisors of guards; guards": (12.0, -1.0),
    "Fire fighting, police, and correctional institutions": (13.0, -1.6),
    "Food preparation and service occupations": (11.0, 0.6),
    "Health service occupations": (12.0, 1.8),
    "Building and grounds cleaning and maintenance occupations": (10.0, -0.8),
    "Personal appearance occupations": (12.0, 1.5),
    "Recreation and hospitality occupations": (12.5, 0.3),
    "Child care workers": (11.5, 2.2),
    "Miscellaneous personal care and service occupations": (12.0, 0.9),
    "Farm operators and managers": (12.0, -1.2),
    "Other agricultural and related occupations": (10.0, -1.0),
    "Mechanics and repairers": (12.0, -2.4),
    "Construction trades": (11.5, -2.6),
    "Extractive occupations": (11.5, -2.4),
    "Precision production occupations": (12.0, -0.9),
    "Machine operators, assemblers, and inspectors": (11.0, 0.0),
    "Transportation and material moving occupations": (11.5, -1.6),
}


def _parameter(value: float, unit: str, meaning: str, **bounds: float) -> Any:
    return Field(value, description=f"{meaning} ({unit})", **bounds)


class MarketParameters(Settings):
    """The table of parameters: value, unit, meaning.

    Log-odds are added to the logit of staying, or to the utility of what a worker who does not stay does next.

    Raises:
        SettingError: if a value is no finite number, or a decay, reach or period is not above zero.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    # Staying in an occupation from one year to the next.
    stay: float = _parameter(-0.20, "log-odds", "staying in an occupation, all else at its reference")
    stay_steady: float = _parameter(0.95, "log-odds", "steady workers; as much less for mobile ones")
    stay_attachment: float = _parameter(0.45, "log-odds, SD", "how far occupations differ in being kept")
    stay_settled: float = _parameter(0.85, "log-odds", "after a first year in the occupation")
    stay_maturity: float = _parameter(0.80, "log-odds", "grown-up against aged 18; two thirds after 8 years")
    stay_misfit: float = _parameter(-0.12, "log-odds per year", "schooling above or below the occupation's")
    stay_retirement: float = _parameter(-0.16, "log-odds per year", "age above 61")
    stay_new_degree: float = _parameter(-0.80, "log-odds", "education level rose this year")
    stay_female: float = _parameter(-0.10, "log-odds", "women against men")
    stay_covariates: float = _parameter(0.10, "log-odds, SD", "each ethnicity, each region")
    stay_change: float = _parameter(
        0.0, "log-odds", "a structural change: from `change_year` on, added for everybody"
    )
    change_year: float = _parameter(2000.0, "year", "first year of the structural change")
    # Staying in a state.
    stay_unemployed: float = _parameter(-1.2, "log-odds", "remaining unemployed")
    stay_out: float = _parameter(0.30, "log-odds", "remaining out of the labor force")
    stay_education: float = _parameter(0.85, "log-odds", "remaining in education at age 18")
    stay_education_age: float = _parameter(-0.28, "log-odds per year", "age above 18, in education; to 35")
    stay_out_age: float = _parameter(0.12, "log-odds per year", "age above 55, out of the labor force; to 75")
    stay_out_female: float = _parameter(0.35, "log-odds", "women against men, out of the labor force")
    # What a worker who does not stay does next: another occupation (0), or one of the states.
    unemployed: float = _parameter(-1.95, "log-odds", "becoming unemployed")
    unemployed_young: float = _parameter(0.35, "log-odds per 10 years", "age below 30")
    unemployed_schooling: float = _parameter(-0.14, "log-odds per year", "schooling above 12 years")
    unemployed_cycle: float = _parameter(0.35, "log-odds", "height of the business cycle")
    cycle_period: float = _parameter(9.0, "years", "length of the business cycle; its phase is drawn", gt=0)
    out: float = _parameter(-1.95, "log-odds", "leaving the labor force")
    out_female: float = _parameter(0.60, "log-odds", "women against men, age below 45")
    out_retirement: float = _parameter(0.16, "log-odds per year", "age above 55, to 80")
    out_first: float = _parameter(0.30, "log-odds", "first record against later ones")
    idle_steady: float = _parameter(
        -0.40, "log-odds", "steady workers, both states without work; more for mobile ones"
    )
    education: float = _parameter(0.10, "log-odds", "going to school at age 18")
    education_age: float = _parameter(-0.42, "log-odds per year", "age above 18, to 30")
    education_last_age: float = _parameter(43.0, "years", "oldest age at which education is no rarity")
    education_beyond: float = _parameter(-30.0, "log-odds", "going to or staying at school above that age")
    education_college: float = _parameter(0.80, "log-odds", "level 'some college' against others")
    education_new_degree: float = _parameter(0.90, "log-odds", "education level rose this year")
    state_covariates: float = _parameter(0.15, "log-odds, SD", "each ethnicity, each region, each state")
    # Which occupation.
    size: float = _parameter(0.85, "log-odds, SD", "how far occupations differ in size; cut at two SD")
    requirement: float = _parameter(0.70, "years, SD", "schooling asked for, within a major group")
    mismatch: float = _parameter(-0.55, "log-odds per (2 years)^2", "schooling away from what is asked for")
    vocation: float = _parameter(1.20, "log-odds, SD", "how far each vocation is drawn to each group")
    group_covariates: float = _parameter(0.25, "log-odds, SD", "each ethnicity, each region, each group")
    group_year_trend: float = _parameter(0.12, "log-odds per 10 years, SD", "calendar time, each group")
    group_cohort_trend: float = _parameter(0.10, "log-odds per 10 years, SD", "year of birth, each group")
    group_affinity: float = _parameter(0.50, "log-odds, SD", "each pair of groups")
    group_distance: float = _parameter(-0.30, "log-odds per year", "difference of two groups in schooling")
    same_group: float = _parameter(1.6, "log-odds", "an occupation of the same major group")
    near_code: float = _parameter(1.9, "log-odds", "the next code in the list of the same group")
    near_code_reach: float = _parameter(2.5, "places", "distance at which nearness falls to a third", gt=0)
    reference_in_state: float = _parameter(0.80, "share", "closeness to the last occupation, from a state")
    recall_last: float = _parameter(2.90, "log-odds", "back to the last occupation, from a state")


class MarketTables:
    """What a market draws from its seed, in log-odds unless said otherwise; J occupations, G major groups.

    Each table has a random stream of its own, so that a table added later leaves the others as they were.

    Args:
        seed: of the market.
        parameters: of the market.
        codes: the occupations in the order of the outcome space, without the states.
        groups: the major group of each code.

    Attributes:
        group_of: int [J], the group of each occupation.
        required: [J], years of schooling that an occupation asks for.
        attachment: [J], how readily it is kept.
        base: [5 * 2, J], size, schooling and gender: the row is education level * 2 + gender.
        closeness: [2, J + 1, J], weight of a destination (last axis) by the last occupation, for one who leaves an
            occupation (0 for the same one) and one who leaves a state; J of those who had no occupation yet.
        vocation_group: [VOCATIONS, G].
        ethnicity_group, region_group: [ethnicities or regions, G].
        ethnicity_stay, region_stay: [ethnicities or regions].
        ethnicity_state, region_state: [ethnicities or regions, 3], for the three states.
        year_trend, cohort_trend: [G], per 10 years.
        cycle_phase: years; the business cycle is highest at this year plus a quarter period.
    """

    def __init__(
        self, seed: int, parameters: MarketParameters, codes: Sequence[str], groups: Mapping[str, str]
    ) -> None:
        names = list(dict.fromkeys(groups[code] for code in codes))

        def normal(name: str, *shape: int) -> np.ndarray:
            return stream(seed, name).standard_normal(shape)

        def by_ethnicity(name: str, *shape: int) -> np.ndarray:
            return np.stack([normal(f"{name} {people}", *shape) for people in ETHNICITIES.values()])

        def profile(name: str) -> tuple[float, float]:
            schooling, women = normal(f"group {name}", 2)
            return GROUP_PROFILES.get(name, (13.0 + 1.8 * schooling, 0.8 * women))

        usual, lean = np.array([profile(name) for name in names]).T
        self.group_of = np.array([names.index(groups[code]) for code in codes])
        self.required = usual[self.group_of] + parameters.requirement * normal("requirement", len(codes))
        self.attachment = parameters.stay_attachment * normal("attachment", len(codes))
        fit = parameters.mismatch * ((self.required - SCHOOLING[:, None]) / 2.0) ** 2
        gender = np.array([-0.5, 0.5])[:, None] * lean[self.group_of]
        base = fit[:, None, :] + gender[None] + parameters.size * normal("size", len(codes)).clip(-2.0, 2.0)
        self.base = base.reshape(-1, len(codes))
        affinity = parameters.group_affinity * normal("affinity", len(names), len(names))
        distance = parameters.group_distance * np.abs(usual[:, None] - usual)
        closeness = _closeness(parameters, self.group_of, affinity + distance)
        recalled = parameters.reference_in_state * closeness + parameters.recall_last * np.eye(len(codes))
        known = np.stack([np.exp(closeness) * (1.0 - np.eye(len(codes))), np.exp(recalled)])
        self.closeness = np.concatenate([known, np.ones((2, 1, len(codes)))], axis=1)
        self.vocation_group = parameters.vocation * normal("vocation", VOCATIONS, len(names))
        self.ethnicity_group = parameters.group_covariates * by_ethnicity("ethnicity group", len(names))
        self.region_group = parameters.group_covariates * normal("region group", len(REGIONS), len(names))
        self.ethnicity_stay = parameters.stay_covariates * by_ethnicity("ethnicity stay")
        self.region_stay = parameters.stay_covariates * normal("region stay", len(REGIONS))
        self.ethnicity_state = parameters.state_covariates * by_ethnicity("ethnicity state", len(STATES))
        self.region_state = parameters.state_covariates * normal("region state", len(REGIONS), len(STATES))
        self.year_trend = parameters.group_year_trend * normal("year trend", len(names))
        self.cohort_trend = parameters.group_cohort_trend * normal("cohort trend", len(names))
        self.cycle_phase = float(parameters.cycle_period * stream(seed, "cycle").random())

    def checksum(self) -> float:
        """Return one number that any other draw would change: the sum of the magnitudes of all tables."""
        return float(sum(np.abs(np.asarray(table, dtype=np.float64)).sum() for table in vars(self).values()))


def stream(seed: int, name: str) -> np.random.Generator:
    """Return the random stream of one name under a seed (not negative)."""
    return np.random.default_rng([seed, *name.encode()])


def _closeness(parameters: MarketParameters, group_of: np.ndarray, between: np.ndarray) -> np.ndarray:
    """Return [J, J]: of two groups what `between` says, within a group by places in the list of codes."""
    place = pd.Series(group_of).groupby(group_of).cumcount().to_numpy()
    near = np.exp(-(np.abs(place[:, None] - place) - 1.0) / parameters.near_code_reach)
    within = parameters.same_group + parameters.near_code * np.minimum(near, 1.0)
    same = group_of[:, None] == group_of
    return np.where(same, within, between[group_of[:, None], group_of])
