"""Baselines fitted again, up to a year, and on as many records of all years."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from labor_llm.baselines.career.settings import CareerSettings
from labor_llm.baselines.refits import (
    as_many_records,
    fit_baselines_again,
    predict_baselines,
    predictions_by_training,
    stored_by_training,
)
from labor_llm.baselines.registry import fit_baselines
from labor_llm.careers.panel import CareerPanel, split_workers
from labor_llm.careers.predictions import write_predictions
from labor_llm.careers.samples import ALL_YEARS, AS_MANY, UP_TO, train_up_to
from labor_llm.errors import ArtefactError, InputError
from labor_llm.store.results import Results

NAMES = ["empirical-transitions", "career"]
SMALL = CareerSettings(layers=1, width=8, heads=1, inner_width=16, epochs=1, warmup_steps=2)


@pytest.fixture
def results(panel: CareerPanel, tmp_path: Path) -> Results:
    """With a CAREER as notebook 06 stores it."""
    found = Results(tmp_path)
    options = {"career": {"settings": SMALL, "folder": found.model(panel.dataset, "career")}}
    fit_baselines(["career"], panel, split_workers(panel, seed=1), options)
    return found


def test_career_is_read_and_the_others_are_fitted(panel: CareerPanel, results: Results) -> None:
    manifest = results.model(panel.dataset, "career") / "manifest.json"
    made = manifest.stat().st_mtime_ns
    splits = split_workers(panel, seed=1)
    fitted = fit_baselines_again(NAMES, panel, splits, results)
    assert list(fitted) == NAMES
    assert manifest.stat().st_mtime_ns == made
    assert fitted["career"].settings == SMALL
    shown = predict_baselines(fitted, panel.split(splits, "test"), [2, 1])
    assert {name: list(by_length) for name, by_length in shown.items()} == {
        "Empirical transitions": [1, 2, None],
        "CAREER": [1, 2, None],
    }
    with pytest.raises(ArtefactError, match="Run notebooks/06_baselines"):
        fit_baselines_again(NAMES, panel, splits, Results(results.root / "elsewhere"))


def test_three_trainings_of_the_same_test_workers(panel: CareerPanel, results: Results) -> None:
    splits = split_workers(panel, seed=1)
    got = predictions_by_training(NAMES, panel, splits, 1981, results, seed=1)
    assert list(got) == ["Empirical transitions", "CAREER"]
    test = panel.split(splits, "test").frame
    for by_training in got.values():
        assert set(by_training) == {ALL_YEARS, AS_MANY, UP_TO}
        for predictions in by_training.values():
            assert predictions.table["year"].tolist() == test["year"].tolist()
    early = train_up_to(panel, splits, 1981)
    expected = fit_baselines(["empirical-transitions"], early_panel(panel, splits), splits)
    np.testing.assert_array_equal(
        got["Empirical transitions"][UP_TO].log_probs,
        expected["empirical-transitions"].predict(panel.split(splits, "test")).log_probs,
    )
    assert (results.model(panel.dataset, "career-until-1981") / "manifest.json").is_file()
    some = as_many_records(panel, splits, len(early.train.frame), seed=1)
    kept = some.split(splits, "train")
    assert abs(len(kept.frame) - len(early.train.frame)) <= 3
    assert (
        kept.frame.groupby("worker_id")
        .size()
        .equals(panel.restrict(kept.workers).frame.groupby("worker_id").size())
    )
    assert some.split(splits, "validation").workers == panel.split(splits, "validation").workers
    with pytest.raises(InputError, match="records of training workers"):
        as_many_records(panel, splits, 10**6)


def early_panel(panel: CareerPanel, splits: dict[str, str]) -> CareerPanel:
    frame = panel.frame[panel.frame["year"] <= 1981].reset_index(drop=True)
    return CareerPanel(frame, panel.outcomes, panel.survey)


def test_stored_models_are_named_in_pairs(panel: CareerPanel, results: Results) -> None:
    splits = split_workers(panel, seed=1)
    fitted = fit_baselines(["empirical-transitions"], panel, splits)["empirical-transitions"]
    for name in ("a", "a-until"):
        write_predictions(results.predictions(panel.dataset, name), fitted.predict(panel))
    got = stored_by_training(panel.dataset, ["a"], ["a-until"], results)
    assert {model: list(found) for model, found in got.items()} == {fitted.name: [ALL_YEARS, UP_TO]}
    assert stored_by_training(panel.dataset, [], [], results) == {}
    with pytest.raises(InputError, match="in pairs"):
        stored_by_training(panel.dataset, ["a"], [], results)
