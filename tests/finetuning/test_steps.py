"""A run of fine-tuning: killed or with damaged checkpoints it ends with the same weights, or says why not."""

import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from labor_llm.careers.panel import CareerPanel, split_workers
from labor_llm.careers.samples import training_careers
from labor_llm.errors import ArtefactError, NumericalError
from labor_llm.finetuning.fit import fine_tune as fine_tune_careers
from labor_llm.finetuning.fit import read_learning_curve
from labor_llm.finetuning.settings import FineTuningSettings
from labor_llm.finetuning.steps import FineTuningRun, evaluation_steps
from labor_llm.models import memory
from labor_llm.store.results import only_run

# Validated after 3, 6, 9 and 12 steps.
QUICK = FineTuningSettings(
    epochs=2, learning_rate=5e-3, batch_size=8, precision="float32", evaluations_per_epoch=2
)
# What computes in half precision must come back too.
HALF = QUICK.model_copy(update={"precision": "bfloat16"})
# Weights of bfloat16, held in float32 here, with moments in 8 bits.
LEAST = QUICK.model_copy(update=memory.LEAST)
FineTune = Callable[..., Path]

BETWEEN_CHECKPOINTS = """
step = FineTuningRun.take_step
FineTuningRun.take_step = lambda run: kill() if run.step == 8 else step(run)
"""
WITHIN_A_CHECKPOINT = """
save_file = checkpoints.save_file
def half(tensors, path):
    if path.name == "optimizer.safetensors" and "state-00000006" in str(path):
        path.write_bytes(b"half")
        kill()
    save_file(tensors, path)
checkpoints.save_file = half
"""
AFTER_A_CHECKPOINT = """
states = checkpoints._states
checkpoints._states = lambda folder: kill() if (folder / "state-00000006").is_dir() else states(folder)
"""


@pytest.fixture(scope="module")
def fine_tune(tiny_model_folder: Path, few: CareerPanel) -> FineTune:
    careers = training_careers(few, split_workers(few, seed=1))

    def run(folder: Path, settings: FineTuningSettings = QUICK) -> Path:
        return fine_tune_careers(str(tiny_model_folder), careers, settings, folder)

    return run


