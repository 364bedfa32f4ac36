"""Calibration of the whole distribution over titles: the most probable title, each group, and the temperature.

An error of the most probable title alone says little with hundreds of titles, so it stands beside two others: for each
group of occupations the share of transitions in which it occurs against its mean probability (classwise, after Kull et
al. 2019, "Beyond temperature scaling", NeurIPS), and the temperature T that makes the probabilities p^(1/T),
normalised, most likely on other workers, with what it gains (Guo et al. 2017, "On calibration of modern neural
networks", ICML). T above one means that the model is too sure of itself.

For the temperature the test workers are divided at random. For each part it is fitted on all other parts and applied
to it, so that no worker's outcomes choose the temperature that they are judged with. The gain is over all parts.

All of it is of probabilities among the valid titles, on the transitions for which every title was scored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import scipy.optimize
import scipy.special

from labor_llm.careers.predictions import Predictions, normalised_blocks
from labor_llm.disclosure import MINIMUM_PERSONS
from labor_llm.errors import InputError
from labor_llm.evaluation.calibration import BINS, expected_calibration_error
from labor_llm.evaluation.resampling import spread_of_mean

# Groups of occupations that occur less often, or to fewer than eleven workers, are taken together.
MINIMUM_EVENTS = 20
# Parts that the workers are divided into for the temperature.
FOLDS = 5
# Natural logarithm of the lowest and highest temperature that are tried.
_RANGE = (-4.0, 4.0)


def distribution_calibration(
    predictions: Sequence[Predictions],
    groups: Mapping[str, Mapping[str, str]],
    draws: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Measure the calibration of the whole distribution over titles, one row a data set and model.

    Args:
        predictions: with the scores of every title, as `comparison.with_all_titles` returns them.
        groups: for each data set the group of each occupation code, such as the headings of occ1990dd.
        draws: bootstrap samples of workers.
        seed: of the samples, of the simulated perfect model and of the division of workers for the temperature.

    Returns:
        Columns `dataset`, `model`; `top_error` and `top_perfect` (of the most probable title); `class_error` and
        `class_perfect` (mean over `classes` groups of occupations of |observed - expected share|); `temperature`
        (geometric mean over the parts), `gain` (mean log-probability with temperature minus without, nats per
        transition) with `test_se`, the temperatures held fixed; `reason` (empty, or why there is no temperature);
        `transitions`, `workers`.

    Raises:
        InputError: below two draws, or if a prediction has no scores of all titles, an occupation no group, or there
            are fewer than five workers.
    """
    rows = []
    for prediction in predictions:
        full = prediction.select(prediction.scored_in_full.to_numpy())
        rows.append(
            {"dataset": prediction.dataset, "model": prediction.model}
            | _top_title_error(full, seed)
            | _class_error(full, groups[prediction.dataset])
            | _cross_fitted_temperature(full, draws, seed)
            | {"transitions": len(full.table), "workers": full.table["worker_id"].nunique()}
        )
    return pd.DataFrame(rows)


def _top_title_error(predictions: Predictions, seed: int) -> dict[str, float]:
    """Return the expected calibration error of the most probable title, and that of a perfect model."""
    realised = _realised(predictions)
    top, chance = np.empty(len(realised), dtype=int), np.empty(len(realised))
    for rows, log_probs in normalised_blocks(predictions):
        top[rows] = log_probs.argmax(axis=1)
        chance[rows] = np.exp(log_probs.max(axis=1))
    bins = np.minimum((chance * BINS).astype(int), BINS - 1)
    error = expected_calibration_error(chance, top == realised, bins, seed)
    return {"top_error": error["calibration_error"], "top_perfect": error["perfect_mean"]}


