"""Long careers: whole old records go, as few as needed; the header and what stands before it stay."""

import dataclasses
import itertools
import logging

import numpy as np
import pytest
import torch

from labor_llm.careers.panel import CareerPanel
from labor_llm.careers.predictions import Predictions
from labor_llm.errors import InputError
from labor_llm.finetuning.batches import IGNORED, training_career
from labor_llm.models.loading import LanguageModel
from labor_llm.scoring.careers import score_panel
from labor_llm.scoring.reference import reference_log_prob
from labor_llm.scoring.settings import ScoringSettings
from labor_llm.text.settings import Preamble
from labor_llm.text.shortening import Shortened, learned_windows, readable_career
from labor_llm.text.templates import Resume, career_resume, resumes
from labor_llm.text.tokenization import encode_resume, encode_titles

PREAMBLE = "Two lines stand before\nthe resume.\n"


@pytest.fixture(scope="module")
def resume(panel: CareerPanel) -> Resume:
    return max(resumes(panel, PREAMBLE), key=lambda resume: len(resume.spans))


@pytest.fixture(scope="module")
def longest(tiny_model: LanguageModel, panel: CareerPanel) -> int:
    return max(map(len, encode_titles(tiny_model.tokenizer, panel.outcomes)))


def prompt_without(panel: CareerPanel, worker: str, first: int, last: int) -> str:
    """The last prompt of a worker whose career begins with the record `first` and ends with `last`."""
    career = panel.frame[panel.frame["worker_id"] == worker].iloc[first : last + 1]
    titles = [panel.outcomes.title(code) for code in career["occupation"]]
    return career_resume(panel.survey, career, titles, PREAMBLE).prompt(last - first)


def test_every_record_has_the_longest_history_that_fits(tiny_model, panel, resume, longest):
    tokenizer = tiny_model.tokenizer
    assert len(resume.spans) == 6
    lengths = {}
    for first, last in itertools.combinations_with_replacement(range(6), 2):
        prompt = prompt_without(panel, resume.worker_id, first, last)
        lengths[first, last] = len(tokenizer(prompt)["input_ids"]) + longest
    for context in range(max(lengths[last, last] for last in range(6)), lengths[0, 5] + 1, 7):
        got = readable_career(tokenizer, resume, context, longest)
        assert got.dropped == tuple(
            min(first for first in range(last + 1) if lengths[first, last] <= context) for last in range(6)
        )
        assert sum(len(part.spans) for part in got.parts) == 6
        assert all(len(part.ids) <= context for part in got.parts)
        assert all(tokenizer.decode(part.ids).startswith(f"{PREAMBLE}<A worker from") for part in got.parts)
    refused = r"the header, one record and the longest title do not fit, .* reads 60 .* or less text before"
    with pytest.raises(InputError, match=refused):
        readable_career(tokenizer, resume, 60, longest)


@pytest.mark.parametrize("loss", ["all tokens", "titles"])
def test_windows_teach_each_token_of_the_records_once_with_a_history(tiny_model, resume, loss):
    tokenizer = tiny_model.tokenizer
    whole = encode_resume(tokenizer, resume)
    (header, _), *_, (_, end) = whole.spans
    taught = training_career(whole, loss).targets[: end - 1]
    longest = max(later - earlier for (_, earlier), (_, later) in itertools.pairwise(whole.spans))
    for context in range(header + 2 * longest, len(whole.ids) + 1, 7):
        windows = learned_windows(tokenizer, resume, context)
        assert all(len(window.ids) <= context for window in windows)
        assert all(tokenizer.decode(window.ids).startswith(f"{PREAMBLE}<A worker from") for window in windows)
        learned = torch.cat([training_career(window, loss).targets for window in windows])
        expected = taught[taught != IGNORED].tolist()
        assert learned[learned != IGNORED].tolist()[: len(expected)] == expected
        # But for the first, a window begins with records that another one teaches.
        assert all(window.learned_from > header for window in windows[1:])
    with pytest.raises(InputError, match="the header and one record do not fit, as the model reads 60"):
        learned_windows(tokenizer, resume, 60)


def test_the_scores_are_those_of_the_shortened_texts(
    tiny_model, tiny_model_folder, panel, resume, longest, tmp_path, monkeypatch, caplog
):
    one = panel.restrict([resume.worker_id])
    whole = len(tiny_model.tokenizer(resume.prompt(5))["input_ids"]) + longest
    monkeypatch.setattr(tiny_model.model.config, "max_position_embeddings", whole - 30)
    dropped = readable_career(tiny_model.tokenizer, resume, tiny_model.context, longest).dropped
    assert dropped[0] == 0 < dropped[5] < 5

    def scored(name: str, **settings: str) -> Predictions:
        asked, before = ScoringSettings(**settings), Preamble(PREAMBLE)
        load = {"load": lambda *_: tiny_model, "preamble": before}
        return score_panel(one, str(tiny_model_folder), "tiny", tmp_path / name, asked, **load)

    with caplog.at_level(logging.WARNING):
        got = scored("all")
    assert "tiny: 1 careers are longer than the model can read" in caplog.text
    named = scored("named", titles="named")
    with pytest.raises(InputError, match=rf"{resume.worker_id} .*has {whole} tokens, the model reads"):
        scored("refused", too_long="refuse")
    assert got.log_probs is not None
    for last, first in enumerate(dropped):
        prompt = prompt_without(panel, resume.worker_id, first, last)
        expected = [reference_log_prob(tiny_model, prompt, title) for title in panel.outcomes.titles]
        assert np.abs(got.log_probs[last] - expected).max() < 1e-4
        if last:
            stay = expected[panel.outcomes.index(one.frame["occupation"].iloc[last - 1])]
            assert abs(named.table["log_prob_stay"].iloc[last] - stay) < 1e-4


def test_what_was_left_out_is_counted(tiny_model, resume):
    whole = readable_career(tiny_model.tokenizer, resume, 512, 10)
    assert len(whole.parts) == 1
    short = dataclasses.replace(whole, dropped=(0, 0, 0, 1, 1, 3))
    assert Shortened.of([whole, short, short]) == Shortened(careers=2, records=6, dropped_records=6)
