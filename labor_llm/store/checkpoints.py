"""Checkpoints of an unfinished fine-tuning: written aside, checksummed, renamed, verified when read.

Kept are the two newest, to continue from, and the one with the lowest validation loss. A run goes on from the newest
checkpoint that verifies and whose best one so far verifies too, since the model at the end may be that one; a warning
names what is left out.
"""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from labor_llm.errors import ArtefactError
from labor_llm.store.artefacts import verify, writing

_KEPT = 2
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingState:
    """Where a fine-tuning stands after a number of steps.

    Attributes:
        step: steps done.
        weights: the trained parameters by name.
        optimizer: state of the optimizer, in the form of its `state_dict`.
        notes: JSON values (schedule, best validation loss, learning curve); `best_step` is the step with the lowest
            validation loss so far, None before the first.
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
) -> None:
    """Store the state after `step`, and drop states that are neither the best nor among the two newest.

    States of later steps go too: a run goes on from the newest sound one, so they are damaged.
    """
    tensors = {
        f"{parameter}.{name}": value.contiguous()
        for parameter, values in optimizer["state"].items()
        for name, value in values.items()
    }
    # A damaged state may stand there, which the run has left out and now comes to again.
    shutil.rmtree(_place(folder, step), ignore_errors=True)
    described = {"step": step, "groups": optimizer["param_groups"], "notes": notes}
    with writing(_place(folder, step)) as aside:
        save_file(
            {name: weight.contiguous() for name, weight in weights.items()}, aside / "weights.safetensors"
        )
        save_file(tensors, aside / "optimizer.safetensors")
        (aside / "state.json").write_text(json.dumps(described), encoding="utf-8")
    _drop_old(folder, step, notes["best_step"])


def newest_state(folder: Path) -> TrainingState | None:
    """Return the newest sound state whose best state is sound too; None if there is none, to start anew."""
    damaged: dict[str, None] = {}  # names, in the order in which they are met
    found: TrainingState | None = None
    for path in reversed(_states(folder)):
        state = _load(path)
        best = state and state.notes["best_step"]
        if state is None:
            damaged[path.name] = None
        elif best is None or best == state.step or _is_sound(_place(folder, best)):
            found = state
            break
        else:
            damaged[_place(folder, best).name] = None
    if damaged:
        then = "starts anew" if found is None else f"goes on from step {found.step}"
        _LOG.warning(
            "%s: damaged or missing checkpoint left out: %s. Fine-tuning %s.",
            folder,
            ", ".join(damaged),
            then,
        )
    return found


def state_after(folder: Path, step: int) -> TrainingState:
    """Return the state after a step.

    Raises:
        ArtefactError: if it is not sound.
    """
    path = _place(folder, step)
    state = _load(path)
    if state is None:
        raise ArtefactError(
            f"{path}: the best checkpoint was damaged or removed while the run went on. Fine-tune again with the same "
            "settings: the run goes back to where its checkpoints are sound."
        )
    return state


def _load(path: Path) -> TrainingState | None:
    """Return a state, or None if it is not sound."""
    if not _is_sound(path):
        return None
    described = json.loads((path / "state.json").read_text(encoding="utf-8"))
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in load_file(path / "optimizer.safetensors").items():
        parameter, name = key.split(".", 1)
        state.setdefault(int(parameter), {})[name] = value
    optimizer = {"state": state, "param_groups": described["groups"]}
    return TrainingState(
        described["step"], load_file(path / "weights.safetensors"), optimizer, described["notes"]
    )


def _is_sound(path: Path) -> bool:
    try:
        verify(path)
    except ArtefactError:
        return False
    return True


def drop_unfinished(folder: Path) -> None:
    """Remove what a kill left of a state that was being written, or removed."""
    for path in folder.glob(".state-*"):
        shutil.rmtree(path)


def _place(folder: Path, step: int) -> Path:
    return folder / f"state-{step:08d}"


def _states(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("state-*") if path.is_dir())


def _drop_old(folder: Path, step: int, best: int | None) -> None:
    states = [path for path in _states(folder) if path.name <= _place(folder, step).name]
    kept = {*states[-_KEPT:], *([] if best is None else [_place(folder, best)])}
    for path in _states(folder):
        if path not in kept:
            # Renamed first, so that a kill leaves no half of a state.
            retired = path.with_name(f".{path.name}.old")
            path.rename(retired)
            shutil.rmtree(retired)
