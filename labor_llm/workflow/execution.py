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


def execute_notebook(
    notebook: Path,
    executed: Path,
    parameters: Mapping[str, Any],
    needs: Sequence[Path] = (),
    makes: Sequence[Path] | None = None,
    longest_minutes: float = 0,
) -> bool:
    """Run a notebook with parameters and store it executed, unless it is known to be current; say whether it was run.

    Args:
        notebook: the notebook.
        executed: where the executed notebook goes. If a cell fails it is left beside it as
            `<name>.failed.ipynb`, with the message in `<name>.failed.txt`, and an earlier executed
            notebook stays.
        parameters: values for its `parameters` cell, checked before a kernel starts.
        needs: files that it reads.
        makes: files that it makes. If they are said, a record of the run is kept beside the executed notebook, which
            tells whether that is current (`labor_llm.workflow.records`).
        longest_minutes: after which it is ended as one that hangs; 0 for no limit.

    Raises:
        InputError: if a parameter is unknown or ill-typed; without `makes` also if `executed` is the notebook itself
            (by whatever name) or anything else but an executed notebook.
        LaborLLMError: if a cell fails, the kernel dies or takes too long, or not all was made; names the cell or file.
    """
    if makes is None:
        _check_executed(notebook, executed)
        _run(notebook, executed, parameters, longest_minutes)
        return True
    identity, record = identity_of(notebook, parameters, needs), record_of(executed)
    if is_current(record, identity, makes):
        return False
    record.unlink(missing_ok=True)
    _run(notebook, executed, parameters, longest_minutes)
    if missing := [path for path in makes if not path.is_file()]:
        raise LaborLLMError(f"{notebook.name}: it ran to its end, but has not made {missing[0]}.")
    write_record(record, identity, [executed, *makes])
    return True


def _check_executed(notebook: Path, executed: Path) -> None:
    """Refuse to write over what is no executed notebook."""
    check_file(executed)
    if not executed.exists():
        return
    what = "exists and is no executed notebook"
    if notebook.exists() and executed.samefile(notebook):
        what = f"is the notebook {notebook} itself"
    else:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            if "papermill" in json.loads(executed.read_text(encoding="utf-8"))["metadata"]:
                return
    raise InputError(f"{executed}: {what}, so it was left alone. Name another file.")


def _run(notebook: Path, executed: Path, parameters: Mapping[str, Any], longest_minutes: float) -> None:
    import papermill

    failed, message = executed.with_suffix(".failed.ipynb"), executed.with_suffix(".failed.txt")
    for path in (failed, message):
        path.unlink(missing_ok=True)
    # Jupyter's warnings (a kernel over TCP, tqdm without widgets) tell a reader of the log nothing.
    logging.getLogger("papermill").setLevel(logging.CRITICAL)
    with atomic_path(executed) as aside:
        try:
            papermill.execute_notebook(
                notebook,
                aside,
                dict(parameters),
                progress_bar=False,
                cwd=project_root(),
                stderr_file=sys.stderr,
                start_timeout=_SECONDS_TO_START,
                longest_minutes=longest_minutes,
                # Silent: a kernel on one machine need not warn that its connection is not encrypted, nor report as an
                # error that it is interrupted when it is shut down. What a cell raises is told by papermill.
                extra_arguments=["--IPKernelApp.log_level=50"],
            )
        except (papermill.PapermillExecutionError, LaborLLMError) as error:
            if isinstance(error, papermill.PapermillExecutionError):
                said = f"{notebook.name}: cell {error.exec_count} failed: {error.ename}: {error.evalue}"
                ours = error.ename in vars(errors)
                error = (None if ours else explained(said)) or LaborLLMError(said)
            # What was refused before it began has left nothing; a full disk has been told of already.
            with contextlib.suppress(OSError):
                aside.replace(failed)
                message.write_text(str(error), encoding="utf-8")
            raise error from None
