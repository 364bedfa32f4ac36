"""A run of fine-tuning: killed or with damaged checkpoints it ends with the same weights, or says why not."""

from __future__ import annotations

import dataclasses
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from labor_llm.careers.panel import CareerPanel, split_workers, write_panel
from labor_llm.errors import ArtefactError, NumericalError
from labor_llm.finetuning.fit import fine_tune_panel, read_learning_curve
from labor_llm.finetuning.settings import FineTuningSettings
from labor_llm.finetuning.steps import FineTuningRun, evaluation_steps
from labor_llm.store.results import only_run

QUICK = FineTuningSettings(
    epochs=2, learning_rate=5e-3, batch_size=8, precision="float32", evaluations_per_epoch=2
)


# Half precision, as what computes in it must come back too.
RESUMED = dataclasses.replace(QUICK, precision="bfloat16")
_KILLED = """
import dataclasses, json, os, signal, sys
from pathlib import Path
import torch
from labor_llm.careers.panel import read_panel
from labor_llm.finetuning import fit
from labor_llm.finetuning.steps import FineTuningRun
from labor_llm.store import checkpoints as training_state

panel_folder, model, folder, threads, settings, place = sys.argv[1:]
torch.set_num_threads(int(threads))
step, save_file, drop_old = FineTuningRun.take_step, training_state.save_file, training_state._drop_old

def kill():
    os.kill(os.getpid(), signal.SIGKILL)

def killed_step(run):
    if run.step == 17:
        kill()
    return step(run)

def killed_write(tensors, path):
    if path.name == "optimizer.safetensors" and "state-00000014" in str(path):
        path.write_bytes(b"half")
        kill()
    save_file(tensors, path)

def killed_removal(folder, step, best):
    if step == 14:
        kill()
    drop_old(folder, step, best)

if place == "between checkpoints":
    FineTuningRun.take_step = killed_step
elif place == "within a checkpoint":
    training_state.save_file = killed_write
else:
    training_state._drop_old = killed_removal
panel, splits = read_panel(Path(panel_folder))
settings = fit.FineTuningSettings(**json.loads(settings))
fit.fine_tune_panel(model, panel, splits, settings, Path(folder))
"""


