"""The engine that papermill uses where this package is installed: parameters first, then the kernel.

papermill loads this module by itself, through the entry point in pyproject.toml, so that a plain

    papermill notebooks/NAME.ipynb out.ipynb -p seed 2

refuses a misspelt or ill-typed parameter before a kernel starts and before the output file is
touched. Only notebooks with the key `labor_llm` in their metadata are checked; all others run as ever.

papermill imports this module while its own engines are being set up, and takes the class from it.
Importing this module before papermill would therefore meet itself half-way: write
`import papermill` first.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from pathlib import Path
from typing import Any

import click
import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, NotebookExecutionManager, papermill_engines

from labor_llm.errors import ArtefactError, InputError, ResourceError
from labor_llm.workflow.forkserver import START
from labor_llm.workflow.parameters import checked_parameters
from labor_llm.workflow.stopping import end_in_order

MARKER = "labor_llm"
"""The key in a notebook's metadata that asks for the checks."""

_INJECTED_PATHS = {"PAPERMILL_INPUT_PATH", "PAPERMILL_OUTPUT_PATH"}
"""What `papermill --inject-paths` adds of its own accord."""

PEAK = "peak_memory"
"""The key beside papermill's own times for the largest resident memory of the kernel, in bytes."""

_SKIPPED_TAG = "skip-execution"
_UNIT = 1 if sys.platform == "darwin" else 1024  # of what the system calls the largest resident memory


class ParametersRefusedError(click.ClickException, InputError):
    """The parameters do not fit the notebook; papermill's command prints the message alone."""

    exit_code = InputError.exit_code


class NotebookUnfinishedError(click.ClickException, ArtefactError):
    """The notebook stopped before its last cell although no cell reported an error."""

    exit_code = ArtefactError.exit_code


class KernelLostError(click.ClickException, ResourceError):
    """The notebook's process died, did not start, or did not come to an end."""

    exit_code = ResourceError.exit_code


class ParameterCheckedEngine(NBClientEngine):
    """papermill's own engine, with a check of the parameters before it and of completeness after it."""

    @classmethod
    def execute_notebook(
        cls, nb: nbformat.NotebookNode, kernel_name: str, output_path: str | None = None, **options: Any
    ) -> nbformat.NotebookNode:
        """Check the parameters, run the notebook, check that every cell ran.

        Args:
            nb: the notebook with its injected parameters, as papermill hands it over.
            kernel_name: the kernel to start.
            output_path: where papermill saves the notebook while it runs.
            **options: papermill's other options, unchanged.

        Returns:
            The executed notebook. A cell that raised an error is marked in it, and papermill raises
            `PapermillExecutionError` afterwards.

        Raises:
            ParametersRefusedError: before a kernel starts and before `output_path` is written.
            NotebookUnfinishedError: if cells were left out, for instance after `sys.exit(0)`.
        """
        marked = MARKER in nb.metadata
        if marked:
            _inject_checked_parameters(nb)
        executed = super().execute_notebook(nb, kernel_name, output_path=output_path, **options)
        if marked and not _has_reported_error(executed):
            _refuse_unfinished(executed)
        return executed

    @classmethod
    def execute_managed_notebook(
        cls,
        nb_man: NotebookExecutionManager,
        kernel_name: str,
        start_timeout: int = 60,
        execution_timeout: int | None = None,
        longest_minutes: float = 0,
        **options: Any,
    ) -> nbformat.NotebookNode:
        """Run the cells, for `longest_minutes` at most unless that is 0; mark in the notebook that they did not end.

        Without it papermill would mark the cells that were left out as completed.

        Raises:
            KernelLostError: if the kernel dies, does not start or takes too long; names the cell.
        """
        until = time.monotonic() + 60 * longest_minutes
        options.pop("input_path", None)
        client = _Client(
            nb_man,
            kernel_name=kernel_name,
            kernel_manager_class=_Kernel,
            startup_timeout=start_timeout,
            timeout=execution_timeout,
            timeout_func=(lambda cell: max(0.1, until - time.monotonic())) if longest_minutes else None,
            **options,
        )
        try:
            return client.execute()
        except BaseException as error:
            nb_man.nb.metadata.papermill["exception"] = True
            for cell in _unexecuted(nb_man.nb):
                cell.metadata.papermill["status"] = nb_man.FAILED
            if MARKER in nb_man.nb.metadata and (said := _how_it_was_lost(error, nb_man.nb, longest_minutes)):
                raise KernelLostError(said) from None
            raise


