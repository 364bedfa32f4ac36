"""Figures of calibration: functions of tidy frames that return a matplotlib figure and touch nothing else."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from labor_llm.errors import InputError
from labor_llm.exhibits.figures import figure_style

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
        frame: columns of `evaluation.calibration.reliability_curve`, of one task.
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
