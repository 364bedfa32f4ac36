"""A model fitted again on resampled training workers: whole workers drawn with replacement, every refit stored.

What all refits say of the same test workers shows how much a model's numbers owe to who was trained on (TrainSE).
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from labor_llm.careers.histories import NextJobModel
from labor_llm.careers.panel import CareerPanel
from labor_llm.careers.predictions import Predictions, read_predictions, write_predictions
from labor_llm.errors import ArtefactError, InputError
from labor_llm.store.results import stored

Fit = Callable[[CareerPanel, CareerPanel], NextJobModel]


def resampled_training(train: CareerPanel, seed: int, refit: int) -> CareerPanel:
    """Return as many workers drawn with replacement; a worker's second and later copies have ids of their own.

    The sample depends on the seed, the number of the refit and the sorted worker ids alone.

    Raises:
        InputError: if there is no worker.
    """
    workers = sorted(train.workers)
    if not workers:
        raise InputError("training bootstrap: the training panel holds no workers.")
    drawn = np.random.default_rng((seed, refit, 2)).integers(len(workers), size=len(workers))
    times = pd.Series(np.bincount(drawn, minlength=len(workers)), index=workers)
    frame = train.frame.loc[train.frame.index.repeat(train.frame["worker_id"].map(times))]
    copy = frame.groupby(level=0).cumcount()
    names = frame["worker_id"].mask(copy > 0, frame["worker_id"] + "~" + copy.astype(str))
    frame = frame.assign(worker_id=names).sort_values(["worker_id", "year"], ignore_index=True)
    return CareerPanel(frame, train.outcomes, train.survey)


def training_refits(
    fit: Fit,
    train: CareerPanel,
    validation: CareerPanel,
    test: CareerPanel,
    refits: int,
    folder: Path,
    seed: int = 0,
    made_by: Mapping[str, Any] | None = None,
) -> list[Predictions]:
    """Return what a model says of test workers, fitted again on each of two or more samples of training workers.

    Each refit is stored as soon as it is made, as `refit_000` and so on below `folder`, without the probabilities of
    all titles. One that is stored already, of the same careers, seed and model, is read; others are replaced, those
    beyond `refits` removed. With one seed and the same training workers all models are fitted on the same samples, so
    that their differences are paired. `made_by` says what else makes the model, such as settings and code (JSON
    values).

    Raises:
        InputError: if fewer than two refits are asked for, or there is no training worker.
    """
    if refits < 2:
        raise InputError(f"refits: {refits} found; a standard error needs at least two.")
    careers = [panel.checksum() for panel in (train, validation, test)]
    described = json.dumps([seed, dict(made_by or {}), careers], sort_keys=True)
    identity = hashlib.sha256(described.encode()).hexdigest()
    results = []
    for refit in range(refits):

        def make(_: Path, refit: int = refit) -> tuple[Predictions, dict[str, int]]:
            full = fit(resampled_training(train, seed, refit), validation).predict(test)
            return Predictions(full.model, full.table, full.outcomes), {"refit": refit, "seed": seed}

        place = folder / f"refit_{refit:03d}"
        results.append(stored(place, identity, make, read_predictions, write_predictions))
    for place in sorted(folder.glob("refit_*"))[refits:]:
        shutil.rmtree(place)
    return results


def stored_refits(folder: Path) -> list[Predictions]:
    """Return the refits that are stored in a folder, in their order, checksums verified.

    Raises:
        ArtefactError: if there are none, one is missing between others, or one was changed.
    """
    places = sorted(place for place in Path(folder).glob("refit_*") if place.is_dir())
    if not places or [place.name for place in places] != [f"refit_{n:03d}" for n in range(len(places))]:
        raise ArtefactError(
            f"{folder}: {len(places)} refits found, not all from the first on. Run the bootstrap again."
        )
    return [read_predictions(place) for place in places]
