"""Simulated careers: drawn with the market's probabilities, at the surveys' waves, the same whatever the blocks."""

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
from labor_llm.simulation.law import chance_to_rise
from labor_llm.simulation.market import Market
from labor_llm.simulation.parameters import EDUCATION_LEVELS, SCHOOLING, MarketParameters


@pytest.fixture(scope="module")
def survey(market: Market) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Many careers, the probability of each outcome at each record, and what happened, one-hot."""
    frame = simulate_careers(market, 2500, NLSY97, seed=11)
    happened = np.eye(len(market.outcomes))[market.outcomes.indices(frame["occupation"])]
    return frame, np.exp(market.log_probabilities(frame, np.float64)), happened


def z_scores(happened: np.ndarray, chances: np.ndarray) -> np.ndarray:
    """Standardised excess of what happened over its probabilities, column by column.

    Each record's excess has mean zero given its history, so that the sums of a column are nearly normal.
    """
    return (happened - chances).sum(axis=0) / np.sqrt((chances * (1.0 - chances)).sum(axis=0))


def test_what_happens_agrees_with_the_probabilities(survey: tuple) -> None:
    """By outcome, also after each outcome, and within tenths of the predicted probability; five standard errors."""
    frame, chances, happened = survey
    by_outcome = z_scores(happened, chances)
    assert np.abs(by_outcome).max() < 5
    assert (by_outcome**2).sum() < 30  # chi-square of at most nine degrees of freedom; p < 0.0005
    flat, hit = chances.ravel(), happened.ravel()
    tenth = np.minimum((flat * 10).astype(int), 9)
    by_tenth = [z_scores(hit[tenth == part], flat[tenth == part]) for part in range(10)]
    assert np.abs(by_tenth).max() < 5
    previous = frame.groupby("worker_id", sort=False)["occupation"].shift()
    for rows in previous.groupby(previous).indices.values():
        assert len(rows) > 300
        assert np.abs(z_scores(happened[rows], chances[rows])).max() < 5


@settings(max_examples=10)
@given(block=st.integers(5, 100), name=st.sampled_from(sorted(SCHEDULES)), seed=st.integers(0, 2**40))
def test_careers_do_not_depend_on_the_block_nor_on_later_workers(
    market: Market, block: int, name: str, seed: int
) -> None:
    whole = simulate_careers(market, 90, SCHEDULES[name], seed)
    assert whole["worker_id"].unique().tolist() == [str(number) for number in range(1, 91)]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("labor_llm.simulation.careers._BLOCK", block)
        fewer = simulate_careers(market, 50, SCHEDULES[name], seed)
    first = whole[whole["worker_id"].astype(int) <= 50]
    pd.testing.assert_frame_equal(fewer, first.reset_index(drop=True), check_exact=True)


def test_seeds_and_surveys_have_luck_of_their_own(market: Market) -> None:
    renamed = dataclasses.replace(NLSY97, survey="other")
    one, other, of_other = (
        simulate_careers(market, 200, schedule, seed)["occupation"].tolist()[:500]
        for schedule, seed in ((NLSY97, 1), (NLSY97, 2), (renamed, 1))
    )
    assert one != other
    assert one != of_other


def test_who_is_interviewed_and_schooling_do_not_depend_on_occupations(
    market: Market, space: OutcomeSpace, groups: dict[str, str]
) -> None:
    """Two markets with nothing in common give the same records but for the occupations."""
    other = Market(6, MarketParameters(stay=3.0, out=2.0), space, groups)
    frames = [simulate_careers(each, 300, PSID81, seed=3) for each in (market, other)]
    assert (frames[0]["occupation"] != frames[1]["occupation"]).mean() > 0.3
    pd.testing.assert_frame_equal(*(frame.drop(columns="occupation") for frame in frames))


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=list(SCHEDULES))
def test_records_are_those_of_the_survey(market: Market, space: OutcomeSpace, schedule: Schedule) -> None:
    frame = simulate_careers(market, 800, schedule, seed=1)
    panel = career_panel(frame, space, "simulated", schedule.survey)
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
    hispanic = schedule.ethnicities["hispanic"]
    for column, word, share in (
        ("gender", "female", 0.5),
        ("region", "south", 0.4),
        ("ethnicity", "hispanic", hispanic),
    ):
        assert (workers[column] == word).mean() == pytest.approx(share, abs=0.07)
    records = {"PSID": 10.1, "NLSY79": 20.8, "NLSY97": 16.6}[schedule.survey]
    assert len(frame) / 800 == pytest.approx(records, rel=0.06)


def test_rates_are_those_of_a_labor_market() -> None:
    frame = simulate_careers(Market(1), 1500, NLSY79, seed=1)
    previous = frame.groupby("worker_id", sort=False)["occupation"].shift()
    employed = previous.notna() & ~previous.isin(["unemployed", "out_of_labor_force", "education"])
    assert (frame["occupation"] == previous)[employed].mean() == pytest.approx(0.60, abs=0.05)
    shares = frame["occupation"].value_counts(normalize=True)
    assert shares["unemployed"] == pytest.approx(0.05, abs=0.02)
    assert shares["out_of_labor_force"] == pytest.approx(0.12, abs=0.03)
    young = frame["year"] - frame["birth_year"] < 25
    students = frame["occupation"] == "education"
    assert students[young].mean() > 0.15
    assert students[~young].mean() < 0.02
    assert frame["occupation"].nunique() > 320


def test_levels_rise_by_the_chances_that_the_oracle_sums_over(market: Market) -> None:
    frame = simulate_careers(market, 3000, NLSY97, seed=9)
    levels = pd.Categorical(frame["education"], EDUCATION_LEVELS).codes.astype(int)
    np.testing.assert_array_equal(frame["schooling"], SCHOOLING[levels])
    by_worker = frame.assign(level=levels).groupby("worker_id", sort=False)
    rises, gap = by_worker["level"].diff(), by_worker["year"].diff()
    assert rises.min() == 0
    yearly = (gap == 1).to_numpy()
    assert set(rises[yearly]) == {0.0, 1.0}
    chances = chance_to_rise((levels - rises.fillna(0)).astype(int), frame["year"], frame["birth_year"])[
        yearly
    ]
    excess = (rises[yearly] - chances).sum() / np.sqrt((chances * (1 - chances)).sum())
    assert abs(excess) < 4


@pytest.mark.parametrize("survey", ["PSID", "NLSY79"])
def test_nobody_is_without_a_record_where_nobody_answers_again_and_where_all_do(
    market: Market, survey: str
) -> None:
    for chances in ({"attrition": 1e-9, "response": 1.0}, {"response": 0.0}):
        frame = simulate_careers(market, 200, dataclasses.replace(SCHEDULES[survey], **chances), seed=2)
        assert (frame["year"] - frame["birth_year"]).between(18, 80).all()
        assert frame["worker_id"].nunique() == 200


@pytest.mark.parametrize("changes", [{"workers": 0}, {"seed": -1}])
def test_impossible_simulations_are_refused(market: Market, changes: dict[str, int]) -> None:
    with pytest.raises(InputError, match="give at least one worker, and a seed of 0 or more"):
        simulate_careers(market, **{"workers": 5, "schedule": NLSY79, "seed": 1, **changes})
