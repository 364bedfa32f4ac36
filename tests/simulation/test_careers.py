"""Simulated careers: drawn with the market's probabilities, at the surveys' waves, the same whatever the chunks."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labor_llm.careers.occupations import OutcomeSpace
from labor_llm.careers.panel import career_panel
from labor_llm.errors import InputError
from labor_llm.simulation.careers import NLSY79, NLSY97, PSID81, SCHEDULES, Schedule, simulate_careers
from labor_llm.simulation.market import Market
from labor_llm.simulation.parameters import MarketParameters

GROUPS = {
    "10": "Clerical",
    "11": "Clerical",
    "12": "Clerical",
    "40": "Service",
    "41": "Service",
    "70": "Trades",
}
CODES = (*GROUPS, "unemployed", "out_of_labor_force", "education")
SPACE = OutcomeSpace(CODES, CODES)
MARKET = Market(5, outcomes=SPACE, groups=GROUPS)


@pytest.fixture(scope="module")
def survey() -> pd.DataFrame:
    return simulate_careers(MARKET, 4000, NLSY97, seed=11, log_prob=True)


def z_scores(happened: np.ndarray, chances: np.ndarray) -> np.ndarray:
    """Standardised excess of what happened over its probabilities, column by column.

    Each record's excess has mean zero given its history, so that the sums of a column are nearly normal.
    """
    return (happened - chances).sum(axis=0) / np.sqrt((chances * (1.0 - chances)).sum(axis=0))


def test_what_happens_agrees_with_the_probabilities(survey: pd.DataFrame) -> None:
    """By outcome, and within tenths of the predicted probability; five standard errors."""
    chances = np.exp(MARKET.log_probabilities(survey, np.float64))
    happened = np.eye(len(SPACE))[SPACE.indices(survey["occupation"])]
    by_outcome = z_scores(happened, chances)
    assert np.abs(by_outcome).max() < 5
    assert (by_outcome**2).sum() < 30  # chi-square of at most nine degrees of freedom; p < 0.0005
    flat, hit = chances.ravel(), happened.ravel()
    tenth = np.minimum((flat * 10).astype(int), 9)
    by_tenth = [z_scores(hit[tenth == part], flat[tenth == part]) for part in np.unique(tenth)]
    assert len(by_tenth) == 10
    assert np.abs(by_tenth).max() < 5


def test_what_happens_agrees_with_the_probabilities_after_each_outcome(survey: pd.DataFrame) -> None:
    chances = np.exp(MARKET.log_probabilities(survey, np.float64))
    happened = np.eye(len(SPACE))[SPACE.indices(survey["occupation"])]
    previous = survey.groupby("worker_id", sort=False)["occupation"].shift().to_numpy()
    for code in SPACE.codes:
        rows = previous == code
        assert rows.sum() > 400
        assert np.abs(z_scores(happened[rows], chances[rows])).max() < 5


def test_probabilities_recomputed_from_the_frame_are_those_of_the_simulation(survey: pd.DataFrame) -> None:
    got = MARKET.log_probabilities(survey.drop(columns=["log_prob", "schooling"]), np.float64)
    realised = got[np.arange(len(survey)), SPACE.indices(survey["occupation"])]
    np.testing.assert_allclose(realised, survey["log_prob"], rtol=1e-10, atol=1e-12)


def test_perplexity_is_the_exponential_of_the_mean_entropy(survey: pd.DataFrame) -> None:
    """Four standard errors of the mean surprise in excess of the entropy."""
    logs = MARKET.log_probabilities(survey, np.float64)
    entropy = -(np.exp(logs) * logs).sum(axis=1)
    excess = -survey["log_prob"].to_numpy() - entropy
    error = excess.std() / np.sqrt(len(excess))
    assert np.abs(excess.mean()) < 4 * error
    assert 2.0 < np.exp(entropy.mean()) < 0.7 * len(SPACE)


@settings(max_examples=10, deadline=None)
@given(block=st.integers(5, 100), name=st.sampled_from(sorted(SCHEDULES)), seed=st.integers(0, 2**40))
def test_careers_do_not_depend_on_the_block_nor_on_later_workers(block: int, name: str, seed: int) -> None:
    whole = simulate_careers(MARKET, 90, SCHEDULES[name], seed, log_prob=True)
    pd.testing.assert_frame_equal(
        simulate_careers(MARKET, 90, SCHEDULES[name], seed, block, log_prob=True), whole, check_exact=True
    )
    fewer = simulate_careers(MARKET, 50, SCHEDULES[name], seed, log_prob=True)
    first = whole[whole["worker_id"].isin(set(fewer["worker_id"]))]
    pd.testing.assert_frame_equal(fewer, first.reset_index(drop=True), check_exact=True)


def test_seeds_and_surveys_have_luck_of_their_own() -> None:
    one, other = (simulate_careers(MARKET, 200, NLSY97, seed)["occupation"].tolist() for seed in (1, 2))
    assert one[:500] != other[:500]
    renamed = dataclasses.replace(NLSY97, survey="other")
    assert simulate_careers(MARKET, 200, renamed, 1)["occupation"].tolist()[:500] != one[:500]


def test_who_is_interviewed_and_schooling_do_not_depend_on_occupations() -> None:
    """Two markets with nothing in common give the same records but for the occupations."""
    other = Market(6, MarketParameters(stay=3.0, out=2.0), SPACE, GROUPS)
    frames = [simulate_careers(market, 300, PSID81, seed=3) for market in (MARKET, other)]
    assert (frames[0]["occupation"] != frames[1]["occupation"]).mean() > 0.3
    pd.testing.assert_frame_equal(*(frame.drop(columns="occupation") for frame in frames))


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=list(SCHEDULES))
def test_records_are_those_of_the_survey(schedule: Schedule) -> None:
    frame = simulate_careers(MARKET, 800, schedule, seed=1)
    panel = career_panel(frame, SPACE, "simulated", schedule.survey)
    pd.testing.assert_frame_equal(
        panel.frame.drop(columns=["dataset", "birth_year"]), frame.drop(columns=["schooling", "birth_year"])
    )
    age = frame["year"] - frame["birth_year"]
    assert set(frame["year"]) == set(schedule.waves[1 if schedule is NLSY97 else 0 :])
    assert (age.min(), age.max() <= 80) == (18, True)
    assert frame["birth_year"].between(*schedule.births).all()
    workers = frame.drop_duplicates("worker_id")
    assert len(workers) == 800
    assert set(workers["ethnicity"]) == set(schedule.ethnicities)
    shares = [
        (workers["gender"] == "female").mean(),
        *(workers["region"] == "south", workers["ethnicity"] == "hispanic"),
    ]
    expected = (0.5, 0.40, schedule.ethnicities["hispanic"])
    assert all(abs(np.mean(share) - wanted) < 0.07 for share, wanted in zip(shares, expected, strict=True))
    records = {"PSID": 10.1, "NLSY79": 20.8, "NLSY97": 16.6}[schedule.survey]
    assert len(frame) / 800 == pytest.approx(records, rel=0.06)


def test_rates_are_those_of_a_labor_market() -> None:
    market = Market(1)
    frame = simulate_careers(market, 1500, NLSY79, seed=1)
    previous = frame.groupby("worker_id", sort=False)["occupation"].shift()
    employed = previous.notna() & ~previous.isin(CODES[-3:])
    assert (frame["occupation"] == previous)[employed].mean() == pytest.approx(0.60, abs=0.05)
    shares = frame["occupation"].value_counts(normalize=True)
    assert shares["unemployed"] == pytest.approx(0.05, abs=0.02)
    assert shares["out_of_labor_force"] == pytest.approx(0.12, abs=0.03)
    young = frame["year"] - frame["birth_year"] < 25
    students = frame["occupation"] == "education"
    assert students[young].mean() > 0.15
    assert students[~young].mean() < 0.02
    assert frame["occupation"].nunique() > 320


def test_schooling_grows_with_age_and_gives_the_level() -> None:
    frame = simulate_careers(MARKET, 1500, PSID81, seed=9)
    steps = frame.groupby("worker_id", sort=False)["schooling"].diff().dropna()
    assert (steps.min(), (steps > 0).any()) == (0, True)
    assert (frame["schooling"] <= frame["year"] - frame["birth_year"] - 6).all()
    bounds = frame.groupby("education")["schooling"].agg(["min", "max"])
    assert bounds.loc[["high school", "some college", "college"]].to_numpy().tolist() == [
        [12, 12],
        [13, 15],
        [16, 16],
    ]
    assert bounds.loc["less than high school", "max"] == 11
    assert bounds.loc["graduate degree", "min"] == 17


def test_first_age_adds_records() -> None:
    adults = simulate_careers(MARKET, 300, NLSY97, seed=1)
    minors = simulate_careers(MARKET, 300, dataclasses.replace(NLSY97, first_age=16), seed=1)
    assert (minors["year"] - minors["birth_year"]).min() == 16
    assert len(minors) > len(adults) + 200


@pytest.mark.parametrize("survey", ["PSID", "NLSY79"])
@pytest.mark.parametrize("ages", [(16, 80), (25, 60), (40, 50)])
def test_nobody_is_interviewed_outside_the_ages(survey: str, ages: tuple[int, int]) -> None:
    """Everybody has a record, also where nobody leaves, all answer and all are there from the start."""
    window = {"first_age": ages[0], "last_age": ages[1]}
    for extreme in ({}, {"attrition": 0.0, "response": 1.0, "present_at_start": 1.0}, {"response": 0.0}):
        schedule = dataclasses.replace(SCHEDULES[survey], **window, **extreme)
        frame = simulate_careers(MARKET, 200, schedule, seed=2)
        assert (frame["year"] - frame["birth_year"]).between(*ages).all()
        assert frame["worker_id"].nunique() == 200


@pytest.mark.parametrize("survey", list(SCHEDULES))
def test_workers_are_numbered_from_one(survey: str) -> None:
    frame = simulate_careers(MARKET, 12, SCHEDULES[survey], seed=1)
    assert frame["worker_id"].unique().tolist() == [str(number) for number in range(1, 13)]


@pytest.mark.parametrize("changes", [{"workers": 0}, {"block": 0}, {"seed": -1}])
def test_impossible_simulations_are_refused(changes: dict[str, int]) -> None:
    with pytest.raises(
        InputError, match="give at least one worker and one per block, and a seed of 0 or more"
    ):
        simulate_careers(MARKET, **{"workers": 5, "schedule": NLSY79, "seed": 1, **changes})
