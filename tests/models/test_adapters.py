"""An adapter finds its base wherever the two are moved to, and takes no other model for it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from labor_llm.errors import InputError, MismatchError
from labor_llm.models.adapters import find_base, write_base
from labor_llm.models.folders import BASE_FILE


@pytest.fixture
def tree(copied: Path, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a base in `models/base` and an adapter on it in `runs/one/adapter`, the base's path as typed."""
    root = tmp_path / "tree"
    (root / "models").mkdir(parents=True)
    (root / "runs" / "one").mkdir(parents=True)
    copied.rename(root / "models" / "base")
    adapter.rename(root / "runs" / "one" / "adapter")
    monkeypatch.chdir(root)
    write_base(root / "runs/one/adapter", "models/base", root / "runs/one/adapter")
    return root


def without_places(folder: Path, **changed: str) -> None:
    """Write what an adapter said of its base before places were stored."""
    stated = json.loads((folder / BASE_FILE).read_text(encoding="utf-8"))
    (folder / BASE_FILE).write_text(
        json.dumps({key: stated[key] for key in ("name", "checksum")} | changed), encoding="utf-8"
    )


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("moved", ["nothing", "both", "adapter"])
def test_the_base_is_found_from_any_folder(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moved: str, old: bool
) -> None:
    adapter, base = tree / "runs/one/adapter", tree / "models/base"
    if old:
        without_places(adapter)
    if moved == "both":
        tree.rename(tmp_path / "elsewhere")
        adapter, base = tmp_path / "elsewhere/runs/one/adapter", tmp_path / "elsewhere/models/base"
    elif moved == "adapter":
        adapter = adapter.rename(tree.parent / "alone") if not old else adapter.rename(tree / "alone")
    elsewhere = tmp_path / "cwd"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert Path(find_base(adapter)).resolve() == base.resolve()
    monkeypatch.chdir(adapter.parent)
    assert Path(find_base(Path(adapter.name))).resolve() == base.resolve()


def test_another_model_in_the_place_of_the_base_is_passed_over_or_refused(tree: Path, tmp_path: Path) -> None:
    adapter, base = tree / "runs/one/adapter", tree / "models/base"
    # The way from the adapter leads to another model, the absolute path to the right one.
    moved = Path(shutil.copytree(tree, tmp_path / "copy"))
    config = json.loads((moved / "models/base/config.json").read_text())
    (moved / "models/base/config.json").write_text(json.dumps(config | {"rms_norm_eps": 0.1}))
    assert find_base(moved / "runs/one/adapter") == str(base.resolve())
    (base / "config.json").write_text(json.dumps(config | {"rms_norm_eps": 0.2}))
    with pytest.raises(
        MismatchError, match=r"was made on models/base with weights .*base found now has .*models/base\)"
    ):
        find_base(adapter)


def test_a_base_that_is_gone_is_not_looked_for_on_a_hub(tree: Path) -> None:
    shutil.rmtree(tree / "models")
    with pytest.raises(
        InputError, match=r"its base model models/base is in none .*\.\./\.\./\.\./models/base, /"
    ):
        find_base(tree / "runs/one/adapter")


@pytest.mark.parametrize("places", [5, None, [1], "\u0000"])
def test_places_that_are_none_are_refused(adapter: Path, places: object) -> None:
    (adapter / BASE_FILE).write_text(json.dumps({"name": "x/y", "checksum": "c", "places": places}))
    with pytest.raises(InputError, match=BASE_FILE):
        find_base(adapter)


def test_a_folder_that_bears_the_name_of_a_packaged_base_is_none(
    adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_places(adapter, name="smollm2-135m-instruct", checksum="known")
    (adapter.parent / "smollm2-135m-instruct").mkdir()
    asked = []
    monkeypatch.setattr(
        "labor_llm.models.adapters.weights_checksum", lambda name: asked.append(name) or "known"
    )
    assert find_base(adapter) == "smollm2-135m-instruct" == asked[0]
