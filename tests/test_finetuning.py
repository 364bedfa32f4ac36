"""Fine-tuning: it learns, keeps the best checkpoint, and a killed run ends with the same weights."""

from __future__ import annotations

import dataclasses
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from labor_llm.careers import CareerPanel, split_workers, write_panel
from labor_llm.errors import InputError, MismatchError, NumericalError, ResourceError
from labor_llm.finetuning import check_space, fine_tune, fine_tune_panel, read_learning_curve
from labor_llm.finetuning_run import batches, evaluation_steps
from labor_llm.finetuning_settings import FineTuningSettings
from labor_llm.language_models import load_language_model
from labor_llm.scoring.careers import score_careers
from labor_llm.tokenization import EncodedResume

QUICK = FineTuningSettings(
    epochs=2, learning_rate=5e-3, batch_size=8, precision="float32", evaluations_per_epoch=2
)


def _mean_log_prob(folder: Path, panel: CareerPanel) -> float:
    return score_careers(load_language_model(folder), panel, "m").table["log_prob"].mean()


@pytest.mark.parametrize("method", ["full", "lora"])
def test_fine_tuning_improves_held_out_workers_and_is_read_back(
    tiny_model_folder: Path, panel: CareerPanel, tmp_path: Path, method: str
) -> None:
    splits = split_workers(panel, seed=1)
    settings = FineTuningSettings(
        method=method, epochs=2, learning_rate=5e-3, batch_size=8, precision="float32", lora_rank=8
    )
    folder = fine_tune_panel(str(tiny_model_folder), panel, splits, settings, tmp_path / method)
    test = panel.split(splits, "test")
    before, after = _mean_log_prob(tiny_model_folder, test), _mean_log_prob(folder, test)
    assert after > before + 10
    curve = read_learning_curve(folder)
    validation = curve[curve["split"] == "validation"]
    assert validation.loc[validation["kept"], "loss"].item() == validation["loss"].min()
    assert (folder / "adapter_config.json").is_file() == (method == "lora")
    assert not list(tmp_path.glob(".*")), "the state of the finished run is removed"


def test_an_adapter_refuses_another_base_model(
    tiny_model_folder: Path, panel: CareerPanel, tmp_path: Path
) -> None:
    from safetensors.torch import save_file

    base = tmp_path / "base"
    base.mkdir()
    for path in tiny_model_folder.iterdir():
        (base / path.name).write_bytes(path.read_bytes())
    settings = FineTuningSettings(
        method="lora", epochs=1, learning_rate=1e-3, batch_size=64, precision="float32"
    )
    folder = fine_tune_panel(str(base), panel, split_workers(panel, 1), settings, tmp_path / "adapter")
    weights = load_file(base / "model.safetensors")
    save_file(
        {name: weight + 0.1 for name, weight in weights.items()}, base / "model.safetensors", {"format": "pt"}
    )
    with pytest.raises(MismatchError, match="the adapter was made on"):
        load_language_model(folder)


_KILLED_AT_STEP_17 = """
import os, signal, sys
from pathlib import Path
import torch
import labor_llm.finetuning as finetuning
from labor_llm.finetuning_run import FineTuningRun
from labor_llm.careers import read_panel

torch.set_num_threads(int(sys.argv[4]))
step = FineTuningRun._one_step

def killed(self):
    if self.step == 17:
        os.kill(os.getpid(), signal.SIGKILL)
    return step(self)

FineTuningRun._one_step = killed
panel, splits = read_panel(Path(sys.argv[1]))
settings = finetuning.FineTuningSettings(
    epochs=2, learning_rate=5e-3, batch_size=8, precision="float32", evaluations_per_epoch=2
)
finetuning.fine_tune_panel(sys.argv[2], panel, splits, settings, Path(sys.argv[3]))
"""


def test_a_killed_run_ends_with_the_same_weights(
    tiny_model_folder: Path, panel: CareerPanel, tmp_path: Path
) -> None:
    splits = split_workers(panel, seed=1)
    write_panel(tmp_path / "panel", panel, splits)
    whole = fine_tune_panel(str(tiny_model_folder), panel, splits, QUICK, tmp_path / "whole")
    arguments = [
        str(tmp_path / "panel"),
        str(tiny_model_folder),
        str(tmp_path / "killed"),
        str(torch.get_num_threads()),
    ]
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED_AT_STEP_17, *arguments], capture_output=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "killed").exists()
    states = sorted(path.name for path in (tmp_path / ".killed.unfinished").glob("state-*"))
    assert states == ["state-00000007", "state-00000014"]
    resumed = fine_tune_panel(str(tiny_model_folder), panel, splits, QUICK, tmp_path / "killed")
    expected, got = (load_file(folder / "model.safetensors") for folder in (whole, resumed))
    assert all(torch.equal(expected[name], got[name]) for name in expected)
    assert read_learning_curve(whole).equals(read_learning_curve(resumed))


