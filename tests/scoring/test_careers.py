"""Scoring of a panel: stored shards are used again only where nothing has changed."""

from pathlib import Path

import numpy as np
import pytest
import torch

from labor_llm.careers.occupations import OutcomeSpace
from labor_llm.careers.panel import CareerPanel
from labor_llm.careers.predictions import read_predictions, write_predictions
from labor_llm.errors import InputError
from labor_llm.models.loading import LanguageModel, load_language_model
from labor_llm.scoring import careers
from labor_llm.scoring.careers import score_careers, score_panel
from labor_llm.scoring.settings import ScoringSettings
from labor_llm.store.artefacts import MANIFEST, verify
from labor_llm.text.templates import resumes
from labor_llm.text.tokenization import EncodedResume, encode_resume

NAMED = ScoringSettings(titles="named", named=["003"])


def test_predictions_have_a_row_a_record_and_a_matrix_for_the_workers_in_full(
    tiny_model: LanguageModel, panel: CareerPanel
) -> None:
    some = panel.restrict(panel.workers[:13])
    predictions = score_careers(tiny_model, some, "tiny", ScoringSettings(all_titles_workers=11), seed=3)
    table = predictions.table
    assert table["worker_id"].tolist() == some.frame["worker_id"].tolist()
    in_full = table["log_valid_mass"].notna()
    assert table.loc[in_full, "worker_id"].nunique() == 11
    assert not table.loc[~in_full, "worker_id"].isin(table.loc[in_full, "worker_id"]).any()
    assert predictions.log_probs is not None
    assert predictions.log_probs.shape == (in_full.sum(), len(panel.outcomes))
    columns = panel.outcomes.indices(table.loc[in_full, "occupation"])
    realised = predictions.log_probs[np.arange(len(columns)), columns]
    assert np.abs(realised - table.loc[in_full, "log_prob"]).max() < 1e-4


def test_a_tolerance_gives_bounds_that_hold_the_exact_scores(
    tiny_model: LanguageModel, panel: CareerPanel, tmp_path: Path
) -> None:
    some = panel.restrict(panel.workers[:3])
    exact = score_careers(tiny_model, some, "tiny", ScoringSettings())
    bounded = score_careers(tiny_model, some, "tiny", ScoringSettings(tolerance=0.2))
    assert exact.log_probs is not None and bounded.log_probs is not None and bounded.upper is not None
    assert exact.upper is None and "unresolved" not in exact.table
    known = np.isfinite(bounded.log_probs)
    assert not known.all() and np.abs(bounded.log_probs - exact.log_probs)[known].max() < 1e-4
    assert (bounded.upper > exact.log_probs - 1e-4).all()
    # The realised title is always known, and what is not known adds up to no more than was said.
    columns = panel.outcomes.indices(bounded.table["occupation"])
    assert known[np.arange(len(columns)), columns].all()
    rest = np.where(known, 0, np.exp(exact.log_probs)).sum(axis=1)
    assert (rest <= bounded.table["unresolved"] + 1e-6).all() and (bounded.table["unresolved"] <= 0.2).all()
    mass = np.exp(exact.table["log_valid_mass"]) - np.exp(bounded.table["log_valid_mass"])
    assert mass.between(-1e-6, bounded.table["unresolved"] + 1e-6).all()
    write_predictions(tmp_path / "stored", bounded)
    stored = read_predictions(tmp_path / "stored")
    assert stored.table.equals(bounded.table)
    assert np.array_equal(stored.upper, bounded.upper) and np.array_equal(stored.log_probs, bounded.log_probs)


