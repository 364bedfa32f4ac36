"""The weight of a mixture is found where the truth is one, and the pool is put beside both its parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from labor_llm.careers.panel import CareerPanel
from labor_llm.careers.predictions import Predictions
from labor_llm.evaluation.comparison import realised
from labor_llm.evaluation.mixtures import IMPOSSIBLE, best_weight, mixture, mixtures
from labor_llm.exhibits.gains import mixture_sentence
from labor_llm.exhibits.gains import mixtures as shown

CHAIN_IS = 0.6


@pytest.fixture(scope="module")
def two_kinds(chain_model: type) -> Callable[[CareerPanel], list[Predictions]]:
    """Two wrong models of the chain, of which 0.6 of the one and 0.4 of the other is the truth."""
    truth = chain_model().matrix
    other = np.full_like(truth, 1.0 / truth.shape[1])
    # 0.6 one + 0.4 other = truth
    one = (truth - (1 - CHAIN_IS) * other * 0.2 - (1 - CHAIN_IS) * truth * 0.8) / CHAIN_IS
    mixed = 0.2 * other + 0.8 * truth

    def predict(panel: CareerPanel) -> list[Predictions]:
        return [chain_model(one, name="one").predict(panel), chain_model(mixed, name="other").predict(panel)]

    return predict


def test_the_weight_of_the_truth_is_found(
    panel_of_chain: Callable[..., CareerPanel], two_kinds: Callable[[CareerPanel], list[Predictions]]
) -> None:
    one, other = two_kinds(panel_of_chain(6000, seed=3))
    weight = best_weight(one, other)
    assert weight == pytest.approx(CHAIN_IS, abs=0.15)
    assert best_weight(other, one) == pytest.approx(1 - weight, abs=1e-3)
    # Where one model is right in everything that happens, it gets all the weight.
    sure = realised(one, "sure")
    sure.table["log_prob"] = 0.0
    assert best_weight(sure, other) == 1.0
    assert best_weight(other, sure) == 0.0
    never = [realised(each, each.model) for each in (one, other)]
    for each in never:
        each.table.loc[5, "log_prob"] = -np.inf
    assert best_weight(*never) is None


def test_a_pool_stands_beside_its_parts(
    panel_of_chain: Callable[..., CareerPanel], two_kinds: Callable[[CareerPanel], list[Predictions]]
) -> None:
    held, test = two_kinds(panel_of_chain(500, seed=1)), two_kinds(panel_of_chain(500, seed=2))
    never = [replace(each, table=each.table.assign(log_prob=-np.inf)) for each in held]
    table, left_out = mixtures(held[0], test[0], [(held[1], test[1])], draws=50)
    assert left_out == []
    empty, left_out = mixtures(never[0], test[0], [(never[1], test[1])], draws=50)
    assert empty.empty and [(each.model, each.reason) for each in left_out] == [("other", IMPOSSIBLE)]
    chosen, half = table.to_dict("records")
    assert (chosen["weight"], half["weight"]) == (best_weight(*held), 0.5)
    a, b = (np.exp(each.table["log_prob"]) for each in test)
    expected = np.exp(-np.log((a + b) / 2).mean())
    assert half["perplexity"] == pytest.approx(expected)
    assert half["difference"] == pytest.approx(expected - np.exp(-np.log(a).mean()))
    assert half["partner_difference"] == pytest.approx(expected - np.exp(-np.log(b).mean()))
    alone = mixture("alone", *test, weight=1.0)
    np.testing.assert_allclose(alone.table["log_prob"], test[0].table["log_prob"])
    assert "with other it has a weight of" in mixture_sentence(table).words
    assert shown(table).frame["Pooled with"].tolist() == ["other", "other"]
