"""Tables, sentences and figures of the chapters on history length, horizons and structural change, by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from labor_llm.careers.samples import ALL_YEARS, AS_MANY, UP_TO
from labor_llm.errors import InputError
from labor_llm.exhibits import figures as study_figures
from labor_llm.exhibits import studies as history_length_tables
from labor_llm.exhibits import studies as horizon_tables
from labor_llm.exhibits import studies as structural_change_tables
from labor_llm.exhibits.studies import history_sentence, horizon_sentence, structural_change_sentence

LENGTHS = pd.DataFrame(
    {
        "dataset": "d", "model": "m", "records": ["1", "4", "all"], "perplexity": [9.0, 8.1, 8.0], "test_se": 0.5,
        "ci_low": [8.0, 7.0, 7.0], "ci_high": [10.0, 9.0, 9.0], "difference": [1.0, 0.1, np.nan],
        "difference_se": [0.2, 0.1, np.nan], "difference_low": [0.6, -0.1, np.nan],
        "difference_high": [1.4, 0.3, np.nan], "transitions": 40, "workers": 20,
    }
)  # fmt: skip
AGREEMENT = pd.DataFrame(
    {
        "model": ["a", "b"], "years": 2, "direct_perplexity": [8.0, 9.0], "compounded_perplexity": [7.0, 10.0],
        "log_prob_difference": [-0.13, 0.1], "test_se": 0.04, "ci_low": [-0.2, 0.02], "ci_high": [-0.05, 0.18],
        "correlation": [0.9, 0.8], "total_variation": [0.1, 0.2], "total_variation_se": 0.01,
        "kl_direct_compounded": [0.05, 0.1], "path_error": [0.0, 0.02], "exact": [True, False],
        "transitions": [50, 24], "workers": [30, 20],
    }
)  # fmt: skip
PERIODS = pd.DataFrame(
    {
        "model": "m", "period": np.repeat(["1980-1984", "1985-1987"], 2), "training": [ALL_YEARS, UP_TO] * 2,
        "perplexity": [8.0, 8.5, 7.0, 9.0], "difference": [0.5, np.nan, 2.0, np.nan],
        "difference_se": [0.2, np.nan, 0.3, np.nan], "workers": 20, "transitions": 50,
    }
)  # fmt: skip


def test_the_whole_history_has_no_difference_to_itself() -> None:
    table = history_length_tables.history_lengths(LENGTHS)
    assert table.frame["Difference to all"].tolist() == [1.0, 0.1, ""]
    assert table.persons.tolist() == [20, 20, 20]
    told = history_sentence(LENGTHS, "m")
    assert "Shown the last record alone, m has a perplexity of 9.00" in told
    assert told.endswith("holds zero are 4.")
    none = LENGTHS.assign(difference_low=0.05)
    assert "Every number of records" in history_sentence(none, "m")


def test_a_history_without_so_many_records_leaves_a_cell_empty() -> None:
    groups = pd.concat(
        [
            LENGTHS.assign(available=5, available_label="5 or more"),
            LENGTHS[LENGTHS["records"] != "4"].assign(available=2, available_label="2"),
        ]
    )
    frame = history_length_tables.history_available(groups).frame
    assert frame["Records available"].tolist() == ["5 or more", "2"]
    assert frame["Last 4"].tolist() == [8.1, ""]
    assert frame["Last 1 \u2212 all"].tolist() == [1.0, 1.0]


def test_the_truth_has_columns_where_it_is_known() -> None:
    nothing = pd.DataFrame(columns=["model", "years"])
    plain = horizon_tables.horizon_agreement(AGREEMENT, nothing).frame
    assert not any("Truth" in name for name in plain.columns)
    assert plain["Monte Carlo SE"].tolist() == ["", 0.02]
    truth = pd.DataFrame(
        {
            "model": ["a"], "years": 2, "direct_variation": 0.3, "direct_se": 0.01, "compounded_variation": 0.2,
            "compounded_se": 0.02,
        }
    )  # fmt: skip
    frame = horizon_tables.horizon_agreement(AGREEMENT, truth).frame
    assert frame["Truth to direct"].tolist() == [0.3, ""]
    assert frame["TestSE (compounded)"].tolist() == [0.02, ""]
    assert horizon_tables.horizon_perplexities(AGREEMENT).persons.tolist() == [30, 20]


def test_what_paths_were_drawn_for_is_no_evidence_for_direct_predictions() -> None:
    # The interval of b lies above zero, but the logarithm of an average over drawn paths is too low by itself.
    frame = horizon_tables.horizon_perplexities(AGREEMENT).frame
    compared = ["Difference, nats", "TestSE", "95 % from", "95 % to"]
    assert frame[compared].to_numpy().tolist() == [[-0.13, 0.04, -0.2, -0.05], [""] * 4]
    assert frame["Compounded"].tolist() == [7.0, 10.0]
    told = horizon_sentence(AGREEMENT)
    assert (
        "1 of 1 models with the exact sum predict what happens better compounded and 0 better directly"
        in told
    )
    assert "between 0.90 and 0.90" in told
    assert told.endswith("Not counted, as paths were drawn: b.")
    both = horizon_sentence(AGREEMENT.assign(exact=True))
    assert (
        "1 of 2 models with the exact sum predict what happens better compounded and 1 better directly"
        in both
    )
    assert "between 0.80 and 0.90" in both
    assert "Not counted" not in both
    # The first horizon that has a sum is told.
    later = pd.concat([AGREEMENT.assign(exact=False, years=3), AGREEMENT])
    assert horizon_sentence(later) == told
    assert horizon_sentence(AGREEMENT.assign(exact=False)).startswith("Paths were drawn for every model")


def test_a_training_that_a_model_lacks_is_empty() -> None:
    frame = structural_change_tables.before_and_after(PERIODS).frame
    assert frame["Test years"].tolist() == ["1980\u20131984", "1985\u20131987"]
    assert frame["Early end"].tolist() == [8.5, 9.0]
    assert frame["Early end \u2212 all"].tolist() == [0.5, 2.0]
    assert frame["As many records"].tolist() == ["", ""]
    third = PERIODS[PERIODS["training"] == ALL_YEARS].assign(training=AS_MANY, perplexity=[8.2, 7.5])
    frame = structural_change_tables.before_and_after(pd.concat([PERIODS, third])).frame
    assert frame["As many records"].tolist() == [8.2, 7.5]


def test_the_sentence_is_about_the_years_after_training_alone() -> None:
    told = structural_change_sentence(PERIODS, 1984)
    assert told.startswith("In 1985\u20131987, ")
    assert "m +2.00 (TestSE 0.30)" in told
    with pytest.raises(InputError, match="no period begins after 1984"):
        structural_change_sentence(PERIODS[PERIODS["period"] == "1980-1984"], 1984)


def test_figures_show_every_model_and_horizon() -> None:
    two = pd.concat([LENGTHS, LENGTHS.assign(model="n")])
    figure = study_figures.history_lengths(two)
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["1", "4", "all"]
    assert len(figure.legends[0].get_texts()) == 2
    bins = pd.DataFrame({"model": ["a", "a", "b"], "years": [2, 3, 2], "direct": 0.5, "compounded": 0.4})
    assert [axes.get_title(loc="left") for axes in study_figures.horizon_bins(bins).axes] == [
        "2 years ahead",
        "3 years ahead",
    ]
    years = pd.DataFrame(
        {
            "model": ["m", "m", "n"], "training": [ALL_YEARS, UP_TO, ALL_YEARS], "year": 1985, "perplexity": 8.0,
            "difference": [np.nan, 0.5, np.nan], "difference_low": 0.1, "difference_high": 0.9,
        }
    )  # fmt: skip
    assert [
        axes.get_title(loc="left") for axes in study_figures.performance_by_year(years, 1984).axes
    ] == list("mmnn")
    for draw in (study_figures.history_lengths, study_figures.horizon_bins):
        with pytest.raises(InputError, match="needs rows with the columns"):
            draw(pd.DataFrame())
