"""What stands before a resume: the prompts move with it, and no record is stored."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from labor_llm.careers.panel import CareerPanel, split_workers
from labor_llm.errors import InputError
from labor_llm.scoring.careers import score_panel
from labor_llm.scoring.settings import ScoringSettings
from labor_llm.text.prompts import Preamble, preamble_of
from labor_llm.text.settings import PromptSettings
from labor_llm.text.templates import continuation, resumes

REALISED = ScoringSettings(titles="realised")


@pytest.fixture(scope="module")
def splits(panel: CareerPanel) -> dict[str, str]:
    return split_workers(panel, seed=1)


def test_the_list_of_titles_is_the_outcome_space(panel: CareerPanel, splits: dict[str, str]) -> None:
    lines = preamble_of(panel, splits, PromptSettings(form="titles")).text.split("\n")
    assert lines == ["Each job title is one of the following:", *panel.outcomes.titles, "", ""]


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


def test_prompts_and_spans_move_behind_the_preamble(panel: CareerPanel, splits: dict[str, str]) -> None:
    before = preamble_of(panel, splits, PromptSettings(form="examples", examples=2)).text
    codes = iter(panel.frame["occupation"])
    for plain, prompted in zip(resumes(panel), resumes(panel, before), strict=True):
        assert prompted.text == before + plain.text
        for record, (start, end) in enumerate(prompted.spans):
            assert prompted.text[start:end] == continuation(panel.outcomes.title(next(codes)))
            assert prompted.prompt(record) == before + plain.prompt(record)


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
