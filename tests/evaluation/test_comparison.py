import numpy as np
import pandas as pd
import pytest

from labor_llm.errors import MismatchError
from labor_llm.evaluation.comparison import scored_in_full
from labor_llm.occupations import OutcomeSpace
from labor_llm.predictions import Predictions

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
    one, two = scored_in_full(
        [_predictions("one", [True, True, True, False]), _predictions("two", [False, True, True, True])]
    )
    assert one.table["log_prob"].tolist() == two.table["log_prob"].tolist() == [-2.0, -3.0]
    assert one.log_probs is not None
    assert two.log_probs is not None
    assert one.log_probs[:, 0].tolist() == two.log_probs[:, 0].tolist() == [-2.0, -3.0]


def test_no_transition_in_common_is_an_error() -> None:
    with pytest.raises(MismatchError, match="for no transition in common"):
        scored_in_full(
            [_predictions("one", [True, False, False, False]), _predictions("two", [False, True, True, True])]
        )
