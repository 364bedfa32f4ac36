"""Training-set bootstrap: how much a result would vary with another sample of training workers (TrainSE).

Training workers are resampled with replacement and the model is fitted again, all of it: smoothing, early stopping
and whatever else it chooses on the validation workers. Validation and test workers stay as they are, and so does
the seed of the fit, which `fit` holds. Every refit is stored as predictions, so that an interrupted bootstrap goes
on where it stopped, and the same refits serve every measure.

The standard deviation over R refits (one degree of freedom lost) is itself known only within a relative error of
about 1 / sqrt(2 (R - 1)), which stands beside it, as R does. Refits see fewer different workers than the model
itself, so their mean is a little worse than the model's result, which is what tables show.

TrainSE errs on the safe side. Near its optimum the loss of a model that estimates theta is quadratic in the
error of theta, so that what fresh training samples would change is small; a resampled fit varies around the fitted
theta, where the loss has a slope already. For a regular model and a large test sample the variance is three times as
large: with errors e of the fit and d of the refit, alike and independent in each of p directions, Var |e + d|^2 given
e is on average 6 p against 2 p for Var |e|^2, so that TrainSE is about 1.7 times what fresh training samples of
the same size would show.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from labor_llm.careers.predictions import MASS_TOLERANCE, Predictions
from labor_llm.errors import InputError
from labor_llm.evaluation.comparison import compare
from labor_llm.evaluation.perplexity import NORMALISED_TOLERANCE, perplexity


def train_standard_errors(
    refits: Sequence[Sequence[Predictions]], by: str | None = None, normalised: bool = False
) -> pd.DataFrame:
    """Return TrainSE of each model's perplexity.

    Args:
        refits: of each model and data set, as `training_refits` returns them.
        by: a column such as 'transition_type' for one row per value.
        normalised: of probabilities among the valid titles.

    Returns:
        Columns `dataset`, `model`, (`by`), `mean_over_refits`, `train_se` (standard deviation over refits),
        `relative_error` (of `train_se` itself, about), `refits`, `transitions`, `workers`. `train_se` is NaN where a
        refit's perplexity is infinite.

    Raises:
        InputError, MismatchError: if a model has fewer than two refits, or they predict different transitions.
    """
    rows = []
    for model in refits:
        for key, values, counts in _by_refit(model, by, normalised):
            rows.append(key | _spread_over_refits(np.exp(-values), "mean_over_refits") | counts)
    return pd.DataFrame(rows)


def train_difference_errors(
    refits: Sequence[Sequence[Predictions]], reference: str, by: str | None = None, normalised: bool = False
) -> pd.DataFrame:
    """Return TrainSE of the difference of each model from a reference, paired by refit.

    Returns:
        Columns `dataset`, `model`, `reference`, (`by`), `mean_over_refits` (of the difference in perplexity, model
        minus reference), `train_se`, `relative_error`, `refits`, `transitions`, `workers`. Refits are paired by
        number: give refits of the same seed.

    Raises:
        InputError: if the reference is not there, or has another number of refits; and as `train_standard_errors`.
    """
    found = [entry for model in refits for entry in _by_refit(model, by, normalised)]
    bases = {_cell(key): values for key, values, _ in found if key["model"] == reference}
    rows = []
    for key, values, counts in found:
        if key["model"] == reference:
            continue
        base = bases.get(_cell(key))
        if base is None or len(base) != len(values):
            raise InputError(
                f"{key['dataset']}: {len(values)} refits of {key['model']!r}, {0 if base is None else len(base)} of "
                f"the reference {reference!r}. Refit both as often, with the same seed."
            )
        with np.errstate(invalid="ignore"):
            difference = np.exp(-values) - np.exp(-base)
        identity = {"dataset": key["dataset"], "model": key["model"], "reference": reference}
        group = {by: key[by]} if by else {}
        rows.append(identity | group | _spread_over_refits(difference, "mean_over_refits") | counts)
    return pd.DataFrame(rows)


def _by_refit(
    refits: Sequence[Predictions], by: str | None, normalised: bool
) -> list[tuple[dict[str, Any], np.ndarray, dict[str, int]]]:
    """Return for each group its key, the mean log-probability of each refit, and counts."""
    if len(refits) < 2 or len({prediction.model for prediction in refits}) > 1:
        raise InputError(f"training bootstrap: {len(refits)} refits given; give at least two, of one model.")
    numbered = [
        Predictions(f"refit {number}", prediction.table, prediction.outcomes)
        for number, prediction in enumerate(refits)
    ]
    entries = []
    for comparison in compare(numbered, [by]):
        workers, _ = comparison.units("worker_id")
        log_probs, tolerance = comparison.log_probs, MASS_TOLERANCE
        if normalised:
            log_probs, tolerance = log_probs - comparison.log_valid_masses, NORMALISED_TOLERANCE
        for group, rows in comparison.groups(by):
            kept = rows[comparison.compared_in_full[rows].all(axis=1)] if normalised else rows
            means = np.array([-np.log(perplexity(column, tolerance)) for column in log_probs[kept].T])
            key = {"dataset": comparison.dataset, "model": refits[0].model} | group
            entries.append((key, means, {"transitions": len(kept), "workers": len(np.unique(workers[kept]))}))
    return entries


def _spread_over_refits(values: np.ndarray, name: str) -> dict[str, Any]:
    finite = np.isfinite(values).all()
    return {
        name: float(values.mean()),
        "train_se": float(values.std(ddof=1)) if finite else np.nan,
        "relative_error": 1.0 / np.sqrt(2.0 * (len(values) - 1)),
        "refits": len(values),
    }


def _cell(key: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(value for name, value in key.items() if name != "model")
