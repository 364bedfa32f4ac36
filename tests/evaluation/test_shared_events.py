"""Tasks on the transitions that models share, what is left out and why, and differences to the best baseline."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from labor_llm.careers.occupations import OutcomeSpace
from labor_llm.careers.panel import CareerPanel
from labor_llm.careers.predictions import Predictions
from labor_llm.errors import InputError, MismatchError
from labor_llm.evaluation.binary_tasks import CHANGE, OUT_OF_LABOR_FORCE, UNEMPLOYMENT, binary_events
from labor_llm.evaluation.ranking import bootstrap_auc_differences
from labor_llm.evaluation.shared_events import (
    LEFT_OPEN,
    NO_MODEL,
    NO_STATE,
    NOT_SCORED,
    TOO_FEW,
    LeftOut,
    differences_to_best,
    shared_events,
    with_all_titles,
)


def realised(prediction: Predictions, name: str, rows: np.ndarray | None = None) -> Predictions:
    """The same with the scores of all titles for some rows only; for none if not given."""
    rows = np.zeros(len(prediction.table), dtype=bool) if rows is None else rows
    table = prediction.table.assign(log_valid_mass=np.where(rows, 0.0, np.nan))
    matrix = prediction.log_probs[rows] if rows.any() else None
    return Predictions(name, table, prediction.outcomes, matrix)


def test_models_are_compared_where_all_of_them_have_the_scores(
    chain_panel: CareerPanel, chain_model: type
) -> None:
    full = chain_model().predict(chain_panel)
    some = (full.table["worker_id"] < "w00100").to_numpy()
    models = [full, realised(full, "partial", some), realised(full, "realised")]
    events, left_out = shared_events(models, [chain_panel])
    assert [found.task for found in events] == [CHANGE, UNEMPLOYMENT, OUT_OF_LABOR_FORCE]
    direct = binary_events([full], chain_panel, CHANGE)
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


def test_a_named_title_stands_for_the_scores_of_all(chain_panel: CareerPanel, chain_model: type) -> None:
    full = chain_model().predict(chain_panel)
    plain = realised(full, "named")
    column = full.log_probs[:, chain_panel.outcomes.index("unemployed")].astype(float)
    named = Predictions("named", plain.table.assign(log_prob_unemployed=column), plain.outcomes)
    events, left_out = shared_events([full, named], [chain_panel], [CHANGE, UNEMPLOYMENT])
    assert [found.models for found in events] == [("chain",), ("chain", "named")]
    np.testing.assert_allclose(*events[1].probabilities.T, rtol=1e-6)
    assert left_out == [LeftOut("chain", CHANGE.label, "named", NOT_SCORED)]


def test_what_cannot_be_asked_is_left_out_with_the_reason(
    chain_panel: CareerPanel, chain_model: type
) -> None:
    full = chain_model().predict(chain_panel)
    few = chain_panel.restrict(chain_panel.workers[:15])
    events, left_out = shared_events([chain_model().predict(few)], [few], [UNEMPLOYMENT])
    unemployed = few.frame.loc[few.frame["occupation"] == "unemployed", "worker_id"].nunique()
    assert (events == []) == (unemployed < 11)
    assert left_out == [LeftOut("chain", UNEMPLOYMENT.label, "", TOO_FEW)]
    _, left_out = shared_events([realised(full, "r")], [chain_panel], [CHANGE])
    assert [entry.reason for entry in left_out] == [NOT_SCORED, NO_MODEL]
    bounded = Predictions("b", full.table, full.outcomes, full.log_probs, np.zeros_like(full.log_probs))
    _, left_out = shared_events([full, bounded], [chain_panel], [CHANGE])
    assert left_out == [LeftOut("chain", CHANGE.label, "b", LEFT_OPEN)]
    with pytest.raises(InputError, match="without their panel"):
        shared_events([full], [])


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
    assert {(entry.what, entry.reason) for entry in left_out} == {
        ("Unemployment", NO_STATE),
        ("Out of the labor force", NO_STATE),
    }


def test_different_splits_are_refused(chain_panel: CareerPanel, chain_model: type) -> None:
    full = chain_model().predict(chain_panel)
    column = np.zeros(len(full.table)) - 1.0
    named = Predictions("named", full.table.assign(log_prob_stay=column), full.outcomes)
    other = named.select((named.table["worker_id"] > "w00100").to_numpy())
    with pytest.raises(MismatchError, match="Score the same split"):
        shared_events([full, other], [chain_panel], [CHANGE])


def test_the_reference_is_the_baseline_that_ranks_best(chain_panel: CareerPanel, chain_model: type) -> None:
    flat = np.full((6, 5), 0.2)
    models = [
        chain_model(name="true").predict(chain_panel),
        chain_model(matrix=flat, name="flat").predict(chain_panel),
        chain_model(heat=3.0, name="good").predict(chain_panel),
    ]
    events, _ = shared_events(models, [chain_panel], [UNEMPLOYMENT])
    got = differences_to_best(events, ["flat", "good"], draws=50, seed=2)
    assert got["reference"].tolist() == ["good", "good"]
    assert got.loc[got["model"] == "flat", "difference"].item() < -0.05
    pd.testing.assert_frame_equal(got, bootstrap_auc_differences(events, "good", draws=50, seed=2))
    with pytest.raises(InputError, match="no predictions of a baseline"):
        differences_to_best(events, ["none of these"])
