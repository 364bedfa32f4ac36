"""Binary tasks: does a worker change occupation, become or stay unemployed, or be out of the labor force?

Each event is one title that occurs, or does not, so its probability can be read off the distribution over
titles, and no model is trained for it (the paper, "specific tasks such as predicting whether the worker
changes occupations or stays in the labor force"):

    P(change) = 1 - P(y_t = y_{t-1} | history),    P(unemployed) = P(y_t = unemployed | history).

Transitions are those with a record before them. Probabilities are normalised over the valid titles where every
title was scored: unnormalised ones mix the mass on text that is no title into the ranking. Where only named titles
were scored (`labor_llm.scoring.careers`) they are unnormalised. What can be compared is compared on the same
transitions; what cannot, as the data set lacks the state or a model the scores, is left out with the reason.

How well a model ranks transitions is the area under the ROC curve (AUC): the probability that one with the event has a
higher predicted probability than one without, ties counting one half; with n1 and n0 of them, the Mann-Whitney
statistic U / (n1 n0). In a bootstrap sample every pair counts with the product of its workers' weights, so that sorting
once serves all draws: the transitions are put into bins by probability, and a draw needs the weight of each bin with
and without the event. Where there are more than 4,096 distinct probabilities, pairs within a bin (one in some
thousands) count as in the whole sample instead of one by one, which changes a draw by far less than a thousandth of the
standard error. Where all transitions of a group have the event, or none, the AUC is NaN, and `reason` says why.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse
import scipy.stats

from labor_llm.careers.panel import CareerPanel
from labor_llm.careers.predictions import STAY, Predictions, named_column, panel_columns
from labor_llm.disclosure import MINIMUM_PERSONS
from labor_llm.errors import InputError, NumericalError
from labor_llm.evaluation.comparison import LeftOut, answering, by_dataset, compare, groups, sorted_rows
from labor_llm.evaluation.resampling import Sample, differences, estimates, weight_blocks

MOST_BINS = 4096
# Realised title and mass may come from different forward passes, whose float32 sums differ by rounding.
_TOLERANCE = 1e-3

NO_STATE = "the data set has no such state"
TOO_FEW = f"fewer than {MINIMUM_PERSONS} workers with the event, or without it"
NO_MODEL = "no model has the scores that it takes"


@dataclass(frozen=True)
class BinaryTask:
    """An event of the next record that one title decides.

    Attributes:
        label: how tables call it; in columns too.
        title: an occupation's code, or `STAY` for the previous record's.
        occurs: whether the event is that the title occurs (True) or that another one does (False).
    """

    label: str
    title: str
    occurs: bool = True


CHANGE = BinaryTask("Change of occupation", STAY, occurs=False)
UNEMPLOYMENT = BinaryTask("Unemployment", "unemployed")
OUT_OF_LABOR_FORCE = BinaryTask("Out of the labor force", "out_of_labor_force")
BINARY_TASKS = (CHANGE, UNEMPLOYMENT, OUT_OF_LABOR_FORCE)


@dataclass(frozen=True)
class BinaryEvents:
    """What several models say of one event, and whether it occurred, on the same transitions.

    Attributes:
        task: the event.
        dataset: short name of the data set.
        table: columns `worker_id`, `year`, `outcome` (bool), sorted by worker and year.
        models: names, in the order given.
        probabilities: float64 [transitions, models], of the event.
    """

    task: BinaryTask
    dataset: str
    table: pd.DataFrame
    models: tuple[str, ...]
    probabilities: np.ndarray

    @property
    def outcomes(self) -> np.ndarray:
        """Whether the event occurred, bool [transitions]."""
        return self.table["outcome"].to_numpy()

    def units(self) -> tuple[np.ndarray, int]:
        """Return the number of each transition's worker in the order of the ids, and how many there are."""
        codes, ids = pd.factorize(self.table["worker_id"], sort=True)
        return codes, len(ids)

    def cells(self, by: str | None = None) -> list[tuple[dict[str, Any], np.ndarray, np.ndarray, np.ndarray]]:
        """Return key, rows, probabilities and outcomes of each model, or of each of its groups.

        Args:
            by: a column of the table.

        Raises:
            InputError: if a transition has no value of `by`.
        """
        cells, found = [], groups(self.table, by, f"{self.dataset}, {self.task.label}")
        for position, model in enumerate(self.models):
            key = {"dataset": self.dataset, "task": self.task.label, "model": model}
            for group, rows in found:
                cells.append((key | group, rows, self.probabilities[rows, position], self.outcomes[rows]))
        return cells


