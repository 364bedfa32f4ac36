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
from labor_llm.store.artefacts import sound, writing

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


def save_state(folder: Path, state: TrainingState) -> None:
    """Store a state, and drop states that are neither the best nor among the two newest.

    States of later steps go too: a run goes on from the newest sound one, so they are damaged.
    """
    tensors = {
        f"{parameter}.{name}": value.contiguous()
        for parameter, values in state.optimizer["state"].items()
        for name, value in values.items()
    }
    described = {"step": state.step, "groups": state.optimizer["param_groups"], "notes": state.notes}
    whole = {name: weight.contiguous() for name, weight in state.weights.items()}
    place = _place(folder, state.step)
    # A damaged state may stand there, which the run has left out and now comes to again.
    shutil.rmtree(place, ignore_errors=True)
    with writing(place) as aside:
        save_file(whole, aside / "weights.safetensors")
        save_file(tensors, aside / "optimizer.safetensors")
        (aside / "state.json").write_text(json.dumps(described), encoding="utf-8")
    best, states = state.notes["best_step"], _states(folder)
    kept = [path for path in states if path <= place][-_KEPT:]
    for path in {*states} - {*kept, *([] if best is None else [_place(folder, best)])}:
        # Renamed first, so that a kill leaves no half of a state.
        shutil.rmtree(path.rename(path.with_name(f".{path.name}.old")))


def newest_state(folder: Path) -> TrainingState | None:
    """Return the newest sound state whose best state is sound too; None if there is none, to start anew.

    What a kill left of a state that was being written, or removed, is removed.
    """
    for path in folder.glob(".state-*"):
        shutil.rmtree(path)
    found: TrainingState | None = None
    left_out: dict[str, None] = {}  # names, in the order in which they are met
    for path in reversed(_states(folder)):
        state = _load(path)
        best = state and state.notes["best_step"]
        needed = path if best is None else _place(folder, best)
        if state and (needed == path or sound(needed)):
            found = state
            break
        left_out[needed.name] = None
    if left_out:
        then = "starts anew" if found is None else f"goes on from step {found.step}"
        names = ", ".join(left_out)
        _LOG.warning("%s: damaged or missing checkpoint left out: %s. Fine-tuning %s.", folder, names, then)
    return found


def state_after(folder: Path, step: int) -> TrainingState:
    """Return the state after a step.

    Raises:
        ArtefactError: if it is not sound.
    """
    path = _place(folder, step)
    if (state := _load(path)) is None:
        raise ArtefactError(
            f"{path}: the best checkpoint was damaged or removed while the run went on. Fine-tune again with the same "
            "settings: the run goes back to where its checkpoints are sound."
        )
    return state


def _load(path: Path) -> TrainingState | None:
    """Return a state, or None if it is not sound."""
    if not sound(path):
        return None
    described = json.loads((path / "state.json").read_text(encoding="utf-8"))
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in load_file(path / "optimizer.safetensors").items():
        parameter, name = key.split(".", 1)
        state.setdefault(int(parameter), {})[name] = value
    optimizer = {"state": state, "param_groups": described["groups"]}
    weights = load_file(path / "weights.safetensors")
    return TrainingState(described["step"], weights, optimizer, described["notes"])


def _place(folder: Path, step: int) -> Path:
    return folder / f"state-{step:08d}"


def _states(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("state-*") if path.is_dir())
