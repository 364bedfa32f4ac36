"""What stands before a resume: the prompts move with it, and no record is stored."""

import json

import pytest

from labor_llm.careers.panel import CareerPanel, split_workers
from labor_llm.errors import InputError
from labor_llm.scoring.careers import score_panel
from labor_llm.scoring.settings import ScoringSettings
from labor_llm.text.settings import Preamble, PromptSettings
from labor_llm.text.templates import continuation, resumes

REALISED = ScoringSettings(titles="realised")


@pytest.fixture(scope="module")
def splits(panel: CareerPanel) -> dict[str, str]:
    return split_workers(panel, seed=1)


def test_a_preamble_lists_the_titles_or_is_resumes_of_training_workers(panel, splits):
    lines = PromptSettings(form="titles").preamble(panel, splits).text.split("\n")
    assert lines == ["Each job title is one of the following:", *panel.outcomes.titles, "", ""]

    def parts(examples: int, seed: int) -> set[str]:
        settings = PromptSettings(form="examples", examples=examples, seed=seed)
        *texts, end = settings.preamble(panel, splits).text.split("<END OF DATA>\n")
        assert end == ""
        return {f"{text}<END OF DATA>\n" for text in texts}

    three = parts(3, 1)
    assert len(three) == 3
    assert three <= {resume.text for resume in resumes(panel.split(splits, "train"))}
    assert parts(2, 1) < three != parts(3, 2)


def test_prompts_and_spans_move_behind_the_preamble(panel, splits):
    before = PromptSettings(form="examples", examples=2).preamble(panel, splits).text
    codes = iter(panel.frame["occupation"])
    for plain, prompted in zip(resumes(panel), resumes(panel, before), strict=True):
        assert prompted.text == before + plain.text
        for record, (start, end) in enumerate(prompted.spans):
            assert prompted.text[start:end] == continuation(panel.outcomes.title(next(codes)))
            assert prompted.prompt(record) == before + plain.prompt(record)


def test_scores_of_another_prompt_are_others_and_no_example_is_stored(
    tiny_model_folder, panel, splits, tmp_path
):
    def scores(preamble: Preamble | None) -> tuple[list[float], dict]:
        some, folder = panel.restrict(panel.workers[:3]), tmp_path / "scores"
        found = score_panel(some, str(tiny_model_folder), "m", folder, REALISED, preamble=preamble)
        stored = json.loads((folder / "manifest.json").read_text())["parameters"]
        return found.table["log_prob"].tolist(), stored.get("preamble")

    before = PromptSettings(form="examples", seed=7).preamble(panel, splits)
    plain, prompted = scores(None), scores(before)
    assert plain[1] is None
    assert scores(PromptSettings().preamble(panel, splits)) == plain
    assert prompted[0] != plain[0]
    assert prompted[1] == before.described
    assert [before.described[name] for name in ("prompt", "examples", "seed")] == ["examples", 1, 7]
    header = before.text.splitlines()[2]
    assert not any(header.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert header not in repr(before)


def test_more_examples_than_training_workers_are_refused(panel, splits):
    with pytest.raises(InputError, match="no more than the 112 training workers"):
        PromptSettings(form="examples", examples=113).preamble(panel, splits)
