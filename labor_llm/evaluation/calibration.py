"""Calibration of binary tasks: do events that are given a probability of p occur in a share p of the cases?

- The reliability curve: mean probability and share of events in bins of about equal size. Its band comes from
  resampled workers; beside it stands the band in which a model with these very probabilities would lie if they were
  right, since events drawn with the stated probabilities scatter too.
- The expected calibration error: mean over transitions of |share of events - mean probability| of their bin. It is
  above zero even for a perfect model, and the more so the fewer transitions there are, so it stands beside the value
  that a perfect model has on the same transitions. It has no interval from resampled workers: a sample scatters around
  the estimate as the estimate does around the truth, so its error is too high twice over.
- Recalibration: the event is regressed on the logit of its probability (Cox 1958, "Two further applications of a
  model for binary regression", Biometrika 45, 562-565). A calibrated model has intercept 0 and slope 1. A probability
  of exactly zero or one has no logit: the result is then NaN with the reason, nothing is clipped. Nor is there a
  slope where all events have higher probabilities than all other transitions, or lower ones, equal ones aside (Albert
  and Anderson 1984, "On the existence of maximum likelihood estimates in logistic regression models", Biometrika 71,
  1-10).

For a perfect model the deviations of a worker's transitions from their probabilities are uncorrelated, each
being zero on average whatever came before; so its events are drawn independently.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from warnings import catch_warnings, simplefilter

import numpy as np
import pandas as pd
import scipy.special

from labor_llm.disclosure import MINIMUM_PERSONS
from labor_llm.evaluation.binary_tasks import BinaryEvents, BinaryTask
from labor_llm.evaluation.resampling import LEVELS, resampled_sums, spread

# Bins of a calibration error at most, and how often the events of a perfect model are drawn for it.
BINS, SIMULATIONS = 15, 200
# The same of a reliability curve.
CURVE_BINS, CURVE_SIMULATIONS = 10, 1000

ITERATIONS = 200
# Largest gradient of the mean log-likelihood, relative to the regressor, at which a fit counts as arrived.
TOLERANCE = 1e-8
# Log-probabilities are stored as float32: log odds that differ by less, relatively, differ by rounding.
ROUNDING = 1e-6


def reliability_curves(
    events: Sequence[BinaryEvents], task: BinaryTask, draws: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Return the reliability curve of each model on one task, on every data set that has it.

    A curve has ten bins of about equal size by the model's own probabilities. Equal probabilities stay together, and
    bins with fewer than eleven workers who have the event, or eleven who have it not, are joined to a neighbour, so
    there may be fewer.

    Returns:
        Columns `dataset`, `task`, `model`, `bin` (from 1), `predicted` (mean probability), `observed` (share of
        events), `ci_low`, `ci_high` (of the share), `perfect_low`, `perfect_high` (95 % of the shares of a perfect
        model), `transitions`, `events`, `workers`. Without rows if no data set has the task.

    Raises:
        InputError: below two draws.
    """
    rows: list[dict[str, Any]] = []
    for part in [part for part in events if part.task == task]:
        for key, _, values, occurred in part.cells():
            rows += [key | cells for cells in _curve(values, occurred, *part.units(), draws, seed)]
    return pd.DataFrame(rows)


def _curve(
    values: np.ndarray, occurred: np.ndarray, units: np.ndarray, count: int, draws: int, seed: int
) -> list[dict[str, Any]]:
    codes = quantile_bins(values, CURVE_BINS, units, occurred)
    size = codes.max() + 1
    happened, counts = (
        np.bincount(units * size + codes, weights, count * size).reshape(count, size)
        for weights in (occurred.astype(float), np.ones(len(values)))
    )
    drawn, drawn_counts = np.split(resampled_sums(np.hstack([happened, counts]), draws, seed), 2, axis=1)
    totals = np.bincount(codes)
    perfect = _simulated_events(values, codes, CURVE_SIMULATIONS, seed) / totals
    rows = []
    for number in range(size):
        inside, there = codes == number, drawn_counts[:, number] > 0
        workers = int((counts[:, number] > 0).sum())
        interval = spread(drawn[there, number] / drawn_counts[there, number], workers)
        low, high = np.percentile(perfect[:, number], LEVELS)
        rows.append(
            {"bin": number + 1, "predicted": values[inside].mean(), "observed": occurred[inside].mean()}
            | {"ci_low": interval["ci_low"], "ci_high": interval["ci_high"]}
            | {"perfect_low": low, "perfect_high": high, "transitions": int(totals[number])}
            | {"events": int(occurred[inside].sum()), "workers": workers}
        )
    return rows