def test_the_same_fine_tuning_is_not_done_twice_and_another_is(
    tiny_model_folder: Path, panel: CareerPanel, tmp_path: Path
) -> None:
    def stored(settings: FineTuningSettings) -> int:
        splits = split_workers(panel, 1)
        folder = fine_tune_panel(str(tiny_model_folder), panel, splits, settings, tmp_path / "m")
        return (folder / "model.safetensors").stat().st_mtime_ns

    quick = FineTuningSettings(epochs=1, learning_rate=1e-3, batch_size=64, precision="float32")
    first = stored(quick)
    assert stored(quick) == first
    assert stored(dataclasses.replace(quick, seed=2)) > first


def test_a_second_run_in_one_process_may_ask_for_another_precision(
    tiny_model_folder: Path, panel: CareerPanel, tmp_path: Path
) -> None:
    losses = {}
    for precision in ("float32", "bfloat16"):
        settings = FineTuningSettings(epochs=1, learning_rate=5e-3, batch_size=16, precision=precision)
        folder = fine_tune_panel(
            str(tiny_model_folder), panel, split_workers(panel, 1), settings, tmp_path / precision
        )
        losses[precision] = read_learning_curve(folder)["loss"].iloc[-1]
    assert losses["float32"] != losses["bfloat16"]
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=0.05)


def test_an_unfinished_run_with_other_settings_is_refused(
    tiny_model_folder: Path, panel: CareerPanel, tmp_path: Path
) -> None:
    unfinished = tmp_path / ".m.unfinished"
    unfinished.mkdir()
    (unfinished / "identity.txt").write_text("another", encoding="utf-8")
    with pytest.raises(MismatchError, match="remove that folder to start anew"):
        fine_tune_panel(str(tiny_model_folder), panel, split_workers(panel, 1), QUICK, tmp_path / "m")


def test_a_loss_that_is_not_finite_stops_with_the_step(
    tiny_model_folder: Path, panel: CareerPanel, tmp_path: Path
) -> None:
    diverging = FineTuningSettings(
        epochs=1,
        learning_rate=0.99,
        batch_size=8,
        precision="float32",
        max_gradient_norm=1e30,
        weight_decay=1e30,
    )
    with pytest.raises(NumericalError, match=r"the loss is nan at step \d+ of 14"):
        fine_tune_panel(str(tiny_model_folder), panel, split_workers(panel, 1), diverging, tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_too_little_space_is_said_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = torch.nn.Linear(1000, 1000, bias=False)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=40_000_000))
    check_space(tmp_path / "m", model)  # 4 bytes x 1,000,000 weights x 10 copies
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=39_999_999))
    with pytest.raises(ResourceError, match=r"needs about 0\.0 GiB"):
        check_space(tmp_path / "m", model)


def test_an_empty_split_and_a_career_beyond_the_context_are_refused(
    tiny_model_folder: Path, tmp_path: Path
) -> None:
    short = EncodedResume("a", np.arange(5), ((2, 3),))
    long = EncodedResume("b", np.zeros(600, dtype=np.int64), ((2, 3),))
    with pytest.raises(InputError, match="the validation split has no worker"):
        fine_tune(str(tiny_model_folder), [short], [], QUICK, tmp_path / "m")
    with pytest.raises(InputError, match="600 tokens"):
        fine_tune(str(tiny_model_folder), [short, long], [short], QUICK, tmp_path / "m")


@given(st.lists(st.integers(1, 400), min_size=1, max_size=120), st.integers(1, 9), st.integers(0, 5))
def test_every_career_is_in_one_batch_of_an_epoch(lengths: list[int], batch_size: int, epoch: int) -> None:
    got = batches(lengths, batch_size, 1, epoch)
    assert sorted(np.concatenate(got).tolist()) == list(range(len(lengths)))
    assert len(got) == -(-len(lengths) // batch_size)
    assert all(
        np.array_equal(one, two) for one, two in zip(got, batches(lengths, batch_size, 1, epoch), strict=True)
    )


def test_validation_is_evenly_spaced_and_at_the_end() -> None:
    assert evaluation_steps(FineTuningSettings(epochs=2, evaluations_per_epoch=2), 10) == [5, 10, 15, 20]
    assert evaluation_steps(FineTuningSettings(epochs=1, evaluations_per_epoch=9), 4) == [1, 2, 3, 4]
