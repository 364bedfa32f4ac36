"""The logit that baselines share: its gradient, its optimum in either precision, and its path of penalties."""

import numpy as np
import pytest
from scipy.optimize import check_grad
from scipy.sparse import csr_matrix, hstack
from scipy.special import log_softmax

from labor_llm.baselines.penalised_logit import _Likelihood, fit_penalised_logit, penalty_path

CLASSES = 6


@pytest.fixture(scope="module")
def rows():
    """Of 5,000 rows the features (two numbers, and indicators of 40 levels, few rows each), choices and previous."""
    rng = np.random.default_rng(1)
    numbers, level = rng.normal(size=(5000, 2)), rng.integers(40, size=5000)
    X = csr_matrix(hstack([numbers, csr_matrix(np.eye(40)[level])]))
    previous = rng.integers(-1, CLASSES, size=5000)
    utilities = X @ rng.normal(size=(42, CLASSES)) + rng.gumbel(size=(5000, CLASSES))
    utilities[previous >= 0, previous[previous >= 0]] += 1.5 + numbers[previous >= 0, 0]
    return X, utilities.argmax(axis=1), previous


def test_gradient_is_that_of_the_loss_with_closed_alternatives_and_a_term_of_staying(rows):
    X, chosen, previous = (part[:60] for part in rows)
    closed = np.where(chosen == 0, -1, 0)
    slopes = 43 * CLASSES
    point = np.random.default_rng(2).normal(size=slopes + 43)

    def problem(part: int):
        likelihood = _Likelihood(X, chosen, CLASSES, closed, previous, np.float64)
        return lambda flat: likelihood(flat[:slopes].reshape(43, CLASSES), flat[slopes:])[part]

    assert check_grad(problem(0), problem(1), point) < 1e-4


@pytest.mark.parametrize("form", ["plain", "closed", "staying"])
def test_single_precision_ends_at_the_optimum_of_double_precision_from_wherever_it_begins(rows, form):
    X, chosen, previous = rows
    closed = np.where(previous == chosen, -1, previous)
    options = {"plain": {}, "closed": {"closed": closed}, "staying": {"previous": previous}}[form]
    train = {name: columns[:3000] for name, columns in options.items()}
    held = {name: columns[3000:] for name, columns in options.items()}
    exact = fit_penalised_logit(X[:3000], chosen[:3000], 1.0, tolerance=1e-8, **train)
    far = fit_penalised_logit(X[:3000], chosen[:3000], 0.01, **train)
    for start in (None, far):
        for features in (X, X.toarray()):
            fast = fit_penalised_logit(features[:3000], chosen[:3000], 1.0, start=start, **train)
            logs = [
                fitted.log_probabilities(X[3000:], CLASSES, **held)[np.arange(2000), chosen[3000:]].mean()
                for fitted in (fast, exact)
            ]
            assert logs[0] == pytest.approx(logs[1], abs=5e-5)


def test_a_shared_term_of_staying_is_found(rows):
    X, chosen, previous = rows
    numbers = X[:, :2]
    fitted = fit_penalised_logit(X, chosen, 10.0, previous=previous)
    # Drawn with 1.5 + first number: about 4,300 rows, a standard error of some 0.05.
    np.testing.assert_allclose(fitted.staying[[-1, 0, 1]], [1.5, 1.0, 0.0], atol=0.2)
    without = fit_penalised_logit(numbers, chosen, 10.0)
    expected = log_softmax(numbers @ without.parameters[:-1] + without.parameters[-1], axis=1)
    np.testing.assert_allclose(without.log_probabilities(numbers, CLASSES), expected, atol=1e-9)


def test_a_weight_is_a_factor_of_the_column(rows):
    X, chosen, _ = rows
    weights = np.where(np.arange(42) < 2, 1.0, 0.25)
    weighted = fit_penalised_logit(X, chosen, 0.3, weights=weights, tolerance=1e-8)
    scaled = fit_penalised_logit(X.multiply(weights).tocsr(), chosen, 0.3, tolerance=1e-8)
    np.testing.assert_allclose(weighted.parameters[:-1], scaled.parameters[:-1] * weights[:, None], atol=1e-5)


def test_the_path_ends_after_two_penalties_without_gain(rows):
    X, chosen, _ = rows
    scores = iter([1.0, 3.0, 2.0, 2.5, 9.0])
    path = penalty_path(X, chosen, [10.0, 0.1, 0.3, 1.0, 3.0], lambda _: next(scores))
    assert [(C, score) for C, score, *_ in path] == [(0.1, 1.0), (0.3, 3.0), (1.0, 2.0), (3.0, 2.5)]
