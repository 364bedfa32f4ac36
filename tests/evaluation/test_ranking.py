"""The AUC against scikit-learn and scipy, and its interval against analytic ones."""

from __future__ import annotations

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
from labor_llm.evaluation.binary_tasks import CHANGE, UNEMPLOYMENT, BinaryEvents, binary_events
from labor_llm.evaluation.ranking import (
    analytic_standard_error,
    area_under_curve,
    bootstrap_auc,
    bootstrap_auc_differences,
)
from labor_llm.evaluation.resampling import worker_weights


@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=60))
def test_auc_is_the_mann_whitney_share_with_ties_one_half(pairs: list[tuple[int, bool]]) -> None:
    scores, outcomes = np.array([s for s, _ in pairs], float), np.array([o for _, o in pairs])
    got = area_under_curve(scores, outcomes)
    if outcomes.all() or not outcomes.any():
        assert np.isnan(got)
        return
    statistic = scipy.stats.mannwhitneyu(scores[outcomes], scores[~outcomes]).statistic
    assert got == pytest.approx(statistic / (outcomes.sum() * (~outcomes).sum()), abs=1e-12)
    assert got == pytest.approx(roc_auc_score(outcomes, scores), abs=1e-12)
    assert got == pytest.approx(1 - area_under_curve(-scores, outcomes), abs=1e-12)
    assert got == area_under_curve(np.exp(scores), outcomes)


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
            "transition_type": "moving",
            "previous": "10",
            "outcome": outcome,
            "half": np.where(worker % 2, "odd", "even"),
        }
    )
    return BinaryEvents(
        UNEMPLOYMENT,
        "toy",
        "with_history",
        table,
        ("clear", "dim"),
        np.column_stack([clear, dim]),
        (True, True),
    )


def test_each_draw_is_the_auc_of_the_replicated_rows() -> None:
    events = clustered_events(40)
    weights = worker_weights(sorted(set(events.table["worker_id"])), 30, seed=3)
    units, _ = events.units("worker_id")
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
    got = bootstrap_auc([clustered_events(400)], draws=1000, seed=1).set_index("model")
    for model in ("clear", "dim"):
        assert got.loc[model, "test_se"] == pytest.approx(got.loc[model, "clustered_se"], rel=0.1)
    assert got.loc["clear", "test_se"] > 1.1 * got.loc["clear", "delong_se"]


def test_delong_agrees_with_its_definition() -> None:
    rng = np.random.default_rng(0)
    scores, outcomes = rng.integers(0, 5, 40).astype(float), rng.random(40) < 0.4
    above = np.sign(scores[outcomes][:, None] - scores[~outcomes][None]) / 2 + 0.5
    rows, columns = above.mean(axis=1), above.mean(axis=0)
    expected = np.sqrt(rows.var(ddof=1) / len(rows) + columns.var(ddof=1) / len(columns))
    assert analytic_standard_error(scores, outcomes) == pytest.approx(expected, rel=1e-12)
    # Workers of one record each: the clustered formula differs from DeLong's by degrees of freedom only.
    clustered = analytic_standard_error(scores, outcomes, np.arange(40))
    assert clustered == pytest.approx(expected, rel=0.05)
    assert np.isnan(analytic_standard_error(scores, np.arange(40) == 0))


def test_differences_are_paired() -> None:
    events = clustered_events(300)
    got = bootstrap_auc_differences([events], "clear", draws=400, seed=1).iloc[0]
    alone = bootstrap_auc([events], draws=400, seed=1).set_index("model")
    assert got["difference"] == pytest.approx(alone.loc["dim", "auc"] - alone.loc["clear", "auc"])
    assert got["difference"] < 0
    assert got["test_se"] < np.hypot(*alone["test_se"])
    twin = BinaryEvents(
        events.task,
        "toy",
        "with_history",
        events.table,
        ("a", "b"),
        events.probabilities[:, [0, 0]],
        (True, True),
    )
    same = bootstrap_auc_differences([twin], "a", draws=20).iloc[0]
    assert (same["difference"], same["test_se"]) == (0.0, 0.0)
    assert np.isnan(same["z"])
    with pytest.raises(InputError, match="no predictions of the reference 'career'"):
        bootstrap_auc_differences([events], "career", draws=2)


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
    assert got.loc[("clear", "odd"), ["auc", "test_se", "ci_low", "delong_se"]].isna().all()
    assert got.loc[("clear", "odd"), "draws"] == 0
    assert got.loc[("clear", "even"), "auc"] > 0.5
    assert got.loc[("clear", "even"), "reason"] == ""
    one = events.select((events.table["worker_id"] == events.table["worker_id"][0]).to_numpy())
    one.table["outcome"] = np.arange(len(one.table)) % 2 == 0
    single = bootstrap_auc([one], draws=20).iloc[0]
    assert np.isnan(single["test_se"])
    assert single["workers"] == 1
    with pytest.raises(InputError, match="'decade' is no column"):
        bootstrap_auc([events], by="decade", draws=5)
    with pytest.raises(InputError, match="at least two"):
        bootstrap_auc([events], draws=1)


def test_the_simulators_own_model_ranks_best(chain_panel: CareerPanel, chain_model: type) -> None:
    rng = np.random.default_rng(1)
    noisy = chain_model().matrix * np.exp(rng.normal(0, 1, chain_model().matrix.shape))
    wrong = chain_model(noisy, name="wrong").predict(chain_panel)
    events = [
        binary_events([chain_model().predict(chain_panel), wrong], chain_panel, t)
        for t in (CHANGE, UNEMPLOYMENT)
    ]
    got = bootstrap_auc(events, draws=50).pivot(index="task", columns="model", values="auc")
    assert (got["chain"] > got["wrong"]).all()
