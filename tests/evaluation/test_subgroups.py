"""Groups add up to the whole, are pooled where they are small, and never break a table."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from labor_llm.careers.panel import CareerPanel
from labor_llm.disclosure import POOLED
from labor_llm.evaluation.binary_tasks import CHANGE, UNEMPLOYMENT, binary_events
from labor_llm.evaluation.groups import (
    COLUMNS,
    FEW_WITH_EVENT,
    FEW_WITHOUT_EVENT,
    TOO_FEW,
    subgroup_performance,
)


def test_each_number_is_that_of_the_group_alone(chain_panel: CareerPanel, chain_model: type) -> None:
    models = [chain_model().predict(chain_panel), chain_model(heat=2.0, name="hot").predict(chain_panel)]
    got = subgroup_performance(models, chain_panel, draws=20)
    assert tuple(got.columns) == COLUMNS
    # Two models, three characteristics of two groups, perplexity and two measures of three tasks.
    assert len(got) == 2 * 3 * 2 * (1 + 2 * 3)
    assert (got["reason"] == "").all()
    assert (got["workers"] >= 11).all()
    one = got.set_index(["model", "characteristic", "group", "measure", "task"])["value"]
    female = (chain_panel.frame["gender"] == "female").to_numpy()
    expected = np.exp(-models[0].table.loc[female, "log_prob"].mean())
    assert one["chain", "gender", "female", "perplexity", ""] == pytest.approx(expected)
    events = binary_events(models, chain_panel, CHANGE, columns=["gender"])
    rows = (events.table["gender"] == "female").to_numpy()
    auc = roc_auc_score(events.outcomes[rows], events.probabilities[rows, 0])
    assert one["chain", "gender", "female", "auc", "change_of_occupation"] == pytest.approx(auc)
    errors = got[got["measure"] == "calibration_error"].groupby("model")[["value", "perfect_mean"]].mean()
    assert errors.loc["hot", "value"] > 1.5 * errors.loc["hot", "perfect_mean"]
    assert errors.loc["chain", "value"] < errors.loc["hot", "value"]


def test_small_groups_are_pooled_and_what_rests_on_few_is_not_shown(
    chain_panel: CareerPanel, chain_model: type
) -> None:
    number = pd.factorize(chain_panel.frame["worker_id"])[0]
    groups = np.select([number < 4, number < 10, number < 60], ["tiny", "small", "middle"], "large")
    frame = chain_panel.frame.assign(ethnicity=groups.astype(object))
    # In the middle group nobody is ever unemployed; in the pool it is two workers.
    working = frame["occupation"].replace("unemployed", "10")
    rare = (number >= 10) & (number < 60)
    panel = CareerPanel(
        frame.assign(occupation=frame["occupation"].where(~rare, working)), chain_panel.outcomes, "x"
    )
    got = subgroup_performance([chain_model().predict(panel)], panel, ["ethnicity"], [UNEMPLOYMENT], draws=10)
    assert set(got["group"]) == {POOLED, "middle", "large"} or set(got["group"]) == {POOLED, "large"}
    cells = got.set_index(["group", "measure"])
    if "middle" in set(got["group"]):
        assert cells.loc[("middle", "auc"), "reason"] == "the event never occurs"
        assert np.isnan(cells.loc[("middle", "auc"), "value"])
        # That nobody has the event is a number on fewer than eleven workers as well.
        assert np.isnan(cells.loc[("middle", "calibration_error"), "value"])
    assert cells.loc[(POOLED, "auc"), "reason"] in (FEW_WITH_EVENT, TOO_FEW, "the event never occurs")
    assert np.isnan(cells.loc[(POOLED, "auc"), "value"])
    assert np.isfinite(cells.loc[("large", "auc"), "value"])


@pytest.mark.parametrize(("few", "reason"), [("movers", FEW_WITH_EVENT), ("stayers", FEW_WITHOUT_EVENT)])
def test_a_number_rests_on_eleven_workers_with_the_event_and_eleven_without(
    few: str, reason: str, chain_panel: CareerPanel, chain_model: type
) -> None:
    # Two records each of forty women and forty men. Of the men, ten alone change occupation, or ten alone stay.
    changes = np.arange(40) < (10 if few == "movers" else 30)
    rows = [
        {
            "dataset": "chain", "worker_id": f"{gender}{worker:02d}", "year": year, "gender": gender,
            "ethnicity": "white", "region": "west", "birth_year": 1950, "education": "college",
            "occupation": "11" if year == 1981 and moves else "10",
        }
        for gender, moving in (("female", np.arange(40) < 20), ("male", changes))
        for worker, moves in enumerate(moving)
        for year in (1980, 1981)
    ]  # fmt: skip
    panel = CareerPanel(pd.DataFrame(rows), chain_panel.outcomes, "chain")
    got = subgroup_performance([chain_model().predict(panel)], panel, ["gender"], [CHANGE], draws=10)
    men = got[got["group"] == "male"].set_index("measure")
    assert men.loc[["auc", "calibration_error"], "reason"].tolist() == [reason, reason]
    numbers = ["value", "test_se", "ci_low", "ci_high", "perfect_mean", "perfect_high"]
    assert men.loc[["auc", "calibration_error"], numbers].isna().all(axis=None)
    assert np.isfinite(men.loc["perplexity", "value"])
    women = got[got["group"] == "female"].set_index("measure")
    assert (women["reason"] == "").all()
    assert women.loc["auc", ["workers_with_event", "workers_without_event"]].tolist() == [20, 20]
    assert women.loc["calibration_error", "perfect_mean"] < women.loc["calibration_error", "perfect_high"]


def test_probability_zero_is_infinite_in_its_group_only(chain_panel: CareerPanel, chain_model: type) -> None:
    predictions = chain_model().predict(chain_panel)
    predictions.table.loc[0, "log_prob"] = -np.inf
    got = subgroup_performance([predictions], chain_panel, ["gender"], [], draws=10).set_index("group")
    first = chain_panel.frame["gender"].iloc[0]
    other = next(group for group in got.index if group != first)
    assert got.loc[first, "value"] == np.inf
    assert np.isnan(got.loc[first, "test_se"])
    assert np.isfinite(got.loc[other, ["value", "test_se"]].astype(float)).all()
