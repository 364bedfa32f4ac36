"""Few careers for fine-tunings, and fine-tunings in processes of their own, forked from one that has the libraries."""

import json
import multiprocessing
import socket
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from labor_llm.careers.panel import CareerPanel, split_workers, write_panel
from labor_llm.finetuning.settings import FineTuningSettings

# What each process does; `accelerate launch` sets the same variables.
_PROGRAM = """
import json, os, signal, sys
from pathlib import Path

os.environ.update(environment)
import torch
from labor_llm.careers.panel import read_panel
from labor_llm.errors import LaborLLMError
from labor_llm.careers.samples import training_careers
from labor_llm.finetuning.fit import fine_tune
from labor_llm.finetuning.settings import FineTuningSettings
from labor_llm.finetuning.steps import FineTuningRun
from labor_llm.store import checkpoints

def kill():
    os.kill(os.getpid(), signal.SIGKILL)

torch.set_num_threads(threads)
exec(spoil, globals())
panel, splits = read_panel(Path(panel_folder))
for folder, settings in runs.items():
    try:
        fine_tune(model, training_careers(panel, splits), FineTuningSettings(**settings), Path(folder))
    except LaborLLMError as error:
        Path(f"{folder}.error-{environment['RANK']}").write_text(json.dumps([str(error), error.said_elsewhere]))
        sys.exit(error.exit_code)
"""
Launch = Callable[..., list[int | None]]


@pytest.fixture(scope="session")
def few(panel: CareerPanel) -> CareerPanel:
    """Of 60 workers 42 train a model, in batches of eight six steps an epoch."""
    return panel.restrict(set(panel.workers[:60]))


@pytest.fixture(scope="session")
def few_stored(few: CareerPanel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("few") / "panel"
    write_panel(folder, few, split_workers(few, seed=1))
    return folder


@pytest.fixture(scope="session")
def launch(few_stored: Path, tiny_model_folder: Path) -> Launch:
    """Run fine-tunings one after the other, in one process or in two that work together."""
    import torch

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["labor_llm.finetuning.fit"])

    def launched(
        runs: Mapping[Path, FineTuningSettings], kind: str = "one", spoil: str = ""
    ) -> list[int | None]:
        """Return the exit statuses; `spoil` is code that is run first, with a function `kill`."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        environment = {} if kind == "one" else {
            "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
            "OMP_NUM_THREADS": "1", "ACCELERATE_USE_FSDP": str(kind == "FSDP").lower(), "FSDP_VERSION": "2",
        }  # fmt: skip
        given = {
            "panel_folder": str(few_stored), "model": str(tiny_model_folder), "spoil": spoil,
            "runs": {str(folder): settings.model_dump() for folder, settings in runs.items()},
            "threads": torch.get_num_threads() if kind == "one" else 1,
        }  # fmt: skip
        processes = []
        for number in range(1 if kind == "one" else 2):
            own = environment | {"RANK": str(number)}
            own |= {} if kind == "one" else {"LOCAL_RANK": str(number)}
            processes.append(context.Process(target=exec, args=(_PROGRAM, {**given, "environment": own})))
            processes[-1].start()
        for process in processes:
            process.join(timeout=240)
            process.kill()
            process.join()
        return [process.exitcode for process in processes]

    return launched


@pytest.fixture(scope="session")
def said() -> Callable[[Path], list[tuple[str, bool]]]:
    """Read the error of each of two processes, and whether it is left to the other one to say it."""
    return lambda folder: [json.loads(Path(f"{folder}.error-{number}").read_text()) for number in range(2)]
