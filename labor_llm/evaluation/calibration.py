"""Calibration of binary tasks: do events that are given a probability of p occur in a share p of the cases?

- The reliability curve: mean probability and share of events in bins of about equal size. Its band comes from
  resampled workers; beside it stands the band of a perfect model, in which a model with these very
  probabilities would lie, since events drawn with the stated probabilities scatter too.
- The expected calibration error: mean over transitions of |share of events - mean probability| of their bin.
  It is above zero even for a perfect model, and the more so the fewer transitions there are, so it always
  stands beside the value that a perfect model has on the same transitions, and errors on different numbers
  of transitions are not comparable. It has no interval from resampled workers: a sample scatters around the
  estimate as the estimate does around the truth, so its error is too high twice over, and percentiles of such
  errors lie above the true one far more often than they hold it.

For a perfect model the deviations of a worker's transitions from their probabilities are uncorrelated, each
being zero on average whatever came before; so its events are drawn independently.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from labor_llm.disclosure import MINIMUM_PERSONS
from labor_llm.errors import InputError
from labor_llm.evaluation.binary_tasks import BinaryEvents, BinaryTask
from labor_llm.evaluation.ranking import event_groups
from labor_llm.evaluation.resampling import LEVELS, check_draws, resampled_sums, spread

Binning = Literal["quantile", "width"]
SIMULATIONS = 200
BINS = 15


def reliability_curve(
    events: BinaryEvents,
    bins: int = 10,
    draws: int = 1000,
    seed: int = 0,
    simulations: int = 1000,
    unit: str = "worker_id",
) -> pd.DataFrame:
    """Return the reliability curve of each model.

    Args:
        events: of one task.
        bins: of about equal size by each model's own probabilities. Equal probabilities stay together, and bins
            with fewer than eleven workers who have the event, or eleven who have it not, are joined to a neighbour,
            so there may be fewer.
        draws: bootstrap samples of workers.
        seed: of samples and simulations.
        simulations: of a perfect model.
        unit: column of what is resampled.

    Returns:
        Columns `dataset`, `task`, `population`, `model`, `normalised`, `bin` (from 1), `probability_from`,
        `probability_to`, `predicted` (mean probability), `observed` (share of events), `ci_low`, `ci_high` (of
        the share), `perfect_low`, `perfect_high` (95 % of the shares of a perfect model), `transitions`,
        `events`, `workers`.

    Raises:
        InputError: without transitions, below two draws or one bin.
    """
    check_draws(draws)
    units, count = events.units(unit)
    workers, _ = events.units("worker_id")
    rows = []
    for position, model in enumerate(events.models):
        values = events.probabilities[:, position]
        codes, edges = quantile_bins(values, bins, workers, events.outcomes)
        size = len(edges) - 1
        happened = sums_by_unit(events.outcomes.astype(float), units, codes, count, size)
        counts = sums_by_unit(np.ones(len(values)), units, codes, count, size)
        drawn = resampled_sums(np.concatenate([happened, counts], axis=1), draws, seed)
        totals = np.bincount(codes, minlength=size)
        perfect = simulated_events(values, codes, size, simulations, seed) / totals
        for bin_ in range(size):
            inside = codes == bin_
            with np.errstate(invalid="ignore"):
                shares = drawn[:, bin_] / drawn[:, size + bin_]
            _, low, high = spread(shares[~np.isnan(shares)], int((counts[:, bin_] > 0).sum()))
            perfect_low, perfect_high = np.percentile(perfect[:, bin_], LEVELS)
            rows.append(
                events.identity(model)
                | {
                    "bin": bin_ + 1,
                    "probability_from": edges[bin_],
                    "probability_to": edges[bin_ + 1],
                    "predicted": values[inside].mean(),
                    "observed": events.outcomes[inside].mean(),
                    "ci_low": low,
                    "ci_high": high,
                    "perfect_low": perfect_low,
                    "perfect_high": perfect_high,
                    "transitions": int(totals[bin_]),
                    "events": int(events.outcomes[inside].sum()),
                    "workers": len(np.unique(workers[inside])),
                }
            )
    return pd.DataFrame(rows)


def reliability_curves(
    events: Sequence[BinaryEvents],
    task: BinaryTask,
    bins: int = 10,
    draws: int = 1000,
    seed: int = 0,
    simulations: int = 1000,
) -> pd.DataFrame:
    """Return the reliability curves of one task on every data set that has it.

    Args:
        events: of several tasks and data sets.
        task: whose events are taken.
        bins: as in `reliability_curve`, like what follows.
        draws: bootstrap samples of workers.
        seed: of samples and simulations.
        simulations: of a perfect model.

    Returns:
        The rows of `reliability_curve`.

    Raises:
        InputError: if no data set has the task.
    """
    parts = [
        reliability_curve(part, bins, draws, seed, simulations)
        for part in events
        if part.task.name == task.name
    ]
    if not parts:
        raise InputError(f"{task.label}: no data set has it. Give predictions of one that has.")
    return pd.concat(parts, ignore_index=True)


def calibration_errors(
    events: Sequence[BinaryEvents],
    by: str | None = None,
    bins: int = BINS,
    binning: Binning = "quantile",
    draws: int = 1000,
    seed: int = 0,
    simulations: int = SIMULATIONS,
    unit: str = "worker_id",
) -> pd.DataFrame:
    """Return the expected calibration error of each model on each task, with a perfect model's beside it.

    Args:
        events: of one or more tasks and data sets.
        by: a column of their tables for one row per value.
        bins: how many at most.
        binning: 'quantile' (about equally many transitions each) or 'width' (equally wide from 0 to 1).
        draws: bootstrap samples of workers, for the standard error. It tells of the sampling variation of the
            estimate, which lies too high; so no interval follows from it.
        seed: of samples and simulations.
        simulations: of a perfect model.
        unit: column of what is resampled.

    Returns:
        Columns `dataset`, `task`, `population`, `model`, `normalised`, (`by`), `calibration_error`, `test_se`,
        `perfect_mean` and `perfect_high` (mean and 95th percentile of a perfect model), `bins` (that hold
        transitions), `binning`, `transitions`, `events`, `workers`.

    Raises:
        InputError: below two draws, without transitions, or without such a column.
    """
    rows = []
    for task in events:
        units, count = task.units(unit)
        for position, model in enumerate(task.models):
            for group, members in event_groups(task, by):
                error = expected_calibration_error(
                    task.probabilities[members, position],
                    task.outcomes[members],
                    (units[members], count),
                    bins,
                    binning,
                    draws,
                    seed,
                    simulations,
                )
                counts = {"events": int(task.outcomes[members].sum())}
                counts["workers"] = task.table["worker_id"].iloc[members].nunique()
                rows.append(task.identity(model) | group | error | counts)
    return pd.DataFrame(rows)


def expected_calibration_error(
    probabilities: np.ndarray,
    outcomes: np.ndarray,
    units: tuple[np.ndarray, int],
    bins: int = BINS,
    binning: Binning = "width",
    draws: int = 1000,
    seed: int = 0,
    simulations: int = SIMULATIONS,
) -> dict[str, Any]:
    """Return the cells of a table on one expected calibration error (see `calibration_errors`).

    Args:
        probabilities: [transitions].
        outcomes: bool [transitions].
        units: number of each transition's worker, and how many workers there are.
        bins: how many at most.
        binning: 'quantile' or 'width'.
        draws: bootstrap samples of workers, for the standard error.
        seed: of samples and simulations.
        simulations: of a perfect model.

    Raises:
        InputError: without transitions, below two draws or one bin, or with an unknown binning.
    """
    check_draws(draws)
    if binning not in ("quantile", "width"):
        raise InputError(f"binning: {binning!r} is not known; give 'quantile' or 'width'.")
    codes, edges = (quantile_bins if binning == "quantile" else equal_bins)(probabilities, bins)
    size, total = len(edges) - 1, len(probabilities)
    deviations = outcomes.astype(float) - probabilities
    drawn = resampled_sums(
        sums_by_unit(deviations, units[0], codes, units[1], size), draws, seed, exactly=False
    )
    drawn_total = resampled_sums(np.bincount(units[0], minlength=units[1])[:, None], draws, seed)[:, 0]
    with np.errstate(invalid="ignore"):
        errors = np.abs(drawn).sum(axis=1) / drawn_total
    expected = np.bincount(codes, probabilities, size)
    perfect = (
        np.abs(simulated_events(probabilities, codes, size, simulations, seed) - expected).sum(axis=1) / total
    )
    error, _, _ = spread(errors[~np.isnan(errors)], len(np.unique(units[0])))
    return {
        "calibration_error": float(np.abs(np.bincount(codes, deviations, size)).sum() / total),
        "test_se": error,
        "perfect_mean": float(perfect.mean()),
        "perfect_high": float(np.percentile(perfect, 95)),
        "bins": len(np.unique(codes)),
        "binning": binning,
        "transitions": total,
    }


def quantile_bins(
    values: np.ndarray, bins: int, workers: np.ndarray | None = None, outcomes: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the bin of each value, int from 0, and the edges of the bins of about equal size.

    Equal values share a bin. With `workers` (their numbers), bins with fewer than eleven of them are joined to the
    next one, the last to the one before; with `outcomes` (bool) also those with fewer than eleven workers who have the
    event, or fewer than eleven who have it not.

    Raises:
        InputError: without values, or with fewer than one bin.
    """
    _check_bins(values, bins)
    inner_levels = np.linspace(0.0, 1.0, bins + 1)[1:-1]
    inner = [
        edge for edge in np.unique(np.quantile(values, inner_levels, method="higher")) if edge > values.min()
    ]
    if workers is not None:
        position = 0
        while inner and position <= len(inner):
            codes = np.searchsorted(inner, values, side="right")
            if _fewest_persons(codes == position, workers, outcomes) < MINIMUM_PERSONS:
                inner.pop(min(position, len(inner) - 1))
                position = max(0, min(position, len(inner)))
            else:
                position += 1
    codes = np.searchsorted(inner, values, side="right")
    return codes, np.array([values.min(), *inner, values.max()])


