"""Scoring of a panel: stored shards are used again only where nothing has changed."""

from pathlib import Path

import numpy as np
import pytest

from labor_llm.artefacts import MANIFEST
from labor_llm.careers import CareerPanel
from labor_llm.errors import InputError
from labor_llm.language_models import LanguageModel, load_language_model
from labor_llm.predictions import read_predictions
from labor_llm.scoring import careers
from labor_llm.scoring.careers import score_careers, score_panel


def test_predictions_have_a_row_a_record_and_a_matrix_for_the_workers_in_full(
    tiny_model: LanguageModel, panel: CareerPanel
) -> None:
    some = panel.restrict(panel.workers[:6])
    predictions = score_careers(tiny_model, some, "tiny", all_titles_for=some.workers[:2])
    table = predictions.table
    assert table["worker_id"].tolist() == some.frame["worker_id"].tolist()
    in_full = table["worker_id"].isin(some.workers[:2])
    assert table["log_valid_mass"].notna().equals(in_full)
    assert predictions.log_probs is not None
    assert predictions.log_probs.shape == (in_full.sum(), len(panel.outcomes))
    columns = panel.outcomes.indices(table.loc[in_full, "occupation"])
    realised = predictions.log_probs[np.arange(len(columns)), columns]
    assert np.abs(realised - table.loc[in_full, "log_prob"]).max() < 1e-4


def test_a_run_that_was_stopped_goes_on_and_ends_alike(
    tiny_model: LanguageModel, panel: CareerPanel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = score_careers(tiny_model, panel, "tiny").table
    runs: list[str] = []
    unpatched = careers.realised_log_probs

    def stopped_after(limit: int) -> None:
        def counting(language_model: LanguageModel, resume: careers.EncodedResume) -> np.ndarray:
            if len(runs) == limit:
                raise KeyboardInterrupt
            runs.append(resume.worker_id)
            return unpatched(language_model, resume)

        monkeypatch.setattr(careers, "realised_log_probs", counting)

    stopped_after(50)
    with pytest.raises(KeyboardInterrupt):
        score_careers(tiny_model, panel, "tiny", unfinished=tmp_path / "unfinished")
    runs.clear()
    stopped_after(-1)
    got = score_careers(tiny_model, panel, "tiny", unfinished=tmp_path / "unfinished").table
    assert got.equals(expected)
    assert len(runs) == len(panel.workers) - 40  # two whole shards of twenty were stored


def test_a_damaged_shard_is_scored_again(
    tiny_model: LanguageModel, panel: CareerPanel, tmp_path: Path
) -> None:
    some = panel.restrict(panel.workers[:3])
    expected = score_careers(tiny_model, some, "tiny", unfinished=tmp_path).table
    stored = next(tmp_path.rglob("realised.npy"))
    stored.write_bytes(stored.read_bytes()[:-8] + b"\0" * 8)
    assert score_careers(tiny_model, some, "tiny", unfinished=tmp_path).table.equals(expected)


def test_another_model_never_meets_the_scores_of_the_first(
    tiny_model_folder: Path, tiny_model: LanguageModel, panel: CareerPanel, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    some = panel.restrict(panel.workers[:3])
    first = score_careers(tiny_model, some, "tiny", unfinished=tmp_path / "shards").table["log_prob"]
    other = tmp_path / "other"
    other.mkdir()
    for path in tiny_model_folder.iterdir():
        if path.suffix != ".safetensors":
            (other / path.name).write_bytes(path.read_bytes())
    weights = load_file(tiny_model_folder / "model.safetensors")
    save_file(
        {name: weight * 1.5 for name, weight in weights.items()},
        other / "model.safetensors",
        {"format": "pt"},
    )
    changed = load_language_model(other)
    second = score_careers(changed, some, "tiny", unfinished=tmp_path / "shards").table["log_prob"]
    assert np.abs(first - second).min() > 1e-3


def test_a_changed_weight_in_the_same_folder_is_noticed(
    tiny_model_folder: Path, panel: CareerPanel, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "model"
    folder.mkdir()
    for path in tiny_model_folder.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    some = panel.restrict(panel.workers[:3])
    first = score_careers(load_language_model(folder), some, "m", unfinished=tmp_path / "shards").table[
        "log_prob"
    ]
    weights = load_file(folder / "model.safetensors")
    save_file(
        {name: weight * 1.5 for name, weight in weights.items()},
        folder / "model.safetensors",
        {"format": "pt"},
    )
    second = score_careers(load_language_model(folder), some, "m", unfinished=tmp_path / "shards").table[
        "log_prob"
    ]
    assert np.abs(first - second).min() > 1e-3


def test_a_career_longer_than_the_context_is_refused(
    tiny_model: LanguageModel, panel: CareerPanel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiny_model.model.config, "max_position_embeddings", 60)
    with pytest.raises(InputError, match="reads 60"):
        score_careers(tiny_model, panel, "tiny")


def test_the_same_scoring_is_not_done_twice_and_another_is(
    tiny_model_folder: Path, panel: CareerPanel, tmp_path: Path
) -> None:
    def stored(workers: int, in_full: int) -> int:
        some = panel.restrict(panel.workers[:workers])
        score_panel(some, str(tiny_model_folder), "Tiny", tmp_path / "tiny", in_full)
        return (tmp_path / "tiny" / "predictions.parquet").stat().st_mtime_ns

    first = stored(4, 0)
    assert stored(4, 0) == first
    second = stored(4, 1)
    assert second > first
    assert stored(5, 1) > second


def test_stored_predictions_are_read_back_and_leave_nothing_unfinished(
    tiny_model_folder: Path, panel: CareerPanel, tmp_path: Path
) -> None:
    some = panel.restrict(panel.workers[:4])
    predictions = score_panel(some, str(tiny_model_folder), "Tiny", tmp_path / "tiny", all_titles_workers=2)
    stored = read_predictions(tmp_path / "tiny")
    assert stored.model == "Tiny"
    assert stored.table.equals(predictions.table)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tiny"]
    assert (tmp_path / "tiny" / MANIFEST).is_file()
