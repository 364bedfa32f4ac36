"""The parts of a next job are those worked out by hand, add up to the whole, and are compared in pairs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from labor_llm.careers.panel import CareerPanel
from labor_llm.careers.predictions import Predictions
from labor_llm.evaluation.comparison import NOT_SCORED, realised, with_all_titles
from labor_llm.evaluation.gains import (
    GROUP,
    OCCUPATION,
    PARTS,
    STAYING,
    VALID,
    WHOLE,
    at_group_level,
    gain_by_part,
    group_level_perplexity,
    likelihood_parts,
    returns,
)
from labor_llm.exhibits.gains import gain_sentence

# Cooks and bakers are one group of the chain's titles, each other title its own.
GROUPS = {"10": "food", "11": "food", "12": "service", "unemployed": "none", "out_of_labor_force": "out"}


def with_junk(predictions: Predictions, mass: float) -> Predictions:
    """Put so much of each record's probability on text that is no title."""
    scale = np.log1p(-mass)
    table = predictions.table.assign(
        log_prob=predictions.table["log_prob"] + scale,
        log_valid_mass=predictions.table["log_valid_mass"] + scale,
    )
    return replace(predictions, table=table, log_probs=predictions.log_probs + np.float32(scale))


def test_parts_worked_out_by_hand(chain_panel: CareerPanel, chain_model: type) -> None:
    """After a cook: 0.7 stays; of the 0.3 that move 0.08 bake, the same group, and 0.05 wait."""
    frame = chain_panel.frame.iloc[:4].assign(
        worker_id="w", year=[1980, 1981, 1982, 1983], occupation=["10", "10", "11", "12"]
    )
    panel = CareerPanel(frame.reset_index(drop=True), chain_panel.outcomes, "chain")
    parts = likelihood_parts(with_junk(chain_model().predict(panel), 0.1), panel, GROUPS)
    got = {name: np.exp(parts[name].table["log_prob"]).tolist() for name in PARTS}
    assert got[VALID] == pytest.approx([0.9] * 4)
    # A first record; a stayer; a cook who becomes a baker; a baker (0.6 stay, 0.1 cook) who becomes a waiter.
    assert got[STAYING] == pytest.approx([1.0, 0.7, 0.3, 0.4], rel=1e-6)
    assert got[GROUP] == pytest.approx([0.55, 1.0, 0.08 / 0.3, 0.12 / 0.4], rel=1e-6)
    assert got[OCCUPATION] == pytest.approx([0.30 / 0.55, 1.0, 1.0, 1.0], rel=1e-6)
    assert parts[STAYING].table["applies"].tolist() == [False, True, True, True]
    assert parts[GROUP].table["applies"].tolist() == [True, False, True, True]
    level = at_group_level(chain_model().predict(panel), GROUPS).table["log_prob"]
    assert np.exp(level).tolist() == pytest.approx([0.55, 0.78, 0.78, 0.12], rel=1e-6)


def test_the_parts_add_up_for_each_transition_and_in_the_table(
    chain_panel: CareerPanel, chain_model: type
) -> None:
    own = with_junk(chain_model(heat=1.7, name="hot").predict(chain_panel), 0.02)
    other = chain_model().predict(chain_panel)
    parts = likelihood_parts(own, chain_panel, GROUPS)
    together = sum(parts[name].table["log_prob"] for name in PARTS)
    np.testing.assert_allclose(together, parts[WHOLE].table["log_prob"], atol=1e-9)
    np.testing.assert_allclose(together, own.table["log_prob"], atol=1e-6)  # the matrix is of float32
    got = gain_by_part(own, other, chain_panel, GROUPS, draws=50).set_index("part")
    columns = ["loss", "reference_loss", "difference"]
    np.testing.assert_allclose(got.loc[list(PARTS), columns].sum(), got.loc[WHOLE, columns], atol=1e-9)
    # Nothing of what is no title is the chain's own; all is what the other puts there.
    assert got.at[VALID, "difference"] == pytest.approx(-np.log(0.98), abs=1e-6)
    assert got.at[VALID, "test_se"] == pytest.approx(0.0, abs=1e-6)
    assert (got["ci_low"] <= got["ci_high"]).all()
    # The true probabilities lose less, above all on staying, of which the heated ones tell least.
    assert got.at[STAYING, "difference"] > got.loc[[GROUP, OCCUPATION], "difference"].abs().max()
    said = gain_sentence(got.reset_index()).words
    assert said.startswith("hot against chain: +")
    assert "it loses more on a valid title" in said


