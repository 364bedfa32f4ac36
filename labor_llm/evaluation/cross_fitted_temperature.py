"""The temperature where no validation predictions are stored: fitted on some test workers, tried on the others.

The test workers are divided at random. For each part the temperature is fitted on all other parts
(`distribution_calibration.fitted_temperature`) and applied to it, so that no worker's outcomes choose the temperature
that they are judged with. The gain is over all parts.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from labor_llm.errors import InputError
from labor_llm.evaluation.distribution_calibration import (
    fitted_temperature,
    gain_of_temperature,
    with_temperature,
)
from labor_llm.evaluation.resampling import check_draws
from labor_llm.predictions import Predictions


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
