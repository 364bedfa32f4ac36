"""What else is known of the scored transitions: columns of the panel put beside the predictions.

Predictions hold no covariate of a worker, so that they stay the same for every kind of model. Tables by
gender, by family or by anything else ask for them here.

Is a model as good for every group? Perplexity, AUC and calibration error by gender, ethnicity, education.

Perplexity and AUC have their intervals from resampled workers, the same draws for all groups and models, and every
number the workers it rests on. Groups below eleven workers are pooled, with the next larger ones where the pool would
still be small or could be computed from the others. AUC and calibration error also take eleven workers with the event
and eleven without it: with fewer, the number would tell of those few.

Calibration errors of groups of different sizes are not comparable by themselves: each stands beside mean and 95th
percentile of that of a perfect model on the same transitions, instead of an interval (`evaluation.calibration`).

Performance by group of workers, for several data sets: perplexity of every model, and a task where it can be asked.

`labor_llm.evaluation.groups` measures one data set. Here every model has its perplexity on all scored transitions,
and binary tasks are on the transitions for which the models that have the scores share them. A characteristic that
does not vary, or whose groups are too small to be told apart, is left out with the reason.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from labor_llm.careers.panel import CareerPanel
from labor_llm.careers.predictions import Predictions, panel_columns
from labor_llm.disclosure import MINIMUM_PERSONS, pool_small_groups
from labor_llm.errors import InputError
from labor_llm.evaluation.binary_tasks import BINARY_TASKS, CHANGE, BinaryTask, binary_events
from labor_llm.evaluation.calibration import calibration_errors
from labor_llm.evaluation.perplexity import bootstrap_perplexity
from labor_llm.evaluation.ranking import bootstrap_auc
from labor_llm.evaluation.shared_events import LeftOut, by_dataset, on_shared_transitions, shared_events

CHARACTERISTICS = ("gender", "ethnicity", "education")
COLUMNS = (
    "dataset", "model", "characteristic", "group", "measure", "task", "value", "test_se", "ci_low", "ci_high",
    "perfect_mean", "perfect_high", "transitions", "workers", "workers_with_event", "workers_without_event", "reason",
)  # fmt: skip
TOO_FEW = f"fewer than {MINIMUM_PERSONS} workers"
FEW_WITH_EVENT = f"fewer than {MINIMUM_PERSONS} workers with the event"
FEW_WITHOUT_EVENT = f"fewer than {MINIMUM_PERSONS} workers without the event"

# Counts of workers that a binary task's numbers rest on, and what is said where one is too small.
_PERSONS = {"workers_with_event": FEW_WITH_EVENT, "workers_without_event": FEW_WITHOUT_EVENT}


def subgroup_performance(
    predictions: Sequence[Predictions],
    panel: CareerPanel,
    characteristics: Sequence[str] = CHARACTERISTICS,
    tasks: Sequence[BinaryTask] = BINARY_TASKS,
    draws: int = 1000,
    seed: int = 0,
    bins: int = 15,
    normalised: bool = False,
) -> pd.DataFrame:
    """Return the performance of each model in each group.

    Args:
        predictions: of one or more models on one data set, on the same transitions; with the scores that the tasks
            need (see `binary_events`).
        panel: of the data set, with at least the scored workers.
        characteristics: columns of the panel; what changes in a career, as education, is that of the scored record.
        tasks: binary tasks; none for perplexity alone.
        draws: bootstrap samples of workers.
        seed: of the samples.
        bins: of the calibration error, about equal in size.
        normalised: of perplexity.

    Returns:
        One row a model, group and measure, columns `COLUMNS`: `measure` is 'perplexity', 'auc' or
        'calibration_error'; `task` is empty for perplexity; `perfect_mean` and `perfect_high` are a perfect model's
        calibration error, else NaN, and calibration errors have no `ci_low` and `ci_high`; `reason` says why a value
        is missing (one class only, or too few workers, with the event or without it).

    Raises:
        InputError, MismatchError: as `binary_events`.
    """
    parts = []
    for characteristic in characteristics:
        groups = _groups(predictions, panel, characteristic)
        grouped = [_with_group(prediction, groups) for prediction in predictions]
        table = bootstrap_perplexity(grouped, draws, seed, by="group", normalised=normalised)
        parts.append(_tidy(table.rename(columns={"perplexity": "value"}), characteristic, "perplexity"))
        for task in tasks:
            events = binary_events(predictions, panel, task)
            keys = pd.MultiIndex.from_frame(events.table[["worker_id", "year"]])
            events.table["group"] = groups.reindex(keys).to_numpy()
            ranked = bootstrap_auc([events], "group", draws, seed)
            parts.append(_tidy(ranked.rename(columns={"auc": "value"}), characteristic, "auc"))
            errors = calibration_errors([events], "group", bins, draws=draws, seed=seed)
            errors = errors.rename(columns={"calibration_error": "value"})
            for persons in _PERSONS:
                errors[persons] = ranked[persons].to_numpy()
            parts.append(_tidy(errors, characteristic, "calibration_error"))
    return pd.concat(parts, ignore_index=True)


def _groups(predictions: Sequence[Predictions], panel: CareerPanel, characteristic: str) -> pd.Series:
    """Return the group of each scored transition, small ones pooled, indexed by worker and year."""
    table = predictions[0].table
    values = panel_columns(table, panel, [characteristic])[characteristic].astype("string").fillna("unknown")
    persons = table["worker_id"].reset_index(drop=True).groupby(values).nunique()
    index = pd.MultiIndex.from_frame(table[["worker_id", "year"]])
    return pd.Series(values.map(pool_small_groups(persons)).to_numpy(dtype=object), index=index)


def _with_group(prediction: Predictions, groups: pd.Series) -> Predictions:
    index = pd.MultiIndex.from_frame(prediction.table[["worker_id", "year"]])
    table = prediction.table.assign(group=groups.reindex(index).to_numpy())
    return Predictions(prediction.model, table, prediction.outcomes)


def _tidy(table: pd.DataFrame, characteristic: str, measure: str) -> pd.DataFrame:
    values = ["value", "test_se", "ci_low", "ci_high", "perfect_mean", "perfect_high"]
    tidy = table.assign(characteristic=characteristic, measure=measure)
    missing = {"task": "", "reason": ""} | dict.fromkeys(_PERSONS, pd.NA)
    for column in COLUMNS:
        if column not in tidy.columns:
            tidy[column] = missing.get(column, np.nan)
    tidy = tidy.astype(dict.fromkeys(_PERSONS, "Int64"))
    # A task leaves first records out, so a group can have fewer workers there.
    few = [(tidy["workers"] < MINIMUM_PERSONS, TOO_FEW)]
    few += [(tidy[persons] < MINIMUM_PERSONS, reason) for persons, reason in _PERSONS.items()]
    for masked, reason in few:
        rows = masked.fillna(False).astype(bool)
        tidy.loc[rows, values] = np.nan
        # Where there was no number at all, or too few workers at that, the first reason stands.
        tidy.loc[rows & (tidy["reason"] == ""), "reason"] = reason
    return tidy[list(COLUMNS)]


ONE_GROUP = "the same for all scored workers"
TOO_SMALL = f"all groups but one have fewer than {MINIMUM_PERSONS} of the scored workers"


def group_performance(
    predictions: Sequence[Predictions],
    panels: Sequence[CareerPanel],
    characteristics: Sequence[str] = CHARACTERISTICS,
    task: BinaryTask = CHANGE,
    draws: int = 1000,
    seed: int = 0,
) -> tuple[pd.DataFrame, list[LeftOut]]:
    """Return perplexity, AUC and calibration error of each model in each group, and what was left out.

    Args:
        predictions: of one or more models and data sets; on a data set, of the same transitions.
        panels: of these data sets.
        characteristics: columns of the panel.
        task: whose AUC and calibration error are measured.
        draws: bootstrap samples of workers.
        seed: of the samples.

    Returns:
        The rows of `subgroup_performance`, data set by data set; and characteristics and models left out.

    Raises:
        InputError: if no characteristic of any data set varies.
        InputError, MismatchError: as `subgroup_performance` and `shared_events`.
    """
    by_name = {panel.dataset: panel for panel in panels}
    parts, left_out = [], []
    for dataset, models in by_dataset(predictions).items():
        panel = by_name[dataset]
        kept, without = _told_apart(models[0], panel, characteristics)
        left_out += without
        if kept:
            parts.append(subgroup_performance(models, panel, kept, [], draws, seed))
        events, without = shared_events(models, [panel], [task])
        left_out += without
        if not events:
            continue
        answering = on_shared_transitions(
            [model for model in models if model.model in events[0].models], task
        )
        kept, without = _told_apart(answering[0], panel, kept)
        left_out += [LeftOut(dataset, f"{task.label} by {entry.what}", "", entry.reason) for entry in without]
        if kept:
            measured = subgroup_performance(answering, panel, kept, [task], draws, seed)
            parts.append(measured[measured["task"] == task.name])
    if not parts:
        raise InputError(f"no groups to be told apart by {', '.join(characteristics)}.")
    return pd.concat(parts, ignore_index=True), left_out


def _told_apart(
    prediction: Predictions, panel: CareerPanel, characteristics: Sequence[str]
) -> tuple[list[str], list[LeftOut]]:
    """Return the characteristics with two groups or more after pooling, and the others with the reason."""
    kept, left_out = [], []
    for name in characteristics:
        values = panel_columns(prediction.table, panel, [name])[name].astype("string").fillna("unknown")
        persons = prediction.table["worker_id"].reset_index(drop=True).groupby(values).nunique()
        if len(set(pool_small_groups(persons).values())) > 1:
            kept.append(name)
        else:
            reason = ONE_GROUP if len(persons) == 1 else TOO_SMALL
            left_out.append(LeftOut(panel.dataset, name, "", reason))
    return kept, left_out
