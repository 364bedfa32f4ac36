from pathlib import Path

import pytest
import torch

from labor_llm.training_state import newest_state, save_state


def _save(folder: Path, step: int, is_best: bool) -> None:
    weight = torch.full((2, 3), float(step))
    moments = {0: {"exp_avg": weight / 2, "step": torch.tensor(float(step))}}
    optimizer = {"state": moments, "param_groups": [{"lr": 0.1, "betas": [0.9, 0.999], "params": [0]}]}
    save_state(folder, step, {"weight": weight}, optimizer, {"best": 1.0 / step}, is_best)


def test_a_state_is_read_back_as_it_was(tmp_path: Path) -> None:
    _save(tmp_path, 3, is_best=True)
    state = newest_state(tmp_path)
    assert state is not None
    assert state.step == 3
    assert torch.equal(state.weights["weight"], torch.full((2, 3), 3.0))
    assert state.optimizer["state"][0]["step"].item() == 3.0
    assert state.optimizer["param_groups"] == [{"lr": 0.1, "betas": [0.9, 0.999], "params": [0]}]
    assert state.notes == {"best": 1.0 / 3}


def test_the_two_newest_and_the_best_are_kept(tmp_path: Path) -> None:
    for step, is_best in ((1, True), (2, True), (3, False), (4, False), (5, False)):
        _save(tmp_path, step, is_best)
    assert [path.name for path in sorted(tmp_path.iterdir())] == [
        "state-00000002",
        "state-00000004",
        "state-00000005",
    ]
    assert newest_state(tmp_path).step == 5
    assert newest_state(tmp_path, best=True).step == 2


@pytest.mark.parametrize(
    "file", ["weights.safetensors", "optimizer.safetensors", "state.json", "manifest.json"]
)
@pytest.mark.parametrize("damage", ["cut", "flipped", "missing"])
def test_a_damaged_newest_state_is_named_and_the_one_before_used(
    tmp_path: Path, file: str, damage: str
) -> None:
    _save(tmp_path, 1, is_best=True)
    _save(tmp_path, 2, is_best=True)
    path = tmp_path / "state-00000002" / file
    content = path.read_bytes()
    # In the manifest the flip goes into a checksum, elsewhere into the middle of the file.
    place = content.index(b'"sha256": "') + 11 if file == "manifest.json" else len(content) // 2
    if damage == "missing":
        path.unlink()
    else:
        flipped = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
        path.write_bytes(content[:place] if damage == "cut" else flipped)
    with pytest.warns(UserWarning, match="state-00000002"):
        state = newest_state(tmp_path)
    assert state is not None
    assert state.step == 1


def test_without_a_sound_state_there_is_none(tmp_path: Path) -> None:
    assert newest_state(tmp_path) is None
    _save(tmp_path, 1, is_best=True)
    (tmp_path / "state-00000001" / "weights.safetensors").unlink()
    with pytest.warns(UserWarning, match=r"weights\.safetensors"):
        assert newest_state(tmp_path) is None