def test_a_part_of_too_few_workers_and_a_model_without_all_titles_give_no_table(
    chain_panel: CareerPanel, chain_model: type
) -> None:
    model, hot = chain_model().predict(chain_panel), chain_model(heat=2, name="hot").predict(chain_panel)
    few = chain_panel.restrict(chain_panel.workers[:10])
    some = [chain_model(name=name, heat=heat).predict(few) for name, heat in (("chain", 1.0), ("hot", 2.0))]
    for pair, panel in ((some, few), ([realised(model, "chain"), hot], chain_panel)):
        table = gain_by_part(*pair, panel, GROUPS, draws=20)
        assert table.empty
        assert gain_sentence(table).words == ""
    kept, left_out = with_all_titles([replace(realised(model, "chain"), log_probs=None), hot])
    assert [each.model for each in kept] == ["hot"]
    assert [(each.model, each.reason) for each in left_out] == [("chain", NOT_SCORED)]
    levels = group_level_perplexity([model, hot], GROUPS, draws=20)
    assert (levels["group_perplexity"] < levels["perplexity"]).all()


def test_few_who_stay_are_not_told_by_subtraction(chain_panel: CareerPanel, chain_model: type) -> None:
    moves = chain_panel.frame.groupby("worker_id")["occupation"].apply(
        lambda jobs: (jobs == jobs.shift()).sum()
    )
    panel = chain_panel.restrict([*moves.index[moves == 0][:40], *moves.index[moves > 0][:5]])
    pair = [chain_model(name=name, heat=heat).predict(panel) for name, heat in (("chain", 1.0), ("hot", 2.0))]
    got = gain_by_part(*pair, panel, GROUPS, draws=20).set_index("part")
    assert got.loc[list(PARTS), "transitions"].isna().all()
    assert got.at[WHOLE, "transitions"] == len(panel.frame)
    assert got["difference"].notna().all()


def test_moves_back_are_told_from_other_moves(
    panel_of_chain: Callable[..., CareerPanel], chain_model: type
) -> None:
    """By the careers themselves: a model of first order knows no difference, one that returns does."""
    chain_panel = panel_of_chain(2000)
    frame = chain_panel.frame.copy()
    job = frame["occupation"]
    before, second = (job.groupby(frame["worker_id"]).shift(by) for by in (1, 2))
    # Between jobs alone, of those who had another one before.
    jobs = job.isin(["10", "11", "12"]) & before.isin(["10", "11", "12"]) & second.isin(["10", "11", "12"])
    move = jobs & (job != before) & (before != second)
    back = move & (job == second)
    model = chain_model().predict(chain_panel)
    knows = replace(
        realised(model, "knows"),
        table=model.table.assign(log_prob=np.where(back, np.log(0.5), -3.0), log_valid_mass=np.nan),
        log_probs=None,
    )
    got = returns([realised(model, "chain"), knows], chain_panel, draws=20).set_index("model")
    assert got["moves"].tolist() == [move.sum()] * 2
    assert got["share"].tolist() == pytest.approx([100 * back.sum() / move.sum()] * 2)
    assert got.loc["knows", ["return", "other"]].tolist() == pytest.approx([2.0, np.exp(3.0)])
    expected = np.exp(-model.table.loc[back.to_numpy(), "log_prob"].mean())
    assert got.at["chain", "return"] == pytest.approx(expected)
    part = np.arange(len(frame)) >= 100
    both = [realised(model, "chain"), knows.select(part)]
    alone = returns([each.select(part) for each in both[:1]] + both[1:], chain_panel, draws=20)
    pd.testing.assert_frame_equal(returns(both, chain_panel, draws=20), alone)
    few = chain_panel.restrict(frame.loc[back, "worker_id"].unique()[:5])
    assert returns([chain_model().predict(few)], few).empty