def _class_error(predictions: Predictions, groups: Mapping[str, str]) -> dict[str, float]:
    """Return how often groups of occupations, rare ones as one, occur against how often the model expects them.

    That of a perfect model is by the normal approximation.
    """
    codes = predictions.outcomes.codes
    if lacking := [code for code in codes if code not in groups]:
        raise InputError(
            f"groups: occupation {lacking[0]!r} has none. Give one for each of the {len(codes)}."
        )
    class_of, names = pd.factorize(np.array([groups[code] for code in codes], dtype=object))
    realised = _realised(predictions)
    by_class = predictions.table["worker_id"].groupby(class_of[realised])
    counts = by_class.agg(["size", "nunique"]).reindex(range(len(names)), fill_value=0)
    rare = ((counts["size"] < MINIMUM_EVENTS) | (counts["nunique"] < MINIMUM_PERSONS)).to_numpy()
    kept, class_of = np.unique(np.where(rare[class_of], len(names), class_of), return_inverse=True)
    membership = (class_of[:, None] == np.arange(len(kept))).astype(float)
    expected, variance = np.zeros(len(kept)), np.zeros(len(kept))
    for _, log_probs in normalised_blocks(predictions):
        chances = np.exp(log_probs) @ membership
        expected += chances.sum(axis=0)
        variance += (chances * (1.0 - chances)).sum(axis=0)
    observed = np.bincount(class_of[realised], minlength=len(kept))
    perfect = np.sqrt(2.0 / np.pi * np.maximum(variance, 0.0))
    return {
        "class_error": np.abs(observed - expected).mean() / len(realised),
        "class_perfect": perfect.mean() / len(realised),
        "classes": len(kept),
    }


def _cross_fitted_temperature(predictions: Predictions, draws: int, seed: int) -> dict[str, Any]:
    """Return the temperature of a model and what it gains on workers that it was not fitted on."""
    units, ids = pd.factorize(predictions.table["worker_id"], sort=True)
    if len(ids) < FOLDS:
        raise InputError(
            f"temperature: {FOLDS} parts of {len(ids):,} workers; give at least two, and no more than workers."
        )
    part_of = (np.random.default_rng((seed, 5)).permutation(len(ids)) % FOLDS)[units]
    temperatures, reason, gains = [], "", np.empty(len(units))
    for part in range(FOLDS):
        temperature, why = _fitted_temperature(predictions.select(part_of != part))
        temperatures.append(temperature)
        reason = reason or why
        gains[part_of == part] = _gains(predictions.select(part_of == part), temperature)
    gain, error = gains.mean(), spread_of_mean(gains, units, draws, seed)["test_se"]
    temperature = float(np.exp(np.mean(np.log(temperatures))))
    return {"temperature": temperature, "gain": gain, "test_se": error, "reason": reason}


def _fitted_temperature(predictions: Predictions) -> tuple[float, str]:
    """Return the temperature that makes outcomes most likely, and the reason if there is none (NaN)."""
    realised = _realised(predictions)
    if zeros := int(np.isneginf(predictions.table["log_prob"]).sum()):
        return np.nan, f"probability zero at every temperature for {zeros:,} outcomes of validation workers"
    found = scipy.optimize.minimize_scalar(
        lambda log: _loss(predictions, realised, np.exp(log)), bounds=_RANGE, method="bounded",
        options={"xatol": 1e-7},
    )  # fmt: skip
    at_edge = min(abs(found.x - edge) for edge in _RANGE) < 1e-3
    return float(np.exp(found.x)), "at the edge of the temperatures that are tried" if at_edge else ""


def _loss(predictions: Predictions, realised: np.ndarray, temperature: float) -> float:
    total = 0.0
    for rows, log_probs in normalised_blocks(predictions):
        total -= _own(_tempered(log_probs, temperature), realised[rows]).sum()
    return total / len(realised)


def _gains(predictions: Predictions, temperature: float) -> np.ndarray:
    """Return what a temperature adds to each realised title's log-probability, nats; NaN where it is not defined."""
    realised, gains = _realised(predictions), []
    for rows, log_probs in normalised_blocks(predictions):
        # An outcome of probability zero has it at every temperature.
        with np.errstate(invalid="ignore"):
            tempered = _own(_tempered(log_probs, temperature), realised[rows])
            gains.append(tempered - _own(log_probs, realised[rows]))
    return np.concatenate(gains)


def _tempered(log_probs: np.ndarray, temperature: float) -> np.ndarray:
    scaled = log_probs / temperature
    return scaled - scipy.special.logsumexp(scaled, axis=1, keepdims=True)


def _own(log_probs: np.ndarray, columns: np.ndarray) -> np.ndarray:
    return log_probs[np.arange(len(log_probs)), columns]


def _realised(predictions: Predictions) -> np.ndarray:
    """Return the column of each transition's realised title."""
    return np.array(predictions.outcomes.indices(predictions.table["occupation"]), dtype=int)
