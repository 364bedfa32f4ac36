"""A fine-tuned model fitted again on resampled workers: with its own settings, resumable, without its weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from labor_llm.careers.panel import CareerPanel, split_workers
from labor_llm.careers.refits import resampled_training
from labor_llm.careers.samples import training_careers
from labor_llm.careers.settings import TrainingData
from labor_llm.errors import InputError
from labor_llm.finetuning.fit import fine_tune_careers, fine_tune_panel
from labor_llm.finetuning.refits import refit_language_model
from labor_llm.finetuning.settings import FineTuningSettings
from labor_llm.models.loading import load_language_model
from labor_llm.scoring.careers import score_careers
from labor_llm.scoring.settings import ScoringSettings
from labor_llm.store.artefacts import writing

QUICK = FineTuningSettings(epochs=1, learning_rate=5e-3, batch_size=16, precision="float32")


def test_refits_are_fine_tuned_with_the_settings_of_the_model(
    tiny_model_folder: Path, panel: CareerPanel, tmp_path: Path
) -> None:
    splits = split_workers(panel, seed=1)
    model = fine_tune_panel(str(tiny_model_folder), panel, splits, QUICK, tmp_path / "model")
    refits = refit_language_model(model, "Tiny", panel, splits, 2, tmp_path / "refits" / "tiny", seed=3)
    assert [(refit.model, refit.log_probs) for refit in refits] == [("Tiny", None)] * 2

    sample = resampled_training(panel.split(splits, "train"), 3, 1)
    validation, test = panel.split(splits, "validation"), panel.split(splits, "test")
    frame = panel.frame[panel.frame["worker_id"].isin(validation.workers)]
    both = CareerPanel(pd.concat([sample.frame, frame], ignore_index=True), panel.outcomes, panel.survey)
    parts = dict.fromkeys(sample.workers, "train") | dict.fromkeys(validation.workers, "validation")
    again = fine_tune_panel(str(tiny_model_folder), both, parts, QUICK, tmp_path / "by_hand")
    by_hand = score_careers(load_language_model(again), test, "by hand", ScoringSettings(titles="realised"))
    np.testing.assert_allclose(refits[1].table["log_prob"], by_hand.table["log_prob"], atol=1e-5)

    places = {path: path.stat().st_mtime_ns for path in (tmp_path / "refits").rglob("*")}
    assert not [path for path in places if path.suffix == ".safetensors"], (
        "the weights of refits are not kept"
    )
    refit_language_model(model, "Tiny", panel, splits, 2, tmp_path / "refits" / "tiny", seed=3)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "refits").rglob("*")} == places


def test_a_model_of_other_careers_is_refused(
    tiny_model_folder: Path, panel: CareerPanel, tmp_path: Path
) -> None:
    splits = split_workers(panel, seed=1)
    few = training_careers(panel, splits, TrainingData(workers=40))
    model = fine_tune_careers(str(tiny_model_folder), few, QUICK, tmp_path / "model")
    with pytest.raises(InputError, match="other careers than those of all training workers"):
        refit_language_model(model, "x", panel, splits, 2, tmp_path / "r")


def test_a_model_of_another_make_is_refused(panel: CareerPanel, tmp_path: Path) -> None:
    with writing(tmp_path / "other"):
        pass
    with pytest.raises(InputError, match="not fine-tuned by this package"):
        refit_language_model(tmp_path / "other", "x", panel, split_workers(panel, seed=1), 2, tmp_path / "r")
