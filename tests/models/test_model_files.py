"""Large files are read once a process, and again as soon as they could have changed."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from labor_llm.errors import ArtefactError
from labor_llm.models import folders as model_files
from labor_llm.models.folders import file_checksum, is_sound, verify_model
from labor_llm.store.artefacts import sha256, writing


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    read: list[Path] = []

    def counted(path: Path) -> str:
        read.append(path)
        return sha256(path)

    monkeypatch.setattr(model_files, "sha256", counted)
    return read


def settle(path: Path, seconds: float = 60) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


def test_a_settled_file_is_read_once(tmp_path: Path, readings: list[Path]) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"one")
    settle(path)
    assert file_checksum(path) == file_checksum(path) == sha256(path)
    assert readings == [path]


def test_a_file_of_the_same_size_is_read_again(tmp_path: Path, readings: list[Path]) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"one")
    settle(path)
    first = file_checksum(path)
    path.write_bytes(b"two")
    assert file_checksum(path) != first
    settle(path, 30)
    assert file_checksum(path) == sha256(path)


def test_a_file_that_was_just_written_is_always_read(tmp_path: Path, readings: list[Path]) -> None:
    """Two writes within a tick of the clock leave the same size and time."""
    path = tmp_path / "weights"
    path.write_bytes(b"one")
    state = path.stat()
    first = file_checksum(path)
    path.write_bytes(b"two")
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert file_checksum(path) != first


def test_a_verified_model_is_sound_until_a_file_changes(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    with writing(folder) as aside:
        (aside / "weights").write_bytes(b"one")
    for path in folder.iterdir():
        settle(path)
    assert not is_sound(folder)
    verify_model(folder)
    assert is_sound(folder)
    (folder / "weights").write_bytes(b"two")
    assert not is_sound(folder)
    with pytest.raises(ArtefactError, match="its sha256 differs"):
        verify_model(folder)
