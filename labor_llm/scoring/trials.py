"""Each fast scorer against the reference scorer, on an invented worker: before a panel is scored, and in numbers.

Before a panel is scored two prompts are tried on the model, device and arithmetic of the run, a short one and one as
long as the longest of the panel, as models may read long texts otherwise. On a CPU the long one is cut where it would
take many seconds, unless the model's configuration has a length (of a window, of positions) that lies beyond the cut.
"""

from __future__ import annotations

import json
import logging
import re
import time

import numpy as np
import pandas as pd

from labor_llm.careers.panel import CareerPanel
from labor_llm.models.loading import LanguageModel, load_language_model
from labor_llm.scoring.all_titles import all_title_log_probs, try_runs
from labor_llm.scoring.bounded import bounded_title_log_probs
from labor_llm.scoring.passes import PreparedCareers, realised_log_probs
from labor_llm.scoring.reference import Trial, reference_log_prob
from labor_llm.scoring.title_trie import build_title_trie
from labor_llm.text.templates import career_resume, invented_resume
from labor_llm.text.tokenization import EncodedResume, encode_resume, encode_titles

_TITLES_CHECKED = 8
# A model of 135 million weights reads so many tokens in a second or two on one core.
_AFFORDABLE = 512
_LENGTH = re.compile(r'"\w*(?:window|chunk|original_max)\w*": (\d+)')
_LINE = 8  # the fewest tokens of a line
_log = logging.getLogger(__name__)


def try_scorers(prepared: PreparedCareers, *, all_titles: bool = False, bounded: bool = False) -> Trial:
    """Try the scorers of a panel, that of realised titles always; return what they were tried on.

    Args:
        prepared: the panel.
        all_titles: whether other titles than the realised ones are scored.
        bounded: whether bounds on them are asked for.

    Raises:
        MismatchError: if a scorer does not give what the reference scorer gives.
    """
    language_model = prepared.language_model
    longest = max(part.spans[-1][0] for career in prepared.careers for part in career.parts)
    career = _invented_career(prepared, _tried_length(language_model, longest))
    trial = Trial.of(language_model, career, prepared.titles)
    trial.check(language_model.name, "realised titles", realised_log_probs(language_model, trial.career))
    if all_titles:
        try_runs(language_model, trial, longest)
    if bounded:
        trie = build_title_trie(trial.titles)
        found = bounded_title_log_probs(language_model, trial.career, trie, tolerance=0.0)
        trial.check(language_model.name, "all titles within bounds", found.lower)
    return trial


def _tried_length(language_model: LanguageModel, longest: int) -> int:
    """Return how many tokens the long prompt may have."""
    if language_model.device.type != "cpu" or longest <= _AFFORDABLE:
        return longest
    stated = _LENGTH.findall(json.dumps(language_model.model.config.get_text_config().to_dict(), default=str))
    if any(_AFFORDABLE <= int(length) < longest for length in stated):
        return longest
    _log.warning(
        "%s: scorers were compared with the plain one on %d tokens, the longest prompt has %d; the configuration "
        "names no length between, and a longer one would take minutes on this processor.",
        language_model.name, _AFFORDABLE, longest,
    )  # fmt: skip
    return _AFFORDABLE


def _invented_career(prepared: PreparedCareers, length: int) -> EncodedResume:
    """Return a career whose first prompt is short and whose last has at most so many tokens, both with one title.

    It is the title of most tokens; the others take turns between, so that none can be told from the lines before it.
    """
    titles, tokenizer = prepared.outcomes.titles, prepared.language_model.tokenizer
    number = max(range(len(titles)), key=lambda title: len(prepared.titles[title]))
    last = length // _LINE
    for _ in range(2):  # the second time as many lines as there is room for
        order = [number, *(title % len(titles) for title in range(1, last)), number][: last + 1]
        lines = pd.DataFrame(
            {"worker_id": "invented", "year": range(1984, 1985 + last), "education": "college"}
        )
        lines = lines.assign(gender="female", ethnicity="hispanic", region="west", birth_year=1963)
        career = encode_resume(tokenizer, career_resume("invented", lines, [titles[one] for one in order]))
        last = max(0, sum(start <= length for start, _ in career.spans) - 1)
    ends = [career.spans[record][0] + len(prepared.titles[number]) for record in (0, -1)]
    # A model that reads little more than one record gets no longer text than it reads.
    left_out = max(0, ends[0] - prepared.language_model.context)
    spans = tuple((end - left_out - len(prepared.titles[number]), end - left_out) for end in ends)
    return EncodedResume("invented", career.ids[left_out : ends[-1]], spans)


