"""Binary tasks: does a worker change occupation, become or stay unemployed, or be out of the labor force?

Each event is one title that occurs, or does not, so its probability can be read off the distribution over
titles, and no model is trained for it (the paper, "specific tasks such as predicting whether the worker
changes occupations or stays in the labor force"):

    P(change) = 1 - P(y_t = y_{t-1} | history),    P(unemployed) = P(y_t = unemployed | history).

Probabilities are normalised over the valid titles where every title was scored: unnormalised ones mix the
mass on text that is no title into the ranking. Where only named titles were scored
(`labor_llm.scoring.realised`) they are unnormalised, and the result says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pandas as pd

from labor_llm.careers.panel import CareerPanel
from labor_llm.careers.predictions import STAY, Predictions, named_column, panel_columns
from labor_llm.errors import InputError, MismatchError, NumericalError
from labor_llm.evaluation.comparison import compare, sorted_rows

# Realised title and mass may come from different forward passes, whose float32 sums differ by rounding.
_TOLERANCE = 1e-3

Population = Literal["with_history", "entering", "all"]


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
        population: which transitions: 'with_history' (all but first records), 'entering' (those of them who are
            not in the state already), 'all' (first records too).
        table: columns `worker_id`, `year`, `transition_type`, `previous` (code), `outcome` (bool) and further ones
            of the panel, sorted by worker and year.
        models: names, in the order given.
        probabilities: float64 [transitions, models], of the event.
        normalised: for each model, whether the probability is among valid titles.
    """

    task: BinaryTask
    dataset: str
    population: str
    table: pd.DataFrame
    models: tuple[str, ...]
    probabilities: np.ndarray
    normalised: tuple[bool, ...]

    @property
    def outcomes(self) -> np.ndarray:
        """Whether the event occurred, bool [transitions]."""
        return self.table["outcome"].to_numpy()

    def identity(self, model: str) -> dict[str, object]:
        """Return the cells that begin a row of a table on one model."""
        return {
            "dataset": self.dataset,
            "task": self.task.name,
            "population": self.population,
            "model": model,
            "normalised": self.normalised[self.models.index(model)],
        }

    def units(self, unit: str) -> tuple[np.ndarray, int]:
        """Return the number of each transition's worker (or family) in ascending order, and how many there are.

        Raises:
            InputError: if there is no such column, or it has no value somewhere.
        """
        if unit not in self.table.columns:
            raise InputError(
                f"unit: {unit!r} is no column; name it in `columns` of binary_events. "
                f"Found {', '.join(self.table.columns)}."
            )
        codes, ids = pd.factorize(self.table[unit], sort=True)
        if (codes < 0).any():
            raise InputError(
                f"{self.dataset}: {unit!r} is missing for {int((codes < 0).sum()):,} transitions."
            )
        return codes, len(ids)

    def select(self, rows: np.ndarray) -> BinaryEvents:
        """Return the events of some of the transitions, bool or int [transitions]."""
        table = self.table.iloc[np.flatnonzero(rows) if rows.dtype == bool else rows]
        return BinaryEvents(
            self.task,
            self.dataset,
            self.population,
            table.reset_index(drop=True),
            self.models,
            self.probabilities[rows],
            self.normalised,
        )


