"""A language model fine-tuned again on resampled training workers, for its TrainSE."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import TypeAdapter

from labor_llm.careers.panel import CareerPanel
from labor_llm.careers.predictions import Predictions
from labor_llm.careers.refits import training_refits
from labor_llm.careers.samples import MANIFEST_ENTRY
from labor_llm.errors import InputError
from labor_llm.finetuning.settings import FineTuningSettings
from labor_llm.models.loading import load_language_model, weights_checksum
from labor_llm.scoring.careers import score_careers
from labor_llm.scoring.settings import ScoringSettings
from labor_llm.store.artefacts import environment, verify
from labor_llm.store.staleness import code_checksum


@dataclass(frozen=True)
class _Refitted:
    """A fine-tuned model as `training_refits` asks for it; its weights are removed once it has predicted."""

    folder: Path
    label: str
    dtype: str
    quantization: str
    too_long: str
    line_ends: str

    def predict(self, panel: CareerPanel) -> Predictions:
        language_model = load_language_model(self.folder, self.dtype, self.quantization)
        settings = ScoringSettings(titles="realised", too_long=self.too_long, line_ends=self.line_ends)
        predictions = score_careers(language_model, panel, self.label, settings)
        # A checkpoint takes gigabytes; what is kept of a refit are its predictions.
        shutil.rmtree(self.folder)
        return predictions


def refit_language_model(
    model: Path,
    label: str,
    panel: CareerPanel,
    splits: Mapping[str, str],
    refits: int,
    folder: Path,
    dtype: str = "float32",
    quantization: str = "none",
    seed: int = 1,
    too_long: str = "shorten",
    line_ends: str = "all",
    test: CareerPanel | None = None,
) -> list[Predictions]:
    """Fine-tune a model again on resampled training workers, and store what every refit says of the realised titles.

    The settings and the base are those that the fine-tuned model was made with. A run that is killed goes on, also
    within a refit. Each refit takes as long as the fine-tuning itself.

    Args:
        model: folder of the fine-tuned model, as `labor_llm.finetuning.fit.fine_tune_panel` made it.
        label: what tables call it.
        panel: all workers, in the form that the model was fine-tuned on.
        splits: the split of each worker.
        refits: at least two, or 0 for none.
        folder: where the refits stand; others than of these careers, settings, weights and code are replaced.
        dtype: arithmetic of scoring.
        quantization: of the weights in scoring.
        seed: of the samples; the same seed and workers give the samples of the baselines.
        too_long: in scoring, see `labor_llm.scoring.settings.ScoringSettings`.
        line_ends: in scoring.
        test: the test workers that the model itself was scored on, if not all.

    Raises:
        InputError: if one refit is asked for, or the model was not fine-tuned by this package, or on other careers
            than those of the panel.
    """
    if refits == 0:
        return []
    parameters = verify(model)["parameters"]
    if "base" not in parameters:
        raise InputError(f"{model}: was not fine-tuned by this package, so it cannot be fitted again.")
    parts = [panel.split(splits, name) for name in ("train", "validation", "test")]
    parts[2] = parts[2] if test is None else test
    made_from = parameters.get(MANIFEST_ENTRY, {})
    if (
        made_from.get("others")
        or made_from.get("last_year")
        or made_from.get("own_repeats", 1) != 1
        or (made_from.get("own_workers", len(parts[0].workers)) != len(parts[0].workers))
    ):
        raise InputError(
            f"{model}: was fine-tuned on other careers than those of all training workers, which refits resample. Ask "
            "for refits of a model without `training`."
        )
    names = [field.name for field in dataclasses.fields(FineTuningSettings)]
    settings = TypeAdapter(FineTuningSettings).validate_python({name: parameters[name] for name in names})
    base, working = parameters["base"], Path(folder).with_name(f".{Path(folder).name}.refit")

    # What fine-tuning rests on takes seconds to import, and most who score ask for no refit.
    from labor_llm.finetuning.fit import fine_tune_panel

    def fit(train: CareerPanel, validation: CareerPanel) -> _Refitted:
        fine_tune_panel(base, *_together(train, validation), settings, working)
        return _Refitted(working, label, dtype, quantization, too_long, line_ends)

    made_by: dict[str, Any] = {
        "label": label,
        "base": weights_checksum(base),
        "settings": dataclasses.asdict(settings),
        "scoring": [dtype, quantization, too_long, line_ends],
        "code": code_checksum(__file__),
        **environment()["versions"],
    }
    return training_refits(fit, *parts, refits, folder, seed, made_by)


def _together(train: CareerPanel, validation: CareerPanel) -> tuple[CareerPanel, dict[str, str]]:
    """Return the workers of both as one panel, with the split of each."""
    frame = pd.concat([train.frame, validation.frame], ignore_index=True)
    splits = dict.fromkeys(train.workers, "train") | dict.fromkeys(validation.workers, "validation")
    return CareerPanel(frame, train.outcomes, train.survey), splits
