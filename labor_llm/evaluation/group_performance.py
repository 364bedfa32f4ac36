"""Performance by group of workers, for several data sets: perplexity of every model, and a task where it can be asked.

`labor_llm.evaluation.subgroups` measures one data set. Here every model has its perplexity on all scored transitions,
and binary tasks are on the transitions for which the models that have the scores share them. A characteristic that
does not vary, or whose groups are too small to be told apart, is left out with the reason.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from labor_llm.careers import CareerPanel
from labor_llm.disclosure import MINIMUM_PERSONS, pool_small_groups
from labor_llm.errors import InputError
from labor_llm.evaluation.binary_tasks import CHANGE, BinaryTask
from labor_llm.evaluation.description import panel_columns
from labor_llm.evaluation.shared_events import LeftOut, by_dataset, on_shared_transitions, shared_events
from labor_llm.evaluation.subgroups import CHARACTERISTICS, subgroup_performance
from labor_llm.predictions import Predictions

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
