from hypothesis import given
from hypothesis import strategies as st

from labor_llm.scoring.title_trie import build_title_trie


def test_shared_beginnings_are_one_node_and_last_tokens_are_none() -> None:
    trie = build_title_trie([(5, 6, 9), (5, 7, 9), (8, 9)])
    # Inner nodes in sorted order: (5), (5,6), (5,7), (8).
    assert trie.tokens.tolist() == [5, 6, 7, 8]
    assert trie.depths.tolist() == [1, 2, 2, 1]
    assert trie.ancestors.astype(int).tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1]]
    # Edges: 5, 5-6, 5-6-9, 5-7, 5-7-9, 8, 8-9; the filler is 7.
    assert trie.edge_nodes.tolist() == [0, 1, 2, 1, 3, 0, 4]
    assert trie.edge_tokens.tolist() == [5, 6, 9, 7, 9, 8, 9]
    assert trie.title_edges.tolist() == [[0, 1, 2], [0, 3, 4], [5, 6, 7]]


@given(
    st.lists(st.lists(st.integers(0, 3), min_size=0, max_size=5), min_size=2, max_size=12, unique_by=tuple)
)
def test_every_title_can_be_read_off_its_edges(bodies: list[list[int]]) -> None:
    end = 9
    titles = [(*body, end) for body in bodies]
    trie = build_title_trie(titles)
    for row, title in enumerate(titles):
        edges = [edge for edge in trie.title_edges[row] if edge < len(trie.edge_nodes)]
        assert tuple(trie.edge_tokens[edges]) == title
        path = [trie.edge_nodes[edge] - 1 for edge in edges[1:]]
        if path:
            assert set(trie.ancestors[path[-1]].nonzero()[0]) == set(path)
