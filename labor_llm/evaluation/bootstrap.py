"""Test-set bootstrap: how much a perplexity would vary with another sample of test workers.

Workers, not records, are resampled with replacement, because the records of one worker are dependent:
this is the paper's "test-set-bootstrap" standard error (TestSE), with the fitted model held fixed,
and the pairs cluster bootstrap of Cameron and Miller (2015), "A practitioner's guide to
cluster-robust inference", Journal of Human Resources 50, 317-372. TestSE says nothing of the
variation from fitting on another training sample.

A perplexity is a function of a ratio of sums over workers, so a draw needs only how often each worker
was drawn, w, and each worker's sum of log-probabilities S and number of transitions C:
exp(-(w'S) / (w'C)). All models are evaluated on the same draws, so differences are paired: what makes
a worker hard to predict for every model cancels out of them.

With few workers (say below 40) cluster methods, this one too, tend to give standard errors that are
too small. Standard errors that cannot be computed (one worker, or a probability of zero) are NaN,
never zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from labor_llm.errors import InputError
from labor_llm.evaluation.comparison import compared_log_probs, groups
from labor_llm.evaluation.perplexity import NORMALISED_TOLERANCE, perplexity
from labor_llm.predictions import MASS_TOLERANCE, Predictions

# Resampling counts held in memory at a time (of 8 bytes each).
_CHUNK_CELLS = 4_000_000


def worker_weights(workers: Sequence[str], draws: int, seed: int, first_draw: int = 0) -> np.ndarray:
    """Return how often each worker is drawn in each bootstrap sample.

    Draw b has its own generator, seeded with (seed, b), so a draw depends on nothing but the seed, its
    number and the number of workers: not on how many draws are made at a time, nor on the model.

    Args:
        workers: the test workers' ids in ascending order, so that the order of the rows does not matter.
        draws: how many samples.
        seed: non-negative.
        first_draw: number of the first of them.

    Returns:
        int64 [draws, workers], each row adding up to the number of workers.

    Raises:
        InputError: if the workers are not sorted and distinct.
    """
    ids = list(workers)
    if not ids or any(left >= right for left, right in pairwise(ids)):
        raise InputError("worker_weights: the worker ids are not distinct and in ascending order; sort them.")
    weights = np.empty((draws, len(ids)), dtype=np.int64)
    for row in range(draws):
        generator = np.random.default_rng((seed, first_draw + row))
        weights[row] = np.bincount(generator.integers(len(ids), size=len(ids)), minlength=len(ids))
    return weights


def bootstrap_perplexity(
    predictions: Sequence[Predictions],
    draws: int = 1000,
    seed: int = 0,
    by: str | None = None,
    normalised: bool = False,
) -> pd.DataFrame:
    """Return each model's perplexity with its test-set bootstrap standard error.

    Args:
        predictions: of one or more models and data sets, on identical transitions within a data set.
        draws: bootstrap samples.
        seed: of the samples.
        by: a column such as 'transition_type' for one row per value, on the same draws.
        normalised: of probabilities among the valid titles, on the transitions that have them.

    Returns:
        Columns `dataset`, `model`, (`by`), `perplexity`, `test_se` (standard deviation over draws),
        `ci_low`, `ci_high` (2.5th and 97.5th percentile), `transitions`, `workers` (that have such
        transitions) and `draws` (that hold at least one of them, on which the three rest). `test_se`
        and the interval are NaN with one worker or a probability of zero.

    Raises:
        InputError, MismatchError, NumericalError: as `perplexity_table`; InputError below two draws.
    """
    rows = []
    for key, sample in _samples(predictions, draws, seed, by, normalised):
        spread = _spread(np.exp(-sample["means"]), sample)
        rows.append(
            {
                **key,
                "perplexity": sample["perplexity"],
                **dict(zip(("test_se", "ci_low", "ci_high"), spread, strict=True)),
                "transitions": sample["transitions"],
                "workers": sample["workers"],
                "draws": int(sample["defined"].sum()),
            }
        )
    return pd.DataFrame(rows)


def bootstrap_differences(
    predictions: Sequence[Predictions],
    reference: str | Mapping[str, str],
    draws: int = 1000,
    seed: int = 0,
    by: str | None = None,
    normalised: bool = False,
) -> pd.DataFrame:
    """Return how every other model differs from a reference model, paired on the same draws.

    Differences are model minus reference: a better model has a negative difference in perplexity and
    a positive one in log-probability.

    Args:
        predictions: as in `bootstrap_perplexity`, the reference among them for every data set.
        reference: name of a model, or of one for each data set.
        draws: bootstrap samples.
        seed: of the samples.
        by: a column such as 'transition_type' for one row per value.
        normalised: of probabilities among the valid titles.

    Returns:
        Columns `dataset`, `model`, `reference`, (`by`); `difference` in perplexity with `test_se`,
        `ci_low`, `ci_high` and `z` (difference / test_se); `log_prob_difference` (mean nats per
        transition) with `log_prob_test_se`, `log_prob_ci_low`, `log_prob_ci_high`, `log_prob_z`;
        `transitions`, `workers`, `draws`. `z` is NaN where the standard error is NaN or zero.

    Raises:
        InputError: if a data set lacks the reference; and as `bootstrap_perplexity`.
    """
    samples = list(_samples(predictions, draws, seed, by, normalised))
    datasets = {key["dataset"] for key, _ in samples}
    named = dict.fromkeys(datasets, reference) if isinstance(reference, str) else dict(reference)
    if unnamed := sorted(datasets - set(named)):
        raise InputError(f"{unnamed[0]}: no reference is named for it.")
    references = {_cell(key): sample for key, sample in samples if key["model"] == named[key["dataset"]]}
    rows = []
    for key, sample in samples:
        chosen = named[key["dataset"]]
        if key["model"] == chosen:
            continue
        base = references.get(_cell(key))
        if base is None:
            raise InputError(f"{key['dataset']}: no predictions of the reference {chosen!r}. Give them too.")
        identity = {"dataset": key["dataset"], "model": key["model"], "reference": chosen}
        rows.append(identity | ({by: key[by]} if by else {}) | _difference(sample, base))
    return pd.DataFrame(rows)


def resampled_means(
    sums: np.ndarray, counts: np.ndarray, workers: Sequence[str], draws: int, seed: int
) -> np.ndarray:
    """Return the mean log-probability of each column in each bootstrap sample of workers.

    Args:
        sums: [workers, columns], sum of each worker's log-probabilities, -inf allowed.
        counts: [workers, columns], number of each worker's transitions.
        workers: sorted ids, the rows.
        draws: bootstrap samples.
        seed: of the samples.

    Returns:
        [draws, columns]; NaN where a sample holds no transition, -inf where one has probability zero.
    """
    zero = np.isneginf(sums)
    columns = [np.where(zero, 0.0, sums).T, counts.astype(float).T, zero.astype(float).T]
    means = np.empty((draws, sums.shape[1]))
    step = max(1, _CHUNK_CELLS // len(workers))
    for start in range(0, draws, step):
        stop = min(start + step, draws)
        weights = worker_weights(workers, stop - start, seed, start).astype(float)
        # One product per column: a matrix product may round equal columns differently.
        total, count, zeros = (np.column_stack([weights @ c for c in part]) for part in columns)
        with np.errstate(invalid="ignore"):
            means[start:stop] = np.where(zeros > 0, -np.inf, total / count)
    return means


def _samples(
    predictions: Sequence[Predictions], draws: int, seed: int, by: str | None, normalised: bool
) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return the key of each row of a table and what it is computed from: point estimates and draws."""
    if draws < 2:
        raise InputError(f"draws: {draws} found; a standard error needs at least two.")
    stacked = compared_log_probs(predictions)
    samples = []
    for _, dataset in stacked.groupby("dataset", sort=False):
        workers = sorted(dataset["worker_id"].unique())
        cells = list(groups(dataset, by))
        values = [_compared_values(group, normalised) for _, group in cells]
        sums = np.column_stack([_per_worker(value, "sum", workers) for value in values])
        counts = np.column_stack([_per_worker(value, "count", workers) for value in values])
        means = resampled_means(sums, counts, workers, draws, seed)
        samples += [
            (key, _sample(value, mean, normalised))
            for (key, _), value, mean in zip(cells, values, means.T, strict=True)
        ]
    return samples


