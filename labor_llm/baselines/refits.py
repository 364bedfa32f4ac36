"""Baselines fitted again on resampled training workers, for their TrainSE."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labor_llm.artefacts import environment
from labor_llm.baselines import BASELINES, Baseline
from labor_llm.careers import CareerPanel
from labor_llm.errors import InputError
from labor_llm.evaluation.training_bootstrap import training_refits
from labor_llm.predictions import Predictions
from labor_llm.sources import code_checksum


def refit_baselines(
    folders: Mapping[str, Path],
    panel: CareerPanel,
    splits: Mapping[str, str],
    refits: int,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    seed: int = 1,
) -> dict[str, list[Predictions]]:
    """Fit baselines again on resampled training workers, and store the test predictions of every refit.

    Refits that are stored already, of the same careers, options, seed and code, are read; others are replaced.

    Args:
        folders: for each baseline, a key of `BASELINES`, where its refits stand.
        panel: all workers.
        splits: the split of each worker.
        refits: at least two.
        options: as in `labor_llm.baselines.fit_baselines`; a `folder` among them is left aside.
        seed: of the samples, which are the same for all baselines.

    Raises:
        InputError: if a name is unknown, or fewer than two refits are asked for.
    """
    if unknown := [name for name in folders if name not in BASELINES]:
        raise InputError(f"{unknown[0]!r} is no baseline; known are {', '.join(BASELINES)}.")
    parts = [panel.split(splits, name) for name in ("train", "validation", "test")]
    found = {}
    for name, folder in folders.items():
        kind, label = BASELINES[name]
        chosen = {key: value for key, value in (options or {}).get(name, {}).items() if key != "folder"}
        fit = functools.partial(_fitted, kind, {"name": label, **chosen})
        made_by = _identity(name, chosen)
        found[name] = training_refits(fit, *parts, refits, seed, folder, made_by, replace=True)
    return found


def _fitted(kind: type, options: Mapping[str, Any], train: CareerPanel, validation: CareerPanel) -> Baseline:
    baseline: Baseline = kind(**options).fit(train, validation)
    return baseline


def _identity(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    described = {
        key: dataclasses.asdict(value)
        if dataclasses.is_dataclass(value) and not isinstance(value, type)
        else value
        for key, value in options.items()
    }
    return {
        "baseline": name,
        "options": described,
        "code": code_checksum(__file__),
        **environment()["versions"],
    }
