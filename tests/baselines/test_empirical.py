import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays

from labor_llm.baselines.frequencies import (
    FIRST_RECORD,
    SMOOTHINGS,
    EmpiricalTransitions,
    smoothed_probabilities,
    transition_counts,
)
from labor_llm.careers.occupations import OutcomeSpace
from labor_llm.careers.panel import CareerPanel
from labor_llm.errors import InputError, MismatchError

SPACE = OutcomeSpace(("a", "b", "c"), ("Actors", "Bakers", "Clerks"))
# Two workers: a a b and a b. Rows a, b, c and first records; occupation c never occurs.
COUNTS = np.array([[1, 2, 0], [0, 0, 0], [0, 0, 0], [2, 0, 0]], dtype=float)


def panel(careers: dict[str, str], space: OutcomeSpace = SPACE) -> CareerPanel:
    """Each career is a string of one-letter codes, one a year from 1980."""
    rows = [
        ("toy", worker, 1980 + t, code, "high school", "male", "white", "south", 1960)
        for worker, career in careers.items()
        for t, code in enumerate(career)
    ]
    columns = [
        "dataset",
        "worker_id",
        "year",
        "occupation",
        "education",
        "gender",
        "ethnicity",
        "region",
        "birth_year",
    ]
    return CareerPanel(pd.DataFrame(rows, columns=columns).astype({"birth_year": "Int64"}), space, "toy")


def simulated_chain(
    matrix: np.ndarray, workers: int, years: int, seed: int, prefix: str = "w"
) -> CareerPanel:
    """First occupations are uniform, later ones follow the rows of `matrix`."""
    rng = np.random.default_rng(seed)
    states = np.empty((workers, years), dtype=int)
    states[:, 0] = rng.integers(len(matrix), size=workers)
    for t in range(1, years):
        uniform = rng.random((workers, 1))
        states[:, t] = (uniform > matrix.cumsum(axis=1)[states[:, t - 1]]).sum(axis=1)
    careers = {f"{prefix}{i:05d}": "".join("abcd"[s] for s in row) for i, row in enumerate(states)}
    return panel(careers, OutcomeSpace(tuple("abcd"), ("Actors", "Bakers", "Clerks", "Drivers")))


def test_counts_of_two_careers_by_hand():
    got = transition_counts(panel({"1": "aab", "2": "ab"}))
    assert got.to_numpy().tolist() == COUNTS.tolist()
    assert list(got.index) == ["a", "b", "c", FIRST_RECORD]


def test_counts_agree_with_crosstab():
    frame = simulated_chain(np.full((4, 4), 0.25), workers=50, years=6, seed=3)
    got = transition_counts(frame)
    previous = frame.frame.groupby("worker_id")["occupation"].shift().fillna(FIRST_RECORD)
    expected = pd.crosstab(previous, frame.frame["occupation"]).reindex(got.index)
    assert (got.to_numpy() == expected.to_numpy()).all()


@pytest.mark.parametrize(
    ("smoothing", "strength", "from_a", "from_c", "first"),
    [
        # (1 + 1, 2 + 1, 0 + 1) / (3 + 3)
        ("additive", 1.0, [2 / 6, 3 / 6, 1 / 6], [1 / 3, 1 / 3, 1 / 3], [3 / 5, 1 / 5, 1 / 5]),
        # The records are 3 a, 2 b, 0 c, so the marginal with one added is (4, 3, 1) / 8.
        ("back_off", 2.0, [2 / 5, 2.75 / 5, 0.25 / 5], [4 / 8, 3 / 8, 1 / 8], [3 / 4, 0.75 / 4, 0.25 / 4]),
        # Of 3 transitions 1 stayed: (1 + 1) / (3 + 2) stay. Destinations with one added: (1, 3, 1) / 5.
        (
            "stayer_back_off",
            1.0,
            [1.4 / 4, 2.45 / 4, 0.15 / 4],
            [0.6 / 4, 1.8 / 4, 0.4],
            [2.5 / 3, 0.375 / 3, 0.125 / 3],
        ),
    ],
)
def test_smoothed_probabilities_by_hand(smoothing, strength, from_a, from_c, first):
    got = smoothed_probabilities(COUNTS, smoothing, strength)
    np.testing.assert_allclose(got[[0, 2, 3]], [from_a, from_c, first], rtol=1e-12)


