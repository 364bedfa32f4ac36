"""The oracle: the market's probabilities as predictions, which no fitted model beats."""

import dataclasses

import numpy as np
import pytest

from labor_llm.baselines.frequencies import EmpiricalTransitions, SecondOrderTransitions
from labor_llm.baselines.oracle import LABEL, Oracle, known_probabilities
from labor_llm.careers.occupations import OutcomeSpace
from labor_llm.careers.panel import career_panel, split_workers
from labor_llm.errors import MismatchError
from labor_llm.simulation.careers import NLSY79, simulate_careers
from labor_llm.store.artefacts import writing


def test_the_oracle_beats_first_and_second_order_models(market):
    panel = career_panel(simulate_careers(market, 1500, NLSY79, seed=1), market.outcomes, "simulated")
    splits = split_workers(panel, seed=1)
    train, validation, test = (panel.split(splits, name) for name in ("train", "validation", "test"))
    fitted = [kind().fit(train, validation) for kind in (EmpiricalTransitions, SecondOrderTransitions)]
    first, second, oracle = (
        np.exp(-model.predict(test).table["log_prob"].mean()) for model in (*fitted, Oracle(market))
    )
    assert oracle < 0.95 * second
    assert second < 0.99 * first


def test_the_oracle_says_what_the_market_says(simulated, market):
    panel = simulated["validation"]
    got = Oracle(market).predict(panel)
    logs = market.log_probabilities(panel)
    np.testing.assert_array_equal(got.log_probs, logs)
    assert (got.model, set(got.table["log_valid_mass"])) == (LABEL, {0.0})
    realised = logs[np.arange(len(logs)), market.outcomes.indices(panel.frame["occupation"])]
    np.testing.assert_array_equal(got.table["log_prob"], realised.astype(np.float64))
    assert got.table["worker_id"].tolist() == panel.frame["worker_id"].tolist()


def test_a_panel_with_other_outcomes_is_refused(simulated, market):
    codes = market.outcomes.codes[::-1]
    with pytest.raises(MismatchError, match="Give all panels the same titles"):
        Oracle(market).predict(dataclasses.replace(simulated["test"], outcomes=OutcomeSpace(codes, codes)))


def test_a_data_set_that_no_market_made_has_no_oracle(simulated, tmp_path):
    with writing(tmp_path / "panel") as aside:
        (aside / "panel.parquet").write_bytes(b"any")
    assert known_probabilities(tmp_path / "panel", simulated["test"]) == {}
