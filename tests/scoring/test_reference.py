"""Two ways to the same number: the fast scorers against a pass for every prompt and title; coarser arithmetic."""

from __future__ import annotations

import copy
import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from labor_llm.careers.panel import CareerPanel
from labor_llm.models.loading import LanguageModel, load_language_model
from labor_llm.scoring import trials as module
from labor_llm.scoring.all_titles import MEMORY, all_title_log_probs
from labor_llm.scoring.passes import realised_log_probs
from labor_llm.scoring.reference import reference_log_prob
from labor_llm.scoring.title_trie import TitleTrie, build_title_trie
from labor_llm.scoring.trials import error_sentence, largest_disagreement
from labor_llm.surveys.wage_panel import read_wage_panel
from labor_llm.text.templates import Resume
from labor_llm.text.tokenization import EncodedResume, encode_titles

TOLERANCE = 1e-4  # nats, float32


@pytest.fixture(scope="module")
def exact(tiny_model: LanguageModel, career: EncodedResume, trie: TitleTrie) -> np.ndarray:
    return all_title_log_probs(tiny_model, career, trie)


@pytest.fixture(scope="module")
def reference(tiny_model: LanguageModel, panel: CareerPanel, resume: Resume) -> np.ndarray:
    return np.array(
        [
            [reference_log_prob(tiny_model, resume.prompt(record), title) for title in panel.outcomes.titles]
            for record in range(len(resume.spans))
        ]
    )


@pytest.mark.parametrize("memory", [1, 2**20, MEMORY])
def test_all_titles_agree_for_every_memory_budget(
    tiny_model: LanguageModel, career: EncodedResume, trie: TitleTrie, reference: np.ndarray, memory: int
) -> None:
    got = all_title_log_probs(tiny_model, career, trie, memory)
    assert np.abs(got - reference).max() < TOLERANCE
    assert (np.exp(got).sum(axis=1) <= 1 + 1e-6).all()


def test_all_titles_are_those_of_double_precision(
    tiny_model: LanguageModel, career: EncodedResume, trie: TitleTrie, exact: np.ndarray
) -> None:
    """The reference rounds as the fast scorer does; twice as many digits tell what is right."""
    precise = dataclasses.replace(tiny_model, model=copy.deepcopy(tiny_model.model).double())
    difference = exact - all_title_log_probs(precise, career, trie)
    assert 0 < np.abs(difference).max() < TOLERANCE


def test_realised_titles_agree_with_all_titles(
    tiny_model: LanguageModel, panel: CareerPanel, resume: Resume, career: EncodedResume, exact: np.ndarray
) -> None:
    columns = [panel.outcomes.titles.index(resume.text[start + 1 : end - 1]) for start, end in resume.spans]
    realised = realised_log_probs(tiny_model, career)
    assert np.abs(realised - exact[range(len(columns)), columns]).max() < TOLERANCE


def test_order_of_titles_permutes_the_columns(
    tiny_model: LanguageModel, panel: CareerPanel, career: EncodedResume, exact: np.ndarray
) -> None:
    titles = encode_titles(tiny_model.tokenizer, panel.outcomes)
    order = np.random.default_rng(1).permutation(len(titles))
    got = all_title_log_probs(tiny_model, career, build_title_trie([titles[number] for number in order]))
    assert np.abs(got - exact[:, order]).max() < 1e-5


@pytest.mark.slow
def test_the_packaged_model_agrees_with_the_reference() -> None:
    language_model = load_language_model("smollm2-135m-instruct")
    # Titles of -60 nats and less: two float32 roundings, 1.3e-4 on a processor with AVX2.
    assert largest_disagreement(language_model, read_wage_panel()) < 2 * TOLERANCE


def test_float32_has_no_error(tiny_model: LanguageModel, panel: CareerPanel) -> None:
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
def test_coarser_numbers_have_some(
    tiny_model_folder: Path, panel: CareerPanel, dtype: str, quantization: str, named: str, bound: float
) -> None:
    said = error_sentence(load_language_model(tiny_model_folder, dtype, quantization), panel)
    assert said.startswith(f"The arithmetic is {named} all titles of a transition took ")
    number = r"(\d\S*)"
    errors = f"by {number} nats at most and {number} on average, .* of titles by {number} at most"
    largest, mean, variation = map(float, re.search(errors, said).groups())
    assert 0 < mean < largest < bound
    # Log-probabilities that are off by no more move the probability of any set of titles by no more than this.
    assert 0 < variation <= np.tanh(largest / 2) + 0.01
    assert f"({4 * len(panel.outcomes)} log-probabilities of an invented worker)" in said


def test_the_error_of_known_numbers(
    tiny_model_folder: Path, panel: CareerPanel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two titles of which one gains and one loses; what both records lose alike is no difference between titles."""
    scores = iter([(np.log([[0.3, 0.1], [0.2, 0.2]]), 1.0), (np.log([[0.2, 0.2], [0.4, 0.4]]), 2.0)])
    monkeypatch.setattr(module, "_log_probs", lambda *_: next(scores))
    said = error_sentence(load_language_model(tiny_model_folder, "bfloat16"), panel)
    assert said == (
        "The arithmetic is bfloat16: all titles of a transition took 1.00 seconds, in float32 2.00. Log-probabilities "
        # log 2; (log 1.5 + 3 log 2) / 4; 0.75 - 0.5
        "differ from those in float32 by 0.69 nats at most and 0.62 on average, the probability of a set of titles by "
        "0.25 at most (4 log-probabilities of an invented worker)."
    )
