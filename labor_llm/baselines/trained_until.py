"""Baselines trained on the years up to one, and on as many records of all years, for the chapter on structural change.

A model that is trained up to a year has seen fewer records as well as older ones. A third training, on all years of
so many training workers that there are as many records, tells the one from the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from labor_llm.baselines.fitted_again import fit_baselines_again
from labor_llm.careers import CareerPanel
from labor_llm.errors import InputError
from labor_llm.evaluation.structural_change import ALL_YEARS, AS_MANY, UP_TO, train_up_to
from labor_llm.predictions import Predictions, read_predictions
from labor_llm.results import Results


def as_many_records(
    panel: CareerPanel, splits: Mapping[str, str], records: int, seed: int = 0
) -> CareerPanel:
    """Return whole careers of some training workers, drawn at random, with about so many records; others as they are.

    Raises:
        InputError: if the training workers have fewer records, or not one of them is drawn.
    """
    lengths = panel.split(splits, "train").frame.groupby("worker_id", sort=True).size()
    if lengths.sum() < records:
        raise InputError(
            f"{panel.dataset}: {lengths.sum():,} records of training workers, {records:,} asked for."
        )
    shuffled = lengths.iloc[np.random.default_rng(seed).permutation(len(lengths))]
    kept = shuffled.index[: int(np.abs(shuffled.cumsum().to_numpy() - records).argmin()) + 1]
    others = [worker for worker, split in splits.items() if split != "train"]
    return panel.restrict([*kept, *others])


def predictions_by_training(
    names: Sequence[str],
    panel: CareerPanel,
    splits: Mapping[str, str],
    last_year: int,
    results: Results,
    seed: int = 0,
) -> dict[str, dict[str, Predictions]]:
    """Return each baseline's predictions for the test workers, by what it was trained on.

    Args:
        names: keys of `labor_llm.baselines.BASELINES`.
        panel: all workers.
        splits: the split of each worker.
        last_year: of the training that ends early.
        results: where CAREER lies, as `fit_baselines_again` says.
        seed: of the workers of the third training.

    Returns:
        By the baseline's name in tables and `ALL_YEARS`, `UP_TO` or `AS_MANY`, predictions of all their records.

    Raises:
        InputError: as `train_up_to`, `as_many_records` and `fit_baselines`.
    """
    early = train_up_to(panel, splits, last_year)
    until = CareerPanel(
        pd.concat([early.train.frame, early.validation.frame], ignore_index=True),
        panel.outcomes,
        panel.survey,
    )
    as_many = as_many_records(panel, splits, len(early.train.frame), seed)
    test = panel.split(splits, "test")
    found: dict[str, dict[str, Predictions]] = {}
    for training, careers, variant in (
        (ALL_YEARS, panel, ""),
        (AS_MANY, as_many, f"as-many-as-until-{last_year}"),
        (UP_TO, until, f"until-{last_year}"),
    ):
        for baseline in fit_baselines_again(names, careers, splits, results, variant).values():
            found.setdefault(baseline.name, {})[training] = baseline.predict(test)
    return found


def stored_by_training(
    dataset: str, models: Sequence[str], models_until: Sequence[str], results: Results
) -> dict[str, dict[str, Predictions]]:
    """Return stored predictions of models that were trained on all years, and of the same trained up to a year.

    Args:
        dataset: short name of the data set.
        models: short names of the predictions of models trained on all years.
        models_until: those of the same models trained up to the year, in the same order.
        results: where notebook 05 has stored them.

    Raises:
        InputError: if there are not as many of both.
        ArtefactError: if predictions are missing.
    """
    if len(models) != len(models_until):
        raise InputError(
            f"{len(models)} models of all years and {len(models_until)} of the years up to one: name them in pairs."
        )
    found = {}
    for name, name_until in zip(models, models_until, strict=True):
        whole = read_predictions(results.predictions(dataset, name))
        until = read_predictions(results.predictions(dataset, name_until))
        found[whole.model] = {ALL_YEARS: whole, UP_TO: until}
    return found
