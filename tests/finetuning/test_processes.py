"""Fine-tuning in two processes, DDP and FSDP: the losses and weights of one process, a kill, and a stop of both."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

import labor_llm
from labor_llm.finetuning.fit import read_learning_curve
from labor_llm.finetuning.processes import shares
from labor_llm.finetuning.settings import FineTuningSettings

LAUNCH = Path(labor_llm.__file__).parent / "finetuning" / "launch"
# 42 careers in batches of 41: one batch is a single career, of which one process has none. Passes of few tokens: the
# processes differ in their number. A norm of the gradient that some steps exceed and some do not.
SETTINGS = FineTuningSettings(
    epochs=3, learning_rate=5e-3, batch_size=41, precision="float32", tokens_at_once=400
)
KINDS = ("DDP", "FSDP")
# Relative; two processes add the same float32 numbers in another order.
TOLERANCE = 1e-5

# What one of the launched processes does; `accelerate launch` sets the same variables.
_PROCESS = """
import json, os, signal, sys
from pathlib import Path

os.environ.update(environment)
from labor_llm.careers.panel import read_panel
from labor_llm.errors import LaborLLMError
from labor_llm.finetuning.fit import fine_tune_panel
from labor_llm.finetuning.settings import FineTuningSettings
from labor_llm.finetuning.steps import FineTuningRun

import torch
torch.set_num_threads(1)
step = FineTuningRun.take_step

def spoilt(run):
    if run.step == at_step and deed == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if run.step == at_step and deed == "spoil" and run.processes.number == 1:
        # Only what this process computes in this step becomes NaN.
        run.train_careers = [type(c)(c.ids, c.targets) for c in run.train_careers]
        compute = run.processes.compute
        run.processes.compute = lambda batch: compute(batch) * float("nan")
    return step(run)

FineTuningRun.take_step = spoilt
panel, splits = read_panel(Path(panel_folder))
try:
    fine_tune_panel(model, panel, splits, FineTuningSettings(**settings), Path(folder))
except LaborLLMError as error:
    Path(f"{folder}.error-{environment['RANK']}").write_text(json.dumps([str(error), error.said_elsewhere]))
    sys.exit(error.exit_code)
"""


class Pair:
    """Two processes that fine-tune together, or one alone, forked from one that has the libraries loaded."""

    def __init__(self, started: Callable[..., BaseProcess], panel: Path, model: Path, folder: Path) -> None:
        self.started, self.panel, self.model, self.folder = started, panel, model, folder

    def fine_tune(
        self, name: str, kind: str, settings: FineTuningSettings, deed: str = "", at_step: int = -1
    ) -> list[int | None]:
        """Return the exit statuses of a run into the folder `name`."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        processes = []
        for number in range(1 if kind == "one" else 2):
            environment = {
                "RANK": str(number), "LOCAL_RANK": str(number), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2",
                "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1",
                "ACCELERATE_USE_FSDP": str(kind == "FSDP").lower(), "FSDP_VERSION": "2",
            }  # fmt: skip
            if kind == "one":
                environment = {"RANK": "0"}
            given = {
                "environment": environment, "panel_folder": str(self.panel), "model": str(self.model),
                "folder": str(self.folder / name), "settings": settings.model_dump(), "deed": deed,
                "at_step": at_step,
            }  # fmt: skip
            processes.append(self.started(_PROCESS, given))
        for process in processes:
            process.join(timeout=120)
            process.kill()
            process.join()
        return [process.exitcode for process in processes]

    def said(self, name: str) -> list[tuple[str, bool]]:
        """Return the error of each process, and whether it is left to the other one to say it."""
        return [json.loads((self.folder / f"{name}.error-{number}").read_text()) for number in range(2)]


@pytest.fixture(scope="module")
def pair(
    started, tiny_model_folder: Path, few_stored: Path, tmp_path_factory: pytest.TempPathFactory
) -> Pair:
    return Pair(started, few_stored, tiny_model_folder, tmp_path_factory.mktemp("processes"))


@pytest.fixture(scope="module")
def alone(pair: Pair) -> Path:
    """A run of one process; beside it one that was killed, whose state is there to be looked at."""
    assert pair.fine_tune("alone", "one", SETTINGS) == [0]
    assert pair.fine_tune("killed alone", "one", SETTINGS, "kill", at_step=5) == [-signal.SIGKILL]
    return pair.folder / "alone"


@pytest.fixture(scope="module", params=KINDS)
def whole(pair: Pair, request: pytest.FixtureRequest) -> tuple[str, Path]:
    """A run of two processes that nothing stops."""
    name = f"whole {request.param}"
    assert pair.fine_tune(name, request.param, SETTINGS) == [0, 0]
    return request.param, pair.folder / name


