"""Bounds on the log-probability of every title: the tree is followed where the mass is, and no further.

A title is at most as probable as any of its beginnings. So the tree is opened best first until the beginnings that were
not opened have no more than a stated mass between them:

    root -- " Cook"  0.30, opened --- "s"  0.29, opened --- "\\n"     title known exactly
         |                          `- ","  0.0004, closed            its titles: at most 0.0004
         `- " Denti" 0.0006, closed                                   its titles: at most 0.0006

For every record the closed beginnings are the least probable ones, as many as the tolerance leaves room for. Opening
the others only adds to the small ones, so a beginning that the tolerance has no room for now has none later: all such
beginnings, of all records, are opened at once, and no node is opened that opening the most probable one at a time would
leave closed. (Weighing mass by the nodes still to come below it saved nothing.)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from labor_llm.models.loading import LanguageModel
from labor_llm.scoring.all_titles import (
    MEMORY,
    all_title_log_probs,
    edge_log_probs,
    run_tree_attention,
    title_log_probs,
    token_log_probs,
    way_to_run,
)
from labor_llm.scoring.passes import CareerPass, read_career
from labor_llm.scoring.title_trie import TitleTrie
from labor_llm.scoring.tree_attention import GrowingTree, run_tree
from labor_llm.text.tokenization import EncodedResume

# Nodes run together: each is compared with the keys of all, so that many more would cost more than they save.
_AT_ONCE = 192


@dataclass(frozen=True)
class BoundedScores:
    """Bounds on the log-probability of every title for some records.

    Attributes:
        lower: the log-probability where it is known, else -inf; float64 [records, titles], nats.
        upper: the same, else that of the longest beginning of the title that is known.
        unresolved: the probabilities of all titles that are not known add up to this at most; float64 [records].
        nodes: nodes of the tree that were run, int64 [records].
    """

    lower: np.ndarray
    upper: np.ndarray
    unresolved: np.ndarray
    nodes: np.ndarray

    @property
    def resolved(self) -> np.ndarray:
        """Which log-probabilities are known, bool [records, titles]."""
        return np.isfinite(self.lower)

    def with_known(self, titles: np.ndarray, log_probs: np.ndarray) -> BoundedScores:
        """Return the same with one more title known for every record, such as the realised one.

        Args:
            titles: the column of each record's title, int64 [records].
            log_probs: its log-probability, nats, float64 [records].
        """
        rows = np.arange(len(titles))
        # A title that was not resolved has a part of the unresolved probability.
        part = np.where(self.resolved[rows, titles], 0.0, np.exp(log_probs))
        lower, upper = self.lower.copy(), self.upper.copy()
        lower[rows, titles] = upper[rows, titles] = log_probs
        return BoundedScores(lower, upper, np.maximum(self.unresolved - part, 0.0), self.nodes)


@torch.inference_mode()
def bounded_title_log_probs(
    language_model: LanguageModel,
    resume: EncodedResume,
    trie: TitleTrie,
    tolerance: float,
    memory: int = MEMORY,
) -> BoundedScores:
    """Return certified bounds on the log-probability of every title for every record of a career.

    Args:
        language_model: the model; one that tree attention does not fit is scored exactly.
        resume: the career.
        trie: the tree of titles.
        tolerance: probability that may remain unresolved in a record, between 0 and 1.
        memory: bytes that the keys and values of opened nodes may take; records that need more are scored
            exactly. Also as in `all_title_log_probs`.

    Raises:
        MismatchError: as `all_title_log_probs`.
    """
    run = way_to_run(language_model, resume, trie)
    if run is not run_tree_attention:
        exact = all_title_log_probs(language_model, resume, trie, memory)
        return BoundedScores(exact, exact, np.zeros(len(exact)), np.full(len(exact), len(trie)))
    career = read_career(language_model, resume, trie)
    search = _Search(career.root, trie)
    left = _open(career, search, tolerance, memory)
    if len(left):
        search.set_exact(left, edge_log_probs(career.only(left), trie, memory, run))
    return search.scores()


def concatenated(scores: Sequence[BoundedScores]) -> BoundedScores:
    """Return the scores of several texts, one after the other."""
    fields = [field.name for field in dataclasses.fields(BoundedScores)]
    return BoundedScores(*(np.concatenate([getattr(each, name) for each in scores]) for name in fields))


def rounded_up(upper: np.ndarray) -> np.ndarray:
    """Return upper bounds in float32 that are nowhere below those in float64."""
    rounded = upper.astype(np.float32)
    return np.where(rounded < upper, np.nextafter(rounded, np.float32(np.inf)), rounded)


class _Search:
    """What is known of the tree for every record of a career."""

    def __init__(self, root: np.ndarray, trie: TitleTrie) -> None:
        """Begin with the log-probabilities of the edges at the root, float64 [records, edges at the root]."""
        self.trie = trie
        self.edges = np.full((len(root), len(trie.edge_nodes)), np.nan)
        self.nodes = np.zeros(len(root), dtype=np.int64)
        # Log-probability of the beginnings that end in inner nodes, and which of them wait to be opened.
        self._reached = np.full((len(root), len(trie)), -np.inf)
        self._waiting = np.zeros((len(root), len(trie)), dtype=bool)
        at_root = np.flatnonzero(trie.edge_nodes == 0)
        for record, found in enumerate(root):
            self._follow(record, 0.0, at_root, found)

    def to_open(self, tolerance: float) -> np.ndarray:
        """Return the nodes that must be opened, each after the other record by record: int64 [nodes, 2]."""
        mass = np.where(self._waiting, np.exp(self._reached), 0.0)
        order = np.argsort(mass, axis=1)
        kept = np.take_along_axis(mass, order, axis=1).cumsum(axis=1) <= tolerance
        wanted = np.zeros_like(kept)
        np.put_along_axis(wanted, order, ~kept, axis=1)
        return np.argwhere(wanted & self._waiting)

    def opened(self, pairs: np.ndarray, edges: list[np.ndarray], found: list[np.ndarray]) -> None:
        """Enter the log-probabilities of the edges of (record, node) pairs, ancestors before descendants."""
        for (record, node), numbers, values in zip(pairs, edges, found, strict=True):
            self._waiting[record, node] = False
            self.nodes[record] += 1
            self._follow(record, self._reached[record, node], numbers, values)

    def set_exact(self, rows: np.ndarray, edges: np.ndarray) -> None:
        """Enter all edges of some records."""
        self.edges[rows] = edges
        self.nodes[rows] = len(self.trie)
        self._waiting[rows] = False

    def scores(self) -> BoundedScores:
        """Return the bounds as they are now."""
        known = title_log_probs(self.edges, self.trie)
        most = title_log_probs(np.nan_to_num(self.edges, nan=0.0, neginf=-np.inf), self.trie)
        unresolved = np.where(self._waiting, np.exp(self._reached), 0.0).sum(axis=1)
        return BoundedScores(np.where(np.isnan(known), -np.inf, known), most, unresolved, self.nodes)

    def _follow(self, record: int, reached: float, edges: np.ndarray, found: np.ndarray) -> None:
        self.edges[record, edges] = found
        targets = self.trie.edge_targets[edges]
        inner = targets >= 0
        self._reached[record, targets[inner]] = reached + found[inner]
        self._waiting[record, targets[inner]] = True


def _open(career: CareerPass, search: _Search, tolerance: float, memory: int) -> np.ndarray:
    """Open nodes until every record is within the tolerance; return the records that must be scored exactly."""
    tree = GrowingTree(career, search.trie, memory)
    while len(pairs := search.to_open(tolerance)):
        if len(pairs) > tree.room:
            return np.unique(pairs[:, 0])
        for part in np.array_split(pairs, -(-len(pairs) // _AT_ONCE)):
            _open_nodes(career, search, tree, part)
    return np.arange(0)


def _open_nodes(career: CareerPass, search: _Search, tree: GrowingTree, pairs: np.ndarray) -> None:
    """Run (record, node) pairs whose ancestors were run before, and enter their edges."""
    trie, device = search.trie, career.keys[0].device
    records, nodes = pairs.T
    tree.open(records, nodes)
    places = np.asarray(career.starts)[records] + trie.depths[nodes] - 1
    tokens, places = (torch.as_tensor(each, device=device) for each in (trie.tokens[nodes], places))
    hidden = run_tree(career.model, tokens, places, tree.attend)
    edges = [trie.node_edges[node] for node in nodes]
    numbers = [len(of_node) for of_node in edges]
    rows = torch.as_tensor(np.repeat(np.arange(len(nodes)), numbers), device=device)
    tokens = torch.as_tensor(trie.edge_tokens[np.concatenate(edges)], device=device)
    found = token_log_probs(career.head, hidden, rows, tokens).double().cpu().numpy()
    search.opened(pairs, edges, np.split(found, np.cumsum(numbers)[:-1]))
