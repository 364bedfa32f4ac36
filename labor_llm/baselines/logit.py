"""Multinomial logit on hand-made features: the econometrician's model of the next occupation.

    P(j | x) = exp(a_j + b_j'x) / sum_k exp(a_k + b_k'x),

estimated by penalised maximum likelihood (`labor_llm.baselines.penalised_logit`), once as it stands and once with a
term of staying that all titles share.

The features follow the regression baseline of CAREER (Vafa et al. 2024): the last occupation, the one before, the time
spent in it, the number of records, the calendar year and the covariates (`labor_llm.baselines.form`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from labor_llm.baselines.form import Baseline, column_groups, design, occupation_columns, record_features
from labor_llm.baselines.penalised_logit import Matrix, PenalisedLogit, Tried, penalty_path
from labor_llm.careers.panel import CareerPanel, transitions
from labor_llm.errors import InputError

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
            squared norm of b: larger is less shrinkage. Those beyond two that brought no gain are left out.
        tolerance: L-BFGS stops when the largest component of the gradient is below it, in units of curvature.
        max_iterations: of L-BFGS; reaching them is an error, not a warning.
        has_staying: whether the utility of the previous occupation holds a term that is the same for all.
        regularisation_: the C kept.
    """

    regularisations: Sequence[float]
    tolerance = 1e-4
    max_iterations = 5000
    has_staying = False

    def _tried(
        self, X: Matrix, held_X: Matrix, train: CareerPanel, validation: CareerPanel,
        weights: np.ndarray | float = 1.0, start: PenalisedLogit | None = None,
    ) -> Iterator[tuple[Any, ...]]:  # fmt: skip
        """Yield rows for `_best`: each C, its iterations, the perplexity of validation workers, and what was `Tried`.

        Raises:
            InputError: if all training records have the same occupation.
            NumericalError: if L-BFGS does not converge.
        """
        realised, held = (
            np.asarray(self.outcomes_.indices(panel.frame["occupation"])) for panel in (train, validation)
        )
        if len(np.unique(realised)) < 2:
            raise InputError(
                "multinomial logit: the training records show one occupation only; give more workers."
            )
        known_previous, held_previous = (
            occupation_columns(transitions(panel), self.outcomes_, "previous")
            for panel in (train, validation)
        )

        def score(logit: PenalisedLogit) -> float:
            return self._logs(logit, held_X, held_previous)[np.arange(len(held)), held].sum()

        previous = known_previous if self.has_staying else None
        options = {"tolerance": self.tolerance, "max_iterations": self.max_iterations}
        path = penalty_path(
            X, realised, self.regularisations, score, start, previous=previous, weights=weights, **options
        )
        self._held = len(held)
        yield from map(self._row, path)

    def _row(self, tried: Tried) -> tuple[Any, ...]:
        perplexity = float(np.exp(-tried.log_likelihood / self._held))
        return tried.regularisation, tried.logit.iterations, perplexity, tried

    def _finished(self, best: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return a row of `_tried`, whatever stands between C and all its iterations, estimated to its end."""
        C, *between, before, _, tried = best
        _, further, *found = self._row(tried.finished())
        return C, *between, before + further, *found

    def _logs(self, logit: PenalisedLogit, X: Matrix, previous: np.ndarray) -> np.ndarray:
        """Return nats, [rows of X, occupations], given the columns of the previous occupation."""
        return logit.log_probabilities(X, len(self.outcomes_), previous=previous)


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
    feature_weights: Sequence[tuple[float, float, float]] = ((1, 1, 1), (1, 0.5, 0.25), (1, 0.5, 0.1))
    searched: ClassVar = {
        "regularisations": "regularisation",
        "feature_weights": ("previous_weight", "before_previous_weight", "covariates_weight"),
    }

    def _estimate(self, train: CareerPanel, validation: CareerPanel) -> None:
        features, held_features = record_features(train), record_features(validation)
        self._transformer = design(_INDICATORS, _NUMBERS).fit(features)
        X, held_X = self._transformer.transform(features), self._transformer.transform(held_features)
        groups = column_groups(self._transformer, len(_INDICATORS))
        tried, start = [], None
        for weights in self.feature_weights:
            path = list(
                self._tried(X, held_X, train, validation, np.asarray(weights, dtype=float)[groups], start)
            )
            tried += [(C, *weights, *fitted) for C, *fitted in path]
            start = path[0][-1].logit
        columns = ("previous_weight", "before_previous_weight", "covariates_weight", "iterations")
        best = self._best(tried, "regularisation", *columns, refine=self._finished)
        self.regularisation_, self.feature_weights_, self._logit = best[0], best[1:4], best[-1].logit
        shown = " : ".join(f"{weight:g}" for weight in self.feature_weights_)
        self.chosen = f"C = {self.regularisation_:g}, weights {shown}"

    def _log_probs(self, panel: CareerPanel, table: pd.DataFrame) -> np.ndarray:
        X = self._transformer.transform(record_features(panel))
        return self._logs(self._logit, X, occupation_columns(table, self.outcomes_, "previous"))


class MultinomialLogitStaying(MultinomialLogit):
    """Multinomial logit whose utility of the previous occupation has a term of staying, linear in the same features.

    All titles share its coefficients. The plain one learns each title's share of stayers from that title's own records
    alone, and few records of many titles say little of it.
    """

    name = "multinomial_logit_staying"
    # Where the shared term tells nearly all, the slopes of each title want far more shrinkage.
    regularisations = (0.03, *MultinomialLogit.regularisations)
    has_staying = True
