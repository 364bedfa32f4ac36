"""Checkpoints of an unfinished fine-tuning: written aside, checksummed, renamed, verified when read.

Two are kept: the newest, to continue from, and the one with the lowest validation loss. A checkpoint that
does not verify is named in a warning and the one before it is used.
"""

from __future__ import annotations

import json
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from labor_llm.artefacts import verify, writing
from labor_llm.errors import ArtefactError

_KEPT = 2


@dataclass(frozen=True)
class TrainingState:
    """Where a fine-tuning stands after a number of steps.

    Attributes:
        step: steps done.
        weights: the trained parameters by name.
        optimizer: state of the optimizer, in the form of its `state_dict`.
        notes: JSON values (schedule, best validation loss, learning curve).
    """

    step: int
    weights: dict[str, torch.Tensor]
    optimizer: dict[str, Any]
    notes: dict[str, Any]


def save_state(
    folder: Path,
    step: int,
    weights: dict[str, torch.Tensor],
    optimizer: dict[str, Any],
    notes: dict[str, Any],
    is_best: bool,
) -> None:
    """Store the state after `step`, and drop states that are neither the best nor among the two newest."""
    tensors = {
        f"{parameter}.{name}": value.contiguous()
        for parameter, values in optimizer["state"].items()
        for name, value in values.items()
    }
    described = {"step": step, "groups": optimizer["param_groups"], "notes": notes, "is_best": is_best}
    with writing(folder / f"state-{step:08d}") as aside:
        save_file(
            {name: weight.contiguous() for name, weight in weights.items()}, aside / "weights.safetensors"
        )
        save_file(tensors, aside / "optimizer.safetensors")
        (aside / "state.json").write_text(json.dumps(described), encoding="utf-8")
    _drop_old(folder)


def newest_state(folder: Path, best: bool = False) -> TrainingState | None:
    """Return the newest sound state, or the newest that was the best when it was written; None if there is none."""
    for path in reversed(_states(folder)):
        try:
            verify(path)
        except ArtefactError as error:
            warnings.warn(f"Checkpoint left out: {error}", stacklevel=2)
            continue
        described = json.loads((path / "state.json").read_text(encoding="utf-8"))
        if described["is_best"] or not best:
            return _load(path, described)
    return None


def _load(path: Path, described: dict[str, Any]) -> TrainingState:
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in load_file(path / "optimizer.safetensors").items():
        parameter, name = key.split(".", 1)
        state.setdefault(int(parameter), {})[name] = value
    optimizer = {"state": state, "param_groups": described["groups"]}
    return TrainingState(
        described["step"], load_file(path / "weights.safetensors"), optimizer, described["notes"]
    )


def _states(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("state-*") if path.is_dir())


def _drop_old(folder: Path) -> None:
    states = _states(folder)
    best = [
        path for path in states if json.loads((path / "state.json").read_text(encoding="utf-8"))["is_best"]
    ]
    kept = set(states[-_KEPT:]) | set(best[-1:])
    for path in states:
        if path not in kept:
            shutil.rmtree(path)
