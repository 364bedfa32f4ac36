"""Events read off the distribution over titles, on the transitions that models share; what is left out and why."""

from __future__ import annotations

import numpy as np
import pytest

from labor_llm.careers.occupations import OutcomeSpace
from labor_llm.careers.panel import CareerPanel, transitions
from labor_llm.careers.predictions import Predictions
from labor_llm.errors import InputError, MismatchError, NumericalError
from labor_llm.evaluation.binary_tasks import (
    CHANGE,
    NO_MODEL,
    NO_STATE,
    OUT_OF_LABOR_FORCE,
    TOO_FEW,
    UNEMPLOYMENT,
    shared_events,
)
from labor_llm.evaluation.comparison import LEFT_OPEN, NOT_SCORED, LeftOut, with_all_titles


def realised(prediction: Predictions, name: str, rows: np.ndarray | None = None) -> Predictions:
    """The same with the scores of all titles for some rows only; for none if not given."""
    rows = np.zeros(len(prediction.table), dtype=bool) if rows is None else rows
    table = prediction.table.assign(log_valid_mass=np.where(rows, 0.0, np.nan))
    matrix = prediction.log_probs[rows] if rows.any() else None
    return Predictions(name, table, prediction.outcomes, matrix)


def test_probabilities_are_entries_of_the_distribution(chain_panel: CareerPanel, chain_model: type) -> None:
    model = chain_model()
    records = transitions(chain_panel)
    later = records[records["previous"].notna()]
    previous = chain_panel.outcomes.indices(later["previous"])
    expected = (1 - model.matrix[previous, previous], model.matrix[previous, 3], model.matrix[previous, 4])
    happened = (
        later["transition_type"] == "moving",
        later["occupation"] == "unemployed",
        later["occupation"] == "out_of_labor_force",
    )
    events, left_out = shared_events([model.predict(chain_panel)], [chain_panel])
    assert left_out == []
    assert [found.task for found in events] == [CHANGE, UNEMPLOYMENT, OUT_OF_LABOR_FORCE]
    for got, chances, occurred in zip(events, expected, happened, strict=True):
        assert got.table["worker_id"].tolist() == later["worker_id"].tolist()
        np.testing.assert_allclose(got.probabilities[:, 0], chances, rtol=1e-6)
        np.testing.assert_array_equal(got.outcomes, occurred)


def test_mass_outside_the_titles_is_divided_out_where_all_titles_were_scored_and_only_there(
    chain_panel: CareerPanel, chain_model: type
) -> None:
    whole = chain_model().predict(chain_panel)
    half = np.log(0.5)
    table = whole.table.assign(log_prob=whole.table["log_prob"] + half, log_valid_mass=half)
    scored = Predictions("lm", table, whole.outcomes, (whole.log_probs + half).astype(np.float32))
    column = whole.log_probs[:, 3] + half
    named = Predictions(
        "named", table.assign(log_valid_mass=np.nan, log_prob_unemployed=column), whole.outcomes
    )
    # The rows of a table need not be sorted, and the matrix follows them.
    order = np.random.default_rng(0).permutation(len(table))
    shuffled = Predictions("shuffled", table.iloc[order], whole.outcomes, scored.log_probs[order])
    models = [whole, scored, named, shuffled]
    (change, got), left_out = shared_events(models, [chain_panel], [CHANGE, UNEMPLOYMENT])
    assert (change.models, got.models) == (("chain", "lm", "shuffled"), ("chain", "lm", "named", "shuffled"))
    np.testing.assert_allclose(got.probabilities[:, 1], got.probabilities[:, 0], rtol=1e-5)
    np.testing.assert_allclose(got.probabilities[:, 2], got.probabilities[:, 0] / 2, rtol=1e-5)
    np.testing.assert_array_equal(got.probabilities[:, 3], got.probabilities[:, 1])
    assert left_out == [LeftOut("chain", CHANGE.label, "named", NOT_SCORED)]
    wrong = Predictions("w", named.table.assign(log_prob_unemployed=0.2), whole.outcomes)
    with pytest.raises(NumericalError, match="above zero"):
        shared_events([wrong], [chain_panel], [UNEMPLOYMENT])


