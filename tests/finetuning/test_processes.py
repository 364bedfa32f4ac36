"""Fine-tuning in two processes, DDP and FSDP: the losses and weights of one process, a kill, and a stop of both."""

import signal
import subprocess
import sys
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
from labor_llm.models import memory

LAUNCH = Path(labor_llm.__file__).parent / "finetuning" / "launch"
# 42 careers in batches of 41: one batch is a single career, of which one process has none. Passes of few tokens: the
# processes differ in their number. A norm of the gradient that some steps exceed and some do not.
SETTINGS = FineTuningSettings(
    epochs=3, learning_rate=5e-3, batch_size=41, precision="float32", tokens_at_once=400
)
KINDS = ("DDP", "FSDP")
# Relative; two processes add the same float32 numbers in another order.
TOLERANCE = 1e-5

LEAST = SETTINGS.model_copy(update=memory.LEAST)
LORA = SETTINGS.model_copy(update={"method": "lora", "lora_rank": 4, "epochs": 1})
KILL = """
step = FineTuningRun.take_step
FineTuningRun.take_step = lambda run: kill() if run.step == 5 else step(run)
"""
# Only what one of the processes computes in a step becomes NaN.
SPOIL = """
step = FineTuningRun.take_step
def spoilt(run):
    if run.step == 2 and run.processes.number == 1:
        compute = run.processes.compute
        run.processes.compute = lambda batch: compute(batch) * float("nan")
    return step(run)
FineTuningRun.take_step = spoilt
"""


