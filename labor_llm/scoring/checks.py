"""How far scores are off, on an invented worker: by coarser arithmetic or weights, and by the fast scorer's own way."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from labor_llm.careers.panel import CareerPanel
from labor_llm.models.loading import LanguageModel, load_language_model
from labor_llm.scoring.all_titles import all_title_log_probs
from labor_llm.scoring.realised import realised_log_probs
from labor_llm.scoring.reference import reference_log_prob
from labor_llm.scoring.title_trie import build_title_trie
from labor_llm.text.templates import invented_resume
from labor_llm.text.tokenization import encode_resume, encode_titles

_TITLES_CHECKED = 8


@dataclass(frozen=True)
class MeasuredError:
    """A model beside itself in float32: error and speed, over all titles and records of an invented worker.

    Attributes:
        dtype: the arithmetic, such as 'bfloat16'.
        quantization: 'none', '8bit' or '4bit'.
        largest: largest absolute difference of a title's log-probability, nats.
        mean: mean absolute difference, nats.
        total_variation: largest difference of the probability that the two give to any set of titles, among the
            records, after both are normalised over the titles.
        compared: number of log-probabilities compared.
        seconds: wall time a transition, all its titles.
        float32_seconds: the same in float32.
    """

    dtype: str
    quantization: str
    largest: float
    mean: float
    total_variation: float
    compared: int
    seconds: float
    float32_seconds: float

    def sentence(self) -> str:
        """Return what a reader should know of it."""
        if (self.dtype, self.quantization) == ("float32", "none"):
            return f"The arithmetic is float32; all titles of a transition took {self.seconds:.2f} seconds."
        weights = "" if self.quantization == "none" else f" with {self.quantization} weights"
        return (
            f"The arithmetic is {self.dtype}{weights}: all titles of a transition took {self.seconds:.2f} seconds, in "
            f"float32 {self.float32_seconds:.2f}. Log-probabilities differ from those in float32 by "
            f"{self.largest:.2g} nats at most and {self.mean:.2g} on average, the probability of a set of titles by "
            f"{self.total_variation:.2g} at most ({self.compared:,} log-probabilities of an invented worker)."
        )


def measured_error(language_model: LanguageModel, panel: CareerPanel) -> MeasuredError:
    """Return how far a loaded model is from the same model in float32 without quantisation.

    A model that is in float32 already is not loaded a second time: its error is zero.

    Args:
        language_model: the model as it is used for scoring.
        panel: its outcome space and survey name are used, none of its workers.

    Raises:
        As `load_language_model`.
    """
    used, seconds = _log_probs(language_model, panel)
    config = getattr(language_model.model.config, "quantization_config", None)
    quantization = "none" if config is None else "8bit" if config.load_in_8bit else "4bit"
    dtype = str(language_model.model.dtype).removeprefix("torch.")
    if (dtype, quantization) == ("float32", "none"):
        exact, float32_seconds = used, seconds
    else:
        exact, float32_seconds = _log_probs(load_language_model(language_model.name), panel)
    difference = np.abs(used - exact)
    variation = np.abs(_normalised(used) - _normalised(exact)).sum(axis=1) / 2
    return MeasuredError(
        dtype, quantization, float(difference.max()), float(difference.mean()), float(variation.max()),
        difference.size, seconds, float32_seconds,
    )  # fmt: skip


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
