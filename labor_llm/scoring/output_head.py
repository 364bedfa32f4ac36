"""Log-probabilities of wanted next tokens, without the logits of the whole vocabulary at all positions.

    log P(token | h) = h . w_token + b_token - log sum_v exp(h . w_v + b_v)

The sum over the vocabulary is run in blocks that stay in the processor's cache; the wanted logits are
dot products of their own.
"""

from __future__ import annotations

import torch

# Positions and vocabulary of one block of logits: 8 MB in float32, and matrices large enough to be fast.
_ROWS = 1024
COLUMNS = 2048


def token_log_probs(
    head: torch.nn.Linear, hidden: torch.Tensor, rows: torch.Tensor, tokens: torch.Tensor
) -> torch.Tensor:
    """Return log P(token | position) for wanted pairs, float32 [pairs], nats.

    Args:
        head: the output layer.
        hidden: last hidden states [positions, width].
        rows: the position of each pair, int64 [pairs].
        tokens: the token of each pair, int64 [pairs].
    """
    logits = (hidden[rows].float() * head.weight[tokens].float()).sum(dim=-1)
    if head.bias is not None:
        logits += head.bias[tokens].float()
    return logits - log_normalisers(head, hidden)[rows]


def log_normalisers(head: torch.nn.Linear, hidden: torch.Tensor) -> torch.Tensor:
    """Return the logarithm of the sum of the exponentials of all logits at each position, float32 [positions]."""
    if not len(hidden):
        return hidden.new_empty(0, dtype=torch.float32)
    return torch.cat([_log_normalisers(head, part) for part in hidden.split(_ROWS)])


def _log_normalisers(head: torch.nn.Linear, hidden: torch.Tensor) -> torch.Tensor:
    largest = hidden.new_full((len(hidden),), -torch.inf, dtype=torch.float32)
    total = torch.zeros_like(largest)
    for start in range(0, head.out_features, COLUMNS):
        end = start + COLUMNS
        bias = None if head.bias is None else head.bias[start:end]
        block = torch.nn.functional.linear(hidden, head.weight[start:end], bias).float()
        before, largest = largest, torch.maximum(largest, block.amax(dim=-1))
        # In place: torch.logsumexp makes a copy, and took twelve times as long on a CPU.
        total = total * (before - largest).exp() + block.sub_(largest[:, None]).exp_().sum(dim=-1)
    return total.log() + largest