@pytest.fixture(scope="module")
def whole(fine_tune: FineTune, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing stops."""
    return fine_tune(tmp_path_factory.mktemp("whole") / "m")


def same_weights(one: Path, two: Path) -> bool:
    expected, got = (load_file(folder / "model.safetensors") for folder in (one, two))
    return expected.keys() == got.keys() and all(torch.equal(expected[name], got[name]) for name in expected)


@pytest.mark.parametrize(
    ("place", "settings", "left"),
    [
        (BETWEEN_CHECKPOINTS, HALF, ["state-00000003", "state-00000006"]),
        (WITHIN_A_CHECKPOINT, QUICK, ["state-00000003"]),
        (AFTER_A_CHECKPOINT, QUICK, ["state-00000003", "state-00000006"]),
        (BETWEEN_CHECKPOINTS, LEAST, ["state-00000003", "state-00000006"]),
    ],
    ids=["between checkpoints", "within a checkpoint", "after a checkpoint", "with the least memory"],
)
def test_a_killed_run_ends_with_the_same_weights(launch, tmp_path, fine_tune, whole, place, settings, left):
    expected = whole if settings is QUICK else fine_tune(tmp_path / "whole", settings)
    assert launch({tmp_path / "killed": settings}, spoil=place) == [-signal.SIGKILL]
    assert not (tmp_path / "killed").exists()
    unfinished = tmp_path / ".killed.unfinished"
    assert sorted(path.name for path in unfinished.glob("state-*")) == left
    watched = pd.read_csv(unfinished / "learning_curve.csv")
    resumed = fine_tune(tmp_path / "killed", settings)
    assert same_weights(expected, resumed)
    curve = read_learning_curve(expected)
    assert curve.equals(read_learning_curve(resumed))
    # What could be watched until the kill is the beginning of the curve, without the mark of the kept checkpoint.
    assert len(watched) >= 7
    pd.testing.assert_frame_equal(watched, curve.head(len(watched)).drop(columns="kept"))


def stopped_at(step: int, fine_tune: FineTune, *arguments: object) -> None:
    """Run until a loss that is not finite stops the run before `step`; its unfinished folder stays."""
    take_step = FineTuningRun.take_step

    def spoilt(run: FineTuningRun) -> float:
        if run.step == step:
            raise NumericalError("stopped by the test")
        return take_step(run)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(NumericalError, match="stopped by the test"):
        patch.setattr(FineTuningRun, "take_step", spoilt)
        fine_tune(*arguments)


def test_checkpoints_by_the_clock_change_nothing(fine_tune, tmp_path, whole, monkeypatch):
    """One after every step, so that the run goes on in the middle of an average of the learning curve."""
    monkeypatch.setattr("labor_llm.finetuning.steps._SECONDS_BETWEEN_STATES", 0.0)
    monkeypatch.setattr("labor_llm.finetuning.steps._TRAIN_LOSSES", 4)
    stopped_at(8, fine_tune, tmp_path / "m")
    # The two newest, and the best of those that were validated.
    states = sorted(path.name for path in (tmp_path / ".m.unfinished").glob("state-*"))
    assert states == ["state-00000006", "state-00000007", "state-00000008"]
    resumed = fine_tune(tmp_path / "m")
    assert same_weights(whole, resumed)
    # Means of three steps are the means of the usual curve, which has every step.
    curve, usual = (read_learning_curve(folder).query("split == 'train'") for folder in (resumed, whole))
    assert curve["step"].tolist() == [3, 6, 9, 12]
    means = usual["loss"].to_numpy().reshape(4, 3).mean(axis=1)
    assert curve["loss"].to_numpy() == pytest.approx(means, rel=1e-12)


def test_a_best_checkpoint_that_is_damaged_at_the_end_is_made_again(fine_tune, tmp_path, whole):
    restore = FineTuningRun.restore_best

    def damaged(run: FineTuningRun) -> None:
        (run.folder / f"state-{run.best_step:08d}" / "weights.safetensors").unlink()
        restore(run)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(ArtefactError, match="Fine-tune again"):
        patch.setattr(FineTuningRun, "restore_best", damaged)
        fine_tune(tmp_path / "m")
    assert not (tmp_path / "m").exists()
    assert same_weights(whole, fine_tune(tmp_path / "m"))


def test_checkpoints_that_a_kill_left_beside_their_result_are_removed(fine_tune, tmp_path):
    settings = QUICK.model_copy(update={"epochs": 1, "batch_size": 32})
    folder, unfinished, kept = tmp_path / "m", tmp_path / ".m.unfinished", tmp_path / "kept"
    stopped_at(1, fine_tune, folder, settings)
    shutil.copytree(unfinished, kept)
    fine_tune(folder, settings)
    assert not unfinished.exists()
    shutil.copytree(kept, unfinished)
    with only_run(unfinished / ".lock"):
        fine_tune(folder, settings)
        assert (unfinished / "identity.txt").is_file(), "a run works there"
    fine_tune(folder, settings)
    assert not unfinished.exists()
    # They are in no other run's way either.
    shutil.copytree(kept, unfinished)
    fine_tune(folder, settings.model_copy(update={"seed": 2}))
    assert not unfinished.exists()


def test_a_loss_or_gradient_that_is_not_finite_stops_with_the_step(fine_tune, few, tmp_path):
    # The decay makes every weight infinite in the first step.
    diverging = QUICK.model_copy(update={"epochs": 1, "learning_rate": 0.99, "weight_decay": 1e38})
    where = (
        r"is nan at step 2 of 6 \(epoch 1, batch 2; in the order of the training split, careers \d+(, \d+)+\)"
    )
    with pytest.raises(NumericalError, match=where) as stopped:
        fine_tune(tmp_path / "m", diverging)
    assert not any(worker in str(stopped.value) for worker in few.workers)
    assert not (tmp_path / "m").exists()


def test_validation_is_evenly_spaced_and_at_the_end():
    assert evaluation_steps(FineTuningSettings(epochs=2, evaluations_per_epoch=2), 10) == [5, 10, 15, 20]
    assert evaluation_steps(FineTuningSettings(epochs=1, evaluations_per_epoch=9), 4) == [1, 2, 3, 4]
    assert evaluation_steps(FineTuningSettings(epochs=1, evaluations_per_epoch=2, steps=7), 10) == [4, 7]


def test_steps_end_a_run_within_an_epoch_or_after_several(
    fine_tune: FineTune, whole: Path, tmp_path: Path
) -> None:
    """Of twelve steps in two epochs: five, and fifteen whose careers come in the order of a third epoch."""
    for steps in (5, 15):
        curve = read_learning_curve(
            fine_tune(tmp_path / str(steps), QUICK.model_copy(update={"steps": steps}))
        )
        assert curve["step"].max() == steps
        assert curve["epoch"].max() == pytest.approx(steps / 6)
    assert read_learning_curve(whole)["step"].max() == 12