def shared_events(
    predictions: Sequence[Predictions],
    panels: Sequence[CareerPanel],
    tasks: Sequence[BinaryTask] = BINARY_TASKS,
) -> tuple[list[BinaryEvents], list[LeftOut]]:
    """Return the events of each data set and task, and what was left out.

    Args:
        predictions: of one or more models and data sets.
        panels: of these data sets, with at least the scored workers.
        tasks: binary tasks.

    Returns:
        Events, data set by data set and task by task, each with all models that have the named title or the scores
        of every title, on the transitions that all of them have; and what was left out with its reason. A task
        that fewer than eleven workers have, or have not, is left out as a whole.

    Raises:
        InputError: if a data set's predictions lack their panel.
        MismatchError: if the models scored every title for no transition in common, or predict other transitions than
            the panel has.
        NumericalError: if a model gives a title a probability above one.
    """
    by_name = {panel.dataset: panel for panel in panels}
    events, left_out = [], []
    for dataset, models in by_dataset(predictions).items():
        if dataset not in by_name:
            raise InputError(f"{dataset}: predictions without their panel. Give it too.")
        panel = by_name[dataset]
        for task in tasks:
            if task.title not in (STAY, *panel.outcomes.codes):
                left_out.append(LeftOut(dataset, task.label, "", NO_STATE))
                continue
            able, without = answering(models, named_column(task.title), task.label)
            left_out += without
            if not able:
                left_out.append(LeftOut(dataset, task.label, "", NO_MODEL))
                continue
            found = _events(able, panel, task)
            workers, outcomes = found.table["worker_id"], found.outcomes
            if min(workers[outcomes].nunique(), workers[~outcomes].nunique()) < MINIMUM_PERSONS:
                left_out.append(LeftOut(dataset, task.label, "", TOO_FEW))
            else:
                events.append(found)
    return events, left_out


def _events(predictions: Sequence[Predictions], panel: CareerPanel, task: BinaryTask) -> BinaryEvents:
    """Return the event of a task for transitions of which each model has all titles, or the named one."""
    (comparison,) = compare(predictions)
    table = comparison.transitions
    previous = panel_columns(table, panel, ["previous"])["previous"].to_numpy(dtype=object)
    kept = ~pd.isna(previous)
    occurred = table["occupation"].to_numpy() == (previous if task.title == STAY else task.title)
    described = table[["worker_id", "year"]].assign(outcome=occurred == task.occurs)
    stated = np.column_stack([_probabilities(each, task, kept, previous[kept]) for each in predictions])
    events = described[kept].reset_index(drop=True)
    return BinaryEvents(task, panel.dataset, events, comparison.models, stated)


def _probabilities(
    prediction: Predictions, task: BinaryTask, kept: np.ndarray, previous: np.ndarray
) -> np.ndarray:
    """Return the event's probability for the transitions kept, in the order of worker and year."""
    rows = sorted_rows(prediction.model, prediction.table)[kept]
    full = prediction.scored_in_full.to_numpy()
    if prediction.log_probs is not None and full[rows].all():
        outcomes = prediction.outcomes
        own = task.title == STAY
        columns = np.array(outcomes.indices(previous), int) if own else outcomes.index(task.title)
        log_probs = prediction.log_probs[(np.cumsum(full) - 1)[rows], columns].astype(np.float64)
        log_probs -= prediction.table["log_valid_mass"].to_numpy(dtype=np.float64)[rows]
    else:
        log_probs = prediction.table[named_column(task.title)].to_numpy(float)[rows]
    if wrong := int((np.isnan(log_probs) | (log_probs > _TOLERANCE)).sum()):
        raise NumericalError(
            f"{prediction.model}: the log-probability of {task.title!r} is not a number or above zero for "
            f"{wrong:,} of {len(rows):,} transitions. Score them again."
        )
    # -expm1 keeps the digits of a small probability that something else occurs.
    log_probs = np.minimum(log_probs, 0.0)
    return np.exp(log_probs) if task.occurs else -np.expm1(log_probs)


def bootstrap_auc(
    events: Sequence[BinaryEvents], by: str | None = None, draws: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Return each model's AUC for each task with its interval from resampled workers, the same for all models.

    With `by`, a column of the events' tables, there is a row for each of its values.

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

    The best of the models called `baselines` is the one with the highest AUC on these very transitions, a choice that
    favors the baselines.

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
        persons, with_event, without = (
            len(np.unique(present[kept])) for kept in (slice(None), occurred, ~occurred)
        )
        reason = "the event occurs in every transition" if not without else ""
        counts = {"transitions": len(rows), "events": int(occurred.sum()), "workers": persons}
        counts |= {"workers_with_event": with_event, "workers_without_event": without}
        counts["reason"] = reason if with_event else "the event never occurs"
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
