"""Resampling of workers: statistics in bootstrap samples, and the rows of tables on them.

Workers, not records, are resampled with replacement, because the records of one worker are dependent
(pairs cluster bootstrap; Cameron and Miller (2015), "A practitioner's guide to cluster-robust
inference", Journal of Human Resources 50, 317-372). A sample is a vector of weights, how often each
worker was drawn, so that everything that is a function of sums over workers (perplexity, shares of events,
and the AUC by ranks) needs one pass over the data and a product with the weights. The unit that is drawn
is the worker, or any larger one that holds workers, such as the family.

All models are evaluated on the same draws, so differences are paired: what makes a worker hard to predict
for every model cancels out of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from labor_llm.errors import InputError

# Weights held in memory at a time (of 8 bytes each).
_CHUNK_CELLS = 4_000_000
LEVELS = (2.5, 97.5)
# From what is averaged, as a log-probability, to what is shown, as a perplexity; np.positive where it is the same.
Measure = Callable[[Any], Any]


@dataclass(frozen=True)
class Sample:
    """A statistic of one model and group, in the data and in each bootstrap sample.

    Attributes:
        key: cells that begin a row: `dataset`, `model` and further ones.
        value: in the data.
        drawn: in each sample; NaN where a sample does not define it.
        units: how many workers or families it rests on.
        counts: cells that end a row, such as `transitions` and `workers`.
    """

    key: dict[str, Any]
    value: float
    drawn: np.ndarray
    units: int
    counts: dict[str, Any]


def weight_blocks(units: int, draws: int, seed: int) -> Iterator[np.ndarray]:
    """Yield how often each unit is drawn in each bootstrap sample, a block of samples at a time.

    Draw b has its own generator, seeded with (seed, b), so a draw depends on nothing but the seed, its
    number and the number of units: not on how many draws are made at a time, nor on the model.

    Args:
        units: how many workers or families there are.
        draws: how many samples in all.
        seed: non-negative.

    Yields:
        float64 [block, units], each row adding up to the number of units.

    Raises:
        InputError: below two draws.
    """
    if draws < 2:
        raise InputError(f"draws: {draws} found; a standard error needs at least two.")
    step = max(1, _CHUNK_CELLS // units)
    for start in range(0, draws, step):
        block = np.empty((min(step, draws - start), units))
        for row in range(len(block)):
            generator = np.random.default_rng((seed, start + row))
            block[row] = np.bincount(generator.integers(units, size=units), minlength=units)
        yield block


def resampled_sums(columns: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """Return the sum of each column in each bootstrap sample, [draws, columns].

    Those of a column are the same to the last bit whatever the other columns are.

    The columns, [units, columns], are sums over each unit's transitions; finite.
    """
    # Counts of transitions are the same for all models, and zero probabilities are rare.
    distinct, place = np.unique(columns, axis=1, return_inverse=True)
    factors = np.ascontiguousarray(distinct.T, dtype=np.float64)
    blocks = [
        np.column_stack([weights @ factor for factor in factors])
        for weights in weight_blocks(len(columns), draws, seed)
    ]
    return np.concatenate(blocks)[:, place]


def resampled_means(sums: np.ndarray, counts: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """Return the mean log-probability of each column in each bootstrap sample, [draws, columns].

    Of `sums` of each unit's log-probabilities, -inf allowed, and `counts` of its transitions, both [units, columns].
    NaN where a sample holds no transition, -inf where one has probability zero.
    """
    zero = np.isneginf(sums)
    drawn = resampled_sums(np.concatenate([np.where(zero, 0.0, sums), counts, zero], axis=1), draws, seed)
    total, count, zeros = np.split(drawn, 3, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(zeros > 0, -np.inf, total / count)


def spread(drawn: np.ndarray, units: int) -> dict[str, float]:
    """Return standard deviation (`test_se`), 2.5th and 97.5th percentile (`ci_low`, `ci_high`) over samples.

    `drawn` is the statistic in each sample that defines it, `units` how many workers or families were resampled. NaN
    for all three where they mean nothing: one unit, fewer than two draws, or an infinite value in a draw.
    """
    if units < 2 or len(drawn) < 2 or not np.isfinite(drawn).all():
        return dict.fromkeys(("test_se", "ci_low", "ci_high"), np.nan)
    low, high = np.percentile(drawn, LEVELS)
    return {"test_se": float(drawn.std(ddof=1)), "ci_low": float(low), "ci_high": float(high)}


def spread_of_mean(values: np.ndarray, units: np.ndarray, draws: int, seed: int) -> dict[str, float]:
    """Return `spread` of the mean of values over transitions; NaN where one of them is not finite.

    The numbers of the transitions' units are from 0 without gaps.
    """
    if not np.isfinite(values).all():
        return spread(np.empty(0), 0)
    counts = np.bincount(units)
    total, count = resampled_sums(np.column_stack([np.bincount(units, values), counts]), draws, seed).T
    return spread(total / count, len(counts))


def estimates(samples: Sequence[Sample], name: str, measure: Measure = np.positive) -> pd.DataFrame:
    """Return the rows of a table on a statistic of each model and group.

    Returns:
        Columns of the keys, `name`, `test_se`, `ci_low`, `ci_high`, those of the counts, and `draws` (that define
        the statistic, on which the three rest).
    """
    rows = []
    for sample in samples:
        drawn = sample.drawn[~np.isnan(sample.drawn)]
        with np.errstate(over="ignore"):
            value = {name: measure(sample.value)} | spread(measure(drawn), sample.units)
        rows.append(sample.key | value | sample.counts | {"draws": len(drawn)})
    return pd.DataFrame(rows)


def differences(
    samples: Sequence[Sample], reference: str | Mapping[str, str], measures: Mapping[str, Measure]
) -> pd.DataFrame:
    """Return the rows of a table on how every other model differs from a reference model, paired on the same draws.

    Args:
        samples: of all models, the reference among them.
        reference: name of a model, or of one for each data set.
        measures: what is compared, by the prefix of its columns.

    Returns:
        Columns of the keys, with `reference` behind `model`; for each measure `difference` (model minus reference),
        `test_se`, `ci_low`, `ci_high` and `z` (difference / test_se); the smaller counts of the two, and `draws`.

    Raises:
        InputError: if a data set lacks the reference.
    """
    datasets = {sample.key["dataset"] for sample in samples}
    named = dict.fromkeys(datasets, reference) if isinstance(reference, str) else dict(reference)
    if unnamed := sorted(datasets - set(named)):
        raise InputError(f"{unnamed[0]}: no reference is named for it.")
    bases = {
        _cell(sample): sample for sample in samples if sample.key["model"] == named[sample.key["dataset"]]
    }
    rows = []
    for sample in samples:
        dataset = sample.key["dataset"]
        if sample.key["model"] == named[dataset]:
            continue
        base = bases.get(_cell(sample))
        if base is None:
            raise InputError(f"{dataset}: no predictions of the reference {named[dataset]!r}. Give them too.")
        defined = ~(np.isnan(sample.drawn) | np.isnan(base.drawn))
        row: dict[str, Any] = {}
        for name, value in sample.key.items():
            row |= {name: value} | ({"reference": named[dataset]} if name == "model" else {})
        for prefix, measure in measures.items():
            with np.errstate(invalid="ignore", over="ignore"):
                difference = float(np.subtract(measure(sample.value), measure(base.value)))
                drawn = (measure(sample.drawn) - measure(base.drawn))[defined]
            found = {"difference": difference} | spread(drawn, min(sample.units, base.units))
            found["z"] = difference / found["test_se"] if found["test_se"] > 0 else np.nan
            row |= {prefix + name: value for name, value in found.items()}
        row |= {name: min(value, base.counts[name]) for name, value in sample.counts.items()}
        rows.append(row | {"draws": int(defined.sum())})
    return pd.DataFrame(rows)


def turned(table: pd.DataFrame) -> pd.DataFrame:
    """Return paired differences the other way round: reference minus model, under each other's name."""
    names = {"model": "reference", "reference": "model"}
    other = table.rename(columns=names)[list(table)]
    for prefix in [name.removesuffix("difference") for name in table if name.endswith("difference")]:
        turning = {"difference": "difference", "ci_low": "ci_high", "ci_high": "ci_low", "z": "z"}
        for name, source in turning.items():
            other[prefix + name] = -table[prefix + source]
    return other


def _cell(sample: Sample) -> tuple[Any, ...]:
    """Return what a row shares with its reference, such as data set and group."""
    return tuple(value for name, value in sample.key.items() if name != "model")
