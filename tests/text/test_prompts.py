"""What stands before a resume: the prompts move with it, the scorers agree, and no record is stored."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from labor_llm.careers.panel import CareerPanel, split_workers
from labor_llm.errors import InputError
from labor_llm.models.loading import LanguageModel
from labor_llm.scoring.careers import score_careers, score_panel
from labor_llm.scoring.reference import reference_log_prob
from labor_llm.scoring.settings import ScoringSettings
from labor_llm.text.prompts import Preamble, preamble_of
from labor_llm.text.settings import PromptSettings
from labor_llm.text.shortening import readable_career
from labor_llm.text.templates import continuation, resumes
from labor_llm.text.tokenization import encode_titles

REALISED = ScoringSettings(titles="realised")
TOLERANCE = 1e-4  # nats, float32


@pytest.fixture(scope="module")
def splits(panel: CareerPanel) -> dict[str, str]:
    return split_workers(panel, seed=1)


@pytest.fixture(scope="module")
def listed(panel: CareerPanel, splits: dict[str, str]) -> str:
    return preamble_of(panel, splits, PromptSettings(form="titles")).text


def test_the_list_of_titles_is_the_outcome_space(panel: CareerPanel, listed: str) -> None:
    first, *titles, blank, end = listed.split("\n")
    assert first == "Each job title is one of the following:"
    assert tuple(titles) == panel.outcomes.titles
    assert (blank, end) == ("", "")


def test_examples_are_resumes_of_training_workers(panel: CareerPanel, splits: dict[str, str]) -> None:
    def parts(examples: int, seed: int) -> set[str]:
        settings = PromptSettings(form="examples", examples=examples, seed=seed)
        *texts, end = preamble_of(panel, splits, settings).text.split("<END OF DATA>\n")
        assert end == ""
        return {f"{text}<END OF DATA>\n" for text in texts}

    three = parts(3, 1)
    assert len(three) == 3
    assert three <= {resume.text for resume in resumes(panel.split(splits, "train"))}
    assert parts(2, 1) < three != parts(3, 2)


def test_prompts_and_spans_move_behind_the_preamble(panel: CareerPanel, listed: str) -> None:
    codes = iter(panel.frame["occupation"])
    for plain, prompted in zip(resumes(panel), resumes(panel, listed), strict=True):
        assert prompted.text == listed + plain.text
        for record, (start, end) in enumerate(prompted.spans):
            assert prompted.text[start:end] == continuation(panel.outcomes.title(next(codes)))
            assert prompted.prompt(record) == listed + plain.prompt(record)


def test_the_fast_scorer_gives_what_the_reference_gives(
    tiny_model: LanguageModel, panel: CareerPanel, listed: str
) -> None:
    some = panel.restrict(panel.workers[3:4])
    got = score_careers(tiny_model, some, "m", ScoringSettings(), preamble=listed)
    expected = [
        [reference_log_prob(tiny_model, resume.prompt(record), title) for title in panel.outcomes.titles]
        for resume in resumes(some, listed)
        for record in range(len(resume.spans))
    ]
    assert got.log_probs is not None
    assert np.abs(got.log_probs - expected).max() < TOLERANCE
    plain = score_careers(tiny_model, some, "m", REALISED).table["log_prob"]
    assert (got.table["log_prob"] - plain).abs().max() > 0.1


def test_a_long_career_loses_records_and_keeps_the_preamble(
    tiny_model: LanguageModel, panel: CareerPanel, listed: str
) -> None:
    tokenizer = tiny_model.tokenizer
    longest = max(map(len, encode_titles(tokenizer, panel.outcomes)))
    resume = max(resumes(panel, listed), key=lambda resume: len(resume.spans))
    context = len(tokenizer(resume.prompt(3))["input_ids"]) + longest
    career = readable_career(tokenizer, resume, context, longest)
    assert career.dropped[3] == 0 < career.dropped[-1]
    for part in career.parts:
        assert tokenizer.decode(part.ids).startswith(listed + "<A worker from the invented dataset>\n")
        assert len(part.ids) <= context
    with pytest.raises(InputError, match="or less text before the resume"):
        readable_career(tokenizer, resume, len(tokenizer(listed)["input_ids"]), longest)


def test_scores_of_another_prompt_are_others_and_no_example_is_stored(
    tiny_model_folder: Path, panel: CareerPanel, splits: dict[str, str], tmp_path: Path
) -> None:
    def scores(preamble: Preamble | None) -> tuple[list[float], dict]:
        some, folder = panel.restrict(panel.workers[:3]), tmp_path / "scores"
        found = score_panel(some, str(tiny_model_folder), "m", folder, REALISED, preamble=preamble)
        stored = json.loads((folder / "manifest.json").read_text())["parameters"]
        return found.table["log_prob"].tolist(), stored.get("preamble")

    before = preamble_of(panel, splits, PromptSettings(form="examples", seed=7))
    plain, prompted = scores(None), scores(before)
    assert plain[1] is None
    assert scores(preamble_of(panel, splits, PromptSettings())) == plain
    assert prompted[0] != plain[0]
    assert prompted[1] == before.described
    assert [before.described[name] for name in ("prompt", "examples", "seed")] == ["examples", 1, 7]
    header = before.text.splitlines()[2]
    assert not any(header.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert header not in repr(before)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"form": "few-shot"}, "form: 'few-shot' should be 'plain', 'titles' or 'examples'"),
        ({"form": "examples", "examples": 0}, "examples: 0 should be greater than or equal to 1"),
        ({"form": "examples", "examples": 113}, "no more than the 112 training workers"),
    ],
)
def test_what_cannot_be_is_refused(
    panel: CareerPanel, splits: dict[str, str], given: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        preamble_of(panel, splits, PromptSettings(**given))
