"""Figures of how models predict: functions of tidy frames that draw with matplotlib and touch nothing else.

Each returns a `DisplayFigure`; the column `workers` of its frame holds the persons behind each point.
"""

from __future__ import annotations

import functools
import math
import textwrap
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from importlib.resources import files
from typing import Any

import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator, PercentFormatter

from labor_llm.disclosure import Persons
from labor_llm.errors import InputError
from labor_llm.evaluation.history_length import ALL
from labor_llm.exhibits.formatting import DisplayFigure, escape_figure, with_texts

_WIDTH = 7.0
_MARKERS = "osD^vP"
_LABEL_WIDTH, _TITLE_WIDTH, _LINE_WIDTH, _SENTENCE_WIDTH = 26, 24, 60, 80
_QUANTILES = ["q10", "q25", "q50", "q75", "q90"]
_LINE = {"color": "#666666", "linewidth": 1.2}
_PANELS_A_ROW = 3


def figure_style() -> AbstractContextManager[None]:
    """Return a context with the matplotlib settings of every figure, those of `figures.mplstyle`."""
    return matplotlib.style.context(str(files("labor_llm.exhibits") / "figures.mplstyle"))


def exhibit(
    name: str, persons: str = "workers"
) -> Callable[[Callable[..., Figure]], Callable[..., DisplayFigure]]:
    """Make a function that draws a frame one that returns an exhibit, in the style of all figures.

    Of a frame without rows nothing is drawn; the sentence that the catalogue has for it is shown instead.

    Args:
        name: id of the figure in the catalogue.
        persons: column with the persons behind each point or bar; missing where nothing is drawn. The function that
            is returned takes `persons=` instead where the frame has no such column.
    """

    def decorate(draw: Callable[..., Figure]) -> Callable[..., DisplayFigure]:
        @functools.wraps(draw)
        def drawn(frame: pd.DataFrame, *more: Any, persons: Persons | str = persons) -> DisplayFigure:
            if frame.empty:
                return DisplayFigure(name, None, "none")
            with figure_style():
                behind = frame[persons].dropna() if isinstance(persons, str) else persons
                figure = draw(with_texts(frame, escape_figure), *more)
                for text in figure.findobj(Text):  # such as names in legends
                    text.set_text("\n".join(_wrapped(text.get_text().split("\n"), _LINE_WIDTH)))
                return DisplayFigure(name, figure, behind)

        return drawn

    return decorate


