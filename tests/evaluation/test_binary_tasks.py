"""Events on the transitions that models share, what is left out and why; the AUC against scikit-learn and scipy."""

from __future__ import annotations

import dataclasses

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given
from sklearn.metrics import roc_auc_score

from labor_llm.careers.occupations import OutcomeSpace
from labor_llm.careers.panel import CareerPanel, transitions
from labor_llm.careers.predictions import Predictions
from labor_llm.errors import InputError, MismatchError, NumericalError
from labor_llm.evaluation import binary_tasks
from labor_llm.evaluation.binary_tasks import (
    CHANGE,
    NO_MODEL,
    NO_STATE,
    OUT_OF_LABOR_FORCE,
    TOO_FEW,
    UNEMPLOYMENT,
    BinaryEvents,
    bootstrap_auc,
    differences_to_best,
    shared_events,
)
from labor_llm.evaluation.comparison import LEFT_OPEN, NOT_SCORED, LeftOut, with_all_titles
from labor_llm.evaluation.resampling import weight_blocks


def realised(prediction: Predictions, name: str, rows: np.ndarray | None = None) -> Predictions:
    """The same with the scores of all titles for some rows only; for none if not given."""
    rows = np.zeros(len(prediction.table), dtype=bool) if rows is None else rows
    table = prediction.table.assign(log_valid_mass=np.where(rows, 0.0, np.nan))
    matrix = prediction.log_probs[rows] if rows.any() else None
    return Predictions(name, table, prediction.outcomes, matrix)


def test_probabilities_are_entries_of_the_distribution(chain_panel: CareerPanel, chain_model: type) -> None:
    model = chain_model()
    records = transitions(chain_panel)
    later = records[records["previous"].notna()]
    previous = chain_panel.outcomes.indices(later["previous"])
    expected = (1 - model.matrix[previous, previous], model.matrix[previous, 3], model.matrix[previous, 4])
    happened = (
        later["transition_type"] == "moving",
        later["occupation"] == "unemployed",
        later["occupation"] == "out_of_labor_force",
    )
    events, left_out = shared_events([model.predict(chain_panel)], [chain_panel])
    assert left_out == []
    assert [found.task for found in events] == [CHANGE, UNEMPLOYMENT, OUT_OF_LABOR_FORCE]
    for got, chances, occurred in zip(events, expected, happened, strict=True):
        assert got.table["worker_id"].tolist() == later["worker_id"].tolist()
        np.testing.assert_allclose(got.probabilities[:, 0], chances, rtol=1e-6)
        np.testing.assert_array_equal(got.outcomes, occurred)


def test_mass_outside_the_titles_is_divided_out_where_all_titles_were_scored_and_only_there(
    chain_panel: CareerPanel, chain_model: type
) -> None:
    whole = chain_model().predict(chain_panel)
    half = np.log(0.5)
    table = whole.table.assign(log_prob=whole.table["log_prob"] + half, log_valid_mass=half)
    scored = Predictions("lm", table, whole.outcomes, (whole.log_probs + half).astype(np.float32))
    column = whole.log_probs[:, 3] + half
    named = Predictions(
        "named", table.assign(log_valid_mass=np.nan, log_prob_unemployed=column), whole.outcomes
    )
    # The rows of a table need not be sorted, and the matrix follows them.
    order = np.random.default_rng(0).permutation(len(table))
    shuffled = Predictions("shuffled", table.iloc[order], whole.outcomes, scored.log_probs[order])
    models = [whole, scored, named, shuffled]
    (change, got), left_out = shared_events(models, [chain_panel], [CHANGE, UNEMPLOYMENT])
    assert (change.models, got.models) == (("chain", "lm", "shuffled"), ("chain", "lm", "named", "shuffled"))
    np.testing.assert_allclose(got.probabilities[:, 1], got.probabilities[:, 0], rtol=1e-5)
    np.testing.assert_allclose(got.probabilities[:, 2], got.probabilities[:, 0] / 2, rtol=1e-5)
    np.testing.assert_array_equal(got.probabilities[:, 3], got.probabilities[:, 1])
    assert left_out == [LeftOut("chain", CHANGE.label, "named", NOT_SCORED)]
    wrong = Predictions("w", named.table.assign(log_prob_unemployed=0.2), whole.outcomes)
    with pytest.raises(NumericalError, match="above zero"):
        shared_events([wrong], [chain_panel], [UNEMPLOYMENT])


