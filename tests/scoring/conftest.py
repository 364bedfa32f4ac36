"""Shared by the tests of scorers: the longest invented career and all titles, in tokens of the tiny model."""

import pytest

from labor_llm.careers.panel import CareerPanel
from labor_llm.models.loading import LanguageModel
from labor_llm.scoring.title_trie import TitleTrie, build_title_trie
from labor_llm.text.templates import Resume, resumes
from labor_llm.text.tokenization import EncodedResume, encode_resume, encode_titles


@pytest.fixture(scope="session")
def resume(panel: CareerPanel) -> Resume:
    return max(resumes(panel), key=lambda resume: len(resume.spans))


@pytest.fixture(scope="session")
def career(tiny_model: LanguageModel, resume: Resume) -> EncodedResume:
    return encode_resume(tiny_model.tokenizer, resume)


@pytest.fixture(scope="session")
def trie(tiny_model: LanguageModel, panel: CareerPanel) -> TitleTrie:
    return build_title_trie(encode_titles(tiny_model.tokenizer, panel.outcomes))
