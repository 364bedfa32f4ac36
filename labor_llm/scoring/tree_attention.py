"""Attention of a tree's nodes to a shared prompt and to their own ancestors, inside any transformer.

transformers lets a model's attention be replaced by a registered function, and hands keyword arguments of the forward
call on to it. So the tree travels with the call, and only the name of the model's attention is changed while it lasts.

A packed tree is run at once: each bin of nodes holds their ancestors, and its keys stand before those of the prompt. A
growing tree is opened bit by bit, and the keys and values of opened nodes are kept:

    packed    keys   [ a bin's nodes | prompt ............ ]
              mask     ancestors       0 (or window)
    growing   keys   [ new nodes | their ancestors, run before | prompt, as long as the longest ]
              mask     itself      those of the same path        up to the record's start (or window)
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.masking_utils import sdpa_mask

from labor_llm.scoring.passes import CareerPass
from labor_llm.scoring.title_trie import TitleTrie

_NAME = "labor_llm_tree"
# What a model may pass to its attention without a change of the result in evaluation mode.
_HARMLESS = {
    "cache_position", "cu_seq_lens_q", "cu_seq_lens_k", "dropout", "is_causal", "max_length_q", "max_length_k",
    "output_attentions", "output_hidden_states", "position_ids", "return_dict", "use_cache",
}  # fmt: skip


class DoesNotFitError(Exception):
    """A model's attention is not the plain one that this module computes; the caller takes another way."""


Attend = Callable[[int, Tensor, Tensor, Tensor, float | None, int | None], Tensor]
"""Attention of the nodes of one forward pass: (number of the layer, query, key and value [1, heads, nodes, width],
factor of the products, how far back the layer looks) to [1, nodes, heads, width]."""


def run_tree(model: PreTrainedModel, tokens: Tensor, positions: Tensor, attend: Attend) -> Tensor:
    """Run a tree's nodes through the body of a causal language model.

    Args:
        model: the model with its head, not wrapped.
        tokens: the nodes' tokens, int64 [nodes].
        positions: their places in the text, int64 [nodes].
        attend: what they see.

    Returns:
        The last hidden states [nodes, width].

    Raises:
        DoesNotFitError: if the model's attention does not go through transformers' interface, or takes part in
            something else than softmax attention to visible keys (soft caps, sinks, biases by distance).
    """
    parameters = inspect.signature(model.base_model.forward).parameters.values()
    hands_on = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    if not model.is_backend_compatible() or not hands_on or model.training:
        raise DoesNotFitError("its attention cannot be replaced")
    layers = []

    def noted(layer: int, *others: object) -> Tensor:
        layers.append(layer)
        return attend(layer, *others)

    before = model.config._attn_implementation
    model.set_attn_implementation(_NAME)
    try:
        output = model.base_model(
            input_ids=tokens[None],
            position_ids=positions[None],
            # A mask of four dimensions is handed on as it is: none is computed.
            attention_mask=torch.zeros(1, 1, 1, 1, dtype=model.dtype, device=tokens.device),
            use_cache=False,
            tree=noted,
        )
    finally:
        model.set_attn_implementation(before)
    if len(layers) != model.config.get_text_config().num_hidden_layers:
        raise DoesNotFitError("a layer attends in another way")
    return output.last_hidden_state[0]


def _attention(
    module: torch.nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None,
    scaling: float | None = None, sliding_window: int | None = None, tree: Attend | None = None, **others: object
) -> tuple[Tensor, None]:  # fmt: skip
    """The registered function; a layer that is given no tree, or more than is known here, does not fit."""
    strange = [name for name, given in others.items() if given is not None and name not in _HARMLESS]
    layer = getattr(module, "layer_idx", None)
    if strange or layer is None or tree is None:
        raise DoesNotFitError(f"{type(module).__name__} is attention of another kind")
    return tree(layer, query, key, value, scaling, sliding_window), None


AttentionInterface.register(_NAME, _attention)
AttentionMaskInterface.register(_NAME, sdpa_mask)


def additive_mask(seen: Tensor, dtype: torch.dtype) -> Tensor:
    """Return 0 where a key is seen and the most negative number elsewhere, shape of `seen`."""
    mask = torch.zeros(seen.shape, dtype=dtype, device=seen.device)
    return mask.masked_fill_(~seen, torch.finfo(dtype).min)


def _attend_grouped(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, scaling: float | None) -> Tensor:
    """Return softmax attention where several query heads share a key head, without repeating the keys.

    query [bins, heads, rows, width], key and value [bins, key heads, columns, width], mask (what is added to the
    products) [bins or 1, 1, rows, columns] to [bins, rows, heads, value width], heads in the order of `query`.
    """
    bins, heads, rows, _ = query.shape
    group = heads // key.shape[1]
    output = query.new_empty(bins, rows, heads, value.shape[-1])
    for member in range(group):
        # Heads member, member + group, ... are the same member of each group: a view, as the keys are.
        output[:, :, member::group] = torch.nn.functional.scaled_dot_product_attention(
            query[:, member::group], key, value, attn_mask=mask, scale=scaling
        ).transpose(1, 2)
    return output


