"""Tables over several models and horizons, on the chain whose powers are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from labor_llm.careers.horizons import (
    RUNS,
    HorizonPair,
    compounded_predictions,
    direct_predictions,
    draw_questions,
)
from labor_llm.careers.occupations import OutcomeSpace
from labor_llm.careers.panel import CareerPanel, transitions
from labor_llm.careers.predictions import Predictions, from_matrix
from labor_llm.errors import InputError, MismatchError
from labor_llm.evaluation.comparison import keys_of
from labor_llm.evaluation.horizons import (
    _correlation_spread,
    agreement_by_model,
    baseline_pairs,
    drawn_questions,
    horizon_agreement,
    horizon_pairs,
    stay_bins,
    truth_by_model,
)
from labor_llm.evaluation.resampling import weight_blocks
from labor_llm.store.results import Results


def test_the_true_model_compounded_is_the_truth(chain_panel: CareerPanel, chain_model: type) -> None:
    some = chain_panel.restrict(chain_panel.workers[:60])
    asked, *_ = drawn_questions(some, [2, 3], 60, seed=1, step=1)
    oracle, warm = chain_model(name="oracle"), chain_model(heat=3.0, name="warm")
    pairs = horizon_pairs([oracle, warm], some, asked, paths=2, seed=1)
    assert [(pair.model, pair.years, pair.exact) for pair in pairs] == [
        ("oracle", 2, True), ("warm", 2, True), ("oracle", 3, False), ("warm", 3, False),
    ]  # fmt: skip
    agreement = agreement_by_model(pairs, draws=30)
    assert agreement["model"].tolist() == ["oracle", "warm"] * 2
    assert agreement["exact"].tolist() == [True, True, False, False]
    for name in (
        "scatter",
        "correlation_mc",
        "total_variation_mc",
        "kl_direct_compounded_mc",
        "compounded_perplexity_mc",
    ):
        assert (agreement[name] > 0).tolist() == [False, False, True, True], name
    truth = truth_by_model(pairs, "oracle", draws=30).set_index(["model", "years"])
    assert (truth["direct_variation"]["oracle"] == 0.0).all()
    power = np.linalg.matrix_power(oracle.matrix[:-1], 2)
    origin = some.outcomes.indices(asked[2]["origin"])
    expected = 0.5 * np.abs(power - oracle.matrix[:-1])[origin].sum(axis=1).mean()
    assert truth.loc[("oracle", 2), "compounded_variation"] == pytest.approx(expected, abs=1e-6)
    assert truth.loc[("warm", 2), "direct_variation"] > 0.05
    assert truth_by_model(pairs, "nobody").empty


def test_a_model_that_answers_some_questions_is_held_against_their_truth(
    chain_panel: CareerPanel, chain_model: type
) -> None:
    some = chain_panel.restrict(chain_panel.workers[:60])
    asked, *_ = drawn_questions(some, [2], 60, seed=1)
    few = {2: draw_questions(asked[2], 20, seed=1)}
    oracle = horizon_pairs([chain_model(name="oracle")], some, asked, paths=8)
    warm = horizon_pairs([chain_model(heat=3.0, name="warm")], some, few, paths=8)
    truth = truth_by_model(oracle + warm, "oracle", draws=30).set_index("model")
    same = oracle[0].direct
    same = same.select(keys_of(same.table).isin(keys_of(warm[0].direct.table)))
    assert len(same.table) == 20
    expected = horizon_agreement(same, warm[0].direct, draws=30)
    got = truth.loc["warm", ["direct_variation", "direct_se"]].tolist()
    assert got == [expected["total_variation"], expected["total_variation_se"]]


def test_two_ways_that_are_the_same_differ_by_the_scatter_of_the_paths(
    chain_panel: CareerPanel, chain_model: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Knowing(chain_model):  # type: ignore[misc, valid-type]
        """The chain, which knows that a gap of two years is two steps."""

        def predict(self, panel: CareerPanel) -> Predictions:
            table = transitions(panel)
            gap = (table["year"] - table["previous_year"]).fillna(1).to_numpy(dtype=int)
            first = table["previous"].isna().to_numpy()
            previous = np.array(panel.outcomes.indices(table["previous"].fillna(table["occupation"])))
            one = self.matrix[:-1]
            chances = np.where((gap == 2)[:, None], (one @ one)[previous], one[previous])
            chances[first] = self.matrix[-1]
            return from_matrix(self.name, table, panel.outcomes, np.log(chances))

    # Sharper than the chain: what comes after each path differs more, and with it the average over few.
    model = Knowing(heat=0.5)
    asked = drawn_questions(chain_panel, [2], 300, seed=1)[0][2]
    direct = direct_predictions(model, chain_panel, asked)
    exact = compounded_predictions(model, chain_panel, asked, 5)
    monkeypatch.setattr("labor_llm.careers.horizons.runs_needed", lambda *_: RUNS)
    drawn = compounded_predictions(model, chain_panel, asked, 2, seed=1)
    pairs = [HorizonPair("sum", 2, direct, exact), HorizonPair("paths", 2, direct, drawn)]
    got = agreement_by_model(pairs, draws=200).set_index("model")
    assert got["exact"].tolist() == [True, False]
    assert got.loc["sum", ["log_prob_difference", "total_variation", "scatter"]].tolist() == pytest.approx(
        [0] * 3, abs=1e-6
    )
    assert got.loc["paths", "scatter"] == pytest.approx(got.loc["paths", "total_variation"], rel=0.2)


def test_bins_hold_eleven_workers_and_all_questions(chain_panel: CareerPanel, chain_model: type) -> None:
    some = chain_panel.restrict(chain_panel.workers[:60])
    asked, *_ = drawn_questions(some, [2], 60, seed=1)
    pairs = horizon_pairs([chain_model()], some, asked, paths=8)
    got = stay_bins(pairs, asked, bins=20)
    assert 1 < len(got) < 20
    assert got["workers"].min() >= 11
    assert got["questions"].sum() == 60
    matrix = chain_model().matrix[:-1]
    origin = some.outcomes.indices(asked[2]["origin"])
    means = (got[["direct", "compounded"]].mul(got["questions"], axis=0)).sum() / 60
    assert means["direct"] == pytest.approx(np.diag(matrix)[origin].mean(), abs=1e-6)
    assert means["compounded"] == pytest.approx(np.diag(matrix @ matrix)[origin].mean(), abs=1e-6)


def test_the_correlation_is_resampled_by_worker() -> None:
    generator = np.random.default_rng(1)
    chances, units = generator.random((40, 2)), np.repeat(np.arange(20), 2)
    (weights,) = weight_blocks(20, 30, 3)
    drawn = [np.corrcoef(*np.repeat(chances, times[units].astype(int), axis=0).T)[0, 1] for times in weights]
    got = _correlation_spread(chances, units, 30, 3)
    assert got["correlation_se"] == pytest.approx(np.std(drawn, ddof=1))
    low, high = np.percentile(drawn, [2.5, 97.5])
    assert [got["correlation_low"], got["correlation_high"]] == pytest.approx([low, high])


def test_agreement_by_hand() -> None:
    table = pd.DataFrame(
        {
            "dataset": "d", "worker_id": ["a", "b"], "year": [1, 1], "transition_type": "moving",
            "occupation": ["10", "11"], "log_prob": np.log([0.5, 0.5]), "log_valid_mass": 0.0,
        }
    )  # fmt: skip
    space = OutcomeSpace(("10", "11"), ("A", "B"))
    first = Predictions("d", table, space, np.log(np.full((2, 2), 0.5)).astype(np.float32))
    other = np.array([[0.8, 0.2], [0.1, 0.9]])
    realised = table.assign(log_prob=np.log([0.8, 0.9]))
    second = Predictions("c", realised, space, np.log(other).astype(np.float32))
    got = horizon_agreement(first, second, draws=10)
    assert got["total_variation"] == pytest.approx((0.3 + 0.4) / 2, rel=1e-6)
    expected = np.mean([np.sum(0.5 * np.log(0.5 / row)) for row in other])
    assert got["kl_direct_compounded"] == pytest.approx(expected, rel=1e-6)
    # Of constants there is no correlation.
    assert np.isnan([got["correlation"], got["correlation_se"], got["correlation_low"]]).all()
    assert got["log_prob_difference"] == pytest.approx(np.mean(np.log(0.5 / np.array([0.8, 0.9]))))
    with np.errstate(divide="ignore"):
        blind = Predictions("z", table, space, np.log(np.array([[1.0, 0.0], [0.5, 0.5]])).astype(np.float32))
    assert horizon_agreement(first, blind, draws=10)["kl_direct_compounded"] == np.inf
    with pytest.raises(MismatchError, match="different transitions"):
        horizon_agreement(first, second.select(np.array([True, False])), draws=10)


@pytest.mark.parametrize(
    ("years", "horizons", "step", "asked", "left_out"),
    [
        (range(1980, 1988), [], 0, (1, [2, 3]), []),
        (range(1980, 1996, 2), [], 0, (2, [4, 6]), []),
        ([*range(1980, 1984), *range(1984, 2000, 2)], [], 0, (2, [4, 6]), []),
        ([*range(1980, 1988), 1990, 1992], [], 0, (1, [2, 3]), []),
        (range(1980, 1996, 2), [2, 3, 4], 0, (2, [4]), [2, 3]),
        (range(1980, 1996, 2), [2, 3], 1, (1, [2]), [3]),
        (range(1980, 1988), [7, 2, 8], 1, (1, [7, 2]), [8]),
        ([1980, 1981], [], 0, (1, []), [2, 3]),
        ([1980], [], 0, (1, []), [2, 3]),
    ],
)
def test_horizons_are_in_steps_of_the_panel_and_others_left_out(
    chain_panel: CareerPanel, years, horizons, step, asked, left_out
) -> None:
    parts = [chain_panel.frame.groupby("worker_id").head(1).head(12).assign(year=year) for year in years]
    frame = pd.concat(parts).sort_values(["worker_id", "year"], ignore_index=True)
    panel = CareerPanel(frame, chain_panel.outcomes, "chain")
    found, between, others = drawn_questions(panel, horizons, 5, seed=1, step=step)
    assert (between, list(found)) == asked
    assert [entry.what for entry in others] == [f"{horizon} years ahead" for horizon in left_out]
    assert all(f"a step is {between} in years" in entry.reason for entry in others)
    # So few questions as were asked for would be of fewer workers.
    assert all(questions["worker_id"].nunique() >= 11 for questions in found.values())
    if not found:
        assert baseline_pairs(["career"], panel, {}, Results(Path("nowhere")), found, 5) == []
        assert agreement_by_model([]).empty and stay_bins([], {}).empty and truth_by_model([]).empty
    with pytest.raises(InputError, match="different numbers of years"):
        drawn_questions(panel, [2, 2], 30)
