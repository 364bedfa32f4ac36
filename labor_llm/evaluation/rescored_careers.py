"""Careers with other workers' covariates, each scored once, however many permutations it occurs in.

A covariate has few values, so permutations with several seeds give a worker the same few resumes over and over, and
often its own. A language model takes as long for each, so only those that differ from the worker's own and from each
other are scored, in one panel, and every permutation is put together from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import pandas as pd

from labor_llm.career_schema import STATIC
from labor_llm.careers import CareerPanel
from labor_llm.disclosure import MINIMUM_PERSONS
from labor_llm.errors import InputError, MismatchError
from labor_llm.predictions import TRANSITION_COLUMNS, Predictions

Permutation = tuple[str, int]


class Predictor(Protocol):
    """A fitted model that is cheap enough to predict every permutation."""

    def predict(self, panel: CareerPanel) -> Predictions:
        """Return the predictions of every record of a panel."""


def random_workers(panel: CareerPanel, number: int, seed: int) -> CareerPanel:
    """Return the panel of some of its workers, drawn at random; of all if there are no more, or `number` is -1.

    Raises:
        InputError: if fewer than eleven are asked for, on which no number could be shown.
    """
    if number != -1 and number < MINIMUM_PERSONS:
        raise InputError(f"workers: {number} found; give at least {MINIMUM_PERSONS}, or -1 for all.")
    workers = sorted(panel.workers)
    if not 0 <= number < len(workers):
        return panel
    return panel.restrict(np.random.default_rng((seed, 7)).choice(workers, number, replace=False).tolist())


def careers_to_score(panel: CareerPanel, permuted: Mapping[Permutation, CareerPanel]) -> CareerPanel:
    """Return every career of the permuted panels that differs from the worker's own, once.

    Args:
        panel: the workers as they are.
        permuted: as `permuted_covariates.permuted_panels` returns them.

    Returns:
        A panel whose `worker_id` is the worker's with the number of the variant behind it.

    Raises:
        InputError: if no career differs.
    """
    ids = _variants(panel, permuted)
    parts = []
    for other in permuted.values():
        values = _values(other)
        named = {worker: ids.get((worker, found)) for worker, found in values.items()}
        frame = other.frame.assign(worker_id=other.frame["worker_id"].map(named))
        parts.append(frame[frame["worker_id"].notna()])
    frame = pd.concat(parts).drop_duplicates(["worker_id", "year"]).sort_values(["worker_id", "year"])
    if frame.empty:
        raise InputError(
            f"{panel.dataset}: the permutations change no career. Give other seeds or covariates."
        )
    return CareerPanel(frame.reset_index(drop=True), panel.outcomes, panel.survey)


def by_permutation(
    true: Predictions,
    panel: CareerPanel,
    permuted: Mapping[Permutation, CareerPanel],
    scored: Predictions,
) -> dict[Permutation, Predictions]:
    """Return the predictions of each permuted panel, put together from careers that were scored once.

    Args:
        true: of the panel as it is; further workers are left out.
        panel: the workers as they are.
        permuted: the same as for `careers_to_score`.
        scored: of the careers that it returned.

    Returns:
        Predictions of the realised titles by the keys of `permuted`, on the transitions of the panel.

    Raises:
        MismatchError: if `scored` lacks a career or record.
    """
    ids = _variants(panel, permuted)
    own = of_workers(true, panel)
    known = scored.table.set_index(["worker_id", "year"])["log_prob"]
    found = {}
    for key, other in permuted.items():
        named = {worker: ids.get((worker, values)) for worker, values in _values(other).items()}
        variants = own.table["worker_id"].map(named)
        changed = variants.notna().to_numpy()
        wanted = pd.MultiIndex.from_arrays([variants[changed], own.table.loc[changed, "year"]])
        table = own.table[[*TRANSITION_COLUMNS, "log_prob"]].copy()
        values = known.reindex(wanted).to_numpy()
        if np.isnan(values).any():
            raise MismatchError(
                f"{true.model}: {int(np.isnan(values).sum()):,} records of exchanged careers were not scored. Score "
                "the panel of careers_to_score."
            )
        table.loc[changed, "log_prob"] = values
        found[key] = Predictions(true.model, table.assign(log_valid_mass=np.nan), true.outcomes)
    return found


def of_workers(predictions: Predictions, panel: CareerPanel) -> Predictions:
    """Return the predictions of a panel's workers.

    Raises:
        MismatchError: if some of its records have none.
    """
    kept = predictions.select(predictions.table["worker_id"].isin(panel.workers).to_numpy())
    if len(kept.table) != len(panel.frame):
        raise MismatchError(
            f"{predictions.model}: predictions of {len(kept.table):,} of the panel's {len(panel.frame):,} records. "
            "Give those of the whole test split."
        )
    return kept


def predicted_permutations(
    model: Predictor, permuted: Mapping[Permutation, CareerPanel]
) -> dict[Permutation, Predictions]:
    """Return a fitted model's predictions of each permuted panel."""
    return {key: model.predict(panel) for key, panel in permuted.items()}


def _variants(
    panel: CareerPanel, permuted: Mapping[Permutation, CareerPanel]
) -> dict[tuple[str, tuple[str, ...]], str]:
    """Return the id of each worker with each set of covariates that is not its own, whatever the order of the keys."""
    own = _values(panel)
    found: dict[str, set[tuple[str, ...]]] = {worker: set() for worker in own}
    for other in permuted.values():
        for worker, values in _values(other).items():
            if values != own[worker]:
                found[worker].add(values)
    return {
        (worker, values): f"{worker}-{number}"
        for worker, sets in found.items()
        for number, values in enumerate(sorted(sets), start=1)
    }


def _values(panel: CareerPanel) -> dict[str, tuple[str, ...]]:
    static = panel.frame.drop_duplicates("worker_id")
    columns = [static[column].astype("string").fillna("") for column in STATIC]
    return dict(zip(static["worker_id"], zip(*columns, strict=True), strict=True))
