"""Each scan finds the fault that it is for, in a small tree that is sound otherwise, and none in this repository."""

import json
import subprocess
from pathlib import Path

import pytest

from labor_llm.commands.main import app
from labor_llm.store.results import Results, project_root
from labor_llm.workflow.programs import imported_packages, read_program, strings_of, unseeded_draws
from labor_llm.workflow.records import record_of, write_record
from labor_llm.workflow.scans import FINDING, OK, SCANS, scan

NOTEBOOK = "notebooks/01_first.ipynb"
README = "| `01_first` | does it | `tab-first`, `fig-second-*` |\n"
CATALOGUE = "- {id: tab-first, notebook: 01_first}\n- {id: fig-second, notebook: 01_first, variants: true}\n"
PROJECT = '[project]\nname = "own"\ndependencies = ["numpy==2", "pandas==3"]\n[tool.own]\npeers = ["absent-peer==1"]\n'
PROGRAM = '''"""A folder such as /home/me/data is no path here."""
import numpy as np, pandas
import absent_peer, beside
EXHIBITS = ["tab-first", "fig-second"]  # not in /home/me/data
np.random.default_rng(1).normal()
'''


def notebook(source, count=None, outputs=()):
    code = {
        "cell_type": "code",
        "execution_count": count,
        "metadata": {},
        "outputs": [*outputs],
        "source": source,
    }
    return json.dumps({"cells": [code], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


SOUND = {
    "README.md": README, "pyproject.toml": PROJECT, "scripts/program.py": PROGRAM, "scripts/beside.py": "",
    "own/exhibits/catalogue.yaml": CATALOGUE, "settings.yaml": "path: data/raw # not /home/me/data\n",
    NOTEBOOK: notebook("%matplotlib inline\nprint(1)"), "results/made.py": "import nowhere",
}  # fmt: skip


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A repository without version control."""
    for name, text in SOUND.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.fixture
def run(tmp_path: Path) -> Results:
    """A run of the notebook, with its record."""
    results = Results(tmp_path / "results" / "one")
    for folder in (results.notebooks, results.exhibits):
        folder.mkdir(parents=True)
    (results.exhibits / "tab-first.csv").write_text("a\n1\n")
    executed = results.notebooks / "01_first.ipynb"
    executed.write_text(notebook("print(1)", 1))
    write_record(record_of(executed), "identity", [executed, results.exhibits / "tab-first.csv"])
    return results


def found(root, results=None):
    rows = scan(root, results)
    assert [row.scan for row in rows if row.verdict == OK] == [
        name for name in SCANS if name not in {row.scan for row in rows if row.verdict == FINDING}
    ]
    assert all(row.where and row.remedy for row in rows if row.verdict == FINDING)
    return [(row.scan, row.where) for row in rows if row.verdict == FINDING]


PATH = "/".join(["", "home", "me", "data.csv"])
FAULTS = [
    ("absolute paths", "scripts/beside.py", f"x = '{PATH}'", f"scripts/beside.py, line 1: '{PATH}'"),
    ("absolute paths", "scripts/beside.py", f"y = f'cp {PATH} {{x}}'", "scripts/beside.py, line 1"),
    ("absolute paths", "scripts/beside.py", r"y = 'D:\\thesis\\x.csv'", "scripts/beside.py, line 1"),
    ("absolute paths", NOTEBOOK, notebook(f"read('{PATH}')"), f"{NOTEBOOK}, cell 1, line 1: '{PATH}'"),
    ("absolute paths", "settings.yaml", f"# a\npath: [x, {PATH}]", f"settings.yaml, line 2: '{PATH}'"),
    ("absolute paths", "settings.yaml", "path: 'x", "settings.yaml: while scanning"),
    ("files over 5 MB", "data/large.bin", "x" * 5_000_001, "data/large.bin: 5.0 MB"),
    ("order and outputs of notebooks", NOTEBOOK, notebook("print(1)", 1, [{}]), NOTEBOOK),
    ("packages", "scripts/beside.py", "import torch.nn", "scripts/beside.py: torch"),
    ("packages", NOTEBOOK, notebook("from scipy import stats"), f"{NOTEBOOK}: scipy"),
    ("packages", "scripts/beside.py", "import not_installed", "scripts/beside.py: not_installed"),
    ("packages", "pyproject.toml", PROJECT.replace("pandas==3", "pandas==3', 'tqdm==4").replace("'", '"'),
     "pyproject.toml: tqdm"),
    ("unseeded draws", "scripts/beside.py", "import numpy as n\nn.random.rand(2)",
     "scripts/beside.py, line 2: numpy.random.rand"),
    ("unseeded draws", NOTEBOOK, notebook("import random\nrandom.random()"),
     f"{NOTEBOOK}, cell 1, line 2: random.random"),
    ("exhibits and programs", "scripts/program.py", PROGRAM.replace('"tab-first", ', ""), "catalogue.yaml: tab-first"),
    ("README's list of programs", "README.md", README.replace("-*", ""), "README.md: 01_first: `tab-first`, `fig-s"),
    ("README's list of programs", "README.md", README + README.replace("01", "02"), "README.md: 02_first: `tab-first`"),
    ("README's list of programs", "README.md", "", "README.md: 01_first: no row"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "file", "text", "where"), FAULTS, ids=[f"{each[0]}-{each[3]}"[:60] for each in FAULTS]
)
def test_a_scan_finds_its_fault_and_no_other(tree, name, file, text, where):
    (tree / file).parent.mkdir(exist_ok=True)
    (tree / file).write_text(text)
    rows = found(tree)
    assert [row[0] for row in rows] == [name]
    assert rows[0][1].startswith(where)


def test_a_sound_tree_has_none_with_git_or_without_and_only_tracked_files_count(tree, run):
    assert found(tree) == found(tree, run) == []
    git = ["git", "-C", tree, "-c", "user.name=a", "-c", "user.email=a@b"]
    (tree / "untracked.py").write_text("import nowhere")
    assert found(tree) == [("packages", "untracked.py: nowhere")]
    for words in (["init", "-q"], ["add", "--", *(name for name in SOUND if "results" not in name)]):
        subprocess.run([*git, *words], check=True)
    assert found(tree) == []
    # Taken away but not yet committed.
    (tree / "scripts/beside.py").unlink()
    assert found(tree) == [("packages", "scripts/program.py: beside")]
    (tree / NOTEBOOK).unlink()
    assert {name for name, _ in found(tree)} >= {"exhibits and programs", "README's list of programs"}


def test_a_run_is_looked_at(tree, run):
    (run.exhibits / "tab-by-hand.csv").write_text("a\n2\n")
    assert found(tree, run) == [("exhibits and programs", str(run.exhibits / "tab-by-hand.csv"))]
    (run.exhibits / "tab-first.csv").write_text("a\n2\n")
    [(name, where)] = found(tree, run)
    assert name == "exhibits and programs" and where.endswith("it was changed after a run had made it")
    executed = run.notebooks / "01_first.ipynb"
    executed.write_text(notebook("print(1)", 3))
    assert ("order and outputs of notebooks", str(executed)) in found(tree, run)
    # Tables without records are no run.
    record_of(executed).unlink()
    assert ("exhibits and programs", str(run.exhibits / "tab-by-hand.csv")) not in found(tree, run)


def test_what_is_no_program_is_named(tree):
    (tree / "scripts/beside.py").write_text("if:")
    [name, where] = found(tree)[0]
    assert name == "programs" and where.startswith("scripts/beside.py: not readable as a program")


def test_what_is_for_ipython_or_the_shell_is_a_program_too(tree):
    for cell in ("%%bash\ncp a b", "if True:\n    %matplotlib inline", "files = !ls", "print?"):
        (tree / "notebooks/01_first.ipynb").write_text(notebook(cell))
        assert "programs" not in dict(found(tree)), cell


@pytest.mark.parametrize(
    ("code", "drawn"),
    [
        ("import numpy as np\nnp.random.default_rng()", "numpy.random.default_rng"),
        ("import numpy as np\nnp.random.default_rng(None)", "numpy.random.default_rng"),
        ("from numpy.random import default_rng as make\nmake()", "numpy.random.default_rng"),
        ("from numpy import random as r\nr.shuffle(x)", "numpy.random.shuffle"),
        ("from random import choice\nchoice(x)", "random.choice"),
        ("import random\nrandom.Random()", "random.Random"),
        ("import torch\ntorch.rand(2)", "torch.rand"),
        ("import torch as t\nt.randperm(2, device=d)", "torch.randperm"),
        ("import numpy as np\nnp.random.default_rng(seed)", ""),
        ("import numpy as np\nnp.random.seed(1)\nnp.random.rand(2)", ""),
        ("import random\nrandom.seed(1)\nrandom.random()", ""),
        ("import random\nrandom.Random(1).random()", ""),
        ("import torch\ntorch.rand(2, generator=g)", ""),
        ("import torch\ntorch.manual_seed(1)\ntorch.rand(2)", ""),
        ("import transformers, torch\ntransformers.set_seed(1)\ntorch.rand(2)", ""),
        ("random.random()\nrng.normal()\nx.sample()", ""),
    ],
)
def test_draws_are_known_by_where_they_come_from(tmp_path, code, drawn):
    (tmp_path / "a.py").write_text(code)
    places = [*unseeded_draws(read_program(tmp_path / "a.py", "a.py"))]
    assert [place.split(": ")[1] for place in places] == ([drawn] if drawn else [])


def test_strings_and_imports_are_those_of_code(tmp_path):
    text = '"""Doc."""\nimport a.b, c as d\nfrom e.f import g\nfrom . import h\nx = "one" + "two"\ny = f"{x}/three"\n'
    (tmp_path / "a.py").write_text(text)
    [(_, code)] = read_program(tmp_path / "a.py", "a.py")
    assert [*strings_of(code)] == [(6, "}/three"), (5, "one")]
    assert imported_packages(code) == {"a", "c", "e"}


def test_this_repository_has_none():
    assert found(project_root()) == []


def test_the_command_says_what_was_found(tree, run, monkeypatch):
    """Before it compares tables; a finding ends it with 1 even if all tables are as expected."""
    from typer.testing import CliRunner

    from labor_llm.exhibits.expected import machine
    from labor_llm.exhibits.stored_runs import write_stored
    from labor_llm.store import results

    expected = write_stored(run, tree / "expected", {"machine": machine()}, {})
    monkeypatch.setattr(results, "project_root", lambda: tree)
    check = ["check", "--results", str(run.root), "--expected", str(expected)]
    said = CliRunner().invoke(app, check)
    assert said.exit_code == 0, said.output
    (tree / "scripts/beside.py").write_text("import torch.nn")
    said = CliRunner().invoke(app, check)
    assert said.exit_code == 1
    assert "finding           packages" in said.output and "scripts/beside.py: torch" in said.output
