"""The loss of a fine-tuning, and the attention of careers that follow each other without padding.

Attention is causal, within each career. On a GPU in half precision it is PyTorch's variable-length flash attention.
Elsewhere it is matrix products, career by career and in blocks of rows that look no further than they may: on a CPU
they take about half the time of the fused kernel, whose backward pass is slow there, and no memory that grows with the
square of a career's length outlives a block.

The loss is the cross-entropy of the tokens that count, without the logits of all of them at once.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers import AttentionInterface, PreTrainedModel

from labor_llm.errors import MismatchError
from labor_llm.finetuning.batches import IGNORED, TrainingCareer, packed, padded
from labor_llm.models.loading import causal_model

PACKED_ATTENTION = "labor_llm_packed"
_ROWS = 256  # of a block of attention
_LOGIT_BYTES = 2**28
_LOGIT_ROWS = 64  # on a CPU, few enough to stay in its cache
_AGREEMENT = 1e-4  # of float32 sums, which agree to 1e-6
# Quantised weights in bfloat16 agree to 1e-3; capped or scaled logits are off by far more.
_ROUNDED_AGREEMENT = 1e-2
# 8-bit products round by what else is in the row; another career changes the states far more.
_INT8_STATES = 0.1
_OPENING = 4  # tokens at the beginning of a career: a short convolution looks no further back


def packed_attention(
    module: torch.nn.Module,  # not used
    query: torch.Tensor,  # [1, heads, tokens, width]
    key: torch.Tensor,  # [1, key heads, tokens, width]; consecutive query heads share a key head
    value: torch.Tensor,  # as `key`, in the precision of the computation
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,  # of the products of query and key; one over the root of the width if None
    dropout: float = 0.0,
    cu_seq_lens_q: torch.Tensor | None = None,  # where careers begin and end, int32 [careers + 1]
    max_length_q: int = 0,  # tokens of the longest career
    sliding_window: int | None = None,  # the furthest that a token looks back
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """Attend within careers; an attention function as transformers calls it.

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
        raise _unpackable("the model's attention is not plain causal attention, so careers cannot be packed.")
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    # Rotations leave queries and keys in the precision of the positions' sines.
    q, k, v = (states[0].to(value.dtype) for states in (query, key, value))
    if value.is_cuda and value.dtype in (torch.bfloat16, torch.float16):
        return _flash_attention(q, k, v, cu_seq_lens_q, max_length_q, scale)[None], None
    return _CareerAttention.apply(q, k, v, cu_seq_lens_q.tolist(), scale).transpose(0, 1)[None], None


AttentionInterface.register(PACKED_ATTENTION, packed_attention)


