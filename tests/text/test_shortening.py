"""Long careers: whole old records go, as few as needed, and the header stays."""

from __future__ import annotations

import dataclasses
import logging

import numpy as np
import pytest

from labor_llm.careers.panel import CareerPanel
from labor_llm.errors import InputError
from labor_llm.models.loading import LanguageModel
from labor_llm.scoring.careers import score_careers
from labor_llm.scoring.reference import reference_log_prob
from labor_llm.scoring.settings import ScoringSettings
from labor_llm.text.shortening import Shortened, readable_career
from labor_llm.text.templates import Resume, career_resume, resumes
from labor_llm.text.tokenization import encode_titles


@pytest.fixture(scope="module")
def resume(panel: CareerPanel) -> Resume:
    return max(resumes(panel), key=lambda resume: len(resume.spans))


def later_career(panel: CareerPanel, worker: str, first: int, last: int) -> Resume:
    """The resume of a worker whose career begins with the record `first` and ends with `last`."""
    career = panel.frame[panel.frame["worker_id"] == worker].iloc[first : last + 1]
    return career_resume(panel.survey, career, [panel.outcomes.title(code) for code in career["occupation"]])


def test_every_record_has_the_longest_history_that_fits(
    tiny_model: LanguageModel, panel: CareerPanel, resume: Resume
) -> None:
    tokenizer = tiny_model.tokenizer
    longest = max(map(len, encode_titles(tokenizer, panel.outcomes)))
    lengths = {
        (first, last): len(
            tokenizer(later_career(panel, resume.worker_id, first, last).prompt(last - first))["input_ids"]
        )
        for last in range(len(resume.spans))
        for first in range(last + 1)
    }
    for context in range(
        max(lengths[last, last] for last in range(6)) + longest, lengths[0, 5] + longest + 1, 7
    ):
        got = readable_career(tokenizer, resume, context, longest)
        assert got.dropped == tuple(
            min(first for first in range(last + 1) if lengths[first, last] + longest <= context)
            for last in range(6)
        )
        assert sum(len(part.spans) for part in got.parts) == 6
        assert all(len(part.ids) <= context for part in got.parts)


def test_the_scores_are_those_of_the_shortened_texts(
    tiny_model: LanguageModel, panel: CareerPanel, resume: Resume, caplog: pytest.LogCaptureFixture
) -> None:
    model = tiny_model.model
    one = panel.restrict([resume.worker_id])
    longest = max(map(len, encode_titles(tiny_model.tokenizer, panel.outcomes)))
    whole = len(tiny_model.tokenizer(resume.prompt(5))["input_ids"])
    context = model.config.max_position_embeddings
    model.config.max_position_embeddings = whole + longest - 30
    try:
        dropped = readable_career(tiny_model.tokenizer, resume, tiny_model.context, longest).dropped
        with caplog.at_level(logging.WARNING):
            got = score_careers(tiny_model, one, "tiny", ScoringSettings())
            named = score_careers(tiny_model, one, "tiny", ScoringSettings(titles="named"))
        with pytest.raises(
            InputError, match=rf"{resume.worker_id} .*has {whole + longest} tokens, the model reads"
        ):
            score_careers(tiny_model, one, "tiny", ScoringSettings(too_long="refuse"))
    finally:
        model.config.max_position_embeddings = context
    assert dropped[0] == 0 < dropped[5] < 5
    assert "tiny: 1 careers are longer than the model can read" in caplog.text
    assert got.log_probs is not None
    for last, first in enumerate(dropped):
        prompt = later_career(panel, resume.worker_id, first, last).prompt(last - first)
        expected = [reference_log_prob(tiny_model, prompt, title) for title in panel.outcomes.titles]
        assert np.abs(got.log_probs[last] - expected).max() < 1e-4
        if last:
            stay = expected[panel.outcomes.index(one.frame["occupation"].iloc[last - 1])]
            assert abs(named.table["log_prob_stay"].iloc[last] - stay) < 1e-4


def test_what_was_left_out_is_counted(tiny_model: LanguageModel, resume: Resume) -> None:
    whole = readable_career(tiny_model.tokenizer, resume, 512, 10)
    assert len(whole.parts) == 1
    short = dataclasses.replace(whole, dropped=(0, 0, 0, 1, 1, 3))
    got = Shortened.of([whole, short, short])
    assert (got.careers, got.records, got.dropped_records) == (2, 6, 6)


def test_a_model_that_cannot_read_one_record_is_refused(tiny_model: LanguageModel, resume: Resume) -> None:
    with pytest.raises(
        InputError, match="the header, one record and the longest title do not fit, as the model reads 60"
    ):
        readable_career(tiny_model.tokenizer, resume, 60, 10)
