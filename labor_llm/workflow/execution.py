"""Execute one notebook by papermill, unless it is current: into place only when every cell ran.

A run is current if its parameters, the code that it rests on, what it reads, the threads of the numerical libraries
and the versions of the libraries are those of the executed notebook, and all that it makes is there. Comments,
docstrings and the clock do not matter (`labor_llm.store.staleness`).
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from labor_llm.errors import InputError, LaborLLMError
from labor_llm.store.artefacts import atomic_path, environment, sha256
from labor_llm.store.results import project_root
from labor_llm.store.staleness import code_checksum

_MADE_FROM = "made_from"


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
        executed: where the executed notebook goes.
        parameters: as in `execute_notebook`.
        needs: files that it reads.
        makes: files that it makes.
    """
    made_from = _identity(notebook, parameters, needs)
    if all(path.exists() for path in makes) and _stored_identity(executed) == made_from:
        # For Snakemake, which goes by the clock.
        for path in (executed, *makes):
            path.touch()
        return False
    execute_notebook(notebook, executed, parameters, made_from)
    return True


def _identity(notebook: Path, parameters: Mapping[str, Any], needs: Sequence[Path]) -> str:
    # In their order, as the files of results outside of the checkout all have one name.
    read = [sha256(path) if path.is_file() else "" for path in needs]
    described = [dict(parameters), code_checksum(notebook), read, os.environ.get("OMP_NUM_THREADS")]
    described.append(environment()["versions"])
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()


def _stored_identity(executed: Path) -> str | None:
    try:
        metadata = json.loads(executed.read_text(encoding="utf-8"))["metadata"]
    except (OSError, ValueError, KeyError):
        return None
    return metadata.get("labor_llm", {}).get(_MADE_FROM)


def execute_notebook(
    notebook: Path, executed: Path, parameters: Mapping[str, Any], made_from: str | None = None
) -> None:
    """Run a notebook with parameters and store it executed.

    Args:
        notebook: the notebook.
        executed: where the executed notebook goes. If a cell fails it is left beside it as
            `<name>.failed.ipynb`, with the message in `<name>.failed.txt`, and an earlier executed
            notebook stays.
        parameters: values for its `parameters` cell, checked before a kernel starts.
        made_from: a checksum of all that the run rests on, stored in the executed notebook.

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
            if made_from:
                content = json.loads(aside.read_text(encoding="utf-8"))
                content["metadata"].setdefault("labor_llm", {})[_MADE_FROM] = made_from
                aside.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
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
