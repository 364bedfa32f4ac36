"""Before a panel is scored each fast scorer is held against plain passes, after a short and a long prompt."""

from __future__ import annotations

import copy
import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, Phi3Config

from labor_llm.careers.panel import CareerPanel
from labor_llm.errors import MismatchError, NumericalError
from labor_llm.models.loading import LanguageModel
from labor_llm.scoring import all_titles, bounded, last_records, passes, trials
from labor_llm.scoring.careers import score_careers
from labor_llm.scoring.last_records import LastRecordScorer, _try_last
from labor_llm.scoring.passes import PreparedCareers, prepare_careers
from labor_llm.scoring.reference import Trial, plain_log_prob, reference_log_prob
from labor_llm.scoring.settings import ScoringSettings
from labor_llm.scoring.trials import try_scorers
from labor_llm.text.templates import resumes


@pytest.fixture(scope="module")
def prepared(tiny_model: LanguageModel, panel: CareerPanel) -> PreparedCareers:
    return prepare_careers(tiny_model, panel, ScoringSettings())


def test_what_is_tried_is_a_short_and_the_longest_prompt_with_plain_scores(prepared: PreparedCareers) -> None:
    trial = try_scorers(prepared, all_titles=True, bounded=True)
    longest = max(part.spans[-1][0] for career in prepared.careers for part in career.parts)
    (short, _), (long, end) = trial.career.spans
    assert short < long <= longest and longest - long < 30 and short < longest / 2
    assert len(trial.career.ids) == end
    most = max(prepared.titles, key=len)
    assert trial.titles[0] == trial.career.continuation_ids(0) == trial.career.continuation_ids(1) == most
    # Beside it stand the title that goes with it furthest, and one that does not.
    assert trial.titles[1][0] == most[0] and trial.titles[2][0] != most[0]
    ids = np.concatenate([trial.career.ids[:short], trial.titles[1]])
    assert trial.expected[0, 1] == plain_log_prob(prepared.language_model, ids, short)
    assert np.isnan(trial.expected).tolist() == [[False, False, True], [False, True, True]]


@pytest.mark.parametrize("found", [[-5.0, -4.0], [-5.0, np.nan], [-4.0, -5.0], [-np.inf, -5.0]])
def test_a_trial_sees_every_number(found: list[float]) -> None:
    career = passes.EncodedResume("invented", np.arange(9), ((2, 4), (7, 9)))
    trial = Trial(career, ((2, 3), (1, 1)), np.array([[-5.0, -1.0], [-5.0, np.nan]]), 1e-3)
    trial.check("m", "titles", np.array([-5.0005, -5.0]))
    with pytest.raises(
        MismatchError, match=r"m: the log-probability of titles after 2 or 7 tokens differs by"
    ):
        trial.check("m", "titles", np.array(found))
    assert trial.difference(np.array([[-5.0, -1.0], [-5.0, 77.0]])) == 0


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
            (asked, passes, "_realised", r"of realised titles after \d+ or \d+ tokens differs by 0\.01 nats")
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
    short = panel.restrict(panel.workers[:1])
    assert score_careers(spoilt, short, "tiny", ASKED["realised"]).table["log_prob"].notna().all()


def test_a_model_that_gives_no_numbers_is_named_at_the_start(
    tiny_model: LanguageModel, panel: CareerPanel
) -> None:
    model = copy.deepcopy(tiny_model.model)
    model.lm_head.register_forward_hook(lambda layer, inputs, output: output * float("nan"))
    with pytest.raises(NumericalError, match=r"after \d+ tokens the probability of a title is not a number"):
        score_careers(replace(tiny_model, model=model), panel, "tiny", ASKED["realised"])


def test_the_scorers_of_last_records_are_tried_too(
    prepared: PreparedCareers, panel: CareerPanel, monkeypatch: pytest.MonkeyPatch
) -> None:
    _try_last(prepared)
    right = last_records.last_log_probs
    monkeypatch.setattr(last_records, "last_log_probs", lambda *arguments: right(*arguments) + 0.01)
    with pytest.raises(MismatchError, match=r"of last titles of histories after .* differs"):
        _try_last(prepared)
    monkeypatch.setattr(all_titles, "title_log_probs", lambda edges, trie: edges[:, :1])
    fresh = replace(prepared.language_model, model=copy.deepcopy(prepared.language_model.model))
    with pytest.raises(MismatchError, match="prompts cannot be shared"):
        LastRecordScorer(fresh, "tiny").predict(panel.restrict(panel.workers[:2]))


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


