"""Area under the ROC curve of binary tasks, with intervals from resampled workers.

The AUC is the probability that a transition with the event has a higher predicted probability than one
without, ties counting one half: with n1 and n0 of them, the Mann-Whitney statistic U / (n1 n0). In a bootstrap
sample every pair counts with the product of its workers' weights, so that sorting once serves all draws: the
transitions are put into bins by probability, and a draw needs the weight of each bin with and without the event.
Where there are more than 4,096 distinct probabilities, pairs within a bin (one in some thousands) count as in the
whole sample instead of one by one, which changes a draw by far less than a thousandth of the standard error.

Beside the bootstrap stand two analytic standard errors as cross-checks: that of DeLong, DeLong and
Clarke-Pearson (1988), "Comparing the areas under two or more correlated receiver operating characteristic
curves", Biometrics 44, 837-845, which takes records to be independent and is too small where workers have
several; and that of Obuchowski (1997), "Nonparametric analysis of clustered ROC curve data", Biometrics 53,
567-578, which adds up the same components within workers.

Where all transitions of a group have the event, or none, there is no AUC: it is NaN, and `reason` says why.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse

from labor_llm.errors import InputError
from labor_llm.evaluation.binary_tasks import BinaryEvents
from labor_llm.evaluation.comparison import require_values
from labor_llm.evaluation.resampling import check_draws, spread, weight_blocks

MOST_BINS = 4096


@dataclass(frozen=True)
class _Ranks:
    """Where the transitions with the event stand among those without it, both sorted by probability."""

    with_event: np.ndarray
    without: np.ndarray
    below: np.ndarray
    not_above: np.ndarray

    @classmethod
    def of(cls, probabilities: np.ndarray, outcomes: np.ndarray) -> _Ranks:
        order = np.argsort(probabilities, kind="stable")
        sorted_outcomes = outcomes[order]
        with_event, without = order[sorted_outcomes], order[~sorted_outcomes]
        values, others = probabilities[with_event], probabilities[without]
        below = np.searchsorted(others, values, side="left")
        return cls(with_event, without, below, np.searchsorted(others, values, side="right"))

    def area(self) -> float:
        """Return the AUC; NaN where one class is empty."""
        pairs = len(self.with_event) * len(self.without)
        return float((self.below + self.not_above).sum() / (2.0 * pairs)) if pairs else np.nan


class _Bins:
    """Transitions of a cell by bins of probability and by unit, with the event and without it."""

    def __init__(self, probabilities: np.ndarray, ranks: _Ranks, units: np.ndarray, count: int) -> None:
        _, codes, sizes = np.unique(probabilities, return_inverse=True, return_counts=True)
        if len(sizes) > MOST_BINS:
            # Equal probabilities share a bin: that of the first of them in ascending order.
            codes = ((np.cumsum(sizes) - sizes) * MOST_BINS // len(codes))[codes]
        bins = int(codes.max(initial=0)) + 1
        # Sorted by unit (csc), so that a product reads the weights in order and the bins stay in cache.
        self.with_event, self.without = (
            scipy.sparse.csc_array((np.ones(len(rows)), (codes[rows], units[rows])), shape=(bins, count))
            for rows in (ranks.with_event, ranks.without)
        )
        own, others = (np.bincount(codes[rows], minlength=bins) for rows in (ranks.with_event, ranks.without))
        ahead = (ranks.below + ranks.not_above) / 2.0 - (np.cumsum(others) - others)[codes[ranks.with_event]]
        right = np.bincount(codes[ranks.with_event], ahead, bins)
        pairs = own * others
        # The share of a bin's pairs that are in the right order, one half for ties.
        self.within = np.divide(right, pairs, out=np.full(bins, 0.5), where=pairs > 0)[:, None]

    def areas(self, weights: np.ndarray) -> np.ndarray:
        """Return the AUC of each draw, NaN where one class has no weight; `weights` is [units, draws]."""
        own, others = self.with_event @ weights, self.without @ weights
        ahead = np.cumsum(others, axis=0) - others + self.within * others
        with np.errstate(invalid="ignore", divide="ignore"):
            return (own * ahead).sum(axis=0) / (own.sum(axis=0) * others.sum(axis=0))


def area_under_curve(probabilities: np.ndarray, outcomes: np.ndarray) -> float:
    """Return the AUC of probabilities for outcomes; NaN where there is only one class.

    Args:
        probabilities: [transitions], finite.
        outcomes: bool [transitions].

    Raises:
        InputError: if the two are not of the same length, or a probability is not finite.
    """
    values, occurred = np.asarray(probabilities, dtype=np.float64), np.asarray(outcomes, dtype=bool)
    if values.shape != occurred.shape or not np.isfinite(values).all():
        raise InputError("AUC: give as many finite probabilities as outcomes.")
    return _Ranks.of(values, occurred).area()


def analytic_standard_error(
    probabilities: np.ndarray, outcomes: np.ndarray, units: np.ndarray | None = None
) -> float:
    """Return the standard error of an AUC: DeLong's, or Obuchowski's where `units` names each record's worker.

    NaN where a class has fewer than two transitions (or there are fewer than two workers).

    Args:
        probabilities: [transitions].
        outcomes: bool [transitions].
        units: int [transitions], number of the worker, or None for independent records.
    """
    ranks = _Ranks.of(np.asarray(probabilities, float), np.asarray(outcomes, bool))
    events, others = len(ranks.with_event), len(ranks.without)
    if min(events, others) < 2:
        return np.nan
    # Share of the other class that each record ranks rightly against, ties one half.
    placed = np.empty(events + others)
    placed[ranks.with_event] = (ranks.below + ranks.not_above) / (2.0 * others)
    values = np.asarray(probabilities, float)
    event_values = values[ranks.with_event]
    above = events - np.searchsorted(event_values, values[ranks.without], side="right")
    not_below = events - np.searchsorted(event_values, values[ranks.without], side="left")
    placed[ranks.without] = (above + not_below) / (2.0 * events)
    if units is None:
        parts = [(placed[rows].var(ddof=1), len(rows)) for rows in (ranks.with_event, ranks.without)]
        return float(np.sqrt(sum(variance / count for variance, count in parts)))
    deviations = placed - ranks.area()
    share = np.where(np.asarray(outcomes, bool), 1.0 / events, 1.0 / others)
    by_unit = np.bincount(units, deviations * share)
    present = len(np.unique(units))
    if present < 2:
        return np.nan
    return float(np.sqrt((by_unit**2).sum() * present / (present - 1)))


def bootstrap_auc(
    events: Sequence[BinaryEvents],
    by: str | None = None,
    draws: int = 1000,
    seed: int = 0,
    unit: str = "worker_id",
) -> pd.DataFrame:
    """Return each model's AUC for each task with its interval from resampled workers.

    Args:
        events: of one or more tasks and data sets.
        by: a column of their tables for one row per value.
        draws: bootstrap samples.
        seed: of the samples, the same for all models and groups.
        unit: column of what is resampled.

    Returns:
        Columns `dataset`, `task`, `population`, `model`, `normalised`, (`by`), `auc`, `test_se`, `ci_low`,
        `ci_high` (2.5th and 97.5th percentile), `delong_se` and `clustered_se` (cross-checks), `transitions`,
        `events`, `workers`, `workers_with_event`, `workers_without_event` (with a transition without it), `draws`
        (those with both classes) and `reason` (empty, or why there is no AUC).

    Raises:
        InputError: below two draws, or without such a column.
    """
    rows = []
    for key, sample in _samples(events, by, draws, seed, unit):
        error, low, high = spread(sample["areas"][sample["defined"]], sample["units"])
        estimates = {"auc": sample["auc"], "test_se": error, "ci_low": low, "ci_high": high}
        persons = ("workers", "workers_with_event", "workers_without_event")
        counts = {name: sample[name] for name in ("transitions", "events", *persons)}
        checks = {name: sample[name] for name in ("delong_se", "clustered_se")}
        drawn = {"draws": int(sample["defined"].sum()), "reason": sample["reason"]}
        rows.append(key | estimates | checks | counts | drawn)
    return pd.DataFrame(rows)


def bootstrap_auc_differences(
    events: Sequence[BinaryEvents],
    reference: str,
    by: str | None = None,
    draws: int = 1000,
    seed: int = 0,
    unit: str = "worker_id",
) -> pd.DataFrame:
    """Return how every other model's AUC differs from a reference model's, paired on the same draws.

    Returns:
        Columns `dataset`, `task`, `population`, `model`, `reference`, (`by`), `difference` (model minus reference:
        positive where the model ranks better), `test_se`, `ci_low`, `ci_high`, `z`, `transitions`, `events`,
        `workers`, `workers_with_event`, `draws`, `reason`.

    Raises:
        InputError: if a data set lacks the reference; and as `bootstrap_auc`.
    """
    samples = _samples(events, by, draws, seed, unit)
    bases = {_cell(key): sample for key, sample in samples if key["model"] == reference}
    rows = []
    for key, sample in samples:
        if key["model"] == reference:
            continue
        if (base := bases.get(_cell(key))) is None:
            raise InputError(
                f"{key['dataset']}: no predictions of the reference {reference!r}. Give them too."
            )
        both = sample["defined"] & base["defined"]
        error, low, high = spread((sample["areas"] - base["areas"])[both], sample["units"])
        difference = sample["auc"] - base["auc"]
        identity = {name: key[name] for name in ("dataset", "task", "population", "model")}
        estimates = {"difference": difference, "test_se": error, "ci_low": low, "ci_high": high}
        counts = {name: sample[name] for name in ("transitions", "events", "workers", "workers_with_event")}
        rows.append(
            identity
            | {"reference": reference}
            | ({by: key[by]} if by else {})
            | estimates
            | {"z": difference / error if error > 0 else np.nan}
            | counts
            | {"draws": int(both.sum()), "reason": sample["reason"]}
        )
    return pd.DataFrame(rows)


def _samples(
    events: Sequence[BinaryEvents], by: str | None, draws: int, seed: int, unit: str
) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    check_draws(draws)
    samples = []
    for task in events:
        units, count = task.units(unit)
        worker_codes, _ = task.units("worker_id")
        groups = list(event_groups(task, by))
        cells = []
        for position, model in enumerate(task.models):
            for group, rows in groups:
                values, occurred = task.probabilities[rows, position], task.outcomes[rows]
                ranks = _Ranks.of(values, occurred)
                members = units[rows]
                cells.append(_Bins(values, ranks, members, count))
                workers = worker_codes[rows]
                sample = {
                    "auc": ranks.area(),
                    "reason": _reason(occurred),
                    "delong_se": analytic_standard_error(values, occurred),
                    "clustered_se": analytic_standard_error(values, occurred, members),
                    "transitions": len(rows),
                    "events": int(occurred.sum()),
                    "workers": len(np.unique(workers)),
                    "workers_with_event": len(np.unique(workers[occurred])),
                    "workers_without_event": len(np.unique(workers[~occurred])),
                    "units": len(np.unique(members)),
                }
                samples.append((task.identity(model) | group, sample))
        areas = _resampled_areas(cells, count, draws, seed)
        for (_, sample), drawn in zip(samples[-len(cells) :], areas, strict=True):
            sample |= {"areas": drawn, "defined": ~np.isnan(drawn)}
    return samples


def _resampled_areas(cells: list[_Bins], units: int, draws: int, seed: int) -> list[np.ndarray]:
    """Return the AUC of each cell in each bootstrap sample: NaN where it holds one class only."""
    areas = [np.full(draws, np.nan) for _ in cells]
    start = 0
    for weights in weight_blocks(units, draws, seed):
        by_unit = np.ascontiguousarray(weights.T)
        for bins, drawn in zip(cells, areas, strict=True):
            drawn[start : start + len(weights)] = bins.areas(by_unit)
        start += len(weights)
    return areas


def event_groups(events: BinaryEvents, by: str | None) -> list[tuple[dict[str, Any], np.ndarray]]:
    """Return each value of the column `by`, as a key, with its rows (int); all rows under no key if None.

    Raises:
        InputError: if there is no such column, or a transition has no value of it.
    """
    if by is None:
        return [({}, np.arange(len(events.table)))]
    if by not in events.table.columns:
        raise InputError(
            f"by: {by!r} is no column; name it in `columns` of binary_events. "
            f"Found {', '.join(events.table.columns)}."
        )
    require_values(events.table, by, f"{events.dataset}, {events.task.label}")
    codes, values = pd.factorize(events.table[by], sort=True)
    return [({by: value}, np.flatnonzero(codes == position)) for position, value in enumerate(values)]


def _reason(occurred: np.ndarray) -> str:
    if not len(occurred):
        return "no transitions"
    if occurred.all():
        return "the event occurs in every transition"
    return "" if occurred.any() else "the event never occurs"


def _cell(key: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(value for name, value in key.items() if name not in ("model", "normalised"))