@settings(max_examples=50, deadline=None)
@given(
    counts=arrays(np.int64, (5, 4), elements=st.integers(0, 50)),
    smoothing=st.sampled_from(SMOOTHINGS),
    strength=st.floats(0.01, 500),
)
def test_rows_are_positive_and_add_up_to_one(counts, smoothing, strength):
    got = smoothed_probabilities(counts.astype(float), smoothing, strength)
    assert (got > 0).all()
    np.testing.assert_allclose(got.sum(axis=1), 1.0, rtol=1e-12)


def test_large_alpha_is_uniform_and_small_alpha_the_raw_frequency():
    np.testing.assert_allclose(smoothed_probabilities(COUNTS, "additive", 1e9), 1 / 3, rtol=1e-6)
    np.testing.assert_allclose(
        smoothed_probabilities(COUNTS, "additive", 1e-9)[0], [1 / 3, 2 / 3, 0], atol=1e-8
    )


def test_recovers_a_known_markov_chain():
    matrix = np.array(
        [[0.7, 0.1, 0.1, 0.1], [0.2, 0.6, 0.1, 0.1], [0.05, 0.05, 0.8, 0.1], [0.3, 0.3, 0.3, 0.1]]
    )
    train = simulated_chain(matrix, 1500, 8, seed=1)
    model = EmpiricalTransitions().fit(train, simulated_chain(matrix, 150, 8, seed=2, prefix="v"))
    departures = model.counts_.to_numpy()[:4].sum(axis=1, keepdims=True)
    sampling_error = np.sqrt(matrix * (1 - matrix) / departures)
    # Five standard errors, and what the smoothing pulls at most.
    tolerance = 5 * sampling_error + 4 * model.strength_ / departures
    assert (np.abs(model.probabilities_.to_numpy()[:4] - matrix) < tolerance).all()


def test_smoothing_kept_is_the_best_on_validation_and_reproduces_its_perplexity():
    matrix = np.full((4, 4), 0.1) + 0.6 * np.eye(4)
    train, validation = (simulated_chain(matrix, 30, 5, seed, prefix=f"s{seed}") for seed in (5, 6))
    model = EmpiricalTransitions().fit(train, validation)
    grid = model.validation_perplexity_
    best = grid.loc[grid["validation_perplexity"].idxmin()]
    assert set(grid["smoothing"]) == set(SMOOTHINGS)
    assert (model.smoothing_, model.strength_) == (best["smoothing"], best["strength"])
    got = np.exp(-model.predict(validation).table["log_prob"].mean())
    assert got == pytest.approx(best["validation_perplexity"], rel=1e-12)
    assert set(
        EmpiricalTransitions("additive").fit(train, validation).validation_perplexity_["smoothing"]
    ) == {"additive"}


def test_predictions_follow_the_previous_occupation_only():
    model = EmpiricalTransitions("additive").fit(panel({"1": "aab", "2": "ab"}), panel({"3": "ab"}))
    got = model.predict(panel({"7": "ab", "8": "bc"}))
    expected = np.log(model.probabilities_.loc[[FIRST_RECORD, "a", FIRST_RECORD, "b"]])
    np.testing.assert_allclose(got.log_probs, expected, rtol=1e-6)
    assert got.table["log_prob"].tolist() == pytest.approx(
        [expected.iloc[i, j] for i, j in enumerate([0, 1, 1, 2])]
    )


def test_refuses_a_worker_in_both_splits_other_titles_and_an_unknown_smoothing():
    train = panel({"1": "aab", "2": "ab"})
    with pytest.raises(InputError, match="1 workers are in the training and in the validation panel"):
        EmpiricalTransitions().fit(train, panel({"2": "ab"}))
    other = panel({"9": "ab"}, OutcomeSpace(("a", "b"), ("Actors", "Bakers")))
    with pytest.raises(MismatchError, match="fitted for 3 occupations"):
        EmpiricalTransitions().fit(train, other)
    with pytest.raises(MismatchError, match="fitted for 3 occupations"):
        EmpiricalTransitions().fit(train, panel({"3": "ab"})).predict(other)
    with pytest.raises(InputError, match="'laplace' is not known"):
        EmpiricalTransitions("laplace")
