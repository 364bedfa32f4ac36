"""Groups add up to the whole, are pooled where they are small, and never break a table."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from labor_llm.careers.panel import CareerPanel
from labor_llm.careers.predictions import Predictions
from labor_llm.disclosure import POOLED
from labor_llm.evaluation.binary_tasks import CHANGE, shared_events
from labor_llm.evaluation.comparison import NOT_SCORED, LeftOut
from labor_llm.evaluation.groups import (
    COLUMNS,
    FEW_WITH_EVENT,
    FEW_WITHOUT_EVENT,
    ONE_GROUP,
    TOO_SMALL,
    group_performance,
)


def test_each_number_is_that_of_the_group_alone(chain_panel: CareerPanel, chain_model: type) -> None:
    models = [chain_model().predict(chain_panel), chain_model(heat=2.0, name="hot").predict(chain_panel)]
    got, left_out = group_performance(models, [chain_panel], draws=20)
    assert left_out == []
    assert tuple(got.columns) == COLUMNS
    # Two models, three characteristics of two groups, three measures.
    assert len(got) == 2 * 3 * 2 * 3
    assert (got["reason"] == "").all()
    assert (got["workers"] >= 11).all()
    one = got.set_index(["model", "characteristic", "group", "measure", "task"])["value"]
    female = (chain_panel.frame["gender"] == "female").to_numpy()
    expected = np.exp(-models[0].table.loc[female, "log_prob"].mean())
    assert one["chain", "gender", "female", "perplexity", ""] == pytest.approx(expected)
    (events,), _ = shared_events(models, [chain_panel], [CHANGE])
    women = chain_panel.frame.loc[female, "worker_id"]
    rows = events.table["worker_id"].isin(women)
    auc = roc_auc_score(events.outcomes[rows], events.probabilities[rows, 0])
    assert one["chain", "gender", "female", "auc", CHANGE.label] == pytest.approx(auc)
    errors = got[got["measure"] == "calibration_error"].groupby("model")[["value", "perfect_mean"]].mean()
    assert errors.loc["hot", "value"] > 1.5 * errors.loc["hot", "perfect_mean"]
    assert errors.loc["chain", "value"] < errors.loc["hot", "value"]


def test_small_groups_are_pooled_and_what_rests_on_few_is_not_shown(
    chain_panel: CareerPanel, chain_model: type
) -> None:
    number = pd.factorize(chain_panel.frame["worker_id"])[0]
    groups = np.select([number < 4, number < 12, number < 60], ["tiny", "small", "middle"], "large")
    frame = chain_panel.frame.assign(ethnicity=groups.astype(object))
    # In the middle group nobody ever changes occupation.
    stays = (number >= 12) & (number < 60)
    panel = CareerPanel(
        frame.assign(occupation=frame["occupation"].mask(stays, "10")), chain_panel.outcomes, "x"
    )
    got, _ = group_performance([chain_model().predict(panel)], [panel], draws=10)
    cells = got[got["characteristic"] == "ethnicity"].set_index(["group", "measure"])
    assert set(cells.index.get_level_values("group")) == {POOLED, "middle", "large"}
    assert cells.loc[(POOLED, "perplexity"), "workers"] == 12
    assert cells.loc[("middle", "auc"), "reason"] == "the event never occurs"
    # That nobody has the event is a number on fewer than eleven workers as well.
    assert cells.loc[("middle", "calibration_error"), "reason"] == FEW_WITH_EVENT
    assert cells.loc["middle", "value"].isna().tolist() == [False, True, True]
    assert np.isfinite(cells.loc["large", "value"]).all()


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
    got, left_out = group_performance([chain_model().predict(panel)], [panel], draws=10)
    assert left_out == [LeftOut("chain", name, "", ONE_GROUP) for name in ("ethnicity", "education")]
    men = got[got["group"] == "male"].set_index("measure")
    assert men.loc[["auc", "calibration_error"], "reason"].tolist() == [reason, reason]
    numbers = ["value", "test_se", "ci_low", "ci_high", "perfect_mean", "perfect_high"]
    assert men.loc[["auc", "calibration_error"], numbers].isna().all(axis=None)
    assert np.isfinite(men.loc["perplexity", "value"])
    women = got[got["group"] == "female"].set_index("measure")
    assert (women["reason"] == "").all()
    assert women.loc["auc", ["workers_with_event", "workers_without_event"]].tolist() == [20, 20]
    assert women.loc["calibration_error", "perfect_mean"] < women.loc["calibration_error", "perfect_high"]


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
    alike = CareerPanel(frame.assign(ethnicity="white", education="college"), women.outcomes, women.survey)
    none, left_out = group_performance([plain], [alike], draws=20)
    assert (len(none), tuple(none), len(left_out)) == (0, COLUMNS, 5)


def test_probability_zero_is_infinite_in_its_group_only(chain_panel: CareerPanel, chain_model: type) -> None:
    predictions = chain_model().predict(chain_panel)
    predictions.table.loc[0, "log_prob"] = -np.inf
    got, _ = group_performance([predictions], [chain_panel], draws=10)
    got = got[(got["characteristic"] == "gender") & (got["measure"] == "perplexity")].set_index("group")
    first = chain_panel.frame["gender"].iloc[0]
    other = next(group for group in got.index if group != first)
    assert got.loc[first, "value"] == np.inf
    assert np.isnan(got.loc[first, "test_se"])
    assert np.isfinite(got.loc[other, ["value", "test_se"]].astype(float)).all()
