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
alternatives: destinations are estimated by scipy's L-BFGS on the same penalised likelihood.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from scipy.optimize import minimize
from scipy.sparse import csr_matrix, hstack, vstack
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import OneHotEncoder
from torch.nn.functional import logsigmoid

from labor_llm.baselines.form import (
    COVARIATES,
    FIRST,
    Baseline,
    design,
    occupation_columns,
    record_features,
)
from labor_llm.baselines.logit import fit_logit
from labor_llm.careers.panel import CareerPanel, transitions
from labor_llm.errors import InputError, NumericalError

_NUMBERS = ["records_in_occupation", "records_before", "year_skipped", "education_changed", "age"]
# L-BFGS keeps so many of its last steps; more than the customary ten pay with hundreds of thousands of coefficients.
_STEPS_KEPT = 20


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
class MaskedLogit:
    """A fitted logit.

    Attributes:
        parameters: b and in the last row the intercepts a, [features + 1, classes].
        classes: columns of the outcome space that training rows chose, ascending; int [classes].
        rows: number of training rows.
    """

    parameters: np.ndarray
    classes: np.ndarray
    rows: int

    def log_probabilities(self, X: csr_matrix, closed: np.ndarray, alternatives: int) -> np.ndarray:
        """Return the log-probability of every alternative, nats: [rows of X, alternatives], -inf at the closed one.

        An alternative that no training row chose cannot be estimated. It gets Laplace's share 1/(n + K) of n training
        rows and K alternatives, after which each row is scaled to add up to one. `closed`, int [rows], is the
        alternative that is closed, or negative.
        """
        utilities = np.full((X.shape[0], alternatives), -np.inf)
        utilities[:, self.classes] = X @ self.parameters[:-1] + self.parameters[-1]
        _close(utilities, closed)
        # Nothing is open yet where the one alternative that was ever chosen is closed.
        with np.errstate(invalid="ignore"):
            log_probs = log_softmax(utilities, axis=1)
        absent = np.setdiff1d(np.arange(alternatives), self.classes)
        log_probs[:, absent] = -np.log(self.rows + alternatives)
        _close(log_probs, closed)
        return log_softmax(log_probs, axis=1)


def fit_masked_logit(
    X: csr_matrix,
    chosen: np.ndarray,
    closed: np.ndarray,
    regularisation: float,
    start: MaskedLogit | None = None,
    tolerance: float = 1e-5,
    max_iterations: int = 5000,
) -> MaskedLogit:
    """Return the converged logit.

    Args:
        X: [rows, features], float64.
        chosen: int [rows], the alternative that each row chose.
        closed: int [rows], the alternative that was closed to it, or a negative number.
        regularisation: C, the weight of the log-likelihood (a sum over rows) against half the squared norm of b.
        start: fitted on the same rows with another C, to begin from.
        tolerance: L-BFGS stops when the largest component of the gradient of the mean log-likelihood is below it.
        max_iterations: of L-BFGS.

    Raises:
        InputError: if a row chose a closed alternative.
        NumericalError: if L-BFGS does not converge.
    """
    classes, target = np.unique(chosen, return_inverse=True)
    if (chosen == closed).any():
        raise InputError("logit of destinations: a row chose the alternative that is closed to it.")
    rows, features = X.shape
    place = np.full(max(int(chosen.max()), int(closed.max())) + 1, -1)
    place[classes] = np.arange(len(classes))
    shut = np.where(closed >= 0, place[closed], -1)
    transposed = X.T.tocsr()
    each = np.arange(rows)

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        parameters = flat.reshape(features + 1, len(classes))
        utilities = X @ parameters[:-1]
        utilities += parameters[-1]
        _close(utilities, shut)
        log_probs = log_softmax(utilities, axis=1)
        loss = -log_probs[each, target].mean()
        errors = np.exp(log_probs, out=log_probs)
        errors[each, target] -= 1.0
        errors /= rows
        gradient = np.empty_like(parameters)
        gradient[:-1] = transposed @ errors + parameters[:-1] / (regularisation * rows)
        gradient[-1] = errors.sum(axis=0)
        penalty = 0.5 * np.vdot(parameters[:-1], parameters[:-1]) / (regularisation * rows)
        return loss + penalty, gradient.ravel()

    begin = np.zeros((features + 1, len(classes))) if start is None else start.parameters
    limits = {"maxiter": max_iterations, "maxfun": 2 * max_iterations, "gtol": tolerance, "ftol": 1e-12}
    found = minimize(
        objective, begin.ravel(), jac=True, method="L-BFGS-B", options={**limits, "maxcor": _STEPS_KEPT}
    )
    if not found.success:
        raise NumericalError(
            f"logit of destinations, C = {regularisation:g}: not converged in {found.nit:,} iterations "
            f"({found.message}). Raise max_iterations, or leave this C out of regularisations."
        )
    return MaskedLogit(found.x.reshape(features + 1, len(classes)), classes, rows)


