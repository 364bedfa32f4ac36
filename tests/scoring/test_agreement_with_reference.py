"""Two ways to the same number: the fast scorers against one forward pass for every prompt and title."""

import copy
import dataclasses

import numpy as np
import pytest

from labor_llm.careers.panel import CareerPanel
from labor_llm.models.loading import LanguageModel, load_language_model
from labor_llm.scoring.all_titles import all_title_log_probs
from labor_llm.scoring.checks import largest_disagreement
from labor_llm.scoring.realised import realised_log_probs
from labor_llm.scoring.reference import reference_log_prob
from labor_llm.scoring.title_trie import build_title_trie
from labor_llm.surveys.wage_panel import read_wage_panel
from labor_llm.text.templates import resumes
from labor_llm.text.tokenization import encode_resume, encode_titles

TOLERANCE = 1e-4  # nats, float32


@pytest.mark.parametrize("positions", [1, 30, 10_000])
def test_all_titles_agree_for_every_memory_budget(
    tiny_model: LanguageModel, panel: CareerPanel, positions: int
) -> None:
    resume = max(resumes(panel), key=lambda resume: len(resume.spans))
    encoded = encode_resume(tiny_model.tokenizer, resume)
    trie = build_title_trie(encode_titles(tiny_model.tokenizer, panel.outcomes))
    got = all_title_log_probs(tiny_model, encoded, trie, positions)
    expected = [
        [reference_log_prob(tiny_model, resume.prompt(record), title) for title in panel.outcomes.titles]
        for record in range(len(resume.spans))
    ]
    assert np.abs(got - expected).max() < TOLERANCE


def test_all_titles_are_those_of_double_precision(tiny_model: LanguageModel, panel: CareerPanel) -> None:
    """The reference rounds as the fast scorer does; twice as many digits tell what is right."""
    encoded = encode_resume(tiny_model.tokenizer, max(resumes(panel), key=lambda resume: len(resume.spans)))
    trie = build_title_trie(encode_titles(tiny_model.tokenizer, panel.outcomes))
    precise = dataclasses.replace(tiny_model, model=copy.deepcopy(tiny_model.model).double())
    difference = all_title_log_probs(tiny_model, encoded, trie) - all_title_log_probs(precise, encoded, trie)
    assert 0 < np.abs(difference).max() < TOLERANCE


def test_realised_titles_agree_with_all_titles_and_the_reference(
    tiny_model: LanguageModel, panel: CareerPanel
) -> None:
    trie = build_title_trie(encode_titles(tiny_model.tokenizer, panel.outcomes))
    occupations = iter(panel.outcomes.indices(panel.frame["occupation"]))
    for resume in list(resumes(panel))[:8]:
        encoded = encode_resume(tiny_model.tokenizer, resume)
        realised = realised_log_probs(tiny_model, encoded)
        matrix = all_title_log_probs(tiny_model, encoded, trie)
        columns = [next(occupations) for _ in resume.spans]
        assert np.abs(realised - matrix[range(len(columns)), columns]).max() < TOLERANCE
        last = len(columns) - 1
        reference = reference_log_prob(tiny_model, resume.prompt(last), panel.outcomes.titles[columns[last]])
        assert abs(realised[last] - reference) < TOLERANCE


def test_probabilities_of_titles_do_not_exceed_one(tiny_model: LanguageModel, panel: CareerPanel) -> None:
    encoded = encode_resume(tiny_model.tokenizer, next(resumes(panel)))
    trie = build_title_trie(encode_titles(tiny_model.tokenizer, panel.outcomes))
    assert (np.exp(all_title_log_probs(tiny_model, encoded, trie)).sum(axis=1) <= 1 + 1e-6).all()


def test_order_of_titles_permutes_the_columns(tiny_model: LanguageModel, panel: CareerPanel) -> None:
    titles = encode_titles(tiny_model.tokenizer, panel.outcomes)
    order = np.random.default_rng(1).permutation(len(titles))
    encoded = encode_resume(tiny_model.tokenizer, next(resumes(panel)))
    got = all_title_log_probs(tiny_model, encoded, build_title_trie([titles[number] for number in order]))
    expected = all_title_log_probs(tiny_model, encoded, build_title_trie(titles))[:, order]
    assert np.abs(got - expected).max() < 1e-5


@pytest.mark.slow
def test_the_packaged_model_agrees_with_the_reference() -> None:
    language_model = load_language_model("smollm2-135m-instruct")
    assert largest_disagreement(language_model, read_wage_panel()) < TOLERANCE
