"""The reference scorer, slow and plain: one forward pass for every prompt and title.

It defines what the fast scorers must give, to 1e-4 nats in float32. How far the fast scorer is from it, and coarser
arithmetic from float32, is measured on an invented worker.
"""

from __future__ import annotations

import time

import numpy as np
import torch

from labor_llm.careers.panel import CareerPanel
from labor_llm.models.loading import LanguageModel, load_language_model
from labor_llm.scoring.all_titles import all_title_log_probs
from labor_llm.scoring.passes import realised_log_probs
from labor_llm.scoring.title_trie import build_title_trie
from labor_llm.text.templates import Resume, continuation, invented_resume
from labor_llm.text.tokenization import encode_resume, encode_titles

_TITLES_CHECKED = 8


def reference_log_prob(language_model: LanguageModel, prompt: str, title: str) -> float:
    """Return the log-probability (nats) that `title` and its end of line follow `prompt`."""
    return text_log_prob(language_model, prompt, continuation(title))


@torch.inference_mode()
def text_log_prob(language_model: LanguageModel, prompt: str, following: str) -> float:
    """Return the log-probability (nats) that a text, such as the continuation of a title, follows `prompt`.

    ids       [<A] [ worker] ... [1984] [ (college] [):] [ C]  [ooks] [\\n]
    logits at                                       [):] [ C]  [ooks]          predict the next token
    targets                                              [ C]  [ooks] [\\n]
    """
    text = prompt + following
    encoded = encode_resume(language_model.tokenizer, Resume("", text, ((len(prompt), len(text)),)))
    ids = torch.as_tensor(encoded.ids, device=language_model.device)[None]
    start, end = encoded.spans[0]
    logits = language_model.model(input_ids=ids, use_cache=False).logits[0]
    log_probs = torch.log_softmax(logits[start - 1 : end - 1].float(), dim=-1)
    targets = ids[0, start:end, None]
    return float(log_probs.gather(1, targets).double().sum())


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
    # What libraries do once, at their first call, is not counted.
    realised_log_probs(language_model, resume)
    start = time.perf_counter()
    found = all_title_log_probs(language_model, resume, trie)
    return found, (time.perf_counter() - start) / len(found)


def _normalised(log_probs: np.ndarray) -> np.ndarray:
    return np.exp(log_probs - np.logaddexp.reduce(log_probs, axis=1)[:, None])
