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
    """Titles after a short and a long prompt, and what the reference scorer gives: what a fast one must give too.

    Attributes:
        career: a text with two records; the first title occurred in both if realised titles are to be compared.
        titles: token ids.
        expected: log-probabilities, nats, float64 [2, titles]; NaN where the reference scorer was spared.
        tolerance: how far from them a fast scorer may be, nats.
    """

    career: EncodedResume
    titles: tuple[tuple[int, ...], ...]
    expected: np.ndarray
    tolerance: float

    @classmethod
    def of(
        cls, language_model: LanguageModel, career: EncodedResume, titles: Sequence[tuple[int, ...]]
    ) -> Trial:
        """Try the longest title after the first and the last prompt, and the nearest other one after the first."""
        model, longest = language_model.model, max(titles, key=len)
        others = [title for title in titles if title != longest]
        others.sort(
            key=lambda title: next(n for n in range(len(title) + 1) if title[: n + 1] != longest[: n + 1])
        )
        chosen = (longest, *others[-1:], *others[:1][: len(others) - 1])
        career = EncodedResume(career.worker_id, career.ids, (career.spans[0], career.spans[-1]))
        expected = np.full((2, len(chosen)), np.nan)
        for record, column in ((0, 0), (1, 0), *([(0, 1)] if others else [])):
            start = career.spans[record][0]
            ids = np.concatenate([career.ids[:start], chosen[column]])
            expected[record, column] = plain_log_prob(language_model, ids, start)
            if np.isnan(expected[record, column]):
                raise NumericalError(
                    f"{language_model.name}: after {start:,} tokens the probability of a title is not a number. Use "
                    "float32 without quantisation, or another model."
                )
        exact = model.dtype in (torch.float32, torch.float64) and not getattr(model, "is_quantized", False)
        coarse = _COARSE_TOLERANCE * len(longest) ** 0.5  # errors of tokens add up as independent ones
        return cls(career, chosen, expected, _TOLERANCE if exact else coarse)

    def difference(self, found: np.ndarray) -> float:
        """Return the largest difference from log-probabilities [2, titles], or [2] of the first title; nats."""
        expected = self.expected if found.ndim == 2 else self.expected[:, 0]
        difference = np.nan_to_num(np.abs(found - expected), nan=np.inf)
        return float(np.where(np.isnan(expected), 0.0, difference).max())

    def check(self, name: str, what: str, found: np.ndarray) -> None:
        """Refuse a fast scorer whose log-probabilities, as in `difference`, are not those of the reference scorer.

        Raises:
            MismatchError: naming the model, what differs and by how much.
        """
        if (difference := self.difference(found)) > self.tolerance:
            raise MismatchError(
                f"{name}: the log-probability of {what} {self.said(difference)}. The model does not read each part of "
                "a text as it reads it alone, or its arithmetic is too coarse: use another model, or float32 without "
                "quantisation."
            )

    def said(self, difference: float) -> str:
        """Return the words for a difference."""
        short, long = (start for start, _ in self.career.spans)
        return (
            f"after {short:,} or {long:,} tokens differs by {difference:.2g} nats from that of a plain pass over "
            f"prompt and title, where {self.tolerance:.2g} is allowed"
        )