# After each step both processes have the same weights.
AGREE = """
step = FineTuningRun.take_step
def agreeing(run):
    loss = step(run)
    own = [float(weight.detach().double().sum()) for weight in run._trained().values()]
    both = run.processes.summed(own)
    if any(abs(total - 2 * one) > 1e-9 for total, one in zip(both, own)):
        sys.exit(99)
    return loss
FineTuningRun.take_step = agreeing
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("processes")


@pytest.fixture(scope="module")
def alone(launch, folder: Path) -> Path:
    """Runs of one process; beside them one that was killed, whose state is there to be looked at."""
    assert launch({folder / "alone": SETTINGS, folder / "lora": LORA}) == [0]
    assert launch({folder / "killed alone": SETTINGS}, spoil=KILL) == [-signal.SIGKILL]
    return folder / "alone"


@pytest.fixture(scope="module", params=KINDS)
def whole(launch, folder: Path, request: pytest.FixtureRequest) -> tuple[str, Path]:
    """Runs of two processes that nothing stops."""
    kind = request.param
    assert launch({folder / f"whole {kind}": SETTINGS, folder / f"lora {kind}": LORA}, kind) == [0, 0]
    return kind, folder / f"whole {kind}"


def compared(one: Path, two: Path, name: str) -> float:
    """Return the largest relative difference of the losses, after comparing steps and stored weights."""
    curve, curve_of_two = read_learning_curve(one), read_learning_curve(two)
    assert curve.drop(columns="loss").equals(curve_of_two.drop(columns="loss"))
    expected, got = load_file(one / name), load_file(two / name)
    assert expected.keys() == got.keys()
    for weight, value in expected.items():
        torch.testing.assert_close(got[weight], value, rtol=1e-3, atol=1e-4)
    return float((curve_of_two["loss"] / curve["loss"] - 1).abs().max())


def test_two_processes_give_the_losses_and_weights_of_one(folder, whole, alone):
    kind, of_two = whole
    assert compared(alone, of_two, "model.safetensors") < TOLERANCE
    assert compared(folder / "lora", folder / f"lora {kind}", "adapter_model.safetensors") < TOLERANCE


@pytest.mark.usefixtures("alone")
def test_two_killed_processes_go_on_to_the_same_weights(launch, folder, whole):
    kind, unstopped = whole
    killed, unfinished = folder / f"killed {kind}", folder / f".killed {kind}.unfinished"
    assert launch({killed: SETTINGS}, kind, KILL) == [-signal.SIGKILL] * 2
    assert sorted(path.name for path in unfinished.glob("state-*")) == ["state-00000002", "state-00000004"]
    # AdamW's steps do not depend on the scale of the gradient, but its moments do.
    expected, got = (
        load_file(one / "state-00000004" / "optimizer.safetensors")
        for one in (folder / ".killed alone.unfinished", unfinished)
    )
    for moment, value in expected.items():
        torch.testing.assert_close(got[moment], value, rtol=1e-3, atol=1e-5 * value.abs().max().item())
    assert launch({killed: SETTINGS}, kind) == [0, 0]
    expected, got = (load_file(one / "model.safetensors") for one in (unstopped, killed))
    assert all(torch.equal(expected[weight], got[weight]) for weight in expected)
    assert read_learning_curve(unstopped).equals(read_learning_curve(killed))
    # A result that is there already is not made again.
    stored = (killed / "model.safetensors").stat().st_mtime_ns
    assert launch({killed: SETTINGS}, kind) == [0, 0]
    assert (killed / "model.safetensors").stat().st_mtime_ns == stored


def test_a_loss_that_is_not_finite_in_one_process_stops_both(launch, said, folder):
    spoilt, unfinished = folder / "spoilt", folder / ".spoilt.unfinished"
    assert launch({spoilt: SETTINGS}, "DDP", SPOIL) == [7, 7]
    (message, elsewhere), (again, elsewhere_too) = said(spoilt)
    assert "the loss is nan at step 3 of 6 (epoch 2, batch 1; in the order of the training split" in message
    assert message == again
    assert (elsewhere, elsewhere_too) == (False, True)
    assert [path.name for path in unfinished.glob("state-*")] == ["state-00000002"]
    # What one process alone meets ends both too, and that one says it.
    (unfinished / "identity.txt").write_text("another", encoding="utf-8")
    assert launch({spoilt: SETTINGS}, "FSDP") == [8, 1]
    (message, elsewhere), (_, elsewhere_too) = said(spoilt)
    assert "remove that folder to start anew" in message
    assert (elsewhere, elsewhere_too) == (False, True)


@pytest.mark.slow
def test_rounded_weights_are_the_same_in_both_processes_and_go_on_after_a_kill(launch, said, folder):
    assert launch({folder / "least": LEAST}, "DDP") == [0, 0]
    assert launch({folder / "killed least": LEAST}, "DDP", KILL) == [-signal.SIGKILL] * 2
    assert launch({folder / "killed least": LEAST}, "DDP") == [0, 0]
    expected, got = (load_file(folder / name / "model.safetensors") for name in ("least", "killed least"))
    assert all(torch.equal(expected[weight], got[weight]) for weight in expected)
    assert all(torch.equal(value, value.bfloat16().float()) for value in got.values())
    assert launch({folder / "divided": LEAST}, "FSDP") == [3, 3]
    assert "Leave weights and optimizer at auto" in said(folder / "divided")[0][0]


@pytest.mark.slow
def test_weights_stored_in_bfloat16_stay_the_same_in_both_processes(launch, folder):
    coarse = LEAST.model_copy(update={"precision": "bfloat16"})
    assert launch({folder / "coarse": coarse}, "DDP", AGREE) == [0, 0]


@given(st.lists(st.integers(2, 500), max_size=40), st.integers(1, 5))
def test_careers_are_divided_by_tokens(lengths, count):
    divided = shares(lengths, count)
    assert sorted(place for share in divided for place in share) == list(range(len(lengths)))
    tokens = [sum(lengths[place] for place in share) for share in divided]
    assert max(tokens) - min(tokens) <= max(lengths, default=0)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_command_is_launched_by_accelerate(few_stored, tiny_model_folder, kind, tmp_path):
    command = [
        sys.executable, "-m", "accelerate.commands.launch", "--config_file", LAUNCH / f"{kind.lower()}.yaml",
        "--num_processes", "2", "--main_process_port", "0", "-m", "labor_llm.commands.main", "finetune",
        "--panel", few_stored, "--model", tiny_model_folder, "--out", tmp_path / "m", "--epochs", "1",
        "--learning-rate", "0.005", "--batch-size", "37", "--precision", "bfloat16",
    ]  # fmt: skip
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("fine-tuned model stored") == 1
    curve = read_learning_curve(tmp_path / "m")
    assert curve["loss"].iloc[-1] < curve["loss"].iloc[0]
