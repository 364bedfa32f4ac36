import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import QuadMesh

from labor_llm.errors import InputError
from labor_llm.exhibits import data_figures

MATRIX = pd.DataFrame(
    {
        "dataset": ["d"] * 4 + ["e"],
        "origin": ["Cooks", "Cooks", "Idle", "Idle", "All"],
        "destination": ["Cooks", "Idle", "Cooks", "Idle", "All"],
        "share": [0.996, 0.004, np.nan, np.nan, 1.0],
    }
)
AGES = pd.DataFrame(
    {"dataset": "d", "age": [20, 25], "share": [0.5, 0.25], "ci_low": [0.4, 0.2], "ci_high": [0.6, 0.3]}
)
COVERAGE = pd.DataFrame(
    {
        "dataset": ["d", "d", "d", "e"],
        "year": [1981, 1981, 1983, 1981],
        "frame": ["Census 1970", "no occupation code", "Census 1980", "Census frame not told"],
        "records": [40, 20, 50, 30],
    }
)


def test_cells_hold_percents_and_blank_ones_nothing():
    first, second = data_figures.transition_matrix(MATRIX).axes
    cells = {text.get_position(): text.get_text() for text in first.texts if text.get_position()[0] > 0}
    assert cells == {(0.5, 0.5): "100", (1.5, 0.5): "<1"}
    drawn = next(artist for artist in first.collections if isinstance(artist, QuadMesh)).get_array()
    assert np.ma.getmaskarray(drawn).tolist() == [[False, False], [True, True]]
    assert [text.get_text() for text in first.texts if text.get_position()[0] < 0] == ["Cooks", "Idle"]
    assert [axes.get_title(loc="left")[0] for axes in (first, second)] == ["d", "e"]


def test_shares_are_drawn_in_the_middle_of_their_bins_with_the_band():
    (axes,) = data_figures.movers_by_age(AGES).axes
    assert axes.lines[0].get_xydata().tolist() == [[22.0, 0.5], [27.0, 0.25]]
    band = axes.collections[0].get_paths()[0].vertices
    assert band[band[:, 0] == 22.0][:, 1].min() == 0.4
    assert band[band[:, 0] == 27.0][:, 1].max() == 0.3


def test_bars_are_stacked_by_frame_with_one_legend_and_colors_of_their_own():
    figure = data_figures.coverage(COVERAGE)
    first, second = figure.axes
    bars = {
        bars.get_label(): [(bar.get_x() + bar.get_width() / 2, bar.get_y(), bar.get_height()) for bar in bars]
        for bars in first.containers
    }
    assert bars == {
        "Census 1970": [(1981, 0, 40), (1983, 0, 0)],
        "Census 1980": [(1981, 40, 0), (1983, 0, 50)],
        "no occupation code": [(1981, 40, 20), (1983, 50, 0)],
    }
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["Census 1970", "Census 1980", "Census frame not told", "no occupation code"]
    looks = {
        bars.get_label(): (bars[0].get_facecolor(), bars[0].get_hatch())
        for axes in (first, second)
        for bars in axes.containers
    }
    assert len(set(looks.values())) == len(names)
    assert data_figures.coverage(COVERAGE[COVERAGE["dataset"] == "e"]).legends == []


@pytest.mark.parametrize("draw", [data_figures.movers_by_age, data_figures.coverage])
def test_a_frame_without_rows_gives_a_figure_that_says_so(draw):
    frame = (AGES if draw is data_figures.movers_by_age else COVERAGE).iloc[:0]
    (axes,) = draw(frame).axes
    assert axes.texts[0].get_text().startswith("No ")


def test_a_missing_column_is_named():
    with pytest.raises(InputError, match="ci_low"):
        data_figures.movers_by_age(AGES.drop(columns="ci_low"))


def test_nothing_global_is_left_behind():
    before = dict(plt.rcParams)
    data_figures.transition_matrix(MATRIX)
    data_figures.movers_by_age(AGES)
    data_figures.coverage(COVERAGE)
    assert plt.get_fignums() == []
    assert dict(plt.rcParams) == before
