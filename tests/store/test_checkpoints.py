from pathlib import Path

import pytest
import torch

from labor_llm.errors import ArtefactError
from labor_llm.store.checkpoints import drop_unfinished, newest_state, save_state, state_after


def _save(folder: Path, step: int, best: int | None) -> None:
    weight = torch.full((2, 3), float(step))
    moments = {0: {"exp_avg": weight / 2, "step": torch.tensor(float(step))}}
    optimizer = {"state": moments, "param_groups": [{"lr": 0.1, "betas": [0.9, 0.999], "params": [0]}]}
    save_state(folder, step, {"weight": weight}, optimizer, {"best_step": best})


def test_a_state_is_read_back_as_it_was(tmp_path: Path) -> None:
    _save(tmp_path, 3, best=3)
    state = newest_state(tmp_path)
    assert state is not None
    assert state.step == 3
    assert torch.equal(state.weights["weight"], torch.full((2, 3), 3.0))
    assert state.optimizer["state"][0]["step"].item() == 3.0
    assert state.optimizer["param_groups"] == [{"lr": 0.1, "betas": [0.9, 0.999], "params": [0]}]
    assert state.notes == {"best_step": 3}


def test_the_two_newest_and_the_best_are_kept(tmp_path: Path) -> None:
    for step, best in ((1, 1), (2, 2), (3, 2), (4, 2), (5, 2)):
        _save(tmp_path, step, best)
    assert [path.name for path in sorted(tmp_path.iterdir())] == [
        "state-00000002",
        "state-00000004",
        "state-00000005",
    ]
    assert newest_state(tmp_path).step == 5
    assert state_after(tmp_path, 2).step == 2


@pytest.mark.parametrize(
    "file", ["weights.safetensors", "optimizer.safetensors", "state.json", "manifest.json"]
)
@pytest.mark.parametrize("damage", ["cut", "flipped", "missing"])
def test_a_damaged_newest_state_is_named_and_the_one_before_used(
    tmp_path: Path, file: str, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    _save(tmp_path, 1, best=1)
    _save(tmp_path, 2, best=2)
    path = tmp_path / "state-00000002" / file
    content = path.read_bytes()
    # In the manifest the flip goes into a checksum, elsewhere into the middle of the file.
    place = content.index(b'"sha256": "') + 11 if file == "manifest.json" else len(content) // 2
    if damage == "missing":
        path.unlink()
    else:
        flipped = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
        path.write_bytes(content[:place] if damage == "cut" else flipped)
    state = newest_state(tmp_path)
    assert state is not None
    assert state.step == 1
    said = f"{tmp_path}: damaged or missing checkpoint left out: state-00000002. Fine-tuning goes on from step 1."
    assert caplog.messages == [said]


@pytest.mark.parametrize(
    ("bests", "then"), [((1, 1, 1), "starts anew"), ((1, None, 1), "goes on from step 2"), ((1, 2, 2), None)]
)
def test_a_state_whose_best_is_damaged_is_left_out(
    tmp_path: Path, bests: tuple[int | None, ...], then: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    """The newest goes on only where its own best, the first state or the second, is sound."""
    for step, best in enumerate(bests, start=1):
        _save(tmp_path, step, best)
    (tmp_path / "state-00000001").mkdir(exist_ok=True)
    (tmp_path / "state-00000001" / "weights.safetensors").write_bytes(b"half")
    state = newest_state(tmp_path)
    if then is None:
        assert state.step == 3
        assert caplog.messages == []
    else:
        assert (state and state.step) == (2 if "2" in then else None)
        message = f"{tmp_path}: damaged or missing checkpoint left out: state-00000001. Fine-tuning {then}."
        assert caplog.messages == [message]


@pytest.mark.parametrize("damaged", [1, 2, 3])
def test_a_damaged_state_is_in_nobodys_way(tmp_path: Path, damaged: int) -> None:
    """The run went on from state 1 and comes to state 2; whichever is damaged, the newest remains."""
    for step in (1, 2, 3):
        _save(tmp_path, step, best=1)
    for file in ("state.json", "manifest.json"):
        (tmp_path / f"state-0000000{damaged}" / file).unlink()
    _save(tmp_path, 2, best=2)
    assert not (tmp_path / "state-00000003").exists()
    assert newest_state(tmp_path).step == 2


def test_what_a_kill_left_is_removed(tmp_path: Path) -> None:
    _save(tmp_path, 1, best=1)
    (tmp_path / ".state-00000002.0a1b2c3d").mkdir()
    (tmp_path / ".state-00000002.0a1b2c3d" / "weights.safetensors").write_bytes(b"half")
    drop_unfinished(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["state-00000001"]


def test_without_a_sound_state_there_is_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert newest_state(tmp_path) is None
    _save(tmp_path, 1, best=1)
    (tmp_path / "state-00000001" / "weights.safetensors").unlink()
    assert newest_state(tmp_path) is None
    assert "state-00000001. Fine-tuning starts anew." in caplog.text
    with pytest.raises(ArtefactError, match=r"state-00000001: the best checkpoint was damaged"):
        state_after(tmp_path, 1)
