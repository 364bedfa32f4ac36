"""Multinomial logit on a language model's embeddings of the history (the approach of the paper's first version).

    P(j | history) = exp(a_j + b_j'h) / sum_k exp(a_k + b_k'h),

where h is the model's last hidden state at the end of the record's prompt (`labor_llm.scoring.passes`), each
component scaled to variance one over the training records. The language model stays as it is; a and b are estimated by
penalised maximum likelihood, the penalty chosen by the perplexity of the validation workers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.preprocessing import StandardScaler

from labor_llm.baselines.logit import fit_logit, occupation_probabilities
from labor_llm.baselines.panels import check_fitting_panels, check_outcomes
from labor_llm.careers.panel import CareerPanel, transitions
from labor_llm.careers.predictions import Predictions, from_matrix, read_predictions, write_predictions
from labor_llm.errors import InputError
from labor_llm.models.loading import LanguageModel, load_language_model
from labor_llm.scoring.careers import result_identity
from labor_llm.scoring.passes import history_embeddings
from labor_llm.store.artefacts import is_current, verify

# Hundreds of components for few records: penalties far above those of hand-made features.
REGULARISATIONS = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)


class EmbeddingLogit:
    """Multinomial logit on embeddings, tuned on the validation workers.

    An occupation that no training record has gets Laplace's share, as in
    `labor_llm.baselines.registry.logit.MultinomialLogit`.

    Args:
        language_model: what embeds the histories.
        regularisations: the values of C to try (larger is less shrinkage).
        tolerance: L-BFGS stops when the largest component of the gradient is below it.
        max_iterations: of L-BFGS; reaching them is an error, not a warning.
        name: the model's name in its predictions.

    Attributes:
        regularisation_: the C kept.
        validation_perplexity_: columns `regularisation`, `iterations`, `validation_perplexity`.
    """

    def __init__(
        self,
        language_model: LanguageModel,
        regularisations: Sequence[float] = REGULARISATIONS,
        tolerance: float = 1e-4,
        max_iterations: int = 5000,
        name: str = "Logit on embeddings",
    ) -> None:
        if not regularisations or min(regularisations) <= 0:
            raise InputError(
                f"regularisations: {tuple(regularisations)} found; give one or more, all above zero."
            )
        self.language_model = language_model
        self.regularisations = tuple(regularisations)
        self.tolerance = tolerance
        self.max_iterations = max_iterations
        self.name = name

    def fit(self, train: CareerPanel, validation: CareerPanel) -> EmbeddingLogit:
        """Embed both panels, estimate on the training workers and keep the C that is best on validation.

        Raises:
            InputError: if a panel is empty, a worker is in both, or training shows one occupation only.
            MismatchError: if the outcome spaces differ, or the tokenizer does not fit the titles.
            NumericalError: if L-BFGS does not converge.
        """
        check_fitting_panels(self.name, train, validation)
        self.outcomes_ = train.outcomes
        self.scaler_ = StandardScaler()
        X = self.scaler_.fit_transform(self._embedded(train))
        validation_X = self.scaler_.transform(self._embedded(validation))
        realised, held_out = (
            np.asarray(self.outcomes_.indices(panel.frame["occupation"])) for panel in (train, validation)
        )
        grid, best = [], np.inf
        for regularisation in self.regularisations:
            logit = fit_logit(X, realised, regularisation, self.tolerance, self.max_iterations)
            chances = occupation_probabilities(logit, validation_X, len(realised), len(self.outcomes_))
            with np.errstate(divide="ignore"):
                score = float(np.exp(-np.log(chances[np.arange(len(held_out)), held_out]).mean()))
            grid.append((regularisation, int(logit.n_iter_[0]), score))
            if score < best or not hasattr(self, "logit_"):
                best, self.logit_, self.regularisation_ = score, logit, regularisation
        self.records_ = len(realised)
        columns = ["regularisation", "iterations", "validation_perplexity"]
        self.validation_perplexity_ = pd.DataFrame(grid, columns=columns)
        return self

    @property
    def chosen(self) -> str:
        """What the validation workers chose, in words."""
        return f"C = {self.regularisation_:g}"

    def predict(self, panel: CareerPanel) -> Predictions:
        """Return the log-probability of every occupation for every record of a panel.

        Raises:
            MismatchError: if the panel's outcome space is not the fitted one.
        """
        check_outcomes(self.name, self.outcomes_, panel)
        X = self.scaler_.transform(self._embedded(panel))
        chances = occupation_probabilities(self.logit_, X, self.records_, len(self.outcomes_))
        with np.errstate(divide="ignore"):
            return from_matrix(self.name, transitions(panel), self.outcomes_, np.log(chances))

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
    """Fit the logit on a panel's training workers and store its predictions of the test workers at `folder`.

    If `folder` holds those of the same weights, careers, splits, choices and code, they are read instead.

    Args:
        panel: careers.
        splits: the split of each worker.
        model: the language model, as in `load_language_model`.
        label: what tables call the logit.
        folder: where the predictions will stand; what was tried and chosen stands in their manifest.
        regularisations: as in `EmbeddingLogit`.
        inputs: artefacts for the manifest.
        dtype: arithmetic of the language model, 'float32' or 'bfloat16'.

    Raises:
        As `EmbeddingLogit.fit` and `load_language_model`.
    """
    options = {"regularisations": list(regularisations), "dtype": dtype, "splits": sorted(splits.items())}
    identity = result_identity(panel, model, label, options, __file__)
    if is_current(folder, identity):
        return read_predictions(folder)
    logit = EmbeddingLogit(load_language_model(model, dtype), regularisations, name=label)
    logit.fit(panel.split(splits, "train"), panel.split(splits, "validation"))
    predictions = logit.predict(panel.split(splits, "test"))
    parameters = {
        "base": model, "identity": identity, "chosen": logit.chosen,
        "tried": logit.validation_perplexity_.to_dict("records"),
    }  # fmt: skip
    write_predictions(folder, predictions, parameters, inputs)
    return predictions


def stored_tuning(folder: Path) -> pd.DataFrame:
    """Return what was tried for stored predictions: columns `regularisation`, `iterations`, `validation_perplexity`.

    Raises:
        ArtefactError: if they are missing or were changed.
    """
    return pd.DataFrame(verify(folder)["parameters"]["tried"])