def calibration_errors(events: Sequence[BinaryEvents], by: str | None = None, seed: int = 0) -> pd.DataFrame:
    """Return the expected calibration error of each model on each task, with a perfect model's beside it.

    Args:
        events: of one or more tasks and data sets.
        by: a column of their tables for one row per value.
        seed: of the simulations of a perfect model.

    Returns:
        Columns `dataset`, `task`, `model`, (`by`), `calibration_error` (in fifteen bins of about equally many
        transitions, or fewer), `perfect_mean` and `perfect_high` (mean and 95th percentile of a perfect model),
        `transitions`, `workers`.

    Raises:
        InputError: if a transition has no value of `by`.
    """
    rows = []
    for task in events:
        units, _ = task.units()
        for key, members, values, occurred in task.cells(by):
            error = expected_calibration_error(values, occurred, quantile_bins(values, BINS), seed)
            counts = {"transitions": len(members), "workers": len(np.unique(units[members]))}
            rows.append(key | error | counts)
    return pd.DataFrame(rows)


def expected_calibration_error(
    probabilities: np.ndarray, outcomes: np.ndarray, codes: np.ndarray, seed: int = 0
) -> dict[str, float]:
    """Return `calibration_error`, `perfect_mean` and `perfect_high` (see `calibration_errors`).

    Args:
        probabilities: [transitions].
        outcomes: bool [transitions].
        codes: the bin of each transition, int from 0.
        seed: of the simulations of a perfect model.
    """
    simulated = _simulated_events(probabilities, codes, SIMULATIONS, seed)
    perfect = np.abs(simulated - np.bincount(codes, probabilities)).sum(axis=1) / len(codes)
    deviations = np.bincount(codes, outcomes.astype(float) - probabilities)
    return {
        "calibration_error": float(np.abs(deviations).sum() / len(codes)),
        "perfect_mean": float(perfect.mean()),
        "perfect_high": float(np.percentile(perfect, 95)),
    }


def quantile_bins(
    values: np.ndarray, bins: int, workers: np.ndarray | None = None, outcomes: np.ndarray | None = None
) -> np.ndarray:
    """Return the bin of each value, int from 0, the bins being of about equal size.

    Equal values share a bin. With `workers` (their numbers) and `outcomes` (bool), bins with fewer than eleven workers
    who have the event, or fewer than eleven who have it not, are joined to the next one, the last to the one before.
    """
    edges = np.unique(np.quantile(values, np.linspace(0.0, 1.0, bins + 1)[1:-1], method="higher"))
    inner = edges[edges > values.min()].tolist()
    position = 0
    while workers is not None and inner and position <= len(inner):
        inside = np.searchsorted(inner, values, side="right") == position
        with_event, without = inside & outcomes, inside & ~outcomes
        if min(len(np.unique(workers[part])) for part in (with_event, without)) < MINIMUM_PERSONS:
            inner.pop(min(position, len(inner) - 1))
            position = max(0, min(position, len(inner)))
        else:
            position += 1
    return np.searchsorted(inner, values, side="right")


