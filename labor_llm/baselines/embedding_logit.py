"""Multinomial logit on a language model's embeddings of the history (the approach of the paper's first version).

In place of hand-made features the logit (`labor_llm.baselines.logit`) reads the model's last hidden state at the end of
the record's prompt (`labor_llm.scoring.passes`), each component scaled to variance one over the training records. The
language model stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.preprocessing import StandardScaler

from labor_llm.baselines.form import occupation_columns
from labor_llm.baselines.logit import TunedLogit
from labor_llm.baselines.settings import BESIDE_BASELINES
from labor_llm.careers.panel import CareerPanel
from labor_llm.careers.predictions import Predictions, read_predictions, write_predictions
from labor_llm.errors import InputError
from labor_llm.models.loading import LanguageModel, load_language_model
from labor_llm.scoring.careers import result_identity
from labor_llm.scoring.passes import history_embeddings
from labor_llm.store.artefacts import verify
from labor_llm.store.results import stored

# Hundreds of components for few records: penalties far above those of hand-made features.
REGULARISATIONS = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)


class EmbeddingLogit(TunedLogit):
    """Multinomial logit on the embeddings of a language model; `choices` as in `Baseline`.

    Attributes:
        validation_perplexity_: columns `regularisation`, `iterations`, `validation_perplexity`.

    Raises:
        InputError: if a C is not above zero.
    """

    name = BESIDE_BASELINES["embedding-logit"]
    regularisations: Sequence[float] = REGULARISATIONS

    def __init__(self, language_model: LanguageModel, **choices: Any) -> None:
        super().__init__(**choices)
        self.language_model = language_model
        if not self.regularisations or min(self.regularisations) <= 0:
            given = tuple(self.regularisations)
            raise InputError(f"regularisations: {given} found; give one or more, all above zero.")

    def _estimate(self, train: CareerPanel, validation: CareerPanel) -> None:
        self._scaler = StandardScaler()
        X = self._scaler.fit_transform(self._embedded(train))
        held_X = self._scaler.transform(self._embedded(validation))
        tried = list(self._tried(X, held_X, train, validation))
        best = self._best(tried, "regularisation", "iterations", refine=self._finished)
        self.regularisation_, self._logit = best[0], best[-1].logit
        self.chosen = f"C = {self.regularisation_:g}"

    def _log_probs(self, panel: CareerPanel, table: pd.DataFrame) -> np.ndarray:
        previous = occupation_columns(table, self.outcomes_, "previous")
        return self._logs(self._logit, self._scaler.transform(self._embedded(panel)), previous)

    def _embedded(self, panel: CareerPanel) -> np.ndarray:
        return history_embeddings(self.language_model, panel).astype(np.float64)


def predict_by_embeddings(
    panel: CareerPanel,
    splits: Mapping[str, str],
    model: str,
    label: str,
    folder: Path,
    regularisations: Sequence[float] = REGULARISATIONS,
    inputs: dict[str, Path] | None = None,
    dtype: str = "float32",
) -> Predictions:
    """Fit `EmbeddingLogit` on a panel's training workers and store its predictions of the test workers at `folder`.

    If `folder` holds those of the same weights, careers, splits, choices and code, they are read instead. What was
    tried and chosen stands in their manifest.

    Args:
        panel: careers.
        splits: the split of each worker.
        model: the language model, as in `load_language_model`.
        label: what tables call the logit.
        folder: where the predictions will stand.
        regularisations: the values of C to try.
        inputs: artefacts for the manifest.
        dtype: arithmetic of the language model, 'float32' or 'bfloat16'.

    Raises:
        As `EmbeddingLogit.fit` and `load_language_model`.
    """
    options = {"regularisations": list(regularisations), "dtype": dtype, "splits": sorted(splits.items())}
    identity = result_identity(panel, model, label, options, __file__)

    def make(_: Path) -> tuple[Predictions, dict[str, Any]]:
        logit = EmbeddingLogit(load_language_model(model, dtype), regularisations=regularisations, name=label)
        logit.fit(panel.split(splits, "train"), panel.split(splits, "validation"))
        tried = logit.validation_perplexity_
        tried = tried.assign(kept=tried["regularisation"] == logit.regularisation_).to_dict("records")
        parameters = {"base": model, "chosen": logit.chosen, "tried": tried}
        return logit.predict(panel.split(splits, "test")), parameters

    return stored(folder, identity, make, read_predictions, write_predictions, inputs)


def stored_tuning(folder: Path) -> pd.DataFrame:
    """Return what was tried for stored predictions.

    Columns are `regularisation`, `iterations`, `validation_perplexity` and `kept` (boolean).

    Raises:
        ArtefactError: if they are missing or were changed.
    """
    return pd.DataFrame(verify(folder)["parameters"]["tried"])
