"""Resampling of workers: which are drawn in each bootstrap sample, and sums over the samples.

Workers, not records, are resampled with replacement, because the records of one worker are dependent
(pairs cluster bootstrap; Cameron and Miller (2015), "A practitioner's guide to cluster-robust
inference", Journal of Human Resources 50, 317-372). A sample is a vector of weights, how often each
worker was drawn, so that everything that is a function of sums over workers (perplexity, calibration
errors, and the AUC by ranks) needs one pass over the data and a product with the weights.

The unit that is drawn is the worker, or any larger one that holds workers, such as the family.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from labor_llm.errors import InputError

# Weights held in memory at a time (of 8 bytes each).
_CHUNK_CELLS = 4_000_000
LEVELS = (2.5, 97.5)


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
        weights[row] = _one_draw(len(ids), seed, first_draw + row)
    return weights


def weight_blocks(units: int, draws: int, seed: int, cells: int | None = None) -> Iterator[np.ndarray]:
    """Yield the weights of `worker_weights` a block of draws at a time, float64 [block, units].

    Args:
        units: how many workers or families there are.
        draws: how many samples in all.
        seed: non-negative.
        cells: how many weights a block may hold; about four million if None.
    """
    step = max(1, (cells or _CHUNK_CELLS) // units)
    for start in range(0, draws, step):
        block = np.empty((min(step, draws - start), units))
        for row in range(len(block)):
            block[row] = _one_draw(units, seed, start + row)
        yield block


def resampled_sums(columns: np.ndarray, draws: int, seed: int, exactly: bool = True) -> np.ndarray:
    """Return the sum of each column in each bootstrap sample.

    Args:
        columns: [units, columns], sums over each unit's transitions; finite.
        draws: bootstrap samples.
        seed: of the samples.
        exactly: whether a column's sums must be the same to the last bit whatever the other columns are; a
            matrix product of all columns at once, which does not warrant it, is faster for hundreds of them.

    Returns:
        [draws, columns].
    """
    sums = np.zeros((draws, columns.shape[1]))
    # Counts of transitions are the same for all models, and zero probabilities are rare.
    distinct: dict[bytes, np.ndarray] = {}
    same: dict[bytes, list[int]] = {}
    for position in range(columns.shape[1]):
        column = np.ascontiguousarray(columns[:, position], dtype=np.float64)
        if column.any():
            key = column.tobytes() if exactly else position.to_bytes(8)
            distinct.setdefault(key, column)
            same.setdefault(key, []).append(position)
    if not distinct:
        return sums
    factors = list(distinct.values())
    together = np.column_stack(factors) if not exactly else None
    start = 0
    for weights in weight_blocks(len(columns), draws, seed):
        rows = slice(start, start + len(weights))
        products = (weights @ f for f in factors) if together is None else (weights @ together).T
        for positions, product in zip(same.values(), products, strict=True):
            sums[rows, positions] = product[:, None]
        start += len(weights)
    return sums


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

    Raises:
        InputError: if the workers are not as many as the rows.
    """
    if len(workers) != len(sums):
        raise InputError(f"resampled_means: {len(workers):,} workers for {len(sums):,} rows of sums.")
    zero = np.isneginf(sums)
    drawn = resampled_sums(np.concatenate([np.where(zero, 0.0, sums), counts, zero], axis=1), draws, seed)
    total, count, zeros = np.split(drawn, 3, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(zeros > 0, -np.inf, total / count)


def spread(drawn: np.ndarray, units: int) -> tuple[float, float, float]:
    """Return standard deviation, 2.5th and 97.5th percentile of a statistic over bootstrap samples.

    NaN for all three where they mean nothing: one unit, fewer than two draws, or an infinite value in a draw.

    Args:
        drawn: the statistic in each sample, without those in which it is not defined.
        units: how many workers or families were resampled.
    """
    if units < 2 or len(drawn) < 2 or not np.isfinite(drawn).all():
        return np.nan, np.nan, np.nan
    low, high = np.percentile(drawn, LEVELS)
    return float(drawn.std(ddof=1)), float(low), float(high)


def check_draws(draws: int) -> None:
    """Refuse fewer than two bootstrap samples.

    Raises:
        InputError: naming how many were asked for.
    """
    if draws < 2:
        raise InputError(f"draws: {draws} found; a standard error needs at least two.")


def _one_draw(units: int, seed: int, draw: int) -> np.ndarray:
    generator = np.random.default_rng((seed, draw))
    return np.bincount(generator.integers(units, size=units), minlength=units)
