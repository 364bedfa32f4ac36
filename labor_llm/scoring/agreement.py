"""Whether the fast scorers give what the reference scorer defines, on an invented worker."""

from __future__ import annotations

import numpy as np

from labor_llm.careers import CareerPanel
from labor_llm.language_models import LanguageModel
from labor_llm.scoring.all_titles import all_title_log_probs
from labor_llm.scoring.reference import reference_log_prob
from labor_llm.scoring.title_trie import build_title_trie
from labor_llm.templates import invented_resume
from labor_llm.tokenization import encode_resume, encode_titles

_TITLES_CHECKED = 8


def largest_disagreement(language_model: LanguageModel, panel: CareerPanel) -> float:
    """Return the largest difference (nats) between the fast scorer of all titles and the reference scorer.

    Compared are some titles, evenly spread over the outcome space, for the first and the last record.

    Args:
        language_model: the model.
        panel: its outcome space and survey name are used, none of its workers.
    """
    resume = invented_resume(panel)
    tokenizer = language_model.tokenizer
    trie = build_title_trie(encode_titles(tokenizer, panel.outcomes))
    fast = all_title_log_probs(language_model, encode_resume(tokenizer, resume), trie)
    columns = np.unique(np.linspace(0, len(panel.outcomes) - 1, _TITLES_CHECKED, dtype=int))
    return max(
        abs(fast[record, column] - reference_log_prob(language_model, resume.prompt(record), title))
        for record in (0, len(resume.spans) - 1)
        for column, title in ((column, panel.outcomes.titles[column]) for column in columns)
    )
