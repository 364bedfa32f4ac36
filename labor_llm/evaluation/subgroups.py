"""Is a model as good for every group? Perplexity, AUC and calibration error by gender, ethnicity, education.

Perplexity and AUC have their intervals from resampled workers, the same draws for all groups and models, and every
number the workers it rests on. Groups below eleven workers are pooled, with the next larger ones where the pool would
still be small or could be computed from the others. AUC and calibration error also take eleven workers with the event
and eleven without it: with fewer, the number would tell of those few.

Calibration errors of groups of different sizes are not comparable by themselves: each stands beside mean and 95th
percentile of that of a perfect model on the same transitions, instead of an interval (`evaluation.calibration`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from labor_llm.careers import CareerPanel
from labor_llm.disclosure import MINIMUM_PERSONS, pool_small_groups
from labor_llm.evaluation.binary_tasks import BINARY_TASKS, BinaryTask, binary_events
from labor_llm.evaluation.bootstrap import bootstrap_perplexity
from labor_llm.evaluation.calibration import calibration_errors
from labor_llm.evaluation.description import panel_columns
from labor_llm.evaluation.ranking import bootstrap_auc
from labor_llm.predictions import Predictions

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
