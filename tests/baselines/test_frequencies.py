"""Transition frequencies of first and second order: by hand, and against chains that careers were drawn from."""

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays

from labor_llm.baselines.frequencies import (
    SMOOTHINGS,
    EmpiricalTransitions,
    NoChange,
    SecondOrderTransitions,
    pair_counts,
    smoothed_probabilities,
    transition_counts,
)
from labor_llm.errors import InputError, MismatchError

# Two workers: a a b and a b. Rows a, b, c and first records; occupation c never occurs.
COUNTS = np.array([[1, 2, 0], [0, 0, 0], [0, 0, 0], [2, 0, 0]], dtype=float)
# Occupations a, b, c are columns 0, 1, 2; "none before" is 3, so the pair (i, j) has the number 4 i + j.
PAIRS = {"1": "aabc", "2": "aabb", "3": "ba"}


def chain(matrix: np.ndarray, workers: int, years: int, seed: int, prefix: str = "w") -> dict[str, str]:
    """First occupations are uniform, later ones follow the rows of `matrix`."""
    rng = np.random.default_rng(seed)
    states = np.empty((workers, years), dtype=int)
    states[:, 0] = rng.integers(len(matrix), size=workers)
    for t in range(1, years):
        uniform = rng.random((workers, 1))
        states[:, t] = (uniform > matrix.cumsum(axis=1)[states[:, t - 1]]).sum(axis=1)
    return {f"{prefix}{i:05d}": "".join("abcd"[state] for state in row) for i, row in enumerate(states)}


def second_order_chain(workers: int, years: int, seed: int, prefix: str) -> dict[str, str]:
    """The next of two occupations differs from the last but one with 0.9: no first-order model can see it."""
    rng = np.random.default_rng(seed)
    states = list(rng.integers(2, size=(2, workers)))
    for _ in range(years - 2):
        states.append(np.where(rng.random(workers) < 0.9, 1 - states[-2], states[-2]))
    careers = np.transpose(states)
    return {f"{prefix}{i:04d}": "".join("ab"[state] for state in row) for i, row in enumerate(careers)}


def test_counts_by_hand_and_by_crosstab(lettered):
    assert transition_counts(lettered({"1": "aab", "2": "ab"})).tolist() == COUNTS.tolist()
    panel = lettered(chain(np.full((4, 4), 0.25), workers=50, years=6, seed=3), 4)
    previous = panel.frame.groupby("worker_id")["occupation"].shift().fillna("first record")
    expected = pd.crosstab(previous, panel.frame["occupation"]).to_numpy()
    assert (transition_counts(panel) == expected).all()


def test_no_change_by_hand(lettered):
    """Of workers a a b and a b: one of three later records stays; 3 a, 2 b, 0 c; both first records are a."""
    model = NoChange().fit(lettered({"1": "aab", "2": "ab"}), lettered({"3": "ab"}))
    # Staying (1 + 1) / (3 + 2). Movers: 3 + 1, 2 + 1, 0 + 1 without the own one; first records: 2 + 1, 0 + 1, 0 + 1.
    expected = [
        [2 / 5, 3 / 5 * 3 / 4, 3 / 5 * 1 / 4], [3 / 5 * 4 / 5, 2 / 5, 3 / 5 * 1 / 5],
        [3 / 5 * 4 / 7, 3 / 5 * 3 / 7, 2 / 5], [3 / 5, 1 / 5, 1 / 5],
    ]  # fmt: skip
    np.testing.assert_allclose(model.probabilities_, expected)
    got = np.exp(model.predict(lettered({"4": "cc"})).log_probs)
    np.testing.assert_allclose(got, [expected[3], expected[2]], rtol=1e-6)
    # The validation worker: a first with 3/5, then b with 3/5 x 3/4.
    reported = model.validation_perplexity_["validation_perplexity"].item()
    assert reported == pytest.approx((3 / 5 * 3 / 5 * 3 / 4) ** -0.5)


