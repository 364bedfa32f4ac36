"""Bootstrap samples of workers: how they are drawn, and whether intervals from them hold the truth."""

from __future__ import annotations

import numpy as np
import pytest

from labor_llm.errors import InputError
from labor_llm.evaluation import resampling
from labor_llm.evaluation.resampling import (
    Sample,
    differences,
    resampled_means,
    resampled_sums,
    spread,
    spread_of_mean,
    weight_blocks,
)


def test_weights_resample_all_workers_and_do_not_depend_on_how_many_are_drawn_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    weights = np.concatenate(list(weight_blocks(10, 40, seed=3)))
    assert (weights.sum(axis=1) == 10).all()
    monkeypatch.setattr(resampling, "_CHUNK_CELLS", 70)
    in_parts = list(weight_blocks(10, 40, seed=3))
    assert [len(block) for block in in_parts] == [7, 7, 7, 7, 7, 5]
    assert (weights == np.concatenate(in_parts)).all()
    assert not (weights == np.concatenate(list(weight_blocks(10, 40, seed=4)))).all()
    # Multinomial(10, 1/10): mean 1, variance 0.9.
    many = np.concatenate(list(weight_blocks(10, 4000, seed=0)))
    np.testing.assert_allclose([many.mean(), many.var()], [1.0, 0.9], atol=0.03)
    with pytest.raises(InputError, match="at least two"):
        next(weight_blocks(10, 1, seed=0))


def test_sums_are_those_of_each_column_alone_to_the_last_bit() -> None:
    columns = np.random.default_rng(0).random((30, 4))
    columns[:, 2], columns[:, 3] = columns[:, 0], 0.0
    got = resampled_sums(columns, 20, seed=1)
    weights = np.concatenate(list(weight_blocks(30, 20, seed=1)))
    np.testing.assert_allclose(got, weights @ columns, rtol=1e-12)
    for position in range(4):
        np.testing.assert_array_equal(got[:, [position]], resampled_sums(columns[:, [position]], 20, seed=1))


def test_spread_by_hand_and_what_has_none() -> None:
    got = spread(np.array([1.0, 2.0, 4.0]), units=2)
    assert got["test_se"] == pytest.approx(np.sqrt(7 / 3))
    assert [got["ci_low"], got["ci_high"]] == pytest.approx([1.05, 3.9])
    for drawn, units in (([1.0, 2.0], 1), ([1.0], 5), ([1.0, np.inf], 5)):
        assert np.isnan(list(spread(np.array(drawn), units).values())).all()
    workers = np.array([0, 0, 1, 2])
    assert spread_of_mean(np.array([1.0, 1.0, 1.0, 1.0]), workers, 20, seed=0)["test_se"] == 0.0
    assert np.isnan(spread_of_mean(np.array([1.0, np.nan, 1.0, 1.0]), workers, 20, seed=0)["test_se"])


def test_differences_rest_on_the_draws_that_define_both_and_an_infinite_one_is_not_left_out() -> None:
    def sample(model: str, drawn: list[float], units: int = 5) -> Sample:
        return Sample(
            {"dataset": "d", "model": model, "group": "g"}, 2.0, np.array(drawn), units, {"workers": units}
        )

    base = sample("base", [1.0, np.nan, 3.0, 4.0])
    got = differences([base, sample("m", [3.0, 1.0, 4.0, np.nan], 4)], "base", {"": np.positive}).iloc[0]
    assert list(got.index[:4]) == ["dataset", "model", "reference", "group"]
    assert (got["difference"], got["draws"], got["workers"]) == (0.0, 2, 4)
    assert got["test_se"] == pytest.approx(np.std([2.0, 1.0], ddof=1))
    infinite = sample("m", [-np.inf, 1.0, 4.0, 4.0])
    assert np.isnan(differences([base, infinite], "base", {"": np.positive})["test_se"][0])
    with pytest.raises(InputError, match="d: no predictions of the reference 'career'"):
        differences([base], "career", {"": np.positive})
    with pytest.raises(InputError, match="d: no reference is named for it"):
        differences([base], {"e": "base"}, {"": np.positive})


def test_interval_covers_the_truth_in_93_to_97_percent_of_samples() -> None:
    samples, workers, rng = 4000, 200, np.random.default_rng(0)
    counts = rng.integers(1, 9, size=(workers, samples))
    # Record terms given the worker effect are normal, so their sum is drawn at once; the true mean is -2.
    sums = (
        -2.0 * counts
        + counts * rng.normal(0, 0.5, counts.shape)
        + np.sqrt(counts) * rng.normal(0, 0.5, counts.shape)
    )
    means = resampled_means(sums, counts, 400, seed=1)
    low, high = np.percentile(np.exp(-means), [2.5, 97.5], axis=0)
    covered = ((low < np.exp(2)) & (np.exp(2) < high)).mean()
    # The binomial standard error of 4,000 samples is 0.34 percentage points.
    assert 0.93 < covered < 0.97
    # Records as if they were independent: far too narrow an interval.
    total = counts.sum(axis=0)
    naive = (np.abs(sums.sum(axis=0) / total + 2.0) < 1.96 * np.sqrt(0.5 / total)).mean()
    assert naive < 0.93
