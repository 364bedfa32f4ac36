import numpy as np
import pandas as pd
import pytest

from labor_llm.careers.occupations import OutcomeSpace
from labor_llm.careers.predictions import Predictions
from labor_llm.errors import InputError, MismatchError
from labor_llm.evaluation.comparison import compare, groups, in_common

OUTCOMES = OutcomeSpace(("1", "2"), ("Cooks", "Bakers"))


def _predictions(model: str, full: list[bool]) -> Predictions:
    table = pd.DataFrame(
        {
            "dataset": "a", "worker_id": ["x", "x", "y", "z"], "year": [1, 2, 1, 1], "transition_type": "first",
            "occupation": "1", "log_prob": [-1.0, -2.0, -3.0, -4.0],
            "log_valid_mass": np.where(full, -0.5, np.nan),
        }
    )  # fmt: skip
    matrix = np.repeat(-np.arange(1.0, 5.0)[full, None], 2, axis=1).astype(np.float32)
    return Predictions(model, table, OUTCOMES, matrix)


def test_transitions_that_all_models_scored_in_full_are_kept_with_their_rows_of_the_matrix() -> None:
    two = _predictions("two", [False, True, True, True])
    for one in in_common([_predictions("one", [True, True, True, False]), two], all_titles=True):
        assert one.table["log_prob"].tolist() == [-2.0, -3.0]
        assert one.log_probs is not None
        assert one.log_probs[:, 0].tolist() == [-2.0, -3.0]
    with pytest.raises(MismatchError, match="for no transition in common"):
        in_common([_predictions("one", [True, False, False, False]), two], all_titles=True)


def test_models_in_any_order_of_rows_are_columns_of_one_table() -> None:
    one, two = _predictions("one", [True] * 4), _predictions("two", [True, True, False, True])
    born = pd.array([1950, 1950, None, 1960], dtype="Int64")
    one = Predictions("one", one.table.assign(birth_year=born), OUTCOMES)
    order = [3, 1, 0, 2]
    two = Predictions("two", two.table.assign(birth_year=born).iloc[order], OUTCOMES)
    (got,) = compare([one, two], ["birth_year"])
    assert got.log_probs.tolist() == [[-1.0, -1.0], [-2.0, -2.0], [-3.0, -3.0], [-4.0, -4.0]]
    assert got.compared_in_full[:, 0].tolist() == [True, True, False, True]
    assert [(key, rows.tolist()) for key, rows in groups(got.transitions, "worker_id", "a")] == [
        ({"worker_id": "x"}, [0, 1]),
        ({"worker_id": "y"}, [2]),
        ({"worker_id": "z"}, [3]),
    ]
    with pytest.raises(InputError, match=r"^a: 1 of 4 transitions have no value of 'birth_year'"):
        got.cells("birth_year")
    two.table["birth_year"] = pd.array([1960, 1951, 1950, None], dtype="Int64")
    with pytest.raises(MismatchError, match="'birth_year' differ in 1 of 4"):
        compare([one, two], ["birth_year"])
    with pytest.raises(InputError, match="'gender' is no column"):
        compare([one, two], ["gender"])
    with pytest.raises(MismatchError, match="realised occupations differ in 4 of 4"):
        compare([one, Predictions("two", one.table.assign(occupation="2"), OUTCOMES)])
    three = one.select(np.array([True, True, False, True]))
    with pytest.raises(MismatchError, match=r"different transitions \('one' 4, 'three' 3; 3 in common\)"):
        compare([one, Predictions("three", three.table, OUTCOMES)])
    with pytest.raises(InputError, match="no predictions"):
        compare([])


def test_data_sets_come_in_the_order_given_and_a_model_once_in_each() -> None:
    one = _predictions("one", [True] * 4)
    other = Predictions("one", one.table.assign(dataset="b"), OUTCOMES)
    assert [comparison.dataset for comparison in compare([other, one])] == ["b", "a"]
    with pytest.raises(InputError, match="'one' has 4 transitions twice"):
        compare([one, one])


def test_selected_rows_keep_their_bounds() -> None:
    model = _predictions("m", [True, False, True, True])
    assert model.log_probs is not None
    bounded = Predictions("m", model.table, OUTCOMES, model.log_probs, model.log_probs + np.float32(0.25))
    got = bounded.select(np.array([True, True, False, True]))
    assert got.log_probs[:, 0].tolist() == [-1.0, -4.0]
    assert (got.upper - got.log_probs == 0.25).all()


def test_transitions_that_all_models_predict_are_kept() -> None:
    whole, part = _predictions("one", [True] * 4), _predictions("two", [True] * 4)
    part = part.select(np.array([False, True, False, True]))
    elsewhere = Predictions("one", whole.table.assign(dataset="b"), OUTCOMES)
    one, two, other = in_common([whole, part, elsewhere])
    assert one.table["log_prob"].tolist() == two.table["log_prob"].tolist() == [-2.0, -4.0]
    assert len(other.table) == 4, "each data set has its own"
    with pytest.raises(MismatchError, match="a: the models predict no transition in common"):
        in_common([part, whole.select(np.array([True, False, True, False]))])
