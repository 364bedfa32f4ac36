"""Binary tasks: does a worker change occupation, become or stay unemployed, or be out of the labor force?

Each event is one title that occurs, or does not, so its probability can be read off the distribution over
titles, and no model is trained for it (the paper, "specific tasks such as predicting whether the worker
changes occupations or stays in the labor force"):

    P(change) = 1 - P(y_t = y_{t-1} | history),    P(unemployed) = P(y_t = unemployed | history).

Transitions are those with a record before them. Probabilities are normalised over the valid titles where every
title was scored: unnormalised ones mix the mass on text that is no title into the ranking. Where only named titles
were scored (`labor_llm.scoring.careers`) they are unnormalised.

A data set may lack the state that a task asks for, and a language model may have scored every title for some workers
only, or the realised titles alone. What can be compared is compared on the same transitions; what cannot is left out
with the reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from labor_llm.careers.panel import CareerPanel
from labor_llm.careers.predictions import STAY, Predictions, named_column, panel_columns
from labor_llm.disclosure import MINIMUM_PERSONS
from labor_llm.errors import InputError, NumericalError
from labor_llm.evaluation.comparison import (
    LeftOut,
    answering,
    by_dataset,
    compare,
    groups,
    sorted_rows,
)

# Realised title and mass may come from different forward passes, whose float32 sums differ by rounding.
_TOLERANCE = 1e-3

NO_STATE = "the data set has no such state"
TOO_FEW = f"fewer than {MINIMUM_PERSONS} workers with the event, or without it"
NO_MODEL = "no model has the scores that it takes"


@dataclass(frozen=True)
class BinaryTask:
    """An event of the next record that one title decides.

    Attributes:
        name: short name, in columns.
        label: how tables call it.
        title: an occupation's code, or `STAY` for the previous record's.
        occurs: whether the event is that the title occurs (True) or that another one does (False).
    """

    name: str
    label: str
    title: str
    occurs: bool = True


CHANGE = BinaryTask("change_of_occupation", "Change of occupation", STAY, occurs=False)
UNEMPLOYMENT = BinaryTask("unemployment", "Unemployment", "unemployed")
OUT_OF_LABOR_FORCE = BinaryTask("out_of_labor_force", "Out of the labor force", "out_of_labor_force")
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
        found = groups(self.table, by, f"{self.dataset}, {self.task.label}")
        return [
            (
                {"dataset": self.dataset, "task": self.task.name, "model": model} | group,
                rows,
                self.probabilities[rows, position],
                self.outcomes[rows],
            )
            for position, model in enumerate(self.models)
            for group, rows in found
        ]


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
    events: list[BinaryEvents] = []
    left_out: list[LeftOut] = []
    for dataset, models in by_dataset(predictions).items():
        if dataset not in by_name:
            raise InputError(f"{dataset}: predictions without their panel. Give it too.")
        panel = by_name[dataset]
        for task in tasks:
            if task.title not in (STAY, *panel.outcomes.codes):
                left_out.append(LeftOut(dataset, task.label, "", NO_STATE))
                continue
            able, without = answering(models, named_column(task.title))
            left_out += [LeftOut(dataset, task.label, name, reason) for name, reason in without.items()]
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
    probabilities = [_probabilities(each, task, kept, previous[kept]) for each in predictions]
    return BinaryEvents(
        task,
        panel.dataset,
        described[kept].reset_index(drop=True),
        comparison.models,
        np.column_stack(probabilities),
    )


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
    wrong = int((np.isnan(log_probs) | (log_probs > _TOLERANCE)).sum())
    if wrong:
        raise NumericalError(
            f"{prediction.model}: the log-probability of {task.title!r} is not a number or above zero for "
            f"{wrong:,} of {len(rows):,} transitions. Score them again."
        )
    # -expm1 keeps the digits of a small probability that something else occurs.
    log_probs = np.minimum(log_probs, 0.0)
    return np.exp(log_probs) if task.occurs else -np.expm1(log_probs)
