"""The titles as a tree of tokens, in which titles that begin alike share their beginning.

The root is the prompt. An inner node is a proper beginning of a title, and the model must be run on it; the last token
of a title is a leaf, and needs no run, as its probability is read off its parent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

# Bins of about this many nodes attend to themselves: wider bins compute more products that the mask
# throws away, narrower ones copy the prompt's keys more often (measured best at 64 for prompts of 200).
_BIN_SIZES = range(48, 97)


@dataclass(frozen=True)
class TitleTrie:
    """Inner nodes and edges of the tree of titles, int64.

    Inner nodes are in lexicographic order of their paths, so every subtree is a range of numbers.
    """

    tokens: np.ndarray  # of each inner node [nodes]
    depths: np.ndarray  # tokens from the root to the node, 1 for a title's first token [nodes]
    ancestors: np.ndarray  # bool [nodes, nodes]: is the column the row's ancestor or the row itself
    edge_nodes: np.ndarray  # where each edge starts: 0 for the root, n + 1 for inner node n [edges]
    edge_tokens: np.ndarray  # that each edge leads to [edges]
    title_edges: np.ndarray  # of each title, filled up with `len(edge_nodes)` [titles, longest]

    def __len__(self) -> int:
        return len(self.tokens)

    @cached_property
    def edge_targets(self) -> np.ndarray:
        """The inner node that each edge leads to, -1 where it leads to a leaf, int64 [edges]."""
        edges, following = self.title_edges[:, :-1], self.title_edges[:, 1:]
        goes_on = following < len(self.edge_nodes)
        targets = np.full(len(self.edge_nodes), -1, dtype=np.int64)
        targets[edges[goes_on]] = self.edge_nodes[following[goes_on]] - 1
        return targets

    @cached_property
    def node_edges(self) -> list[np.ndarray]:
        """The edges that begin at each inner node, a list [nodes] of int64."""
        order = np.argsort(self.edge_nodes, kind="stable")
        return np.split(order, np.searchsorted(self.edge_nodes[order], np.arange(1, len(self) + 1)))[1:]

    @cached_property
    def titles(self) -> tuple[tuple[int, ...], ...]:
        """The titles' token ids."""
        filler = len(self.edge_nodes)
        return tuple(tuple(self.edge_tokens[edges[edges < filler]].tolist()) for edges in self.title_edges)

    @cached_property
    def bins(self) -> TrieBins:
        """The inner nodes packed into bins of one size, see `TrieBins`."""
        return _pack(self)


@dataclass(frozen=True)
class TrieBins:
    """Inner nodes in bins of one size, so that a node's ancestors all lie in its own bin.

    Whole subtrees are put together; a subtree larger than a bin is cut, and the ancestors at the cut stand in each of
    its parts.
    """

    nodes: np.ndarray  # in each slot, int64 [bins, size]; a filler slot repeats node 0
    seen: np.ndarray  # bool [bins, size, size]: does the row's slot see the column's, an ancestor or itself
    slots: np.ndarray  # where each inner node's result is read off, a flat index into `nodes`, int64 [nodes]


def build_title_trie(titles: Sequence[Sequence[int]]) -> TitleTrie:
    """Return the tree of titles that are given as token ids (none the beginning of another)."""
    inner = sorted({tuple(title[:length]) for title in titles for length in range(1, len(title))})
    edges = sorted({*inner, *map(tuple, titles)})
    number = {path: position for position, path in enumerate([(), *inner])}
    edge_number = {path: position for position, path in enumerate(edges)}
    title_edges = np.full((len(titles), max(map(len, titles))), len(edges), dtype=np.int64)
    for row, title in enumerate(titles):
        path = [edge_number[tuple(title[:length])] for length in range(1, len(title) + 1)]
        title_edges[row, : len(title)] = path
    ancestors = np.zeros((len(inner), len(inner)), dtype=bool)
    for row, path in enumerate(inner):
        ancestors[row, [number[path[:length]] - 1 for length in range(1, len(path) + 1)]] = True
    return TitleTrie(
        tokens=np.array([path[-1] for path in inner], dtype=np.int64),
        depths=np.array([len(path) for path in inner], dtype=np.int64),
        ancestors=ancestors,
        edge_nodes=np.array([number[path[:-1]] for path in edges], dtype=np.int64),
        edge_tokens=np.array([path[-1] for path in edges], dtype=np.int64),
        title_edges=title_edges,
    )


def _pack(trie: TitleTrie) -> TrieBins:
    """Pack with the bin size that leaves the fewest slots to fillers and repeated ancestors."""
    deepest = int(trie.depths.max(initial=0))
    sizes = [len(trie)] if len(trie) <= _BIN_SIZES[-1] else [max(size, 2 * deepest) for size in _BIN_SIZES]
    packings = ((size, _first_fit(_pieces(trie, size), size)) for size in sizes)
    size, bins = min(packings, key=lambda packing: packing[0] * len(packing[1]))
    nodes = np.zeros((len(bins), size), dtype=np.int64)
    seen = np.zeros((len(bins), size, size), dtype=bool)
    slots = np.zeros(len(trie), dtype=np.int64)
    seen[:, range(size), range(size)] = True
    for number, contents in enumerate(bins):
        used = np.array(contents, dtype=np.int64)
        nodes[number, : len(used)] = used
        seen[number, : len(used), : len(used)] = trie.ancestors[used][:, used]
        slots[used] = number * size + np.arange(len(used))
    return TrieBins(nodes, seen, slots)


def _pieces(trie: TitleTrie, size: int) -> list[list[int]]:
    """Return parts of the tree of at most `size` nodes, each holding all ancestors of its nodes."""
    pieces = []
    for first in np.flatnonzero(trie.depths == 1):
        piece: list[int] = []
        for node in range(first, first + int(trie.ancestors[:, first].sum())):
            if len(piece) == size:
                pieces.append(piece)
                piece = np.flatnonzero(trie.ancestors[node])[:-1].tolist()
            piece.append(node)
        pieces.append(piece)
    return pieces


def _first_fit(pieces: list[list[int]], size: int) -> list[list[int]]:
    """Put pieces into bins, the largest first, each into the first bin that has room for it."""
    bins: list[list[int]] = []
    for piece in sorted(pieces, key=len, reverse=True):
        room = next((contents for contents in bins if len(contents) + len(piece) <= size), None)
        if room is None:
            bins.append(room := [])
        room += piece
    return bins
