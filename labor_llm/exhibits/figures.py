"""Figures of the book: functions of tidy frames that return a matplotlib figure and touch nothing else.

Figures of the chapters on history length, horizons and structural change.

They have the style of `labor_llm.exhibits.figures` and touch nothing else.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator
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


_WIDTH_STUDY_FIGURES = 7.0
_MARKERS = "osD^vP"


def history_lengths(frame: pd.DataFrame) -> Figure:
    """Draw perplexity against the number of records shown, and its paired difference to the whole history.

    Args:
        frame: columns `model`, `records` (text, in the order of the axis), `perplexity`, `difference`,
            `difference_low`, `difference_high` (NaN for the whole history, which is drawn at zero).
    """
    _require_in_study_figures(
        frame, ["model", "records", "perplexity", "difference", "difference_low", "difference_high"]
    )
    order = list(dict.fromkeys(frame["records"]))
    with matplotlib.rc_context(figure_style()):
        figure = Figure(figsize=(_WIDTH_STUDY_FIGURES, 3.8), layout="constrained")
        left, right = figure.subplots(1, 2)
        right.axhline(0.0, color="#666666", linewidth=1.2)
        for part, marker, shift in _lines(frame):
            place = np.array([order.index(records) for records in part["records"]])
            left.plot(place, part["perplexity"], marker=marker, label=part["model"].iloc[0])
            center, low, high = (
                part[name].fillna(0.0) for name in ("difference", "difference_low", "difference_high")
            )
            reach = [center - low, high - center]
            right.errorbar(place + shift, center, yerr=reach, marker=marker, capsize=3, elinewidth=1.0)
        for axes, label in ((left, "Perplexity"), (right, "Difference to all (95 % interval)")):
            axes.set_xticks(range(len(order)), order)
            axes.set(xlabel="Last records shown", ylabel=label)
        figure.legend(*left.get_legend_handles_labels(), loc="outside upper left", ncols=2)
    return figure


def horizon_bins(frame: pd.DataFrame) -> Figure:
    """Draw mean compounded against mean direct probabilities of an event, in bins, one panel for each horizon.

    Args:
        frame: columns `model`, `years`, `direct`, `compounded` (means of probabilities in a bin).
    """
    _require_in_study_figures(frame, ["model", "years", "direct", "compounded"])
    horizons = list(dict.fromkeys(frame["years"]))
    names = list(dict.fromkeys(frame["model"]))
    with matplotlib.rc_context(figure_style()):
        # The panels are square, so the legend needs room of its own.
        height = (4.0 if len(horizons) > 1 else 4.7) + 0.25 * math.ceil(len(names) / 2)
        figure = Figure(figsize=(_WIDTH_STUDY_FIGURES, height), layout="constrained")
        panels = figure.subplots(1, len(horizons), sharex=True, sharey=True, squeeze=False)[0]
        for axes, years in zip(panels, horizons, strict=True):
            axes.plot([0, 1], [0, 1], color="#666666", linewidth=1.2)
            for number, name in enumerate(names):
                part = frame[(frame["years"] == years) & (frame["model"] == name)]
                marker = _MARKERS[number % len(_MARKERS)]
                axes.plot(part["direct"], part["compounded"], marker=marker, label=name)
            axes.set(xlabel="Direct", title=f"{years} years ahead", xlim=(0, 1), ylim=(0, 1), aspect="equal")
        panels[0].set_ylabel("Compounded")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=2)
    return figure


def performance_by_year(frame: pd.DataFrame, last_year: int) -> Figure:
    """Draw perplexity by calendar year, and its paired difference to training on all years, one row a model.

    Args:
        frame: columns `model`, `training`, `year` (the middle of years taken together), `perplexity`, `difference`,
            `difference_low`, `difference_high` (NaN for the training on all years).
        last_year: of the training that ends early; a vertical line stands after it.
    """
    _require_in_study_figures(frame, ["model", "training", "year", "perplexity", "difference"])
    models, trainings = list(dict.fromkeys(frame["model"])), list(dict.fromkeys(frame["training"]))
    with matplotlib.rc_context(figure_style()):
        figure = Figure(figsize=(_WIDTH_STUDY_FIGURES, 0.8 + 2.2 * len(models)), layout="constrained")
        panels = figure.subplots(len(models), 2, sharex=True, squeeze=False)
        for (left, right), model in zip(panels, models, strict=True):
            right.axhline(0.0, color="#666666", linewidth=1.2)
            for number, training in enumerate(trainings):
                part = frame[(frame["model"] == model) & (frame["training"] == training)].sort_values("year")
                style = {"color": f"C{number}", "marker": _MARKERS[number % len(_MARKERS)], "markersize": 4}
                left.plot(part["year"], part["perplexity"], label=training, **style)
                if part["difference"].notna().any():
                    bounds = (part["difference_low"], part["difference_high"])
                    right.fill_between(part["year"], *bounds, color=f"C{number}", alpha=0.15, linewidth=0)
                    right.plot(part["year"], part["difference"], **style)
            for axes, label in ((left, "Perplexity"), (right, "Difference")):
                axes.axvline(last_year + 0.5, color="#666666", linewidth=1.2)
                axes.set(ylabel=label, title=model)
                axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
        for axes in panels[-1]:
            axes.set_xlabel("Calendar year")
        figure.legend(
            *panels[0, 0].get_legend_handles_labels(), loc="outside upper left", ncols=len(trainings)
        )
    return figure


def _lines(frame: pd.DataFrame) -> Iterator[tuple[pd.DataFrame, str, float]]:
    """Yield each model's rows with a marker and a small shift, so that intervals do not hide each other."""
    models = list(dict.fromkeys(frame["model"]))
    for number, model in enumerate(models):
        shift = 0.08 * (number - (len(models) - 1) / 2)
        yield frame[frame["model"] == model], _MARKERS[number % len(_MARKERS)], shift


def _require_in_study_figures(frame: pd.DataFrame, columns: list[str]) -> None:
    missing = [column for column in columns if column not in frame.columns]
    if missing or frame.empty:
        raise InputError(f"Figure: the frame needs rows with the columns {columns}; no {missing or 'rows'}.")