def _compared_values(group: pd.DataFrame, normalised: bool) -> pd.Series:
    """Return the log-probabilities that enter, indexed by worker."""
    indexed = group.set_index("worker_id")
    if normalised:
        return indexed.loc[indexed["compared_in_full"], "normalised_log_prob"]
    return indexed["log_prob"]


def _per_worker(values: pd.Series, statistic: str, workers: list[str]) -> np.ndarray:
    return values.groupby(level="worker_id").agg(statistic).reindex(workers, fill_value=0).to_numpy()


def _sample(values: pd.Series, means: np.ndarray, normalised: bool) -> dict[str, Any]:
    tolerance = NORMALISED_TOLERANCE if normalised else MASS_TOLERANCE
    return {
        "perplexity": perplexity(values, tolerance) if len(values) else np.nan,
        "mean_log_prob": values.mean() if len(values) else np.nan,
        "transitions": len(values),
        "workers": values.index.nunique(),
        "means": means,
        "defined": ~np.isnan(means),
    }


def _difference(sample: dict[str, Any], base: dict[str, Any]) -> dict[str, Any]:
    both = {
        "workers": min(sample["workers"], base["workers"]),
        "transitions": min(sample["transitions"], base["transitions"]),
        "defined": sample["defined"] & base["defined"],
    }
    with np.errstate(invalid="ignore"):
        measures = {
            "": (
                np.subtract(sample["perplexity"], base["perplexity"]),
                np.exp(-sample["means"]) - np.exp(-base["means"]),
            ),
            "log_prob_": (
                np.subtract(sample["mean_log_prob"], base["mean_log_prob"]),
                sample["means"] - base["means"],
            ),
        }
    row: dict[str, Any] = {}
    for prefix, (difference, drawn) in measures.items():
        error, low, high = _spread(drawn, both)
        row |= {
            f"{prefix}difference": float(difference),
            f"{prefix}test_se": error,
            f"{prefix}ci_low": low,
            f"{prefix}ci_high": high,
            f"{prefix}z": float(difference / error) if error > 0 else np.nan,
        }
    row |= {name: both[name] for name in ("transitions", "workers")}
    return row | {"draws": int(both["defined"].sum())}


def _spread(drawn: np.ndarray, sample: dict[str, Any]) -> tuple[float, float, float]:
    """Return standard deviation, 2.5th and 97.5th percentile of the draws, or NaN where they mean nothing."""
    kept = drawn[sample["defined"]]
    if sample["workers"] < 2 or len(kept) < 2 or not np.isfinite(kept).all():
        return np.nan, np.nan, np.nan
    low, high = np.percentile(kept, [2.5, 97.5])
    return float(kept.std(ddof=1)), float(low), float(high)


def _cell(key: dict[str, Any]) -> tuple[Any, ...]:
    """Return what a row shares with its reference: data set and value of `by`."""
    return tuple(value for name, value in key.items() if name != "model")
