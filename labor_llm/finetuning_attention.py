"""Causal attention within each of several careers that follow each other without padding.

On a GPU in half precision it is PyTorch's variable-length flash attention. Elsewhere matrix products, career by career
and in blocks of rows that look no further than they may: on a CPU they take about half the time of the fused kernel,
whose backward pass is slow there, and no memory that grows with the square of a career's length outlives a block.
"""

from __future__ import annotations

import itertools
from typing import Any

import torch
from transformers import AttentionInterface

from labor_llm.errors import MismatchError

PACKED_ATTENTION = "labor_llm_packed"
_ROWS = 256


def packed_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    cu_seq_lens_q: torch.Tensor | None = None,
    max_length_q: int = 0,
    sliding_window: int | None = None,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """Attend within careers; an attention function as transformers calls it.

    Args:
        module: the attention layer, not used.
        query: [1, heads, tokens, width].
        key: [1, key heads, tokens, width]; consecutive query heads share a key head.
        value: as `key`, in the precision of the computation.
        attention_mask: must be None.
        scaling: factor on the products of query and key; one over the root of the width if None.
        dropout: must be zero.
        cu_seq_lens_q: where careers begin and end, int32 [careers + 1].
        max_length_q: tokens of the longest career.
        sliding_window: the furthest that a token looks back, if the model limits it.
        **others: what else transformers hands over.

    Returns:
        [1, tokens, heads, width], and None for the weights.

    Raises:
        MismatchError: if the model's attention is of another kind than causal softmax attention.
    """
    special = (
        attention_mask is not None
        or dropout > 0
        or (sliding_window is not None and sliding_window < max_length_q)
        or any(others.get(name) is not None for name in ("softcap", "s_aux", "position_bias"))
    )
    if special or cu_seq_lens_q is None:
        raise MismatchError(
            "Fine-tuning: the model's attention is not plain causal attention, so careers cannot be packed. "
            "Set layout to 'padded'."
        )
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    # Rotations leave queries and keys in the precision of the positions' sines.
    q, k, v = (states[0].to(value.dtype) for states in (query, key, value))
    if value.is_cuda and value.dtype in (torch.bfloat16, torch.float16):
        from torch.nn.attention.varlen import varlen_attn

        attended = varlen_attn(
            *(states.transpose(0, 1).contiguous() for states in (q, k, v)),
            cu_seq_lens_q, cu_seq_lens_q, max_length_q, max_length_q,
            scale=scale, window_size=(-1, 0), enable_gqa=q.shape[0] != k.shape[0],
        )  # fmt: skip
        return attended[None], None
    return _CareerAttention.apply(q, k, v, cu_seq_lens_q.tolist(), scale).transpose(0, 1)[None], None


AttentionInterface.register(PACKED_ATTENTION, packed_attention)


class _CareerAttention(torch.autograd.Function):
    """Attention [heads, tokens, width] by matrix products; the weights are computed again for the gradient."""

    @staticmethod
    def forward(
        ctx: Any, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, ends: list[int], scale: float
    ) -> torch.Tensor:
        # Tokens before heads in memory, as the layers on either side hold them.
        out = q.new_empty(q.shape[1], q.shape[0], v.shape[2]).transpose(0, 1)
        for rows, keys in _blocks(ends):
            weights = _weights(q[:, rows], k[:, keys], scale)
            out[:, rows] = torch.bmm(weights, v[:, keys]).view(q.shape[0], -1, v.shape[2])
        ctx.save_for_backward(q, k, v, out)
        ctx.ends, ctx.scale = ends, scale
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        q, k, v, out = ctx.saved_tensors
        (g,) = gradients
        # Rows of one career add up in float32.
        dq, dk, dv = torch.empty_like(q), *(torch.zeros_like(x, dtype=torch.float32) for x in (k, v))
        for rows, keys in _blocks(ctx.ends):
            weights = _weights(q[:, rows], k[:, keys], ctx.scale)
            rows_g, rows_q = _grouped(g[:, rows], len(k)), _grouped(q[:, rows], len(k))
            dv[:, keys] += torch.bmm(weights.transpose(1, 2), rows_g)
            expected = (rows_g.float() * _grouped(out[:, rows], len(k)).float()).sum(-1, keepdim=True)
            d_scores = torch.bmm(rows_g, v[:, keys].transpose(1, 2))
            d_scores.sub_(expected).mul_(weights)
            dq[:, rows] = torch.bmm(d_scores, k[:, keys]).view(q.shape[0], -1, q.shape[2])
            dk[:, keys] += torch.bmm(d_scores.transpose(1, 2), rows_q)
        return dq.mul_(ctx.scale), dk.mul_(ctx.scale).to(k.dtype), dv.to(v.dtype), None, None


def _blocks(ends: list[int]) -> list[tuple[slice, slice]]:
    """Return the blocks of rows of every career, and what the last row of each may see."""
    return [
        (slice(row, min(row + _ROWS, end)), slice(start, min(row + _ROWS, end)))
        for start, end in itertools.pairwise(ends)
        for row in range(start, end, _ROWS)
    ]


def _grouped(states: torch.Tensor, key_heads: int) -> torch.Tensor:
    """Return [heads, rows, width] as [key heads, heads that share the key x rows, width]."""
    return states.reshape(key_heads, -1, states.shape[-1])


def _weights(q: torch.Tensor, k: torch.Tensor, scale: float) -> torch.Tensor:
    """Return the weights of the last rows of a career on its tokens, [key heads, shared x rows, tokens]."""
    scores = torch.bmm(_grouped(q, len(k)), k.transpose(1, 2)).mul_(scale)
    rows, tokens = q.shape[1], k.shape[1]
    later = torch.ones(rows, rows, dtype=torch.bool, device=q.device).triu_(1)
    scores.view(-1, rows, tokens)[:, :, tokens - rows :].masked_fill_(later, float("-inf"))
    return torch.softmax(scores, -1)
