from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from labor_llm.errors import InputError
from labor_llm.exhibits.report import (
    best_baselines,
    comparison_formats,
    comparison_numbers,
    data_numbers,
    headline_models,
    valid_mass_numbers,
)
from labor_llm.exhibits.publishing import fill, read_numbers, record_numbers

BOOTSTRAP = pd.DataFrame(
    {
        "dataset": ["a", "a", "a", "a", "b"],
        "model": ["Logit", "Empirical", "Raw", "Tuned", "Other"],
        "perplexity": [15.5, 17.0, 4e6, 13.0, 1.0],
        "test_se": [1.4, 1.6, 9e5, 1.1, 0.1],
        "transitions": [40, 40, 40, 40, 9],
        "workers": [20, 20, 20, 20, 3],
    }
)
MODELS = {"fine_tuned": "Tuned", "off_the_shelf": "Raw", "best_baseline": "Logit"}


def test_the_best_baseline_is_no_language_model_and_of_the_same_data_set() -> None:
    assert best_baselines(BOOTSTRAP, ["Logit", "Empirical", "Other"]) == {"a": "Logit", "b": "Other"}
    with pytest.raises(InputError, match="b: no predictions of a baseline"):
        best_baselines(BOOTSTRAP, ["Logit", "Empirical"])


def test_the_numbers_of_the_landing_page() -> None:
    differences = pd.DataFrame(
        {
            "dataset": ["a", "a"], "model": ["Raw", "Tuned"], "reference": ["Logit", "Logit"],
            "difference": [4e6, -2.5], "test_se": [9e5, 0.5], "ci_low": [3e6, -3.5], "ci_high": [5e6, -1.5],
        }
    )  # fmt: skip
    got = comparison_numbers(BOOTSTRAP, differences, "a", MODELS)
    assert got == {
        "fine_tuned_label": "Tuned", "fine_tuned_perplexity": 13.0, "fine_tuned_test_se": 1.1,
        "off_the_shelf_label": "Raw", "off_the_shelf_perplexity": 4e6, "off_the_shelf_test_se": 9e5,
        "best_baseline_label": "Logit", "best_baseline_perplexity": 15.5, "best_baseline_test_se": 1.4,
        "best_baseline": "Logit", "difference_to_best_baseline": -2.5, "difference_to_best_baseline_se": 0.5,
        "fine_tuned_verdict": "lower than", "headline_test_transitions": 40, "headline_test_workers": 20,
    }  # fmt: skip
    assert set(comparison_formats(got)) == {key for key, value in got.items() if isinstance(value, float)}


def test_a_probability_of_zero_is_told_and_recorded(tmp_path: Path) -> None:
    zero = BOOTSTRAP["model"] == "Tuned"
    bootstrap = BOOTSTRAP.assign(
        perplexity=BOOTSTRAP["perplexity"].mask(zero, np.inf), test_se=BOOTSTRAP["test_se"].mask(zero, np.nan)
    )
    differences = pd.DataFrame(
        {
            "dataset": "a", "model": ["Tuned"], "reference": "Logit", "difference": np.inf, "test_se": np.nan,
            "ci_low": np.nan, "ci_high": np.nan,
        }
    )  # fmt: skip
    got = comparison_numbers(bootstrap, differences, "a", MODELS)
    assert got["fine_tuned_verdict"] == "not comparable with"
    assert (got["fine_tuned_perplexity"], got["fine_tuned_test_se"]) == ("\u221e", "not defined")
    assert (got["difference_to_best_baseline"], got["difference_to_best_baseline_se"]) == (
        "\u221e",
        "not defined",
    )
    record_numbers("07", got, tmp_path, persons=20, formats=comparison_formats(got))
    assert read_numbers(tmp_path)["fine_tuned_perplexity"] == "\u221e"
    assert fill("{se:.2f}", {"se": got["fine_tuned_test_se"]}, "07") == "not defined"


def test_models_are_told_by_their_labels() -> None:
    labels = {"raw": "Raw", "tuned": "Tuned", "logit": "Logit"}
    assert headline_models(labels, "tuned", "raw", "Logit") == MODELS


def test_valid_mass_by_key() -> None:
    masses = pd.DataFrame(
        {"dataset": ["a", "b"], "model": ["Tuned", "Tuned"], "mean": [0.9, 0.1], "workers": [48, 9]}
    )
    assert valid_mass_numbers(masses, "a", {"fine_tuned": "Tuned"}) == {
        "fine_tuned_valid_mass": 0.9,
        "mass_workers": 48,
    }


def test_the_data_in_one_line(panel) -> None:
    assert data_numbers(panel, "Ours") == {
        "headline_dataset": "Ours", "headline_workers": 160, "headline_records": 640,
        "headline_titles": 8, "survey_years": "1980\u20131987",
    }  # fmt: skip
