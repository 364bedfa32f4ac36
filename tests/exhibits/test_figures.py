"""Figures draw the values of their frames where they belong, and leave nothing global behind."""

from __future__ import annotations

from io import BytesIO

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from labor_llm.careers.samples import ALL_YEARS, UP_TO
from labor_llm.errors import InputError
from labor_llm.exhibits import data_figures, figures

DIFFERENCES = pd.DataFrame(
    {
        "dataset": list("dde"), "label": ["a \u2212 c", "b \u2212 c", "a \u2212 c"], "difference": [-3.0, 1.0, 0.5],
        "ci_low": [-4.0, 0.5, -0.5], "ci_high": [-2.0, 1.5, 1.5], "workers": 20,
    }
)  # fmt: skip
MATRIX = pd.DataFrame(
    {
        "dataset": ["d"] * 4 + ["e"],
        "origin": ["Cooks", "Cooks", "Idle", "Idle", "All"],
        "destination": ["Cooks", "Idle", "Cooks", "Idle", "All"],
        "share": [0.996, 0.004, np.nan, np.nan, 1.0],
        "workers": [30, 12, np.nan, np.nan, 20],
    }
)
AGES = pd.DataFrame(
    {
        "dataset": "d", "age": [20, 25], "share": [0.5, 0.25], "ci_low": [0.4, 0.2], "ci_high": [0.6, 0.3],
        "workers": 20,
    }
)  # fmt: skip
COVERAGE = pd.DataFrame(
    {
        "dataset": list("ddde"), "year": [1981, 1981, 1983, 1981], "records": [40, 20, 50, 30],
        "frame": ["Census 1970", "no occupation code", "Census 1980", "Census frame not told"],
    }
)  # fmt: skip


def lengths(model: str) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "model": model, "unit": ["records", "records", "years", "all"],
            "number": pd.array([1, 4, 3, None], dtype="Int64"), "perplexity": [9.0, 8.1, 8.5, 8.0],
            "difference": [1.0, 0.1, 0.5, np.nan], "difference_low": [0.6, -0.1, 0.2, np.nan],
            "difference_high": [1.4, 0.3, 0.8, np.nan], "workers": 20,
        }
    )  # fmt: skip


def curves(models: list[str], dataset: str = "d", bins: int = 3) -> pd.DataFrame:
    frame = pd.DataFrame(
        [(model, number) for model in models for number in range(bins)], columns=["model", "bin"]
    )
    return frame.assign(
        dataset=dataset, predicted=(frame["bin"] + 1) / 5, observed=(frame["bin"] + 1) / 4, ci_low=0.1, ci_high=0.9,
        perfect_low=frame["bin"] / 5, perfect_high=(frame["bin"] + 2) / 5, workers=20,
    )  # fmt: skip


def titles(figure) -> list[str]:
    return [axes.get_title(loc="left") for axes in figure.axes if axes.get_visible()]


def test_paired_differences_draw_dots_and_intervals_where_they_belong() -> None:
    shown = figures.paired_differences(DIFFERENCES)
    first, second = shown.figure.axes
    dots, _, bars = first.containers[0]
    assert dots.get_xdata().tolist() == [-3.0, 1.0]
    assert [segment[:, 0].tolist() for segment in bars[0].get_segments()] == [[-4.0, -2.0], [0.5, 1.5]]
    assert (first.get_title(loc="left"), second.get_title(loc="left")) == ("d", "e")
    assert (shown.exhibit, shown.persons.tolist()) == ("fig-paired-differences", [20, 20, 20])


def test_a_difference_that_is_the_same_for_all_lies_in_its_interval_but_for_rounding() -> None:
    rows = DIFFERENCES.head(1).assign(difference=0.1 + 0.2, ci_low=0.3, ci_high=0.3)
    ((_, _, (bar,)),) = figures.paired_differences(rows).figure.axes[0].containers
    assert np.ptp(bar.get_segments()[0][:, 0]) < 1e-15


def test_shares_fill_the_bar() -> None:
    kinds = ["first", "moving", "staying"]
    frame = pd.DataFrame({"dataset": "d", "transition_type": kinds, "share": [0.125, 0.5, 0.375]}).assign(
        workers=20
    )
    (axes,) = data_figures.transition_type_shares(frame).figure.axes
    got = {bars.get_label(): (bars[0].get_x(), bars[0].get_width()) for bars in axes.containers}
    assert got == {"first": (0.0, 0.125), "moving": (0.125, 0.5), "staying": (0.625, 0.375)}


def test_names_are_drawn_as_they_are_and_long_ones_broken(hostile: str) -> None:
    """Neither a formula, which may be none, nor a name that a legend would leave out."""
    names = [r"costs $\frac$", "_hidden", f"{hostile} {'long ' * 30}"]
    both = pd.concat([curves(names, "d"), curves(names, "e")])
    drawn = [
        figures.history_lengths(pd.concat(map(lengths, names))),
        figures.paired_differences(DIFFERENCES.assign(label=names, dataset=["$x$", "$x$", "_y"])),
        figures.reliability_curves(both, {"d": "$x$", "e": "e"}),
        data_figures.movers_by_age(pd.concat(AGES.assign(dataset=name) for name in names)),
    ]
    for each in drawn:
        each.figure.savefig(BytesIO())
        texts = [text.get_text() for text in each.figure.findobj(Text)]
        for name in (r"costs \$\frac\$", "_hidden", hostile):
            assert any(" ".join(text.split()).startswith(name[:20]) for text in texts), each.exhibit
        assert max(map(len, "\n".join(texts).split("\n"))) <= 61