def largest_disagreement(language_model: LanguageModel, panel: CareerPanel) -> float:
    """Return the largest difference (nats) between the fast scorer of all titles and the reference scorer.

    Compared are some titles, evenly spread over the outcome space, for the first and the last record.

    Args:
        language_model: the model.
        panel: its outcome space and survey name are used, none of its workers.
    """
    fast, _ = _log_probs(language_model, panel)
    resume, titles = invented_resume(panel), panel.outcomes.titles
    columns = np.unique(np.linspace(0, len(titles) - 1, _TITLES_CHECKED, dtype=int))
    return max(
        abs(fast[record, column] - reference_log_prob(language_model, resume.prompt(record), titles[column]))
        for record in (0, len(resume.spans) - 1)
        for column in columns
    )


def error_sentence(language_model: LanguageModel, panel: CareerPanel) -> str:
    """Say how far a loaded model is from the same model in float32 without quantisation, and how fast.

    Compared are all titles and records. The probability that the two give to a set of titles, any set, is theirs
    after both are normalised over the titles. A model in float32 is not loaded a second time.

    Args:
        language_model: the model as it is used for scoring.
        panel: its outcome space and survey name are used, none of its workers.

    Raises:
        As `load_language_model`.
    """
    used, seconds = _log_probs(language_model, panel)
    config = getattr(language_model.model.config, "quantization_config", None)
    weights = "" if config is None else f" with {'8bit' if config.load_in_8bit else '4bit'} weights"
    dtype = str(language_model.model.dtype).removeprefix("torch.")
    if (dtype, weights) == ("float32", ""):
        return f"The arithmetic is float32; all titles of a transition took {seconds:.2f} seconds."
    exact, float32_seconds = _log_probs(load_language_model(language_model.name), panel)
    difference = np.abs(used - exact)
    variation = np.abs(_normalised(used) - _normalised(exact)).sum(axis=1) / 2
    return (
        f"The arithmetic is {dtype}{weights}: all titles of a transition took {seconds:.2f} seconds, in float32 "
        f"{float32_seconds:.2f}. Log-probabilities differ from those in float32 by {difference.max():.2g} nats at most "
        f"and {difference.mean():.2g} on average, the probability of a set of titles by {variation.max():.2g} at most "
        f"({difference.size:,} log-probabilities of an invented worker)."
    )


def _log_probs(language_model: LanguageModel, panel: CareerPanel) -> tuple[np.ndarray, float]:
    """Return the log-probabilities [records, titles] of the invented worker and the seconds a record."""
    tokenizer = language_model.tokenizer
    trie = build_title_trie(encode_titles(tokenizer, panel.outcomes))
    resume = encode_resume(tokenizer, invented_resume(panel))
    # What is done once, at the first call, is not counted: by libraries, and the trial of the scorer.
    all_title_log_probs(
        language_model, resume, build_title_trie(encode_titles(tokenizer, panel.outcomes)[:2])
    )
    start = time.perf_counter()
    found = all_title_log_probs(language_model, resume, trie)
    return found, (time.perf_counter() - start) / len(found)


def _normalised(log_probs: np.ndarray) -> np.ndarray:
    return np.exp(log_probs - np.logaddexp.reduce(log_probs, axis=1)[:, None])
