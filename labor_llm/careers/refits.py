"""Models fitted again on resampled training workers: the draw of workers, and the stored predictions of each refit."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from labor_llm.careers.horizons import NextJobModel
from labor_llm.careers.panel import CareerPanel
from labor_llm.careers.predictions import Predictions, read_predictions, write_predictions
from labor_llm.errors import ArtefactError, InputError, MismatchError
from labor_llm.store.artefacts import verify

Fit = Callable[[CareerPanel, CareerPanel], NextJobModel]


def resampled_training(train: CareerPanel, seed: int, refit: int) -> CareerPanel:
    """Return as many workers drawn with replacement; a worker's second and later copies have ids of their own.

    Args:
        train: the training workers.
        seed: non-negative.
        refit: number of the sample; it depends on nothing but seed, number and the sorted worker ids.

    Raises:
        InputError: if there is no worker.
    """
    workers = sorted(train.workers)
    if not workers:
        raise InputError("training bootstrap: the training panel holds no workers.")
    generator = np.random.default_rng((seed, refit, 2))
    drawn = np.bincount(generator.integers(len(workers), size=len(workers)), minlength=len(workers))
    times = dict(zip(workers, drawn, strict=True))
    counts = train.frame["worker_id"].map(times).to_numpy()
    parts = []
    for copy in range(int(drawn.max())):
        part = train.frame[counts > copy]
        parts.append(part.assign(worker_id=part["worker_id"] + f"~{copy}") if copy else part)
    frame = pd.concat(parts).sort_values(["worker_id", "year"], ignore_index=True)
    return CareerPanel(frame, train.outcomes, train.survey)


def training_refits(
    fit: Fit,
    train: CareerPanel,
    validation: CareerPanel,
    test: CareerPanel,
    refits: int,
    seed: int = 0,
    folder: Path | None = None,
    settings: Mapping[str, Any] | None = None,
    keep_matrix: bool = False,
    replace: bool = False,
) -> list[Predictions]:
    """Return the test predictions of a model fitted again on each of several samples of training workers.

    Args:
        fit: (training panel, validation panel) to a fitted model.
        train: training workers.
        validation: as they are for every refit.
        test: as they are for every refit.
        refits: at least two.
        seed: of the samples; models with the same seed and training workers are fitted on the same samples, so that
            their differences are paired.
        folder: where each refit is stored as soon as it is made, `refit_000` and so on, and looked for; a folder
            with nothing in it, as a workflow prepares for its outputs, is no refit. None to store nothing.
        settings: what else makes the model (JSON values); a stored refit with others is refused.
        keep_matrix: whether the probabilities of all titles are kept, for tasks other than perplexity.
        replace: whether stored refits from other careers, seed or settings are replaced, and those beyond `refits`
            removed.

    Raises:
        InputError: if fewer than two refits are asked for, or there is no training worker.
        MismatchError: if a stored refit was made from other careers, another seed or other settings, and is not to be
            replaced.
        ArtefactError: if a stored refit was changed or is damaged.
    """
    if refits < 2:
        raise InputError(f"refits: {refits} found; a standard error needs at least two.")
    made_from = _identity(
        {"train": train, "validation": validation, "test": test}, seed, settings or {}, keep_matrix
    )
    results = []
    for refit in range(refits):
        place = None if folder is None else Path(folder) / f"refit_{refit:03d}"
        stored = place is not None and place.is_dir() and any(place.iterdir())
        if place is not None and stored and not (replace and not _is_from(place, made_from)):
            if not _is_from(place, made_from):
                raise MismatchError(
                    f"{place}: this refit was made from other careers, another seed or other settings. Give another "
                    "folder, or remove this one."
                )
            results.append(read_predictions(place))
            continue
        predictions = fit(resampled_training(train, seed, refit), validation).predict(test)
        if not keep_matrix:
            predictions = Predictions(predictions.model, predictions.table, predictions.outcomes)
        if place is not None:
            write_predictions(place, predictions, {"made_from": made_from, "refit": refit, "seed": seed})
        results.append(predictions)
    if replace and folder is not None:
        for place in sorted(Path(folder).glob("refit_*"))[refits:]:
            shutil.rmtree(place)
    return results


def _is_from(place: Path, made_from: str) -> bool:
    return bool(verify(place)["parameters"].get("made_from") == made_from)


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


def _identity(
    panels: Mapping[str, CareerPanel], seed: int, settings: Mapping[str, Any], keep_matrix: bool
) -> str:
    """Return a checksum of all that a refit is made from, but its number."""
    digest = hashlib.sha256(json.dumps([seed, dict(settings), keep_matrix], sort_keys=True).encode())
    for name, panel in panels.items():
        digest.update(f"{name} {panel.survey} {'|'.join(panel.outcomes.codes)}".encode())
        digest.update(pd.util.hash_pandas_object(panel.frame, index=False).to_numpy().tobytes())
    return digest.hexdigest()