@pytest.mark.parametrize("ask", ["all", "named"])
def test_line_ends_are_left_out_where_they_are_not_needed(
    tiny_model: LanguageModel, panel: CareerPanel, ask: str
) -> None:
    some = panel.restrict(panel.workers[:2])
    every = score_careers(tiny_model, some, "tiny", ScoringSettings(titles=ask))
    needed = score_careers(tiny_model, some, "tiny", ScoringSettings(titles=ask, line_ends="needed"))
    # The probability of the line end, given prompt and title, is what the two differ by.
    ends = []
    for resume in resumes(some):
        encoded = encode_resume(tiny_model.tokenizer, resume)
        with torch.inference_mode():
            logits = tiny_model.model(input_ids=torch.as_tensor(encoded.ids)[None]).logits[0]
        log_probs = torch.log_softmax(logits.double(), dim=-1)
        for (start, stop), (_, end) in zip(resume.spans, encoded.spans, strict=True):
            title = resume.text[start + 1 : stop - 1]
            begins_another = any(
                other != title and other.startswith(title) for other in panel.outcomes.titles
            )
            ends.append(0.0 if begins_another else float(log_probs[end - 2, encoded.ids[end - 1]]))
    assert min(ends) < -1
    assert np.abs(every.table["log_prob"] - needed.table["log_prob"] - ends).max() < 1e-4
    if ask == "all":
        assert every.log_probs is not None and needed.log_probs is not None
        columns = panel.outcomes.indices(needed.table["occupation"])
        realised = needed.log_probs[np.arange(len(columns)), columns]
        assert np.abs(realised - needed.table["log_prob"]).max() < 1e-4
        assert (needed.log_probs >= every.log_probs - 1e-4).all()
        assert (needed.table["log_valid_mass"] <= 1e-6).all()
    else:
        assert (needed.table["log_prob_stay"].dropna() >= every.table["log_prob_stay"].dropna()).all()