def _flash_attention(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, ends: torch.Tensor, longest: int, scale: float
) -> torch.Tensor:
    """Return PyTorch's attention over packed careers, [tokens, heads, width]."""
    from torch.nn.attention.varlen import varlen_attn

    shared = {}
    if len(q) != len(k):
        if "enable_gqa" in inspect.signature(varlen_attn).parameters:
            shared = {"enable_gqa": True}
        else:  # before PyTorch 2.13
            k, v = (states.repeat_interleave(len(q) // len(k), dim=0) for states in (k, v))
    states = (each.transpose(0, 1).contiguous() for each in (q, k, v))
    return varlen_attn(*states, ends, ends, longest, longest, scale=scale, window_size=(-1, 0), **shared)  # type: ignore[no-any-return]


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


class NextTokenLoss(nn.Module):
    """The summed loss of a language model, with or without an adapter, on careers, packed or padded."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, targets: torch.Tensor, **careers: Any) -> torch.Tensor:
        """Return the loss in nats, summed over the tokens that count.

        Args:
            input_ids: int64 [rows, tokens].
            targets: what is to be predicted after each token, or `IGNORED`; int64 [rows, tokens].
            **careers: where packed careers begin and end (`labor_llm.finetuning.batches.packed`); without it careers
                stand in rows of their own and the model's own attention and logits are used.
        """
        if not careers:
            logits = self.model(input_ids=input_ids, use_cache=False).logits
            return functional.cross_entropy(
                logits.float().flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="sum"
            )
        model = causal_model(self.model)
        hidden = model.base_model(input_ids=input_ids, use_cache=False, **careers).last_hidden_state
        counted = targets != IGNORED
        return linear_cross_entropy(hidden[counted], model.get_output_embeddings().weight, targets[counted])


@torch.no_grad()
def pack_careers(model: nn.Module, career: TrainingCareer) -> None:
    """Let a model attend within packed careers, after checking on two that their loss stays what it was.

    Args:
        model: the language model, with or without an adapter; its attention is exchanged.
        career: any career; the other one has its tokens backwards.

    Raises:
        MismatchError: if the model cannot do with another attention, its logits are capped, scaled or shifted, or
            it has layers that look beyond a career.
    """
    causal = causal_model(model)
    if getattr(causal.get_output_embeddings(), "bias", None) is not None:
        raise _unpackable("the model's output layer has a bias, which packed careers leave out.")
    device, loss, training = causal.device, NextTokenLoss(model), model.training
    dtypes = {weight.dtype for weight in model.parameters()}
    agreement = _AGREEMENT if dtypes == {torch.float32} else _ROUNDED_AGREEMENT
    # All tokens count here, whatever the run learns.
    one, other = map(TrainingCareer.whole, (career.ids, career.ids.flip(0)))
    model.eval()
    own = loss(**padded([other], device)) + loss(**padded([one], device))
    try:
        causal.set_attn_implementation(PACKED_ATTENTION)
        together = loss(**packed([other, one], device))
        # Rows of the same length, so that without a leak what rounding does is the same too.
        behind_other, behind_itself = (
            _states(causal, [first, one])[:, len(one.ids) :][:, :_OPENING].float() for first in (other, one)
        )
    except (ValueError, KeyError) as error:
        raise _unpackable(str(error)) from error
    finally:
        model.train(training)
    # A loss that is not finite is no matter of the layout; the first step names it.
    if not own.isfinite():
        return
    difference = (behind_other - behind_itself).norm() / behind_itself.norm()
    if difference > (_INT8_STATES if torch.int8 in dtypes else agreement):
        raise _unpackable(
            "the model has layers, such as state spaces or convolutions, that carry one packed career into the next."
        )
    if not torch.isclose(own, together, rtol=agreement, atol=agreement):
        raise _unpackable(
            "with packed careers the model's loss is not its own, as it does more after its last layer than one "
            "matrix product, or looks beyond a career."
        )


def _unpackable(why: str) -> MismatchError:
    return MismatchError(f"Fine-tuning: {why} Set layout to 'padded'.")


def _states(model: PreTrainedModel, careers: Sequence[TrainingCareer]) -> torch.Tensor:
    """Return what the last layer gives for packed careers, [1, tokens, width]."""
    batch = packed(careers, model.device)
    del batch["targets"]
    return model.base_model(use_cache=False, **batch).last_hidden_state


def linear_cross_entropy(hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return the cross-entropy of `hidden @ weight.T`, summed over tokens (nats), without holding all its logits.

    Under autocast the products are computed in its precision; the softmax is float32 either way.

    Args:
        hidden: [tokens, width].
        weight: of the output layer, [vocabulary, width].
        targets: int64 [tokens].
    """
    if not torch.is_grad_enabled():
        # The function below would take the gradient of a weight all the same, twice the work of the loss.
        hidden, weight = hidden.detach(), weight.detach()
    device = hidden.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden.dtype
    return _LinearCrossEntropy.apply(hidden, weight, targets, dtype)


class _LinearCrossEntropy(torch.autograd.Function):
    """The gradient is taken in the forward pass, while the logits of some tokens are there.

    They are turned into their own gradient in place: rows by rows, few enough to stay in the cache.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor, dtype: torch.dtype
    ) -> torch.Tensor:
        ctx.needs = ctx.needs_input_grad[:2]
        x, w = hidden.to(dtype), weight.to(dtype)
        d_hidden = torch.empty_like(hidden) if ctx.needs[0] else None
        d_weight = torch.zeros_like(weight, dtype=torch.float32) if ctx.needs[1] else None
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        size = max(1, min(len(x), _LOGIT_BYTES // (len(w) * w.element_size())))
        buffer = x.new_empty(size, len(w))
        for start in range(0, len(x), size):
            part = slice(start, min(start + size, len(x)))
            logits = torch.mm(x[part], w.T, out=buffer[: part.stop - start])
            total += _losses_and_gradients(logits, targets[part], any(ctx.needs))
            if d_hidden is not None:
                d_hidden[part] = logits @ w
            if d_weight is not None:
                d_weight += logits.T @ x[part]
        ctx.save_for_backward(d_hidden, d_weight)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        d_hidden, d_weight = ctx.saved_tensors
        (g,) = gradients
        by_hidden = None if d_hidden is None else d_hidden * g
        return by_hidden, None if d_weight is None else d_weight.mul_(g), None, None


def _losses_and_gradients(logits: torch.Tensor, targets: torch.Tensor, gradient: bool) -> torch.Tensor:
    """Return the summed loss of logits [tokens, vocabulary], which become its gradient if that is asked for."""
    total = torch.zeros((), dtype=torch.float32, device=logits.device)
    rows = _LOGIT_ROWS if logits.device.type == "cpu" else len(logits)
    for start in range(0, len(logits), rows):
        some, wanted = logits[start : start + rows], targets[start : start + rows, None]
        largest, realised = some.amax(-1), some.gather(1, wanted)
        probabilities = torch.softmax(some, -1, dtype=torch.float32)
        # The largest has the probability one over the sum of exponentials, so one pass gives that sum too.
        log_sum = largest.float() - probabilities.amax(-1).log_()
        total += log_sum.sum() - realised.float().sum()
        if gradient:
            some.copy_(probabilities.scatter_add_(1, wanted, probabilities.new_full(wanted.shape, -1.0)))
    return total
