"""Area under the ROC curve of binary tasks, with intervals from resampled workers.

The AUC is the probability that a transition with the event has a higher predicted probability than one
without, ties counting one half: with n1 and n0 of them, the Mann-Whitney statistic U / (n1 n0). In a bootstrap
sample every pair counts with the product of its workers' weights, so that sorting once serves all draws: the
transitions are put into bins by probability, and a draw needs the weight of each bin with and without the event.
Where there are more than 4,096 distinct probabilities, pairs within a bin (one in some thousands) count as in the
whole sample instead of one by one, which changes a draw by far less than a thousandth of the standard error.

Where all transitions of a group have the event, or none, there is no AUC: it is NaN, and `reason` says why.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd
import scipy.sparse
import scipy.stats

from labor_llm.errors import InputError
from labor_llm.evaluation.binary_tasks import BinaryEvents
from labor_llm.evaluation.resampling import Sample, differences, estimates, weight_blocks

MOST_BINS = 4096


def bootstrap_auc(
    events: Sequence[BinaryEvents], by: str | None = None, draws: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Return each model's AUC for each task with its interval from resampled workers.

    Args:
        events: of one or more tasks and data sets.
        by: a column of their tables for one row per value.
        draws: bootstrap samples.
        seed: of the samples, the same for all models and groups.

    Returns:
        Columns `dataset`, `task`, `model`, (`by`), `auc`, `test_se`, `ci_low`, `ci_high` (2.5th and 97.5th percentile),
        `transitions`, `events`, `workers`, `workers_with_event`, `workers_without_event` (with a transition without
        it), `reason` (empty, or why there is no AUC) and `draws` (those with both classes).

    Raises:
        InputError: below two draws, or if a transition has no value of `by`.
    """
    return estimates([sample for task in events for sample in _samples(task, by, draws, seed)], "auc")


def differences_to_best(
    events: Sequence[BinaryEvents], baselines: Collection[str], draws: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Return each model's AUC minus that of the best baseline of the same task and data set, on the same draws.

    The best baseline is the one with the highest AUC on these very transitions, a choice that favors the baselines.

    Args:
        events: of one or more tasks and data sets.
        baselines: names of the models that are baselines.
        draws: bootstrap samples of workers.
        seed: of the samples.

    Returns:
        Columns `dataset`, `task`, `model`, `reference`, `difference` (positive where the model ranks better),
        `test_se`, `ci_low`, `ci_high`, `z`, and those of `bootstrap_auc` from `transitions` on.

    Raises:
        InputError: if a task has no baseline.
    """
    parts = []
    for task in events:
        samples = _samples(task, None, draws, seed)
        areas = {each.key["model"]: each.value for each in samples if each.key["model"] in baselines}
        if not areas:
            raise InputError(f"{task.dataset}: no predictions of a baseline. Run notebooks/06_baselines.")
        parts.append(differences(samples, max(areas, key=lambda model: areas[model]), {"": np.positive}))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _samples(task: BinaryEvents, by: str | None, draws: int, seed: int) -> list[Sample]:
    """Return the AUC of each model, or of each of its groups, and in each bootstrap sample."""
    workers, count = task.units()
    cells = task.cells(by)
    bins = [_Bins(values, occurred, workers[rows], count) for _, rows, values, occurred in cells]
    drawn: list[list[np.ndarray]] = [[] for _ in cells]
    for weights in weight_blocks(count, draws, seed):
        by_unit = np.ascontiguousarray(weights.T)
        for ranked, parts in zip(bins, drawn, strict=True):
            parts.append(ranked.areas(by_unit))
    samples = []
    for (key, rows, _, occurred), ranked, parts in zip(cells, bins, drawn, strict=True):
        present = workers[rows]
        persons = len(np.unique(present))
        reason = "the event occurs in every transition" if occurred.all() else ""
        reason = reason if occurred.any() else "the event never occurs"
        counts = {
            "transitions": len(rows),
            "events": int(occurred.sum()),
            "workers": persons,
            "workers_with_event": len(np.unique(present[occurred])),
            "workers_without_event": len(np.unique(present[~occurred])),
            "reason": reason,
        }
        samples.append(Sample(key, ranked.area, np.concatenate(parts), persons, counts))
    return samples


class _Bins:
    """Transitions of a cell by bins of probability and by worker, with the event and without it, and their AUC."""

    def __init__(self, values: np.ndarray, occurred: np.ndarray, workers: np.ndarray, count: int) -> None:
        # Transitions without the event below each of those with it, ties one half.
        below = scipy.stats.rankdata(values)[occurred] - scipy.stats.rankdata(values[occurred])
        pairs = int(occurred.sum()) * int((~occurred).sum())
        self.area = float(below.sum() / pairs) if pairs else np.nan
        _, codes, sizes = np.unique(values, return_inverse=True, return_counts=True)
        if len(sizes) > MOST_BINS:
            # Equal probabilities share a bin: that of the first of them in ascending order.
            codes = ((np.cumsum(sizes) - sizes) * MOST_BINS // len(codes))[codes]
        bins = int(codes.max(initial=0)) + 1
        # Sorted by worker (csc), so that a product reads the weights in order and the bins stay in cache.
        self.with_event, self.without = (
            scipy.sparse.csc_array((np.ones(rows.sum()), (codes[rows], workers[rows])), shape=(bins, count))
            for rows in (occurred, ~occurred)
        )
        own, others = (np.bincount(codes[rows], minlength=bins) for rows in (occurred, ~occurred))
        ahead = below - (np.cumsum(others) - others)[codes[occurred]]
        # The share of a bin's pairs that are in the right order, one half for ties.
        right, pairs = np.bincount(codes[occurred], ahead, bins), own * others
        self.within = np.divide(right, pairs, out=np.full(bins, 0.5), where=pairs > 0)[:, None]

    def areas(self, weights: np.ndarray) -> np.ndarray:
        """Return the AUC of each draw, NaN where one class has no weight; `weights` is [workers, draws]."""
        own, others = self.with_event @ weights, self.without @ weights
        ahead = np.cumsum(others, axis=0) - others + self.within * others
        with np.errstate(invalid="ignore", divide="ignore"):
            return (own * ahead).sum(axis=0) / (own.sum(axis=0) * others.sum(axis=0))
