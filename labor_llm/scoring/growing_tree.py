"""Attention for nodes of a tree that is opened bit by bit: keys and values of opened nodes are kept.

One pass runs some nodes of some records of one career, and all of them share one set of keys:

    keys   [ own nodes | their ancestors, run before | the career's prompt, as long as the longest ]
    mask     itself      those of the same path        up to the record's start (or within the window)
"""

from __future__ import annotations

import numpy as np
import torch

from labor_llm.scoring.tree_attention import additive_mask, attend_grouped


class KeyStore:
    """Keys and values of a career and of the nodes that were run below its prompts."""

    def __init__(self, keys: list[torch.Tensor], values: list[torch.Tensor], memory: int, most: int) -> None:
        """Make room for nodes; memory that is never written is never taken on a CPU.

        Args:
            keys: per layer the career's keys [key heads, tokens, width].
            values: per layer the values.
            memory: bytes that nodes may take.
            most: nodes that there can be.
        """
        self.prompt_keys, self.prompt_values = keys, values
        a_node = sum(part.element_size() * part.shape[0] * part.shape[2] for part in (*keys, *values))
        self._capacity = min(most, memory // a_node)
        self._keys, self._values = (
            [part.new_empty(part.shape[0], self._capacity, part.shape[2]) for part in parts]
            for parts in (keys, values)
        )
        self._places: dict[tuple[int, int], int] = {}

    @property
    def room(self) -> int:
        """Nodes that can still be kept."""
        return self._capacity - len(self._places)

    def reserve(self, records: np.ndarray, nodes: np.ndarray) -> slice:
        """Return the places where the keys of new nodes of records will stand."""
        start = len(self._places)
        for pair in zip(records.tolist(), nodes.tolist(), strict=True):
            self._places[pair] = len(self._places)
        return slice(start, len(self._places))

    def place(self, record: int, node: int) -> int:
        """Return where the keys of a node that was run under a record stand."""
        return self._places[record, node]

    def write(self, layer: int, places: slice, key: torch.Tensor, value: torch.Tensor) -> None:
        """Keep keys and values [key heads, nodes, width] of a layer."""
        self._keys[layer][:, places] = key
        self._values[layer][:, places] = value

    def read(self, layer: int, places: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return keys and values of a layer at some places [key heads, places, width]."""
        return self._keys[layer].index_select(1, places), self._values[layer].index_select(1, places)


class GrowingTree:
    """New nodes of some records, their ancestors run before."""

    def __init__(
        self,
        store: KeyStore,
        records: np.ndarray,
        nodes: np.ndarray,
        ancestors: list[np.ndarray],
        starts: np.ndarray,
        depths: np.ndarray,
    ) -> None:
        """Prepare the pass.

        Args:
            store: keys of the career and of the ancestors; gets those of the nodes.
            records: record of each node, int64 [nodes].
            nodes: number of each node in the tree of titles, int64 [nodes].
            ancestors: the nodes above each node, from the top, not itself.
            starts: length of the prompt of each node's record, int64 [nodes].
            depths: depth of each node, int64 [nodes].
        """
        self._store = store
        above = sorted(
            {(record, node) for record, path in zip(records, ancestors, strict=True) for node in path}
        )
        column = {pair: number for number, pair in enumerate(above)}
        seen = np.zeros((len(nodes), len(above)), dtype=bool)
        for row, (record, path) in enumerate(zip(records, ancestors, strict=True)):
            seen[row, [column[record, node] for node in path]] = True
        self._longest = int(starts.max())
        prompt = np.arange(self._longest)
        self._seen = np.concatenate([np.eye(len(nodes), dtype=bool), seen, prompt < starts[:, None]], axis=1)
        # How far back each column lies from each row.
        places = starts + depths - 1
        start_of = dict(zip(records.tolist(), starts.tolist(), strict=True))
        depth_of = {node: depth for path in ancestors for depth, node in enumerate(path, start=1)}
        above_places = np.array(
            [start_of[record] + depth_of[node] - 1 for record, node in above], dtype=np.int64
        )
        self._distance = places[:, None] - np.concatenate([places, above_places, prompt])
        device = store.prompt_keys[0].device
        self._above = torch.tensor([store.place(*pair) for pair in above], dtype=torch.int64, device=device)
        self._places = store.reserve(records, nodes)
        self._masks: dict[int | None, torch.Tensor] = {}

    def attend(
        self,
        layer: int,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        scaling: float | None,
        window: int | None,
    ) -> torch.Tensor:
        """See `tree_attention.Tree.attend`."""
        self._store.write(layer, self._places, key[0], value[0])
        above_keys, above_values = self._store.read(layer, self._above)
        keys = torch.cat([key[0], above_keys, self._store.prompt_keys[layer][:, : self._longest]], dim=1)
        values = torch.cat(
            [value[0], above_values, self._store.prompt_values[layer][:, : self._longest]], dim=1
        )
        output = attend_grouped(query, keys[None], values[None], self._mask(window, query), scaling)
        return output.transpose(1, 2)

    def _mask(self, window: int | None, query: torch.Tensor) -> torch.Tensor:
        if window not in self._masks:
            seen = self._seen if window is None else self._seen & (self._distance < window)
            mask = additive_mask(torch.as_tensor(seen, device=query.device), query.dtype)
            self._masks[window] = mask[None, None]
        return self._masks[window]
