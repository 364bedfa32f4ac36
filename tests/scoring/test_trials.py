"""Each fast scorer is held against plain passes before a panel is scored, and in what is shown of its error."""

import copy
import re
from dataclasses import replace
from unittest.mock import Mock

import numpy as np
import pytest
import torch

from labor_llm.careers.histories import lengths_of
from labor_llm.careers.panel import CareerPanel
from labor_llm.errors import MismatchError, NumericalError
from labor_llm.models.loading import LanguageModel, load_language_model
from labor_llm.scoring import all_titles, bounded, last_records, passes, trials
from labor_llm.scoring.careers import score_careers
from labor_llm.scoring.last_records import LastRecordScorer, score_windows
from labor_llm.scoring.passes import PreparedCareers, prepare_careers
from labor_llm.scoring.reference import Trial, plain_log_prob
from labor_llm.scoring.settings import ScoringSettings
from labor_llm.scoring.trials import error_sentence, largest_disagreement, try_scorers
from labor_llm.surveys.wage_panel import read_wage_panel


@pytest.fixture(scope="module")
def prepared(tiny_model: LanguageModel, panel: CareerPanel) -> PreparedCareers:
    return prepare_careers(tiny_model, panel, ScoringSettings())


def test_what_is_tried_is_a_short_and_the_longest_prompt_with_plain_scores(prepared):
    trial = try_scorers(prepared, all_titles=True, bounded=True)
    (short, end), (long, last) = trial.career.spans
    assert long == max(part.spans[-1][0] for career in prepared.careers for part in career.parts)
    assert short < long / 2 and last == len(trial.career.ids)
    assert trial.titles[1] == max(prepared.titles, key=len)
    assert trial.expected[0] == plain_log_prob(prepared.language_model, trial.career.ids[:end], short)


@pytest.mark.parametrize("found", [[-5.0, -4.0], [-5.0, np.nan], [-4.0, -5.0], [-np.inf, -5.0]])
def test_a_trial_sees_every_number(found):
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
        *((asked, trials, "realised_log_probs", r"of realised titles after \d+ or \d+ tokens differs by 0\.01 nats")
          for asked in ASKED),
        *((asked, all_titles, "title_log_probs", "prompts cannot be shared") for asked in ("named", "all")),
        ("bounded", bounded, "title_log_probs", "of all titles within bounds after .* differs"),
    ],
)  # fmt: skip
def test_a_scorer_that_is_off_is_named_before_anything_is_scored(
    tiny_model, panel, monkeypatch, asked, module, wrong, message
):
    right = getattr(module, wrong)
    monkeypatch.setattr(module, wrong, lambda *arguments: right(*arguments) + 0.01)
    scored = []
    for scorer in ("realised_log_probs", "batch_log_probs"):
        monkeypatch.setattr(f"labor_llm.scoring.careers.{scorer}", lambda *_: scored.append(1))
    fresh = replace(tiny_model, model=copy.deepcopy(tiny_model.model))
    with pytest.raises(MismatchError, match=rf"tiny.*{message}"):
        score_careers(fresh, panel, "tiny", ASKED[asked])
    assert not scored


def test_a_model_that_reads_long_texts_otherwise_is_refused(tiny_model, panel):
    """Beyond 150 tokens every state is another, as with positions that depend on the length of the text."""
    model = copy.deepcopy(tiny_model.model)
    model.model.embed_tokens.register_forward_hook(
        lambda layer, inputs, output: output * (1.5 if output.shape[1] > 150 else 1.0)
    )
    spoilt = replace(tiny_model, model=model)
    with pytest.raises(MismatchError, match=r"of realised titles after \d+ or \d+ tokens differs"):
        score_careers(spoilt, panel, "tiny", ASKED["realised"])


def test_a_model_that_gives_no_numbers_is_named_at_the_start(tiny_model, panel):
    model = copy.deepcopy(tiny_model.model)
    model.lm_head.register_forward_hook(lambda layer, inputs, output: output * float("nan"))
    with pytest.raises(NumericalError, match=r"after \d+ tokens or fewer the probability .* is not a number"):
        score_careers(replace(tiny_model, model=model), panel, "tiny", ASKED["realised"])


def test_the_scorers_of_last_records_are_tried_too(
    tiny_model, tiny_model_folder, panel, tmp_path, monkeypatch
):
    some, right = panel.restrict(panel.workers[:2]), last_records.last_log_probs
    monkeypatch.setattr(last_records, "last_log_probs", lambda *arguments: right(*arguments) + 0.01)
    with pytest.raises(MismatchError, match=r"of last titles of histories after .* differs"):
        score_windows(some, lengths_of([1]), str(tiny_model_folder), "tiny", tmp_path, ASKED["realised"])
    monkeypatch.setattr(all_titles, "title_log_probs", lambda edges, trie: edges)
    fresh = replace(tiny_model, model=copy.deepcopy(tiny_model.model))
    with pytest.raises(MismatchError, match="prompts cannot be shared"):
        LastRecordScorer(fresh, "tiny").predict(some)