@dataclass(frozen=True)
class PackedTree:
    """Some of a trie's bins under every prompt of some records; nodes are in the order records, bins, slots."""

    career: CareerPass
    starts: list[int]  # lengths of the records' prompts, ascending
    depths: Tensor  # of each slot's node, int64 [bins, size]
    seen: Tensor  # which slots of its bin a slot sees, bool [bins, size, size]
    _masks: dict[tuple[int, int | None], Tensor] = field(default_factory=dict)

    def attend(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, scaling: float | None, window: int | None
    ) -> Tensor:
        """See `Attend`."""
        records, (bins, size) = len(self.starts), self.depths.shape
        query, key, value = (
            part[0].unflatten(1, (records, bins, size)).permute(1, 2, 0, 3, 4) for part in (query, key, value)
        )
        # One buffer serves all records: that of a shorter prompt is the beginning of that of a longer one.
        longest, career = size + self.starts[-1], (self.career.keys[layer], self.career.values[layer])
        buffers = [part.new_empty(bins, part.shape[2], longest, part.shape[-1]) for part in (key, value)]
        output = query.new_empty(records, bins, size, query.shape[2], value.shape[-1])
        filled = 0
        for record, start in enumerate(self.starts):
            for buffer, part, kept in zip(buffers, (key, value), career, strict=True):
                buffer[:, :, :size] = part[record]
                buffer[:, :, size + filled : size + start] = kept[:, filled:start]
            filled = start
            keys, values = (buffer[:, :, : size + start] for buffer in buffers)
            mask = self._mask(start, window, query.dtype)
            output[record] = _attend_grouped(query[record], keys, values, mask, scaling)
        return output.flatten(0, 2)[None]

    def _mask(self, start: int, window: int | None, dtype: torch.dtype) -> Tensor:
        """Return what is added to the products under a prompt of `start` tokens, [bins, 1, size, size + start]."""
        if (start, window) not in self._masks:
            seen = torch.nn.functional.pad(self.seen, (0, start), value=True)
            if window is not None:
                places = self.depths + start - 1
                columns = torch.arange(start, device=places.device).expand(len(places), -1)
                columns = torch.cat([places, columns], dim=1)
                seen = seen & (places[:, :, None] - columns[:, None] < window)
            self._masks[start, window] = additive_mask(seen, dtype)[:, None]
        return self._masks[start, window]


class GrowingTree:
    """A tree under the prompts of a career that is opened bit by bit, the nodes of several records at once."""

    def __init__(self, career: CareerPass, trie: TitleTrie, memory: int) -> None:
        """Make room for nodes, whose keys and values may take so many bytes.

        Memory that is never written is never taken on a CPU.
        """
        self._career, self._trie = (career.keys, career.values), trie
        self._starts = np.asarray(career.starts)
        a_node = sum(
            part.element_size() * part.shape[0] * part.shape[2] for part in (*career.keys, *career.values)
        )
        self._capacity = min(len(career.starts) * len(trie), memory // a_node)
        self._kept = tuple(
            [part.new_empty(part.shape[0], self._capacity, part.shape[2]) for part in parts]
            for parts in self._career
        )
        self._places: dict[tuple[int, int], int] = {}

    @property
    def room(self) -> int:
        """Nodes that can still be kept."""
        return self._capacity - len(self._places)

    def open(self, records: np.ndarray, nodes: np.ndarray) -> None:
        """Prepare the pass over new nodes under records, both int64 [nodes], whose ancestors were run before."""
        paths = [np.flatnonzero(self._trie.ancestors[node])[:-1] for node in nodes]
        above = sorted({(record, node) for record, path in zip(records, paths, strict=True) for node in path})
        column = {pair: number for number, pair in enumerate(above)}
        seen = np.zeros((len(nodes), len(above)), dtype=bool)
        for row, (record, path) in enumerate(zip(records, paths, strict=True)):
            seen[row, [column[record, node] for node in path]] = True
        starts, depths = self._starts[records], self._trie.depths
        self._longest = int(starts.max())
        prompt = np.arange(self._longest)
        self._seen = np.concatenate([np.eye(len(nodes), dtype=bool), seen, prompt < starts[:, None]], axis=1)
        # How far back each column lies from each row.
        places = starts + depths[nodes] - 1
        above_places = [self._starts[record] + depths[node] - 1 for record, node in above]
        self._distance = places[:, None] - np.concatenate([places, np.array(above_places, dtype=int), prompt])
        device = self._career[0][0].device
        self._above = torch.tensor([self._places[pair] for pair in above], dtype=torch.int64, device=device)
        self._new = slice(len(self._places), len(self._places) + len(nodes))
        for pair in zip(records.tolist(), nodes.tolist(), strict=True):
            self._places[pair] = len(self._places)
        self._masks: dict[int | None, Tensor] = {}

    def attend(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, scaling: float | None, window: int | None
    ) -> Tensor:
        """See `Attend`."""
        together = []
        for new, kept, career in zip((key[0], value[0]), self._kept, self._career, strict=True):
            kept[layer][:, self._new] = new
            above = kept[layer].index_select(1, self._above)
            together.append(torch.cat([new, above, career[layer][:, : self._longest]], dim=1)[None])
        if window not in self._masks:
            seen = self._seen if window is None else self._seen & (self._distance < window)
            mask = additive_mask(torch.as_tensor(seen, device=query.device), query.dtype)
            self._masks[window] = mask[None, None]
        return _attend_grouped(query, *together, self._masks[window], scaling)
