"""Performance by group over data sets: the same numbers as one data set at a time, and what is left out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from labor_llm.careers.panel import CareerPanel
from labor_llm.careers.predictions import Predictions
from labor_llm.errors import InputError
from labor_llm.evaluation.binary_tasks import CHANGE
from labor_llm.evaluation.groups import ONE_GROUP, TOO_SMALL, group_performance, subgroup_performance
from labor_llm.evaluation.shared_events import NOT_SCORED, LeftOut


def test_it_is_subgroup_performance_where_everything_is_there(
    chain_panel: CareerPanel, chain_model: type
) -> None:
    models = [chain_model().predict(chain_panel)]
    got, left_out = group_performance(models, [chain_panel], draws=20)
    expected = subgroup_performance(models, chain_panel, tasks=[CHANGE], draws=20)
    keys = ["measure", "characteristic", "group"]
    pd.testing.assert_frame_equal(
        got.sort_values(keys, ignore_index=True),
        expected.sort_values(keys, ignore_index=True),
        check_dtype=False,
    )
    assert left_out == []


def test_tasks_are_on_shared_transitions_and_the_rest_is_left_out(
    chain_panel: CareerPanel, chain_model: type
) -> None:
    women = chain_panel.restrict(chain_panel.workers[:80:2])
    frame = women.frame.assign(ethnicity=np.where(women.frame["worker_id"] < "w00004", "rare", "white"))
    panel = CareerPanel(frame, women.outcomes, women.survey)
    full = chain_model().predict(panel)
    plain = Predictions("realised", full.table.assign(log_valid_mass=np.nan), full.outcomes)
    got, left_out = group_performance([full, plain], [panel], draws=20)
    assert left_out == [
        LeftOut("chain", "gender", "", ONE_GROUP),
        LeftOut("chain", "ethnicity", "", TOO_SMALL),
        LeftOut("chain", CHANGE.label, "realised", NOT_SCORED),
    ]
    assert set(got["characteristic"]) == {"education"}
    assert set(got.loc[got["measure"] == "perplexity", "model"]) == {"chain", "realised"}
    assert set(got.loc[got["measure"] == "auc", "model"]) == {"chain"}
    with pytest.raises(InputError, match="no groups"):
        group_performance([plain], [panel], ["gender"], draws=20)
