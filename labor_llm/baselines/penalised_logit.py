"""The logit that all baselines of that kind share, fitted to hundreds of thousands of records and hundreds of titles.

    P(j | x) = exp(u_j) / sum over open k of exp(u_k),    u_j = a_j + b_j'x + (c + g'x) [j is the previous alternative],

estimated by penalised maximum likelihood. The squared L2 norm of the slopes b and g is penalised, a and c are not. The
term of staying (c, g), which all alternatives share, is there if asked for; an alternative can be closed to a row.

scikit-learn has neither closed alternatives nor shared terms. The optimum is scipy's L-BFGS's; speed comes from
blocks of rows that fit the cache, columns that most rows fill kept as a dense matrix, arithmetic in single precision
where the tolerance allows it, and coefficients measured in units of their own curvature, which takes L-BFGS a tenth of
the iterations. The tolerance holds in these units: in plain ones the gradient of a title with few records is below
any customary tolerance from the start, and where L-BFGS stops depends on where it began.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import OptimizeResult, minimize
from scipy.sparse import csr_matrix, issparse
from scipy.special import log_softmax, logsumexp

from labor_llm.errors import InputError, NumericalError

Matrix = csr_matrix | np.ndarray
# L-BFGS keeps so many of its last steps; more than the customary ten pay with hundreds of thousands of coefficients.
_STEPS_KEPT = 20
_ROWS_AT_ONCE = 4096
# A column that a larger part of the rows fills is cheaper to multiply as a dense one.
_DENSE = 0.05
# Rounding of single precision is felt by tolerances below it.
_SINGLE_PRECISION = 1e-5
# What is not chosen is estimated to so many times the tolerance.
_ROUGHLY = 10


@dataclass(frozen=True)
class PenalisedLogit:
    """A fitted logit.

    Attributes:
        parameters: b and in the last row the intercepts a, [features + 1, classes].
        staying: g and last c, [features + 1]; None without the term of staying.
        classes: alternatives that training rows chose, ascending; int [classes].
        rows: number of training rows.
        iterations: of L-BFGS.
    """

    parameters: np.ndarray
    staying: np.ndarray | None
    classes: np.ndarray
    rows: int
    iterations: int

    def log_probabilities(
        self,
        X: Matrix,
        alternatives: int,
        closed: np.ndarray | None = None,
        previous: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return the log-probability of every alternative, nats: [rows of X, alternatives], -inf at a closed one.

        An alternative that no training row chose cannot be estimated. It gets Laplace's share 1/(n + K) of n training
        rows and K alternatives beside the others, before the term of staying, which it has like all others; each row is
        scaled to add up to one. `closed` and `previous` are as in `fit_penalised_logit`.
        """
        utilities = np.full((X.shape[0], alternatives), -np.inf)
        utilities[:, self.classes] = X @ self.parameters[:-1] + self.parameters[-1]
        shut = _cells(closed)
        utilities[shut] = -np.inf
        known = logsumexp(utilities, axis=1, keepdims=True)
        known[np.isneginf(known)] = 0.0  # where the one alternative that was ever chosen is closed
        absent = np.setdiff1d(np.arange(alternatives), self.classes)
        utilities[:, absent] = known - np.log(self.rows + alternatives)
        utilities[shut] = -np.inf
        if self.staying is not None:
            here, there = _cells(previous)
            utilities[here, there] += (X @ self.staying[:-1] + self.staying[-1])[here]
        return log_softmax(utilities, axis=1)