def _simulated_events(
    probabilities: np.ndarray, codes: np.ndarray, simulations: int, seed: int
) -> np.ndarray:
    """Return how many events a perfect model has in each bin, int [simulations, bins]."""
    order = np.argsort(codes, kind="stable")
    sorted_values = probabilities[order]
    bounds = np.searchsorted(codes[order], np.arange(codes.max() + 2))
    drawn = np.empty((simulations, codes.max() + 1), dtype=np.int64)
    cumulated = np.zeros(len(order) + 1, dtype=np.int64)
    for simulation in range(simulations):
        generator = np.random.default_rng((seed, simulation, 1))
        np.cumsum(generator.random(len(order)) < sorted_values, out=cumulated[1:])
        drawn[simulation] = np.diff(cumulated[bounds])
    return drawn


def recalibration(events: Sequence[BinaryEvents]) -> pd.DataFrame:
    """Return intercept and slope of the event on the logit of its probability, for each model.

    Returns:
        Columns `dataset`, `task`, `model`, `intercept`, `intercept_se`, `slope`, `slope_se`, `transitions`, `events`,
        `workers` and `reason` (empty, or why the others are NaN). Standard errors are clustered by worker, with
        statsmodels' correction for few clusters.
    """
    rows, names = [], ("intercept", "intercept_se", "slope", "slope_se")
    for task in events:
        units, count = task.units()
        for key, _, values, occurred in task.cells():
            row = dict.fromkeys(names, np.nan)
            if not (reason := _not_recalibrated(values, occurred)):
                row = dict(zip(names, _recalibrated(values, occurred, units), strict=True))
                reason = "the fit of intercept and slope did not converge" if np.isnan(row["slope"]) else ""
            counts = {"transitions": len(values), "events": int(occurred.sum()), "workers": count}
            rows.append(key | row | counts | {"reason": reason})
    return pd.DataFrame(rows)


def _not_recalibrated(probabilities: np.ndarray, occurred: np.ndarray) -> str:
    certain = int(((probabilities <= 0.0) | (probabilities >= 1.0)).sum())
    if certain:
        return f"a probability of exactly zero or one in {certain:,} transitions"
    if occurred.all() or not occurred.any():
        return "only one outcome occurs"
    logit = scipy.special.logit(probabilities)
    if np.ptp(logit) <= ROUNDING * max(1.0, np.abs(logit).max()):
        return "all probabilities are equal"
    events, others = probabilities[occurred], probabilities[~occurred]
    if others.max() <= events.min() or events.max() <= others.min():
        return "the probabilities separate the outcomes, equal ones aside"
    return ""


def _recalibrated(
    probabilities: np.ndarray, occurred: np.ndarray, units: np.ndarray
) -> tuple[float, float, float, float]:
    """Return intercept and slope, each with its cluster-robust standard error; NaN if the fit did not arrive."""
    # Heavy to import, and the rest of the module does without.
    from sklearn.linear_model import LogisticRegression

    logit = scipy.special.logit(probabilities)
    # No penalty: the maximum of the likelihood.
    fitted = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-10, max_iter=ITERATIONS)
    with catch_warnings():
        # It warns where it changes the solver as well; whether it arrived is seen from the gradient.
        simplefilter("ignore")
        fitted.fit(logit[:, None], occurred)
    intercept, slope = float(fitted.intercept_[0]), float(fitted.coef_[0, 0])
    regressors = np.column_stack([np.ones(len(logit)), logit])
    chances = scipy.special.expit(intercept + slope * logit)
    scores = regressors * (occurred - chances)[:, None]
    if not (np.abs(scores.sum(axis=0)) <= TOLERANCE * len(logit) * np.abs(regressors).max(axis=0)).all():
        return np.nan, np.nan, np.nan, np.nan
    bread = np.linalg.inv((regressors * (chances * (1.0 - chances))[:, None]).T @ regressors)
    by_unit = np.column_stack([np.bincount(units, score) for score in scores.T])
    clusters, (size, parameters) = len(by_unit), regressors.shape
    if clusters < 2:
        return intercept, np.nan, slope, np.nan
    correction = clusters / (clusters - 1) * (size - 1) / (size - parameters)
    errors = np.sqrt(correction * np.diag(bread @ by_unit.T @ by_unit @ bread)).tolist()
    return intercept, errors[0], slope, errors[1]
