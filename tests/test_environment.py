"""environment.yml and requirements.lock say the same as pyproject.toml."""

import ast
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text())
PIP_LINES = [Requirement(line) for line in ENVIRONMENT["dependencies"][-1]["pip"]]
LOCKED = {
    canonicalize_name(name): version
    for name, _, version in (
        line.partition("==")
        for line in (ROOT / "requirements.lock").read_text().splitlines()
        if not line.startswith("#")
    )
}


def test_environment_is_what_make_environment_writes(tmp_path):
    command = [sys.executable, "-m", "pyproject2conda", "project", "-f", str(ROOT / "pyproject.toml")]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    got = (tmp_path / "environment.yml").read_text()
    assert got == (ROOT / "environment.yml").read_text(), "run `make environment` and commit the file"


def test_conda_gives_python_and_pip_and_each_pip_line_is_what_the_lock_installs():
    python, pip = ENVIRONMENT["dependencies"][:-1]
    assert pip == "pip"
    assert python.removeprefix("python=") in SpecifierSet(PYPROJECT["project"]["requires-python"])
    for requirement in PIP_LINES:
        if requirement.name == "torch":
            # Not in the lock: its CPU and GPU builds differ, so it is pinned in pyproject.toml alone.
            assert "torch" not in LOCKED
            pinned = Requirement(PYPROJECT["tool"]["labor_llm"]["torch"])
            assert str(pinned.specifier).removeprefix("==") in requirement.specifier
        else:
            assert LOCKED[canonicalize_name(requirement.name)] in requirement.specifier, requirement


def test_what_is_imported_is_a_direct_dependency():
    """Benchmarks aside, whose peers are not installed here."""
    files = [path for folder in ("labor_llm", "tests", "notebooks") for path in (ROOT / folder).rglob("*.py")]
    nodes = [node for path in files for node in ast.walk(ast.parse(path.read_text()))]
    imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
    ours = {"labor_llm", "tests", *sys.stdlib_module_names}
    by_module = packages_distributions()
    declared = {canonicalize_name(requirement.name) for requirement in PIP_LINES}
    foreign = {name.split(".")[0] for name in imported} - ours
    assert {
        name for name in foreign if not {*map(canonicalize_name, by_module.get(name, ()))} & declared
    } == set()


def test_the_lock_is_for_any_machine_and_every_direct_dependency_pinned():
    text = (ROOT / "requirements.lock").read_text()
    assert all("==" in line for line in text.splitlines() if not line.startswith("#"))
    assert [name for name in LOCKED if name.startswith(("nvidia", "triton", "llm", "labor"))] == []
    assert not any(sign in text for sign in ("://", "file:", "--", " /", "+cpu"))
    project = PYPROJECT["project"]
    direct = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    direct += PYPROJECT["tool"]["labor_llm"]["install-without-dependencies"]
    direct[direct.index("torch>=2.11,<2.14")] = PYPROJECT["tool"]["labor_llm"]["torch"]
    assert [line for line in direct if not str(Requirement(line).specifier).startswith("==")] == []