@pytest.mark.parametrize(
    ("smoothing", "strength", "from_a", "from_c", "first"),
    [
        # (1 + 1, 2 + 1, 0 + 1) / (3 + 3)
        ("additive", 1.0, [2 / 6, 3 / 6, 1 / 6], [1 / 3, 1 / 3, 1 / 3], [3 / 5, 1 / 5, 1 / 5]),
        # The records are 3 a, 2 b, 0 c, so the marginal with one added is (4, 3, 1) / 8.
        ("back_off", 2.0, [2 / 5, 2.75 / 5, 0.25 / 5], [4 / 8, 3 / 8, 1 / 8], [3 / 4, 0.75 / 4, 0.25 / 4]),
        # Of 3 transitions 1 stayed: (1 + 1) / (3 + 2) stay. Destinations with one added: (1, 3, 1) / 5.
        ("stayer_back_off", 1.0, [1.4 / 4, 2.45 / 4, 0.15 / 4], [0.6 / 4, 1.8 / 4, 0.4],
         [2.5 / 3, 0.375 / 3, 0.125 / 3]),
        ("additive", 1e9, [1 / 3] * 3, [1 / 3] * 3, [1 / 3] * 3),
        ("additive", 1e-9, [1 / 3, 2 / 3, 0], [1 / 3] * 3, [1, 0, 0]),
    ],
)  # fmt: skip
def test_smoothed_probabilities_by_hand(smoothing, strength, from_a, from_c, first):
    got = smoothed_probabilities(COUNTS, smoothing, strength)
    np.testing.assert_allclose(got[[0, 2, 3]], [from_a, from_c, first], rtol=1e-6, atol=1e-8)


@settings(max_examples=50)
@given(
    counts=arrays(np.int64, (5, 4), elements=st.integers(0, 50)),
    smoothing=st.sampled_from(SMOOTHINGS),
    strength=st.floats(0.01, 500),
)
def test_rows_are_positive_and_add_up_to_one(counts, smoothing, strength):
    got = smoothed_probabilities(counts.astype(float), smoothing, strength)
    assert (got > 0).all()
    np.testing.assert_allclose(got.sum(axis=1), 1.0, rtol=1e-12)


def test_recovers_a_known_markov_chain(lettered):
    matrix = np.array(
        [[0.7, 0.1, 0.1, 0.1], [0.2, 0.6, 0.1, 0.1], [0.05, 0.05, 0.8, 0.1], [0.3, 0.3, 0.3, 0.1]]
    )
    train, validation = chain(matrix, 1500, 8, seed=1), chain(matrix, 150, 8, seed=2, prefix="v")
    model = EmpiricalTransitions().fit(lettered(train, 4), lettered(validation, 4))
    departures = model.counts_[:4].sum(axis=1, keepdims=True)
    # Five standard errors, and what the smoothing pulls at most.
    tolerance = 5 * np.sqrt(matrix * (1 - matrix) / departures) + 4 * model.strength_ / departures
    assert (np.abs(model.probabilities_[:4] - matrix) < tolerance).all()


def test_smoothing_kept_is_the_best_on_validation_and_reproduces_its_perplexity(lettered):
    matrix = np.full((4, 4), 0.1) + 0.6 * np.eye(4)
    train, validation = (lettered(chain(matrix, 30, 5, seed, prefix=f"s{seed}"), 4) for seed in (5, 6))
    model = EmpiricalTransitions().fit(train, validation)
    grid = model.validation_perplexity_
    best = grid.loc[grid["validation_perplexity"].idxmin()]
    assert set(grid["smoothing"]) == set(SMOOTHINGS)
    assert (model.smoothing_, model.strength_) == (best["smoothing"], best["strength"])
    got = np.exp(-model.predict(validation).table["log_prob"].mean())
    assert got == pytest.approx(best["validation_perplexity"], rel=1e-12)