@exhibit("fig-learning-curve")
def learning_curve(frame: pd.DataFrame) -> Figure:
    """Draw training loss (line) and validation loss (points), nats per token, against optimisation steps."""
    figure = new_figure(3.4)
    axes = figure.subplots()
    for split, style in {"train": {"marker": ""}, "validation": {"marker": "o"}}.items():
        part = frame.loc[frame["split"] == split].sort_values("step")
        if not part.empty:
            axes.plot(part["step"], part["loss"], label=split, **style)
    axes.set(xlabel="Optimisation step", ylabel="Loss (nats per token)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend()
    return figure


@exhibit("fig-paired-differences")
def paired_differences(frame: pd.DataFrame) -> Figure:
    """Draw paired differences as dots with intervals, one panel for each data set, and a line at zero.

    Leave out comparisons of another order of magnitude, such as a model off the shelf: they would push
    all others onto the line.
    The frame has columns `dataset`, `label`, `difference`, `ci_low`, `ci_high`.
    """
    return _differences(frame, "Difference in perplexity (95 % interval)")


@exhibit("fig-gain-by-part")
def gain_by_part(frame: pd.DataFrame) -> Figure:
    """Draw the difference of two models' losses on each part of a next job, as `paired_differences` does.

    Rows are as `evaluation.gains.gain_by_part` returns them.
    """
    return _differences(
        frame.rename(columns={"part": "label"}), "Difference in nats a transition (95 % interval)"
    )


def _differences(frame: pd.DataFrame, axis: str) -> Figure:
    figure, panels = _by_dataset(frame, "label")
    for axes, part in panels:
        axes.axvline(0.0, **_LINE)
        reach = _reach(part, "difference")
        axes.errorbar(part["difference"], _wrapped(part["label"]), xerr=reach, fmt="o", capsize=3)
    panels[-1][0].set_xlabel(axis)
    return figure


@exhibit("fig-valid-mass")
def valid_mass(frame: pd.DataFrame) -> Figure:
    """Draw quantiles of the mass on valid titles: median, quartiles (thick) and 10 to 90 % (thin).

    Raises:
        InputError: if a quantile is not above 0.
    """
    if not (frame[_QUANTILES].fillna(1.0) > 0).all(axis=None):
        raise InputError("valid_mass: a quantile is not above 0 and has no place on a logarithmic axis.")
    figure, panels = _by_dataset(frame, "model")
    for axes, part in panels:
        labels = _wrapped(part["model"])
        axes.hlines(labels, part["q10"], part["q90"], linewidth=2, color="C0")
        axes.hlines(labels, part["q25"], part["q75"], linewidth=7, color="C0")
        axes.plot(part["q50"], labels, "o", color="white", markeredgecolor="#222222", markersize=9)
        axes.axvline(1.0, **_LINE)
        axes.set(xscale="log")
    panels[-1][0].set_xlabel("Probability on valid titles (median, 25–75 %, 10–90 %)")
    return figure


@exhibit("fig-reliability")
def reliability_curves(frame: pd.DataFrame, labels: Mapping[str, str] | None = None) -> Figure:
    """Draw the reliability curve of each model: share of events against stated probability, one panel a model.

    The grey band is where a model with these very probabilities would lie if they were right; the bars are from
    resampled workers. Rows are as `evaluation.calibration.reliability_curves` returns them, of one task; `labels` says
    how to call a data set.
    """
    titles = {name: escape_figure(label) for name, label in (labels or {}).items()}
    datasets = list(frame["dataset"].unique())
    counts = [frame.loc[frame["dataset"] == name, "model"].nunique() for name in datasets]
    heights = [-(-count // _PANELS_A_ROW) for count in counts]
    figure = new_figure(2.5 * sum(heights) + 0.3 * len(datasets))
    parts = figure.subfigures(len(datasets), 1, height_ratios=heights, squeeze=False)[:, 0]
    for part, dataset, rows in zip(parts, datasets, heights, strict=True):
        models = list(frame[frame["dataset"] == dataset].groupby("model", sort=False))
        axes = part.subplots(rows, _PANELS_A_ROW, sharex=True, sharey=True, squeeze=False).ravel()
        for panel, (model, inside) in zip(axes, models, strict=False):
            _curve(panel, inside.sort_values("predicted"))
            panel.set_title(_wrapped([model], _TITLE_WIDTH)[0], fontsize=9.5)
        for panel in axes[len(models) :]:
            panel.set_visible(False)
        # With sharing, ticks stand under the last row alone; an incomplete row leaves panels without them.
        for panel in axes[max(0, len(models) - _PANELS_A_ROW) : len(models)]:
            panel.tick_params(labelbottom=True)
        part.supxlabel("Stated probability", fontsize=10.5)
        part.supylabel("Share of events", fontsize=10.5)
        if len(datasets) > 1:
            part.suptitle(titles.get(dataset, dataset), fontsize=11.0, fontweight="bold")
    return figure


def _curve(axes: Axes, rows: pd.DataFrame) -> None:
    band = [rows["perfect_low"], rows["perfect_high"]]
    if len(rows) > 1:
        axes.fill_between(rows["predicted"], *band, color="#bbbbbb", alpha=0.6, linewidth=0)
    else:
        axes.vlines(rows["predicted"], *band, color="#bbbbbb", linewidth=9)
    axes.plot([0, 1], [0, 1], color="#666666", linewidth=1.0, linestyle="--")
    look = {"fmt": "o-", "markersize": 4, "capsize": 2, "linewidth": 1.2}
    axes.errorbar(rows["predicted"], rows["observed"], yerr=_reach(rows, "observed"), **look)
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
        axis.set_ticks([0.0, 0.5, 1.0])
    axes.tick_params(labelsize=8.5)


@exhibit("fig-pooled-data")
def perplexity_by_training_careers(bootstrap: pd.DataFrame, sizes: pd.DataFrame) -> Figure:
    """Draw perplexity with its 95 % interval by the number of training careers, own ones alone and with others.

    From `evaluation.perplexity.bootstrap_perplexity`, of one data set, and `studies.training_sizes`.

    Raises:
        InputError: if there is nothing to draw.
    """
    points = bootstrap.merge(sizes, on=["dataset", "model"])
    if points.empty:
        raise InputError("There is no model whose perplexity and training careers are both known.")
    points = points.assign(careers=points["own"] + points["others"]).sort_values("careers")
    figure = new_figure(3.6)
    axes = figure.subplots()
    for pooled, part in points.groupby(points["others"] > 0):
        label, marker = ("with those of other data sets", "s") if pooled else ("own careers alone", "o")
        look = {"fmt": marker, "capsize": 3, "label": label}
        axes.errorbar(part["careers"], part["perplexity"], yerr=_reach(part, "perplexity"), **look)
    axes.set(xlabel="Training careers", ylabel="Perplexity (95 % interval)", xlim=(0, None))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend()
    return figure


@exhibit("fig-history-length")
def history_lengths(frame: pd.DataFrame) -> Figure:
    """Draw perplexity against the length of history shown, and its paired difference to the whole history.

    Rows are as `evaluation.history_length.history_lengths` returns them; the whole history is drawn at zero. Lengths
    by years have lines of their own, dashed, that end there too.
    """
    # The whole history comes last.
    whole = -1
    order = [*sorted(frame["number"].dropna().unique()), whole]
    units = [unit for unit in dict.fromkeys(frame["unit"]) if unit != ALL]
    figure = new_figure(3.8)
    left, right = figure.subplots(1, 2)
    right.axhline(0.0, **_LINE)
    looks = marked(frame["model"])
    for number, (model, look) in enumerate(looks.items()):
        # Intervals do not hide each other.
        shift = 0.08 * (number - (len(looks) - 1) / 2)
        for unit, line in zip(units, ("-", "--"), strict=False):
            part = frame[(frame["model"] == model) & frame["unit"].isin([unit, ALL])]
            place = np.array([order.index(length) for length in part["number"].fillna(whole)])
            part, look["linestyle"] = part.drop(columns="number").fillna(0.0), line
            left.plot(place, part["perplexity"], label=model if unit == units[0] else None, **look)
            reach = _reach(part, "difference", "difference_low", "difference_high")
            right.errorbar(place + shift, part["difference"], yerr=reach, capsize=3, elinewidth=1.0, **look)
    for axes, label in ((left, "Perplexity"), (right, "Difference to all (95 % interval)")):
        axes.set_xticks(range(len(order)), [*map(str, order[:-1]), ALL])
        axes.set(xlabel=f"Last {' or (dashed) '.join(units)} shown", ylabel=label)
    _legend_above(figure, left)
    return figure


@exhibit("fig-horizons")
def horizon_bins(frame: pd.DataFrame) -> Figure:
    """Draw mean compounded against mean direct probabilities of an event, in bins, one panel for each horizon.

    Rows are as `evaluation.horizons.stay_bins` returns them.
    """
    horizons, looks = list(dict.fromkeys(frame["years"])), marked(frame["model"])
    # The panels are square, so the legend needs room of its own.
    figure = new_figure((4.0 if len(horizons) > 1 else 4.7) + 0.25 * math.ceil(len(looks) / 2))
    panels = figure.subplots(1, len(horizons), sharex=True, sharey=True, squeeze=False)[0]
    for axes, years in zip(panels, horizons, strict=True):
        axes.plot([0, 1], [0, 1], **_LINE)
        for name, look in looks.items():
            part = frame[(frame["years"] == years) & (frame["model"] == name)]
            bars = {"yerr": 2.0 * part["compounded_mc"], "capsize": 2, "elinewidth": 1.0}
            axes.errorbar(part["direct"], part["compounded"], label=name, **bars, **look)
        axes.set(xlabel="Direct", title=f"{years} years ahead", xlim=(0, 1), ylim=(0, 1), aspect="equal")
    panels[0].set_ylabel("Compounded")
    _legend_above(figure, panels[0])
    return figure


@exhibit("fig-structural-change")
def performance_by_year(frame: pd.DataFrame, last_year: int) -> Figure:
    """Draw perplexity by calendar year, and its paired difference to training on all years, one row a model.

    Rows are as `evaluation.structural_change.performance_by_year` returns them; a vertical line stands after the last
    year of the training that ends early.
    """
    models, looks = list(dict.fromkeys(frame["model"])), marked(frame["training"])
    figure = new_figure(0.8 + 2.2 * len(models))
    panels = figure.subplots(len(models), 2, sharex=True, squeeze=False)
    for (left, right), model in zip(panels, models, strict=True):
        right.axhline(0.0, **_LINE)
        for training, look in looks.items():
            part = frame[(frame["model"] == model) & (frame["training"] == training)].sort_values("year")
            left.plot(part["year"], part["perplexity"], label=training, markersize=4, **look)
            if part["difference"].notna().any():
                bounds = (part["difference_low"], part["difference_high"])
                right.fill_between(part["year"], *bounds, color=look["color"], alpha=0.15, linewidth=0)
                right.plot(part["year"], part["difference"], markersize=4, **look)
        for axes, label in ((left, "Perplexity"), (right, "Difference")):
            axes.axvline(last_year + 0.5, **_LINE)
            axes.set(ylabel=label, title=model)
            axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    for axes in panels[-1]:
        axes.set_xlabel("Calendar year")
    _legend_above(figure, panels[0, 0], len(looks))
    return figure


def sentence_figure(sentence: str) -> Figure:
    """Return a sentence as a figure, for one that has nothing to draw."""
    with figure_style():
        figure = new_figure(1.4)
        figure.text(0.5, 0.5, textwrap.fill(sentence, _SENTENCE_WIDTH), ha="center", va="center")
        return figure


def new_figure(height: float) -> Figure:
    """Return a figure outside pyplot: nothing global, no second display by the inline backend."""
    return Figure(figsize=(_WIDTH, height), layout="constrained")


def marked(names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return color and marker of each name, in the order of first appearance."""
    looks = enumerate(dict.fromkeys(names))
    return {name: {"color": f"C{place}", "marker": _MARKERS[place % len(_MARKERS)]} for place, name in looks}


def _reach(rows: pd.DataFrame, center: str, low: str = "ci_low", high: str = "ci_high") -> list[pd.Series]:
    """Return how far intervals reach below and above their centers, which rounding may leave just outside."""
    return [(rows[center] - rows[low]).clip(lower=0.0), (rows[high] - rows[center]).clip(lower=0.0)]


def _legend_above(figure: Figure, axes: Axes, columns: int = 2) -> None:
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=columns)


def _by_dataset(frame: pd.DataFrame, labels: str) -> tuple[Figure, list[tuple[Axes, pd.DataFrame]]]:
    """Return a figure with a panel for each data set, in which each row has its line or lines, and the rows in it."""
    parts = list(frame.groupby("dataset", sort=False))
    rows = [len(part) for _, part in parts]
    lines = [label.count("\n") + 1 for label in _wrapped(frame[labels])]
    figure = new_figure(0.9 + 0.35 * len(rows) + sum(0.17 + 0.19 * count for count in lines))
    panels = figure.subplots(len(rows), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": rows})
    for axes, (dataset, part) in zip(panels[:, 0], parts, strict=True):
        axes.set_ylim(len(part) - 0.4, -0.6)
        if len(parts) > 1:
            axes.set_title(dataset)
    return figure, [(axes, part) for axes, (_, part) in zip(panels[:, 0], parts, strict=True)]


def _wrapped(labels: Iterable[str], width: int = _LABEL_WIDTH) -> list[str]:
    """Break long labels, which would leave no room for the panel on a phone."""
    return ["\n".join(textwrap.wrap(label, width)) for label in labels]
