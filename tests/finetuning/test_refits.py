"""A fine-tuned model fitted again on resampled workers: with its own settings, resumable, without its weights."""

import numpy as np
import pytest

from labor_llm.careers.panel import split_workers
from labor_llm.careers.refits import resampled_training
from labor_llm.careers.samples import MANIFEST_ENTRY, TrainingCareers, training_careers
from labor_llm.careers.settings import TrainingData
from labor_llm.errors import InputError
from labor_llm.finetuning.fit import fine_tune
from labor_llm.finetuning.refits import refit_language_model
from labor_llm.finetuning.settings import FineTuningSettings
from labor_llm.models.loading import load_language_model
from labor_llm.scoring.careers import score_careers
from labor_llm.scoring.settings import ScoringSettings
from labor_llm.store.artefacts import writing

QUICK = FineTuningSettings(epochs=1, learning_rate=5e-3, batch_size=16, precision="float32")


def test_refits_are_fine_tuned_with_the_settings_of_the_model(tiny_model_folder, panel, tmp_path):
    splits = split_workers(panel, seed=1)
    base = str(tiny_model_folder)
    model = fine_tune(base, training_careers(panel, splits), QUICK, tmp_path / "model")
    test = panel.split(splits, "test")
    asked = (model, "Tiny", panel, splits, 2, tmp_path / "refits" / "tiny", ScoringSettings(), 3, test)
    refits = refit_language_model(*asked)
    assert [(refit.model, refit.log_probs) for refit in refits] == [("Tiny", None)] * 2

    sample = resampled_training(panel.split(splits, "train"), 3, 1)
    careers = TrainingCareers(sample, (), panel.split(splits, "validation"), TrainingData())
    again = fine_tune(base, careers, QUICK, tmp_path / "by_hand")
    by_hand = score_careers(load_language_model(again), test, "by hand", ScoringSettings(titles="realised"))
    np.testing.assert_allclose(refits[1].table["log_prob"], by_hand.table["log_prob"], atol=1e-5)

    places = {path: path.stat().st_mtime_ns for path in (tmp_path / "refits").rglob("*")}
    assert not list((tmp_path / "refits").rglob("*.safetensors")), "the weights of refits are not kept"
    refit_language_model(*asked)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "refits").rglob("*")} == places


def test_a_model_of_another_make_or_of_other_careers_is_refused(panel, tmp_path):
    splits = split_workers(panel, seed=1)
    described = training_careers(panel, splits, TrainingData(workers=40)).described()
    for parameters, message in (
        ({}, "not fine-tuned by this package"),
        ({"base": "b", MANIFEST_ENTRY: described}, "other careers than those of all training workers"),
    ):
        with writing(tmp_path / "m", parameters):
            pass
        with pytest.raises(InputError, match=message):
            refit_language_model(
                tmp_path / "m", "x", panel, splits, 2, tmp_path / "r", ScoringSettings(), 1, panel
            )
