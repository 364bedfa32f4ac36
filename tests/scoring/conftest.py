"""Shared by the tests of scorers: the longest invented career and all titles, in tokens of the tiny model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from labor_llm.careers.panel import CareerPanel
from labor_llm.text.templates import Resume, resumes

if TYPE_CHECKING:
    from labor_llm.models.loading import LanguageModel
    from labor_llm.scoring.title_trie import TitleTrie
    from labor_llm.text.tokenization import EncodedResume


@pytest.fixture(scope="session")
def resume(panel: CareerPanel) -> Resume:
    return max(resumes(panel), key=lambda resume: len(resume.spans))


@pytest.fixture(scope="session")
def career(tiny_model: LanguageModel, resume: Resume) -> EncodedResume:
    from labor_llm.text.tokenization import encode_resume

    return encode_resume(tiny_model.tokenizer, resume)


@pytest.fixture(scope="session")
def trie(tiny_model: LanguageModel, panel: CareerPanel) -> TitleTrie:
    from labor_llm.scoring.title_trie import build_title_trie
    from labor_llm.text.tokenization import encode_titles

    return build_title_trie(encode_titles(tiny_model.tokenizer, panel.outcomes))
