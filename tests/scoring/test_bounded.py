"""Bounds on all titles: always around the exact value, as tight as stated, and on a hand-worked tree."""

import copy
import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from labor_llm.careers.panel import CareerPanel
from labor_llm.models.loading import LanguageModel
from labor_llm.scoring.all_titles import all_title_log_probs
from labor_llm.scoring.bounded import BoundedScores, _Search, bounded_title_log_probs, rounded_up
from labor_llm.scoring.title_trie import TitleTrie, build_title_trie
from labor_llm.text.templates import resumes
from labor_llm.text.tokenization import EncodedResume, encode_resume

TOLERANCE = 1e-4  # nats, float32


@pytest.fixture(scope="module")
def careers(tiny_model: LanguageModel, panel: CareerPanel) -> list[EncodedResume]:
    return [encode_resume(tiny_model.tokenizer, resume) for resume in list(resumes(panel))[3:6]]


@pytest.fixture(scope="module")
def drawn_to_titles(
    tiny_model: LanguageModel, careers: list[EncodedResume], trie: TitleTrie
) -> LanguageModel:
    """The tiny model after some steps on the careers, so that titles have mass to be found."""
    model = copy.deepcopy(tiny_model.model).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(15):
        for career in careers:
            ids = torch.as_tensor(career.ids)[None]
            model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return replace(tiny_model, model=model.eval())


def _contains(scores: BoundedScores, exact: np.ndarray) -> bool:
    return bool((scores.lower <= exact + TOLERANCE).all() and (exact <= scores.upper + TOLERANCE).all())


def test_bounds_are_certified_and_looser_ones_open_fewer_nodes(drawn_to_titles, careers, trie):
    for career in careers:
        exact, opened = all_title_log_probs(drawn_to_titles, career, trie), []
        for tolerance in (0.5, 1e-2, 1e-4, 1e-6):
            scores = bounded_title_log_probs(drawn_to_titles, career, trie, tolerance)
            assert _contains(scores, exact)
            assert (scores.unresolved <= tolerance).all()
            left = np.where(scores.resolved, 0.0, np.exp(exact)).sum(axis=1)
            assert (left <= scores.unresolved + 1e-6).all()
            opened.append(scores.nodes)
        assert all((few <= many).all() for few, many in itertools.pairwise(opened))
        assert (opened[0] < len(trie)).all()


def test_records_that_need_too_much_memory_are_scored_exactly(drawn_to_titles, careers, trie):
    exact = all_title_log_probs(drawn_to_titles, careers[0], trie)
    scores = bounded_title_log_probs(drawn_to_titles, careers[0], trie, 1e-3, memory=1)
    assert np.abs(scores.lower - exact).max() < TOLERANCE
    some = bounded_title_log_probs(drawn_to_titles, careers[0], trie, 1e-3, memory=30_000)
    assert _contains(some, exact)


def test_a_hand_worked_search():
    # Titles 5-6-9, 5-7-9 and 8-9; inner nodes (5), (5,6), (5,7), (8).
    trie = build_title_trie([(5, 6, 9), (5, 7, 9), (8, 9)])
    search = _Search(np.log([[0.9, 0.04], [0.01, 0.01]]), trie)
    # The tolerance has room for (8), not for (5); under the second record for both.
    assert search.to_open(0.1).tolist() == [[0, 0]]
    search.opened(np.array([[0, 0]]), [trie.node_edges[0]], [np.log([0.8, 0.05])])
    # (5,7) has 0.045 now, and with (8) 0.085: both may wait.
    assert search.to_open(0.1).tolist() == [[0, 1]]
    search.opened(np.array([[0, 1]]), [trie.node_edges[1]], [np.log([1.0])])
    assert len(search.to_open(0.1)) == 0
    scores = search.scores()
    assert scores.unresolved == pytest.approx([0.085, 0.02])
    assert np.exp(scores.lower[0]) == pytest.approx([0.72, 0.0, 0.0])
    assert np.exp(scores.upper[0]) == pytest.approx([0.72, 0.045, 0.04])
    assert scores.nodes.tolist() == [2, 0]
    # For 0.05 one of the two must be opened: the one with more mass.
    assert search.to_open(0.05).tolist() == [[0, 2]]


def test_a_title_that_is_known_otherwise_closes_the_bounds_on_it():
    # One record, three titles: one was followed to its end, the two others share a beginning of 0.2.
    lower, upper = np.array([[np.log(0.5), -np.inf, -np.inf]]), np.log([[0.5, 0.2, 0.2]])
    scores = BoundedScores(lower, upper, np.array([0.2]), np.array([2]))
    got = scores.with_known(np.array([1]), np.log([0.15]))
    assert np.exp(got.lower)[0] == pytest.approx([0.5, 0.15, 0])
    assert np.exp(got.upper)[0] == pytest.approx([0.5, 0.15, 0.2])
    assert got.unresolved == pytest.approx([0.05])
    # A title that is known already leaves the rest as it is.
    assert scores.with_known(np.array([0]), np.log([0.5])).unresolved == pytest.approx([0.2])


def test_bounds_are_rounded_away_from_the_truth():
    upper = np.array([-0.1, -1 / 3, -7.0, -np.inf])
    rounded = rounded_up(upper)
    assert rounded.dtype == np.float32 and (rounded.astype(np.float64) >= upper).all()
    assert np.allclose(rounded[:3], upper[:3]) and rounded[3] == -np.inf
