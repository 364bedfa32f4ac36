"""TrainSE: resampled training workers, stored refits, and whether the two errors together are right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from labor_llm.baselines.frequencies import EmpiricalTransitions, transition_counts
from labor_llm.careers.horizons import NextJobModel
from labor_llm.careers.panel import CareerPanel, split_workers
from labor_llm.careers.refits import resampled_training, stored_refits, training_refits
from labor_llm.errors import ArtefactError, InputError
from labor_llm.evaluation.perplexity import bootstrap_differences, bootstrap_perplexity
from labor_llm.evaluation.total_error import combined_errors
from labor_llm.evaluation.training_error import train_difference_errors, train_standard_errors


def empirical(train: CareerPanel, validation: CareerPanel) -> EmpiricalTransitions:
    return EmpiricalTransitions("empirical", smoothings=["additive"]).fit(train, validation)


class Counting:
    """A fit that counts how often it was asked for."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, train: CareerPanel, validation: CareerPanel) -> EmpiricalTransitions:
        self.times += 1
        return empirical(train, validation)


@pytest.fixture(scope="module")
def parts(chain_panel: CareerPanel) -> dict[str, CareerPanel]:
    splits = split_workers(chain_panel, seed=1)
    return {name: chain_panel.split(splits, name) for name in ("train", "validation", "test")}


def test_as_many_workers_are_drawn_with_copies_of_their_own(parts: dict[str, CareerPanel]) -> None:
    train = parts["train"]
    drawn = resampled_training(train, seed=0, refit=0)
    assert len(drawn.workers) == len(train.workers)
    originals = pd.Series(drawn.workers).str.split("~").str[0]
    # About a share of 1 / e of the workers is not drawn.
    assert originals.nunique() / len(train.workers) == pytest.approx(1 - np.exp(-1), abs=0.06)
    twice = next(worker for worker in drawn.workers if worker.endswith("~1"))
    copy = drawn.frame[drawn.frame["worker_id"] == twice].drop(columns="worker_id").reset_index(drop=True)
    own = train.frame[train.frame["worker_id"] == twice[:-2]].drop(columns="worker_id").reset_index(drop=True)
    pd.testing.assert_frame_equal(copy, own)
    again = resampled_training(train, seed=0, refit=0)
    pd.testing.assert_frame_equal(drawn.frame, again.frame)
    assert resampled_training(train, seed=0, refit=1).workers != drawn.workers


def test_refits_are_stored_and_an_interrupted_bootstrap_goes_on(
    parts: dict[str, CareerPanel], tmp_path: Path
) -> None:
    fit = Counting()
    panels = (parts["train"], parts["validation"], parts["test"])
    (tmp_path / "refit_002").mkdir()  # As a workflow does for the outputs of a step.
    three = training_refits(fit, *panels, refits=3, folder=tmp_path)
    five = training_refits(fit, *panels, refits=5, folder=tmp_path)
    assert fit.times == 5
    for stored, made in zip(stored_refits(tmp_path), [*three, *five[3:]], strict=True):
        pd.testing.assert_frame_equal(stored.table, made.table)
    assert five[0].log_probs is None
    damaged = tmp_path / "refit_001" / "predictions.parquet"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    with pytest.raises(ArtefactError, match="refit_001"):
        stored_refits(tmp_path)
    training_refits(fit, *panels, refits=5, folder=tmp_path)
    assert fit.times == 6
    fewer = parts["train"].restrict(parts["train"].workers[1:])
    for changed in ({"seed": 1}, {"made_by": {"rank": 8}}):
        training_refits(fit, *panels, refits=2, folder=tmp_path, **changed)
    training_refits(fit, fewer, *panels[1:], refits=2, folder=tmp_path)
    assert fit.times == 6 + 3 * 2
    assert len(stored_refits(tmp_path)) == 2
    with pytest.raises(ArtefactError, match="0 refits found"):
        stored_refits(tmp_path / "nothing")
    with pytest.raises(InputError, match="at least two"):
        training_refits(fit, *panels, refits=1, folder=tmp_path)


