"""Multinomial logit on hand-made features: the econometrician's model of the next occupation.

    P(j | x) = exp(a_j + b_j'x) / sum_k exp(a_k + b_k'x),

estimated by penalised maximum likelihood in scikit-learn (L-BFGS, squared L2 penalty on b, none on a).

The features follow the regression baseline of CAREER (Vafa et al. 2024): the last occupation, the one before, the time
spent in it, the number of records, the calendar year and the covariates (`labor_llm.baselines.form`).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from labor_llm.baselines.form import Baseline, design, record_features
from labor_llm.careers.panel import CareerPanel
from labor_llm.errors import InputError, NumericalError

Matrix = csr_matrix | np.ndarray
_INDICATORS = [
    ["previous"],
    ["before_previous"],
    ["education", "gender", "ethnicity", "region", "calendar_year"],
]
_NUMBERS = ["years_in_occupation", "years_since_previous", "records_before", "age"]


class TunedLogit(Baseline):
    """Multinomial logit over the outcome space, whose penalty the validation workers choose.

    An occupation that no training record has cannot be estimated. It gets Laplace's share 1/(n + K) of n training
    records and K occupations, after which each row is scaled to add up to one.

    Attributes:
        regularisations: the values of C to try, the weight of the log-likelihood (a sum over records) against half the
            squared norm of b: larger is less shrinkage.
        tolerance: L-BFGS stops when the largest component of the gradient is below it.
        max_iterations: of L-BFGS; reaching them is an error, not a warning.
        regularisation_: the C kept.
    """

    regularisations: Sequence[float]
    tolerance = 1e-4
    max_iterations = 5000

    def _tried(
        self, X: Matrix, held_X: Matrix, train: CareerPanel, validation: CareerPanel
    ) -> Iterator[tuple[float, int, float, LogisticRegression]]:
        """Yield each C with its iterations, the perplexity of the validation workers, and the logit.

        Raises:
            InputError: if all training records have the same occupation.
            NumericalError: if L-BFGS does not converge.
        """
        self._records = len(train.frame)
        realised, held = (
            np.asarray(self.outcomes_.indices(panel.frame["occupation"])) for panel in (train, validation)
        )
        if len(np.unique(realised)) < 2:
            raise InputError(
                "multinomial logit: the training records show one occupation only; give more workers."
            )
        for C in self.regularisations:
            failure = (
                f"multinomial logit, C = {C:g}: not converged in {self.max_iterations:,} iterations. "
                "Raise max_iterations, or leave this C out of regularisations."
            )
            logit = fit_logit(X, realised, C, self.tolerance, self.max_iterations, failure)
            log_probs = self._logs(logit, held_X)[np.arange(len(held)), held]
            yield C, int(logit.n_iter_[0]), float(np.exp(-log_probs.mean())), logit

    def _logs(self, logit: LogisticRegression, X: Matrix) -> np.ndarray:
        """Return nats, [rows of X, occupations]."""
        occupations = len(self.outcomes_)
        chances = np.full((X.shape[0], occupations), 1.0 / (self._records + occupations))
        chances[:, logit.classes_] = logit.predict_proba(X)
        with np.errstate(divide="ignore"):
            return np.log(chances / chances.sum(axis=1, keepdims=True))


class MultinomialLogit(TunedLogit):
    """Multinomial logit on hand-made features.

    Attributes:
        feature_weights: factors of the previous occupation, the one before and all covariates to try: all shrunk alike,
            or the previous occupation, which tells most, shrunk less or far less.
        feature_weights_: the factors kept.
        validation_perplexity_: the whole grid, columns `regularisation`, `previous_weight`,
            `before_previous_weight`, `covariates_weight`, `iterations`, `validation_perplexity`.
    """

    name = "multinomial_logit"
    regularisations: Sequence[float] = (0.1, 0.3, 1.0, 3.0, 10.0)
    feature_weights: Sequence[tuple[float, float, float]] = (
        (1.0, 1.0, 1.0),
        (1.0, 0.5, 0.25),
        (1.0, 0.5, 0.1),
    )

    def _estimate(self, train: CareerPanel, validation: CareerPanel) -> None:
        features, held_features = record_features(train), record_features(validation)
        tried = []
        for weights in self.feature_weights:
            transformer = design(_INDICATORS, _NUMBERS, weights).fit(features)
            X, held_X = transformer.transform(features), transformer.transform(held_features)
            for C, *fitted in self._tried(X, held_X, train, validation):
                tried.append((C, *weights, *fitted, transformer))
        columns = ("previous_weight", "before_previous_weight", "covariates_weight", "iterations")
        best = self._best(tried, "regularisation", *columns)
        self.regularisation_, self.feature_weights_ = best[0], best[1:4]
        self._logit, self._transformer = best[-2:]
        shown = " : ".join(f"{weight:g}" for weight in self.feature_weights_)
        self.chosen = f"C = {self.regularisation_:g}, weights {shown}"

    def _log_probs(self, panel: CareerPanel, table: pd.DataFrame) -> np.ndarray:
        return self._logs(self._logit, self._transformer.transform(record_features(panel)))


def fit_logit(
    X: Matrix, y: np.ndarray, C: float, tolerance: float, max_iterations: int, failure: str
) -> LogisticRegression:
    """Return scikit-learn's logit of y on X; NumericalError with the text `failure` if it does not converge."""
    logit = LogisticRegression(C=C, tol=tolerance, max_iter=max_iterations)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        try:
            return logit.fit(X, y)
        except ConvergenceWarning as warning:
            raise NumericalError(failure) from warning
