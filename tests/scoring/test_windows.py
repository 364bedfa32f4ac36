"""A language model on windows: the prompt holds the last records alone, and what is stored is used again."""

from __future__ import annotations

from pathlib import Path

import pytest

from labor_llm.careers.histories import predict_windows
from labor_llm.careers.panel import CareerPanel
from labor_llm.models.loading import LanguageModel
from labor_llm.scoring.careers import score_careers
from labor_llm.scoring.reference import reference_log_prob
from labor_llm.scoring.windows import last_log_probs, score_windows
from labor_llm.text.templates import ResumeTemplate
from labor_llm.text.tokenization import encode_resume


def test_windows_score_as_prompts_of_the_last_records(
    panel: CareerPanel, tiny_model: LanguageModel, tiny_model_folder: Path, tmp_path: Path
) -> None:
    some = panel.restrict(panel.workers[3:5])
    got = score_windows(some, [2, 1], str(tiny_model_folder), "tiny", tmp_path)
    expected = predict_windows(lambda careers: score_careers(tiny_model, careers, "tiny"), some, [1, 2])
    for records, predictions in expected.items():
        found, plain = got[records].table, predictions.table
        assert found.drop(columns="log_prob").equals(plain.drop(columns="log_prob"))
        assert found["log_prob"].to_numpy() == pytest.approx(plain["log_prob"].to_numpy(), abs=1e-4)
    career = some.frame[some.frame["worker_id"] == some.workers[-1]].iloc[-3:]
    titles = dict(zip(some.outcomes.codes, some.outcomes.titles, strict=True))
    resume = ResumeTemplate().resume(some.survey, career, career["occupation"].map(titles))
    reference = reference_log_prob(tiny_model, resume.prompt(2), titles[career["occupation"].iloc[-1]])
    assert got[2].table["log_prob"].iloc[-1] == pytest.approx(reference, abs=1e-4)


def test_what_is_stored_is_read(panel: CareerPanel, tiny_model_folder: Path, tmp_path: Path) -> None:
    some = panel.restrict(panel.workers[3:5])
    first = score_windows(some, [1], str(tiny_model_folder), "tiny", tmp_path)
    made = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("manifest.json")}
    assert sorted(path.parent.name for path in made) == ["all", "last-1"]
    again = score_windows(some, [1, 2], str(tiny_model_folder), "tiny", tmp_path)
    assert {path: path.stat().st_mtime_ns for path in made} == made
    assert again[1].table.equals(first[1].table)
    assert (tmp_path / "last-2" / "manifest.json").is_file()


def test_one_text_alone_needs_no_other_to_share_with(panel: CareerPanel, tiny_model: LanguageModel) -> None:
    some = panel.restrict(panel.workers[4:5])
    titles = dict(zip(some.outcomes.codes, some.outcomes.titles, strict=True))
    resume = ResumeTemplate().resume(some.survey, some.frame, some.frame["occupation"].map(titles))
    text = encode_resume(tiny_model.tokenizer, resume)
    expected = score_careers(tiny_model, some, "tiny").table["log_prob"].iloc[-1]
    assert last_log_probs(tiny_model, [text])[0] == pytest.approx(expected, abs=1e-4)