def test_a_mass_of_zero_has_no_place_on_the_axis() -> None:
    quantiles = {"q10": [0.0], "q25": 0.1, "q50": 0.2, "q75": 0.3, "q90": 0.4}
    frame = pd.DataFrame({"dataset": "d", "model": "a", "workers": 20, **quantiles})
    with pytest.raises(InputError, match="not above 0"):
        figures.valid_mass(frame)
    assert figures.valid_mass(frame.assign(q10=0.05)).figure.axes[0].get_xscale() == "log"


def test_quantiles_that_few_lie_beyond_are_left_blank() -> None:
    row = {"dataset": "d", "model": "m", "q10": np.nan, "q25": np.nan, "q50": 0.5, "q75": 0.6, "q90": np.nan}
    drawn = figures.valid_mass(pd.DataFrame([{**row, "workers": 12}])).figure
    drawn.savefig(BytesIO())
    assert list(drawn.axes[0].lines[0].get_xdata()) == [0.5]


def test_one_panel_a_model_with_its_points_and_band() -> None:
    frame = pd.concat([curves(["a", "b", "c", "e"]), curves(["a"], "other", bins=1)])
    figure = figures.reliability_curves(frame, {"other": "Other data"}).figure
    panels = [axes for axes in figure.get_axes() if axes.get_visible()]
    assert titles(figure) == ["a", "b", "c", "e", "a"]
    assert [part.get_suptitle() for part in figure.subfigs] == ["d", "Other data"]
    diagonal, points = panels[0].get_lines()[:2]
    assert diagonal.get_xydata().tolist() == [[0, 0], [1, 1]]
    assert points.get_xdata().tolist() == [0.2, 0.4, 0.6]
    assert points.get_ydata().tolist() == [0.25, 0.5, 0.75]
    band = panels[0].collections[0].get_paths()[0].get_extents()
    assert (band.x0, band.x1) == (0.2, pytest.approx(0.6))
    assert band.y1 == pytest.approx(0.8)


def test_every_model_horizon_and_training_has_its_place() -> None:
    axes, _ = (figure := figures.history_lengths(pd.concat([lengths("m"), lengths("n")])).figure).axes
    assert [text.get_text() for text in axes.get_xticklabels()] == ["1", "3", "4", "all"]
    assert axes.get_xlabel() == "Last records or (dashed) years shown"
    assert [list(line.get_xdata()) for line in axes.lines] == [[0, 2, 3], [1, 3]] * 2
    assert len(figure.legends[0].get_texts()) == 2
    bins = {
        "model": ["a", "a", "b"],
        "years": [2, 3, 2],
        "direct": 0.5,
        "compounded": 0.4,
        "compounded_mc": [0.0, 0.1, 0.0],
        "workers": 20,
    }
    assert titles(figures.horizon_bins(pd.DataFrame(bins)).figure) == ["2 years ahead", "3 years ahead"]
    years = pd.DataFrame(
        {
            "model": ["m", "m", "n"], "training": [ALL_YEARS, UP_TO, ALL_YEARS], "year": 1985, "perplexity": 8.0,
            "difference": [np.nan, 0.5, np.nan], "difference_low": 0.1, "difference_high": 0.9, "workers": 20,
        }
    )  # fmt: skip
    assert titles(figures.performance_by_year(years, 1984).figure) == list("mmnn")


def test_cells_hold_percents_and_blank_ones_nothing() -> None:
    first, second = data_figures.transition_matrix(MATRIX).figure.axes
    texts = {text.get_position(): text.get_text() for text in first.texts}
    assert texts == {(0.5, 0.5): "100", (1.5, 0.5): "<1", (-0.06, 0.5): "Cooks", (-0.06, 1.5): "Idle"}
    drawn = first.collections[0].get_array()
    assert np.ma.getmaskarray(drawn).tolist() == [[False, False], [True, True]]
    assert [axes.get_title(loc="left")[0] for axes in (first, second)] == ["d", "e"]


def test_shares_are_drawn_in_the_middle_of_their_bins_with_the_band() -> None:
    (axes,) = data_figures.movers_by_age(AGES).figure.axes
    assert axes.lines[0].get_xydata().tolist() == [[22.0, 0.5], [27.0, 0.25]]
    band = axes.collections[0].get_paths()[0].vertices
    assert band[band[:, 0] == 22.0][:, 1].min() == 0.4
    assert band[band[:, 0] == 27.0][:, 1].max() == 0.3


def test_bars_are_stacked_by_frame_with_one_legend_and_colors_of_their_own() -> None:
    figure = data_figures.coverage(COVERAGE).figure
    first, second = figure.axes
    bars = {bars.get_label(): [(bar.get_y(), bar.get_height()) for bar in bars] for bars in first.containers}
    assert bars == {
        "Census 1970": [(0, 40), (0, 0)], "Census 1980": [(40, 0), (0, 50)], "no occupation code": [(40, 20), (50, 0)],
    }  # fmt: skip
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["Census 1970", "Census 1980", "Census frame not told", "no occupation code"]
    looks = [
        (bars[0].get_facecolor(), bars[0].get_hatch()) for bars in (*first.containers, *second.containers)
    ]
    assert len(set(looks)) == len(names)
    assert data_figures.coverage(COVERAGE[COVERAGE["dataset"] == "e"]).figure.legends == []


def test_of_a_frame_without_rows_nothing_is_drawn() -> None:
    for draw, frame in ((data_figures.movers_by_age, AGES), (data_figures.coverage, COVERAGE)):
        assert draw(frame.iloc[:0])[1:] == (None, "none")
    assert figures.sentence_figure("No rows.").texts[0].get_text() == "No rows."


def test_nothing_global_is_left_behind() -> None:
    before = dict(plt.rcParams)
    figures.paired_differences(DIFFERENCES)
    data_figures.transition_matrix(MATRIX)
    assert plt.get_fignums() == []
    assert dict(plt.rcParams) == before
