import numpy as np
import pytest

from labor_llm.baselines.frequencies import EmpiricalTransitions, SecondOrderTransitions, pair_counts
from labor_llm.errors import MismatchError

# Occupations a, b, c are columns 0, 1, 2; "none before" is 3, so the pair (i, j) has the number 4 i + j.
TRAIN = {"1": "aabc", "2": "aabb", "3": "ba"}


def second_order_chain(workers: int, years: int, seed: int, prefix: str) -> dict[str, str]:
    """The next of two occupations differs from the last but one with 0.9: no first-order model can see it."""
    rng = np.random.default_rng(seed)
    careers = {}
    for worker in range(workers):
        career = list(rng.integers(2, size=2))
        for _ in range(years - 2):
            career.append(1 - career[-2] if rng.random() < 0.9 else career[-2])
        careers[f"{prefix}{worker:04d}"] = "".join("ab"[job] for job in career)
    return careers


def test_pairs_of_three_careers_by_hand(lettered):
    contexts, counts = pair_counts(lettered(TRAIN))
    assert contexts.tolist() == [4 * 0 + 0, 4 * 0 + 1, 4 * 3 + 0, 4 * 3 + 1]
    assert counts.toarray().tolist() == [[0, 2, 0], [0, 1, 1], [2, 0, 0], [1, 0, 0]]


def test_probabilities_by_hand(lettered):
    model = SecondOrderTransitions().fit(lettered(TRAIN), lettered({"4": "abc"}))
    w, prior = model.strength_, model.first_order_
    got = np.exp(model.predict(lettered({"7": "aab", "8": "ca"})).log_probs)
    # a; a after (none, a), which was twice followed by a; b after (a, a), twice followed by b.
    np.testing.assert_allclose(got[0], prior[3], rtol=1e-5)
    np.testing.assert_allclose(got[1], (np.array([2, 0, 0]) + w * prior[0]) / (2 + w), rtol=1e-5)
    np.testing.assert_allclose(got[2], (np.array([0, 2, 0]) + w * prior[0]) / (2 + w), rtol=1e-5)
    # (none, c) does not occur in training: the first-order probabilities after c.
    np.testing.assert_allclose(got[4], prior[2], rtol=1e-5)


def test_learns_what_no_first_order_model_can_and_reproduces_its_validation_perplexity(lettered):
    train = lettered(second_order_chain(300, 8, 1, "t"), 2)
    validation = lettered(second_order_chain(60, 8, 2, "v"), 2)
    second, first = (kind().fit(train, validation) for kind in (SecondOrderTransitions, EmpiricalTransitions))
    perplexities = [np.exp(-model.predict(validation).table["log_prob"].mean()) for model in (second, first)]
    assert perplexities[0] == pytest.approx(
        second.validation_perplexity_["validation_perplexity"].min(), rel=1e-6
    )
    # Entropy of the chain: the first two records are even, the other six 0.9 to 0.1.
    oracle = np.exp((2 * np.log(2) - 6 * (0.9 * np.log(0.9) + 0.1 * np.log(0.1))) / 8)
    assert perplexities[0] == pytest.approx(oracle, rel=0.05)
    assert perplexities[1] > 1.9


def test_one_record_a_worker_leaves_the_start_distribution_and_other_titles_are_refused(lettered):
    model = SecondOrderTransitions().fit(lettered({"1": "a", "2": "b"}), lettered({"3": "a"}))
    log_probs = model.predict(lettered({"4": "ab"})).log_probs
    assert np.isfinite(log_probs).all()
    with pytest.raises(MismatchError, match="fitted for 3 occupations"):
        model.predict(lettered({"9": "ab"}, 2))