def fit_penalised_logit(
    X: Matrix, chosen: np.ndarray, regularisation: float, *, closed: np.ndarray | None = None,
    previous: np.ndarray | None = None, weights: np.ndarray | float = 1.0, start: PenalisedLogit | None = None,
    tolerance: float = 1e-4, max_iterations: int = 5000,
) -> PenalisedLogit:  # fmt: skip
    """Return the converged logit.

    Args:
        X: [rows, features], sparse or dense.
        chosen: int [rows], the alternative that each row chose.
        regularisation: C, the weight of the log-likelihood (a sum over rows) against half the squared norm of slopes.
        closed: int [rows], the alternative that was closed to it, or a negative number; None where none is.
        previous: int [rows], the alternative where a row can stay, or a negative number; None for no term of staying.
        weights: of features, [features]: a slope is penalised 1/weight^2 as much, as if its column were multiplied.
        start: fitted on the same rows with other penalties, to begin from.
        tolerance: L-BFGS stops when the largest component of the gradient of the mean log-likelihood is below it, each
            coefficient in units of its curvature.
        max_iterations: of L-BFGS.

    Raises:
        InputError: if a row chose a closed alternative.
        NumericalError: if L-BFGS does not converge.
    """
    if closed is not None and (chosen == closed).any():
        raise InputError("logit of destinations: a row chose the alternative that is closed to it.")
    classes, target = np.unique(chosen, return_inverse=True)
    rows, features = X.shape
    penalty = np.append(1.0 / (regularisation * rows * np.broadcast_to(weights, features) ** 2), 0.0)
    closed, previous = (_places(columns, classes) for columns in (closed, previous))
    problem = (X, target, len(classes), closed, previous)
    slopes, shares = (features + 1) * len(classes), np.bincount(target) / rows
    if start is None:
        flat = np.zeros(slopes + (features + 1 if previous is not None else 0))
        flat[slopes - len(classes) : slopes] = np.log(shares)
    else:
        flat = np.append(start.parameters, [] if start.staying is None else start.staying)
    unit = 1.0 / np.sqrt(_curvatures(X, target, shares, previous, penalty))
    each_penalty = np.append(np.repeat(penalty, len(classes)), penalty)[: len(flat)]
    iterations, limits = 0, {"ftol": 0.0, "gtol": tolerance, "maxcor": _STEPS_KEPT}
    for precision in (np.float32, np.float64)[int(tolerance < _SINGLE_PRECISION) :]:
        likelihood = _Likelihood(*problem, precision)

        def objective(scaled: np.ndarray, likelihood: _Likelihood = likelihood) -> tuple[float, np.ndarray]:
            flat = scaled * unit
            loss, gradient = likelihood(flat[:slopes].reshape(features + 1, -1), flat[slopes:])
            shrunk = each_penalty * flat
            return loss / rows + 0.5 * np.vdot(shrunk, flat), (gradient / rows + shrunk) * unit

        left = max_iterations - iterations
        found: OptimizeResult = minimize(
            objective, flat / unit, jac=True, method="L-BFGS-B",
            options={**limits, "maxiter": left, "maxfun": 2 * left},
        )  # fmt: skip
        flat, iterations = found.x * unit, iterations + found.nit
        if found.success or iterations >= max_iterations:
            break
    if not found.success:
        raise NumericalError(
            f"logit, C = {regularisation:g}: not converged in {iterations:,} iterations ({found.message}). "
            "Raise max_iterations, or leave this C out of regularisations."
        )
    staying = flat[slopes:] if previous is not None else None
    return PenalisedLogit(flat[:slopes].reshape(features + 1, -1), staying, classes, rows, iterations)


class Tried(NamedTuple):
    """A value of C with which a logit was estimated as far as a choice between such values asks for.

    Attributes:
        regularisation: C.
        log_likelihood: of other rows, nats.
        logit: as far as it was estimated.
        finished: estimates it to the tolerance that was asked for, and returns the same again.
    """

    regularisation: float
    log_likelihood: float
    logit: PenalisedLogit
    finished: Callable[[], Tried]


def penalty_path(
    X: Matrix, chosen: np.ndarray, regularisations: Sequence[float], score: Callable[[PenalisedLogit], float],
    start: PenalisedLogit | None = None, tolerance: float = 1e-4, **options: Any,
) -> list[Tried]:  # fmt: skip
    """Try one C after the other, from the smallest on, with ten times the tolerance.

    Each fit begins where the one before ended. The path ends early where two values of C in a row have not raised the
    score: the dearest fits are those that overfit. `score` gives the log-likelihood that a fitted logit has elsewhere,
    all else is as in `fit_penalised_logit`.
    """

    def tried(C: float, start: PenalisedLogit | None, until: float) -> Tried:
        logit = fit_penalised_logit(X, chosen, C, start=start, tolerance=until, **options)
        return Tried(C, score(logit), logit, lambda: tried(C, logit, tolerance))

    path: list[Tried] = []
    for C in sorted(regularisations):
        path.append(tried(C, path[-1].logit if path else start, _ROUGHLY * tolerance))
        found = [each.log_likelihood for each in path]
        if len(path) > 2 and max(found[-2:]) <= max(found[:-2]):
            break
    return path


def _places(columns: np.ndarray | None, classes: np.ndarray) -> np.ndarray | None:
    """Return where each alternative stands among the classes, negative where there is none or it is no class."""
    if columns is None:
        return None
    places = np.full(max(int(classes.max()), int(columns.max()), 0) + 1, -1)
    places[classes] = np.arange(len(classes))
    return np.where(columns >= 0, places[columns], -1)


