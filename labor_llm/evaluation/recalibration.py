"""Recalibration of binary tasks: intercept and slope of the event on the logit of its probability.

The event is regressed on the logit of its probability (Cox 1958, "Two further applications of a model for binary
regression", Biometrika 45, 562-565). A calibrated model has intercept 0 and slope 1; a slope below one means
probabilities that are too extreme, one above it probabilities that are too timid. With the slope held at one, the
intercept is calibration in the large. Standard errors are clustered by worker.

A probability of exactly zero or one has no logit: the result is then NaN with the reason, nothing is clipped. Nor is
there a slope where all events have higher probabilities than all other transitions, or lower ones, equal ones aside:
the steeper, the more likely, and where a fit stops says nothing (Albert and Anderson 1984, "On the existence of maximum
likelihood estimates in logistic regression models", Biometrika 71, 1-10).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from warnings import catch_warnings, simplefilter

import numpy as np
import pandas as pd
import scipy.optimize
import scipy.special

from labor_llm.evaluation.binary_tasks import BinaryEvents
from labor_llm.evaluation.ranking import event_groups

ITERATIONS = 200
# Largest gradient of the mean log-likelihood, relative to the regressor, at which a fit counts as arrived.
TOLERANCE = 1e-8
# Log-probabilities are stored as float32: log odds that differ by less, relatively, differ by rounding.
ROUNDING = 1e-6


def recalibration(
    events: Sequence[BinaryEvents], by: str | None = None, unit: str = "worker_id"
) -> pd.DataFrame:
    """Return intercept and slope of the event on the logit of its probability, for each model.

    Returns:
        Columns `dataset`, `task`, `population`, `model`, `normalised`, (`by`), `intercept`, `intercept_se`,
        `slope`, `slope_se`, `in_the_large` (intercept where the slope is one), `in_the_large_se`, `transitions`,
        `events`, `workers` and `reason` (empty, or why the others are NaN). Standard errors are clustered by
        `unit`, with statsmodels' correction for few clusters.

    Raises:
        InputError: if there is no such column.
    """
    rows = []
    for task in events:
        units, _ = task.units(unit)
        for position, model in enumerate(task.models):
            for group, members in event_groups(task, by):
                occurred = task.outcomes[members]
                counts = {
                    "transitions": len(members),
                    "events": int(occurred.sum()),
                    "workers": task.table["worker_id"].iloc[members].nunique(),
                }
                fitted = _recalibrated(task.probabilities[members, position], occurred, units[members])
                reason = fitted.pop("reason")
                rows.append(task.identity(model) | group | fitted | counts | {"reason": reason})
    return pd.DataFrame(rows)


def _recalibrated(probabilities: np.ndarray, occurred: np.ndarray, units: np.ndarray) -> dict[str, Any]:
    names = ("intercept", "intercept_se", "slope", "slope_se", "in_the_large", "in_the_large_se")
    if reason := _not_recalibrated(probabilities, occurred):
        return dict.fromkeys(names, np.nan) | {"reason": reason}
    # Only here, as it takes long to import.
    from sklearn.linear_model import LogisticRegression

    logit = scipy.special.logit(probabilities)
    # No penalty: the maximum of the likelihood.
    fitted = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-10, max_iter=ITERATIONS)
    with catch_warnings():
        # It warns where it changes the solver as well; whether it arrived is seen from the gradient.
        simplefilter("ignore")
        fitted.fit(logit[:, None], occurred)
    intercept, slope = float(fitted.intercept_[0]), float(fitted.coef_[0, 0])
    regressors = np.column_stack([np.ones(len(logit)), logit])
    gradient = regressors.T @ (occurred - scipy.special.expit(intercept + slope * logit)) / len(logit)
    if not (np.abs(gradient) <= TOLERANCE * np.abs(regressors).max(axis=0)).all():
        reason = "the fit of intercept and slope did not converge"
        return dict.fromkeys(names, np.nan) | {"reason": reason}
    errors = _clustered(regressors, intercept + slope * logit, occurred, units)
    # If all logits were the lowest or the highest one, the shift to the log odds of the share would be the solution;
    # so it lies between these two. One more on each side covers rounding.
    middle = scipy.special.logit(occurred.mean())
    large = scipy.optimize.brentq(
        lambda a: scipy.special.expit(a + logit).sum() - occurred.sum(),
        middle - logit.max() - 1.0,
        middle - logit.min() + 1.0,
    )
    (large_error,) = _clustered(regressors[:, :1], large + logit, occurred, units)
    values = (intercept, errors[0], slope, errors[1], large, large_error)
    return dict(zip(names, map(float, values), strict=True)) | {"reason": ""}


def _not_recalibrated(probabilities: np.ndarray, occurred: np.ndarray) -> str:
    certain = int(((probabilities <= 0.0) | (probabilities >= 1.0)).sum())
    if certain:
        return f"a probability of exactly zero or one in {certain:,} transitions"
    if not len(occurred) or occurred.all() or not occurred.any():
        return "only one outcome occurs"
    logit = scipy.special.logit(probabilities)
    if np.ptp(logit) <= ROUNDING * max(1.0, np.abs(logit).max()):
        return "all probabilities are equal"
    events, others = probabilities[occurred], probabilities[~occurred]
    if others.max() <= events.min() or events.max() <= others.min():
        return "the probabilities separate the outcomes, equal ones aside"
    return ""


def _clustered(
    regressors: np.ndarray, log_odds: np.ndarray, occurred: np.ndarray, units: np.ndarray
) -> np.ndarray:
    """Return the cluster-robust standard errors of a logit (Liang and Zeger 1986); NaN with one cluster."""
    chances = scipy.special.expit(log_odds)
    bread = np.linalg.inv((regressors * (chances * (1.0 - chances))[:, None]).T @ regressors)
    scores = regressors * (occurred - chances)[:, None]
    codes, present = pd.factorize(units)
    by_unit = np.column_stack([np.bincount(codes, score) for score in scores.T])
    clusters, (size, parameters) = len(present), regressors.shape
    if clusters < 2:
        return np.full(parameters, np.nan)
    correction = clusters / (clusters - 1) * (size - 1) / (size - parameters)
    return np.sqrt(correction * np.diag(bread @ by_unit.T @ by_unit @ bread))
