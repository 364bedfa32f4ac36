"""The hand-made features of the multinomial logit: what is known of a worker before a record.

The list follows the regression baseline of CAREER (Vafa et al. 2024): the last occupation, the one
before, the time spent in it, the number of records, the calendar year and the covariates; age is
added because the resume that a language model reads states the year of birth. Nothing of the record
itself enters but its year and education, which the resume line also states before the title.

Multinomial logit on hand-made features: the econometrician's model of the next occupation.

    P(j | x) = exp(a_j + b_j'x) / sum_k exp(a_k + b_k'x),

estimated by penalised maximum likelihood in scikit-learn (L-BFGS, squared L2 penalty on b, none on
a). The regularisation C and how much less the occupations are shrunk than the covariates are chosen
by the perplexity of the validation workers; the whole grid is kept for the book.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from labor_llm.baselines.panels import check_fitting_panels, check_outcomes
from labor_llm.careers.panel import CareerPanel, transitions
from labor_llm.careers.predictions import Predictions, from_matrix
from labor_llm.errors import InputError, NumericalError

CATEGORIES = ("education", "gender", "ethnicity", "region", "calendar_year")
NUMBERS = ("years_in_occupation", "years_since_previous", "records_before", "age")
# The level of `previous` and `before_previous` where there is none; no occupation code is empty.
NONE = ""


def logit_features(panel: CareerPanel) -> pd.DataFrame:
    """Return one row of features per record, in panel order.

    Returns:
        `previous` and `before_previous` (codes, or `NONE`), the text columns `CATEGORIES` and the
        float columns `NUMBERS`: years since the current spell in the previous occupation began,
        years since the previous record (both zero at a first record), number of earlier records,
        and age in years (NaN where the birth year is not known).
    """
    table = transitions(panel)
    worker = table["worker_id"]
    spell_start = table["year"].where(table["transition_type"] != "staying").groupby(worker).ffill()
    features = table[["previous", "before_previous"]].fillna(NONE).astype(object)
    for column in ("education", "gender", "ethnicity", "region"):
        features[column] = table[column].astype(object)
    features["calendar_year"] = table["year"].astype(str).astype(object)
    features["years_in_occupation"] = (table["year"] - spell_start.groupby(worker).shift()).fillna(0.0)
    features["years_since_previous"] = (table["year"] - table["previous_year"]).fillna(0).astype(float)
    features["records_before"] = table["records_before"].astype(float)
    features["age"] = (table["year"] - table["birth_year"]).astype("Float64").to_numpy(float, na_value=np.nan)
    return features


def design(previous: float, before_previous: float, covariates: float) -> ColumnTransformer:
    """Return the transformer of features into a sparse design matrix.

    Categories become one indicator a level, all zero for a level that training did not show; numbers
    are standardised, missing ages set to the mean. The three arguments multiply the columns of the
    two occupations and of all covariates: under an L2 penalty, a column multiplied by m is penalised
    1/m^2 as much, so they say which coefficients are shrunk most.
    """
    one_hot = OneHotEncoder(handle_unknown="ignore")
    numbers = make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler())
    return ColumnTransformer(
        [
            ("previous", one_hot, ["previous"]),
            ("before_previous", one_hot, ["before_previous"]),
            ("categories", one_hot, list(CATEGORIES)),
            ("numbers", numbers, list(NUMBERS)),
        ],
        sparse_threshold=1.0,
        transformer_weights={
            "previous": previous,
            "before_previous": before_previous,
            "categories": covariates,
            "numbers": covariates,
        },
    )


REGULARISATIONS = (0.1, 0.3, 1.0, 3.0, 10.0)
# Factors of the previous occupation, the one before and all covariates (`logit_features.design`):
# all shrunk alike, or the previous occupation, which tells most, shrunk less or far less.
FEATURE_WEIGHTS = ((1.0, 1.0, 1.0), (1.0, 0.5, 0.25), (1.0, 0.5, 0.1))


class MultinomialLogit:
    """Multinomial logit over the outcome space, tuned on the validation workers.

    An occupation that no training record has cannot be estimated. It gets Laplace's share 1/(n + K)
    of n training records and K occupations, after which each row is scaled to add up to one.

    Args:
        regularisations: the values of C to try (larger is less shrinkage).
        feature_weights: the factors to try, see `labor_llm.baselines.logit.design`.
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
        if not regularisations or min(regularisations) <= 0:
            raise InputError(
                f"regularisations: {tuple(regularisations)} found; give one or more, all above zero."
            )
        self.regularisations = tuple(regularisations)
        self.feature_weights = tuple(feature_weights)
        self.tolerance = tolerance
        self.max_iterations = max_iterations
        self.name = name

    def fit(self, train: CareerPanel, validation: CareerPanel) -> MultinomialLogit:
        """Estimate the logit on the training workers for the whole grid and keep the best on validation.

        Raises:
            InputError: if a panel is empty, a worker is in both, or training shows one occupation only.
            MismatchError: if the outcome spaces differ.
            NumericalError: if L-BFGS does not converge.
        """
        check_fitting_panels(self.name, train, validation)
        self.outcomes_ = train.outcomes
        realised = np.asarray(self.outcomes_.indices(train.frame["occupation"]))
        held_out = np.asarray(self.outcomes_.indices(validation.frame["occupation"]))
        features, validation_features = logit_features(train), logit_features(validation)
        grid, best = [], np.inf
        for weights in self.feature_weights:
            transformer = design(*weights).fit(features)
            X, validation_X = transformer.transform(features), transformer.transform(validation_features)
            for regularisation in self.regularisations:
                logit = fit_logit(X, realised, regularisation, self.tolerance, self.max_iterations)
                chances = occupation_probabilities(logit, validation_X, len(realised), len(self.outcomes_))
                score = np.exp(-np.log(chances[np.arange(len(held_out)), held_out]).mean())
                grid.append((regularisation, *weights, int(logit.n_iter_[0]), score))
                if score < best:
                    best, self.logit_, self.design_ = score, logit, transformer
                    self.regularisation_, self.feature_weights_ = regularisation, weights
        self.records_ = len(realised)
        self.validation_perplexity_ = pd.DataFrame(
            grid,
            columns=[
                "regularisation", "previous_weight", "before_previous_weight", "covariates_weight",
                "iterations", "validation_perplexity",
            ],
        )  # fmt: skip
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


def fit_logit(
    X: csr_matrix, realised: np.ndarray, regularisation: float, tolerance: float, max_iterations: int
) -> LogisticRegression:
    """Return a converged multinomial logit.

    Args:
        X: [records, features].
        realised: [records], the column of the realised occupation in the outcome space.
        regularisation: C, the weight of the log-likelihood (a sum over records) against half the
            squared norm of the coefficients.
        tolerance: largest component of the gradient at which L-BFGS stops.
        max_iterations: of L-BFGS.

    Raises:
        InputError: if all records have the same occupation.
        NumericalError: if L-BFGS does not converge.
    """
    if len(np.unique(realised)) < 2:
        raise InputError(
            "multinomial logit: the training records show one occupation only; give more workers."
        )
    logit = LogisticRegression(C=regularisation, tol=tolerance, max_iter=max_iterations)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        try:
            return logit.fit(X, realised)
        except ConvergenceWarning as warning:
            raise NumericalError(
                f"multinomial logit, C = {regularisation:g}: not converged in {max_iterations:,} iterations. "
                "Raise max_iterations, or leave this C out of regularisations."
            ) from warning


def occupation_probabilities(
    logit: LogisticRegression, X: csr_matrix, records: int, occupations: int
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
