"""The reference scorer: one forward pass for every prompt and title, slow and plain.

It defines what the fast scorers must give, to 1e-4 nats in float32.
"""

from __future__ import annotations

import torch

from labor_llm.models.loading import LanguageModel
from labor_llm.text.templates import Resume, continuation
from labor_llm.text.tokenization import encode_resume


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