def binary_events(
    predictions: Sequence[Predictions],
    panel: CareerPanel,
    task: BinaryTask,
    population: Population = "with_history",
    columns: Sequence[str] = (),
) -> BinaryEvents:
    """Return probability and outcome of an event for the transitions that several models scored.

    Args:
        predictions: of one or more models on one data set, on the same transitions; each with the scores of all
            titles, or with the named title that the task asks for.
        panel: of the data set, with at least the scored workers.
        task: one of `BINARY_TASKS`, or one for other occupation codes.
        population: as `BinaryEvents.population`.
        columns: further columns of the panel, such as 'gender', to tell groups by.

    Raises:
        InputError: if the task's title is no occupation of the data, the population does not fit the task, or a
            model has not the scores that it takes.
        MismatchError: if models or panel have different transitions or data sets.
        NumericalError: if a model gives the title a probability above one.
    """
    if population not in get_args(Population):
        raise InputError(
            f"population: {population!r} is not known; give one of {', '.join(get_args(Population))}."
        )
    if task.title == STAY and population != "with_history":
        raise InputError(
            f"{task.label}: a first record has no occupation before it, and there is no state to enter, so the "
            "population is 'with_history'."
        )
    if task.title not in (STAY, *panel.outcomes.codes):
        raise InputError(
            f"{task.label}: {task.title!r} is no occupation of {panel.dataset}. Make a BinaryTask with a code that it "
            "has."
        )
    comparisons = compare(predictions)
    if [comparison.dataset for comparison in comparisons] != [panel.dataset]:
        raise MismatchError(
            f"{panel.dataset}: predictions of {', '.join(c.dataset for c in comparisons)} given. Give those of the "
            "panel's data set."
        )
    table = comparisons[0].transitions[["worker_id", "year", "transition_type", "occupation"]]
    named = list(dict.fromkeys(["previous", *columns]))
    beside = panel_columns(table, panel, named)
    previous = beside["previous"].to_numpy(dtype=object)
    kept = _population_rows(previous, task, population)
    occurred = table["occupation"].to_numpy() == (previous if task.title == STAY else task.title)
    described = pd.concat([table.drop(columns="occupation"), beside], axis=1)
    described["outcome"] = occurred == task.occurs
    results = [_event_probabilities(p, task, kept, previous) for p in predictions]
    return BinaryEvents(
        task,
        panel.dataset,
        population,
        described.loc[kept].reset_index(drop=True),
        comparisons[0].models,
        np.column_stack([values for values, _ in results]),
        tuple(normalised for _, normalised in results),
    )


def _population_rows(previous: np.ndarray, task: BinaryTask, population: str) -> np.ndarray:
    if population == "all":
        return np.ones(len(previous), dtype=bool)
    with_history = ~pd.isna(previous)
    return with_history & (previous != task.title) if population == "entering" else with_history


def _event_probabilities(
    prediction: Predictions, task: BinaryTask, kept: np.ndarray, previous: np.ndarray
) -> tuple[np.ndarray, bool]:
    """Return the event's probability for the transitions kept, in the order of worker and year."""
    rows = sorted_rows(prediction.model, prediction.table)[kept]
    full = prediction.scored_in_full.to_numpy()
    if prediction.log_probs is not None and full[rows].all():
        log_probs, normalised = (
            _from_matrix(prediction, prediction.log_probs, task, rows, previous[kept]),
            True,
        )
    elif named_column(task.title) in prediction.table.columns:
        log_probs, normalised = prediction.table[named_column(task.title)].to_numpy(float)[rows], False
    else:
        raise InputError(
            f"{prediction.model}: {task.label} needs the title {task.title!r} of every transition. Score it with "
            "ask='named', or all titles, or keep the transitions that were scored in full "
            "(labor_llm.evaluation.comparison.scored_in_full)."
        )
    wrong = int((np.isnan(log_probs) | (log_probs > _TOLERANCE)).sum())
    if wrong:
        raise NumericalError(
            f"{prediction.model}: the log-probability of {task.title!r} is not a number or above zero for "
            f"{wrong:,} of {len(rows):,} transitions. Score them again."
        )
    # -expm1 keeps the digits of a small probability that something else occurs.
    log_probs = np.minimum(log_probs, 0.0)
    return (np.exp(log_probs) if task.occurs else -np.expm1(log_probs)), normalised


def _from_matrix(
    prediction: Predictions, matrix: np.ndarray, task: BinaryTask, rows: np.ndarray, previous: np.ndarray
) -> np.ndarray:
    matrix_rows = (np.cumsum(prediction.scored_in_full.to_numpy()) - 1)[rows]
    if task.title == STAY:
        columns = np.array(prediction.outcomes.indices(previous), dtype=int)
    else:
        columns = np.full(len(rows), prediction.outcomes.index(task.title))
    log_probs = matrix[matrix_rows, columns].astype(np.float64)
    if prediction.upper is not None:
        open_ones = np.isneginf(log_probs) & (prediction.upper[matrix_rows, columns] > -np.inf)
        if open_ones.any():
            raise InputError(
                f"{prediction.model}: bounded scoring left {task.title!r} open in {int(open_ones.sum()):,} of "
                f"{len(rows):,} transitions. Score it with ask='named', or all titles with tolerance 0."
            )
    return log_probs - prediction.table["log_valid_mass"].to_numpy(dtype=np.float64)[rows]