def compared(one: Path, two: Path, name: str) -> float:
    """Return the largest relative difference of the losses, after comparing steps and stored weights."""
    curve, curve_of_two = read_learning_curve(one), read_learning_curve(two)
    assert curve.drop(columns="loss").equals(curve_of_two.drop(columns="loss"))
    expected, got = load_file(one / name), load_file(two / name)
    assert expected.keys() == got.keys()
    for weight, value in expected.items():
        torch.testing.assert_close(got[weight], value, rtol=1e-3, atol=1e-4)
    return float((curve_of_two["loss"] / curve["loss"] - 1).abs().max())


def test_two_processes_give_the_losses_and_weights_of_one(
    pair: Pair, whole: tuple[str, Path], alone: Path
) -> None:
    kind, folder = whole
    assert compared(alone, folder, "model.safetensors") < TOLERANCE
    lora = SETTINGS.model_copy(update={"method": "lora", "lora_rank": 4, "epochs": 1})
    assert pair.fine_tune("lora", "one", lora) == [0]
    assert pair.fine_tune(f"lora {kind}", kind, lora) == [0, 0]
    assert (
        compared(pair.folder / "lora", pair.folder / f"lora {kind}", "adapter_model.safetensors") < TOLERANCE
    )


@pytest.mark.usefixtures("alone")
def test_two_killed_processes_go_on_to_the_same_weights(pair: Pair, whole: tuple[str, Path]) -> None:
    kind, folder = whole
    name = f"killed {kind}"
    assert pair.fine_tune(name, kind, SETTINGS, "kill", at_step=5) == [-signal.SIGKILL] * 2
    states = sorted(path.name for path in (pair.folder / f".{name}.unfinished").glob("state-*"))
    assert states == ["state-00000002", "state-00000004"]
    # AdamW's steps do not depend on the scale of the gradient, but its moments do.
    expected, got = (
        load_file(pair.folder / f".{one}.unfinished" / "state-00000004" / "optimizer.safetensors")
        for one in ("killed alone", name)
    )
    for moment, value in expected.items():
        torch.testing.assert_close(got[moment], value, rtol=1e-3, atol=1e-5 * value.abs().max().item())
    assert pair.fine_tune(name, kind, SETTINGS) == [0, 0]
    expected, got = (load_file(one / "model.safetensors") for one in (folder, pair.folder / name))
    assert all(torch.equal(expected[weight], got[weight]) for weight in expected)
    assert read_learning_curve(folder).equals(read_learning_curve(pair.folder / name))
    # A result that is there already is not made again.
    stored = (pair.folder / name / "model.safetensors").stat().st_mtime_ns
    assert pair.fine_tune(name, kind, SETTINGS) == [0, 0]
    assert (pair.folder / name / "model.safetensors").stat().st_mtime_ns == stored


def test_a_loss_that_is_not_finite_in_one_process_stops_both(pair: Pair) -> None:
    assert pair.fine_tune("spoilt", "DDP", SETTINGS, "spoil", at_step=2) == [7, 7]
    (message, elsewhere), (again, elsewhere_too) = pair.said("spoilt")
    assert "the loss is nan at step 3 of 6 (epoch 2, batch 1; in the order of the training split" in message
    assert message == again
    assert (elsewhere, elsewhere_too) == (False, True)
    assert [path.name for path in (pair.folder / ".spoilt.unfinished").glob("state-*")] == ["state-00000002"]
    # What one process alone meets ends both too, and that one says it.
    (pair.folder / ".spoilt.unfinished" / "identity.txt").write_text("another", encoding="utf-8")
    assert pair.fine_tune("spoilt", "FSDP", SETTINGS) == [8, 1]
    (message, elsewhere), (_, elsewhere_too) = pair.said("spoilt")
    assert "remove that folder to start anew" in message
    assert (elsewhere, elsewhere_too) == (False, True)


@given(st.lists(st.integers(2, 500), max_size=40), st.integers(1, 5))
def test_careers_are_divided_by_tokens(lengths: list[int], count: int) -> None:
    divided = shares(lengths, count)
    assert sorted(place for share in divided for place in share) == list(range(len(lengths)))
    tokens = [sum(lengths[place] for place in share) for share in divided]
    assert max(tokens) - min(tokens) <= max(lengths, default=0)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_command_is_launched_by_accelerate(pair: Pair, kind: str, tmp_path: Path) -> None:
    launch = [
        sys.executable,
        "-m",
        "accelerate.commands.launch",
        "--config_file",
        LAUNCH / f"{kind.lower()}.yaml",
    ]
    command = [
        *launch, "--num_processes", "2", "--main_process_port", "0", "-m",
        "labor_llm.commands.main", "finetune", "--panel",
        pair.panel, "--model", pair.model, "--out", tmp_path / "m", "--epochs", "1", "--learning-rate", "0.005",
        "--batch-size", "37", "--precision", "bfloat16",
    ]  # fmt: skip
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("fine-tuned model stored") == 1
    curve = read_learning_curve(tmp_path / "m")
    assert curve["loss"].iloc[-1] < curve["loss"].iloc[0]
