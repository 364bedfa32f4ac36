"""Fine-tuning: it learns, keeps the best checkpoint, and is not done twice."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from labor_llm.careers.panel import CareerPanel, split_workers
from labor_llm.errors import InputError, MismatchError, ResourceError
from labor_llm.finetuning.fit import _identity, check_space, fine_tune, fine_tune_panel, read_learning_curve
from labor_llm.finetuning.settings import FineTuningSettings
from labor_llm.models.loading import load_language_model
from labor_llm.scoring.careers import score_careers
from labor_llm.scoring.settings import ScoringSettings
from labor_llm.text.tokenization import EncodedResume

QUICK = FineTuningSettings(
    epochs=2, learning_rate=5e-3, batch_size=8, precision="float32", evaluations_per_epoch=2
)


def _mean_log_prob(folder: Path, panel: CareerPanel) -> float:
    return (
        score_careers(load_language_model(folder), panel, "m", ScoringSettings(titles="realised"))
        .table["log_prob"]
        .mean()
    )


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
    if method == "lora":
        targets = json.loads((folder / "adapter_config.json").read_text())["target_modules"]
        assert len(targets) == 14
        assert targets == sorted(targets), "the order of a set differs between processes"
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


def test_layouts_and_passes_give_the_same_and_losses_do_not(
    tiny_model_folder: Path, panel: CareerPanel, tmp_path: Path
) -> None:
    def curve(name: str, **changes: object) -> np.ndarray:
        settings = QUICK.model_copy(update={"epochs": 1, **changes})
        arguments = str(tiny_model_folder), panel, split_workers(panel, seed=1)
        return read_learning_curve(fine_tune_panel(*arguments, settings, tmp_path / name))["loss"].to_numpy()

    usual = curve("usual")
    assert curve("padded", layout="padded") == pytest.approx(usual, rel=1e-4)
    assert curve("one career at once", tokens_at_once=1) == pytest.approx(usual, rel=1e-4)
    assert curve("titles", loss="titles") != pytest.approx(usual, rel=0.01)


def test_the_same_fine_tuning_is_not_done_twice_and_another_is(
    tiny_model_folder: Path, panel: CareerPanel, tmp_path: Path
) -> None:
    def stored(settings: FineTuningSettings, replace: bool = True) -> int:
        splits = split_workers(panel, 1)
        folder = fine_tune_panel(
            str(tiny_model_folder), panel, splits, settings, tmp_path / "m", replace=replace
        )
        return (folder / "model.safetensors").stat().st_mtime_ns

    quick = FineTuningSettings(epochs=1, learning_rate=1e-3, batch_size=64, precision="float32")
    first = stored(quick)
    assert stored(quick) == first
    # Without leave to replace it, the same result is still given back, and another is refused.
    assert stored(quick, replace=False) == first
    with pytest.raises(InputError, match="holds a finished result"):
        stored(quick.model_copy(update={"seed": 2}), replace=False)
    assert stored(quick.model_copy(update={"seed": 2})) > first


def test_a_result_on_another_kind_of_device_is_another(tiny_model_folder: Path) -> None:
    career = EncodedResume("a", np.arange(5), ((2, 3),))

    def identity(kind: str) -> str:
        processes = SimpleNamespace(kind="one", count=1, device=torch.device(kind))
        return _identity(str(tiny_model_folder), QUICK, [career], [career], processes)

    assert identity("cpu") == identity("cpu") != identity("cuda")


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


def test_too_little_space_is_said_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = torch.nn.Linear(1000, 1000, bias=False)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=52_000_000))
    check_space(tmp_path / "m", model)  # 4 bytes x 1,000,000 weights x 13 copies
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=51_999_999))
    with pytest.raises(ResourceError, match=r"needs about 0\.0 GiB"):
        check_space(tmp_path / "m", model)


def test_an_empty_split_and_a_career_beyond_the_context_are_refused(
    tiny_model_folder: Path, tmp_path: Path
) -> None:
    short = EncodedResume("a", np.arange(5), ((2, 3),))
    long = EncodedResume("b", np.zeros(600, dtype=np.int64), ((2, 3),))
    with pytest.raises(InputError, match="the validation split has no worker"):
        fine_tune(str(tiny_model_folder), [short], [], QUICK, tmp_path / "m")
    said = r"2 of 3 training careers are longer than the 512 tokens.*longest has 600 tokens.*longer context.*out of the"
    with pytest.raises(InputError, match=said):
        fine_tune(str(tiny_model_folder), [short, long, long], [short], QUICK, tmp_path / "m")


def test_the_current_folder_is_no_place_for_a_result(
    tiny_model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    short = EncodedResume("a", np.arange(5), ((2, 3),))
    with pytest.raises(InputError, match="name a folder of its own"):
        fine_tune(str(tiny_model_folder), [short], [short], QUICK, Path())
