import math

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import given

from labor_llm.careers.occupations import OutcomeSpace
from labor_llm.careers.predictions import Predictions
from labor_llm.errors import InputError, MismatchError, NumericalError
from labor_llm.evaluation.perplexity import perplexity, perplexity_table

SPACE = OutcomeSpace(("a", "b"), ("Actors", "Bakers"))


def predictions(model: str, log_probs, valid_mass=0.0, dataset: str = "toy", workers="1122") -> Predictions:
    """Two records of each of two workers, unless told otherwise; `valid_mass` in nats."""
    workers = list(workers)
    count = pd.Series(workers).groupby(workers).cumcount()
    table = pd.DataFrame(
        {
            "dataset": dataset,
            "worker_id": workers,
            "year": 1980 + count,
            "transition_type": np.where(count == 0, "first", "moving"),
            "occupation": ["a" if c == 0 else "b" for c in count],
            "log_prob": np.asarray(log_probs, dtype=float),
            "log_valid_mass": valid_mass,
        }
    )
    return Predictions(model, table, SPACE)


def test_perplexity_in_closed_form():
    assert perplexity(np.log([0.5, 0.25, 0.125])) == pytest.approx(4.0, rel=1e-14)
    # A model that gives 0.6 to staying and 0.1 to each of four moves, where 3 of 5 stay.
    assert perplexity(np.log([0.6, 0.6, 0.6, 0.1, 0.1])) == pytest.approx(0.6**-0.6 * 0.1**-0.4, rel=1e-14)


@pytest.mark.parametrize("occupations", [2, 108, 335])
def test_a_uniform_guess_has_the_number_of_occupations_as_perplexity(occupations):
    assert perplexity(np.full(1000, -math.log(occupations))) == pytest.approx(occupations, rel=1e-12)


@given(st.lists(st.floats(-30, 0), min_size=1, max_size=200))
def test_agrees_with_exact_summation(log_probs):
    expected = math.exp(-math.fsum(log_probs) / len(log_probs))
    assert perplexity(log_probs) == pytest.approx(expected, rel=1e-12)


def test_one_zero_probability_is_infinite_and_counted():
    assert perplexity([-1.0, -np.inf]) == np.inf
    got = perplexity_table([predictions("m", [-1.0, -np.inf, -1.0, -2.0])])
    assert got.loc[0, ["perplexity", "mean_log_prob", "zero_probabilities"]].tolist() == [np.inf, -np.inf, 1]


@pytest.mark.parametrize("bad", [np.nan, 2e-6])
def test_what_is_no_log_probability_is_refused(bad):
    with pytest.raises(NumericalError, match="of 2 are"):
        perplexity([-1.0, bad])
    assert perplexity([0.0, 1e-7]) == pytest.approx(1.0, abs=1e-6)


def test_no_transitions_have_no_perplexity():
    with pytest.raises(InputError, match="no transitions"):
        perplexity([])


def test_table_by_hand():
    logs = np.log([0.5, 0.25, 0.5, 0.25])
    got = perplexity_table([predictions("lm", logs, math.log(0.5)), predictions("counts", logs)])
    expected = pd.DataFrame(
        {
            "dataset": ["toy", "toy"],
            "model": ["lm", "counts"],
            "perplexity": [math.sqrt(8), math.sqrt(8)],
            "normalised_perplexity": [math.sqrt(2), math.sqrt(8)],
            "mean_log_prob": [-1.5 * math.log(2)] * 2,
            "transitions": [4, 4],
            "workers": [2, 2],
            "zero_probabilities": [0, 0],
            "normalised_transitions": [4, 4],
        }
    )
    pd.testing.assert_frame_equal(got, expected)


def test_groups_weighted_by_their_size_give_the_total():
    model = predictions("m", [-1.0, -2.0, -3.0, -4.0, -5.0], workers="11122")
    total, parts = perplexity_table([model]), perplexity_table([model], by="transition_type")
    assert parts["transition_type"].tolist() == ["first", "moving"]
    assert parts["transitions"].tolist() == [2, 3]
    weighted = (parts["mean_log_prob"] * parts["transitions"]).sum() / parts["transitions"].sum()
    assert weighted == pytest.approx(total["mean_log_prob"][0], rel=1e-12)


def test_normalised_perplexities_rest_on_the_transitions_that_all_models_have():
    logs = np.log([0.5, 0.25, 0.5, 0.125])
    some = predictions("lm", logs, [math.log(0.5), np.nan, np.nan, math.log(0.5)])
    never = predictions("realised only", logs, np.nan)
    got = perplexity_table([some, predictions("counts", logs), never]).set_index("model")
    assert got["normalised_transitions"].tolist() == [2, 2, 0]
    assert got.loc["lm", "normalised_perplexity"] == pytest.approx(2.0)
    assert got.loc["counts", "normalised_perplexity"] == pytest.approx(4.0)
    assert np.isnan(got.loc["realised only", "normalised_perplexity"])
    disjoint = predictions("other", logs, [np.nan, 0.0, 0.0, np.nan])
    with pytest.raises(MismatchError, match="no transition has the scores of all titles from each of the 2"):
        perplexity_table([some, disjoint])


def test_row_order_does_not_matter():
    model = predictions("m", [-1.0, -2.0, -3.0, -4.0], -0.1)
    shuffled = Predictions("m", model.table.iloc[[2, 0, 3, 1]], SPACE)
    pd.testing.assert_frame_equal(perplexity_table([model]), perplexity_table([shuffled]))


def test_several_data_sets_are_compared_each_on_its_own_transitions():
    small = predictions("m", [-1.0, -1.0], dataset="other", workers="77")
    got = perplexity_table([predictions("m", [-1.0] * 4), predictions("k", [-2.0] * 4), small])
    assert got[["dataset", "model", "transitions"]].to_numpy().tolist() == [
        ["toy", "m", 4],
        ["toy", "k", 4],
        ["other", "m", 2],
    ]


def test_models_on_different_transitions_are_refused_with_counts():
    four, three = predictions("m", [-1.0] * 4), predictions("k", [-1.0] * 3, workers="112")
    with pytest.raises(MismatchError, match=r"different transitions \('m' 4, 'k' 3; 3 in common\)"):
        perplexity_table([four, three])
    other = Predictions("k", four.table.assign(occupation="a"), SPACE)
    with pytest.raises(MismatchError, match="realised occupations differ in 2 of 4"):
        perplexity_table([four, other])
    with pytest.raises(InputError, match="'m' has 4 transitions twice"):
        perplexity_table([four, four])
    with pytest.raises(InputError, match="'decade' is no column"):
        perplexity_table([four], by="decade")
    with pytest.raises(InputError, match="no predictions"):
        perplexity_table([])
