"""The reference scorer, slow and plain: one forward pass for every prompt and title.

It defines what the fast scorers must give, to 1e-4 nats in float32. Each of them is tried on a few titles before its
scores are used (`Trial`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from labor_llm.errors import MismatchError, NumericalError
from labor_llm.models.loading import LanguageModel
from labor_llm.text.templates import Resume, continuation
from labor_llm.text.tokenization import EncodedResume, encode_resume

# Two ways to the same log-probability, nats: of a title by float32 rounding; of a token by that of coarser numbers, in
# which a title of nine tokens was off by 0.5 (bfloat16) and 1.0 (8 bits) where the two ways are right.
_TOLERANCE = 1e-3
_COARSE_TOLERANCE = 1.0


def reference_log_prob(language_model: LanguageModel, prompt: str, title: str) -> float:
    """Return the log-probability (nats) that `title` and its end of line follow `prompt`."""
    return text_log_prob(language_model, prompt, continuation(title))


def text_log_prob(language_model: LanguageModel, prompt: str, following: str) -> float:
    """Return the log-probability (nats) that a text, such as the continuation of a title, follows `prompt`."""
    text = prompt + following
    encoded = encode_resume(language_model.tokenizer, Resume("", text, ((len(prompt), len(text)),)))
    start, end = encoded.spans[0]
    return plain_log_prob(language_model, encoded.ids[:end], start)


@torch.inference_mode()
def plain_log_prob(language_model: LanguageModel, ids: np.ndarray, start: int) -> float:
    """Return the log-probability (nats) of the tokens from `start` on, after those before them.

    ids       [<A] [ worker] ... [1984] [ (college] [):] [ C]  [ooks] [\\n]
    logits at                                       [):] [ C]  [ooks]          predict the next token
    targets                                              [ C]  [ooks] [\\n]
    """
    tokens = torch.as_tensor(ids, device=language_model.device)[None]
    logits = language_model.model(input_ids=tokens, use_cache=False).logits[0]
    log_probs = torch.log_softmax(logits[start - 1 : -1].float(), dim=-1)
    return float(log_probs.gather(1, tokens[0, start:, None]).double().sum())


@dataclass(frozen=True)
class Trial:
    """Titles after the first and the last prompt of a career: what plain passes give, and a fast scorer must too.

    Attributes:
        name: of the model.
        career: of two records, or one; it ends with the last title.
        expected: log-probabilities of the records' titles, nats, float64 [records].
        tolerance: how far from them a fast scorer may be, nats.
    """

    name: str
    career: EncodedResume
    expected: np.ndarray
    tolerance: float

    @classmethod
    def of(cls, language_model: LanguageModel, resume: EncodedResume, title: tuple[int, ...]) -> Trial:
        """Try the first title of a career, and a title in place of the last one.

        Raises:
            NumericalError: if a plain pass gives no number.
        """
        model, start = language_model.model, resume.spans[-1][0]
        ids = np.concatenate([resume.ids[:start], title])
        spans = (*resume.spans[:-1][:1], (start, len(ids)))
        expected = np.array([plain_log_prob(language_model, ids[:end], start) for start, end in spans])
        if np.isnan(expected).any():
            raise NumericalError(
                f"{language_model.name}: after {start:,} tokens or fewer the probability of a title is not a number. "
                "Use float32 without quantisation, or another model."
            )
        exact = model.dtype in (torch.float32, torch.float64) and not getattr(model, "is_quantized", False)
        coarse = _COARSE_TOLERANCE * len(title) ** 0.5  # errors of tokens add up as independent ones
        career = EncodedResume(resume.worker_id, ids, spans)
        return cls(language_model.name, career, expected, _TOLERANCE if exact else coarse)

    @property
    def titles(self) -> list[tuple[int, ...]]:
        """Token ids of the records' titles."""
        return [self.career.continuation_ids(record) for record in range(len(self.expected))]

    def among(self, log_probs: np.ndarray, titles: Sequence[tuple[int, ...]]) -> np.ndarray:
        """Return the log-probabilities of the records' titles [records] from those of all [records, titles]."""
        return log_probs[range(len(self.expected)), [titles.index(title) for title in self.titles]]

    def difference(self, found: np.ndarray) -> str:
        """Say how far log-probabilities [records] are from the expected ones; nothing if that is allowed."""
        largest = np.nan_to_num(np.abs(found - self.expected), nan=np.inf).max()
        if largest <= self.tolerance:
            return ""
        lengths = " or ".join(f"{start:,}" for start, _ in self.career.spans)
        return (
            f"after {lengths} tokens differs by {largest:.2g} nats from that of a plain pass over prompt and title, "
            f"where {self.tolerance:.2g} is allowed"
        )

    def check(self, what: str, found: np.ndarray) -> None:
        """Refuse a fast scorer whose log-probabilities [records] are not those of the reference scorer.

        Raises:
            MismatchError: naming the model, what differs and by how much.
        """
        if said := self.difference(found):
            raise MismatchError(
                f"{self.name}: the log-probability of {what} {said}. The model does not read each part of a text as it "
                "reads it alone, or its arithmetic is too coarse: use another model, or float32 without quantisation."
            )
