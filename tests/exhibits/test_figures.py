import matplotlib.pyplot as plt
import pandas as pd
import pytest

from labor_llm.errors import InputError
from labor_llm.exhibits import figures

DIFFERENCES = pd.DataFrame(
    {
        "dataset": ["d", "d", "e"],
        "label": ["a \u2212 c", "b \u2212 c", "a \u2212 c"],
        "difference": [-3.0, 1.0, 0.5],
        "ci_low": [-4.0, 0.5, -0.5],
        "ci_high": [-2.0, 1.5, 1.5],
    }
)


def test_paired_differences_draw_dots_and_intervals_where_they_belong():
    first, second = figures.paired_differences(DIFFERENCES).axes
    dots, _, bars = first.containers[0]
    assert dots.get_xdata().tolist() == [-3.0, 1.0]
    assert [segment[:, 0].tolist() for segment in bars[0].get_segments()] == [[-4.0, -2.0], [0.5, 1.5]]
    assert (first.get_title(loc="left"), second.get_title(loc="left")) == ("d", "e")


def test_shares_fill_the_bar():
    frame = pd.DataFrame(
        {"dataset": "d", "transition_type": ["first", "moving", "staying"], "share": [0.125, 0.5, 0.375]}
    )
    axes = figures.transition_type_shares(frame).axes[0]
    got = {bars.get_label(): (bars[0].get_x(), bars[0].get_width()) for bars in axes.containers}
    assert got == {"first": (0.0, 0.125), "moving": (0.125, 0.5), "staying": (0.625, 0.375)}


def test_learning_curve_without_validation_draws_the_training_loss_alone():
    axes = figures.learning_curve(pd.DataFrame({"step": [2, 1], "split": "train", "loss": [1.0, 2.0]})).axes[
        0
    ]
    assert [line.get_xydata().tolist() for line in axes.lines] == [[[1.0, 2.0], [2.0, 1.0]]]


def test_a_mass_of_zero_has_no_place_on_the_axis():
    frame = pd.DataFrame(
        {"dataset": "d", "label": "a", "q10": [0.0], "q25": 0.1, "q50": 0.2, "q75": 0.3, "q90": 0.4}
    )
    with pytest.raises(InputError, match="not above 0"):
        figures.valid_mass(frame)
    assert figures.valid_mass(frame.assign(q10=0.05)).axes[0].get_xscale() == "log"


def test_a_missing_column_is_named():
    with pytest.raises(InputError, match="ci_low"):
        figures.paired_differences(DIFFERENCES.drop(columns="ci_low"))


def test_nothing_global_is_left_behind():
    before = dict(plt.rcParams)
    figures.paired_differences(DIFFERENCES)
    assert plt.get_fignums() == []
    assert dict(plt.rcParams) == before