def test_a_run_that_was_stopped_goes_on_and_ends_alike(
    tiny_model: LanguageModel, panel: CareerPanel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = score_careers(tiny_model, panel, "tiny", ScoringSettings(titles="realised")).table
    runs: list[str] = []
    unpatched = careers.realised_log_probs

    def stopped_after(limit: int) -> None:
        def counting(language_model: LanguageModel, resume: EncodedResume) -> np.ndarray:
            if len(runs) == limit:
                raise KeyboardInterrupt
            runs.append(resume.worker_id)
            return unpatched(language_model, resume)

        monkeypatch.setattr(careers, "realised_log_probs", counting)

    stopped_after(50)
    with pytest.raises(KeyboardInterrupt):
        score_careers(
            tiny_model, panel, "tiny", ScoringSettings(titles="realised"), unfinished=tmp_path / "unfinished"
        )
    runs.clear()
    stopped_after(-1)
    got = score_careers(
        tiny_model, panel, "tiny", ScoringSettings(titles="realised"), unfinished=tmp_path / "unfinished"
    ).table
    assert got.equals(expected)
    assert len(runs) == len(panel.workers) - 40  # two whole shards of twenty were stored


def test_shards_of_other_codes_are_not_met(
    tiny_model: LanguageModel, panel: CareerPanel, tmp_path: Path
) -> None:
    """Two codes change places and their titles with them: every text is the same, the named title is another."""
    some = panel.restrict(panel.workers[:4])
    score_careers(tiny_model, some, "tiny", NAMED, unfinished=tmp_path)
    codes = list(panel.outcomes.codes)
    codes[3], codes[4] = codes[4], codes[3]
    order = np.argsort(codes)
    outcomes = OutcomeSpace(tuple(codes[k] for k in order), tuple(panel.outcomes.titles[k] for k in order))
    frame = some.frame.assign(occupation=some.frame["occupation"].replace({"003": "004", "004": "003"}))
    swapped = CareerPanel(frame, outcomes, some.survey)
    fresh = score_careers(tiny_model, swapped, "tiny", NAMED).table
    again = score_careers(tiny_model, swapped, "tiny", NAMED, unfinished=tmp_path).table
    assert again.equals(fresh)


def test_a_damaged_shard_is_scored_again(
    tiny_model: LanguageModel, panel: CareerPanel, tmp_path: Path
) -> None:
    some = panel.restrict(panel.workers[:3])
    expected = score_careers(
        tiny_model, some, "tiny", ScoringSettings(titles="realised"), unfinished=tmp_path
    ).table
    stored = next(tmp_path.rglob("realised.npy"))
    stored.write_bytes(stored.read_bytes()[:-8] + b"\0" * 8)
    assert score_careers(
        tiny_model, some, "tiny", ScoringSettings(titles="realised"), unfinished=tmp_path
    ).table.equals(expected)


def test_another_model_never_meets_the_scores_of_the_first(
    tiny_model_folder: Path, tiny_model: LanguageModel, panel: CareerPanel, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    some = panel.restrict(panel.workers[:3])
    first = score_careers(
        tiny_model, some, "tiny", ScoringSettings(titles="realised"), unfinished=tmp_path / "shards"
    ).table["log_prob"]
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
    second = score_careers(
        changed, some, "tiny", ScoringSettings(titles="realised"), unfinished=tmp_path / "shards"
    ).table["log_prob"]
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
    first = score_careers(
        load_language_model(folder),
        some,
        "m",
        ScoringSettings(titles="realised"),
        unfinished=tmp_path / "shards",
    ).table["log_prob"]
    weights = load_file(folder / "model.safetensors")
    save_file(
        {name: weight * 1.5 for name, weight in weights.items()},
        folder / "model.safetensors",
        {"format": "pt"},
    )
    second = score_careers(
        load_language_model(folder),
        some,
        "m",
        ScoringSettings(titles="realised"),
        unfinished=tmp_path / "shards",
    ).table["log_prob"]
    assert np.abs(first - second).min() > 1e-3


def test_a_career_longer_than_the_context_is_refused(
    tiny_model: LanguageModel, panel: CareerPanel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiny_model.model.config, "max_position_embeddings", 60)
    with pytest.raises(InputError, match="reads 60"):
        score_careers(tiny_model, panel, "tiny", ScoringSettings(titles="realised"))
    with pytest.raises(InputError, match="reads 60"):
        score_careers(tiny_model, panel, "tiny", ScoringSettings(titles="realised", too_long="refuse"))


def test_no_career_is_refused_and_one_record_is_scored(tiny_model: LanguageModel, panel: CareerPanel) -> None:
    with pytest.raises(InputError, match="There is no career to score"):
        score_careers(tiny_model, panel.restrict([]), "tiny", ScoringSettings(titles="realised"))
    one = CareerPanel(panel.frame.iloc[:1], panel.outcomes, panel.survey)
    predictions = score_careers(tiny_model, one, "tiny", ScoringSettings())
    assert predictions.table["transition_type"].tolist() == ["first"]
    assert predictions.log_probs is not None
    column = panel.outcomes.index(one.frame["occupation"].iloc[0])
    assert abs(predictions.log_probs[0, column] - predictions.table["log_prob"].iloc[0]) < 1e-4


def test_eight_and_four_bits_of_a_model_never_meet(
    tiny_model_folder: Path, panel: CareerPanel, tmp_path: Path
) -> None:
    some = panel.restrict(panel.workers[:3])
    found = [
        score_careers(
            load_language_model(tiny_model_folder, quantization=quantization),
            some,
            "m",
            ScoringSettings(titles="realised"),
            unfinished=tmp_path,
        ).table["log_prob"]
        for quantization in ("none", "8bit", "4bit")
    ]
    assert len(list(tmp_path.iterdir())) == 3
    assert np.abs(found[1] - found[2]).min() > 0


def test_what_was_asked_and_shortened_is_in_the_manifest(
    tiny_model_folder: Path, panel: CareerPanel, tmp_path: Path
) -> None:
    some = panel.restrict(panel.workers[:4])
    score_panel(
        some,
        str(tiny_model_folder),
        "Tiny",
        tmp_path / "tiny",
        ScoringSettings(titles="named", named=["stay", "006"]),
    )
    parameters = verify(tmp_path / "tiny")["parameters"]
    assert (parameters["ask"], parameters["named"], parameters["too_long"]) == (
        "named",
        ["stay", "006"],
        "shorten",
    )
    assert parameters["shortened"] == {"careers": 0, "records": 0, "dropped_records": 0}
    assert {"log_prob_stay", "log_prob_006"} <= set(read_predictions(tmp_path / "tiny").table.columns)


def test_the_same_scoring_is_not_done_twice_and_another_is(
    tiny_model_folder: Path, panel: CareerPanel, tmp_path: Path
) -> None:
    def stored(workers: int, in_full: int) -> int:
        some = panel.restrict(panel.workers[:workers])
        score_panel(
            some,
            str(tiny_model_folder),
            "Tiny",
            tmp_path / "tiny",
            ScoringSettings(all_titles_workers=in_full),
        )
        return (tmp_path / "tiny" / "predictions.parquet").stat().st_mtime_ns

    first = stored(12, 0)
    assert stored(12, 0) == first
    second = stored(12, 11)
    assert second > first
    assert stored(13, 11) > second


def test_stored_predictions_are_read_back_and_leave_nothing_unfinished(
    tiny_model_folder: Path, panel: CareerPanel, tmp_path: Path
) -> None:
    some = panel.restrict(panel.workers[:12])
    predictions = score_panel(
        some, str(tiny_model_folder), "Tiny", tmp_path / "tiny", ScoringSettings(all_titles_workers=11)
    )
    stored = read_predictions(tmp_path / "tiny")
    assert stored.model == "Tiny"
    assert stored.table.equals(predictions.table)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tiny"]
    assert (tmp_path / "tiny" / MANIFEST).is_file()