def _fewest_persons(inside: np.ndarray, workers: np.ndarray, outcomes: np.ndarray | None) -> int:
    """Return the workers of a bin; with outcomes those with the event, or without it, whichever are fewer."""
    parts = [inside] if outcomes is None else [inside & outcomes, inside & ~outcomes]
    return min(len(np.unique(workers[part])) for part in parts)


def equal_bins(values: np.ndarray, bins: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the bin of each probability, int from 0, and the edges of bins of equal width; one lies in the last.

    Raises:
        InputError: without values, or with fewer than one bin.
    """
    _check_bins(values, bins)
    return np.minimum((values * bins).astype(int), bins - 1), np.linspace(0.0, 1.0, bins + 1)


def simulated_events(
    probabilities: np.ndarray, codes: np.ndarray, bins: int, simulations: int, seed: int
) -> np.ndarray:
    """Return how many events a perfect model has in each bin, int [simulations, bins].

    Args:
        probabilities: [transitions].
        codes: bin of each transition.
        bins: how many there are.
        simulations: how often the events are drawn.
        seed: of the draws.
    """
    order = np.argsort(codes, kind="stable")
    sorted_values = probabilities[order]
    bounds = np.searchsorted(codes[order], np.arange(bins + 1))
    drawn = np.empty((simulations, bins), dtype=np.int64)
    cumulated = np.zeros(len(order) + 1, dtype=np.int64)
    for simulation in range(simulations):
        generator = np.random.default_rng((seed, simulation, 1))
        np.cumsum(generator.random(len(order)) < sorted_values, out=cumulated[1:])
        drawn[simulation] = np.diff(cumulated[bounds])
    return drawn


def sums_by_unit(
    values: np.ndarray, units: np.ndarray, codes: np.ndarray, count: int, bins: int
) -> np.ndarray:
    """Return the sum of values by unit and bin, [units, bins]."""
    return np.bincount(units * bins + codes, values, count * bins).reshape(count, bins)


def _check_bins(values: np.ndarray, bins: int) -> None:
    if bins < 1 or not len(values):
        raise InputError(
            f"calibration: {bins} bins for {len(values):,} transitions; at least one of each is needed."
        )
