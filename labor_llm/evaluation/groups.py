"""Is a model as good for every group? Perplexity, AUC and calibration error by gender, ethnicity, education.

Perplexity is that of every model on all scored transitions; AUC and calibration error are of changes of occupation, on
the transitions for which the models that have the scores share them. Draws are the same for all groups and models.
Groups below eleven workers are pooled, with the next larger ones where the pool would still be small or could be
computed from the others; AUC and calibration error also take eleven workers with the event and eleven without it. A
characteristic that does not vary, or whose groups are too small to be told apart, is left out with the reason.

Calibration errors of groups of different sizes are not comparable by themselves: each stands beside mean and 95th
percentile of that of a perfect model on the same transitions, instead of an interval (`evaluation.calibration`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from labor_llm.careers.panel import CareerPanel
from labor_llm.careers.predictions import Predictions, named_column, panel_columns
from labor_llm.disclosure import MINIMUM_PERSONS, pooled_groups
from labor_llm.evaluation.binary_tasks import CHANGE, bootstrap_auc, shared_events
from labor_llm.evaluation.calibration import calibration_errors
from labor_llm.evaluation.comparison import LeftOut, answering, by_dataset, keys_of
from labor_llm.evaluation.perplexity import bootstrap_perplexity

CHARACTERISTICS = ("gender", "ethnicity", "education")
COLUMNS = (
    "dataset", "model", "characteristic", "group", "measure", "task", "value", "test_se", "ci_low", "ci_high",
    "perfect_mean", "perfect_high", "transitions", "workers", "workers_with_event", "workers_without_event", "reason",
)  # fmt: skip
TOO_FEW = f"fewer than {MINIMUM_PERSONS} workers"
FEW_WITH_EVENT = f"fewer than {MINIMUM_PERSONS} workers with the event"
FEW_WITHOUT_EVENT = f"fewer than {MINIMUM_PERSONS} workers without the event"
ONE_GROUP = "the same for all scored workers"
TOO_SMALL = f"all groups but one have fewer than {MINIMUM_PERSONS} of the scored workers"

# Counts of workers that a binary task's numbers rest on, and what is said where one is too small.
_PERSONS = {"workers_with_event": FEW_WITH_EVENT, "workers_without_event": FEW_WITHOUT_EVENT}


def group_performance(
    predictions: Sequence[Predictions], panels: Sequence[CareerPanel], draws: int = 1000, seed: int = 0
) -> tuple[pd.DataFrame, list[LeftOut]]:
    """Return perplexity, AUC and calibration error of each model in each group, and what was left out.

    The predictions on a data set are of the same transitions, and the panels are of these data sets. What changes in a
    career, as education, is that of the scored record.

    Returns:
        One row a data set, model, group and measure, columns `COLUMNS`: `measure` is 'perplexity', 'auc' or
        'calibration_error'; `task` is empty for perplexity; `perfect_mean` and `perfect_high` are a perfect model's
        calibration error, else NaN, and calibration errors have no `test_se`, `ci_low` and `ci_high`; `reason` says why
        a value is missing (one class only, or too few workers, with the event or without it). Without rows if there is
        no group to be told apart. And the characteristics and models left out.

    Raises:
        InputError, MismatchError: as `shared_events`.
    """
    by_name = {panel.dataset: panel for panel in panels}
    parts, left_out = [], []
    for dataset, models in by_dataset(predictions).items():
        panel = by_name[dataset]
        told_apart, without = _groups(models[0].table, panel, CHARACTERISTICS)
        left_out += without
        for characteristic, group in told_apart.items():
            grouped = [Predictions(m.model, _with_group(m.table, group), m.outcomes) for m in models]
            table = bootstrap_perplexity(grouped, draws, seed, by="group")
            parts.append(_tidy(table, characteristic, "perplexity"))
        events, without = shared_events(models, [panel], [CHANGE])
        left_out += without
        for task in events:
            (model, *_), _ = answering(models, named_column(CHANGE.title))
            told_apart, without = _groups(model.table, panel, list(told_apart))
            left_out += [replace(each, what=f"{CHANGE.label} by {each.what}") for each in without]
            for characteristic, group in told_apart.items():
                grouped = [replace(task, table=_with_group(task.table, group))]
                ranked = bootstrap_auc(grouped, "group", draws, seed)
                errors = calibration_errors(grouped, "group", seed).assign(**ranked[list(_PERSONS)])
                parts.append(_tidy(ranked, characteristic, "auc"))
                parts.append(_tidy(errors, characteristic, "calibration_error"))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(COLUMNS)), left_out


def _groups(
    table: pd.DataFrame, panel: CareerPanel, characteristics: Sequence[str]
) -> tuple[dict[str, pd.Series], list[LeftOut]]:
    """Return the group of each transition, by worker and year, where there are two or more after pooling.

    And the other characteristics with the reason.
    """
    groups, left_out = {}, []
    for name in characteristics:
        values = panel_columns(table, panel, [name])[name].astype("string").fillna("unknown")
        told = pooled_groups(values, table["worker_id"].reset_index(drop=True))
        if told.nunique() > 1:
            groups[name] = pd.Series(told.to_numpy(dtype=object), index=keys_of(table))
        else:
            left_out.append(
                LeftOut(panel.dataset, name, "", ONE_GROUP if values.nunique() == 1 else TOO_SMALL)
            )
    return groups, left_out


def _with_group(table: pd.DataFrame, group: pd.Series) -> pd.DataFrame:
    return table.assign(group=group.reindex(keys_of(table)).to_numpy())


def _tidy(table: pd.DataFrame, characteristic: str, measure: str) -> pd.DataFrame:
    """Return the rows with `COLUMNS` alone, the column `measure` as `value`, without numbers on too few workers."""
    missing = {"task": "", "reason": ""} | dict.fromkeys(_PERSONS, pd.NA)
    tidy = table.rename(columns={measure: "value"}).assign(characteristic=characteristic, measure=measure)
    lacking = {column: missing.get(column, np.nan) for column in COLUMNS if column not in tidy}
    tidy = tidy.assign(**lacking).astype(dict.fromkeys(_PERSONS, "Int64"))
    values = ["value", "test_se", "ci_low", "ci_high", "perfect_mean", "perfect_high"]
    # A task leaves first records out, so a group can have fewer workers there.
    for count, reason in ({"workers": TOO_FEW} | _PERSONS).items():
        few = (tidy[count] < MINIMUM_PERSONS).fillna(False).astype(bool)
        tidy.loc[few, values] = np.nan
        # Where there was no number at all, or too few workers at that, the first reason stands.
        tidy.loc[few & (tidy["reason"] == ""), "reason"] = reason
    return tidy[list(COLUMNS)]