def test_errors_and_their_sum_by_hand(
    parts: dict[str, CareerPanel], chain_model: type, tmp_path: Path
) -> None:
    panels = (parts["train"], parts["validation"], parts["test"])
    refits = training_refits(empirical, *panels, refits=6, folder=tmp_path)
    got = train_standard_errors([refits]).iloc[0]
    values = [np.exp(-refit.table["log_prob"].mean()) for refit in refits]
    assert got["mean_over_refits"] == pytest.approx(np.mean(values))
    assert got["train_se"] == pytest.approx(np.std(values, ddof=1))
    assert (got["refits"], got["relative_error"]) == (6, pytest.approx(1 / np.sqrt(10)))
    own = empirical(*panels[:2]).predict(panels[2])
    oracle = chain_model().predict(panels[2])
    tested = bootstrap_perplexity([own, oracle], draws=200)
    both = combined_errors(tested, train_standard_errors([refits])).set_index("model")
    row = both.loc["empirical"]
    assert row["total_se"] == pytest.approx(np.hypot(row["test_se"], row["train_se"]))
    freedom = 5 * (row["total_se"] / row["train_se"]) ** 4
    assert row["degrees_of_freedom"] == pytest.approx(freedom)
    half = scipy.stats.t.ppf(0.975, freedom) * row["total_se"]
    assert row["total_ci_high"] - row["perplexity"] == pytest.approx(half)
    # What was not refitted has no total.
    assert np.isnan(both.loc["chain", "total_se"])


def test_differences_are_paired_by_refit(parts: dict[str, CareerPanel], tmp_path: Path) -> None:
    panels = (parts["train"], parts["validation"], parts["test"])

    def smoother(train: CareerPanel, validation: CareerPanel) -> EmpiricalTransitions:
        return EmpiricalTransitions("backed off", smoothings=["back_off"]).fit(train, validation)

    refits = [training_refits(fit, *panels, 8, tmp_path / fit.__name__) for fit in (empirical, smoother)]
    got = train_difference_errors(refits, "empirical").iloc[0]
    alone = train_standard_errors(refits)["train_se"]
    assert got["train_se"] < np.hypot(*alone)
    twin = train_difference_errors([refits[0], [_named(r, "twin") for r in refits[0]]], "empirical").iloc[0]
    assert (twin["mean_over_refits"], twin["train_se"]) == (0.0, 0.0)
    models = [fit(*panels[:2]).predict(panels[2]) for fit in (empirical, smoother)]
    tested = bootstrap_differences(models, "empirical", draws=50)
    both = combined_errors(tested, train_difference_errors(refits, "empirical")).iloc[0]
    assert both["total_se"] == pytest.approx(np.hypot(both["test_se"], got["train_se"]))
    with pytest.raises(InputError, match="8 refits of 'backed off', 5 of the reference"):
        train_difference_errors([refits[0][:5], refits[1]], "empirical")


def _named(prediction, name: str):
    return type(prediction)(name, prediction.table, prediction.outcomes)


def test_total_error_is_that_of_new_samples_and_train_se_errs_on_the_safe_side(
    panel_of_chain: Callable[..., CareerPanel], chain_model: type, tmp_path: Path
) -> None:
    """First records only: the truth over fresh samples is simulated at once, and one panel must tell it."""

    def counted(train: CareerPanel, validation: CareerPanel) -> NextJobModel:
        counts = transition_counts(train)[-1] + 0.5
        return chain_model(np.tile(counts / counts.sum(), (6, 1)))

    def perplexities(test: np.ndarray) -> np.ndarray:
        fitted = rng.multinomial(300, chances, size=20_000) + 0.5
        return np.exp(-(test * np.log(fitted / fitted.sum(axis=1, keepdims=True))).sum(axis=1))

    rng, chances = np.random.default_rng(0), chain_model().matrix[-1]
    total = perplexities(rng.multinomial(300, chances, size=20_000) / 300).std()
    fitting_alone = perplexities(chances).std()
    found = []
    for seed in range(8):
        panel = panel_of_chain(600, seed=seed, records=(1, 2))
        train, test = panel.restrict(panel.workers[:300]), panel.restrict(panel.workers[300:])
        refits = training_refits(counted, train, train, test, 12, tmp_path / str(seed))
        own = counted(train, train).predict(test)
        both = combined_errors(bootstrap_perplexity([own], draws=200), train_standard_errors([refits]))
        found.append(both[["total_se", "train_se"]].iloc[0] ** 2)
    found = np.sqrt(pd.DataFrame(found).mean())
    assert 0.9 < found["total_se"] / total < 1.3
    # See the module: about the square root of three, and more with the noise of a finite test sample.
    assert found["train_se"] > 1.3 * fitting_alone


def test_an_infinite_refit_is_shown_and_has_no_error(parts: dict[str, CareerPanel], tmp_path: Path) -> None:
    refits = training_refits(
        empirical, *(parts[name] for name in ("train", "validation", "test")), 3, tmp_path
    )
    refits[1].table.loc[0, "log_prob"] = -np.inf
    got = train_standard_errors([refits]).iloc[0]
    assert got["mean_over_refits"] == np.inf
    assert np.isnan(got["train_se"])
