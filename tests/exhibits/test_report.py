"""What a whole run tells: landing page, published values and run record; stored comparisons with the benchmark."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from labor_llm.careers.panel import CareerPanel
from labor_llm.errors import ArtefactError, InputError
from labor_llm.exhibits import report
from labor_llm.exhibits.publishing import Exhibits, read_numbers
from labor_llm.store.results import Results

BOOTSTRAP = pd.DataFrame(
    {
        "dataset": list("aaaab"), "model": ["Logit", "Empirical", "Raw", "Tuned", "Other"],
        "perplexity": [15.5, 17.0, 4e6, 13.0, 1.0], "test_se": [1.4, 1.6, 9e5, 1.1, 0.1],
        "transitions": [40, 40, 40, 40, 9], "workers": [20, 20, 20, 20, 3],
    }
)  # fmt: skip


def test_the_best_baseline_is_no_language_model_and_of_the_same_data_set() -> None:
    assert report.best_baselines(BOOTSTRAP, ["Logit", "Empirical", "Other"]) == {"a": "Logit", "b": "Other"}
    with pytest.raises(InputError, match="b: no predictions of a baseline"):
        report.best_baselines(BOOTSTRAP, ["Logit", "Empirical"])


def test_the_numbers_of_the_landing_page() -> None:
    got = report.comparison_numbers(BOOTSTRAP, {"a": "Logit"}, "Tuned", "Raw")
    assert got == {
        "fine_tuned_label": "Tuned", "fine_tuned_perplexity": 13.0, "fine_tuned_test_se": 1.1,
        "off_the_shelf_label": "Raw", "off_the_shelf_perplexity": 4e6, "off_the_shelf_test_se": 9e5,
        "best_baseline_label": "Logit", "best_baseline_perplexity": 15.5, "best_baseline_test_se": 1.4,
        "headline_test_transitions": 40, "headline_test_workers": 20,
    }  # fmt: skip


def test_a_probability_of_zero_is_told_and_recorded(tmp_path: Path) -> None:
    bootstrap = BOOTSTRAP.assign(perplexity=[1.0, 1.0, 1.0, np.inf, 1.0], test_se=np.nan)
    got = report.comparison_numbers(bootstrap, {"a": "Logit"}, "Tuned", "Raw")
    assert (got["fine_tuned_perplexity"], got["fine_tuned_test_se"]) == ("\u221e", "not defined")
    results = Results(tmp_path)
    Exhibits(results).record("07", got, persons=20, decimals=2)
    assert read_numbers(results.exhibits.iterdir())["fine_tuned_perplexity"] == "\u221e"


def test_valid_mass_by_key() -> None:
    masses = pd.DataFrame({"dataset": ["a", "b"], "model": "Tuned", "mean": [0.9, 0.1], "workers": [48, 9]})
    got = report.valid_mass_numbers(masses, {"fine_tuned": "Tuned"})
    assert got == {"fine_tuned_valid_mass": 0.9, "mass_workers": 48}


def test_the_data_in_one_line(panel: CareerPanel) -> None:
    assert report.data_numbers(panel, "Ours") == {
        "headline_dataset": "Ours", "headline_workers": 160, "headline_records": 640,
        "headline_titles": 8, "survey_years": "1980\u20131987",
    }  # fmt: skip


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
