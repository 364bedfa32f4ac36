"""Calibration of the whole distribution over titles, several models in one table.

Three numbers a model: the error of its most probable title, that of its groups of occupations, and the temperature
that would have been right (`labor_llm.evaluation.distribution_calibration`, `cross_fitted_temperature`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from labor_llm.evaluation.cross_fitted_temperature import cross_fitted_temperature
from labor_llm.evaluation.distribution_calibration import (
    classwise_calibration,
    mean_classwise_error,
    top_title_calibration,
)
from labor_llm.predictions import Predictions


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
