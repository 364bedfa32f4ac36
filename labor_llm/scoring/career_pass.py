"""One forward pass over a career: what the tree of titles needs to hang on every record's prompt."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
from transformers import DynamicCache, PreTrainedModel

from labor_llm.language_models import LanguageModel
from labor_llm.scoring.title_trie import TitleTrie
from labor_llm.tokenization import EncodedResume

# Two ways to the same log-probability of a token, nats: float32 rounding, and that of coarser numbers.
_TOLERANCE = 1e-3
_COARSE_TOLERANCE = 1.0


@dataclass(frozen=True)
class CareerPass:
    """What one pass over a career gives.

    Attributes:
        model: the transformer with its head, out of any adapter's wrapper.
        starts: length of each record's prompt, ascending.
        keys: per layer the keys of the career [key heads, tokens, width].
        values: per layer the values, likewise.
        root: log-probability of the edges at the root, float64 [records, edges at the root].
        head: the output layer if the logits are its output and no more, else None.
        checked: edges below the root that spell the last record's realised title, as far as the tree goes.
        expected: their log-probabilities by this pass, float64 [checked].
    """

    model: PreTrainedModel
    starts: list[int]
    keys: list[torch.Tensor]
    values: list[torch.Tensor]
    root: np.ndarray
    head: torch.nn.Linear | None
    checked: list[int]
    expected: np.ndarray

    def only(self, rows: np.ndarray) -> CareerPass:
        """Return the same for some of the records, ascending."""
        last = len(rows) > 0 and rows[-1] == len(self.starts) - 1
        return dataclasses.replace(
            self,
            starts=[self.starts[row] for row in rows],
            root=self.root[rows],
            checked=self.checked if last else [],
            expected=self.expected if last else self.expected[:0],
        )

    def agrees(self, edges: np.ndarray) -> bool:
        """Tell whether another way to the last record's edges [edges] gives what this pass gave.

        Edges that are not known (NaN) are left out.
        """
        exact = self.model.dtype == torch.float32 and not getattr(self.model, "is_quantized", False)
        tolerance = _TOLERANCE if exact else _COARSE_TOLERANCE
        return not np.any(np.abs(edges[self.checked] - self.expected) > tolerance)


def read_career(language_model: LanguageModel, resume: EncodedResume, trie: TitleTrie) -> CareerPass:
    """Run the model over a career up to the last token of its last title.

    Args:
        language_model: the model.
        resume: a career of at least one record.
        trie: the tree of titles.
    """
    model = bare_model(language_model)
    starts = [start for start, _ in resume.spans]
    checked = trie.path_edges(resume.continuation_ids(len(starts) - 1))[1:]
    # Logits where a title begins, and along the last title.
    rows = [start - 1 for start in starts] + [starts[-1] + number for number in range(len(checked))]
    ids = torch.as_tensor(resume.ids[: rows[-1] + 1], device=language_model.device)
    output = model(
        input_ids=ids[None],
        use_cache=True,
        # Every layer keeps the whole career, also one that looks back a few hundred tokens only.
        past_key_values=DynamicCache(),
        logits_to_keep=torch.tensor(rows, device=ids.device),
        output_hidden_states=True,
    )
    log_probs = torch.log_softmax(output.logits[0].float(), dim=-1)
    at_root = torch.as_tensor(trie.edge_tokens[trie.edge_nodes == 0], device=ids.device)
    steps = torch.as_tensor(trie.edge_tokens[checked], device=ids.device)
    return CareerPass(
        model=model,
        starts=starts,
        keys=[layer.keys[0] for layer in output.past_key_values.layers],
        values=[layer.values[0] for layer in output.past_key_values.layers],
        root=log_probs[: len(starts), at_root].double().cpu().numpy(),
        head=_plain_head(model, output.hidden_states[-1][0, rows[:1]], output.logits[0, :1]),
        checked=checked,
        expected=log_probs[len(starts) :].gather(1, steps[:, None])[:, 0].double().cpu().numpy(),
    )


def bare_model(language_model: LanguageModel) -> PreTrainedModel:
    """Return the transformer itself: an adapter that was not merged works inside its layers."""
    model = language_model.model
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def _plain_head(model: PreTrainedModel, hidden: torch.Tensor, logits: torch.Tensor) -> torch.nn.Linear | None:
    """Return the output layer if it alone leads from the last hidden states [1, width] to the logits."""
    head = model.get_output_embeddings()
    # Not a subclass: the weights of a quantised layer cannot be cut into blocks.
    if type(head) is not torch.nn.Linear or head.weight.device != hidden.device:
        return None
    return head if torch.allclose(head(hidden).float(), logits.float(), rtol=1e-3, atol=1e-3) else None
