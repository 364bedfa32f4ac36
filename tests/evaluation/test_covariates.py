"""Covariates exchanged among workers: what stays, what changes, what it costs, and each career scored once."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from labor_llm.careers.occupations import OutcomeSpace
from labor_llm.careers.panel import CareerPanel, transitions
from labor_llm.careers.predictions import TRANSITION_COLUMNS, Predictions, from_matrix
from labor_llm.errors import InputError, MismatchError
from labor_llm.evaluation.covariates import (
    TOGETHER,
    by_permutation,
    careers_to_score,
    of_workers,
    permuted_panels,
    random_workers,
    value_of_covariates,
    value_to_language_model,
    varying_covariates,
)

COLUMNS = ("gender", "ethnicity", "region")


def by_worker(panel: CareerPanel) -> pd.DataFrame:
    return panel.frame.groupby("worker_id")[["gender", "ethnicity", "region", "birth_year"]].first()


def test_careers_and_shares_stay_and_covariates_are_exchanged(chain_panel: CareerPanel) -> None:
    panels = permuted_panels(chain_panel, COLUMNS, (0, 1))
    assert set(panels) == {(c, s) for c in (*COLUMNS, TOGETHER) for s in (0, 1)}
    own = by_worker(chain_panel)
    for (name, _), panel in panels.items():
        career = ["worker_id", "year", "occupation", "education"]
        pd.testing.assert_frame_equal(panel.frame[career], chain_panel.frame[career])
        changed = by_worker(panel)
        assert (panel.frame.groupby("worker_id")[list(changed)].nunique() == 1).all(axis=None)
        columns = list(COLUMNS if name == TOGETHER else (name,))
        for column in own:
            assert (changed[column] == own[column]).all() == (column not in columns)
            assert sorted(changed[column]) == sorted(own[column])
        # Exchanged as one: no new combination.
        if name == TOGETHER:
            combined = changed[columns].value_counts().sort_index()
            pd.testing.assert_series_equal(combined, own[columns].value_counts().sort_index())


def test_a_permutation_depends_on_the_seed_alone_and_static_columns_only(chain_panel: CareerPanel) -> None:
    panels = permuted_panels(chain_panel, ["gender", "region"], (0, 1))
    alone = permuted_panels(chain_panel, ["gender", "birth_year"], (0,))
    pd.testing.assert_frame_equal(panels["gender", 0].frame, alone["gender", 0].frame)
    assert not panels["gender", 0].frame["gender"].equals(panels["gender", 1].frame["gender"])
    together = panels[TOGETHER, 0].frame["gender"]
    pd.testing.assert_series_equal(together, panels["gender", 0].frame["gender"])
    assert alone["birth_year", 0].frame["birth_year"].dtype == chain_panel.frame["birth_year"].dtype
    with pytest.raises(InputError, match="'education' cannot be exchanged"):
        permuted_panels(chain_panel, ["education"], (0,))
    with pytest.raises(InputError, match="nothing can be exchanged"):
        permuted_panels(chain_panel.restrict(chain_panel.workers[:1]), ["gender"], (0,))
    with pytest.raises(InputError, match="each seed and each column once"):
        permuted_panels(chain_panel, ["gender"], (0, 0))


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
    assert value_of_covariates(gendered(gendered_panel), {}, draws=5).empty


WEIGHTS = {"female": 1.0, "male": 2.0, "hispanic": 0.3, "white": 0.1, "west": 0.05, "south": 0.01}


class Covariates:
    """A log-probability that tells year and every covariate."""

    def predict(self, panel: CareerPanel) -> Predictions:
        table = transitions(panel)
        told = sum(table[name].map(WEIGHTS) for name in ("gender", "ethnicity", "region"))
        log_prob = -(told + (table["year"] - 1979) / 7.0)
        table = table[list(TRANSITION_COLUMNS)].assign(log_prob=log_prob, log_valid_mass=np.nan)
        return Predictions("m", table.reset_index(drop=True), panel.outcomes)


@pytest.mark.parametrize("columns", [["gender"], list(COLUMNS)])
def test_each_career_is_scored_once_and_every_permutation_is_complete(
    chain_panel: CareerPanel, columns: list[str]
) -> None:
    panel = chain_panel.restrict(chain_panel.workers[:60])
    permuted = permuted_panels(panel, columns, seeds=(4, 1, 2))
    distinct = careers_to_score(panel, permuted)
    described = distinct.frame.drop_duplicates("worker_id")
    assert len(described) < 60 * len(permuted) / 2
    origin = described["worker_id"].str.rsplit("-", n=1).str[0]
    assert not described.assign(origin=origin)[["origin", "gender", "ethnicity", "region"]].duplicated().any()
    model = Covariates()
    true = model.predict(chain_panel)
    got = by_permutation(true, panel, permuted, model.predict(distinct))
    expected = {key: model.predict(other) for key, other in permuted.items()}
    assert list(got) == list(expected)
    for key in got:
        np.testing.assert_array_equal(got[key].table["worker_id"], expected[key].table["worker_id"])
        np.testing.assert_allclose(got[key].table["log_prob"], expected[key].table["log_prob"], rtol=1e-12)


def test_careers_that_were_not_scored_are_noticed(chain_panel: CareerPanel) -> None:
    panel = chain_panel.restrict(chain_panel.workers[:30])
    permuted = permuted_panels(panel, ["gender"], seeds=(1,))
    model = Covariates()
    scored = model.predict(careers_to_score(panel, permuted))
    lacking = scored.select(np.arange(len(scored.table)) > 0)
    with pytest.raises(MismatchError, match="1 records of exchanged careers"):
        by_permutation(model.predict(panel), panel, permuted, lacking)
    with pytest.raises(MismatchError, match="Give those of the whole test split"):
        of_workers(model.predict(panel.restrict(panel.workers[:5])), panel)
    same = panel.restrict(panel.workers[::2])
    assert careers_to_score(same, permuted_panels(same, ["gender"], seeds=(1,))).frame.empty


def test_workers_are_drawn_and_covariates_without_variation_left_out(chain_panel: CareerPanel) -> None:
    drawn = random_workers(chain_panel, 20, seed=1)
    assert len(drawn.workers) == 20
    assert drawn.workers == random_workers(chain_panel, 20, seed=1).workers
    assert drawn.workers != chain_panel.workers[:20]
    assert random_workers(chain_panel, -1, seed=1) is chain_panel
    with pytest.raises(InputError, match="at least 11"):
        random_workers(chain_panel, 10, seed=1)
    women = chain_panel.restrict(chain_panel.workers[::2])
    kept, left_out = varying_covariates(women, COLUMNS)
    assert kept == ["ethnicity", "region"]
    assert [entry.what for entry in left_out] == ["gender"]
    assert TOGETHER in {name for name, _ in permuted_panels(women, kept, seeds=(1,))}
    kept, left_out = varying_covariates(women, ["gender"])
    assert (kept, len(left_out)) == ([], 1)
    assert permuted_panels(women, kept, seeds=(1,)) == {}


def test_what_changes_no_career_is_worth_nothing_and_nothing_is_scored(chain_panel: CareerPanel) -> None:
    panel = chain_panel.restrict(chain_panel.workers[:30:2])
    true = Covariates().predict(panel)
    unchanged = permuted_panels(panel, ["gender"], seeds=(1, 2))
    worth = value_to_language_model(true, panel, unchanged, lambda careers: pytest.fail("scored"), draws=20)
    assert worth["difference"].tolist() == [0.0]
    assert worth["test_se"].tolist() == [0.0]
    assert value_to_language_model(true, panel, {}, lambda careers: pytest.fail("scored")).empty