def test_predictions_follow_the_previous_occupation_only(lettered):
    train, validation = lettered({"1": "aab", "2": "ab"}), lettered({"3": "ab"})
    model = EmpiricalTransitions(smoothings=["additive"]).fit(train, validation)
    assert set(model.validation_perplexity_["smoothing"]) == {"additive"}
    got = model.predict(lettered({"7": "ab", "8": "bc"}))
    expected = np.log(model.probabilities_[[3, 0, 3, 1]])  # first record, a, first record, b
    np.testing.assert_allclose(got.log_probs, expected, rtol=1e-6)
    np.testing.assert_allclose(got.table["log_prob"], expected[np.arange(4), [0, 1, 1, 2]])


def test_refuses_a_worker_in_both_splits_other_titles_and_an_unknown_smoothing(lettered):
    train, validation, other = (
        lettered({"1": "aab", "2": "ab"}),
        lettered({"3": "ab"}),
        lettered({"9": "ab"}, 2),
    )
    with pytest.raises(InputError, match="1 workers are in the training and in the validation panel"):
        EmpiricalTransitions().fit(train, lettered({"2": "ab"}))
    with pytest.raises(MismatchError, match="fitted for 3 occupations"):
        EmpiricalTransitions().fit(train, other)
    with pytest.raises(MismatchError, match="fitted for 3 occupations"):
        EmpiricalTransitions().fit(train, validation).predict(other)
    with pytest.raises(InputError, match="nothing to choose that is called 'smoothing'"):
        EmpiricalTransitions(smoothing="additive")


def test_pairs_of_three_careers_by_hand(lettered):
    counts = pair_counts(lettered(PAIRS)).toarray()
    found = {row: counts[row].tolist() for row in np.flatnonzero(counts.sum(axis=1))}
    assert found == {0: [0, 2, 0], 1: [0, 1, 1], 4 * 3: [2, 0, 0], 4 * 3 + 1: [1, 0, 0]}


def test_probabilities_of_second_order_by_hand(lettered):
    model = SecondOrderTransitions().fit(lettered(PAIRS), lettered({"4": "abc"}))
    w, prior = model.strength_, model.first_order_
    got = np.exp(model.predict(lettered({"7": "aab", "8": "ca"})).log_probs)
    # a; a after (none, a), which was twice followed by a; b after (a, a), twice followed by b.
    np.testing.assert_allclose(got[0], prior[3], rtol=1e-5)
    np.testing.assert_allclose(got[1], (np.array([2, 0, 0]) + w * prior[0]) / (2 + w), rtol=1e-5)
    np.testing.assert_allclose(got[2], (np.array([0, 2, 0]) + w * prior[0]) / (2 + w), rtol=1e-5)
    # (none, c) does not occur in training: the first-order probabilities after c.
    np.testing.assert_allclose(got[4], prior[2], rtol=1e-5)


def test_learns_what_no_first_order_model_can(lettered):
    train = lettered(second_order_chain(300, 8, 1, "t"), 2)
    validation = lettered(second_order_chain(60, 8, 2, "v"), 2)
    second, first = (
        kind().fit(train, validation).validation_perplexity_["validation_perplexity"].min()
        for kind in (SecondOrderTransitions, EmpiricalTransitions)
    )
    # Entropy of the chain: the first two records are even, the other six 0.9 to 0.1.
    oracle = np.exp((2 * np.log(2) - 6 * (0.9 * np.log(0.9) + 0.1 * np.log(0.1))) / 8)
    assert second == pytest.approx(oracle, rel=0.05)
    assert first > 1.9


def test_one_record_a_worker_leaves_the_start_distribution(lettered):
    model = SecondOrderTransitions().fit(lettered({"1": "a", "2": "b"}), lettered({"3": "a"}))
    assert np.isfinite(model.predict(lettered({"4": "ab"})).log_probs).all()
