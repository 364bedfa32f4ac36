"""Covariates exchanged among workers: what stays, what changes, and what it costs a model that uses them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from labor_llm.careers.occupations import OutcomeSpace
from labor_llm.careers.panel import CareerPanel, transitions
from labor_llm.careers.predictions import Predictions, from_matrix
from labor_llm.errors import InputError, MismatchError
from labor_llm.evaluation.covariates import TOGETHER, permuted_panel, permuted_panels, value_of_covariates


def by_worker(panel: CareerPanel) -> pd.DataFrame:
    return panel.frame.groupby("worker_id")[["gender", "ethnicity", "region", "birth_year"]].first()


def test_careers_and_shares_stay_and_covariates_are_exchanged(chain_panel: CareerPanel) -> None:
    panels = permuted_panels(chain_panel, seeds=(0, 1))
    assert set(panels) == {(c, s) for c in ("gender", "ethnicity", "region", TOGETHER) for s in (0, 1)}
    own = by_worker(chain_panel)
    for (name, _), panel in panels.items():
        pd.testing.assert_frame_equal(
            panel.frame[["worker_id", "year", "occupation", "education"]],
            chain_panel.frame[["worker_id", "year", "occupation", "education"]],
        )
        changed = by_worker(panel)
        assert (panel.frame.groupby("worker_id")[list(changed)].nunique() == 1).all(axis=None)
        columns = list(("gender", "ethnicity", "region") if name == TOGETHER else (name,))
        for column in own:
            assert (changed[column] == own[column]).all() == (column not in columns)
            assert sorted(changed[column]) == sorted(own[column])
        # Exchanged as one: no new combination.
        if name == TOGETHER:
            combined = changed[columns].value_counts().sort_index()
            pd.testing.assert_series_equal(combined, own[columns].value_counts().sort_index())


def test_a_permutation_depends_on_the_seed_alone_and_static_columns_only(chain_panel: CareerPanel) -> None:
    one, two = (permuted_panel(chain_panel, ["gender"], seed).frame for seed in (0, 1))
    pd.testing.assert_frame_equal(one, permuted_panel(chain_panel, ["gender"], 0).frame)
    assert not one["gender"].equals(two["gender"])
    together = permuted_panel(chain_panel, ["gender", "region"], 0).frame
    pd.testing.assert_series_equal(together["gender"], one["gender"])
    born = permuted_panel(chain_panel, ["birth_year"], 0).frame["birth_year"]
    assert born.dtype == chain_panel.frame["birth_year"].dtype
    with pytest.raises(InputError, match="'education' cannot be exchanged"):
        permuted_panel(chain_panel, ["education"], 0)
    with pytest.raises(InputError, match="nothing to exchange"):
        permuted_panel(chain_panel.restrict(chain_panel.workers[:1]), ["gender"], 0)


def gendered(panel: CareerPanel) -> Predictions:
    """A model for which gender is all that matters, and region nothing."""
    table = transitions(panel)
    female = (table["gender"] == "female").to_numpy()
    matrix = np.where(female[:, None], np.log([0.8, 0.2]), np.log([0.3, 0.7]))
    return from_matrix("gendered", table, panel.outcomes, matrix)


@pytest.fixture(scope="module")
def gendered_panel(chain_panel: CareerPanel) -> CareerPanel:
    rng = np.random.default_rng(0)
    first = rng.random(len(chain_panel.frame)) < np.where(chain_panel.frame["gender"] == "female", 0.8, 0.3)
    frame = chain_panel.frame.assign(occupation=np.where(first, "10", "11").astype(object))
    return CareerPanel(frame, OutcomeSpace(("10", "11"), ("Cooks", "Bakers")), "chain")


def test_the_value_of_a_covariate_is_what_exchanging_it_costs(gendered_panel: CareerPanel) -> None:
    panels = permuted_panels(gendered_panel, ("gender", "region"), seeds=range(8))
    scored = {key: gendered(panel) for key, panel in panels.items()}
    got = value_of_covariates(gendered(gendered_panel), scored, draws=200).set_index("covariate")
    # Half of the workers are women, so half of them are given the other gender.
    loss = 0.5 * (
        0.5 * (0.8 * np.log(0.8 / 0.3) + 0.2 * np.log(0.2 / 0.7))
        + 0.5 * (0.3 * np.log(0.3 / 0.8) + 0.7 * np.log(0.7 / 0.2))
    )
    assert -got.loc["gender", "log_prob_difference"] == pytest.approx(loss, rel=0.15)
    assert got.loc["gender", "ci_low"] > 0
    assert got.loc["region", ["difference", "test_se", "seed_sd"]].tolist() == [0.0, 0.0, 0.0]
    assert got.loc[TOGETHER, "difference"] == pytest.approx(got.loc["gender", "difference"])
    assert got.loc["gender", "seeds"] == 8
    assert got.loc["gender", "seed_sd"] > 0
    assert (got["model"] == "gendered").all()
    del scored["region", 3]
    with pytest.raises(MismatchError, match="not the same seeds"):
        value_of_covariates(gendered(gendered_panel), scored, draws=5)
    with pytest.raises(InputError, match="no predictions of permuted panels"):
        value_of_covariates(gendered(gendered_panel), {}, draws=5)
