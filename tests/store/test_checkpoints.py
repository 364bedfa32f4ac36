"""States of an unfinished fine-tuning: read back as they were, few kept, and a damaged one left out by name."""

from pathlib import Path

import pytest
import torch

from labor_llm.errors import ArtefactError
from labor_llm.store.checkpoints import TrainingState, newest_state, save_state, state_after

GROUPS = [{"lr": 0.1, "betas": [0.9, 0.999], "params": [0]}]


def save(folder: Path, step: int, best: int | None) -> None:
    weight = torch.full((2, 3), float(step))
    moments = {0: {"exp_avg": weight / 2, "step": torch.tensor(float(step))}}
    optimizer = {"state": moments, "param_groups": GROUPS}
    save_state(folder, TrainingState(step, {"weight": weight}, optimizer, {"best_step": best}))


def test_the_two_newest_and_the_best_are_kept_and_read_back_as_they_were(tmp_path):
    for step, best in ((1, 1), (2, 2), (3, 2), (4, 2), (5, 2)):
        save(tmp_path, step, best)
    # What a kill left of a state that was being written.
    (tmp_path / ".state-00000006.0a1b2c3d").mkdir()
    (tmp_path / ".state-00000006.0a1b2c3d" / "weights.safetensors").write_bytes(b"half")
    state = newest_state(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"state-0000000{step}" for step in (2, 4, 5)]
    assert (state.step, state.notes, state_after(tmp_path, 2).step) == (5, {"best_step": 2}, 2)
    assert torch.equal(state.weights["weight"], torch.full((2, 3), 5.0))
    assert state.optimizer["state"][0]["step"].item() == 5.0
    assert state.optimizer["param_groups"] == GROUPS


@pytest.mark.parametrize(
    "file", ["weights.safetensors", "optimizer.safetensors", "state.json", "manifest.json"]
)
@pytest.mark.parametrize("damage", ["cut", "flipped", "missing"])
def test_a_damaged_newest_state_is_named_and_the_one_before_used(tmp_path, file, damage, caplog):
    save(tmp_path, 1, best=1)
    save(tmp_path, 2, best=2)
    path = tmp_path / "state-00000002" / file
    content = path.read_bytes()
    # In the manifest the flip goes into a checksum, elsewhere into the middle of the file.
    place = content.index(b'"sha256": "') + 11 if file == "manifest.json" else len(content) // 2
    if damage == "missing":
        path.unlink()
    else:
        flipped = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
        path.write_bytes(content[:place] if damage == "cut" else flipped)
    assert newest_state(tmp_path).step == 1
    said = f"{tmp_path}: damaged or missing checkpoint left out: state-00000002. Fine-tuning goes on from step 1."
    assert caplog.messages == [said]


@pytest.mark.parametrize(
    ("bests", "step", "then"),
    [
        ([1], None, "starts anew"),
        ([1] * 3, None, "starts anew"),
        ([1, None, 1], 2, "goes on from step 2"),
        ([1, 2, 2], 3, ""),
    ],
)
def test_a_state_whose_best_is_damaged_is_left_out(tmp_path, bests, step, then, caplog):
    """The newest goes on only where its own best, the first state or the second, is sound."""
    assert newest_state(tmp_path) is None
    for number, best in enumerate(bests, start=1):
        save(tmp_path, number, best)
    (tmp_path / "state-00000001").mkdir(exist_ok=True)
    (tmp_path / "state-00000001" / "weights.safetensors").write_bytes(b"half")
    state = newest_state(tmp_path)
    assert (state and state.step) == step
    left_out = f"{tmp_path}: damaged or missing checkpoint left out: state-00000001. Fine-tuning {then}."
    assert caplog.messages == ([left_out] if then else [])
    with pytest.raises(ArtefactError, match=r"state-00000001: the best checkpoint was damaged"):
        state_after(tmp_path, 1)


@pytest.mark.parametrize("damaged", [1, 2, 3])
def test_a_damaged_state_is_in_nobodys_way(tmp_path, damaged):
    """The run went on from state 1 and comes to state 2; whichever is damaged, the newest remains."""
    for step in (1, 2, 3):
        save(tmp_path, step, best=1)
    for file in ("state.json", "manifest.json"):
        (tmp_path / f"state-0000000{damaged}" / file).unlink()
    save(tmp_path, 2, best=2)
    assert not (tmp_path / "state-00000003").exists()
    assert newest_state(tmp_path).step == 2
