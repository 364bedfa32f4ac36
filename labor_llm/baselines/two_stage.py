"""Two-stage models: whether a worker stays, and where one who leaves goes (the form of CAREER, Vafa et al. 2024).

With s the log-odds of staying and u_j the utility of occupation j, both functions of the history,

    P(previous) = 1 / (1 + exp(-s)),
    P(j) = (1 - P(previous)) exp(u_j) / sum_{k != previous} exp(u_k)   for every other occupation j.

A first record has no previous occupation: nobody can stay, and P(j) is proportional to exp(u_j) for all j.
(In the authors' code a first record can "stay" in the start symbol, and the softmax has room for symbols that
are no occupations; the mass there is lost. Here all mass is on the outcome space.)

In the two-stage logit s and u are linear in features. Both stages are penalised (squared L2 norm of the slopes); as the
log-likelihood is the sum of the two stages', each has its own C, chosen on the validation workers. First records enter
the second stage alone, with no occupation closed. Staying is a logit of scikit-learn, which has none with closed
alternatives: destinations are estimated on the same penalised likelihood by `labor_llm.baselines.penalised_logit`.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import pandas as pd
import torch
from scipy.sparse import csr_matrix, diags_array, hstack, vstack
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import OneHotEncoder
from torch.nn.functional import logsigmoid

from labor_llm.baselines.form import (
    COVARIATES,
    FIRST,
    Baseline,
    column_groups,
    design,
    occupation_columns,
    record_features,
)
from labor_llm.baselines.logit import MultinomialLogit
from labor_llm.baselines.penalised_logit import PenalisedLogit, Tried, penalty_path
from labor_llm.careers.panel import CareerPanel, transitions
from labor_llm.errors import NumericalError

NUMBERS = ["records_in_occupation", "records_before", "year_skipped", "education_changed", "age"]


def two_stage_log_probs(utilities: torch.Tensor, stay: torch.Tensor, previous: torch.Tensor) -> torch.Tensor:
    """Return the log-probability of every occupation, nats [..., occupations]; each row's probabilities add up to one.

    Args:
        utilities: u, [..., occupations]; that of the previous occupation is not read.
        stay: s, log-odds of staying, [...]; not read at a first record.
        previous: column of the previous occupation, int64 [...], `FIRST` at a first record.
    """
    first = (previous == FIRST)[..., None]
    # A first record points at column 0, and is left as it is there.
    column = previous.clamp(min=0)[..., None]
    here = torch.zeros_like(utilities, dtype=torch.bool).scatter_(-1, column, True) & ~first
    moves = torch.log_softmax(utilities.masked_fill(here, -torch.inf), dim=-1)
    stay = stay[..., None]
    leave = logsigmoid(-stay).masked_fill(first, 0.0)
    return torch.where(here, logsigmoid(stay), leave + moves)


@dataclass(frozen=True)
class _Records:
    """Features [records, columns], and the columns of the realised and the previous occupation, int [records]."""

    X: csr_matrix
    realised: np.ndarray
    previous: np.ndarray

    @property
    def stayed(self) -> np.ndarray:
        """Boolean [records]; False at a first record."""
        return self.realised == self.previous

    def of(self, rows: np.ndarray) -> _Records:
        """Return some of the records, boolean [records]."""
        return _Records(self.X[rows], self.realised[rows], self.previous[rows])


class _Stay(NamedTuple):
    """A value of C, the log-likelihood of the validation workers (nats) and the logit of staying."""

    regularisation: float
    log_likelihood: float
    logit: LogisticRegression


class TwoStageLogit(Baseline):
    """Two-stage logit on the features of CAREER's regression and age, tuned on the validation workers.

    They are the last occupation, the one before, the number of records in the current spell, the number of earlier
    records, the calendar year, whether a year was skipped, education and whether it changed, ethnicity, gender and
    region.

    Attributes:
        stay_regularisations: the values of C to try in the first stage (larger is less shrinkage).
        destination_regularisations: those to try in the second; those beyond two that brought no gain are left out.
        feature_weights: factors of the last occupation, of earlier ones and of the covariates to try, the same in both
            stages: a column multiplied by m is penalised 1/m^2 as much.
        tolerance: largest component of the gradient (per record) at which L-BFGS stops, in units of curvature.
        max_iterations: of L-BFGS; reaching them is an error, not a warning.
        stay_: scikit-learn's binary logit of staying, class 1.
        feature_weights_: the factors kept.
        validation_perplexity_: columns `stay_regularisation`, `destination_regularisation`, `previous_weight`,
            `before_previous_weight`, `covariates_weight`, `validation_perplexity`.
    """

    name = "two_stage_logit"
    stay_regularisations: Sequence[float] = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
    destination_regularisations: Sequence[float] = (0.1, 0.3, 1.0, 3.0, 10.0)
    feature_weights: Sequence[tuple[float, float, float]] = MultinomialLogit.feature_weights
    searched: ClassVar = {
        "stay_regularisations": "stay_regularisation",
        "destination_regularisations": "destination_regularisation",
        "feature_weights": MultinomialLogit.searched["feature_weights"],
    }
    tolerance = 1e-4
    max_iterations = 5000

    def _estimate(self, train: CareerPanel, validation: CareerPanel) -> None:
        self._prepare(train)
        known, held = self._stages(train), self._stages(validation)
        tried, start = [], None

        def together(stay: _Stay, move: Tried) -> tuple[float, _Stay, Tried]:
            return np.exp(-(stay.log_likelihood + move.log_likelihood) / len(held.realised)), stay, move

        for weights in self.feature_weights:
            columns = np.asarray(weights, dtype=float)[self._groups]
            stays = self._fit_stay(known, held, columns)
            moves = self._fit_destination(known, held, columns, start)
            start = moves[0].logit
            tried += [
                (stay.regularisation, move.regularisation, *weights, *together(stay, move))
                for stay, move in itertools.product(stays, moves)
            ]
        penalties = ("stay_regularisation", "destination_regularisation")
        best = self._best(
            tried, *penalties, "previous_weight", "before_previous_weight", "covariates_weight",
            refine=lambda rough: (*rough[:-3], *together(rough[-2], rough[-1].finished())),
        )  # fmt: skip
        stay_C, move_C, *self.feature_weights_, _, stay, move = best
        self.stay_, self._destination = stay.logit, move.logit
        shown = " : ".join(f"{weight:g}" for weight in self.feature_weights_)
        self.chosen = f"C = {stay_C:g} of staying, {move_C:g} of destinations, weights {shown}"

    def _log_probs(self, panel: CareerPanel, table: pd.DataFrame) -> np.ndarray:
        previous, X = occupation_columns(table, self.outcomes_, "previous"), self._features(panel)
        destinations = self._destination.log_probabilities(X, len(self.outcomes_), previous)
        stay = self.stay_.decision_function(X)
        return two_stage_log_probs(*map(torch.from_numpy, (destinations, stay, previous))).numpy()

    def _prepare(self, train: CareerPanel) -> None:
        """Note the levels of categories, the scale of numbers and the group of each column."""
        indicators = [["previous"], ["before_previous"], COVARIATES]
        self._design = design(indicators, NUMBERS).fit(record_features(train))
        self._groups = column_groups(self._design, len(indicators))

    def _features(self, panel: CareerPanel) -> csr_matrix:
        """Return the features, [records, columns]."""
        return csr_matrix(self._design.transform(record_features(panel)), dtype=np.float64)

    def _stages(self, panel: CareerPanel) -> _Records:
        table = transitions(panel)
        columns = (occupation_columns(table, self.outcomes_, name) for name in ("occupation", "previous"))
        return _Records(self._features(panel), *columns)

    def _fit_stay(self, known: _Records, held: _Records, weights: np.ndarray) -> list[_Stay]:
        """Return each C with the validation log-likelihood (nats) and the logit of staying."""
        later, held_later = known.of(known.previous != FIRST), held.of(held.previous != FIRST)
        stayed = later.stayed
        X = later.X @ diags_array(weights)
        if lacking := [kind for kind in (True, False) if kind not in stayed]:
            # Where everybody stays, or nobody, a made-up record without features does otherwise, as a prior.
            X = vstack([X, csr_matrix((len(lacking), X.shape[1]))]).tocsr()
            stayed = np.append(stayed, lacking).astype(bool)
        sign = np.where(held_later.stayed, 1.0, -1.0)
        fits = []
        for regularisation in self.stay_regularisations:
            logit = self._stay_logit(X, stayed, regularisation)
            logit.coef_ = logit.coef_ * weights
            # scikit-learn refuses to predict for no rows at all.
            odds = logit.decision_function(held_later.X) if len(sign) else np.zeros(0)
            fits.append(_Stay(regularisation, -np.logaddexp(0.0, -sign * odds).sum(), logit))
        return fits

    def _stay_logit(self, X: csr_matrix, stayed: np.ndarray, regularisation: float) -> LogisticRegression:
        # Its gradient is in plain units, where that of a rare title is small throughout.
        logit = LogisticRegression(C=regularisation, tol=self.tolerance / 100, max_iter=self.max_iterations)
        with warnings.catch_warnings():
            warnings.simplefilter("error", ConvergenceWarning)
            try:
                return logit.fit(X, stayed)
            except ConvergenceWarning as warning:
                raise NumericalError(
                    f"{self.name}, C = {regularisation:g}: the logit of staying has not converged in "
                    f"{self.max_iterations:,} iterations. Raise max_iterations, or leave this C out."
                ) from warning

    def _fit_destination(
        self, known: _Records, held: _Records, weights: np.ndarray, start: PenalisedLogit | None
    ) -> list[Tried]:
        """Return what was tried of the logit of destinations, with log-likelihoods of the validation workers."""
        moves, held_moves = known.of(~known.stayed), held.of(~held.stayed)

        def score(logit: PenalisedLogit) -> float:
            logs = logit.log_probabilities(held_moves.X, len(self.outcomes_), held_moves.previous)
            return logs[np.arange(len(logs)), held_moves.realised].sum()

        options = {"tolerance": self.tolerance, "max_iterations": self.max_iterations}
        return penalty_path(
            moves.X, moves.realised, self.destination_regularisations, score, start,
            closed=moves.previous, weights=weights, **options,
        )  # fmt: skip


class BagOfJobs(TwoStageLogit):
    """Two-stage logit on the shares of earlier occupations: the history without its order but for the last job.

    The features are those of CAREER's bag of jobs, and age: the last occupation, the shares of all earlier ones, the
    same pair (present level, shares of earlier levels) of calendar year and education; ethnicity, gender and region.
    The authors embed the bag in 1,024 dimensions, more than there are occupations, which restricts nothing: it is a
    logit that is linear in the shares.
    """

    def _prepare(self, train: CareerPanel) -> None:
        features = record_features(train)
        self._covariates = design([COVARIATES], ["age"]).fit(features)
        happened = features.assign(occupation=train.frame["occupation"].astype(object))
        self._levels = {
            column: OneHotEncoder(handle_unknown="ignore").fit(happened[[column]].to_numpy())
            for column in ("occupation", "education", "calendar_year")
        }
        self._groups = np.repeat(range(3), [block.shape[1] for block in self._parts(train)])

    def _features(self, panel: CareerPanel) -> csr_matrix:
        return hstack(self._parts(panel), format="csr", dtype=np.float64)

    def _parts(self, panel: CareerPanel) -> tuple[csr_matrix, csr_matrix, csr_matrix]:
        """Return the last occupation, the shares of earlier ones, and all else, each [records, columns]."""
        features = self._covariates["last known year"].transform(record_features(panel))
        happened = features.assign(occupation=panel.frame["occupation"].astype(object))
        levels = {
            name: encoder.transform(happened[[name]].to_numpy()) for name, encoder in self._levels.items()
        }
        numbers = features["records_before"].to_numpy(dtype=int)
        before, earlier = _mean_before(numbers, 1), _mean_before(numbers, 2)
        shares = [before @ levels["education"], before @ levels["calendar_year"]]
        last = self._levels["occupation"].transform(features[["previous"]].to_numpy())
        covariates = hstack([self._covariates.transform(features), *shares], format="csr")
        return last, earlier @ levels["occupation"], covariates


def _mean_before(numbers: np.ndarray, least: int) -> csr_matrix:
    """Return the matrix that averages, for each record, the worker's records at least so many back, if there are any.

    Args:
        numbers: how many records of the worker come before each record; a worker's records are together.
        least: how many records back.
    """
    counts = np.maximum(numbers - least + 1, 0)
    rows = np.repeat(np.arange(len(numbers)), counts)
    back = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts) + least
    weights = 1.0 / np.repeat(counts, counts)
    return csr_matrix((weights, (rows, rows - back)), shape=(len(numbers), len(numbers)))
