"""Multinomial logit on hand-made features: the econometrician's model of the next occupation.

    P(j | x) = exp(a_j + b_j'x) / sum_k exp(a_k + b_k'x),

estimated by penalised maximum likelihood in scikit-learn (L-BFGS, squared L2 penalty on b, none on
a). The regularisation C and how much less the occupations are shrunk than the covariates are chosen
by the perplexity of the validation workers; the whole grid is kept for the book.

The features follow the regression baseline of CAREER (Vafa et al. 2024): the last occupation, the one before, the time
spent in it, the number of records, the calendar year and the covariates (`labor_llm.baselines.form`).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from labor_llm.baselines.form import Baseline, design, record_features
from labor_llm.careers.panel import CareerPanel
from labor_llm.errors import InputError, NumericalError

Matrix = csr_matrix | np.ndarray


class MultinomialLogit(Baseline):
    """Multinomial logit over the outcome space, tuned on the validation workers.

    An occupation that no training record has cannot be estimated. It gets Laplace's share 1/(n + K)
    of n training records and K occupations, after which each row is scaled to add up to one.

    Attributes:
        regularisations: the values of C to try (larger is less shrinkage).
        feature_weights: factors of the previous occupation, the one before and all covariates to try: all shrunk alike,
            or the previous occupation, which tells most, shrunk less or far less.
        tolerance: L-BFGS stops when the largest component of the gradient is below it.
        max_iterations: of L-BFGS; reaching them is an error, not a warning.
        regularisation_: the C kept.
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
    tolerance = 1e-4
    max_iterations = 5000

    def _estimate(self, train: CareerPanel, validation: CareerPanel) -> None:
        self.records_ = len(train.frame)
        features, validation_features = record_features(train), record_features(validation)
        grid, fits = [], []
        for weights in self.feature_weights:
            transformer = _design(*weights).fit(features)
            designs = transformer.transform(features), transformer.transform(validation_features)
            for fit in tuned_logits(self, *designs, train, validation):
                grid.append((fit.regularisation, *weights, fit.iterations, fit.perplexity))
                fits.append((fit.perplexity, fit.logit, transformer))
        weights = ("previous_weight", "before_previous_weight", "covariates_weight")
        best = self._best(grid, "regularisation", *weights, "iterations")
        self.regularisation_, self.feature_weights_ = best[0], best[1:4]
        _, self.logit_, self.design_ = min(fits, key=lambda fit: fit[0])
        shown = " : ".join(f"{weight:g}" for weight in self.feature_weights_)
        self.chosen = f"C = {self.regularisation_:g}, weights {shown}"

    def _log_probs(self, panel: CareerPanel, table: pd.DataFrame) -> np.ndarray:
        X = self.design_.transform(record_features(panel))
        return np.log(occupation_probabilities(self.logit_, X, self.records_, len(self.outcomes_)))


def _design(previous: float, before_previous: float, covariates: float) -> ColumnTransformer:
    categories = ["education", "gender", "ethnicity", "region", "calendar_year"]
    numbers = ["years_in_occupation", "years_since_previous", "records_before", "age"]
    weights = {
        "previous": previous, "before_previous": before_previous, categories[0]: covariates, "numbers": covariates,
    }  # fmt: skip
    return design([["previous"], ["before_previous"], categories], numbers, weights)


class Tunable(Protocol):
    """What `tuned_logits` asks of a baseline: the values of C to try, and when L-BFGS stops."""

    regularisations: Sequence[float]
    tolerance: float
    max_iterations: int


class TunedLogit(NamedTuple):
    """A logit that was fitted with one C, and the perplexity of the validation workers."""

    regularisation: float
    logit: LogisticRegression
    iterations: int
    perplexity: float


def tuned_logits(
    model: Tunable, X: Matrix, validation_X: Matrix, train: CareerPanel, validation: CareerPanel
) -> Iterator[TunedLogit]:
    """Yield the logit of each C, the weight of the log-likelihood (a sum over records) against half the squared norm.

    Args:
        model: that is tuned.
        X: features of the training records, [records, features].
        validation_X: of the validation records.
        train: the records.
        validation: theirs.

    Raises:
        InputError: if all training records have the same occupation.
        NumericalError: if L-BFGS does not converge.
    """
    outcomes = train.outcomes
    realised, held_out = (np.asarray(outcomes.indices(p.frame["occupation"])) for p in (train, validation))
    if len(np.unique(realised)) < 2:
        raise InputError(
            "multinomial logit: the training records show one occupation only; give more workers."
        )
    for C in model.regularisations:
        failure = (
            f"multinomial logit, C = {C:g}: not converged in {model.max_iterations:,} iterations. "
            "Raise max_iterations, or leave this C out of regularisations."
        )
        logit = fit_logit(X, realised, C, model.tolerance, model.max_iterations, failure)
        chances = occupation_probabilities(logit, validation_X, len(realised), len(outcomes))
        with np.errstate(divide="ignore"):
            perplexity = float(np.exp(-np.log(chances[np.arange(len(held_out)), held_out]).mean()))
        yield TunedLogit(C, logit, int(logit.n_iter_[0]), perplexity)


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


def occupation_probabilities(
    logit: LogisticRegression, X: Matrix, records: int, occupations: int
) -> np.ndarray:
    """Return [rows of X, occupations], every cell positive, rows adding up to one.

    Args:
        logit: fitted on columns of the outcome space.
        X: [rows, features].
        records: number of training records n; an occupation that none of them has gets 1/(n + K)
            before the row is scaled.
        occupations: number K of occupations in the outcome space.
    """
    chances = np.full((X.shape[0], occupations), 1.0 / (records + occupations))
    chances[:, logit.classes_] = logit.predict_proba(X)
    return chances / chances.sum(axis=1, keepdims=True)
