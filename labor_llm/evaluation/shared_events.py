"""Binary tasks of several data sets and models at once, each on the transitions that its models share.

A data set may lack the state that a task asks for, and a language model may have scored every title for some workers
only, or the realised titles alone. What can be compared is compared on the same transitions; what cannot is left out
with the reason, so that a table can say so.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from labor_llm.careers.panel import CareerPanel
from labor_llm.careers.predictions import STAY, Predictions, named_column
from labor_llm.disclosure import MINIMUM_PERSONS
from labor_llm.errors import InputError, MismatchError
from labor_llm.evaluation.binary_tasks import BINARY_TASKS, BinaryEvents, BinaryTask, binary_events
from labor_llm.evaluation.comparison import TRANSITION, scored_in_full
from labor_llm.evaluation.ranking import area_under_curve, bootstrap_auc_differences

NO_STATE = "the data set has no such state"
NOT_SCORED = "realised titles alone were scored"
LEFT_OPEN = "bounded scoring left titles open"
TOO_FEW = f"fewer than {MINIMUM_PERSONS} workers with the event, or without it"
NO_MODEL = "no model has the scores that it takes"


@dataclass(frozen=True)
class LeftOut:
    """Something that is not evaluated: a task, one model's answer to it, or a characteristic of workers.

    Attributes:
        dataset: short name of the data set.
        what: label of the task, or name of the characteristic; empty where it is everything.
        model: name of the model; empty for all.
        reason: why.
    """

    dataset: str
    what: str
    model: str
    reason: str


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
        MismatchError: if the models scored every title for no transition in common.
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
            reasons = {model.model: _lacking(model, task) for model in models}
            left_out += [
                LeftOut(dataset, task.label, name, reason) for name, reason in reasons.items() if reason
            ]
            answering = [model for model in models if not reasons[model.model]]
            if not answering:
                left_out.append(LeftOut(dataset, task.label, "", NO_MODEL))
                continue
            found = binary_events(on_shared_transitions(answering, task), panel, task)
            if _fewest_persons(found) < MINIMUM_PERSONS:
                left_out.append(LeftOut(dataset, task.label, "", TOO_FEW))
            else:
                events.append(found)
    return events, left_out


def on_shared_transitions(
    predictions: Sequence[Predictions], task: BinaryTask | None = None
) -> list[Predictions]:
    """Return one data set's predictions on the transitions for which all of them have what a task takes.

    Args:
        predictions: each with the scores of every title for some transitions, or with the task's named title.
        task: whose named title may stand for the scores of every title; none if not given.

    Raises:
        MismatchError: if they have no such transition in common.
    """
    column = named_column(task.title) if task else ""
    partial = [model for model in predictions if column not in model.table.columns]
    if not partial:
        return list(predictions)
    table = scored_in_full(partial)[0].table
    shared = pd.MultiIndex.from_frame(table[TRANSITION])
    kept = []
    for model in predictions:
        rows = pd.MultiIndex.from_frame(model.table[TRANSITION]).isin(shared)
        if rows.sum() != len(shared):
            raise MismatchError(
                f"{model.model}: it lacks {len(shared) - int(rows.sum()):,} of the {len(shared):,} transitions that "
                "other models scored. Score the same split with all of them."
            )
        kept.append(model.select(rows))
    return kept


def by_dataset(predictions: Sequence[Predictions]) -> dict[str, list[Predictions]]:
    """Return the predictions of each data set, in the order in which the data sets first occur."""
    found: dict[str, list[Predictions]] = {}
    for prediction in predictions:
        found.setdefault(prediction.dataset, []).append(prediction)
    return found


def with_all_titles(predictions: Sequence[Predictions]) -> tuple[list[Predictions], list[LeftOut]]:
    """Return the predictions that hold exact scores of every title, each data set's on shared transitions.

    Returns:
        The predictions, data set by data set; and the models left out, with the reason.

    Raises:
        MismatchError: if models scored every title for no transition in common.
    """
    kept: list[Predictions] = []
    left_out: list[LeftOut] = []
    for dataset, models in by_dataset(predictions).items():
        reasons = {model.model: _lacking(model) for model in models}
        left_out += [LeftOut(dataset, "", name, reason) for name, reason in reasons.items() if reason]
        answering = [model for model in models if not reasons[model.model]]
        kept += on_shared_transitions(answering) if answering else []
    return kept, left_out


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
        As `bootstrap_auc_differences`.

    Raises:
        InputError: if a task has no baseline.
    """
    parts = []
    for task in events:
        areas = {
            model: area_under_curve(task.probabilities[:, position], task.outcomes)
            for position, model in enumerate(task.models)
            if model in baselines
        }
        if not areas:
            raise InputError(f"{task.dataset}: no predictions of a baseline. Run notebooks/06_baselines.")
        best = max(areas, key=lambda model: areas[model])
        parts.append(bootstrap_auc_differences([task], best, draws=draws, seed=seed))
    return pd.concat(parts, ignore_index=True)


def _lacking(prediction: Predictions, task: BinaryTask | None = None) -> str:
    """Return why a model cannot be evaluated; empty if it can."""
    if task is not None and named_column(task.title) in prediction.table.columns:
        return ""
    if prediction.log_probs is None or not len(prediction.log_probs):
        return NOT_SCORED
    if prediction.upper is not None and not np.array_equal(prediction.upper, prediction.log_probs):
        return LEFT_OPEN
    return ""


def _fewest_persons(events: BinaryEvents) -> int:
    """Return the workers with the event, or those who have a transition without it, whichever are fewer."""
    workers = events.table["worker_id"].to_numpy()
    return min(len(set(workers[events.outcomes])), len(set(workers[~events.outcomes])))
