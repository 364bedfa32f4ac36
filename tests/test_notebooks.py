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
    "06_baselines", "07_main_comparison", "07_where_the_gain_arises", "08_value_of_fine_tuning",
    "09_binary_tasks_and_calibration", "10_titles", "11_pooled_data", "12_history_length", "13_horizons",
    "14_demographics", "15_structural_change", "16_embeddings", "17_speed_and_memory", "18_larger_runs",
    "19_claims_and_verdicts", "19_replication_report", "20_try_it",
]  # fmt: skip
LOGIC = (
    ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda, ast.For, ast.AsyncFor, ast.While, ast.If,
    ast.IfExp, ast.Try, ast.With, ast.Match, ast.Global, ast.Delete, ast.Assert, ast.AugAssign, ast.NamedExpr,
)  # fmt: skip
LONGEST_CELL = 20
MOST_IMPORTS = 5
# They only show what is stored, so they begin without what takes seconds to import.
SHOWN = ("02", "07_main", "08", "09", "10", "11", "15", "17", "18", "19")
LIGHT = [name for name in NAMES if name.startswith(SHOWN)]
HEAVY = ("torch", "transformers", "sklearn")


@pytest.fixture(scope="module", params=NAMES)
def path(request: pytest.FixtureRequest) -> Path:
    return FOLDER / f"{request.param}.ipynb"


@pytest.fixture(scope="module")
def notebook(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def trees(notebook: nbformat.NotebookNode) -> list[ast.Module]:
    return [ast.parse(cell.source) for cell in code_cells(notebook)]


def test_these_are_all_notebooks_in_both_forms() -> None:
    for ending in (".ipynb", ".py"):
        assert sorted(path.stem for path in FOLDER.glob(f"*{ending}")) == NAMES


def test_both_forms_hold_the_same_cells_and_no_output(path: Path, notebook: nbformat.NotebookNode) -> None:
    """As `jupytext --sync` leaves them; after a change of one form, run it."""

    def shown(cells: list[nbformat.NotebookNode]) -> list[tuple[str, str, list[str]]]:
        return [(cell.cell_type, cell.source, cell.metadata.get("tags", [])) for cell in cells]

    text = jupytext.read(path.with_suffix(".py"))
    assert shown(text.cells) == shown(notebook.cells)
    assert text.metadata["kernelspec"] == notebook.metadata["kernelspec"]
    nbformat.validate(notebook)
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code_cells(notebook))
    assert set(notebook.metadata) <= {"jupytext", "kernelspec", "labor_llm"}
    assert all(set(cell.metadata) <= {"tags"} for cell in notebook.cells)


def test_it_begins_with_a_title_and_what_it_does(notebook: nbformat.NotebookNode) -> None:
    first = notebook.cells[0]
    heading, blank, *prose = first.source.splitlines()
    assert first.cell_type == "markdown"
    assert heading.startswith("# ") and blank == ""
    assert len(" ".join(prose).split()) > 15


def test_its_parameters_are_declared_checked_explained_and_used(notebook: nbformat.NotebookNode) -> None:
    """One that is declared and not read would be accepted and ignored."""
    head = notebook.metadata["labor_llm"]
    assert head["parameters"] == "checked"
    assert head["run"] in SCOPES
    tagged = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    assert tagged == code_cells(notebook)[:1]
    declared = declared_parameters(notebook)
    assert "results" in declared
    assert [name for name, parameter in declared.items() if not parameter.help] == []
    read = {
        node.id for tree in trees(notebook) for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }  # fmt: skip
    assert sorted(set(declared) - read) == []


def test_its_cells_are_short_calls_of_the_library(path: Path, notebook: nbformat.NotebookNode) -> None:
    for number, cell in enumerate(code_cells(notebook)):
        start, lines = f"{path.name}: {cell.source[:60]!r}", cell.source.splitlines()
        # The first cell is a list of parameters, one a line.
        assert len(lines) <= LONGEST_CELL or number == 0, start
        assert not [node for node in ast.walk(ast.parse(cell.source)) if isinstance(node, LOGIC)], start
        assert not any(line.startswith(("%", "!")) for line in lines), start


def test_everything_is_imported_in_one_cell_by_few_lines_and_used(notebook: nbformat.NotebookNode) -> None:
    kinds = ast.Import | ast.ImportFrom
    importing = [tree for tree in trees(notebook) if any(isinstance(node, kinds) for node in ast.walk(tree))]
    assert len(importing) == 1
    lines = [node for node in importing[0].body if isinstance(node, kinds)]
    imported = {alias.asname or alias.name for node in lines for alias in node.names}
    used = {node.id for tree in trees(notebook) for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert imported - used == set()
    ours = [node.module for node in lines if isinstance(node, ast.ImportFrom) and "labor_llm" in node.module]
    assert len(ours) <= MOST_IMPORTS, f"{ours}: import modules of a room in one line."


def test_a_chapter_that_needs_no_language_model_starts_without_one() -> None:
    imports = [
        ast.unparse(node)
        for name in LIGHT
        for tree in trees(nbformat.read(FOLDER / f"{name}.ipynb", as_version=4))
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    asked = f"import sys; print([name for name in {HEAVY} if name in sys.modules])"
    command = [sys.executable, "-c", "\n".join([*imports, asked])]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "[]"
