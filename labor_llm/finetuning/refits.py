"""A language model fine-tuned again on resampled training workers, for its TrainSE."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

from labor_llm.careers.panel import CareerPanel
from labor_llm.careers.predictions import Predictions
from labor_llm.careers.refits import training_refits
from labor_llm.careers.samples import MANIFEST_ENTRY, TrainingCareers
from labor_llm.careers.settings import TrainingData
from labor_llm.errors import InputError
from labor_llm.finetuning.settings import FineTuningSettings
from labor_llm.models.folders import weights_checksum
from labor_llm.models.loading import load_language_model
from labor_llm.scoring.careers import score_careers
from labor_llm.scoring.settings import ScoringSettings
from labor_llm.store.artefacts import environment, verify
from labor_llm.store.staleness import code_checksum


def refit_language_model(
    model: Path,
    label: str,
    panel: CareerPanel,
    splits: Mapping[str, str],
    refits: int,
    folder: Path,
    scoring: ScoringSettings,
    seed: int,
    test: CareerPanel,
) -> list[Predictions]:
    """Fine-tune a model again on resampled training workers, and store what every refit says of the realised titles.

    The settings and the base are those that the fine-tuned model was made with. A run that is killed goes on, also
    within a refit. Each refit takes as long as the fine-tuning itself.

    Args:
        model: folder of the fine-tuned model, as `labor_llm.finetuning.fit.fine_tune` made it.
        label: what tables call it.
        panel: all workers, in the form that the model was fine-tuned on.
        splits: the split of each worker.
        refits: at least two, or 0 for none.
        folder: where the refits stand; others than of these careers, settings, weights and code are replaced.
        scoring: arithmetic and line ends, as the model itself was scored.
        seed: of the samples; the same seed and workers give the samples of the baselines.
        test: the test workers that the model itself was scored on.

    Raises:
        InputError: if one refit is asked for, or the model was not fine-tuned by this package, or on other careers
            than those of the panel.
    """
    if refits == 0:
        return []
    parameters = verify(model)["parameters"]
    if "base" not in parameters:
        raise InputError(f"{model}: was not fine-tuned by this package, so it cannot be fitted again.")
    train, validation = (panel.split(splits, name) for name in ("train", "validation"))
    usual = {"others": {}, "last_year": 0, "own_repeats": 1, "own_workers": len(train.workers)}
    if not (usual | parameters.get(MANIFEST_ENTRY, {})).items() >= usual.items():
        raise InputError(
            f"{model}: was fine-tuned on other careers than those of all training workers, which refits resample. Ask "
            "for refits of a model without `training`."
        )
    settings = FineTuningSettings(
        **{name: parameters[name] for name in FineTuningSettings.model_fields if name in parameters}
    )
    realised = ScoringSettings(titles="realised", too_long=scoring.too_long, line_ends=scoring.line_ends)
    base, working = parameters["base"], Path(folder).with_name(f".{Path(folder).name}.refit")

    # What fine-tuning rests on takes seconds to import, and most who score ask for no refit.
    from labor_llm.finetuning.fit import fine_tune

    def predict(panel: CareerPanel) -> Predictions:
        language_model = load_language_model(working, scoring.dtype, scoring.quantization)
        predictions = score_careers(language_model, panel, label, realised)
        # A checkpoint takes gigabytes; what is kept of a refit are its predictions.
        shutil.rmtree(working)
        return predictions

    def fit(train: CareerPanel, validation: CareerPanel) -> SimpleNamespace:
        fine_tune(base, TrainingCareers(train, (), validation, TrainingData()), settings, working)
        return SimpleNamespace(predict=predict)

    made_by = {
        "label": label, "base": weights_checksum(base), "settings": settings.model_dump(),
        "scoring": [scoring.dtype, scoring.quantization, scoring.too_long, scoring.line_ends],
        "code": code_checksum(__file__), **environment()["versions"],
    }  # fmt: skip
    return training_refits(fit, train, validation, test, refits, folder, seed, made_by)
