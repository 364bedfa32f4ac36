"""Run a replication to its end: the notebooks of a profile by Snakemake, then the book.

Execute one notebook by papermill: into place only when every cell ran, its progress on the error stream.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat

from labor_llm.careers.panel import read_careers
from labor_llm.errors import InputError, LaborLLMError
from labor_llm.store.artefacts import atomic_path
from labor_llm.store.results import only_run, open_results, project_root
from labor_llm.workflow.parameters import check_parameters
from labor_llm.workflow.profile import Profile
from labor_llm.workflow.runs import notebook_runs


def replicate(profile: Profile, source: str, cores: int, dry_run: bool = False) -> None:
    """Run a profile to the end: notebooks, exhibits, book; only what is missing or changed.

    Args:
        profile: the profile.
        source: name or path that it was loaded from.
        cores: CPU cores to use. The threads of the numerical libraries, which are part of a result's identity, are
            as many, or `cores_per_run` of the profile.
        dry_run: only say what would run.

    Raises:
        InputError: if a file of the user's own careers is missing or no valid panel, or a parameter does not fit its
            notebook, before anything runs.
        BusyError: if another run works on the same profile.
        LaborLLMError: if a job failed; with the job's own message.
    """
    _check_own_careers(profile)
    _check_parameters(profile)
    if source.endswith((".yaml", ".yml")):
        # The workflow works in the checkout, wherever the command was typed.
        source = str(Path(source).resolve())
    results = open_results(profile.results)
    root = results.root
    root.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable, "-m", "snakemake", "--snakefile", str(Path(__file__).parent / "graph" / "Snakefile"),
        "--directory", str(project_root()), "--cores", str(cores), "--config", f"profile={source}",
        # Our own lock goes with the processes that hold it; Snakemake's would outlive a kill. What a failed job has
        # stored is complete, and Snakemake must not take its manifest away.
        "--nolock", "--rerun-incomplete", "--keep-incomplete", "--quiet", "host", "reason",
        *(["--dry-run"] if dry_run else []),
    ]  # fmt: skip
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": str(profile.threads(cores)),
        "TOKENIZERS_PARALLELISM": "false",
        # The progress bars of other libraries ask for widgets that a log cannot show.
        "PYTHONWARNINGS": "ignore:IProgress not found",
    }
    began = time.time()
    with only_run(root / ".lock") as descriptor:
        code = subprocess.run(command, env=environment, check=False, pass_fds=[descriptor]).returncode
    if code:
        messages = [
            path.read_text(encoding="utf-8")
            for path in sorted(results.notebooks.glob("*.failed.txt"))
            if path.stat().st_mtime >= began
        ]
        reason = "\n".join(messages) or "the reason stands above"
        raise LaborLLMError(
            f"The replication of {profile.name!r} stopped: {reason}\nRun it again to go on from there."
        )


def _check_own_careers(profile: Profile) -> None:
    for name, entry in profile.datasets.items():
        if entry.panel and entry.titles:
            read_careers(project_root() / entry.panel, project_root() / entry.titles, name, entry.survey)
        for path in entry.source().files():
            if not (project_root() / path).exists():
                raise InputError(
                    f"datasets.{name}: {project_root() / path} does not exist. data/README.md says where to get it "
                    "and where to put it."
                )


def _check_parameters(profile: Profile) -> None:
    """Refuse what a notebook would refuse, before any runs."""
    for run in notebook_runs(profile):
        path = project_root() / "notebooks" / f"{run.notebook}.ipynb"
        check_parameters(nbformat.read(path, as_version=4), run.parameters, run.name)


def execute_notebook(notebook: Path, executed: Path, parameters: Mapping[str, Any]) -> None:
    """Run a notebook with parameters and store it executed.

    Args:
        notebook: the notebook.
        executed: where the executed notebook goes. If a cell fails it is left beside it as
            `<name>.failed.ipynb`, with the message in `<name>.failed.txt`, and an earlier executed
            notebook stays.
        parameters: values for its `parameters` cell, checked before a kernel starts.

    Raises:
        InputError: if a parameter is unknown or ill-typed.
        LaborLLMError: if a cell fails or the kernel dies.
    """
    failed, message = executed.with_suffix(".failed.ipynb"), executed.with_suffix(".failed.txt")
    for path in (failed, message):
        path.unlink(missing_ok=True)
    with atomic_path(executed) as aside:
        try:
            _run(notebook, aside, parameters)
        except InputError:
            raise
        except LaborLLMError as error:
            if aside.exists():
                aside.replace(failed)
            message.parent.mkdir(parents=True, exist_ok=True)
            message.write_text(str(error), encoding="utf-8")
            raise


def _run(notebook: Path, executed: Path, parameters: Mapping[str, Any]) -> None:
    import papermill
    from nbclient.exceptions import DeadKernelError

    # Jupyter's warnings (a kernel over TCP, tqdm without widgets) tell a reader of the log nothing.
    logging.getLogger("papermill").setLevel(logging.ERROR)
    try:
        papermill.execute_notebook(
            notebook,
            executed,
            dict(parameters),
            progress_bar=False,
            cwd=project_root(),
            stderr_file=sys.stderr,
            # Errors only: a kernel on one machine need not warn that its connection is not encrypted.
            extra_arguments=["--IPKernelApp.log_level=40"],
        )
    except papermill.PapermillExecutionError as error:
        raise LaborLLMError(
            f"{notebook.name}: cell {error.exec_count} failed: {error.ename}: {error.evalue}"
        ) from None
    except DeadKernelError:
        raise LaborLLMError(
            f"{notebook.name}: its process was killed, usually because memory ran out. "
            "Close other programs or use a smaller profile."
        ) from None
