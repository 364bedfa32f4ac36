"""Execute one notebook by papermill, unless it is current: into place only when every cell ran."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from labor_llm import errors
from labor_llm.errors import InputError, LaborLLMError, explained
from labor_llm.store.artefacts import atomic_path
from labor_llm.store.places import check_file
from labor_llm.store.results import project_root
from labor_llm.workflow.records import identity_of, is_current, record_of, write_record

_SECONDS_TO_START = 300  # of a kernel, on a busy machine


def execute_unless_current(
    notebook: Path,
    executed: Path,
    parameters: Mapping[str, Any],
    needs: Sequence[Path],
    makes: Sequence[Path],
    longest_minutes: float = 0,
) -> bool:
    """Run a notebook as `execute_notebook` unless the executed one is current; say whether it was run.

    Args:
        notebook: the notebook.
        executed: where the executed notebook goes, with a record of the run beside it (`labor_llm.workflow.records`).
        parameters: as in `execute_notebook`.
        needs: files that it reads.
        makes: files that it makes.
        longest_minutes: as in `execute_notebook`.

    Raises:
        LaborLLMError: as `execute_notebook`, and if the run has not made all that it was to make.
    """
    identity, record = identity_of(notebook, parameters, needs), record_of(executed)
    if is_current(record, identity, makes):
        return False
    record.unlink(missing_ok=True)
    _execute(notebook, executed, parameters, longest_minutes)
    if missing := [path for path in makes if not path.is_file()]:
        raise LaborLLMError(f"{notebook.name}: it ran to its end, but has not made {missing[0]}.")
    write_record(record, identity, [executed, *makes])
    return True


def execute_notebook(
    notebook: Path, executed: Path, parameters: Mapping[str, Any], longest_minutes: float = 0
) -> None:
    """Run a notebook with parameters and store it executed.

    Args:
        notebook: the notebook.
        executed: where the executed notebook goes. If a cell fails it is left beside it as
            `<name>.failed.ipynb`, with the message in `<name>.failed.txt`, and an earlier executed
            notebook stays.
        parameters: values for its `parameters` cell, checked before a kernel starts.
        longest_minutes: after which it is ended as one that hangs; 0 for no limit.

    Raises:
        InputError: if a parameter is unknown or ill-typed, or `executed` is the notebook itself (by whatever name) or
            anything else but an executed notebook.
        LaborLLMError: if a cell fails or the kernel dies or takes too long; names the cell.
    """
    check_file(executed)
    if executed.exists() and notebook.exists() and executed.samefile(notebook):
        raise InputError(
            f"{executed}: is the notebook {notebook} itself. Name another file for the executed one."
        )
    if executed.exists() and not _is_executed(executed):
        raise InputError(
            f"{executed}: exists and is no executed notebook, so it was left alone. Name another file."
        )
    _execute(notebook, executed, parameters, longest_minutes)


def _is_executed(notebook: Path) -> bool:
    try:
        return "papermill" in json.loads(notebook.read_text(encoding="utf-8"))["metadata"]
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _execute(notebook: Path, executed: Path, parameters: Mapping[str, Any], longest_minutes: float) -> None:
    failed, message = executed.with_suffix(".failed.ipynb"), executed.with_suffix(".failed.txt")
    for path in (failed, message):
        path.unlink(missing_ok=True)
    with atomic_path(executed) as aside:
        try:
            _run(notebook, aside, parameters, longest_minutes)
        except InputError:
            raise
        except LaborLLMError as error:
            # A full disk has been told of already.
            with contextlib.suppress(OSError):
                if aside.exists():
                    aside.replace(failed)
                message.write_text(str(error), encoding="utf-8")
            raise


def _run(notebook: Path, executed: Path, parameters: Mapping[str, Any], longest_minutes: float) -> None:
    import papermill

    # Jupyter's warnings (a kernel over TCP, tqdm without widgets) tell a reader of the log nothing.
    logging.getLogger("papermill").setLevel(logging.CRITICAL)
    try:
        papermill.execute_notebook(
            notebook,
            executed,
            dict(parameters),
            progress_bar=False,
            cwd=project_root(),
            stderr_file=sys.stderr,
            start_timeout=_SECONDS_TO_START,
            longest_minutes=longest_minutes,
            # Silent: a kernel on one machine need not warn that its connection is not encrypted, nor report as an error
            # that it is interrupted when it is shut down. What a cell raises is told by papermill.
            extra_arguments=["--IPKernelApp.log_level=50"],
        )
    except papermill.PapermillExecutionError as error:
        said = f"{notebook.name}: cell {error.exec_count} failed: {error.ename}: {error.evalue}"
        ours = error.ename in vars(errors)
        raise (None if ours else explained(said)) or LaborLLMError(said) from None
