"""Execute one notebook by papermill: into place only when every cell ran, its progress on the error stream."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labor_llm.artefacts import atomic_path
from labor_llm.errors import LaborLLMError
from labor_llm.results import project_root


def execute_notebook(notebook: Path, executed: Path, parameters: Mapping[str, Any]) -> None:
    """Run a notebook with parameters and store it executed.

    Args:
        notebook: the notebook.
        executed: where the executed notebook goes. If a cell fails it is left beside it as
            `<name>.failed.ipynb`, and an earlier executed notebook stays.
        parameters: values for its `parameters` cell, checked before a kernel starts.

    Raises:
        InputError: if a parameter is unknown or ill-typed.
        LaborLLMError: if a cell fails or the kernel dies.
    """
    import papermill
    from nbclient.exceptions import DeadKernelError

    # Jupyter's warnings (a kernel over TCP, tqdm without widgets) tell a reader of the log nothing.
    logging.getLogger("papermill").setLevel(logging.ERROR)
    failed = executed.with_suffix(".failed.ipynb")
    failed.unlink(missing_ok=True)
    with atomic_path(executed) as aside:
        try:
            papermill.execute_notebook(
                notebook,
                aside,
                dict(parameters),
                progress_bar=False,
                cwd=project_root(),
                stderr_file=sys.stderr,
            )
        except papermill.PapermillExecutionError as error:
            aside.replace(failed)
            raise LaborLLMError(
                f"{notebook.name}: cell {error.exec_count} failed: {error.ename}: {error.evalue}\n"
                f"The notebook up to there: {failed}"
            ) from None
        except DeadKernelError:
            if aside.exists():
                aside.replace(failed)
            raise LaborLLMError(
                f"{notebook.name}: its process was killed, usually because memory ran out. "
                f"Close other programs or use a smaller profile. The notebook up to there: {failed}"
            ) from None
