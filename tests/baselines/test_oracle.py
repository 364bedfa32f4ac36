"""The oracle: the market's probabilities as predictions, which no fitted model beats."""

from __future__ import annotations

import numpy as np
import pytest

from labor_llm.baselines.frequencies import EmpiricalTransitions, SecondOrderTransitions
from labor_llm.baselines.oracle import LABEL, Oracle
from labor_llm.careers.occupations import OutcomeSpace
from labor_llm.careers.panel import CareerPanel, career_panel, split_workers
from labor_llm.errors import MismatchError
from labor_llm.simulation.careers import NLSY79, simulate_careers
from labor_llm.simulation.market import Market


@pytest.fixture(scope="module")
def panels(market: Market) -> dict[str, CareerPanel]:
    panel = career_panel(simulate_careers(market, 1500, NLSY79, seed=1), market.outcomes, "simulated")
    splits = split_workers(panel, seed=1)
    return {name: panel.split(splits, name) for name in ("train", "validation", "test")}


def perplexity(log_prob: np.ndarray) -> float:
    return float(np.exp(-np.mean(log_prob)))


def test_the_oracle_beats_first_and_second_order_models(
    panels: dict[str, CareerPanel], market: Market
) -> None:
    oracle = perplexity(Oracle(market).predict(panels["test"]).table["log_prob"])
    first, second = (
        perplexity(
            kind().fit(panels["train"], panels["validation"]).predict(panels["test"]).table["log_prob"]
        )
        for kind in (EmpiricalTransitions, SecondOrderTransitions)
    )
    assert oracle < 0.95 * second
    assert second < 0.99 * first


def test_the_oracle_says_what_the_market_says(panels: dict[str, CareerPanel], market: Market) -> None:
    panel = panels["validation"]
    got = Oracle(market).predict(panel)
    logs = market.log_probabilities(panel)
    np.testing.assert_array_equal(got.log_probs, logs)
    assert (got.model, set(got.table["log_valid_mass"])) == (LABEL, {0.0})
    realised = logs[np.arange(len(logs)), market.outcomes.indices(panel.frame["occupation"])]
    np.testing.assert_array_equal(got.table["log_prob"], realised.astype(np.float64))
    assert got.table["worker_id"].tolist() == panel.frame["worker_id"].tolist()


def test_the_oracle_has_the_form_of_a_baseline(panels: dict[str, CareerPanel], market: Market) -> None:
    assert Oracle(market, name="Truth").predict(panels["test"]).model == "Truth"


def test_a_panel_with_other_outcomes_is_refused(panels: dict[str, CareerPanel], market: Market) -> None:
    codes = market.outcomes.codes[::-1]
    reordered = OutcomeSpace(codes, codes)
    other = CareerPanel(panels["test"].frame, reordered, "simulated")
    with pytest.raises(MismatchError, match="Give all panels the same titles"):
        Oracle(market).predict(other)
