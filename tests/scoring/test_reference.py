"""Two ways to the same number: the fast scorers against one forward pass for every prompt and title."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest

from labor_llm.careers.panel import CareerPanel
from labor_llm.models.loading import LanguageModel, load_language_model
from labor_llm.scoring.all_titles import MEMORY, all_title_log_probs
from labor_llm.scoring.checks import largest_disagreement
from labor_llm.scoring.realised import realised_log_probs
from labor_llm.scoring.reference import reference_log_prob
from labor_llm.scoring.title_trie import TitleTrie, build_title_trie
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
