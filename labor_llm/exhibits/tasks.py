"""Tables and sentences of binary tasks and of calibration: what was asked, how well models rank, are they right.

Tasks that fewer than eleven workers have, or have not, were left out before
(`labor_llm.evaluation.shared_events`), so that no number here rests on fewer. `labels` says how to call a data
set; its name where there is none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from labor_llm.disclosure import MINIMUM_PERSONS
from labor_llm.evaluation.binary_tasks import BINARY_TASKS, BinaryEvents
from labor_llm.evaluation.calibration import BINS
from labor_llm.evaluation.shared_events import LeftOut
from labor_llm.exhibits.formatting import SE, DisplayTable, DisplayText, signed, table
from labor_llm.exhibits.tables import NOT_COMPARABLE, Labels, compare_in_words

_TASK_LABELS = {task.name: task.label for task in BINARY_TASKS}


def task_events(events: Sequence[BinaryEvents], labels: Labels = None) -> DisplayTable:
    """Count what each task rests on.

    Args:
        events: as `evaluation.shared_events.shared_events` returns them.
        labels: how to call a data set.
    """
    rows = []
    for task in events:
        workers, with_event, without = (
            task.table.loc[kept, "worker_id"].nunique()
            for kept in (slice(None), task.outcomes, ~task.outcomes)
        )
        # Rounded down where those who never have the event would be told to be few.
        least = workers - MINIMUM_PERSONS + 1
        rows.append(
            {
                "Task": task.task.label,
                "Data set": (labels or {}).get(task.dataset, task.dataset),
                "Models": len(task.models),
                "Transitions": len(task.table),
                "Events": int(task.outcomes.sum()),
                "Events, %": 100.0 * task.outcomes.mean(),
                "Workers": workers,
                "Workers with an event": with_event if with_event < least else f"{least:,} or more",
                "persons": min(with_event, without),
            }
        )
    frame = pd.DataFrame(rows)
    return DisplayTable(
        "tab-binary-events", frame.drop(columns="persons"), frame["persons"], {"Events, %": ".1f"}
    )


def left_out_in_words(left_out: Sequence[LeftOut], labels: Labels = None) -> DisplayText:
    """Return one sentence on what is not evaluated and why, what has the same reason together."""
    together: dict[tuple[str, str, str], list[str]] = {}
    for entry in left_out:
        together.setdefault((entry.dataset, entry.model, entry.reason), []).append(entry.what)
    parts = []
    for (dataset, model, reason), names in together.items():
        what = ", ".join(name[:1].lower() + name[1:] for name in names if name)
        words = [(labels or {}).get(dataset, dataset), model, what]
        parts.append(f"{': '.join(word for word in words if word)} ({reason})")
    sentence = f"Left out: {'; '.join(parts)}." if parts else "Nothing was left out."
    return DisplayText(sentence, "none")


def task_areas(areas: pd.DataFrame, labels: Labels = None) -> DisplayTable:
    """List the AUC of each model on each task, as `evaluation.ranking.bootstrap_auc` returns it."""
    columns = {
        "auc": ("AUC", ".3f"), "test_se": ("TestSE", "({:.3f})"), "ci_low": ("95 % from", ".3f"),
        "ci_high": ("95 % to", ".3f"),
    }  # fmt: skip
    return _by_task("tab-binary-tasks", areas, columns, labels)


def area_differences(differences: pd.DataFrame, labels: Labels = None) -> DisplayTable:
    """List differences in AUC to the best baseline, as `evaluation.shared_events.differences_to_best` returns them."""
    columns = {
        "reference": "Best baseline", "difference": ("Difference in AUC", ".3f"), "test_se": ("TestSE", "({:.3f})"),
        "ci_low": ("95 % from", ".3f"), "ci_high": ("95 % to", ".3f"), "z": ("z", ".1f"),
    }  # fmt: skip
    return _by_task("tab-auc-differences", differences, columns, labels)


def model_in_words(differences: pd.DataFrame, model: str, labels: Labels = None) -> DisplayText:
    """Return a sentence on how a model ranks each event against the best baseline.

    Args:
        differences: as `evaluation.shared_events.differences_to_best` returns it.
        model: name of the model.
        labels: how to call a data set.
    """
    parts = []
    for row in differences[differences["model"] == model].to_dict("records"):
        verdict = compare_in_words(row["difference"], row["ci_low"], row["ci_high"])
        size = f" ({signed(row['difference'], 3)}, standard error {row['test_se']:.3f})"
        dataset, task = (labels or {}).get(row["dataset"], row["dataset"]), _TASK_LABELS[row["task"]].lower()
        words = f"{dataset}, {task}: {verdict} that of {row['reference']}"
        parts.append(words if verdict == NOT_COMPARABLE else words + size)
    sentence = f"The AUC of {model} is, by task: {'; '.join(parts)}."
    if not parts:
        sentence = f"{model} is in no task: it has no scores of other titles than the realised ones."
    return DisplayText(sentence, int(_persons(differences).min()))


def task_calibration(recalibrated: pd.DataFrame, errors: pd.DataFrame, labels: Labels = None) -> DisplayTable:
    """Put intercept and slope of the event on its stated log odds beside the expected calibration error.

    Args:
        recalibrated: as `evaluation.recalibration.recalibration` returns it.
        errors: as `evaluation.calibration.calibration_errors` returns it, of the same tasks.
        labels: how to call a data set.
    """
    keys = ["dataset", "task", "model"]
    wanted = errors[[*keys, "calibration_error", "perfect_mean", "perfect_high"]]
    rows = recalibrated.merge(wanted, on=keys, how="left", validate="one_to_one")
    columns = {
        "intercept": ("Intercept", ".2f"), "intercept_se": ("SE (intercept)", SE), "slope": ("Slope", ".2f"),
        "slope_se": ("SE (slope)", SE), "calibration_error": ("Calibration error", ".3f"),
        "perfect_mean": ("Perfect model, mean", ".3f"), "perfect_high": ("Perfect model, 95 %", ".3f"),
    }  # fmt: skip
    return _by_task("tab-binary-calibration", rows, columns, labels, {"bins": BINS})


def distribution_table(measured: pd.DataFrame, labels: Labels = None) -> DisplayTable:
    """Show what `evaluation.distribution_calibration.distribution_calibration` returns."""
    columns = {
        "top_error": ("Top-title error", ".3f"), "top_perfect": ("Perfect model (top title)", ".3f"),
        "class_error": ("Class error", ".4f"), "class_perfect": ("Perfect model (class)", ".4f"),
        "classes": "Classes", "temperature": ("Temperature", ".2f"), "gain": ("Gain, nats", ".3f"),
        "test_se": ("TestSE (gain)", "({:.3f})"), "transitions": "Transitions",
    }  # fmt: skip
    return _by_task("tab-distribution-calibration", measured, columns, labels)


def _by_task(
    exhibit: str,
    rows: pd.DataFrame,
    columns: Mapping[str, str | tuple[str, str]],
    labels: Labels,
    numbers: Mapping[str, object] | None = None,
) -> DisplayTable:
    """Return the columns behind those that name model, task and data set."""
    first = {"model": "Model", "task": "Task", "dataset": "Data set"}
    if "task" in rows:
        rows = rows.replace({"task": _TASK_LABELS})
    else:
        del first["task"]
    return table(exhibit, rows, first | columns, _persons(rows), labels, numbers)


def _persons(rows: pd.DataFrame) -> pd.Series:
    counts = [name for name in ("workers", "workers_with_event") if name in rows]
    return rows[counts].min(axis=1).astype(int).reset_index(drop=True)
