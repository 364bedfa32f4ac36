"""An adapter finds its base wherever the two are moved to, and takes no other model for it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from labor_llm.errors import InputError, MismatchError
from labor_llm.models.folders import BASE_FILE, find_base, write_base


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
def test_the_base_is_found_from_any_folder(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moved: str, as_typed: bool
) -> None:
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


def test_another_model_in_the_place_of_the_base_is_passed_over_or_refused(tree: Path, tmp_path: Path) -> None:
    # The way from the adapter leads to another model, the absolute path to the right one.
    moved = Path(shutil.copytree(tree, tmp_path / "copy"))
    (moved / "models/base/config.json").write_text("{}")
    assert find_base(moved / "runs/one/adapter") == str((tree / "models/base").resolve())
    (tree / "models/base/config.json").write_text("{}")
    with pytest.raises(
        MismatchError, match=r"was made on /.*models/base with weights .*base found now has .*models/base\)"
    ):
        find_base(tree / "runs/one/adapter")


def test_a_base_that_is_gone_is_not_looked_for_on_a_hub(tree: Path) -> None:
    shutil.rmtree(tree / "models")
    with pytest.raises(
        InputError, match=rf"its base model is not in /.*models/base\. .*path into {BASE_FILE}"
    ):
        find_base(tree / "runs/one/adapter")
