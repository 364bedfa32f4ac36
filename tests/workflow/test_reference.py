"""The generated pages: what they list, what they refuse, and whether the README's picture is current."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer.main

from labor_llm.commands.main import app
from labor_llm.errors import InputError
from labor_llm.store.results import project_root
from labor_llm.workflow.profile import load_profile
from labor_llm.workflow.reference import (
    commands_page,
    exhibits_page,
    files_page,
    gloss,
)
from labor_llm.workflow.runs import notebook_runs


def module(root: Path, name: str, first_line: str) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'"""{first_line}\n\nAnd more.\n"""\n' if first_line else "x = 1\n", encoding="utf-8")
    return path


def test_every_module_stands_on_the_page_of_files_in_the_order_of_the_rooms() -> None:
    root = project_root()
    page = files_page(root)
    for path in [*(root / "labor_llm").rglob("*.py"), *(root / "benchmarks").glob("*.py")]:
        assert path.stem == "__init__" or f"{path.name}`" in page, path
    assert page.index("## store/") < page.index("## scoring/") < page.index("## commands/")


def test_signs_of_markdown_in_a_docstring_are_text_and_code_stays_code(tmp_path: Path) -> None:
    module(tmp_path, "labor_llm/room/__init__.py", "A place for tests.")
    module(tmp_path, "labor_llm/room/signs.py", "Costs $1 | `a|b`, {x} under --named <of> *two* kinds.")
    page = files_page(tmp_path)
    assert "## room/\n\nA place for tests.\n" in page
    assert "| `signs.py` | Costs \\$1 \\| `a\\|b`, \\{x\\} under `--named` \\<of\\> \\*two\\* kinds |" in page


@pytest.mark.parametrize(
    ("name", "line", "further"),
    [
        ("trees.py", "", "none"),
        ("decision_trees.py", "The decision tree.", "none"),
        ("trees.py", "The same for trees.", "none"),
        ("trees/__init__.py", "Trees, tested.", "tested"),
    ],
)
def test_a_gloss_that_says_no_more_than_the_name_is_refused(
    tmp_path: Path, name: str, line: str, further: str
) -> None:
    path = module(tmp_path, name, line)
    with pytest.raises(InputError, match=rf"{name}: .*further words of the line: {further}\."):
        gloss(path, tmp_path)
    assert gloss(module(tmp_path, name, "Trees that are grown and pruned."), tmp_path) == (
        "Trees that are grown and pruned"
    )


def test_every_option_of_every_command_stands_on_the_page_of_commands() -> None:
    group = typer.main.get_command(app)
    page = commands_page(group.commands, "Exit status: 0 done.")
    for name, command in group.commands.items():
        part = page.split(f"\n## {name}\n")[1].split("\n## ")[0]
        for parameter in command.params:
            assert f"| `{parameter.opts[0]}" in part, (name, parameter.opts)
    assert "Exit status: 0 done." in page.split("\n## ")[0]
    assert "| `--method <full\\|lora>` | Every weight ('full'" in page


def test_every_exhibit_of_a_profile_stands_on_its_page_with_program_and_files() -> None:
    profile = load_profile("demo")
    page = exhibits_page(profile)
    tables = [
        path.stem
        for run in notebook_runs(profile)
        for path in run.makes
        if path.suffix in {".csv", ".png"} and path.parent.name == "exhibits"
    ]
    assert len(tables) == page.count("{numref}") and all(f"{{numref}}`{name}` |" in page for name in tables)
    assert (
        "| {numref}`tab-splits-wage_panel` | Split of the workers of NLSY79 men, 1980-87 | `01_data_conversion` | "
        "`tab-splits-wage_panel.csv`, `.tex` |"
    ) in page
