"""Figures of the data, and the numbers that they draw, as tidy frames.

What rests on fewer than `MINIMUM_PERSONS` workers is left out, and so is a second number where the first could be
computed from the others, so that a frame may be without rows.
`panels` holds one career panel for each data set, `conversions` the counts of each one's conversion by its name, None
where it has none, and `labels` says how to call a data set; its name where there is none.
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

from labor_llm.careers.panel import TRANSITION_TYPES, CareerPanel, transitions
from labor_llm.disclosure import MINIMUM_PERSONS
from labor_llm.exhibits.data import Conversions, frame_name, occupation_groups
from labor_llm.exhibits.figures import exhibit, marked, new_figure
from labor_llm.exhibits.formatting import Labels

_LABEL_WIDTH = 30
# Cells of a larger share are so dark that their number is white.
_DARK = 0.7
# Neighbouring frames of a survey differ in lightness too, so that they are told apart in gray.
_FRAME_COLORS = {
    "Census 1970": 0, "Census 1980": 9, "Census 1990": 2, "Census 2000": 1, "Census 2002": 3, "Census 2010": 8,
}  # fmt: skip
_OTHER_COLOR = "#b0b0b0"
_NOT_TOLD = "Census frame not told"
_YEARS_OF_AGE = 5
_NORMAL_95 = 1.959964


def type_shares(panels: Sequence[CareerPanel], labels: Labels = None) -> pd.DataFrame:
    """Return the share of each type of transition.

    Returns:
        Columns `dataset`, `transition_type`, `transitions`, `share` (0 to 1) and `workers` (that have
        such transitions). None of a data set of which fewer than 11 workers have one of the types.
    """
    parts = {}
    for panel in panels:
        counts = transitions(panel).groupby("transition_type")["worker_id"].agg(["size", "nunique"])
        counts = counts.reindex([name for name in TRANSITION_TYPES if name in counts.index])
        counts.insert(1, "share", counts["size"] / counts["size"].sum())
        # One type that is left out would be what the others leave of all records.
        if counts["nunique"].min() < MINIMUM_PERSONS:
            counts = counts.iloc[:0]
        parts[(labels or {}).get(panel.dataset, panel.dataset)] = counts
    tidy = pd.concat(parts, names=["dataset", "transition_type"]).reset_index()
    return tidy.rename(columns={"size": "transitions", "nunique": "workers"})


@exhibit("fig-transition-types")
def transition_type_shares(frame: pd.DataFrame) -> Figure:
    """Draw stacked horizontal bars: the shares of first, moving and staying transitions."""
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


def group_transitions(panels: Sequence[CareerPanel], labels: Labels = None) -> pd.DataFrame:
    """Return the share of each group of occupations in the records that follow a record of a group.

    Returns:
        One row a data set and pair of groups: `dataset`, `origin`, `destination`, `share` (0 to 1, of the
        records after `origin`) and `workers`; both missing (NaN) where fewer than 11 workers made the
        transition, or where the share could be computed from the others of its row.
    """
    parts = []
    for panel in panels:
        groups = occupation_groups(panel)
        order = pd.Index(dict.fromkeys(groups.values()))
        moves = transitions(panel).dropna(subset=["previous"])
        pairs = moves.groupby([moves["previous"].map(groups), moves["occupation"].map(groups)])["worker_id"]
        counts, workers = (
            table.unstack(fill_value=0).reindex(index=order, columns=order, fill_value=0)
            for table in (pairs.size(), pairs.nunique())
        )
        shown = workers.apply(_shown_cells, axis=1, result_type="broadcast").astype(bool)
        shares = counts.div(counts.sum(axis=1).replace(0, np.nan), axis=0)
        tidy = pd.DataFrame({"share": shares.where(shown).stack(), "workers": workers.where(shown).stack()})
        tidy = tidy.rename_axis(["origin", "destination"]).reset_index()
        tidy.insert(0, "dataset", (labels or {}).get(panel.dataset, panel.dataset))
        parts.append(tidy)
    return pd.concat(parts, ignore_index=True)


def _shown_cells(workers: pd.Series) -> np.ndarray:
    """Say which shares of a row are shown; a single one that is left out would be one minus the others."""
    enough = workers.to_numpy() >= MINIMUM_PERSONS
    if (~enough).sum() == 1 and enough.any():
        enough[np.where(enough, workers, np.inf).argmin()] = False
    return enough


@exhibit("fig-transition-matrix")
def transition_matrix(frame: pd.DataFrame) -> Figure:
    """Draw a heat map for each data set: shares of the next record's group, by the group of the one before.

    Args:
        frame: columns `dataset`, `origin`, `destination` (groups, in the order of the axes) and `share` (0 to 1,
            NaN for a blank cell).
    """
    tables = {}
    for name, part in frame.groupby("dataset", sort=False):
        order = part["origin"].unique()
        tables[name] = part.pivot(index="origin", columns="destination", values="share").loc[order, order]
    heights = [0.34 * len(table) + 0.75 for table in tables.values()]
    figure, panels = _stacked(heights, 0.1)
    for axes, (name, table) in zip(panels, tables.items(), strict=True):
        _heat_map(axes, table)
        axes.set_title(f"{name}: next record, % of a row" if len(tables) > 1 else "Next record, % of a row")
    return figure


def mover_shares(panels: Sequence[CareerPanel], labels: Labels = None) -> pd.DataFrame:
    """Return the share of transitions to another occupation by age, first records left out.

    The age is the year of the record minus the year of birth, in bins of five years. The 95 % interval rests on
    a normal approximation and the variance of a ratio of sums over workers, whose records are not independent.

    Returns:
        `dataset`, `age` (the lowest of the bin), `share`, `ci_low`, `ci_high` (0 to 1), `transitions` and
        `workers` (the fewer of those who move and those who stay in the bin). Bins with fewer than 11 of
        either, and workers without a year of birth, are left out, so there may be no row.
    """
    rows = []
    for panel in panels:
        known = transitions(panel).dropna(subset=["previous", "birth_year"])
        age = (known["year"] - known["birth_year"]).astype("int64") // _YEARS_OF_AGE * _YEARS_OF_AGE
        moving = (known["transition_type"] == "moving").astype("int64")
        keys = [age.rename("age"), known["worker_id"]]
        by_worker = moving.groupby(keys).agg(moves="sum", records="size").reset_index()
        name = (labels or {}).get(panel.dataset, panel.dataset)
        rows += [(name, age, *_share_with_interval(part)) for age, part in by_worker.groupby("age")]
    columns = ["dataset", "age", "share", "ci_low", "ci_high", "transitions", "workers"]
    tidy = pd.DataFrame(rows, columns=columns)
    return tidy[tidy["workers"] >= MINIMUM_PERSONS].reset_index(drop=True)


def _share_with_interval(by_worker: pd.DataFrame) -> tuple[float, ...]:
    """Return share, interval, transitions and the fewer of movers and stayers in one bin of ages."""
    moves, records = by_worker["moves"].to_numpy(), by_worker["records"].to_numpy()
    total, workers = records.sum(), len(records)
    share = moves.sum() / total
    variance = ((moves - share * records) ** 2).sum() / total**2 * workers / max(workers - 1, 1)
    reach = _NORMAL_95 * np.sqrt(variance)
    fewer = min(int((moves > 0).sum()), int((moves < records).sum()))
    return share, max(share - reach, 0.0), min(share + reach, 1.0), int(total), fewer


@exhibit("fig-movers-by-age")
def movers_by_age(frame: pd.DataFrame) -> Figure:
    """Draw the share of movers against age with its 95 % band, one line a data set."""
    figure, (axes,) = _stacked([3.5])
    looks = marked(frame["dataset"])
    for name, part in frame.groupby("dataset", sort=False):
        # A bin of the ages 20 to 24 is drawn in its middle, at 22.
        age = part["age"].astype(float) + 2.0
        axes.plot(age, part["share"], label=name, **looks[name])
        low, high = part["ci_low"].astype(float), part["ci_high"].astype(float)
        axes.fill_between(age, low, high, color=looks[name]["color"], alpha=0.2, linewidth=0)
    axes.set(xlabel="Age, in bins of five years", ylabel="Moving, share of transitions", ylim=(0, None))
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    axes.xaxis.set_major_locator(MultipleLocator(5))
    axes.margins(x=0.03)
    if len(looks) > 1:
        figure.legend(loc="outside upper left", ncols=2)
    return figure


def records_by_frame(
    panels: Sequence[CareerPanel], conversions: Conversions, labels: Labels = None
) -> pd.DataFrame:
    """Return the records of each survey year by the Census frame of their occupation codes.

    Returns:
        `dataset`, `year`, `frame` ('Census 1980', 'no occupation code', or 'Census frame not told') and
        `records`, each of another worker; counts of fewer than 11 are left out.
    """
    parts = []
    for panel in panels:
        conversion = conversions[panel.dataset]
        if conversion is None:
            counted = panel.frame.groupby("year").size().rename("records").reset_index()
            counted.insert(1, "frame", _NOT_TOLD)
        else:
            rows = [(entry.year, frame_name(entry.frame), entry.kept or 0) for entry in conversion.coverage]
            counted = pd.DataFrame(rows, columns=["year", "frame", "records"])
        counted.insert(0, "dataset", (labels or {}).get(panel.dataset, panel.dataset))
        parts.append(counted[counted["records"] >= MINIMUM_PERSONS].sort_values(["year", "frame"]))
    return pd.concat(parts, ignore_index=True)


@exhibit("fig-coverage", persons="records")
def coverage(frame: pd.DataFrame) -> Figure:
    """Draw the records of each survey year as bars, stacked by Census frame, one panel a data set."""
    names = frame["dataset"].unique()
    frames = sorted(frame["frame"].unique(), key=lambda name: (name not in _FRAME_COLORS, name))
    hatches = dict(zip([name for name in frames if name not in _FRAME_COLORS], ["", "////"], strict=False))
    figure, panels = _stacked([1.75] * len(names), 0.7)
    palette = sns.color_palette("colorblind").as_hex()
    for axes, name in zip(panels, names, strict=True):
        counts = frame[frame["dataset"] == name].pivot(index="year", columns="frame", values="records")
        bottom = np.zeros(len(counts))
        for kind in [kind for kind in frames if kind in counts.columns]:
            height = counts[kind].fillna(0).to_numpy(dtype=float)
            color = palette[_FRAME_COLORS[kind]] if kind in _FRAME_COLORS else _OTHER_COLOR
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
