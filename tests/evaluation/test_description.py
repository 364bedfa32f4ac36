"""Columns of the panel beside the predictions."""

from __future__ import annotations

import pytest

from labor_llm.careers.panel import CareerPanel
from labor_llm.careers.predictions import panel_columns
from labor_llm.errors import InputError, MismatchError
from labor_llm.evaluation.families import psid_families


def test_columns_follow_the_rows_whatever_their_order(chain_panel: CareerPanel, chain_model: type) -> None:
    predictions = chain_model().predict(chain_panel)
    panel = CareerPanel(
        chain_panel.frame.assign(family=chain_panel.frame["worker_id"].str[:-1]), chain_panel.outcomes, "x"
    )
    predictions.table.sort_values("year", inplace=True)
    columns = ["gender", "previous", "family"]
    got = predictions.table.assign(**panel_columns(predictions.table, panel, columns).to_dict("list"))
    expected = panel.frame.set_index(["worker_id", "year"])
    keys = got.set_index(["worker_id", "year"]).index
    for column in ("gender", "family"):
        assert (got[column].to_numpy() == expected.loc[keys, column].to_numpy()).all()
    assert (got["previous"].isna() == (got["transition_type"] == "first")).all()


def test_what_the_panel_lacks_is_refused(chain_panel: CareerPanel, chain_model: type) -> None:
    predictions = chain_model().predict(chain_panel)
    with pytest.raises(InputError, match="the panel has no column 'family'"):
        panel_columns(predictions.table, chain_panel, ["family"])
    with pytest.raises(MismatchError, match="scored transitions are not in the panel"):
        panel_columns(predictions.table, chain_panel.restrict(chain_panel.workers[:2]), ["gender"])
    other = CareerPanel(chain_panel.frame.assign(occupation="10"), chain_panel.outcomes, "x")
    with pytest.raises(MismatchError, match="the occupation differs"):
        panel_columns(predictions.table, other, ["gender"])


def test_psid_families_are_read_off_the_ids() -> None:
    assert psid_families(["4003", "4170", "2930001"]) == {"4003": "4", "4170": "4", "2930001": "2930"}
    with pytest.raises(InputError, match="no PSID id"):
        psid_families(["w12"])
