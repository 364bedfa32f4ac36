"""The AUC against scikit-learn and scipy, and its interval against analytic ones."""

from __future__ import annotations

import dataclasses

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given
from sklearn.metrics import roc_auc_score

from labor_llm.careers.panel import CareerPanel
from labor_llm.errors import InputError
from labor_llm.evaluation import ranking
from labor_llm.evaluation.binary_tasks import UNEMPLOYMENT, BinaryEvents, shared_events
from labor_llm.evaluation.ranking import bootstrap_auc, differences_to_best
from labor_llm.evaluation.resampling import weight_blocks


@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=60))
def test_auc_is_the_mann_whitney_share_with_ties_one_half(pairs: list[tuple[int, bool]]) -> None:
    scores, outcomes = np.array([s for s, _ in pairs], float), np.array([o for _, o in pairs])
    table = pd.DataFrame({"worker_id": np.arange(len(pairs)).astype(str), "outcome": outcomes})
    stated = np.column_stack([scores, -scores, np.exp(scores)])
    events = BinaryEvents(UNEMPLOYMENT, "toy", table, ("given", "turned", "grown"), stated)
    given_, turned, grown = bootstrap_auc([events], draws=2)["auc"]
    if outcomes.all() or not outcomes.any():
        assert np.isnan(given_)
        return
    statistic = scipy.stats.mannwhitneyu(scores[outcomes], scores[~outcomes]).statistic
    assert given_ == pytest.approx(statistic / (outcomes.sum() * (~outcomes).sum()), abs=1e-12)
    assert given_ == pytest.approx(roc_auc_score(outcomes, scores), abs=1e-12)
    assert given_ == pytest.approx(1 - turned, abs=1e-12)
    assert given_ == grown


def clustered_events(workers: int = 150, seed: int = 0) -> BinaryEvents:
    """Two models of an event that depends on the worker; the second sees less of it."""
    rng = np.random.default_rng(seed)
    worker = np.repeat(np.arange(workers), rng.integers(1, 12, workers))
    effect = rng.normal(size=workers)[worker]
    outcome = rng.random(len(worker)) < 1 / (1 + np.exp(1.0 - effect))
    clear = 1 / (1 + np.exp(-effect.round(1)))
    dim = 1 / (1 + np.exp(-(effect + rng.normal(size=len(worker)))))
    table = pd.DataFrame(
        {
            "worker_id": [f"w{i:04d}" for i in worker],
            "year": np.arange(len(worker)),
            "outcome": outcome,
            "half": np.where(worker % 2, "odd", "even"),
        }
    )
    return BinaryEvents(
        UNEMPLOYMENT,
        "toy",
        table,
        ("clear", "dim"),
        np.column_stack([clear, dim]),
    )


def test_each_draw_is_the_auc_of_the_replicated_rows() -> None:
    events = clustered_events(40)
    units, count = events.units()
    weights = np.concatenate(list(weight_blocks(count, 30, seed=3)))
    drawn = [
        roc_auc_score(events.outcomes, events.probabilities[:, 0], sample_weight=row[units])
        for row in weights
    ]
    got = bootstrap_auc([events], draws=30, seed=3).iloc[0]
    assert got["auc"] == pytest.approx(roc_auc_score(events.outcomes, events.probabilities[:, 0]), abs=1e-12)
    assert got["test_se"] == pytest.approx(np.std(drawn, ddof=1), rel=1e-9)
    np.testing.assert_allclose(got[["ci_low", "ci_high"]].astype(float), np.percentile(drawn, [2.5, 97.5]))


def test_bins_of_many_probabilities_change_a_draw_by_far_less_than_its_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    events = clustered_events(300)
    exact = bootstrap_auc([events], draws=40, seed=3)
    monkeypatch.setattr(ranking, "MOST_BINS", 100)
    binned = bootstrap_auc([events], draws=40, seed=3)
    assert len(np.unique(events.probabilities[:, 1])) > 1000
    pd.testing.assert_series_equal(binned["auc"], exact["auc"], check_exact=True)
    for column in ("test_se", "ci_low", "ci_high"):
        assert (binned[column] - exact[column]).abs().max() < 0.03 * exact["test_se"].min()


