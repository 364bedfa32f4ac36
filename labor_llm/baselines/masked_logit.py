"""Multinomial logit among the alternatives that are open: one alternative of each row may be closed.

    P(j | x) = exp(a_j + b_j'x) / sum over open k of exp(a_k + b_k'x),

the second stage of a two-stage model, in which a worker who leaves an occupation cannot go to it. Estimated by
penalised maximum likelihood (L-BFGS of scipy on sparse features; squared L2 penalty on b, none on a), as
scikit-learn does it without closed alternatives.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.sparse import csr_matrix

from labor_llm.errors import InputError, NumericalError

# L-BFGS keeps so many of its last steps; more than the customary ten pay with hundreds of thousands of coefficients.
_STEPS_KEPT = 20


@dataclass(frozen=True)
class MaskedLogit:
    """A fitted logit.

    Attributes:
        coefficients: b, [features, classes].
        intercepts: a, [classes].
        classes: columns of the outcome space that training rows chose, ascending; int [classes].
        rows: number of training rows.
        iterations: of L-BFGS.
    """

    coefficients: np.ndarray
    intercepts: np.ndarray
    classes: np.ndarray
    rows: int
    iterations: int

    def log_probabilities(self, X: csr_matrix, closed: np.ndarray, alternatives: int) -> np.ndarray:
        """Return the log-probability of every alternative.

        One that no training row chose cannot be estimated. It gets Laplace's share 1/(n + K) of n training rows
        and K alternatives, after which each row is scaled to add up to one (the rule of
        `labor_llm.baselines.registry.logit.MultinomialLogit`).

        Args:
            X: [rows, features].
            closed: int [rows], the alternative that is closed, or a negative number.
            alternatives: their number K.

        Returns:
            [rows, K], nats; -inf at the closed alternative and nowhere else.
        """
        utilities = np.full((X.shape[0], alternatives), -np.inf)
        utilities[:, self.classes] = X @ self.coefficients + self.intercepts
        _close(utilities, closed)
        log_probs = _log_softmax(utilities)
        absent = np.setdiff1d(np.arange(alternatives), self.classes)
        log_probs[:, absent] = -np.log(self.rows + alternatives)
        _close(log_probs, closed)
        return _log_softmax(log_probs)


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
        InputError: if all rows chose the same alternative, or one chose a closed one.
        NumericalError: if L-BFGS does not converge.
    """
    classes, target = np.unique(chosen, return_inverse=True)
    if len(classes) < 2:
        raise InputError(
            "logit of destinations: the training workers move to one occupation only; give more."
        )
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
        log_probs = _log_softmax(utilities)
        loss = -log_probs[each, target].mean()
        errors = np.exp(log_probs, out=log_probs)
        errors[each, target] -= 1.0
        errors /= rows
        gradient = np.empty_like(parameters)
        gradient[:-1] = transposed @ errors + parameters[:-1] / (regularisation * rows)
        gradient[-1] = errors.sum(axis=0)
        penalty = 0.5 * np.vdot(parameters[:-1], parameters[:-1]) / (regularisation * rows)
        return loss + penalty, gradient.ravel()

    begin = np.zeros((features + 1, len(classes)))
    if start is not None:
        begin[:-1], begin[-1] = start.coefficients, start.intercepts
    options = {
        "maxiter": max_iterations,
        "maxfun": 2 * max_iterations,
        "maxcor": _STEPS_KEPT,
        "gtol": tolerance,
    }
    found = minimize(
        objective, begin.ravel(), jac=True, method="L-BFGS-B", options={**options, "ftol": 1e-12}
    )
    if not found.success:
        raise NumericalError(
            f"logit of destinations, C = {regularisation:g}: not converged in {found.nit:,} iterations "
            f"({found.message}). Raise max_iterations, or leave this C out of regularisations."
        )
    parameters = found.x.reshape(features + 1, len(classes))
    return MaskedLogit(parameters[:-1], parameters[-1], classes, rows, int(found.nit))


def _close(utilities: np.ndarray, closed: np.ndarray) -> None:
    rows = np.flatnonzero(closed >= 0)
    utilities[rows, closed[rows]] = -np.inf


def _log_softmax(utilities: np.ndarray) -> np.ndarray:
    """Return the logarithms of the probabilities, in the same memory."""
    utilities -= utilities.max(axis=1, keepdims=True)
    utilities -= np.log(np.exp(utilities).sum(axis=1, keepdims=True))
    return utilities
