"""Execute one notebook by papermill, unless it is current: into place only when every cell ran."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from labor_llm.errors import InputError, LaborLLMError
from labor_llm.store.artefacts import atomic_path
from labor_llm.store.results import project_root
from labor_llm.workflow.records import identity_of, is_current, record_of, write_record


def execute_unless_current(
    notebook: Path,
    executed: Path,
    parameters: Mapping[str, Any],
    needs: Sequence[Path],
    makes: Sequence[Path],
) -> bool:
    """Run a notebook as `execute_notebook` unless the executed one is current; say whether it was run.

    Args:
        notebook: the notebook.
        executed: where the executed notebook goes, with a record of the run beside it (`labor_llm.workflow.records`).
        parameters: as in `execute_notebook`.
        needs: files that it reads.
        makes: files that it makes.

    Raises:
        LaborLLMError: as `execute_notebook`, and if the run has not made all that it was to make.
    """
    identity, record = identity_of(notebook, parameters, needs), record_of(executed)
    if is_current(record, identity, makes):
        return False
    record.unlink(missing_ok=True)
    execute_notebook(notebook, executed, parameters)
    if missing := [path for path in makes if not path.is_file()]:
        raise LaborLLMError(f"{notebook.name}: it ran to its end, but has not made {missing[0]}.")
    write_record(record, identity, [executed, *makes])
    return True


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
            # Silent: a kernel on one machine need not warn that its connection is not encrypted, nor report as an error
            # that it is interrupted when it is shut down. What a cell raises is told by papermill.
            extra_arguments=["--IPKernelApp.log_level=50"],
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
