"""Calibration of the whole distribution over titles: the most probable title, each title, and the temperature.

An error of the most probable title alone says little with hundreds of titles: all other probabilities could be
exchanged without changing it. So it stands beside two others: for each frequent title (or group of titles) the
share of transitions in which it occurs against its mean probability (classwise, after Kull et al. 2019, "Beyond
temperature scaling", NeurIPS), and the temperature T that makes the probabilities p^(1/T), normalised, most
likely on validation workers, with what it gains on test workers (Guo et al. 2017, "On calibration of modern
neural networks", ICML). T above one means that the model is too sure of itself.

All of it is of probabilities among the valid titles, on the transitions for which every title was scored.

The temperature where no validation predictions are stored: fitted on some test workers, tried on the others.

The test workers are divided at random. For each part the temperature is fitted on all other parts
(`distribution_calibration.fitted_temperature`) and applied to it, so that no worker's outcomes choose the temperature
that they are judged with. The gain is over all parts.

Calibration of the whole distribution over titles, several models in one table.

Three numbers a model: the error of its most probable title, that of its groups of occupations, and the temperature
that would have been right (`labor_llm.evaluation.distribution_calibration`, `cross_fitted_temperature`).
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
from labor_llm.errors import InputError, MismatchError
from labor_llm.evaluation.calibration import BINS, SIMULATIONS, Binning, expected_calibration_error
from labor_llm.evaluation.resampling import check_draws, resampled_sums, spread

OTHERS = "all other titles"
MINIMUM_EVENTS = 50
# Natural logarithm of the lowest and highest temperature that are tried.
_RANGE = (-4.0, 4.0)


def top_title_calibration(
    predictions: Predictions,
    bins: int = BINS,
    binning: Binning = "width",
    draws: int = 1000,
    seed: int = 0,
    simulations: int = SIMULATIONS,
) -> pd.DataFrame:
    """Return the expected calibration error of the most probable title.

    Returns:
        One row: `dataset`, `model`, `accuracy` (share of transitions in which the most probable title occurs),
        `mean_probability` (of it), the columns of `calibration_errors` from `calibration_error` on, `workers`.

    Raises:
        InputError: if no transition has the score of every title.
    """
    table, realised = _scored(predictions)
    top, chance = np.empty(len(table), dtype=int), np.empty(len(table))
    for rows, log_probs in normalised_blocks(predictions):
        top[rows] = log_probs.argmax(axis=1)
        chance[rows] = np.exp(log_probs.max(axis=1))
    units, ids = pd.factorize(table["worker_id"], sort=True)
    hit = top == realised
    error = expected_calibration_error(
        chance, hit, (units, len(ids)), bins, binning, draws, seed, simulations
    )
    shares = {"accuracy": hit.mean(), "mean_probability": chance.mean()}
    return pd.DataFrame([_identity(predictions) | shares | error | {"workers": len(ids)}])


def classwise_calibration(
    predictions: Predictions,
    groups: Mapping[str, str] | None = None,
    minimum_events: int = MINIMUM_EVENTS,
    draws: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Return how often each title occurs against how often the model expects it.

    Args:
        predictions: with the scores of every title.
        groups: group by occupation code, to take titles together; each title by itself if None.
        minimum_events: titles or groups that occur less often, or to fewer than eleven workers, are one row.
        draws: bootstrap samples of workers.
        seed: of the samples.

    Returns:
        Columns `dataset`, `model`, `title` (or the group), `expected` (mean probability), `observed` (share of
        transitions), `difference` (observed minus expected) with `test_se`, `ci_low`, `ci_high`, `perfect_error`
        (mean absolute difference of a perfect model, by the normal approximation), `events`, `transitions`,
        `workers_with_event`, `workers`; the most frequent first, what is taken together last.

    Raises:
        InputError: if no transition has the score of every title, or a code has no group.
    """
    check_draws(draws)
    table, realised = _scored(predictions)
    units, ids = pd.factorize(table["worker_id"], sort=True)
    names, class_of = _classes(predictions, groups)
    label = class_of[realised]
    events = np.bincount(label, minlength=len(names))
    with_event = np.bincount(np.unique(label * len(ids) + units) // len(ids), minlength=len(names))
    rare = (events < minimum_events) | (with_event < MINIMUM_PERSONS)
    kept = np.flatnonzero(~rare)
    kept = kept[np.argsort(-events[kept], kind="stable")]
    place = np.full(len(names), len(kept))
    place[kept] = np.arange(len(kept))
    shown = [names[class_] for class_ in kept] + ([OTHERS] if rare.any() else [])
    class_of, label = place[class_of], place[label]
    expected, variance, by_unit = _expectations(predictions, class_of, len(shown), (units, len(ids)))
    observed = np.bincount(label, minlength=len(shown))
    occurred = np.bincount(units * len(shown) + label, minlength=len(ids) * len(shown))
    deviations = occurred.reshape(len(ids), len(shown)) - by_unit
    drawn = resampled_sums(deviations, draws, seed, exactly=False)
    totals = resampled_sums(np.bincount(units, minlength=len(ids))[:, None], draws, seed)
    persons = np.bincount(np.unique(label * len(ids) + units) // len(ids), minlength=len(shown))
    rows = []
    for position, name in enumerate(shown):
        error, low, high = spread(drawn[:, position] / totals[:, 0], len(ids))
        rows.append(
            _identity(predictions)
            | {
                "title": name,
                "expected": expected[position] / len(table),
                "observed": observed[position] / len(table),
                "difference": (observed[position] - expected[position]) / len(table),
                "test_se": error,
                "ci_low": low,
                "ci_high": high,
                "perfect_error": np.sqrt(2.0 / np.pi * variance[position]) / len(table),
                "events": int(observed[position]),
                "transitions": len(table),
                "workers_with_event": int(persons[position]),
                "workers": len(ids),
            }
        )
    return pd.DataFrame(rows)


def mean_classwise_error(classwise: pd.DataFrame) -> pd.DataFrame:
    """Return the mean |observed - expected| over the titles of `classwise_calibration`, a row a model.

    Returns:
        Columns `dataset`, `model`, `classwise_error`, `perfect_error` (mean of a perfect model), `titles` (rows that
        it rests on), `transitions`, `workers`.
    """
    rows = []
    for (dataset, model), part in classwise.groupby(["dataset", "model"], sort=False):
        rows.append(
            {
                "dataset": dataset,
                "model": model,
                "classwise_error": part["difference"].abs().mean(),
                "perfect_error": part["perfect_error"].mean(),
                "titles": len(part),
                "transitions": part["transitions"].iloc[0],
                "workers": part["workers"].iloc[0],
            }
        )
    return pd.DataFrame(rows)


def fitted_temperature(validation: Predictions) -> tuple[float, str]:
    """Return the temperature that makes validation outcomes most likely, and the reason if there is none (NaN).

    Raises:
        InputError: if no transition has the score of every title.
    """
    _, realised = _scored(validation)
    zeros = sum(
        int(np.isneginf(_own(block, realised[rows])).sum()) for rows, block in normalised_blocks(validation)
    )
    if zeros:
        return np.nan, f"probability zero at every temperature for {zeros:,} outcomes of validation workers"
    found = scipy.optimize.minimize_scalar(
        lambda log: _loss(validation, realised, np.exp(log)), bounds=_RANGE, method="bounded",
        options={"xatol": 1e-7},
    )  # fmt: skip
    if min(abs(found.x - edge) for edge in _RANGE) < 1e-3:
        return float(np.exp(found.x)), "at the edge of the temperatures that are tried"
    return float(np.exp(found.x)), ""


def temperature_calibration(
    validation: Predictions, test: Predictions, draws: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Return the temperature fitted on validation workers and what it gains on test workers.

    Returns:
        One row: `dataset`, `model`, `temperature`, `perplexity` (normalised), `tempered_perplexity`, `gain` (mean
        log-probability with temperature minus without, nats per transition) with `test_se`, `ci_low`, `ci_high`,
        `transitions`, `workers`, and `reason` (empty, or why there is no temperature). A gain that is not above
        zero is what a model that is calibrated already has.

    Raises:
        InputError: if no transition has the score of every title, or a worker is in both.
        MismatchError: if the two are of different models or titles.
    """
    check_draws(draws)
    if validation.model != test.model or validation.outcomes.codes != test.outcomes.codes:
        raise MismatchError(
            f"temperature: validation predictions of {validation.model!r}, test predictions of {test.model!r}, or "
            "different titles. Give two sets of one model."
        )
    table, _ = _scored(test)
    if shared := set(validation.table["worker_id"]) & set(test.table["worker_id"]):
        raise InputError(
            f"temperature: {len(shared):,} workers are in the validation and in the test predictions."
        )
    temperature, reason = fitted_temperature(validation)
    plain, tempered = with_temperature(test, temperature)
    units, _ = pd.factorize(table["worker_id"], sort=True)
    measures = gain_of_temperature(plain, tempered, units, draws, seed)
    if not np.isfinite(measures["gain"]) and not reason:
        reason = f"probability zero for {int(np.isneginf(plain).sum()):,} outcomes of test workers"
    return pd.DataFrame([_identity(test) | {"temperature": temperature} | measures | {"reason": reason}])


def gain_of_temperature(
    plain: np.ndarray, tempered: np.ndarray, workers: np.ndarray, draws: int, seed: int
) -> dict[str, float]:
    """Return what a temperature changes, with the error of another sample of workers.

    Args:
        plain: normalised log-probabilities of the realised titles, nats, [transitions].
        tempered: the same with the temperature.
        workers: the number of each transition's worker, from 0 without gaps.
        draws: bootstrap samples of workers.
        seed: of the samples.

    Returns:
        `perplexity`, `tempered_perplexity`, `gain` (mean of the differences, nats per transition) with `test_se`,
        `ci_low` and `ci_high`, `transitions`, `workers`; the gain and its error are NaN where a difference is not
        defined.
    """
    # Where the outcome has probability zero, it has so at every temperature, and the gain is not defined.
    with np.errstate(invalid="ignore"):
        gains = tempered - plain
    counts = np.bincount(workers)
    error, low, high = np.nan, np.nan, np.nan
    if np.isfinite(gains).all():
        drawn = resampled_sums(np.column_stack([np.bincount(workers, gains), counts]), draws, seed)
        error, low, high = spread(drawn[:, 0] / drawn[:, 1], len(counts))
    return {
        "perplexity": np.exp(-plain.mean()),
        "tempered_perplexity": np.exp(-tempered.mean()),
        "gain": gains.mean(),
        "test_se": error,
        "ci_low": low,
        "ci_high": high,
        "transitions": len(workers),
        "workers": len(counts),
    }


def with_temperature(predictions: Predictions, temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the realised titles' normalised log-probabilities as they are and with a temperature.

    Returns:
        Two arrays [transitions scored in full], nats; the second NaN if the temperature is.

    Raises:
        InputError: if no transition has the score of every title.
    """
    table, realised = _scored(predictions)
    plain, tempered = np.empty(len(table)), np.full(len(table), np.nan)
    for rows, log_probs in normalised_blocks(predictions):
        plain[rows] = _own(log_probs, realised[rows])
        if not np.isnan(temperature):
            tempered[rows] = _own(_tempered(log_probs, temperature), realised[rows])
    return plain, tempered


def _scored(predictions: Predictions) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the rows of the table that are scored in full, and the column of their realised title."""
    table = predictions.table[predictions.scored_in_full].reset_index(drop=True)
    return table, np.array(predictions.outcomes.indices(table["occupation"]), dtype=int)


def _classes(predictions: Predictions, groups: Mapping[str, str] | None) -> tuple[list[str], np.ndarray]:
    """Return the names of the classes and the class of each title."""
    codes = predictions.outcomes.codes
    if groups is None:
        return list(predictions.outcomes.titles), np.arange(len(codes))
    if lacking := [code for code in codes if code not in groups]:
        raise InputError(
            f"groups: occupation {lacking[0]!r} has none. Give one for each of the {len(codes)}."
        )
    names = list(dict.fromkeys(groups[code] for code in codes))
    return names, np.array([names.index(groups[code]) for code in codes])


def _expectations(
    predictions: Predictions, class_of: np.ndarray, classes: int, units: tuple[np.ndarray, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return expected number of events, its variance under a perfect model, and the expected number by worker."""
    membership = np.zeros((len(class_of), classes))
    membership[np.arange(len(class_of)), class_of] = 1.0
    expected, variance = np.zeros(classes), np.zeros(classes)
    by_unit = np.zeros((units[1], classes))
    for rows, log_probs in normalised_blocks(predictions):
        chances = np.exp(log_probs) @ membership
        expected += chances.sum(axis=0)
        variance += (chances * (1.0 - chances)).sum(axis=0)
        np.add.at(by_unit, units[0][rows], chances)
    return expected, np.maximum(variance, 0.0), by_unit


def _loss(predictions: Predictions, realised: np.ndarray, temperature: float) -> float:
    total = 0.0
    for rows, log_probs in normalised_blocks(predictions):
        total -= _own(_tempered(log_probs, temperature), realised[rows]).sum()
    return total / len(realised)


def _tempered(log_probs: np.ndarray, temperature: float) -> np.ndarray:
    scaled = log_probs / temperature
    return scaled - scipy.special.logsumexp(scaled, axis=1, keepdims=True)


def _own(log_probs: np.ndarray, columns: np.ndarray) -> np.ndarray:
    return log_probs[np.arange(len(log_probs)), columns]


def _identity(predictions: Predictions) -> dict[str, Any]:
    return {"dataset": predictions.dataset, "model": predictions.model}


def cross_fitted_temperature(
    predictions: Predictions, folds: int = 5, draws: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Return the temperature of a model and what it gains on workers that it was not fitted on.

    Args:
        predictions: of test workers, with the scores of every title for some of them.
        folds: parts that the workers are divided into.
        draws: bootstrap samples of workers, with the temperatures held fixed.
        seed: of the division and of the samples.

    Returns:
        One row: `dataset`, `model`, `temperature` (geometric mean over the parts), `temperature_from` and
        `temperature_to` (lowest and highest), `perplexity` (normalised), `tempered_perplexity`, `gain` (mean
        log-probability with temperature minus without, nats per transition) with `test_se`, `ci_low`, `ci_high`,
        `transitions`, `workers`, and `reason` (empty, or why there is no temperature).

    Raises:
        InputError: if no transition has the score of every title, there are fewer than two parts, or fewer workers
            than parts.
    """
    check_draws(draws)
    scored = predictions.select(predictions.scored_in_full.to_numpy())
    units, ids = pd.factorize(scored.table["worker_id"], sort=True)
    if not 2 <= folds <= len(ids):
        raise InputError(
            f"temperature: {folds} parts of {len(ids):,} workers; give at least two, and no more than workers."
        )
    part_of = (np.random.default_rng((seed, 5)).permutation(len(ids)) % folds)[units]
    temperatures, reason = [], ""
    plain, tempered = np.empty(len(units)), np.empty(len(units))
    for part in range(folds):
        temperature, why = fitted_temperature(scored.select(part_of != part))
        temperatures.append(temperature)
        reason = reason or why
        held_out = part_of == part
        plain[held_out], tempered[held_out] = with_temperature(scored.select(held_out), temperature)
    measures = gain_of_temperature(plain, tempered, units, draws, seed)
    if not np.isfinite(measures["gain"]) and not reason:
        reason = f"probability zero for {int(np.isneginf(plain).sum()):,} outcomes"
    return pd.DataFrame(
        [
            {
                "dataset": scored.dataset,
                "model": scored.model,
                "temperature": float(np.exp(np.mean(np.log(temperatures)))),
                "temperature_from": min(temperatures),
                "temperature_to": max(temperatures),
                **measures,
                "reason": reason,
            }
        ]
    )


def distribution_calibration(
    predictions: Sequence[Predictions],
    groups: Mapping[str, Mapping[str, str]],
    draws: int = 1000,
    seed: int = 0,
    minimum_events: int = 20,
) -> pd.DataFrame:
    """Measure the calibration of the whole distribution over titles, one row a data set and model.

    Args:
        predictions: with the scores of every title, as `shared_events.with_all_titles` returns them.
        groups: for each data set the group of each occupation code, such as the headings of occ1990dd.
        draws: bootstrap samples of workers.
        seed: of the samples, of the simulated perfect model and of the division of workers for the temperature.
        minimum_events: groups of occupations with fewer are taken together.

    Returns:
        Columns `dataset`, `model`; `top_error` and `top_perfect` (of the most probable title); `class_error` and
        `class_perfect` (mean over `classes` groups of occupations of |observed - expected share|); `temperature`
        with `temperature_from`, `temperature_to`; `gain` (nats per transition) with `test_se`; `reason` (empty,
        or why there is no temperature); `transitions`, `workers`.

    Raises:
        InputError: if a prediction has no scores of all titles, or an occupation no group.
    """
    rows = []
    for prediction in predictions:
        dataset = prediction.dataset
        top = top_title_calibration(prediction, draws=draws, seed=seed).iloc[0]
        classwise = classwise_calibration(prediction, groups[dataset], minimum_events, draws, seed)
        classes = mean_classwise_error(classwise).iloc[0]
        heat = cross_fitted_temperature(prediction, draws=draws, seed=seed).iloc[0]
        rows.append(
            {
                "dataset": dataset,
                "model": prediction.model,
                "top_error": top["calibration_error"],
                "top_perfect": top["perfect_mean"],
                "class_error": classes["classwise_error"],
                "class_perfect": classes["perfect_error"],
                "classes": int(classes["titles"]),
                **{
                    name: heat[name]
                    for name in ("temperature", "temperature_from", "temperature_to", "gain", "test_se")
                },
                "reason": heat["reason"],
                "transitions": int(heat["transitions"]),
                "workers": int(heat["workers"]),
            }
        )
    return pd.DataFrame(rows)
