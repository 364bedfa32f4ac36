"""Attention of a tree's nodes to a shared prompt and to their own ancestors, inside any transformer.

transformers lets a model's attention be replaced by a registered function, and hands keyword arguments
of the forward call on to it. So the tree travels with the call, nothing of the model is changed but the
name of its attention while the call lasts, and a call without a tree gets the library's own attention.

The keys that a bin of nodes sees stand in one buffer, its own nodes first, so that the buffer of a
shorter prompt is the beginning of that of a longer one:

    keys      [ own nodes | prompt ............ ]
    mask        ancestors   0 (or window)
"""

from __future__ import annotations

import contextlib
import inspect
import threading
from collections.abc import Iterator
from typing import Protocol

import torch
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "labor_llm_tree"
# What a model may pass to its attention without a change of the result in evaluation mode.
_HARMLESS = {
    "cache_position", "cu_seq_lens_q", "cu_seq_lens_k", "dropout", "is_causal", "max_length_q", "max_length_k",
    "output_attentions", "output_hidden_states", "position_ids", "return_dict", "use_cache",
}  # fmt: skip
# The name of a model's attention belongs to the model, not to a call: one call at a time may change it.
_SWITCH = threading.RLock()


class DoesNotFitError(Exception):
    """A model's attention is not the plain one that this module computes; the caller takes another way."""


class Tree(Protocol):
    """Nodes of one forward pass, and what they see."""

    def attend(
        self,
        layer: int,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        scaling: float | None,
        window: int | None,
    ) -> torch.Tensor:
        """Return attention's output [1, nodes, heads, width] from query, key and value [1, heads, nodes, width]."""
        ...


def run_tree(
    model: PreTrainedModel, tokens: torch.Tensor, positions: torch.Tensor, tree: Tree
) -> torch.Tensor:
    """Run a tree's nodes through the body of a causal language model.

    Args:
        model: the model with its head, not wrapped.
        tokens: the nodes' tokens, int64 [nodes].
        positions: their places in the text, int64 [nodes].
        tree: what they see.

    Returns:
        The last hidden states [nodes, width].

    Raises:
        DoesNotFitError: if the model's attention does not go through transformers' interface, or takes part in
            something else than softmax attention to visible keys (soft caps, sinks, biases by distance).
    """
    _check_fits(model)
    counted = _Counted(tree)
    with _tree_attention(model):
        output = model.base_model(
            input_ids=tokens[None],
            position_ids=positions[None],
            # A mask of four dimensions is handed on as it is: none is computed.
            attention_mask=torch.zeros(1, 1, 1, 1, dtype=model.dtype, device=tokens.device),
            use_cache=False,
            tree=counted,
        )
    if counted.calls != model.config.get_text_config().num_hidden_layers:
        raise DoesNotFitError(
            f"{type(model).__name__}: not every layer attends through transformers' interface."
        )
    return output.last_hidden_state[0]


def attend_grouped(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor, scaling: float | None
) -> torch.Tensor:
    """Return softmax attention where several query heads share a key head, without repeating the keys.

    Args:
        query: [bins, heads, rows, width].
        key: [bins, key heads, columns, width].
        value: [bins, key heads, columns, value width].
        mask: what is added to the products, [bins or 1, 1, rows, columns].
        scaling: factor of the products.

    Returns:
        [bins, heads, rows, value width], heads in the order of `query`.
    """
    bins, heads, rows, _ = query.shape
    group = heads // key.shape[1]
    output = query.new_empty(bins, rows, heads, value.shape[-1]).transpose(1, 2)
    for member in range(group):
        # Heads member, member + group, ... are the same member of each group: a view, as the keys are.
        output[:, member::group] = torch.nn.functional.scaled_dot_product_attention(
            query[:, member::group], key, value, attn_mask=mask, scale=scaling
        )
    return output