def test_models_are_compared_where_all_of_them_have_the_scores(
    chain_panel: CareerPanel, chain_model: type
) -> None:
    full = chain_model().predict(chain_panel)
    some = (full.table["worker_id"] < "w00100").to_numpy()
    models = [full, realised(full, "partial", some), realised(full, "realised")]
    events, left_out = shared_events(models, [chain_panel])
    (direct,), _ = shared_events([full], [chain_panel], [CHANGE])
    inside = direct.table["worker_id"] < "w00100"
    for found in events:
        assert found.models == ("chain", "partial")
        assert len(found.table) == inside.sum()
    np.testing.assert_allclose(events[0].probabilities[:, 0], direct.probabilities[inside, 0])
    np.testing.assert_allclose(*events[0].probabilities.T)
    assert left_out == [LeftOut("chain", found.task.label, "realised", NOT_SCORED) for found in events]
    complete, without = with_all_titles(models)
    assert [len(model.table) for model in complete] == [some.sum()] * 2
    assert without == [LeftOut("chain", "", "realised", NOT_SCORED)]


def test_what_cannot_be_asked_is_left_out_with_the_reason(
    chain_panel: CareerPanel, chain_model: type
) -> None:
    full = chain_model().predict(chain_panel)
    few = chain_panel.restrict(chain_panel.workers[:15])
    events, left_out = shared_events([chain_model().predict(few)], [few], [UNEMPLOYMENT])
    assert events == []
    assert left_out == [LeftOut("chain", UNEMPLOYMENT.label, "", TOO_FEW)]
    _, left_out = shared_events([realised(full, "r")], [chain_panel], [CHANGE])
    assert [entry.reason for entry in left_out] == [NOT_SCORED, NO_MODEL]
    bounded = Predictions("b", full.table, full.outcomes, full.log_probs, np.zeros_like(full.log_probs))
    _, left_out = shared_events([full, bounded], [chain_panel], [CHANGE])
    assert left_out == [LeftOut("chain", CHANGE.label, "b", LEFT_OPEN)]


def test_a_state_that_a_data_set_lacks(chain_panel: CareerPanel, chain_model: type) -> None:
    space = OutcomeSpace(("10", "11", "12", "x", "y"), chain_panel.outcomes.titles)
    codes = dict(zip(chain_panel.outcomes.codes, space.codes, strict=True))
    frame = chain_panel.frame.assign(occupation=chain_panel.frame["occupation"].map(codes))
    full = chain_model().predict(chain_panel)
    table = full.table.assign(occupation=full.table["occupation"].map(codes))
    events, left_out = shared_events(
        [Predictions("m", table, space, full.log_probs)], [CareerPanel(frame, space, "chain")]
    )
    assert [found.task for found in events] == [CHANGE]
    assert [(entry.what, entry.reason) for entry in left_out] == [
        ("Unemployment", NO_STATE),
        ("Out of the labor force", NO_STATE),
    ]


def test_other_transitions_and_a_missing_panel_are_refused(
    chain_panel: CareerPanel, chain_model: type
) -> None:
    full = chain_model().predict(chain_panel)
    named = Predictions("named", full.table.assign(log_prob_stay=-1.0), full.outcomes)
    other = named.select((named.table["worker_id"] > "w00100").to_numpy())
    with pytest.raises(MismatchError, match="Score the same split"):
        shared_events([full, other], [chain_panel], [CHANGE])
    with pytest.raises(MismatchError, match="different transitions"):
        shared_events([named, Predictions("b", other.table, full.outcomes)], [chain_panel], [CHANGE])
    with pytest.raises(MismatchError, match="are not in the panel"):
        shared_events([full], [chain_panel.restrict(chain_panel.workers[:5])], [CHANGE])
    with pytest.raises(InputError, match="without their panel"):
        shared_events([full], [])