def _close(utilities: np.ndarray, closed: np.ndarray) -> None:
    rows = np.flatnonzero(closed >= 0)
    utilities[rows, closed[rows]] = -np.inf


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


class TwoStageLogit(Baseline):
    """Two-stage logit on the features of CAREER's regression and age, tuned on the validation workers.

    They are the last occupation, the one before, the number of records in the current spell, the number of earlier
    records, the calendar year, whether a year was skipped, education and whether it changed, ethnicity, gender and
    region.

    Attributes:
        stay_regularisations: the values of C to try in the first stage (larger is less shrinkage).
        destination_regularisations: those to try in the second, ascending: each fit begins where the one before ended.
        feature_weights: factors of the last occupation, of earlier ones and of the covariates: a column multiplied by m
            is penalised 1/m^2 as much.
        tolerance: largest component of the gradient (per record) at which L-BFGS stops.
        max_iterations: of L-BFGS; reaching them is an error, not a warning.
        stay_: scikit-learn's binary logit of staying, class 1.
        validation_perplexity_: columns `stay_regularisation`, `destination_regularisation`, `validation_perplexity`.
    """

    name = "two_stage_logit"
    stay_regularisations: Sequence[float] = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
    destination_regularisations: Sequence[float] = (0.1, 0.3, 1.0, 3.0, 10.0)
    feature_weights = (1.0, 0.5, 0.25)
    tolerance = 1e-4
    max_iterations = 5000

    def _estimate(self, train: CareerPanel, validation: CareerPanel) -> None:
        self._prepare(train)
        known, held = self._stages(train), self._stages(validation)
        stays, moves = self._fit_stay(known, held), self._fit_destination(known, held)
        tried = [
            (stay_C, move_C, np.exp(-(stay_log + move_log) / len(validation.frame)), stay, move)
            for (stay_C, stay_log, stay), (move_C, move_log, move) in itertools.product(stays, moves)
        ]
        best = self._best(tried, "stay_regularisation", "destination_regularisation")
        stay_C, move_C, _, self.stay_, self._destination = best
        self.chosen = f"C = {stay_C:g} of staying, {move_C:g} of destinations"

    def _log_probs(self, panel: CareerPanel, table: pd.DataFrame) -> np.ndarray:
        previous, X = occupation_columns(table, self.outcomes_, "previous"), self._features(panel)
        destinations = self._destination.log_probabilities(X, previous, len(self.outcomes_))
        stay = self.stay_.decision_function(X)
        return two_stage_log_probs(*map(torch.from_numpy, (destinations, stay, previous))).numpy()

    def _prepare(self, train: CareerPanel) -> None:
        """Note the levels of categories and the scale of numbers that the training workers show."""
        indicators = [["previous"], ["before_previous"], COVARIATES]
        self._design = design(indicators, _NUMBERS, self.feature_weights).fit(record_features(train))

    def _features(self, panel: CareerPanel) -> csr_matrix:
        """Return the weighted features, [records, columns]."""
        return csr_matrix(self._design.transform(record_features(panel)), dtype=np.float64)

    def _stages(self, panel: CareerPanel) -> _Records:
        table = transitions(panel)
        columns = (occupation_columns(table, self.outcomes_, name) for name in ("occupation", "previous"))
        return _Records(self._features(panel), *columns)

    def _fit_stay(self, known: _Records, held: _Records) -> list[tuple[float, float, LogisticRegression]]:
        """Return each C with the validation log-likelihood (nats) and the logit of staying."""
        later, held_later = known.of(known.previous != FIRST), held.of(held.previous != FIRST)
        stayed = later.stayed
        X = later.X
        if lacking := [kind for kind in (True, False) if kind not in stayed]:
            # Where everybody stays, or nobody, a made-up record without features does otherwise, as a prior.
            X = vstack([X, csr_matrix((len(lacking), X.shape[1]))]).tocsr()
            stayed = np.append(stayed, lacking).astype(bool)
        sign = np.where(held_later.stayed, 1.0, -1.0)
        fits = []
        for regularisation in self.stay_regularisations:
            failure = (
                f"{self.name}, C = {regularisation:g}: the logit of staying has not converged in "
                f"{self.max_iterations:,} iterations. Raise max_iterations, or leave this C out."
            )
            logit = fit_logit(X, stayed, regularisation, self.tolerance, self.max_iterations, failure)
            # scikit-learn refuses to predict for no rows at all.
            odds = logit.decision_function(held_later.X) if len(sign) else np.zeros(0)
            fits.append((regularisation, -np.logaddexp(0.0, -sign * odds).sum(), logit))
        return fits

    def _fit_destination(self, known: _Records, held: _Records) -> list[tuple[float, float, MaskedLogit]]:
        """Return each C with the validation log-likelihood (nats) and the logit of destinations."""
        moves, held_moves = known.of(~known.stayed), held.of(~held.stayed)
        limits, fits, logit = (self.tolerance, self.max_iterations), [], None
        for regularisation in self.destination_regularisations:
            logit = fit_masked_logit(moves.X, moves.realised, moves.previous, regularisation, logit, *limits)
            log_probs = logit.log_probabilities(held_moves.X, held_moves.previous, len(self.outcomes_))
            realised = log_probs[np.arange(len(log_probs)), held_moves.realised]
            fits.append((regularisation, realised.sum(), logit))
        return fits