def test_bootstrap_agrees_with_the_clustered_formula_and_exceeds_delong() -> None:
    """Obuchowski (1997) adds the components of DeLong et al. (1988) up within workers, which they take to be alone."""
    events = clustered_events(400)
    got = bootstrap_auc([events], draws=1000, seed=1).set_index("model")
    occurred, (workers, count) = events.outcomes, events.units()
    for model, scores in zip(events.models, events.probabilities.T, strict=True):
        right = np.sign(scores[occurred][:, None] - scores[~occurred]) / 2 + 0.5
        placed = np.empty(len(scores))
        placed[occurred], placed[~occurred] = right.mean(axis=1), right.mean(axis=0)
        delong = np.sqrt(sum(placed[rows].var(ddof=1) / rows.sum() for rows in (occurred, ~occurred)))
        share = np.where(occurred, 1 / occurred.sum(), 1 / (~occurred).sum())
        by_worker = np.bincount(workers, (placed - right.mean()) * share)
        clustered = np.sqrt((by_worker**2).sum() * count / (count - 1))
        assert got.loc[model, "test_se"] == pytest.approx(clustered, rel=0.1)
        if model == "clear":
            assert got.loc[model, "test_se"] > 1.1 * delong


def test_differences_to_the_baseline_that_ranks_best_are_paired() -> None:
    events = clustered_events(300)
    got = differences_to_best([events], ["clear", "dim"], draws=400, seed=1)
    assert got[["model", "reference"]].to_numpy().tolist() == [["dim", "clear"]]
    alone = bootstrap_auc([events], draws=400, seed=1).set_index("model")
    row = got.iloc[0]
    assert row["difference"] == pytest.approx(alone.loc["dim", "auc"] - alone.loc["clear", "auc"])
    assert row["difference"] < 0
    assert row["test_se"] < np.hypot(*alone["test_se"])
    twin = dataclasses.replace(events, models=("a", "b"), probabilities=events.probabilities[:, [0, 0]])
    same = differences_to_best([twin], ["a"], draws=20).iloc[0]
    assert (same["difference"], same["test_se"]) == (0.0, 0.0)
    assert np.isnan(same["z"])
    with pytest.raises(InputError, match="toy: no predictions of a baseline"):
        differences_to_best([events], ["none of these"])


def test_transitions_without_a_group_are_not_left_out_unsaid() -> None:
    events = clustered_events()
    events.table.loc[[3, 8], "half"] = None
    with pytest.raises(
        InputError, match=rf"^toy, Unemployment: 2 of {len(events.table):,} .* no value of 'half'"
    ):
        bootstrap_auc([events], "half", draws=10)


def test_a_group_with_one_class_or_one_worker_is_stated_and_the_others_are_computed() -> None:
    events = clustered_events(60)
    odd = (events.table["half"] == "odd").to_numpy()
    events.table.loc[odd, "outcome"] = False
    got = bootstrap_auc([events], by="half", draws=50).set_index(["model", "half"])
    assert got.loc[("clear", "odd"), "reason"] == "the event never occurs"
    assert got.loc[("clear", "odd"), ["auc", "test_se", "ci_low"]].isna().all()
    assert got.loc[("clear", "odd"), "draws"] == 0
    assert got.loc[("clear", "even"), "auc"] > 0.5
    assert got.loc[("clear", "even"), "reason"] == ""
    table = pd.DataFrame({"worker_id": ["a"] * 4, "outcome": [True, False] * 2})
    one = BinaryEvents(UNEMPLOYMENT, "toy", table, ("m",), np.array([[0.1], [0.2], [0.4], [0.3]]))
    single = bootstrap_auc([one], draws=20).iloc[0]
    assert np.isnan(single["test_se"])
    assert single["workers"] == 1
    with pytest.raises(InputError, match="at least two"):
        bootstrap_auc([events], draws=1)


def test_the_simulators_own_model_ranks_best(chain_panel: CareerPanel, chain_model: type) -> None:
    rng = np.random.default_rng(1)
    noisy = chain_model().matrix * np.exp(rng.normal(0, 1, chain_model().matrix.shape))
    models = [chain_model().predict(chain_panel), chain_model(noisy, name="wrong").predict(chain_panel)]
    events, _ = shared_events(models, [chain_panel])
    got = bootstrap_auc(events, draws=50).pivot(index="task", columns="model", values="auc")
    assert (got["chain"] > got["wrong"]).all()
