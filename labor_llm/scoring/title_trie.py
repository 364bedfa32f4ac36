"""The titles as a tree of tokens, in which titles that begin alike share their beginning.

The root is the prompt. An inner node is a proper beginning of a title, and the model must be run on it;
the last token of a title is a leaf, and needs no run, as its probability is read off its parent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class TitleTrie:
    """Inner nodes and edges of the tree of titles.

    Attributes:
        tokens: token of each inner node, int64 [nodes].
        depths: tokens from the root to the node, 1 for a title's first token, int64 [nodes].
        ancestors: bool [nodes, nodes], true where the column is the row's ancestor or the row itself.
        edge_nodes: where each edge starts: 0 for the root, n + 1 for inner node n, int64 [edges].
        edge_tokens: the token that each edge leads to, int64 [edges].
        title_edges: the edges of each title, filled up with `len(edge_nodes)`, int64 [titles, longest].
    """

    tokens: np.ndarray
    depths: np.ndarray
    ancestors: np.ndarray
    edge_nodes: np.ndarray
    edge_tokens: np.ndarray
    title_edges: np.ndarray

    def __len__(self) -> int:
        return len(self.tokens)


def build_title_trie(titles: Sequence[Sequence[int]]) -> TitleTrie:
    """Return the tree of titles that are given as token ids (none the beginning of another)."""
    inner = sorted({tuple(title[:length]) for title in titles for length in range(1, len(title))})
    number = {(): 0} | {path: position for position, path in enumerate(inner, start=1)}
    edges = sorted({tuple(title[:length]) for title in titles for length in range(1, len(title) + 1)})
    edge_number = {path: position for position, path in enumerate(edges)}
    title_edges = np.full((len(titles), max(map(len, titles))), len(edges), dtype=np.int64)
    for row, title in enumerate(titles):
        title_edges[row, : len(title)] = [
            edge_number[tuple(title[:length])] for length in range(1, len(title) + 1)
        ]
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