@pytest.mark.parametrize(
    ("config", "length"),
    [
        ({}, 60),
        ({"sliding_window": 70}, 90),
        ({"sliding_window": 900}, 60),
        ({"rope": {"original_max": 60}}, 90),
    ],
)
def test_a_long_prompt_is_cut_only_where_nothing_changes_beyond_the_cut_and_this_is_said(
    prepared: PreparedCareers, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, config: dict,
    length: int,
) -> None:  # fmt: skip
    monkeypatch.setattr(trials, "_AFFORDABLE", 60)
    model = copy.deepcopy(prepared.language_model.model)
    for name, value in config.items():
        setattr(model.config, name, value)
    with caplog.at_level(logging.WARNING):
        assert trials._tried_length(replace(prepared.language_model, model=model), 90) == length
    assert bool(caplog.records) == (length == 60)
    assert trials._tried_length(replace(prepared.language_model, model=model), 50) == 50


def test_a_model_that_reads_little_more_than_a_record_is_tried_on_what_it_reads(
    prepared: PreparedCareers, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = min(career.parts[0].spans[0][0] for career in prepared.careers)
    monkeypatch.setattr(prepared.language_model.model.config, "max_position_embeddings", first)
    career = trials._invented_career(prepared, first - 10)
    assert career.spans[-1][1] == len(career.ids) == first


@pytest.fixture(scope="module")
def switching(tiny_model: LanguageModel) -> LanguageModel:
    """A model that has other positions in texts beyond 110 tokens, which lie within many of the careers."""
    torch.manual_seed(1)
    config = Phi3Config(
        vocab_size=420, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=512, initializer_range=0.3, bos_token_id=None, eos_token_id=0,
        pad_token_id=0, original_max_position_embeddings=110,
        rope_parameters={
            "rope_type": "longrope", "rope_theta": 10000.0, "short_factor": [1.0, 1.0, 1.1, 1.2],
            "long_factor": [1.5, 3.0, 6.0, 8.0],
        },
    )  # fmt: skip
    return replace(tiny_model, model=AutoModelForCausalLM.from_config(config).eval())


def test_every_record_is_read_with_the_positions_of_its_own_length(
    switching: LanguageModel, panel: CareerPanel
) -> None:
    some = panel.restrict(panel.workers[3:5])
    found = {asked: score_careers(switching, some, "m", settings) for asked, settings in ASKED.items()}
    prompts = [resume.prompt(record) for resume in resumes(some) for record in range(len(resume.spans))]
    lengths = [len(switching.tokenizer(prompt).input_ids) for prompt in prompts]
    assert min(lengths) < 110 - 15 and max(lengths) > 110
    titles = some.outcomes.titles
    expected = np.array([[reference_log_prob(switching, prompt, t) for t in titles] for prompt in prompts])
    columns = np.asarray(some.outcomes.indices(some.frame["occupation"]))
    realised = expected[range(len(columns)), columns]
    for predictions in found.values():
        assert np.abs(predictions.table["log_prob"] - realised).max() < 1e-4
    assert np.abs(found["all"].log_probs - expected).max() < 1e-4
    assert (found["bounded"].upper > expected - 1e-4).all()
    stay = found["named"].table["log_prob_stay"]
    known = np.flatnonzero(stay.notna())
    assert np.abs(stay.iloc[known] - expected[known, columns[known - 1]]).max() < 1e-4
    # The states that stand for histories are those of the prompts too.
    states = passes.history_embeddings(switching, some)
    for prompt, state in zip(prompts, states, strict=True):
        ids = torch.as_tensor(switching.tokenizer(prompt).input_ids)[None]
        with torch.inference_mode():
            alone = switching.model.model(input_ids=ids, use_cache=False).last_hidden_state[0, -1]
        assert np.abs(alone.numpy() - state).max() < 1e-4
