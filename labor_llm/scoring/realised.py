"""Log-probability of the titles that occurred: one forward pass over a whole career.

The prompts of a worker's records are prefixes of one text, and a causal model's output at a token
depends on what precedes it alone, so a single pass gives what one pass a record would give.
"""

from __future__ import annotations

import numpy as np
import torch

from labor_llm.language_models import LanguageModel
from labor_llm.tokenization import EncodedResume


@torch.inference_mode()
def realised_log_probs(language_model: LanguageModel, resume: EncodedResume) -> np.ndarray:
    """Return the log-probability of each record's realised title, float64 [records], nats."""
    last = resume.spans[-1][1]  # what follows the last title, and its own last token, need no pass
    ids = torch.as_tensor(resume.ids[:last], device=language_model.device)
    title_tokens = torch.cat([torch.arange(start, end) for start, end in resume.spans]).to(ids.device)
    # Logits are taken only where the next token belongs to a title: the vocabulary is most of the cost.
    output = language_model.model(input_ids=ids[None, :-1], use_cache=False, logits_to_keep=title_tokens - 1)
    logits = output.logits[0].float()
    per_token = logits.gather(1, ids[title_tokens, None])[:, 0] - logits.logsumexp(dim=-1)
    lengths = [end - start for start, end in resume.spans]
    return np.add.reduceat(per_token.double().cpu().numpy(), np.concatenate([[0], np.cumsum(lengths)[:-1]]))
