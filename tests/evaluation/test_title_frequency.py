"""Groups by training records against log-probabilities picked by hand, and what they come to together."""

from __future__ import annotations

import numpy as np
import pytest

from labor_llm.careers.panel import CareerPanel
from labor_llm.evaluation.perplexity import bootstrap_differences
from labor_llm.evaluation.title_frequency import perplexity_by_frequency


def with_records(panel: CareerPanel, **records: int) -> CareerPanel:
    """Return records of so many titles, whoever has them."""
    titles = np.repeat(list(records), list(records.values()))
    return CareerPanel(panel.frame.iloc[: len(titles)].assign(occupation=titles), panel.outcomes, "chain")


def test_titles_are_told_apart_by_their_training_records(chain_panel: CareerPanel, chain_model: type) -> None:
    # Cooks and bakers are frequent, those without work at the bound, and nobody who trained is a waiter.
    training = with_records(chain_panel, **{"10": 150, "11": 20, "unemployed": 20, "out_of_labor_force": 19})
    models = [chain_model().predict(chain_panel), chain_model(heat=2.0, name="hot").predict(chain_panel)]
    got = perplexity_by_frequency(models, training, "chain", draws=50, bounds=[1, 20, 1000])
    assert got["training_records"].tolist() == ["0 to 0"] * 2 + ["1 to 19"] * 2 + ["20 or more"] * 2
    assert got["model"].tolist() == ["chain", "hot"] * 3
    titles = models[0].table["occupation"]
    for label, codes in {"0 to 0": ["12"], "20 or more": ["10", "11", "unemployed"]}.items():
        means = [each.table["log_prob"][titles.isin(codes)].mean() for each in models]
        rows = got[got["training_records"] == label]
        assert rows["perplexity"].tolist() == pytest.approx(np.exp(np.negative(means)).tolist())
        assert rows["difference"].iloc[1] == pytest.approx(means[1] - means[0])
        assert (rows["transitions"] == titles.isin(codes).sum()).all()
    own = got["model"] == "chain"
    assert got.loc[own, "difference"].isna().all() and (got.loc[~own, "difference_se"] > 0).all()
    # Differences of the groups, each times its share of the transitions, are that of all.
    (whole,) = bootstrap_differences(models, "chain", draws=50)["log_prob_difference"]
    hot = got[~own]
    assert np.average(hot["difference"], weights=hot["transitions"]) == pytest.approx(whole)
    assert hot["transitions"].sum() == len(titles)


def test_groups_of_few_workers_go_with_their_neighbors(chain_panel: CareerPanel, chain_model: type) -> None:
    found = chain_model().predict(chain_panel)
    waiters = found.table.loc[found.table["occupation"] == "12", "worker_id"].unique()
    # Ten workers are ever a waiter.
    some = chain_panel.restrict([*{*chain_panel.workers} - {*waiters[10:]}])
    training = with_records(chain_panel, **{"10": 150, "11": 20, "unemployed": 20, "out_of_labor_force": 20})
    models = [chain_model().predict(some)]

    def groups(**more: list[int]) -> list[str]:
        return perplexity_by_frequency(models, training, "chain", 20, **more)["training_records"].tolist()

    # Nobody is in the last group either, nor in one between 60 and 99.
    assert groups() == groups(bounds=[20, 60, 100]) == ["0 to 99", "100 or more"]
    assert perplexity_by_frequency(models, training, "chain", 20, bounds=[1000]).empty
