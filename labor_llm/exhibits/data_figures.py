"""Figures of the data: functions of the tidy frames of `labor_llm.exhibits.data`.

A frame without rows gives a figure that says so, as an exhibit is made in every run.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, MultipleLocator, PercentFormatter

from labor_llm.careers.panel import TRANSITION_TYPES
from labor_llm.exhibits.figures import MARKERS, exhibit, new_figure

_LABEL_WIDTH = 30
# Cells of a larger share are so dark that their number is white.
_DARK = 0.7
# Neighbouring frames of a survey differ in lightness too, so that they are told apart in gray.
_FRAME_COLORS = {
    "Census 1970": 0, "Census 1980": 9, "Census 1990": 2, "Census 2000": 1, "Census 2002": 3, "Census 2010": 8,
}  # fmt: skip
_OTHER_COLOR = "#b0b0b0"


@exhibit("fig-transition-types", "dataset", "transition_type", "share")
def transition_type_shares(frame: pd.DataFrame) -> Figure:
    """Draw stacked horizontal bars: the shares of first, moving and staying transitions.

    Args:
        frame: columns `dataset`, `transition_type` ('first', 'moving', 'staying'), `share` (0 to 1).
    """
    shares = frame.pivot(index="dataset", columns="transition_type", values="share")
    shares = shares.reindex(index=frame["dataset"].unique(), columns=list(TRANSITION_TYPES)).fillna(0.0)
    figure = new_figure(1.3 + 0.45 * len(shares))
    axes = figure.subplots()
    left = np.zeros(len(shares))
    for kind in TRANSITION_TYPES:
        bars = axes.barh(list(shares.index), shares[kind], left=left, label=kind, height=0.6)
        inside = [f"{share:.0%}" if share > 0.06 else "" for share in shares[kind]]
        axes.bar_label(bars, inside, label_type="center", color="white", fontweight="bold", fontsize=10)
        left += shares[kind].to_numpy()
    axes.set(xlim=(0, 1), xlabel="Share of transitions")
    axes.xaxis.set_major_formatter(PercentFormatter(xmax=1))
    axes.grid(visible=False, axis="y")
    axes.invert_yaxis()
    axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=len(TRANSITION_TYPES), borderaxespad=0.2)
    return figure


@exhibit("fig-transition-matrix", "dataset", "origin", "destination", "share")
def transition_matrix(frame: pd.DataFrame) -> Figure:
    """Draw a heat map for each data set: shares of the next record's group, by the group of the one before.

    Args:
        frame: columns `dataset`, `origin`, `destination` (groups, in the order of the axes) and `share` (0 to 1,
            NaN for a blank cell).
    """
    tables = {
        name: part.pivot(index="origin", columns="destination", values="share").reindex(
            index=part["origin"].unique(), columns=part["origin"].unique()
        )
        for name, part in frame.groupby("dataset", sort=False)
    }
    heights = [0.34 * len(table) + 0.75 for table in tables.values()]
    figure, panels = _stacked(heights, 0.1)
    for axes, (name, table) in zip(panels, tables.items(), strict=True):
        _heat_map(axes, table)
        axes.set_title(f"{name}: next record, % of a row" if len(tables) > 1 else "Next record, % of a row")
    return figure


@exhibit("fig-movers-by-age", "dataset", "age", "share", "ci_low", "ci_high", may_be_empty=True)
def movers_by_age(frame: pd.DataFrame) -> Figure:
    """Draw the share of movers against age with its 95 % band, one line a data set.

    Args:
        frame: columns `dataset`, `age` (the lowest of a bin of five years), `share`, `ci_low`, `ci_high` (0 to 1);
            may have no rows.
    """
    figure, (axes,) = _stacked([3.5])
    if frame.empty:
        return _say_so(figure, axes, "No bin of ages with enough movers and stayers")
    for number, (name, part) in enumerate(frame.groupby("dataset", sort=False)):
        # A bin of the ages 20 to 24 is drawn in its middle, at 22.
        age, marker = part["age"].astype(float) + 2.0, MARKERS[number % len(MARKERS)]
        axes.plot(age, part["share"], marker=marker, color=f"C{number}", label=name)
        low, high = part["ci_low"].astype(float), part["ci_high"].astype(float)
        axes.fill_between(age, low, high, color=f"C{number}", alpha=0.2, linewidth=0)
    axes.set(xlabel="Age, in bins of five years", ylabel="Moving, share of transitions", ylim=(0, None))
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    axes.xaxis.set_major_locator(MultipleLocator(5))
    axes.margins(x=0.03)
    if frame["dataset"].nunique() > 1:
        figure.legend(loc="outside upper left", ncols=2)
    return figure


@exhibit("fig-coverage", "dataset", "year", "frame", "records", persons="records", may_be_empty=True)
def coverage(frame: pd.DataFrame) -> Figure:
    """Draw the records of each survey year as bars, stacked by Census frame, one panel a data set.

    Args:
        frame: columns `dataset`, `year`, `frame` (name of a Census frame, or of records without one) and `records`.
    """
    names = frame["dataset"].unique()
    frames = sorted(frame["frame"].unique(), key=lambda name: (name not in _FRAME_COLORS, name))
    hatches = dict(zip([name for name in frames if name not in _FRAME_COLORS], ["", "////"], strict=False))
    figure, panels = _stacked([1.75] * max(len(names), 1), 0.7)
    if frame.empty:
        return _say_so(figure, panels[0], "No survey year with enough workers")
    palette = sns.color_palette("colorblind").as_hex()
    for axes, name in zip(panels, names, strict=True):
        counts = frame[frame["dataset"] == name].pivot(index="year", columns="frame", values="records")
        bottom = np.zeros(len(counts))
        for kind in [kind for kind in frames if kind in counts.columns]:
            height = counts[kind].fillna(0).to_numpy(dtype=float)
            position = _FRAME_COLORS.get(kind)
            color = _OTHER_COLOR if position is None else palette[position]
            style = {"color": color, "hatch": hatches.get(kind), "edgecolor": "white", "linewidth": 0}
            axes.bar(counts.index, height, 0.85, bottom=bottom, label=kind, **style)
            bottom += height
        axes.grid(visible=False, axis="x")
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True, steps=[1, 2, 2.5, 5, 10]))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.xaxis.set_major_locator(MaxNLocator(9, integer=True, steps=[1, 2, 2.5, 5, 10]))
        axes.xaxis.set_tick_params(labelbottom=True)
        axes.set_title(name if len(names) > 1 else "")
        axes.set_ylabel("Records")
    panels[-1].set_xlabel("Survey year")
    if len(frames) > 1:
        handles = {bars.get_label(): bars for axes in panels for bars in axes.containers}
        figure.legend([handles[kind] for kind in frames], frames, loc="outside upper left", ncols=3)
    return figure


def _heat_map(axes: Axes, table: pd.DataFrame) -> None:
    """Draw shares as colored cells with their percent; rows are numbered, columns have the rows' numbers."""
    shares = table.to_numpy(dtype=float)
    size = len(table)
    # Most of a row is on the diagonal; the square root leaves the small shares distinguishable.
    norm, colors = PowerNorm(0.5, vmin=0.0, vmax=1.0), sns.light_palette("#0173b2", as_cmap=True)
    cells = np.ma.masked_invalid(shares)
    axes.pcolormesh(cells, cmap=colors, norm=norm, edgecolors="white", linewidth=0.8)
    for row, column in zip(*np.nonzero(~np.isnan(shares)), strict=True):
        share = shares[row, column]
        text = "<1" if share < 0.005 else f"{100 * share:.0f}"
        color = "white" if share > _DARK else "#222222"
        axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", color=color, fontsize=8)
    for row, name in enumerate(table.index):
        place = {"transform": axes.get_yaxis_transform(), "ha": "right", "va": "center"}
        axes.text(-0.06, row + 0.5, "\n".join(textwrap.wrap(name, _LABEL_WIDTH)), fontsize=8.5, **place)
    axes.set_yticks(np.arange(size) + 0.5, range(1, size + 1), fontsize=8.5)
    axes.set_xticks(np.arange(size) + 0.5, range(1, size + 1), fontsize=8.5)
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.set(xlim=(0, size), ylim=(size, 0))
    axes.spines[["left", "bottom"]].set_visible(False)


def _stacked(heights: Sequence[float], extra: float = 0.0) -> tuple[Figure, list[Axes]]:
    """Return a figure with panels one above the other; heights in inches."""
    figure = new_figure(sum(heights) + extra)
    figure.get_layout_engine().set(h_pad=0.08)
    ratios = {"height_ratios": list(heights)}
    panels = figure.subplots(
        len(heights), 1, squeeze=False, sharex=len(set(heights)) == 1, gridspec_kw=ratios
    )
    return figure, list(panels[:, 0])


def _say_so(figure: Figure, axes: Axes, text: str) -> Figure:
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes)
    axes.set_axis_off()
    return figure
