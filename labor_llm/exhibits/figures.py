"""Figures of the book: functions of tidy frames that return a matplotlib figure and touch nothing else."""

from __future__ import annotations

import textwrap
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from labor_llm.errors import InputError

_TYPES = ("first", "moving", "staying")
_WIDTH = 7.0
_LABEL_WIDTH = 26
_INK = "#222222"


def figure_style() -> dict[str, Any]:
    """Return the matplotlib settings of every figure.

    The colors are seaborn's color-blind palette; the background is opaque white, so that a figure reads
    the same on a light page, a dark page and paper; fonts are embedded as outlines that journals accept.
    """
    colors = matplotlib.cycler(color=sns.color_palette("colorblind").as_hex())
    return sns.axes_style("whitegrid") | {
        "axes.prop_cycle": colors,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": "#888888",
        "axes.labelcolor": _INK,
        "axes.labelsize": 11.0,
        "axes.titlesize": 11.0,
        "axes.titlelocation": "left",
        "axes.axisbelow": True,
        "figure.facecolor": "white",
        "font.family": ["sans-serif"],
        "font.sans-serif": ["DejaVu Sans"],
        "font.size": 11.0,
        "grid.color": "#dddddd",
        "grid.linewidth": 0.8,
        "legend.frameon": False,
        "legend.fontsize": 10.0,
        "lines.linewidth": 1.8,
        "pdf.fonttype": 42,
        "savefig.bbox": "tight",
        "savefig.dpi": 200,
        "savefig.facecolor": "white",
        "svg.hashsalt": "labor_llm",
        "text.color": _INK,
        "xtick.color": _INK,
        "ytick.color": _INK,
        "xtick.labelsize": 10.0,
        "ytick.labelsize": 10.0,
    }


def transition_type_shares(frame: pd.DataFrame) -> Figure:
    """Draw stacked horizontal bars: the shares of first, moving and staying transitions.

    Args:
        frame: columns `dataset`, `transition_type` ('first', 'moving', 'staying'), `share` (0 to 1).
    """
    _require(frame, ["dataset", "transition_type", "share"])
    shares = frame.pivot(index="dataset", columns="transition_type", values="share")
    shares = shares.reindex(index=frame["dataset"].unique(), columns=list(_TYPES)).fillna(0.0)
    with matplotlib.rc_context(figure_style()):
        figure, axes = _axes(height=1.3 + 0.45 * len(shares))
        left = np.zeros(len(shares))
        for kind in _TYPES:
            bars = axes.barh(list(shares.index), shares[kind], left=left, label=kind, height=0.6)
            inside = [f"{share:.0%}" if share > 0.06 else "" for share in shares[kind]]
            axes.bar_label(bars, inside, label_type="center", color="white", fontweight="bold", fontsize=10)
            left += shares[kind].to_numpy()
        axes.set(xlim=(0, 1), xlabel="Share of transitions")
        axes.xaxis.set_major_formatter(PercentFormatter(xmax=1))
        axes.grid(visible=False, axis="y")
        axes.invert_yaxis()
        _legend_above(axes)
    return figure


def learning_curve(frame: pd.DataFrame) -> Figure:
    """Draw training loss (line) and validation loss (points) against optimisation steps.

    Args:
        frame: columns `step`, `split` ('train' or 'validation'), `loss` (nats per token).
    """
    _require(frame, ["step", "split", "loss"])
    with matplotlib.rc_context(figure_style()):
        figure, axes = _axes(height=3.4)
        for split, style in {"train": {"marker": ""}, "validation": {"marker": "o"}}.items():
            part = frame.loc[frame["split"] == split].sort_values("step")
            if not part.empty:
                axes.plot(part["step"], part["loss"], label=split, **style)
        axes.set(xlabel="Optimisation step", ylabel="Loss (nats per token)")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend()
    return figure


def paired_differences(frame: pd.DataFrame) -> Figure:
    """Draw paired differences as dots with intervals, one panel for each data set, and a line at zero.

    Leave out comparisons of another order of magnitude, such as a model off the shelf: they would push
    all others onto the line.

    Args:
        frame: columns `dataset`, `label`, `difference`, `ci_low`, `ci_high` (perplexity).
    """
    _require(frame, ["dataset", "label", "difference", "ci_low", "ci_high"])
    with matplotlib.rc_context(figure_style()):
        figure, panels = _panels(frame)
        for axes, (dataset, part) in zip(panels, frame.groupby("dataset", sort=False), strict=True):
            reach = [part["difference"] - part["ci_low"], part["ci_high"] - part["difference"]]
            axes.axvline(0.0, color="#666666", linewidth=1.2)
            axes.errorbar(part["difference"], _wrapped(part["label"]), xerr=reach, fmt="o", capsize=3)
            axes.set_ylim(len(part) - 0.4, -0.6)
            if frame["dataset"].nunique() > 1:
                axes.set_title(dataset)
        panels[-1].set_xlabel("Difference in perplexity (95 % interval)")
    return figure


def valid_mass(frame: pd.DataFrame) -> Figure:
    """Draw quantiles of the mass on valid titles: median, quartiles (thick) and 10 to 90 % (thin).

    Args:
        frame: columns `dataset`, `label`, `q10`, `q25`, `q50`, `q75`, `q90` (probabilities above 0).

    Raises:
        InputError: if a column is missing or a quantile is not above 0.
    """
    quantiles = ["q10", "q25", "q50", "q75", "q90"]
    _require(frame, ["dataset", "label", *quantiles])
    if not (frame[quantiles] > 0).all(axis=None):
        raise InputError("valid_mass: a quantile is not above 0 and has no place on a logarithmic axis.")
    with matplotlib.rc_context(figure_style()):
        figure, panels = _panels(frame)
        for axes, (dataset, part) in zip(panels, frame.groupby("dataset", sort=False), strict=True):
            labels = _wrapped(part["label"])
            axes.hlines(labels, part["q10"], part["q90"], linewidth=2, color="C0")
            axes.hlines(labels, part["q25"], part["q75"], linewidth=7, color="C0")
            axes.plot(part["q50"], labels, "o", color="white", markeredgecolor=_INK, markersize=9)
            axes.axvline(1.0, color="#666666", linewidth=1.2)
            axes.set(xscale="log", ylim=(len(part) - 0.4, -0.6))
            if frame["dataset"].nunique() > 1:
                axes.set_title(dataset)
        panels[-1].set_xlabel("Probability on valid titles (median, 25–75 %, 10–90 %)")
    return figure


def _axes(height: float) -> tuple[Figure, Axes]:
    """Return a figure outside pyplot: nothing global, no second display by the inline backend."""
    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    return figure, figure.subplots()


def _panels(frame: pd.DataFrame) -> tuple[Figure, list[Axes]]:
    rows = frame.groupby("dataset", sort=False).size().tolist()
    figure = Figure(figsize=(_WIDTH, 0.9 + sum(0.55 * count + 0.35 for count in rows)), layout="constrained")
    panels = figure.subplots(len(rows), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": rows})
    return figure, list(panels[:, 0])


def _wrapped(labels: pd.Series) -> list[str]:
    """Break long labels, which would leave no room for the panel on a phone."""
    return ["\n".join(textwrap.wrap(label, _LABEL_WIDTH)) for label in labels]


def _legend_above(axes: Axes) -> None:
    axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=len(_TYPES), borderaxespad=0.2)


def _require(frame: pd.DataFrame, columns: list[str]) -> None:
    missing = [column for column in columns if column not in frame.columns]
    if missing or frame.empty:
        raise InputError(f"Figure: the frame needs rows with the columns {columns}; no {missing or 'rows'}.")