def _curvatures(
    X: Matrix, target: np.ndarray, shares: np.ndarray, previous: np.ndarray | None, penalty: np.ndarray
) -> np.ndarray:
    """Return about how curved the mean objective is along each coefficient, flat as the coefficients are.

    For probabilities at the optimum stands the mean of each feature's own frequencies and the pooled ones.
    """
    rows = X.shape[0]
    squares = X.multiply(X) if issparse(X) else X * X
    chose = csr_matrix((np.ones(rows), (np.arange(rows), target)), shape=(rows, len(shares)))
    own = np.vstack([(chose.T @ squares).T.toarray() if issparse(X) else squares.T @ chose, shares * rows])
    total = own.sum(axis=1, keepdims=True)
    chances = 0.5 * (own / np.maximum(total, np.finfo(float).tiny) + shares)
    curvature = (total / rows * chances * (1.0 - chances) + penalty[:, None]).ravel()
    if previous is not None:
        later = previous >= 0
        stay = (target == previous)[later].mean() if later.any() else 0.5
        weight = np.append(squares.T @ later.astype(float), later.sum()) / rows
        curvature = np.append(curvature, weight * stay * (1.0 - stay) + penalty)
    return np.maximum(curvature, 1.0 / rows**2)


class _Likelihood:
    """The negative log-likelihood of rows, a sum in nats, and its gradient, computed block by block."""

    def __init__(
        self, X: Matrix, target: np.ndarray, classes: int, closed: np.ndarray | None, previous: np.ndarray | None,
        precision: Any,
    ) -> None:  # fmt: skip
        rows, features = X.shape
        filled = X.getnnz(axis=0) if issparse(X) else np.full(features, rows)
        dense = filled > _DENSE * rows
        self._columns = np.append(np.flatnonzero(dense), features), np.flatnonzero(~dense)
        whole = X[:, dense].toarray() if issparse(X) else X
        whole = np.column_stack([whole, np.ones(rows)]).astype(precision)
        parted = csr_matrix(X[:, ~dense], dtype=precision)
        self._target, self._previous, self._precision = target, previous, precision
        self._features, self._classes = features, classes
        self._X = csr_matrix(X, dtype=precision) if previous is not None else None
        self._blocks = []
        for block in (slice(begin, begin + _ROWS_AT_ONCE) for begin in range(0, rows, _ROWS_AT_ONCE)):
            few = parted[block]
            self._blocks.append((block, whole[block], few, few.T.tocsr(), _cells(closed, block)))

    def __call__(self, parameters: np.ndarray, staying: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the loss and its gradient, flat: by parameters, and by the term of staying if there is one."""
        dense, sparse = self._columns
        by_dense, by_sparse = (parameters[columns].astype(self._precision) for columns in self._columns)
        gradient, loss = np.zeros((self._features + 1, self._classes)), 0.0
        if self._previous is not None:
            stay = self._X @ staying[:-1].astype(self._precision) + self._precision(staying[-1])
            errors = np.zeros(len(stay), dtype=self._precision)
        for block, whole, parted, transposed, closed in self._blocks:
            target = self._target[block]
            each = np.arange(len(target))
            utilities = whole @ by_dense
            utilities += parted @ by_sparse
            utilities[closed] = -np.inf
            if self._previous is not None:
                here, there = _cells(self._previous, block)
                utilities[here, there] += stay[block][here]
            utilities -= utilities.max(axis=1, keepdims=True)
            chosen = utilities[each, target].astype(np.float64)
            chances = np.exp(utilities, out=utilities)
            total = chances.sum(axis=1, keepdims=True)
            loss += float((np.log(total[:, 0].astype(np.float64)) - chosen).sum())
            chances /= total
            chances[each, target] -= 1.0
            gradient[dense] += whole.T @ chances
            gradient[sparse] += transposed @ chances
            if self._previous is not None:
                errors[block.start + here] = chances[here, there]
        if self._previous is None:
            return loss, gradient.ravel()
        by_staying = np.append(self._X.T @ errors, errors.sum(dtype=np.float64))
        return loss, np.append(gradient, by_staying)


def _cells(columns: np.ndarray | None, block: slice = slice(None)) -> tuple[np.ndarray, np.ndarray]:
    """Return which rows of a block have a column, and that column; none where there are no columns."""
    within = np.empty(0, dtype=int) if columns is None else columns[block]
    rows = np.flatnonzero(within >= 0)
    return rows, within[rows]
