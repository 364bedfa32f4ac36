"""What a whole run tells: landing page, published values and run record; stored comparisons with the benchmark."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from labor_llm.careers.panel import CareerPanel
from labor_llm.careers.predictions import Predictions
from labor_llm.errors import ArtefactError, InputError
from labor_llm.exhibits import report
from labor_llm.exhibits.formatting import format_value
from labor_llm.exhibits.publishing import Exhibits, read_numbers
from labor_llm.store.results import Results

BOOTSTRAP = pd.DataFrame(
    {
        "dataset": list("aaaab"), "model": ["Logit", "Empirical", "Raw", "Tuned", "Other"],
        "perplexity": [15.5, 17.0, 4e6, 13.0, 1.0], "test_se": [1.4, 1.6, 9e5, 1.1, 0.1],
        "transitions": [40, 40, 40, 40, 9], "workers": [20, 20, 20, 20, 3],
    }
)  # fmt: skip
DIFFERENCES = pd.DataFrame(
    {
        "dataset": "a", "model": ["Raw", "Tuned"], "reference": "Logit", "difference": [4e6, -2.5],
        "test_se": [9e5, 0.5], "ci_low": [3e6, -3.5], "ci_high": [5e6, -1.5],
    }
)  # fmt: skip


def test_the_best_baseline_is_no_language_model_and_of_the_same_data_set() -> None:
    assert report.best_baselines(BOOTSTRAP, ["Logit", "Empirical", "Other"]) == {"a": "Logit", "b": "Other"}
    with pytest.raises(InputError, match="b: no predictions of a baseline"):
        report.best_baselines(BOOTSTRAP, ["Logit", "Empirical"])


def test_the_numbers_of_the_landing_page() -> None:
    got = report.comparison_numbers(BOOTSTRAP, DIFFERENCES, "Tuned", "Raw")
    assert got == {
        "fine_tuned_label": "Tuned", "fine_tuned_perplexity": 13.0, "fine_tuned_test_se": 1.1,
        "off_the_shelf_label": "Raw", "off_the_shelf_perplexity": 4e6, "off_the_shelf_test_se": 9e5,
        "best_baseline_label": "Logit", "best_baseline_perplexity": 15.5, "best_baseline_test_se": 1.4,
        "best_baseline": "Logit", "difference_to_best_baseline": -2.5, "difference_to_best_baseline_se": 0.5,
        "fine_tuned_verdict": "lower than", "headline_test_transitions": 40, "headline_test_workers": 20,
    }  # fmt: skip
    assert report.comparison_sentence(got).words == (
        "The fine-tuned model's perplexity of 13.00 is lower than that of the best baseline, 15.50: the paired "
        "difference is \u22122.50 with a standard error of 0.50, over 40 transitions of 20 workers."
    )


def test_a_probability_of_zero_is_told_and_recorded(tmp_path: Path) -> None:
    bootstrap = BOOTSTRAP.assign(perplexity=[1.0, 1.0, 1.0, np.inf, 1.0], test_se=np.nan)
    differences = DIFFERENCES.assign(difference=np.inf, test_se=np.nan, ci_low=np.nan, ci_high=np.nan)
    got = report.comparison_numbers(bootstrap, differences, "Tuned", "Raw")
    assert got["fine_tuned_verdict"] == "not comparable with"
    for key in ("fine_tuned_perplexity", "difference_to_best_baseline"):
        assert got[key] == "\u221e"
    for key in ("fine_tuned_test_se", "difference_to_best_baseline_se"):
        assert got[key] == "not defined"
    results = Results(tmp_path)
    Exhibits(results).record("07", got, persons=20, decimals=2)
    assert read_numbers(results.exhibits.iterdir())["fine_tuned_perplexity"] == "\u221e"
    assert "a standard error of not defined" in report.comparison_sentence(got).words


def test_valid_mass_by_key() -> None:
    masses = pd.DataFrame({"dataset": ["a", "b"], "model": "Tuned", "mean": [0.9, 0.1], "workers": [48, 9]})
    got = report.valid_mass_numbers(masses, {"fine_tuned": "Tuned"})
    assert got == {"fine_tuned_valid_mass": 0.9, "mass_workers": 48}


def test_the_data_in_one_line(panel: CareerPanel) -> None:
    assert report.data_numbers(panel, "Ours") == {
        "headline_dataset": "Ours", "headline_workers": 160, "headline_records": 640,
        "headline_titles": 8, "survey_years": "1980\u20131987",
    }  # fmt: skip


# The only values of the paper that are known from a source; a change here needs one.
PUBLISHED = [
    ("fine_tuned", "PSID81", "Llama-2-7B", "perplexity", 8.184),
    ("career", "PSID81", "CAREER", "perplexity", 8.58),
    ("off_the_shelf", "PSID81", "Llama-2-7B", "perplexity", 364.655),
    ("fine_tuned_numeric_titles", "PSID81", "Llama-2-7B", "perplexity", 8.83),
    ("fine_tuned", "PSID81", "Llama-2-13B", "perplexity", 8.14),
    ("fine_tuned_pooled", "PSID81", "Llama-2-7B", "perplexity", 8.082),
    ("predicting_unemployment", "not stated", "not stated", "AUC-ROC", 0.754),
    ("predicting_change_of_occupation", "not stated", "not stated", "AUC-ROC", 0.848),
    ("direct_against_compounded_predictions", "not stated", "not stated", "correlation", 0.93),
    ("numeric_titles_rise_lower", "several", "not stated", "rise in perplexity", 0.6),
    ("numeric_titles_rise_upper", "several", "not stated", "rise in perplexity", 0.8),
    ("individuals", "three surveys", "none", "count", 52500.0),
]


def test_the_published_values_are_these_and_no_others() -> None:
    published = report.read_published()
    assert list(published[report.REPRODUCED_COLUMNS].itertuples(index=False, name=None)) == PUBLISHED
    assert set(published["source"]) == {"summary of the paper (arXiv 2406.17972)"}


def test_a_value_is_comparable_only_with_the_same_survey_and_base_model() -> None:
    ours = [
        ("fine_tuned", "psid81", "Llama-2-7b-hf", "perplexity", 8.2),
        ("career", "wage_panel", "CAREER", "perplexity", 12.0),
        ("off_the_shelf", "wage_panel", "SmolLM2", "perplexity", 5e6),
        ("predicting_unemployment", "PSID81", "Llama-2-7B", "AUC-ROC", 0.75),
    ]
    got = report.compare_with_paper(pd.DataFrame(ours, columns=report.REPRODUCED_COLUMNS))
    assert got.set_index(["quantity", "model"])["verdict"].iloc[:7].to_dict() == {
        ("fine_tuned", "Llama-2-7B"): "comparable",
        ("career", "CAREER"): "not comparable: other survey",
        ("off_the_shelf", "Llama-2-7B"): "not comparable: other survey, other base model",
        ("fine_tuned_numeric_titles", "Llama-2-7B"): "not set beside ours here",
        # That of another size of ours is not ours.
        ("fine_tuned", "Llama-2-13B"): "not set beside ours here",
        ("fine_tuned_pooled", "Llama-2-7B"): "not set beside ours here",
        ("predicting_unemployment", "not stated"): "not comparable: survey not stated, model not stated",
    }


def test_published_values_keep_their_digits_beside_ours(panel: CareerPanel) -> None:
    workers = [f"w{number:02d}" for number in range(12)]
    scored = pd.DataFrame({"worker_id": workers, "dataset": "own", "year": 1990, "log_prob": -2.0}).assign(
        transition_type="first", occupation="000", log_valid_mass=np.nan
    )
    ours = {"fine_tuned": [Predictions("Tiny", scored, panel.outcomes)]}
    table = report.published_values(ours, {"own": "Ours"}, 1200, "/a/path/to/model")
    cells = [
        [format_value(cell, table.formats.get(name)) for cell in table.frame[name].iloc[[0, 2, -1]]]
        for name in ("Quantity", "Paper", "Ours", "Ours: data, model")
    ]
    assert cells == [
        ["Fine-tuned (perplexity)", "Off the shelf (perplexity)", "Individuals (count)"],
        ["8.184", "364.655", "52500"],
        ["7.39", "n/a", "1,200"],
        ["Ours, model", "", "Ours"],
    ]
    assert table.persons == 1200


def test_run_times_and_memory_of_finished_notebooks(tmp_path: Path) -> None:
    results = Results(tmp_path)
    results.notebooks.mkdir()
    with pytest.raises(ArtefactError, match="no executed notebook"):
        report.run_times(results)
    measured = {
        "02_b": {"duration": 60.0},
        "01_a": {"duration": 90.0, "peak_memory": 1_048_576_000},
        "09_running": {"duration": None},
    }
    for name, of_run in measured.items():
        record = {"metadata": {"papermill": of_run}}
        (results.notebooks / f"{name}.ipynb").write_text(json.dumps(record))
    got = report.run_times(results).frame
    assert got["Notebook"].tolist() == ["01_a", "02_b", "Total"]
    assert got["Minutes"].tolist() == [1.5, 1.0, 2.5]
    assert got["Peak memory, GB"].tolist() == pytest.approx([1.048576, float("nan"), 1.048576], nan_ok=True)
    (results.notebooks / "01_a.ipynb").write_text('{"metadata"')
    with pytest.raises(ArtefactError, match=r"01_a\.ipynb"):
        report.run_times(results)


def test_the_environment_is_laid_flat() -> None:
    items = report.environment_table().frame.set_index("Item")["Value"]
    assert items["numpy"] == np.__version__
