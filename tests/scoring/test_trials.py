"""Before a panel is scored each fast scorer is held against plain passes, after a short and a long prompt."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from labor_llm.careers.panel import CareerPanel
from labor_llm.errors import MismatchError, NumericalError
from labor_llm.models.loading import LanguageModel
from labor_llm.scoring import all_titles, bounded, last_records, passes, trials
from labor_llm.scoring.careers import score_careers
from labor_llm.scoring.last_records import LastRecordScorer, score_windows
from labor_llm.scoring.passes import PreparedCareers, prepare_careers
from labor_llm.scoring.reference import Trial, plain_log_prob
from labor_llm.scoring.settings import ScoringSettings
from labor_llm.scoring.trials import try_scorers


@pytest.fixture(scope="module")
def prepared(tiny_model: LanguageModel, panel: CareerPanel) -> PreparedCareers:
    return prepare_careers(tiny_model, panel, ScoringSettings())


def test_what_is_tried_is_a_short_and_the_longest_prompt_with_plain_scores(prepared: PreparedCareers) -> None:
    trial = try_scorers(prepared, all_titles=True, bounded=True)
    (short, end), (long, last) = trial.career.spans
    assert long == max(part.spans[-1][0] for career in prepared.careers for part in career.parts)
    assert short < long / 2 and last == len(trial.career.ids)
    assert trial.titles[1] == max(prepared.titles, key=len)
    assert trial.expected[0] == plain_log_prob(prepared.language_model, trial.career.ids[:end], short)


@pytest.mark.parametrize("found", [[-5.0, -4.0], [-5.0, np.nan], [-4.0, -5.0], [-np.inf, -5.0]])
def test_a_trial_sees_every_number(found: list[float]) -> None:
    career = passes.EncodedResume("invented", np.arange(9), ((2, 4), (7, 9)))
    trial = Trial("m", career, np.array([-5.0, -5.0]), 1e-3)
    trial.check("titles", np.array([-5.0005, -5.0]))
    message = r"m: the log-probability of titles after 2 or 7 tokens differs by"
    with pytest.raises(MismatchError, match=message):
        trial.check("titles", np.array(found))
    assert trial.among(np.array([[1, 2, 3], [4, 5, 6]]), [(7, 8), (5,), (2, 3)]).tolist() == [3, 4]


ASKED = {
    "realised": ScoringSettings(titles="realised"),
    "named": ScoringSettings(titles="named"),
    "all": ScoringSettings(),
    "bounded": ScoringSettings(tolerance=0.1),
}


@pytest.mark.parametrize(
    ("asked", "module", "wrong", "message"),
    [
        *(
            (
                asked,
                trials,
                "realised_log_probs",
                r"of realised titles after \d+ or \d+ tokens differs by 0\.01 nats",
            )
            for asked in ASKED
        ),
        *((asked, all_titles, "title_log_probs", "prompts cannot be shared") for asked in ("named", "all")),
        ("bounded", bounded, "title_log_probs", "of all titles within bounds after .* differs"),
    ],
)
def test_a_scorer_that_is_off_is_named_before_anything_is_scored(
    tiny_model: LanguageModel, panel: CareerPanel, monkeypatch: pytest.MonkeyPatch, asked: str, module: object,
    wrong: str, message: str,
) -> None:  # fmt: skip
    right = getattr(module, wrong)
    monkeypatch.setattr(module, wrong, lambda *arguments: right(*arguments) + 0.01)
    scored = []
    monkeypatch.setattr("labor_llm.scoring.careers.realised_log_probs", lambda *_: scored.append(1))
    fresh = replace(tiny_model, model=copy.deepcopy(tiny_model.model))
    with pytest.raises(MismatchError, match=rf"tiny.*{message}"):
        score_careers(fresh, panel, "tiny", ASKED[asked])
    assert not scored


def test_a_model_that_reads_long_texts_otherwise_is_refused(
    tiny_model: LanguageModel, panel: CareerPanel
) -> None:
    """Beyond 150 tokens every state is another, as with positions that depend on the length of the text."""
    model = copy.deepcopy(tiny_model.model)
    model.model.embed_tokens.register_forward_hook(
        lambda layer, inputs, output: output * (1.5 if output.shape[1] > 150 else 1.0)
    )
    spoilt = replace(tiny_model, model=model)
    for settings in ASKED.values():
        with pytest.raises(MismatchError, match=r"of realised titles after \d+ or \d+ tokens differs"):
            score_careers(spoilt, panel, "tiny", settings)


def test_a_model_that_gives_no_numbers_is_named_at_the_start(
    tiny_model: LanguageModel, panel: CareerPanel
) -> None:
    model = copy.deepcopy(tiny_model.model)
    model.lm_head.register_forward_hook(lambda layer, inputs, output: output * float("nan"))
    with pytest.raises(NumericalError, match=r"after \d+ tokens or fewer the probability .* is not a number"):
        score_careers(replace(tiny_model, model=model), panel, "tiny", ASKED["realised"])


def test_the_scorers_of_last_records_are_tried_too(
    tiny_model: LanguageModel,
    tiny_model_folder: Path,
    panel: CareerPanel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    some, right = panel.restrict(panel.workers[:2]), last_records.last_log_probs
    monkeypatch.setattr(last_records, "last_log_probs", lambda *arguments: right(*arguments) + 0.01)
    with pytest.raises(MismatchError, match=r"of last titles of histories after .* differs"):
        score_windows(some, [1], str(tiny_model_folder), "tiny", tmp_path, ASKED["realised"])
    monkeypatch.setattr(all_titles, "title_log_probs", lambda edges, trie: edges)
    fresh = replace(tiny_model, model=copy.deepcopy(tiny_model.model))
    with pytest.raises(MismatchError, match="prompts cannot be shared"):
        LastRecordScorer(fresh, "tiny").predict(some)


def test_longer_prompts_than_were_tried_are_tried_again(
    prepared: PreparedCareers, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = replace(prepared.language_model, model=copy.deepcopy(prepared.language_model.model))
    trie = all_titles.build_title_trie(prepared.titles)
    tried, plain = [], Trial.of
    monkeypatch.setattr(
        all_titles.Trial, "of", lambda *given: tried.append(given[1].spans[-1][0]) or plain(*given)
    )
    parts = sorted((career.parts[0] for career in prepared.careers[:5]), key=lambda part: part.spans[-1][0])
    for part in (parts[0], parts[-1], parts[0], parts[-1]):
        all_titles.all_title_log_probs(model, part, trie)
    assert tried == [parts[0].spans[-1][0], parts[-1].spans[-1][0]]