class _Kernel(AsyncKernelManager):
    """Starts a Python kernel as a fork of the process that has imported the libraries, if there is one."""

    def format_kernel_cmd(self, extra_arguments: list[str] | None = None) -> list[str]:
        command = super().format_kernel_cmd(extra_arguments)
        return [*START, *command[1:]] if command[:2] == [sys.executable, "-m"] else command


class _Client(PapermillNotebookClient):
    """Notes in an executed notebook how much memory its kernel took."""

    def papermill_execute_cells(self) -> None:
        if MARKER in self.nb.metadata:
            # nbclient's own ways of taking a signal look as if the kernel had died.
            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_event_loop().remove_signal_handler(number)
            end_in_order()
        super().papermill_execute_cells()
        asked = {"peak": "__import__('resource').getrusage(0).ru_maxrss"}
        reply = self.wait_for_reply(self.kc.execute("", silent=True, user_expressions=asked))
        peak = reply["content"]["user_expressions"]["peak"]["data"]["text/plain"]
        self.nb.metadata.papermill[PEAK] = int(peak) * _UNIT


def _how_it_was_lost(error: BaseException, notebook: nbformat.NotebookNode, longest_minutes: float) -> str:
    """Return what became of the process of a notebook, and in which cell; '' for any other error."""
    name = Path(notebook.metadata.papermill.get("input_path") or "notebook").name
    begun = [
        cell for cell in notebook.cells if cell.metadata.papermill["start_time"] and cell.cell_type == "code"
    ]
    if not begun:
        said = f"{name}: its process did not start ({error}). Close other programs, and run it again."
        return said if isinstance(error, RuntimeError) else ""
    where = f"in cell {len(begun)}, which begins {begun[-1].source.strip().splitlines()[0]!r}"
    if longest_minutes and isinstance(error, CellTimeoutError):
        return (
            f"{name}: stopped after {longest_minutes:,g} minutes, the longest that it may take, {where}. If it was at "
            "work and did not hang, raise `hangs_after` in the profile (0 for no limit), and run it again."
        )
    said = (
        f"{name}: its process was killed {where}, usually because memory ran out. "
        "Close other programs, let fewer runs go on at once, or use a smaller profile."
    )
    return said if isinstance(error, DeadKernelError) else ""


def _inject_checked_parameters(notebook: nbformat.NotebookNode) -> None:
    """Refuse parameters that do not fit; write those that do as the notebook reads them, settings in their groups."""
    recorded = notebook.metadata.get("papermill", {})
    given = {k: v for k, v in recorded.get("parameters", {}).items() if k not in _INJECTED_PATHS}
    try:
        values = checked_parameters(notebook, given, source=recorded.get("input_path") or "notebook")
    except InputError as error:
        raise ParametersRefusedError(str(error)) from None
    paths = {k: v for k, v in recorded.get("parameters", {}).items() if k in _INJECTED_PATHS}
    for cell in notebook.cells:
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.source = "\n".join(["# Parameters", *(f"{k} = {v!r}" for k, v in (paths | values).items())])


def _refuse_unfinished(notebook: nbformat.NotebookNode) -> None:
    left_out = _unexecuted(notebook)
    if not left_out:
        return
    first = left_out[0].source.strip().splitlines()[0]
    source = notebook.metadata.papermill.get("input_path") or "notebook"
    raise NotebookUnfinishedError(
        f"{source}: {len(left_out)} code cells were not executed, the first begins {first!r}. "
        "The kernel ended early; run the notebook again."
    )


def _unexecuted(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """The code cells that hold code, are not to be skipped, and have no execution count."""
    return [
        cell
        for cell in notebook.cells
        if cell.cell_type == "code"
        and cell.source.strip()
        and _SKIPPED_TAG not in cell.metadata.get("tags", [])
        and cell.execution_count is None
    ]


def _has_reported_error(notebook: nbformat.NotebookNode) -> bool:
    """Tell whether papermill itself will raise: it does for any error but `sys.exit()` and `sys.exit(0)`."""
    errors = [
        output
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if output.output_type == "error"
    ]
    return any(e.ename != "SystemExit" or e.evalue not in {"", "0"} for e in errors)


# papermill looks engines up by name, and its default is the one without a name. It registers the
# engines of entry points after its own, so this replaces the default wherever the package is installed.
papermill_engines.register(None, ParameterCheckedEngine)