class BagOfJobs(TwoStageLogit):
    """Two-stage logit on the shares of earlier occupations: the history without its order but for the last job.

    The features are those of CAREER's bag of jobs, and age: the last occupation, the shares of all earlier ones, the
    same pair (present level, shares of earlier levels) of calendar year and education; ethnicity, gender and region.
    The authors embed the bag in 1,024 dimensions, more than there are occupations, which restricts nothing: it is a
    logit that is linear in the shares.
    """

    def _prepare(self, train: CareerPanel) -> None:
        features = record_features(train)
        self._covariates = design([COVARIATES], ["age"], [1.0]).fit(features)
        happened = features.assign(occupation=train.frame["occupation"].astype(object))
        self._levels = {
            column: OneHotEncoder(handle_unknown="ignore").fit(happened[[column]].to_numpy())
            for column in ("occupation", "education", "calendar_year")
        }

    def _features(self, panel: CareerPanel) -> csr_matrix:
        features = self._covariates["last known year"].transform(record_features(panel))
        happened = features.assign(occupation=panel.frame["occupation"].astype(object))
        levels = {
            name: encoder.transform(happened[[name]].to_numpy()) for name, encoder in self._levels.items()
        }
        numbers = features["records_before"].to_numpy(dtype=int)
        before, earlier = _mean_before(numbers, 1), _mean_before(numbers, 2)
        shares = [before @ levels["education"], before @ levels["calendar_year"]]
        covariates = hstack([self._covariates.transform(features), *shares], format="csr")
        last = self._levels["occupation"].transform(features[["previous"]].to_numpy())
        blocks = zip((last, earlier @ levels["occupation"], covariates), self.feature_weights, strict=True)
        return csr_matrix(
            hstack([block * weight for block, weight in blocks], format="csr"), dtype=np.float64
        )


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
