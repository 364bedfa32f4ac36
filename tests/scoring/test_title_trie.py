import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from labor_llm.scoring.title_trie import TitleTrie, build_title_trie

END = 9


def test_shared_beginnings_are_one_node_and_last_tokens_are_none():
    trie = build_title_trie([(5, 6, 9), (5, 7, 9), (8, 9)])
    # Inner nodes in sorted order: (5), (5,6), (5,7), (8).
    assert trie.tokens.tolist() == [5, 6, 7, 8]
    assert trie.depths.tolist() == [1, 2, 2, 1]
    assert trie.ancestors.astype(int).tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1]]
    # Edges: 5, 5-6, 5-6-9, 5-7, 5-7-9, 8, 8-9; the filler is 7.
    assert trie.edge_nodes.tolist() == [0, 1, 2, 1, 3, 0, 4]
    assert trie.edge_tokens.tolist() == [5, 6, 9, 7, 9, 8, 9]
    assert trie.title_edges.tolist() == [[0, 1, 2], [0, 3, 4], [5, 6, 7]]
    # They lead to nodes 0 and 1, a leaf, 2, a leaf, 3, a leaf.
    assert trie.edge_targets.tolist() == [0, 1, -1, 2, -1, 3, -1]
    assert [edges.tolist() for edges in trie.node_edges] == [[1, 3], [2], [4], [6]]


bodies_of_titles = st.lists(
    st.lists(st.integers(0, 3), min_size=0, max_size=5), min_size=2, max_size=12, unique_by=tuple
)


@given(bodies_of_titles)
def test_every_title_can_be_read_off_its_edges(bodies):
    titles = [(*body, END) for body in bodies]
    trie = build_title_trie(titles)
    assert trie.titles == tuple(titles)
    for row, title in enumerate(titles):
        edges = [edge for edge in trie.title_edges[row] if edge < len(trie.edge_nodes)]
        assert tuple(trie.edge_tokens[edges]) == title
        path = [trie.edge_nodes[edge] - 1 for edge in edges[1:]]
        if path:
            assert set(trie.ancestors[path[-1]].nonzero()[0]) == set(path)


@given(bodies_of_titles)
def test_every_node_meets_its_ancestors_once_in_its_bin(bodies):
    _check_bins(build_title_trie([(*body, END) for body in bodies]))


def test_a_subtree_larger_than_a_bin_is_cut_below_its_ancestors():
    # As with SentencePiece, where all titles begin with the token of a blank.
    generator = np.random.default_rng(1)
    bodies = {tuple(generator.integers(0, 4, generator.integers(2, 8)).tolist()) for _ in range(150)}
    trie = build_title_trie([(7, *body, END) for body in sorted(bodies)])
    bins = trie.bins
    assert len(bins.nodes) > 1
    assert bins.nodes.size < 1.2 * len(trie)
    _check_bins(trie)


def _check_bins(trie: TitleTrie) -> None:
    nodes, size = trie.bins.nodes.ravel(), trie.bins.nodes.shape[-1]
    for node, slot in enumerate(trie.bins.slots):
        assert nodes[slot] == node
        seen = trie.bins.nodes[slot // size][trie.bins.seen[slot // size, slot % size]]
        assert sorted(seen) == trie.ancestors[node].nonzero()[0].tolist()
    # A filler sees something, so that no row of attention is empty.
    assert trie.bins.seen.any(axis=-1).all()
