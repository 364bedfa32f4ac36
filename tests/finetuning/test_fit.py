"""Fine-tuning: it learns, keeps the best checkpoint, and is not done twice; and it is refused before the work."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from labor_llm.careers.panel import CareerPanel, split_workers
from labor_llm.careers.samples import TrainingCareers, training_careers
from labor_llm.careers.settings import TrainingData
from labor_llm.errors import InputError, ResourceError
from labor_llm.finetuning import fit
from labor_llm.finetuning.fit import (
    _identity,
    check_space,
    fine_tune,
    read_learning_curve,
    validation_losses,
)
from labor_llm.finetuning.settings import FineTuningSettings
from labor_llm.models import memory
from labor_llm.models.loading import load_language_model, load_tokenizer
from labor_llm.scoring.careers import score_careers
from labor_llm.scoring.settings import ScoringSettings
from labor_llm.store.artefacts import verify
from labor_llm.text.templates import resumes
from labor_llm.text.tokenization import EncodedResume, encode_resume

QUICK = FineTuningSettings(
    epochs=2, learning_rate=5e-3, batch_size=8, precision="float32", evaluations_per_epoch=2, lora_rank=8
)
ONCE = QUICK.model_copy(update={"epochs": 1, "evaluations_per_epoch": 1})
SHORT = EncodedResume("a", np.arange(5), ((2, 3),))
FineTune = Callable[..., Path]


@pytest.fixture
def fine_tune_few(tiny_model_folder: Path, few: CareerPanel, tmp_path: Path) -> FineTune:
    def run(name: str, settings: FineTuningSettings, **options: object) -> Path:
        careers = training_careers(few, split_workers(few, 1))
        return fine_tune(str(tiny_model_folder), careers, settings, tmp_path / name, **options)

    return run


@pytest.mark.parametrize("method", ["full", "lora"])
def test_fine_tuning_improves_held_out_workers_and_is_read_back(
    fine_tune_few, tiny_model_folder, few, tmp_path, method
):
    folder = fine_tune_few(method, QUICK.model_copy(update={"method": method}))
    test = few.split(split_workers(few, seed=1), "test")
    before, after = (
        score_careers(load_language_model(one), test, "m", ScoringSettings(titles="realised")).table
        for one in (tiny_model_folder, folder)
    )
    assert after["log_prob"].mean() > before["log_prob"].mean() + 10
    curve = read_learning_curve(folder)
    validation = curve[curve["split"] == "validation"]
    assert validation.loc[validation["kept"], "loss"].item() == validation["loss"].min()
    assert (folder / "adapter_config.json").is_file() == (method == "lora")
    if method == "lora":
        targets = json.loads((folder / "adapter_config.json").read_text())["target_modules"]
        assert len(targets) == 14
        assert targets == sorted(targets), "the order of a set differs between processes"
    assert not list(tmp_path.glob(".*")), "the state of the finished run is removed"


def test_of_several_schedules_the_one_with_the_lowest_validation_loss_is_kept(
    fine_tune_few, tmp_path, monkeypatch
):
    both = ONCE.model_copy(update={"other_epochs": [2]})
    kept = shutil.rmtree
    with monkeypatch.context() as patch:
        patch.setattr(
            fit.shutil, "rmtree", lambda at, **how: None if at.suffix == ".schedules" else kept(at, **how)
        )
        folder = fine_tune_few("both", both)
    apart = {epochs: tmp_path / ".both.schedules" / f"both-{epochs}-epochs" for epochs in (1, 2)}
    losses = validation_losses(folder)
    for epochs, one in apart.items():
        curve = read_learning_curve(one)
        assert (
            losses[str(epochs)] == curve.loc[curve["kept"] & (curve["split"] == "validation"), "loss"].item()
        )
    best = min(apart, key=lambda epochs: losses[str(epochs)])
    parameters = verify(folder)["parameters"]
    assert parameters["epochs"] == best and validation_losses(apart[1]) == {}
    weights = [one / "model.safetensors" for one in (folder, apart[best])]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    # Done is done, with the runs of the schedules and without them.
    shutil.rmtree(tmp_path / ".both.schedules")
    made = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert fine_tune_few("both", both) == folder
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == made
    with pytest.raises(InputError, match="replace"):
        fine_tune_few("both", both.model_copy(update={"seed": 7}), replace=False)
    assert not (tmp_path / ".both.schedules").exists(), "it is refused before any work"


def test_layouts_and_passes_give_the_same_losses_and_what_counts_gives_others(fine_tune_few):
    """A second run in the same process may ask for another precision, which comes near."""

    def curve(name: str, **changes: object) -> np.ndarray:
        return read_learning_curve(fine_tune_few(name, ONCE.model_copy(update=changes)))["loss"].to_numpy()

    usual = curve("usual")
    assert curve("padded", layout="padded") == pytest.approx(usual, rel=1e-4)
    assert curve("one career at once", tokens_at_once=1) == pytest.approx(usual, rel=1e-4)
    assert curve("titles", loss="titles") != pytest.approx(usual, rel=0.01)
    rounded = curve("rounded", precision="bfloat16")
    assert (rounded != usual).any()
    assert rounded == pytest.approx(usual, rel=0.05)


def test_the_same_fine_tuning_is_not_done_twice_and_another_is(fine_tune_few):
    def stored(settings: FineTuningSettings, replace: bool = True) -> int:
        return (fine_tune_few("m", settings, replace=replace) / "model.safetensors").stat().st_mtime_ns

    quick = ONCE.model_copy(update={"batch_size": 64})
    first = stored(quick)
    assert stored(quick) == first
    # Without leave to replace it, the same result is still given back, and another is refused.
    assert stored(quick, replace=False) == first
    with pytest.raises(InputError, match="holds a finished result"):
        stored(quick.model_copy(update={"seed": 2}), replace=False)
    assert stored(quick.model_copy(update={"seed": 2})) > first


def test_a_result_on_another_kind_of_device_is_another(tiny_model_folder):
    def identity(kind: str) -> str:
        processes = SimpleNamespace(kind="one", count=1, device=torch.device(kind))
        return _identity(str(tiny_model_folder), QUICK, [SHORT], [SHORT], processes)

    assert identity("cpu") == identity("cpu") != identity("cuda")


def test_too_little_space_is_said_before_the_work(tmp_path, monkeypatch):
    model = torch.nn.Linear(1000, 1000, bias=False)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=52_000_000))
    check_space(tmp_path / "m", model)  # 4 bytes x 1,000,000 weights x 13 copies
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=51_999_999))
    with pytest.raises(ResourceError, match=r"needs about 0\.0 GiB"):
        check_space(tmp_path / "m", model)


@pytest.mark.parametrize(("method", "weights"), [("full", "bfloat16"), ("lora", "float32")])
def test_what_is_stored_and_computed_again_changes_the_loss_by_rounding_alone(
    tiny_model_folder, few, tmp_path, method, weights
):
    careers, usual = training_careers(few, split_workers(few, seed=1)), {"epochs": 1, "method": method}
    again, least = {"activation_checkpointing": "always"}, {**memory.LEAST, "weights": weights}
    whole, kept_less, stored_coarsely = (
        read_learning_curve(
            fine_tune(str(tiny_model_folder), careers, QUICK.model_copy(update=usual | more), tmp_path / name)
        )["loss"].to_numpy()
        for name, more in {"a": {}, "b": again, "c": least | {"precision": "bfloat16"}}.items()
    )
    np.testing.assert_allclose(kept_less, whole, rtol=1e-6)
    np.testing.assert_allclose(stored_coarsely, whole, rtol=3e-3)


def test_long_careers_are_learned_in_windows_and_counted(
    tiny_model_folder, few, tmp_path, monkeypatch, capsys
):
    base, three = str(tiny_model_folder), few.restrict(set(few.workers[:3]))
    lengths = sorted(len(encode_resume(load_tokenizer(base), resume).ids) for resume in resumes(three))
    monkeypatch.setattr(fit, "context_length", lambda _: lengths[0])
    folder = fine_tune(base, TrainingCareers(three, (), three, TrainingData()), QUICK, tmp_path / "m")
    assert f"2 careers are longer than the {lengths[0]} tokens" in capsys.readouterr().err
    assert verify(folder)["parameters"]["training_data"]["careers_in_windows"] == 2
    assert verify(folder)["parameters"]["training_data"]["own_workers"] == 3


def test_an_empty_split_and_a_career_beyond_the_context_are_refused(
    tiny_model_folder, few, tmp_path, monkeypatch
):
    base, three = str(tiny_model_folder), few.restrict(set(few.workers[:3]))
    nobody = few.restrict(set())
    with pytest.raises(InputError, match="the validation split has no worker"):
        fine_tune(base, TrainingCareers(three, (), nobody, TrainingData()), QUICK, tmp_path / "m")
    careers = TrainingCareers(three, (), three, TrainingData())
    with (
        monkeypatch.context() as patch,
        pytest.raises(InputError, match="the header and one record do not fit"),
    ):
        patch.setattr(fit, "context_length", lambda _: 40)
        fine_tune(base, careers, QUICK, tmp_path / "m")
    assert not list(tmp_path.iterdir())
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="name a folder of its own"):
        fine_tune(base, careers, QUICK, Path())
