"""Figures of the chapters on history length, horizons and structural change.

They have the style of `labor_llm.exhibits.figures` and touch nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from labor_llm.errors import InputError
from labor_llm.exhibits.figures import figure_style

_WIDTH = 7.0
_MARKERS = "osD^vP"


def history_lengths(frame: pd.DataFrame) -> Figure:
    """Draw perplexity against the number of records shown, and its paired difference to the whole history.

    Args:
        frame: columns `model`, `records` (text, in the order of the axis), `perplexity`, `difference`,
            `difference_low`, `difference_high` (NaN for the whole history, which is drawn at zero).
    """
    _require(frame, ["model", "records", "perplexity", "difference", "difference_low", "difference_high"])
    order = list(dict.fromkeys(frame["records"]))
    with matplotlib.rc_context(figure_style()):
        figure = Figure(figsize=(_WIDTH, 3.8), layout="constrained")
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
    _require(frame, ["model", "years", "direct", "compounded"])
    horizons = list(dict.fromkeys(frame["years"]))
    names = list(dict.fromkeys(frame["model"]))
    with matplotlib.rc_context(figure_style()):
        # The panels are square, so the legend needs room of its own.
        height = (4.0 if len(horizons) > 1 else 4.7) + 0.25 * math.ceil(len(names) / 2)
        figure = Figure(figsize=(_WIDTH, height), layout="constrained")
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
    _require(frame, ["model", "training", "year", "perplexity", "difference"])
    models, trainings = list(dict.fromkeys(frame["model"])), list(dict.fromkeys(frame["training"]))
    with matplotlib.rc_context(figure_style()):
        figure = Figure(figsize=(_WIDTH, 0.8 + 2.2 * len(models)), layout="constrained")
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


def _require(frame: pd.DataFrame, columns: list[str]) -> None:
    missing = [column for column in columns if column not in frame.columns]
    if missing or frame.empty:
        raise InputError(f"Figure: the frame needs rows with the columns {columns}; no {missing or 'rows'}.")