def test_what_all_careers_begin_with_is_read_once_unless_that_gives_other_scores(
    tiny_model, panel, monkeypatch
):
    some, before = panel.restrict(panel.workers[:4]), "Some lines that say what is wanted.\n" * 6
    settings = ScoringSettings(titles="realised")
    prepared = prepare_careers(tiny_model, some, settings, before)
    trial = try_scorers(prepared)
    beginning = trials.tried_beginning(prepared, trial)
    assert len(beginning.ids) > 64
    for career in prepared.careers:
        for part in career.parts:
            np.testing.assert_array_equal(part.ids[: len(beginning.ids)], beginning.ids)
            again = passes.realised_log_probs(tiny_model, part, beginning)
            np.testing.assert_allclose(again, passes.realised_log_probs(tiny_model, part), atol=1e-4)
    together, alone = (passes.batch_log_probs(tiny_model, prepared.texts, one) for one in (beginning, None))
    np.testing.assert_allclose(together, alone, atol=1e-4)
    # A pass that ends halfway, between two layers, leaves it as it was.
    *_, layer = tiny_model.model.model.layers
    with monkeypatch.context() as halfway, pytest.raises(KeyError):
        halfway.setattr(layer, "forward", lambda *_, **__: {}["halfway"])
        passes.realised_log_probs(tiny_model, part, beginning)
    assert {kept.get_seq_length() for kept in beginning.cache.layers} == {len(beginning.ids)}
    # A header alone is sooner read again.
    plain = [career.parts[0] for career in prepare_careers(tiny_model, some, settings).careers]
    assert passes.read_beginning(tiny_model, plain) is None
    for fault in (lambda *_: replace(beginning, ids=beginning.ids[1:]), lambda *_: {}["no plain cache"]):
        monkeypatch.setattr(trials, "read_beginning", fault)
        assert trials.tried_beginning(prepared, trial) is None
    monkeypatch.setattr(trials, "read_beginning", Mock(side_effect=torch.OutOfMemoryError))
    with pytest.raises(torch.OutOfMemoryError):
        trials.tried_beginning(prepared, trial)


def test_longer_prompts_than_were_tried_are_tried_again(prepared, monkeypatch):
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


# What is shown of the scorers.


@pytest.mark.slow
def test_the_packaged_model_agrees_with_the_reference():
    language_model = load_language_model("smollm2-135m-instruct")
    # Titles of -60 nats and less: two float32 roundings, 1.3e-4 on a processor with AVX2.
    assert largest_disagreement(language_model, read_wage_panel()) < 2e-4


def test_float32_has_no_error(tiny_model, panel):
    said = r"The arithmetic is float32; all titles of a transition took \d+\.\d\d seconds\."
    assert re.fullmatch(said, error_sentence(tiny_model, panel))


@pytest.mark.parametrize(
    ("dtype", "quantization", "named", "bound"),
    [
        ("bfloat16", "none", "bfloat16:", 1.0),
        ("float32", "8bit", "float32 with 8bit weights:", 2.0),
        ("float32", "4bit", "float32 with 4bit weights:", 20.0),
    ],
)
def test_coarser_numbers_have_some(tiny_model_folder, panel, dtype, quantization, named, bound):
    said = error_sentence(load_language_model(tiny_model_folder, dtype, quantization), panel)
    assert said.startswith(f"The arithmetic is {named} all titles of a transition took ")
    number = r"(\d\S*)"
    errors = f"by {number} nats at most and {number} on average, .* of titles by {number} at most"
    largest, mean, variation = map(float, re.search(errors, said).groups())
    assert 0 < mean < largest < bound
    # Log-probabilities that are off by no more move the probability of any set of titles by no more than this.
    assert 0 < variation <= np.tanh(largest / 2) + 0.01
    assert f"({4 * len(panel.outcomes)} log-probabilities of an invented worker)" in said


def test_the_error_of_known_numbers(tiny_model_folder, panel, monkeypatch):
    """Two titles of which one gains and one loses; what both records lose alike is no difference between titles."""
    scores = iter([(np.log([[0.3, 0.1], [0.2, 0.2]]), 1.0), (np.log([[0.2, 0.2], [0.4, 0.4]]), 2.0)])
    monkeypatch.setattr(trials, "score_invented_worker", lambda *_: next(scores))
    said = error_sentence(load_language_model(tiny_model_folder, "bfloat16"), panel)
    assert said == (
        "The arithmetic is bfloat16: all titles of a transition took 1.00 seconds, in float32 2.00. Log-probabilities "
        # log 2; (log 1.5 + 3 log 2) / 4; 0.75 - 0.5
        "differ from those in float32 by 0.69 nats at most and 0.62 on average, the probability of a set of titles by "
        "0.25 at most (4 log-probabilities of an invented worker)."
    )
