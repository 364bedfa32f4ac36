import subprocess
import sys

import nbformat
import nbformat.v4 as nbf
import papermill
import pytest

from labor_llm.errors import InputError
from labor_llm.workflow.engine import MARKER, KernelLostError, NotebookUnfinishedError


def notebook(*cells, marked=True):
    """A notebook with one parameter, `seed`, and the given code cells."""
    parameters = nbf.new_code_cell("seed: int = 1  # seed", metadata={"tags": ["parameters"]})
    made = nbf.new_notebook(cells=[parameters, *map(nbf.new_code_cell, cells)])
    made.metadata["kernelspec"] = {"name": "python3", "language": "python", "display_name": "Python 3"}
    if marked:
        made.metadata[MARKER] = {"parameters": "checked"}
    return made


def run(made, folder, parameters=None, **options):
    """Run a notebook by papermill; return the notebook that is on disk afterwards."""
    nbformat.write(made, folder / "in.ipynb")
    papermill.execute_notebook(
        folder / "in.ipynb", folder / "out.ipynb", parameters, progress_bar=False, cwd=folder, **options
    )
    return nbformat.read(folder / "out.ipynb", as_version=4)


def no_kernel(*args, **options):
    raise AssertionError("a kernel was started")


@pytest.mark.parametrize("parameters", [{"sed": 3}, {"seed": "3"}, {"seed": True}])
def test_refused_before_a_kernel_starts_and_an_earlier_output_is_untouched(parameters, tmp_path, monkeypatch):
    monkeypatch.setattr("papermill.clientwrap.PapermillNotebookClient.execute", no_kernel)
    (tmp_path / "out.ipynb").write_text("the result of an earlier run")

    with pytest.raises(InputError, match=r"in\.ipynb: .*Nothing was run"):
        run(notebook("print(seed)"), tmp_path, parameters)

    assert (tmp_path / "out.ipynb").read_text() == "the result of an earlier run"


@pytest.mark.parametrize(("marked", "name"), [(True, "seed"), (False, "anything")])
def test_fitting_parameters_run_and_other_peoples_notebooks_are_not_checked(marked, name, tmp_path):
    got = run(notebook(f"print({name})", marked=marked), tmp_path, {name: 7})

    assert got.cells[-1].outputs[0].text == "7\n"
    assert got.metadata.papermill["exception"] is None


def test_a_failing_cell_is_papermills_own_error(tmp_path):
    with pytest.raises(papermill.PapermillExecutionError, match="ZeroDivisionError"):
        run(notebook("1 / 0", "print('after')"), tmp_path)


KILLED = (
    r"in\.ipynb: its process was killed in cell 2, which begins 'import os; .* memory ran out\. Close other"
)


@pytest.mark.parametrize(
    ("cell", "status", "error"),
    [
        ("import os; os.kill(os.getpid(), 9)", 6, KILLED),
        ("import os; os._exit(0)", 6, KILLED),
        (
            "while True: pass",
            6,
            r"in\.ipynb: stopped after 0\.05 minutes, .* in cell 2, which .* `hangs_after`",
        ),
        ("import sys; sys.exit(0)", 4, "1 code cells were not executed"),
    ],
)
def test_an_early_end_is_an_error_and_the_saved_notebook_says_so(cell, status, error, tmp_path):
    with pytest.raises((KernelLostError, NotebookUnfinishedError), match=error) as said:
        run(notebook(cell, "print('after')"), tmp_path, longest_minutes=0.05 if "while" in cell else 0)
    assert said.value.exit_code == status

    got = nbformat.read(tmp_path / "out.ipynb", as_version=4)
    assert got.metadata.papermill["exception"] is True
    assert got.cells[-1].metadata.papermill["status"] != "completed"


def test_the_papermill_command_prints_one_clear_line(tmp_path):
    nbformat.write(notebook("open('kernel-was-here', 'w')"), tmp_path / "in.ipynb")
    command = [sys.executable, "-m", "papermill", "in.ipynb", "out.ipynb", "-p", "sed", "3"]

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    expected = "Error: in.ipynb: no parameter 'sed' (did you mean 'seed'?), it has seed. Nothing was run.\n"
    assert (done.returncode, done.stderr.splitlines(keepends=True)[-1]) == (3, expected)
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out.ipynb").exists()
    assert not (tmp_path / "kernel-was-here").exists()