def test_models_are_compared_where_all_of_them_have_the_scores(
    chain_panel: CareerPanel, chain_model: type
) -> None:
    full = chain_model().predict(chain_panel)
    some = (full.table["worker_id"] < "w00100").to_numpy()
    models = [full, realised(full, "partial", some), realised(full, "realised")]
    events, left_out = shared_events(models, [chain_panel])
    (direct,), _ = shared_events([full], [chain_panel], [CHANGE])
    inside = direct.table["worker_id"] < "w00100"
    for found in events:
        assert found.models == ("chain", "partial")
        assert len(found.table) == inside.sum()
    np.testing.assert_allclose(events[0].probabilities[:, 0], direct.probabilities[inside, 0])
    np.testing.assert_allclose(*events[0].probabilities.T)
    assert left_out == [LeftOut("chain", found.task.label, "realised", NOT_SCORED) for found in events]
    complete, without = with_all_titles(models)
    assert [len(model.table) for model in complete] == [some.sum()] * 2
    assert without == [LeftOut("chain", "", "realised", NOT_SCORED)]


def test_what_cannot_be_asked_is_left_out_with_the_reason(
    chain_panel: CareerPanel, chain_model: type
) -> None:
    full = chain_model().predict(chain_panel)
    few = chain_panel.restrict(chain_panel.workers[:15])
    events, left_out = shared_events([chain_model().predict(few)], [few], [UNEMPLOYMENT])
    assert events == []
    assert left_out == [LeftOut("chain", UNEMPLOYMENT.label, "", TOO_FEW)]
    _, left_out = shared_events([realised(full, "r")], [chain_panel], [CHANGE])
    assert [entry.reason for entry in left_out] == [NOT_SCORED, NO_MODEL]
    bounded = Predictions("b", full.table, full.outcomes, full.log_probs, np.zeros_like(full.log_probs))
    _, left_out = shared_events([full, bounded], [chain_panel], [CHANGE])
    assert left_out == [LeftOut("chain", CHANGE.label, "b", LEFT_OPEN)]


def test_a_state_that_a_data_set_lacks(chain_panel: CareerPanel, chain_model: type) -> None:
    space = OutcomeSpace(("10", "11", "12", "x", "y"), chain_panel.outcomes.titles)
    codes = dict(zip(chain_panel.outcomes.codes, space.codes, strict=True))
    frame = chain_panel.frame.assign(occupation=chain_panel.frame["occupation"].map(codes))
    full = chain_model().predict(chain_panel)
    table = full.table.assign(occupation=full.table["occupation"].map(codes))
    events, left_out = shared_events(
        [Predictions("m", table, space, full.log_probs)], [CareerPanel(frame, space, "chain")]
    )
    assert [found.task for found in events] == [CHANGE]
    lacking = [(entry.what, entry.reason) for entry in left_out]
    assert lacking == [("Unemployment", NO_STATE), ("Out of the labor force", NO_STATE)]


def test_other_transitions_and_a_missing_panel_are_refused(
    chain_panel: CareerPanel, chain_model: type
) -> None:
    full = chain_model().predict(chain_panel)
    named = Predictions("named", full.table.assign(log_prob_stay=-1.0), full.outcomes)
    other = named.select((named.table["worker_id"] > "w00100").to_numpy())
    with pytest.raises(MismatchError, match="Score the same split"):
        shared_events([full, other], [chain_panel], [CHANGE])
    with pytest.raises(MismatchError, match="different transitions"):
        shared_events([named, Predictions("b", other.table, full.outcomes)], [chain_panel], [CHANGE])
    with pytest.raises(MismatchError, match="are not in the panel"):
        shared_events([full], [chain_panel.restrict(chain_panel.workers[:5])], [CHANGE])
    with pytest.raises(InputError, match="without their panel"):
        shared_events([full], [])


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
    table = pd.DataFrame({"worker_id": [f"w{i:04d}" for i in worker], "year": np.arange(len(worker))})
    table = table.assign(outcome=outcome, half=np.where(worker % 2, "odd", "even"))
    return BinaryEvents(UNEMPLOYMENT, "toy", table, ("clear", "dim"), np.column_stack([clear, dim]))


def test_each_draw_is_the_auc_of_the_replicated_rows() -> None:
    events = clustered_events(40)
    (units, count), stated = events.units(), events.probabilities[:, 0]
    weights = np.concatenate(list(weight_blocks(count, 30, seed=3)))
    drawn = [roc_auc_score(events.outcomes, stated, sample_weight=row[units]) for row in weights]
    got = bootstrap_auc([events], draws=30, seed=3).iloc[0]
    assert got["auc"] == pytest.approx(roc_auc_score(events.outcomes, stated), abs=1e-12)
    assert got["test_se"] == pytest.approx(np.std(drawn, ddof=1), rel=1e-9)
    np.testing.assert_allclose(got[["ci_low", "ci_high"]].astype(float), np.percentile(drawn, [2.5, 97.5]))


def test_bins_of_many_probabilities_change_a_draw_by_far_less_than_its_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    events = clustered_events(300)
    exact = bootstrap_auc([events], draws=40, seed=3)
    monkeypatch.setattr(binary_tasks, "MOST_BINS", 100)
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
    events.table.loc[[3, 8], "half"] = None
    told = rf"^toy, Unemployment: 2 of {len(events.table):,} .* no value of 'half'"
    with pytest.raises(InputError, match=told):
        bootstrap_auc([events], "half", draws=10)
