"""Code counts, what is said about it does not; code is followed through packages and into functions."""

import json
from pathlib import Path

import pytest

from labor_llm.store import staleness
from labor_llm.store.staleness import code_checksum, sources_of

FILES = {
    "__init__.py": '"""A package."""\n',
    "room/__init__.py": "",
    "room/model.py": (
        '"""A model."""\nfrom labor_llm.room import numbers\n\n\nclass Model:\n    """One."""\n\n    size: int = 2\n'
        '    """How large."""\n\n    def fit(self):\n        # Heavy, so late.\n'
        "        from labor_llm.other import late\n"
        "        return late.value * numbers.TWO\n"
    ),
    "room/numbers.py": "TWO = 2\n",
    "other/__init__.py": "",
    "other/late.py": "value = 1\n",
    "other/figure.py": "from labor_llm.room.model import Model\n\nCOLOUR = 'red'\n",
}
NOTEBOOK = "# %% [markdown]\n# # Prose\n\n# %%\nfrom labor_llm.room.model import Model\n\n# %%\nModel().fit()  # fits\n"
SAME = {
    "docstring of a module": ("room/model.py", '"""A model."""', '"""A better word."""'),
    "docstring that is gone": ("room/model.py", '    """One."""\n', ""),
    "text below a field": ("room/model.py", '"""How large."""', '"""Its width."""'),
    "comment": ("room/model.py", "# Heavy, so late.", "# Late."),
    "layout": ("room/model.py", "size: int = 2", "size: int = (\n        2\n    )"),
    "module that is not imported": ("other/figure.py", "red", "blue"),
    "prose": ("notebook.py", "# # Prose", "# # Other prose"),
    "comment of a cell": ("notebook.py", "  # fits", ""),
}
OTHER = {
    "constant": ("room/model.py", "size: int = 2", "size: int = 3"),
    "name": ("room/model.py", "def fit", "def refit"),
    "imported module": ("room/numbers.py", "TWO = 2", "TWO = 2.0"),
    "module imported in a function": ("other/late.py", "value = 1", "value = 2"),
    "package on the way": ("other/__init__.py", "", "import os\n"),
}


@pytest.fixture
def checksums(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return the checksums of a module and a notebook in a package in which a text was changed, in one file."""

    def of(name: str, file: str = "", old: str = "", new: str = "") -> tuple[str, str]:
        package = tmp_path / name / "labor_llm"
        for path, text in {**FILES, "../notebook.py": NOTEBOOK}.items():
            place = package / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text.replace(old, new) if old else text + new * (path == file), encoding="utf-8")
        monkeypatch.setattr(staleness, "PACKAGE", package)
        return code_checksum(package / "room" / "model.py"), code_checksum(tmp_path / name / "notebook.py")

    return of


@pytest.mark.parametrize(
    ("changes", "change"), [(changes, name) for changes in (SAME, OTHER) for name in changes]
)
def test_code_counts_and_what_is_said_about_it_does_not(checksums, changes, change):
    for before, after in zip(checksums("as it was"), checksums("changed", *changes[change]), strict=True):
        assert (before == after) == (changes is SAME)


def test_a_changed_cell_counts_in_both_forms_of_a_notebook(checksums, tmp_path, monkeypatch):
    _, before = checksums("as it was")
    _, after = checksums("changed", "notebook.py", "Model().fit()", "Model().fit() + 1")
    assert before != after
    cells = [
        {"cell_type": "markdown", "source": ["# Prose, which is no Python"]},
        {"cell_type": "code", "source": ["from labor_llm.room.model import Model"]},
        {"cell_type": "code", "source": ["# fits\n", "Model().fit()"]},
    ]
    stored = tmp_path / "notebook.ipynb"
    stored.write_text(json.dumps({"cells": cells}), encoding="utf-8")
    monkeypatch.setattr(staleness, "PACKAGE", tmp_path / "as it was" / "labor_llm")
    assert code_checksum(stored) == before


def test_a_change_of_the_bootstrap_does_not_ask_for_a_new_fine_tuning():
    library = staleness.PACKAGE
    bootstrap, tuning = (
        library / "evaluation" / "perplexity.py",
        sources_of(library / "finetuning" / "fit.py"),
    )
    assert bootstrap in sources_of(library.with_name("notebooks") / "07_main_comparison.py")
    assert bootstrap not in tuning
    assert {library / name for name in ("__init__.py", "errors.py", "store/checkpoints.py")} <= set(tuning)
