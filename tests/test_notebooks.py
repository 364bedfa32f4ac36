"""The notebooks as they are committed: two forms in step, no outputs, prose and short calls alone."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import jupytext
import nbformat
import pytest

from labor_llm.store.results import project_root
from labor_llm.workflow.parameters import declared_parameters
from labor_llm.workflow.values import SCOPES

FOLDER = project_root() / "notebooks"
NAMES = [
    "01_data_conversion", "02_data_description", "03_resumes", "04_fine_tuning", "05_next_job_scoring",
    "06_baselines", "07_main_comparison", "08_value_of_fine_tuning", "09_binary_tasks_and_calibration",
    "10_titles", "11_pooled_data", "12_history_length", "13_horizons", "14_demographics", "15_structural_change",
    "16_embeddings", "17_speed_and_memory", "18_larger_runs", "19_replication_report",
]  # fmt: skip
LOGIC = (
    ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda, ast.For, ast.AsyncFor, ast.While, ast.If,
    ast.IfExp, ast.Try, ast.With, ast.Match, ast.Global, ast.Delete, ast.Assert, ast.AugAssign, ast.NamedExpr,
)  # fmt: skip
LONGEST_CELL = 20
MOST_IMPORTS = 5
# They only show what is stored, so they begin without what takes seconds to import.
LIGHT = [NAMES[number - 1] for number in (2, 7, 8, 9, 10, 11, 15, 17, 18, 19)]
HEAVY = ("torch", "transformers", "sklearn")


@pytest.fixture(scope="module", params=NAMES)
def path(request: pytest.FixtureRequest) -> Path:
    return FOLDER / f"{request.param}.ipynb"


@pytest.fixture(scope="module")
def notebook(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_these_are_all_notebooks_in_both_forms() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.ipynb")) == NAMES
    assert sorted(path.stem for path in FOLDER.glob("*.py")) == NAMES


def test_both_forms_hold_the_same_cells(path: Path, notebook: nbformat.NotebookNode) -> None:
    """As `jupytext --sync` leaves them; after a change of one form, run it."""

    def shown(cells: list[nbformat.NotebookNode]) -> list[tuple[str, str, list[str]]]:
        return [(cell.cell_type, cell.source, cell.metadata.get("tags", [])) for cell in cells]

    text = jupytext.read(path.with_suffix(".py"))
    assert shown(text.cells) == shown(notebook.cells)
    assert text.metadata["kernelspec"] == notebook.metadata["kernelspec"]


def test_every_parameter_is_used(notebook: nbformat.NotebookNode) -> None:
    """One that is declared and not read would be accepted and ignored."""
    trees = [ast.parse(cell.source) for cell in code_cells(notebook)]
    read = {
        node.id for tree in trees for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }  # fmt: skip
    assert sorted(set(declared_parameters(notebook)) - read) == []


def test_no_output_is_stored(notebook: nbformat.NotebookNode) -> None:
    nbformat.validate(notebook)
    assert [cell.outputs for cell in code_cells(notebook)] == [[]] * len(code_cells(notebook))
    assert {cell.execution_count for cell in code_cells(notebook)} == {None}
    assert set(notebook.metadata) <= {"jupytext", "kernelspec", "labor_llm"}
    assert all(set(cell.metadata) <= {"tags"} for cell in notebook.cells)


def test_it_begins_with_a_title_and_what_it_does(notebook: nbformat.NotebookNode) -> None:
    first = notebook.cells[0]
    heading, blank, *prose = first.source.splitlines()
    assert first.cell_type == "markdown"
    assert heading.startswith("# ")
    assert blank == ""
    assert len(" ".join(prose).split()) > 15


def test_its_parameters_are_declared_checked_and_explained(notebook: nbformat.NotebookNode) -> None:
    head = notebook.metadata["labor_llm"]
    assert head["parameters"] == "checked"
    assert head["run"] in SCOPES
    tagged = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    assert len(tagged) == 1
    assert code_cells(notebook)[0] is tagged[0]
    declared = declared_parameters(notebook)
    assert "results" in declared
    assert [name for name, parameter in declared.items() if not parameter.help] == []


def test_its_cells_are_short_calls_of_the_library(path: Path, notebook: nbformat.NotebookNode) -> None:
    for cell in code_cells(notebook):
        start = f"{path.name}: {cell.source[:60]!r}"
        # A cell of parameters is a list, one a line.
        assert len(cell.source.splitlines()) <= LONGEST_CELL or "parameters" in cell.metadata.get(
            "tags", []
        ), start
        logic = [type(node).__name__ for node in ast.walk(ast.parse(cell.source)) if isinstance(node, LOGIC)]
        assert logic == [], start
        assert not any(line.startswith(("%", "!")) for line in cell.source.splitlines()), start


def test_everything_is_imported_in_one_cell_and_used(notebook: nbformat.NotebookNode) -> None:
    trees = [ast.parse(cell.source) for cell in code_cells(notebook)]
    importing = [
        tree
        for tree in trees
        if any(isinstance(node, ast.Import | ast.ImportFrom) for node in ast.walk(tree))
    ]
    assert len(importing) == 1
    imported = {
        alias.asname or alias.name
        for node in importing[0].body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    used = {node.id for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert imported - used == set()
    assert set(declared_parameters(notebook)) - used == set()


def test_few_lines_import_from_the_library(notebook: nbformat.NotebookNode) -> None:
    lines = [
        node.module
        for cell in code_cells(notebook)
        for node in ast.walk(ast.parse(cell.source))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("labor_llm")
    ]
    assert len(lines) <= MOST_IMPORTS, f"{lines}: import modules of a room in one line."


def test_a_chapter_that_needs_no_language_model_starts_without_one() -> None:
    imports = [
        ast.unparse(node)
        for name in LIGHT
        for cell in code_cells(nbformat.read(FOLDER / f"{name}.ipynb", as_version=4))
        for node in ast.parse(cell.source).body
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    asked = f"import sys; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", "\n".join([*imports, asked])], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
