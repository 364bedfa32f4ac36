"""Multinomial logit on hand-made features: the econometrician's model of the next occupation.

    P(j | x) = exp(a_j + b_j'x) / sum_k exp(a_k + b_k'x),

estimated by penalised maximum likelihood in scikit-learn (L-BFGS, squared L2 penalty on b, none on
a). The regularisation C and how much less the occupations are shrunk than the covariates are chosen
by the perplexity of the validation workers; the whole grid is kept for the book.

The features follow the regression baseline of CAREER (Vafa et al. 2024): the last occupation, the one before, the time
spent in it, the number of records, the calendar year and the covariates (`labor_llm.baselines.inputs`).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from labor_llm.baselines.inputs import check_fitting_panels, check_outcomes, design, logit_features
from labor_llm.careers.panel import CareerPanel, transitions
from labor_llm.careers.predictions import Predictions, from_matrix
from labor_llm.errors import InputError, NumericalError

REGULARISATIONS = (0.1, 0.3, 1.0, 3.0, 10.0)
# Factors of the previous occupation, the one before and all covariates (`labor_llm.baselines.inputs.design`):
# all shrunk alike, or the previous occupation, which tells most, shrunk less or far less.
FEATURE_WEIGHTS = ((1.0, 1.0, 1.0), (1.0, 0.5, 0.25), (1.0, 0.5, 0.1))


class MultinomialLogit:
    """Multinomial logit over the outcome space, tuned on the validation workers.

    An occupation that no training record has cannot be estimated. It gets Laplace's share 1/(n + K)
    of n training records and K occupations, after which each row is scaled to add up to one.

    Args:
        regularisations: the values of C to try (larger is less shrinkage).
        feature_weights: the factors of the occupations and the covariates to try.
        tolerance: L-BFGS stops when the largest component of the gradient is below it.
        max_iterations: of L-BFGS; reaching them is an error, not a warning.
        name: the model's name in its predictions.

    Attributes:
        regularisation_: the C kept.
        feature_weights_: the factors kept.
        validation_perplexity_: the whole grid, columns `regularisation`, `previous_weight`,
            `before_previous_weight`, `covariates_weight`, `iterations`, `validation_perplexity`.
    """

    def __init__(
        self,
        regularisations: Sequence[float] = REGULARISATIONS,
        feature_weights: Sequence[tuple[float, float, float]] = FEATURE_WEIGHTS,
        tolerance: float = 1e-4,
        max_iterations: int = 5000,
        name: str = "multinomial_logit",
    ) -> None:
        self.regularisations = checked_regularisations(regularisations)
        self.feature_weights = tuple(feature_weights)
        self.tolerance, self.max_iterations, self.name = tolerance, max_iterations, name

    def fit(self, train: CareerPanel, validation: CareerPanel) -> MultinomialLogit:
        """Estimate the logit on the training workers for the whole grid and keep the best on validation.

        Raises:
            InputError: if a panel is empty, a worker is in both, or training shows one occupation only.
            MismatchError: if the outcome spaces differ.
            NumericalError: if L-BFGS does not converge.
        """
        check_fitting_panels(self.name, train, validation)
        self.outcomes_, self.records_ = train.outcomes, len(train.frame)
        features, validation_features = logit_features(train), logit_features(validation)
        grid, best = [], np.inf
        for weights in self.feature_weights:
            transformer = _design(*weights).fit(features)
            designs = transformer.transform(features), transformer.transform(validation_features)
            fits = tuned_logits(
                *designs, train, validation, self.regularisations, self.tolerance, self.max_iterations
            )
            for fit in fits:
                grid.append((fit.regularisation, *weights, int(fit.logit.n_iter_[0]), fit.perplexity))
                if fit.perplexity < best:
                    best, self.logit_, self.design_ = fit.perplexity, fit.logit, transformer
                    self.regularisation_, self.feature_weights_ = fit.regularisation, weights
        factors = ["previous_weight", "before_previous_weight", "covariates_weight"]
        columns = ["regularisation", *factors, "iterations", "validation_perplexity"]
        self.validation_perplexity_ = pd.DataFrame(grid, columns=columns)
        return self

    @property
    def chosen(self) -> str:
        """What the validation workers chose, in words."""
        weights = " : ".join(f"{weight:g}" for weight in self.feature_weights_)
        return f"C = {self.regularisation_:g}, weights {weights}"

    def predict(self, panel: CareerPanel) -> Predictions:
        """Return the log-probability of every occupation for every record of a panel.

        Raises:
            MismatchError: if the panel's outcome space is not the fitted one.
        """
        check_outcomes(self.name, self.outcomes_, panel)
        X = self.design_.transform(logit_features(panel))
        chances = occupation_probabilities(self.logit_, X, self.records_, len(self.outcomes_))
        return from_matrix(self.name, transitions(panel), self.outcomes_, np.log(chances))


def _design(previous: float, before_previous: float, covariates: float) -> ColumnTransformer:
    categories = ["education", "gender", "ethnicity", "region", "calendar_year"]
    numbers = ["years_in_occupation", "years_since_previous", "records_before", "age"]
    weights = {
        "previous": previous, "before_previous": before_previous, categories[0]: covariates, "numbers": covariates,
    }  # fmt: skip
    return design([["previous"], ["before_previous"], categories], numbers, weights)


def checked_regularisations(given: Sequence[float]) -> tuple[float, ...]:
    """Return values of C to try; InputError if there are none or one is not above zero."""
    if not given or min(given) <= 0:
        raise InputError(f"regularisations: {tuple(given)} found; give one or more, all above zero.")
    return tuple(given)


class TunedLogit(NamedTuple):
    """A logit that was fitted with one C, and the perplexity of the validation workers."""

    regularisation: float
    logit: LogisticRegression
    perplexity: float


def tuned_logits(
    X: csr_matrix | np.ndarray,
    validation_X: csr_matrix | np.ndarray,
    train: CareerPanel,
    validation: CareerPanel,
    regularisations: Sequence[float],
    tolerance: float,
    max_iterations: int,
) -> Iterator[TunedLogit]:
    """Yield the logit of each C.

    Args:
        X: [records, features], of the training workers.
        validation_X: of the validation workers.
        train: the records.
        validation: theirs.
        regularisations: the values of C, the weight of the log-likelihood (a sum over records) against half the
            squared norm of the coefficients.
        tolerance: largest component of the gradient at which L-BFGS stops.
        max_iterations: of L-BFGS.

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
    for regularisation in regularisations:
        failure = (
            f"multinomial logit, C = {regularisation:g}: not converged in {max_iterations:,} iterations. "
            "Raise max_iterations, or leave this C out of regularisations."
        )
        logit = fit_logit(X, realised, regularisation, tolerance, max_iterations, failure)
        chances = occupation_probabilities(logit, validation_X, len(realised), len(outcomes))
        with np.errstate(divide="ignore"):
            perplexity = np.exp(-np.log(chances[np.arange(len(held_out)), held_out]).mean())
        yield TunedLogit(regularisation, logit, float(perplexity))


def fit_logit(
    X: csr_matrix | np.ndarray, y: np.ndarray, C: float, tolerance: float, max_iterations: int, failure: str
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
    logit: LogisticRegression, X: csr_matrix | np.ndarray, records: int, occupations: int
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
