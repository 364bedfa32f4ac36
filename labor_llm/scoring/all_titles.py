"""Log-probability of every title as the next job, for every record of a career, exactly.

The career is read once; its keys and values serve all records. The tree of titles hangs on each
record's prompt: its inner nodes are run once, each seeing the prompt and its own ancestors only.
Several records are run together, as many as the stated number of positions allows.
"""

from __future__ import annotations

import numpy as np
import torch
from transformers import DynamicCache

from labor_llm.language_models import LanguageModel
from labor_llm.scoring.title_trie import TitleTrie
from labor_llm.tokenization import EncodedResume

# Positions run at once. The logits of so many positions over the vocabulary are the peak of memory:
# 1,500 x 49,152 x 4 bytes = 0.3 GB for SmolLM2, and as much again while they are normalised.
POSITIONS = 1500


@torch.inference_mode()
def all_title_log_probs(
    language_model: LanguageModel, resume: EncodedResume, trie: TitleTrie, positions: int = POSITIONS
) -> np.ndarray:
    """Return the log-probability of every title for every record, float64 [records, titles], nats."""
    starts = torch.tensor([start for start, _ in resume.spans], device=language_model.device)
    cache, at_prompts = _read_career(language_model, resume, starts)
    at_once = max(1, positions // max(1, len(trie)))
    parts = [
        _score_records(language_model, cache, at_prompts[rows], starts[rows], trie)
        for rows in torch.arange(len(starts)).split(at_once)
    ]
    return np.concatenate(parts)


def _read_career(
    language_model: LanguageModel, resume: EncodedResume, starts: torch.Tensor
) -> tuple[DynamicCache, torch.Tensor]:
    """Return keys and values of the whole career and the logits at the end of each prompt [records, vocabulary]."""
    ids = torch.as_tensor(resume.ids, device=language_model.device)[None, : int(starts[-1])]
    output = language_model.model(input_ids=ids, use_cache=True, logits_to_keep=starts - 1)
    return output.past_key_values, output.logits[0].float()


def _score_records(
    language_model: LanguageModel,
    cache: DynamicCache,
    at_prompts: torch.Tensor,
    starts: torch.Tensor,
    trie: TitleTrie,
) -> np.ndarray:
    """Return [records, titles] for some records of a career, given the logits at the end of their prompts."""
    edge_nodes = torch.as_tensor(trie.edge_nodes, device=starts.device)
    edge_tokens = torch.as_tensor(trie.edge_tokens, device=starts.device)
    at_root = edge_nodes == 0
    edges = torch.empty(len(starts), len(edge_nodes), device=starts.device)
    edges[:, at_root] = _log_probs(at_prompts[:, None], edge_nodes[at_root], edge_tokens[at_root])
    if len(trie):
        at_nodes = _run_nodes(language_model, cache, starts, trie)
        edges[:, ~at_root] = _log_probs(at_nodes, edge_nodes[~at_root] - 1, edge_tokens[~at_root])
    return _sum_edges(edges.double().cpu().numpy(), trie)


def _run_nodes(
    language_model: LanguageModel, cache: DynamicCache, starts: torch.Tensor, trie: TitleTrie
) -> torch.Tensor:
    """Return the logits at every inner node below every prompt [records, nodes, vocabulary]."""
    records, nodes, longest = len(starts), len(trie), int(starts.max())
    tokens = torch.as_tensor(trie.tokens, device=starts.device).expand(records, nodes)
    depths = torch.as_tensor(trie.depths, device=starts.device)
    return language_model.model(
        input_ids=tokens,
        position_ids=starts[:, None] + depths[None] - 1,
        attention_mask=_attention_mask(starts, longest, trie, language_model.model.dtype),
        past_key_values=_shared_prefix(cache, records, longest),
        use_cache=True,
    ).logits


def _shared_prefix(cache: DynamicCache, records: int, length: int) -> DynamicCache:
    """Return the first `length` keys and values of the career, seen by each of the records, without a copy."""
    shared = DynamicCache()
    for number, layer in enumerate(cache.layers):
        keys, values = (
            kept[:, :, :length].expand(records, -1, -1, -1) for kept in (layer.keys, layer.values)
        )
        shared.update(keys, values, number)
    return shared


def _attention_mask(starts: torch.Tensor, longest: int, trie: TitleTrie, dtype: torch.dtype) -> torch.Tensor:
    """Return what is added to attention: 0 where a node sees a position, a very negative number elsewhere.

    [records, 1, nodes, longest + nodes]: a node sees its record's prompt, its ancestors and itself.
    """
    prompt = torch.arange(longest, device=starts.device)[None, None] < starts[:, None, None]
    ancestors = torch.as_tensor(trie.ancestors, device=starts.device)[None].expand(len(starts), -1, -1)
    seen = torch.cat([prompt.expand(-1, len(trie), -1), ancestors], dim=-1)
    return torch.where(seen, 0.0, torch.finfo(dtype).min).to(dtype)[:, None]


def _log_probs(logits: torch.Tensor, nodes: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Return log P(token | node) for the wanted pairs [records, pairs] from logits [records, nodes, vocabulary]."""
    total = torch.stack([row.float().logsumexp(dim=-1) for row in logits])
    return logits[:, nodes, tokens].float() - total[:, nodes]


def _sum_edges(edges: np.ndarray, trie: TitleTrie) -> np.ndarray:
    """Add up each title's edges; the filler of `title_edges` points at a column of zeros."""
    padded = np.concatenate([edges, np.zeros((len(edges), 1))], axis=1)
    return padded[:, trie.title_edges].sum(axis=-1)