class PackedTree:
    """Every bin of some of a trie's bins under every prompt of some records of a career."""

    def __init__(
        self, keys: list[torch.Tensor], values: list[torch.Tensor], starts: list[int], depths: torch.Tensor,
        seen: torch.Tensor,
    ) -> None:  # fmt: skip
        """Prepare the pass; nodes are in the order records, bins, slots.

        Args:
            keys: per layer the career's keys [key heads, tokens, width].
            values: per layer the values.
            starts: lengths of the records' prompts, ascending.
            depths: depth of each slot's node, int64 [bins, size].
            seen: which slots of its bin a slot sees, bool [bins, size, size].
        """
        self._keys, self._values, self._starts = keys, values, starts
        self._depths, self._seen = depths, seen
        self._masks: dict[tuple[int, int | None], torch.Tensor] = {}
        self._buffers: tuple[torch.Tensor, torch.Tensor] | None = None

    def attend(
        self,
        layer: int,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        scaling: float | None,
        window: int | None,
    ) -> torch.Tensor:
        """See `Tree.attend`."""
        records, (bins, size) = len(self._starts), self._depths.shape
        heads, width = query.shape[1], value.shape[-1]
        query, key, value = (
            part[0].unflatten(1, (records, bins, size)).permute(1, 2, 0, 3, 4) for part in (query, key, value)
        )
        output = query.new_empty(records, bins, size, heads, width)
        keys, values = self._key_buffers(key, value)
        filled = 0
        for record, start in enumerate(self._starts):
            keys[:, :, :size], values[:, :, :size] = key[record], value[record]
            columns = slice(size + filled, size + start)
            keys[:, :, columns] = self._keys[layer][:, filled:start]
            values[:, :, columns] = self._values[layer][:, filled:start]
            filled, end = start, size + start
            output[record] = attend_grouped(
                query[record],
                keys[:, :, :end],
                values[:, :, :end],
                self._mask(start, window, query.dtype),
                scaling,
            ).transpose(1, 2)
        return output.view(1, records * bins * size, heads, width)

    def _key_buffers(self, key: torch.Tensor, value: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return room for the keys and values of one record's bins, the same for all layers."""
        if self._buffers is None or any(
            buffer.shape[1] != part.shape[2] or buffer.shape[-1] != part.shape[-1]
            for buffer, part in zip(self._buffers, (key, value), strict=True)
        ):
            _, bins, heads, size, _ = key.shape
            columns = size + self._starts[-1]
            self._buffers = tuple(
                part.new_empty(bins, heads, columns, part.shape[-1]) for part in (key, value)
            )
        return self._buffers

    def _mask(self, start: int, window: int | None, dtype: torch.dtype) -> torch.Tensor:
        """Return what is added to the products under a prompt of `start` tokens, [bins, 1, size, size + start]."""
        longest = self._starts[-1]
        if window is None or longest + int(self._depths.max()) <= window:
            # Nothing is out of sight: one mask serves all records.
            whole = self._kept_mask((longest, None), dtype)
            return whole[..., : self._seen.shape[1] + start]
        return self._kept_mask((start, window), dtype)

    def _kept_mask(self, kind: tuple[int, int | None], dtype: torch.dtype) -> torch.Tensor:
        if kind not in self._masks:
            start, window = kind
            seen = torch.nn.functional.pad(self._seen, (0, start), value=True)
            if window is not None:
                places = self._depths + start - 1
                columns = torch.arange(start, device=places.device).expand(len(places), -1)
                columns = torch.cat([places, columns], dim=1)
                seen = seen & (places[:, :, None] - columns[:, None] < window)
            self._masks[kind] = additive_mask(seen, dtype)[:, None]
        return self._masks[kind]


def additive_mask(seen: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Return 0 where a key is seen and the most negative number elsewhere, shape of `seen`."""
    mask = torch.zeros(seen.shape, dtype=dtype, device=seen.device)
    return mask.masked_fill_(~seen, torch.finfo(dtype).min)


class _Counted:
    """Counts a tree's layers, to tell whether attention went through the interface."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.calls = 0


def _check_fits(model: PreTrainedModel) -> None:
    parameters = inspect.signature(model.base_model.forward).parameters.values()
    hands_on = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    if not model.is_backend_compatible() or not hands_on or model.training:
        raise DoesNotFitError(f"{type(model).__name__}: its attention cannot be replaced.")


@contextlib.contextmanager
def _tree_attention(model: PreTrainedModel) -> Iterator[None]:
    with _SWITCH:
        before = model.config._attn_implementation
        model.set_attn_implementation(NAME)
        try:
            yield
        finally:
            model.set_attn_implementation(before)


def _attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    tree: _Counted | None = None,
    **others: object,
) -> tuple[torch.Tensor, None]:
    """The registered function; a call from elsewhere, without a tree, is sdpa's."""
    if tree is None:
        return sdpa_attention_forward(
            module,
            query,
            key,
            value,
            attention_mask,
            scaling=scaling,
            sliding_window=sliding_window,
            **others,
        )
    strange = [name for name, given in others.items() if given is not None and name not in _HARMLESS]
    layer = getattr(module, "layer_idx", None)
    if strange or layer is None:
        raise DoesNotFitError(
            f"{type(module).__name__}: attention with {', '.join(strange) or 'unnumbered layers'}."
        )
    tree.calls += 1
    return tree.tree.attend(layer, query, key, value, scaling, sliding_window), None


AttentionInterface.register(NAME, _attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
