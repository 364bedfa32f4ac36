"""The last record of each career: windows against prompts, the adapter against whole careers, what is stored."""

import numpy as np
import pytest

from labor_llm.careers.histories import HistoryLength, lengths_of, predict_windows
from labor_llm.careers.horizons import horizon_questions, stored_pair
from labor_llm.careers.panel import CareerPanel
from labor_llm.scoring.careers import score_careers, score_panel
from labor_llm.scoring.last_records import (
    LastRecordScorer,
    language_model_pair,
    last_log_probs,
    score_windows,
)
from labor_llm.scoring.passes import prepare_careers
from labor_llm.scoring.reference import reference_log_prob
from labor_llm.scoring.settings import ScoringSettings
from labor_llm.text.settings import Preamble
from labor_llm.text.templates import career_resume

REALISED = ScoringSettings(titles="realised")


def test_windows_score_as_prompts_of_the_last_records(panel, tiny_model, tiny_model_folder, tmp_path):
    some = panel.restrict(panel.workers[3:5])
    score_windows(some, lengths_of([1]), str(tiny_model_folder), "tiny", tmp_path, REALISED)
    made = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("manifest.json")}
    assert sorted(path.parent.name for path in made) == ["all", "last-1-records"]
    got = score_windows(some, lengths_of([2, 1], [1]), str(tiny_model_folder), "tiny", tmp_path, REALISED)
    assert {path: path.stat().st_mtime_ns for path in made} == made, "what is stored is read"
    expected = predict_windows(
        lambda careers: score_careers(tiny_model, careers, "tiny", REALISED), some, lengths_of([1, 2], [1])
    )
    for length, predictions in expected.items():
        found, plain = got[length].table, predictions.table
        assert found.drop(columns="log_prob").equals(plain.drop(columns="log_prob"))
        assert found["log_prob"].to_numpy() == pytest.approx(plain["log_prob"].to_numpy(), abs=1e-4)
    career = some.frame[some.frame["worker_id"] == some.workers[-1]].iloc[-3:]
    titles = dict(zip(some.outcomes.codes, some.outcomes.titles, strict=True))
    resume = career_resume(some.survey, career, career["occupation"].map(titles))
    reference = reference_log_prob(tiny_model, resume.prompt(2), titles[career["occupation"].iloc[-1]])
    assert got[HistoryLength("records", 2)].table["log_prob"].iloc[-1] == pytest.approx(reference, abs=1e-4)


def test_the_last_records_score_as_in_whole_careers(panel, tiny_model):
    some = panel.restrict(panel.workers[:5])
    scorer = LastRecordScorer(tiny_model, "tiny")
    got = scorer.predict(some)
    whole = score_careers(tiny_model, some, "tiny", ScoringSettings())
    last = (~whole.table["worker_id"].duplicated(keep="last")).to_numpy()
    np.testing.assert_allclose(got.log_probs, whole.log_probs[last], atol=1e-4)
    np.testing.assert_allclose(got.table["log_prob"], whole.table["log_prob"][last], atol=1e-4)
    assert scorer.prompts == 5
    # One text alone has no other to share with.
    texts = [career.parts[-1] for career in prepare_careers(tiny_model, some, REALISED).careers]
    alone = [last_log_probs(tiny_model, [text])[0] for text in texts]
    np.testing.assert_allclose(alone, got.table["log_prob"], atol=1e-4)
    # The realised title of the last record is no part of its prompt.
    changed = some.frame.copy()
    ends = ~changed["worker_id"].duplicated(keep="last")
    changed.loc[ends, "occupation"] = some.outcomes.codes[0]
    again = scorer.predict(CareerPanel(changed, some.outcomes, some.survey))
    np.testing.assert_array_equal(again.log_probs, got.log_probs)
    assert scorer.prompts == 5


def test_last_records_are_read_as_the_settings_and_the_preamble_say(
    panel, tiny_model, tiny_model_folder, tmp_path
):
    """Physicians alone need the end of their line."""
    some, before = panel.restrict(panel.workers[3:4]), Preamble("One of these titles:\n", {})
    settings = ScoringSettings(line_ends="needed")
    got = LastRecordScorer(tiny_model, "tiny", settings, before.text).predict(some)
    whole = score_panel(some, str(tiny_model_folder), "tiny", tmp_path / "whole", settings, preamble=before)
    np.testing.assert_allclose(got.log_probs[0], whole.log_probs[-1], atol=1e-4)
    assert (
        got.log_probs > LastRecordScorer(tiny_model, "tiny", preamble=before.text).predict(some).log_probs
    ).any()


def test_a_horizon_is_stored_and_read(panel, tiny_model_folder, tmp_path):
    some = panel.restrict(panel.workers[:40])
    arguments = (some, {3: horizon_questions(some, 3)}, 30, str(tiny_model_folder), "tiny", tmp_path)
    (pair,) = language_model_pair(*arguments, ScoringSettings(), paths=2, seed=1)
    assert (pair.model, pair.years, pair.exact, len(pair.runs)) == ("tiny", 3, False, 5)
    assert [pair.direct.model, pair.compounded.model] == ["tiny: direct", "tiny: compounded"]
    np.testing.assert_allclose(np.exp(pair.compounded.log_probs.astype(float)).sum(axis=1), 1.0, atol=1e-5)
    made = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("manifest.json")}
    (again,) = language_model_pair(*arguments, ScoringSettings(), paths=2, seed=1)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("manifest.json")} == made
    np.testing.assert_array_equal(again.direct.log_probs, pair.direct.log_probs)
    np.testing.assert_array_equal(again.compounded.log_probs, pair.compounded.log_probs)
    assert language_model_pair(some, arguments[1], 0, "nothing", "tiny", tmp_path, REALISED, paths=3) == []
    assert language_model_pair(some, {}, 30, "nothing", "tiny", tmp_path, REALISED, paths=3) == []
    assert score_windows(some, [], "nothing", "tiny", tmp_path, REALISED) == {}


def test_runs_of_another_number_of_paths_are_no_part_of_a_stored_pair(panel, tiny_model_folder, tmp_path):
    """Of five runs that were stored before, one is replaced by the exact sum and four are left."""
    some = panel.restrict(panel.workers[:40])
    asked = {4: horizon_questions(some, 4)}
    model = (30, str(tiny_model_folder), "tiny", tmp_path, ScoringSettings())
    for paths, step, runs in ((2, 1, 5), (2, 2, 1)):
        (pair,) = language_model_pair(some, asked, *model, paths=paths, seed=1, step=step)
        stored = stored_pair(tmp_path, "tiny")
        assert (len(pair.runs), len(stored.runs)) == (runs, runs)
        np.testing.assert_array_equal(stored.compounded.log_probs, pair.compounded.log_probs)