@pytest.fixture(scope="module")
def whole(tiny_model_folder: Path, panel: CareerPanel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing stops."""
    folder = tmp_path_factory.mktemp("whole") / "m"
    return fine_tune_panel(str(tiny_model_folder), panel, split_workers(panel, 1), RESUMED, folder)


@pytest.mark.parametrize(
    ("place", "left"),
    [
        ("between checkpoints", ["state-00000007", "state-00000014"]),
        ("within a checkpoint", ["state-00000007"]),
        ("after a checkpoint", ["state-00000007", "state-00000014"]),
    ],
)
def test_a_killed_run_ends_with_the_same_weights(
    tiny_model_folder: Path, panel: CareerPanel, tmp_path: Path, whole: Path, place: str, left: list[str]
) -> None:
    splits = split_workers(panel, seed=1)
    write_panel(tmp_path / "panel", panel, splits)
    settings, threads = json.dumps(dataclasses.asdict(RESUMED)), str(torch.get_num_threads())
    arguments = [tmp_path / "panel", tiny_model_folder, tmp_path / "killed", threads, settings, place]
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED, *map(str, arguments)], capture_output=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "killed").exists()
    unfinished = tmp_path / ".killed.unfinished"
    assert sorted(path.name for path in unfinished.glob("state-*")) == left
    watched = pd.read_csv(unfinished / "learning_curve.csv")
    resumed = fine_tune_panel(str(tiny_model_folder), panel, splits, RESUMED, tmp_path / "killed")
    assert same_weights(whole, resumed)
    curve = read_learning_curve(whole)
    assert curve.equals(read_learning_curve(resumed))
    # What could be watched until the kill is the beginning of the curve, without the mark of the kept checkpoint.
    assert len(watched) >= 12
    pd.testing.assert_frame_equal(watched, curve.head(len(watched)).drop(columns="kept"))


def same_weights(one: Path, two: Path) -> bool:
    expected, got = (load_file(folder / "model.safetensors") for folder in (one, two))
    return expected.keys() == got.keys() and all(torch.equal(expected[name], got[name]) for name in expected)


def stopped_at(step: int, settings: FineTuningSettings, *arguments: object) -> None:
    """Run until a loss that is not finite stops the run before `step`; its unfinished folder stays."""

    def spoilt(run: FineTuningRun) -> float:
        if run.step == step:
            raise NumericalError("stopped by the test")
        return FineTuningRun.take_step(run)

    class Stopped(FineTuningRun):
        take_step = spoilt

    with pytest.MonkeyPatch.context() as patch, pytest.raises(NumericalError, match="stopped by the test"):
        patch.setattr("labor_llm.finetuning.fit.FineTuningRun", Stopped)
        fine_tune_panel(*arguments[:3], settings, arguments[3])


@pytest.mark.parametrize("damaged", ["state.json", "manifest.json", "weights.safetensors"])
def test_a_run_goes_on_from_the_checkpoint_before_a_damaged_one(
    tiny_model_folder: Path,
    panel: CareerPanel,
    tmp_path: Path,
    whole: Path,
    damaged: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    arguments = str(tiny_model_folder), panel, split_workers(panel, seed=1)
    stopped_at(17, RESUMED, *arguments, tmp_path / "m")
    (tmp_path / ".m.unfinished" / "state-00000014" / damaged).write_bytes(b"{")
    resumed = fine_tune_panel(*arguments, RESUMED, tmp_path / "m")
    assert "left out: state-00000014. Fine-tuning goes on from step 7." in caplog.text
    assert same_weights(whole, resumed)


def test_a_run_whose_best_checkpoint_is_damaged_starts_anew(
    tiny_model_folder: Path,
    panel: CareerPanel,
    tmp_path: Path,
    whole: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """States 16 and 17 are sound, but the model at the end may be that of state 14."""
    monkeypatch.setattr("labor_llm.finetuning.steps._SECONDS_BETWEEN_STATES", 0.0)
    arguments = str(tiny_model_folder), panel, split_workers(panel, seed=1)
    stopped_at(17, RESUMED, *arguments, tmp_path / "m")
    weights = tmp_path / ".m.unfinished" / "state-00000014" / "weights.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    resumed = fine_tune_panel(*arguments, RESUMED, tmp_path / "m")
    assert "left out: state-00000014. Fine-tuning starts anew." in caplog.text
    assert same_weights(whole, resumed)
    assert read_learning_curve(whole).equals(read_learning_curve(resumed))


def test_a_best_checkpoint_that_is_damaged_at_the_end_is_made_again(
    tiny_model_folder: Path, panel: CareerPanel, tmp_path: Path, whole: Path
) -> None:
    class Damaged(FineTuningRun):
        def restore_best(self) -> None:
            (self.folder / f"state-{self.best_step:08d}" / "weights.safetensors").unlink()
            super().restore_best()

    arguments = str(tiny_model_folder), panel, split_workers(panel, seed=1), RESUMED, tmp_path / "m"
    with pytest.MonkeyPatch.context() as patch, pytest.raises(ArtefactError, match="Fine-tune again"):
        patch.setattr("labor_llm.finetuning.fit.FineTuningRun", Damaged)
        fine_tune_panel(*arguments)
    assert not (tmp_path / "m").exists()
    assert same_weights(whole, fine_tune_panel(*arguments))


def test_checkpoints_that_a_kill_left_beside_their_result_are_removed(
    tiny_model_folder: Path, panel: CareerPanel, tmp_path: Path
) -> None:
    settings = dataclasses.replace(QUICK, epochs=1, batch_size=64)
    arguments = str(tiny_model_folder), panel, split_workers(panel, seed=1)
    unfinished, kept = tmp_path / ".m.unfinished", tmp_path / "kept"
    stopped_at(1, settings, *arguments, tmp_path / "m")
    shutil.copytree(unfinished, kept)
    folder = fine_tune_panel(*arguments, settings, tmp_path / "m")
    assert not unfinished.exists()
    shutil.copytree(kept, unfinished)
    with only_run(unfinished / ".lock"):
        fine_tune_panel(*arguments, settings, folder)
        assert (unfinished / "identity.txt").is_file(), "a run works there"
    fine_tune_panel(*arguments, settings, folder)
    assert not unfinished.exists()
    # They are in no other run's way either.
    shutil.copytree(kept, unfinished)
    fine_tune_panel(*arguments, dataclasses.replace(settings, seed=2), folder)
    assert not unfinished.exists()


def test_checkpoints_by_the_clock_change_nothing(
    tiny_model_folder: Path, panel: CareerPanel, tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One after every step, so that the run goes on in the middle of an average of the learning curve."""
    monkeypatch.setattr("labor_llm.finetuning.steps._SECONDS_BETWEEN_STATES", 0.0)
    monkeypatch.setattr("labor_llm.finetuning.steps._TRAIN_LOSSES", 4)
    arguments = str(tiny_model_folder), panel, split_workers(panel, seed=1)
    stopped_at(17, RESUMED, *arguments, tmp_path / "m")
    # The two newest, and the best of those that were validated.
    states = sorted(path.name for path in (tmp_path / ".m.unfinished").glob("state-*"))
    assert states == ["state-00000014", "state-00000016", "state-00000017"]
    resumed = fine_tune_panel(*arguments, RESUMED, tmp_path / "m")
    unbroken = fine_tune_panel(*arguments, RESUMED, tmp_path / "unbroken")
    assert same_weights(whole, resumed)
    assert read_learning_curve(resumed).equals(read_learning_curve(unbroken))


def test_a_loss_or_gradient_that_is_not_finite_stops_with_the_step(
    tiny_model_folder: Path, panel: CareerPanel, tmp_path: Path
) -> None:
    # The decay makes every weight infinite in the first step.
    diverging = dataclasses.replace(QUICK, epochs=1, learning_rate=0.99, weight_decay=1e38)
    where = r"is nan at step 2 of 14 \(epoch 1, batch 2; in the order of the training split, careers \d+(, \d+){7}\)"
    with pytest.raises(NumericalError, match=where) as stopped:
        fine_tune_panel(str(tiny_model_folder), panel, split_workers(panel, 1), diverging, tmp_path / "m")
    assert not any(worker in str(stopped.value) for worker in panel.workers)
    assert not (tmp_path / "m").exists()


def test_validation_is_evenly_spaced_and_at_the_end() -> None:
    assert evaluation_steps(FineTuningSettings(epochs=2, evaluations_per_epoch=2), 10) == [5, 10, 15, 20]
    assert evaluation_steps(FineTuningSettings(epochs=1, evaluations_per_epoch=9), 4) == [1, 2, 3, 4]
