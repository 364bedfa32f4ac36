"""Tables of binary tasks and of calibration: what was asked, how well models rank, whether probabilities are right.

Each returns a `DisplayTable`, see `labor_llm.exhibits.tables`. Tasks that fewer than eleven workers have, or have not,
were left out before (`labor_llm.evaluation.binary_tasks.shared_events`), so that no number here rests on fewer.

Figures of calibration: functions of tidy frames that return a matplotlib figure and touch nothing else.
"""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Mapping, Sequence

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from labor_llm.disclosure import MINIMUM_PERSONS
from labor_llm.errors import InputError
from labor_llm.evaluation.binary_tasks import BINARY_TASKS, BinaryEvents
from labor_llm.evaluation.comparison import LeftOut
from labor_llm.exhibits.figures import figure_style
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
        differences: as `evaluation.ranking.differences_to_best` returns it.
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
        differences: as `evaluation.ranking.differences_to_best` returns it.
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
        recalibrated: as `evaluation.calibration.recalibration` returns it.
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
    """Show what `evaluation.distribution_calibration.distribution_calibration` returns.

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


_COLUMNS = (
    "dataset", "model", "predicted", "observed", "ci_low", "ci_high", "perfect_low", "perfect_high",
)  # fmt: skip
_PANELS_A_ROW = 3
_TITLE_WIDTH = 24


def reliability_curves(frame: pd.DataFrame, labels: Mapping[str, str] | None = None) -> Figure:
    """Draw the reliability curve of each model: share of events against stated probability, one panel a model.

    The grey band is where a model with these very probabilities would lie if they were right; the bars are from
    resampled workers.

    Args:
        frame: columns of `evaluation.calibration.reliability_curves`, of one task.
        labels: how to call a data set; its name where there is none.

    Raises:
        InputError: if a column is missing, or there are no rows.
    """
    missing = [column for column in _COLUMNS if column not in frame.columns]
    if missing or frame.empty:
        raise InputError(
            f"Figure: the frame needs rows with the columns {list(_COLUMNS)}; no {missing or 'rows'}."
        )
    datasets = list(frame["dataset"].unique())
    counts = [frame.loc[frame["dataset"] == name, "model"].nunique() for name in datasets]
    heights = [-(-count // _PANELS_A_ROW) for count in counts]
    with matplotlib.rc_context(figure_style()):
        figure = Figure(figsize=(7.0, 2.5 * sum(heights) + 0.3 * len(datasets)), layout="constrained")
        parts = figure.subfigures(len(datasets), 1, height_ratios=heights, squeeze=False)[:, 0]
        for part, dataset, rows in zip(parts, datasets, heights, strict=True):
            inside = frame[frame["dataset"] == dataset]
            axes = part.subplots(rows, _PANELS_A_ROW, sharex=True, sharey=True, squeeze=False).ravel()
            models = list(inside["model"].unique())
            for panel, model in zip(axes, models, strict=False):
                _curve(panel, inside[inside["model"] == model].sort_values("predicted"))
                panel.set_title("\n".join(textwrap.wrap(model, _TITLE_WIDTH)), fontsize=9.5)
            for panel in axes[len(models) :]:
                panel.set_visible(False)
            # With sharing, ticks stand under the last row alone; an incomplete row leaves panels without them.
            for panel in axes[max(0, len(models) - _PANELS_A_ROW) : len(models)]:
                panel.tick_params(labelbottom=True)
            part.supxlabel("Stated probability", fontsize=10.5)
            part.supylabel("Share of events", fontsize=10.5)
            if len(datasets) > 1:
                part.suptitle((labels or {}).get(dataset, dataset), fontsize=11.0, fontweight="bold")
    return figure


def _curve(axes: Axes, rows: pd.DataFrame) -> None:
    band = [rows["perfect_low"], rows["perfect_high"]]
    if len(rows) > 1:
        axes.fill_between(rows["predicted"], *band, color="#bbbbbb", alpha=0.6, linewidth=0)
    else:
        axes.vlines(rows["predicted"], *band, color="#bbbbbb", linewidth=9)
    reach = [rows["observed"] - rows["ci_low"], rows["ci_high"] - rows["observed"]]
    axes.plot([0, 1], [0, 1], color="#666666", linewidth=1.0, linestyle="--")
    axes.errorbar(
        rows["predicted"], rows["observed"], yerr=reach, fmt="o-", markersize=4, capsize=2, linewidth=1.2
    )
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
        axis.set_ticks([0.0, 0.5, 1.0])
    axes.tick_params(labelsize=8.5)
