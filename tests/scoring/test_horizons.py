"""A language model over two years: its adapter against whole careers, paths, and what is stored."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from labor_llm.careers.horizons import draw_questions, horizon_questions
from labor_llm.careers.panel import CareerPanel
from labor_llm.models.loading import LanguageModel
from labor_llm.scoring.careers import score_careers
from labor_llm.scoring.horizons import LastRecordScorer, language_model_pair, score_horizon


def test_the_last_records_score_as_in_whole_careers(panel: CareerPanel, tiny_model: LanguageModel) -> None:
    some = panel.restrict(panel.workers[:5])
    scorer = LastRecordScorer(tiny_model, "tiny")
    got = scorer.predict(some)
    whole = score_careers(tiny_model, some, "tiny", ask="all")
    last = (~whole.table["worker_id"].duplicated(keep="last")).to_numpy()
    np.testing.assert_allclose(got.log_probs, whole.log_probs[last], atol=1e-4)
    np.testing.assert_allclose(got.table["log_prob"], whole.table["log_prob"][last], atol=1e-4)
    assert scorer.prompts == 5
    # The realised title of the last record is no part of its prompt.
    changed = some.frame.copy()
    ends = ~changed["worker_id"].duplicated(keep="last")
    changed.loc[ends, "occupation"] = some.outcomes.codes[0]
    again = scorer.predict(CareerPanel(changed, some.outcomes, some.survey))
    np.testing.assert_array_equal(again.log_probs, got.log_probs)
    assert scorer.prompts == 5


def test_a_horizon_is_stored_and_read(panel: CareerPanel, tiny_model_folder: Path, tmp_path: Path) -> None:
    some = panel.restrict(panel.workers[:40])
    asked = draw_questions(horizon_questions(some, 2), 30, seed=1)
    arguments = (some, asked, str(tiny_model_folder), "tiny", tmp_path, 3)
    direct, compounded = score_horizon(*arguments, seed=1)
    assert [direct.model, compounded.model] == ["tiny: direct", "tiny: compounded"]
    assert (compounded.table["probability_se"] >= 0).all()
    np.testing.assert_allclose(np.exp(compounded.log_probs.astype(float)).sum(axis=1), 1.0, atol=1e-5)
    made = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("manifest.json")}
    again = score_horizon(*arguments, seed=1)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("manifest.json")} == made
    np.testing.assert_array_equal(again[1].log_probs, compounded.log_probs)
    assert language_model_pair(some, asked, 0, "nothing", "tiny", tmp_path, paths=3) == []
    pair = language_model_pair(some, asked, -1, str(tiny_model_folder), "tiny", tmp_path, paths=3, seed=1)[0]
    assert (pair.model, pair.years, pair.exact) == ("tiny", 2, False)
    np.testing.assert_array_equal(pair.direct.log_probs, direct.log_probs)
