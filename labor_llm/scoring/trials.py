"""Each fast scorer against the reference scorer: before a panel is scored, and in numbers on an invented worker."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import numpy as np
import torch

from labor_llm.careers.panel import CareerPanel
from labor_llm.models.loading import LanguageModel, load_language_model
from labor_llm.scoring.all_titles import all_title_log_probs, way_to_run
from labor_llm.scoring.bounded import bounded_title_log_probs
from labor_llm.scoring.passes import (
    Beginning,
    PreparedCareers,
    batch_log_probs,
    read_beginning,
    realised_log_probs,
    tokens_at_once,
)
from labor_llm.scoring.reference import Trial, reference_log_prob
from labor_llm.scoring.title_trie import build_title_trie
from labor_llm.text.templates import invented_resume
from labor_llm.text.tokenization import encode_resume, encode_titles

T = TypeVar("T")
_TITLES_CHECKED = 4


def try_scorers(prepared: PreparedCareers, *, all_titles: bool = False, bounded: bool = False) -> Trial:
    """Try the scorers of a panel on its longest text, that of realised titles always; return what they were tried on.

    A short prompt and the longest one are compared, as models may read long texts otherwise.

    Args:
        prepared: the panel.
        all_titles: whether other titles than the realised ones are scored.
        bounded: whether bounds on those are asked for.

    Raises:
        MismatchError: if a scorer does not give what the reference scorer gives.
        NumericalError: if the reference scorer gives no number.
    """
    language_model, titles = prepared.language_model, prepared.titles
    # The later parts of a shortened career are as long, and have one record.
    longest = max(prepared.texts, key=lambda text: (len(text.spans) > 1, text.spans[-1][0]))
    trial = Trial.of(language_model, longest, max(titles, key=len))
    trial.check("realised titles", realised_log_probs(language_model, trial.career))
    if all_titles:
        trie = build_title_trie(titles)
        way_to_run(language_model, longest, trie, trial)
        if bounded:
            found = bounded_title_log_probs(language_model, trial.career, trie, tolerance=0.0)
            trial.check("all titles within bounds", trial.among(found.lower, titles))
    return trial


Timed = tuple[np.ndarray, float]
"""Log-probabilities of the invented worker's records [records, titles], nats, and the seconds that a record took."""


def tried_beginning(prepared: PreparedCareers, trial: Trial) -> Beginning | None:
    """Return what all careers begin with, read once, if the model gives the same with it; else None.

    `trial` is what `try_scorers` has returned. A model without a plain cache of keys and values reads it every time.
    """
    language_model, texts = prepared.language_model, prepared.texts
    if (beginning := _or_none(lambda: read_beginning(language_model, texts))) is None:
        return None
    found = _or_none(lambda: realised_log_probs(language_model, trial.career, beginning))
    return None if found is None or trial.difference(found) else beginning


def tried_tokens(language_model: LanguageModel, trial: Trial, beginning: Beginning | None) -> int:
    """Return how many tokens a pass over several texts has at most; 1 if the model gives other scores in such a pass.

    The prompts of `trial`, a short and the longest one, are read in one pass; a single one says nothing of padding.
    """
    tokens = tokens_at_once(language_model)
    texts = [replace(trial.career, spans=(span,)) for span in trial.career.spans]
    if tokens == 1 or len(texts) == 1:
        return 1
    found = _or_none(lambda: batch_log_probs(language_model, texts, beginning))
    return 1 if found is None or trial.difference(found) else tokens


def _or_none(score: Callable[[], T]) -> T | None:
    """Return what a way to score gives, or None where it stumbles over the model."""
    try:
        return score()
    except torch.OutOfMemoryError:  # It is a RuntimeError, and says nothing of the model.
        raise
    except (AttributeError, LookupError, TypeError, ValueError, RuntimeError):
        return None


def largest_disagreement(
    language_model: LanguageModel, panel: CareerPanel, scored: Timed | None = None
) -> float:
    """Return the largest difference (nats) between the fast scorer of all titles and the reference scorer.

    Compared are some titles, evenly spread over the outcome space, for the first and the last record.

    Args:
        language_model: the model.
        panel: its outcome space and survey name are used, none of its workers.
        scored: what `score_invented_worker` has returned of both, if it was asked before.
    """
    fast, _ = scored or score_invented_worker(language_model, panel)
    resume, titles = invented_resume(panel), panel.outcomes.titles
    columns = np.unique(np.linspace(0, len(titles) - 1, _TITLES_CHECKED, dtype=int))
    return max(
        abs(fast[record, column] - reference_log_prob(language_model, resume.prompt(record), titles[column]))
        for record in (0, len(resume.spans) - 1)
        for column in columns
    )


def error_sentence(language_model: LanguageModel, panel: CareerPanel, scored: Timed | None = None) -> str:
    """Say how far a loaded model is from the same model in float32 without quantisation, and how fast.

    Compared are all titles and records. The probability that the two give to a set of titles, any set, is theirs
    after both are normalised over the titles. A model in float32 is not loaded a second time.

    Args:
        language_model: the model as it is used for scoring.
        panel: its outcome space and survey name are used, none of its workers.
        scored: as for `largest_disagreement`.

    Raises:
        As `load_language_model`.
    """
    used, seconds = scored or score_invented_worker(language_model, panel)
    config = getattr(language_model.model.config, "quantization_config", None)
    weights = "" if config is None else f" with {'8bit' if config.load_in_8bit else '4bit'} weights"
    dtype = str(language_model.model.dtype).removeprefix("torch.")
    if (dtype, weights) == ("float32", ""):
        return f"The arithmetic is float32; all titles of a transition took {seconds:.2f} seconds."
    exact, float32_seconds = score_invented_worker(load_language_model(language_model.name), panel)
    difference = np.abs(used - exact)
    variation = np.abs(_normalised(used) - _normalised(exact)).sum(axis=1) / 2
    return (
        f"The arithmetic is {dtype}{weights}: all titles of a transition took {seconds:.2f} seconds, in float32 "
        f"{float32_seconds:.2f}. Log-probabilities differ from those in float32 by {difference.max():.2g} nats at most "
        f"and {difference.mean():.2g} on average, the probability of a set of titles by {variation.max():.2g} at most "
        f"({difference.size:,} log-probabilities of an invented worker)."
    )


def score_invented_worker(language_model: LanguageModel, panel: CareerPanel) -> Timed:
    """Return the scores of all titles for an invented worker; of the panel outcome space and survey name are used."""
    titles = encode_titles(language_model.tokenizer, panel.outcomes)
    trie = build_title_trie(titles)
    resume = encode_resume(language_model.tokenizer, invented_resume(panel))
    # What is done once, at the first call, is not counted: by libraries, and the trial of the scorer.
    all_title_log_probs(language_model, resume, build_title_trie(titles[:2]))
    start = time.perf_counter()
    found = all_title_log_probs(language_model, resume, trie)
    return found, (time.perf_counter() - start) / len(found)


def _normalised(log_probs: np.ndarray) -> np.ndarray:
    return np.exp(log_probs - np.logaddexp.reduce(log_probs, axis=1)[:, None])
