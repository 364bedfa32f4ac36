"""The oracle: the market's probabilities as predictions, which no fitted model beats."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from labor_llm.baselines.frequencies import EmpiricalTransitions
from labor_llm.baselines.oracle import LABEL, Oracle
from labor_llm.careers.occupations import OutcomeSpace
from labor_llm.careers.panel import CareerPanel, career_panel, split_workers, transitions
from labor_llm.errors import MismatchError
from labor_llm.simulation.careers import NLSY79, simulate_careers
from labor_llm.simulation.market import Market

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
def panels() -> dict[str, CareerPanel]:
    frame = simulate_careers(MARKET, 1500, NLSY79, seed=1)
    panel = career_panel(frame, SPACE, "simulated")
    splits = split_workers(panel, seed=1)
    return {name: panel.split(splits, name) for name in ("train", "validation", "test")}


def perplexity(log_prob: np.ndarray) -> float:
    return float(np.exp(-np.mean(log_prob)))


def second_order(panels: dict[str, CareerPanel]) -> float:
    """Test perplexity of counts of (before previous, previous, next), shrunk to first order as validation asks."""
    first = EmpiricalTransitions().fit(panels["train"], panels["validation"])
    pairs, triples = Counter(), Counter()
    for before, previous, code in keys(panels["train"]):
        pairs[before, previous] += 1
        triples[before, previous, code] += 1

    def log_prob(panel: CareerPanel, weight: float) -> np.ndarray:
        prior = np.exp(first.predict(panel).table["log_prob"].to_numpy())
        seen = np.array([(triples[key], pairs[key[:2]]) for key in keys(panel)], dtype=float)
        return np.log((seen[:, 0] + weight * prior) / (seen[:, 1] + weight))

    weights = (1.0, 3.0, 10.0, 30.0, 100.0)
    best = min(weights, key=lambda weight: perplexity(log_prob(panels["validation"], weight)))
    return perplexity(log_prob(panels["test"], best))


def keys(panel: CareerPanel) -> list[tuple[str | None, str | None, str]]:
    table = transitions(panel)
    return list(zip(table["before_previous"], table["previous"], table["occupation"], strict=True))


def test_the_oracle_beats_first_and_second_order_models(panels: dict[str, CareerPanel]) -> None:
    oracle = perplexity(Oracle(MARKET).predict(panels["test"]).table["log_prob"])
    empirical = EmpiricalTransitions().fit(panels["train"], panels["validation"]).predict(panels["test"])
    first, second = perplexity(empirical.table["log_prob"]), second_order(panels)
    assert oracle < 0.95 * second
    assert second < 0.99 * first


def test_the_oracle_says_what_the_market_says(panels: dict[str, CareerPanel]) -> None:
    panel = panels["validation"]
    got = Oracle(MARKET).predict(panel)
    logs = MARKET.log_probabilities(panel)
    np.testing.assert_array_equal(got.log_probs, logs)
    assert (got.model, set(got.table["log_valid_mass"])) == (LABEL, {0.0})
    realised = logs[np.arange(len(logs)), SPACE.indices(panel.frame["occupation"])]
    np.testing.assert_array_equal(got.table["log_prob"], realised.astype(np.float64))
    assert got.table["worker_id"].tolist() == panel.frame["worker_id"].tolist()


def test_the_oracle_has_the_form_of_a_baseline(panels: dict[str, CareerPanel]) -> None:
    assert Oracle(MARKET, name="Truth").predict(panels["test"]).model == "Truth"


def test_a_panel_with_other_outcomes_is_refused(panels: dict[str, CareerPanel]) -> None:
    reordered = OutcomeSpace(CODES[::-1], CODES[::-1])
    other = CareerPanel(panels["test"].frame, reordered, "simulated")
    with pytest.raises(MismatchError, match="Give all panels the same titles"):
        Oracle(MARKET).predict(other)
