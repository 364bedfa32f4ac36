"""Tables of binary tasks and of calibration: what was asked, how well models rank, whether probabilities are right.

Each returns a `DisplayTable`, see `labor_llm.exhibits.tables`. Tasks that fewer than eleven workers have, or have not,
were left out before (`labor_llm.evaluation.shared_events`), so that no number here rests on fewer.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import pandas as pd

from labor_llm.disclosure import MINIMUM_PERSONS
from labor_llm.evaluation.binary_tasks import BINARY_TASKS, BinaryEvents
from labor_llm.evaluation.shared_events import LeftOut
from labor_llm.exhibits.tables import NOT_COMPARABLE, DisplayTable, compare_in_words

_TASK_LABELS = {task.name: task.label for task in BINARY_TASKS}


def task_events(events: Sequence[BinaryEvents], labels: Mapping[str, str] | None = None) -> DisplayTable:
    """Count what each task rests on.

    Args:
        events: as `shared_events` returns them.
        labels: how to call a data set; its name where there is none.
    """
    frame = pd.DataFrame(
        {
            "Task": [task.task.label for task in events],
            "Data set": [_label(task.dataset, labels) for task in events],
            "Models": [len(task.models) for task in events],
            "Transitions": [len(task.table) for task in events],
            "Events": [int(task.outcomes.sum()) for task in events],
            "Events, %": [100.0 * task.outcomes.mean() for task in events],
            "Workers": [task.table["worker_id"].nunique() for task in events],
            "Workers with an event": pd.Series([_with_event(task) for task in events], dtype=object),
        }
    )
    persons = [min(_workers(task, task.outcomes), _workers(task, ~task.outcomes)) for task in events]
    return DisplayTable(frame, pd.Series(persons), {"Events, %": ".1f"})


def left_out_in_words(left_out: Sequence[LeftOut], labels: Mapping[str, str] | None = None) -> str:
    """Return one sentence on what is not evaluated and why, what has the same reason together."""
    together: dict[tuple[str, str, str], list[str]] = {}
    for entry in left_out:
        together.setdefault((entry.dataset, entry.model, entry.reason), []).append(entry.what)
    parts = []
    for (dataset, model, reason), names in together.items():
        what = ", ".join(name[:1].lower() + name[1:] for name in names if name)
        words = [_label(dataset, labels), model, what]
        parts.append(f"{': '.join(word for word in words if word)} ({reason})")
    return f"Left out: {'; '.join(parts)}." if parts else "Nothing was left out."


def task_areas(areas: pd.DataFrame, labels: Mapping[str, str] | None = None) -> DisplayTable:
    """List the AUC of each model on each task with its standard error and 95 % interval.

    Args:
        areas: as `evaluation.ranking.bootstrap_auc` returns it.
        labels: how to call a data set; its name where there is none.
    """
    columns = {"auc": "AUC", "test_se": "TestSE", "ci_low": "95 % from", "ci_high": "95 % to"}
    return _table(areas, columns, labels, dict.fromkeys(columns.values(), ".3f") | {"TestSE": "({:.3f})"})


def area_differences(differences: pd.DataFrame, labels: Mapping[str, str] | None = None) -> DisplayTable:
    """List differences in AUC to the best baseline with standard errors and 95 % intervals.

    Args:
        differences: as `evaluation.shared_events.differences_to_best` returns it.
        labels: how to call a data set; its name where there is none.
    """
    columns = {
        "reference": "Best baseline",
        "difference": "Difference in AUC",
        "test_se": "TestSE",
        "ci_low": "95 % from",
        "ci_high": "95 % to",
        "z": "z",
    }
    formats = dict.fromkeys(["Difference in AUC", "95 % from", "95 % to"], ".3f")
    return _table(differences, columns, labels, formats | {"TestSE": "({:.3f})", "z": ".1f"})


def model_in_words(differences: pd.DataFrame, model: str, labels: Mapping[str, str] | None = None) -> str:
    """Return a sentence on how a model ranks each event against the best baseline.

    Args:
        differences: as `evaluation.shared_events.differences_to_best` returns it.
        model: name of the model.
        labels: how to call a data set; its name where there is none.
    """
    parts = []
    for row in differences[differences["model"] == model].to_dict("records"):
        verdict = compare_in_words(row["difference"], row["ci_low"], row["ci_high"])
        difference = f"{row['difference']:+.3f}".replace("-", "\u2212")
        size = "" if verdict == NOT_COMPARABLE else f" ({difference}, standard error {row['test_se']:.3f})"
        parts.append(
            f"{_label(row['dataset'], labels)}, {_TASK_LABELS.get(row['task'], row['task']).lower()}: {verdict} "
            f"that of {row['reference']}{size}"
        )
    if not parts:
        return f"{model} is in no task: it has no scores of other titles than the realised ones."
    return f"The AUC of {model} is, by task: {'; '.join(parts)}."


def task_calibration(
    recalibrated: pd.DataFrame, errors: pd.DataFrame, labels: Mapping[str, str] | None = None
) -> DisplayTable:
    """Put intercept and slope of the event on its stated log odds beside the expected calibration error.

    Args:
        recalibrated: as `evaluation.recalibration.recalibration` returns it.
        errors: as `evaluation.calibration.calibration_errors` returns it, of the same tasks.
        labels: how to call a data set; its name where there is none.
    """
    keys = ["dataset", "task", "model"]
    wanted = errors[[*keys, "calibration_error", "perfect_mean", "perfect_high"]]
    columns = {
        "intercept": "Intercept",
        "intercept_se": "SE (intercept)",
        "slope": "Slope",
        "slope_se": "SE (slope)",
        "calibration_error": "Calibration error",
        "perfect_mean": "Perfect model, mean",
        "perfect_high": "Perfect model, 95 %",
    }
    formats = dict.fromkeys(["Intercept", "Slope"], ".2f")
    formats |= dict.fromkeys(["SE (intercept)", "SE (slope)"], "({:.2f})")
    formats |= dict.fromkeys(["Calibration error", "Perfect model, mean", "Perfect model, 95 %"], ".3f")
    merged = recalibrated.merge(wanted, on=keys, how="left", validate="one_to_one")
    return _table(merged, columns, labels, formats)


def distribution_table(measured: pd.DataFrame, labels: Mapping[str, str] | None = None) -> DisplayTable:
    """Show what `evaluation.calibration_summary.distribution_calibration` returns.

    Args:
        measured: its rows.
        labels: how to call a data set; its name where there is none.
    """
    columns = {
        "top_error": "Top-title error",
        "top_perfect": "Perfect model (top title)",
        "class_error": "Class error",
        "class_perfect": "Perfect model (class)",
        "classes": "Classes",
        "temperature": "Temperature",
        "gain": "Gain, nats",
        "test_se": "TestSE (gain)",
        "transitions": "Transitions",
    }
    errors = ["Top-title error", "Perfect model (top title)"]
    formats = dict.fromkeys(errors, ".3f") | dict.fromkeys(["Class error", "Perfect model (class)"], ".4f")
    formats |= {"Temperature": ".2f", "Gain, nats": ".3f", "TestSE (gain)": "({:.3f})"}
    return _table(measured, columns, labels, formats)


def _table(
    rows: pd.DataFrame,
    columns: Mapping[str, str],
    labels: Mapping[str, str] | None,
    formats: Mapping[str, str],
) -> DisplayTable:
    """Return the columns under their headings, behind those that name model, task and data set."""
    frame = pd.DataFrame({"Model": rows["model"].tolist()})
    if "task" in rows.columns:
        frame["Task"] = [_TASK_LABELS.get(name, name) for name in rows["task"]]
    if rows["dataset"].nunique() > 1:
        frame["Data set"] = [_label(name, labels) for name in rows["dataset"]]
    for column, heading in columns.items():
        frame[heading] = rows[column].to_numpy()
    counts: Collection[str] = [name for name in ("workers", "workers_with_event") if name in rows.columns]
    return DisplayTable(frame, rows[list(counts)].min(axis=1).astype(int).reset_index(drop=True), formats)


def _label(name: str, labels: Mapping[str, str] | None) -> str:
    return (labels or {}).get(name, name)


def _with_event(events: BinaryEvents) -> int | str:
    """Return the workers with an event, rounded down where those who never have it would be told to be few."""
    workers, with_event = events.table["worker_id"].nunique(), _workers(events, events.outcomes)
    least = workers - MINIMUM_PERSONS + 1
    return with_event if with_event < least else f"{least:,} or more"


def _workers(events: BinaryEvents, rows: object) -> int:
    return int(events.table.loc[rows, "worker_id"].nunique())
