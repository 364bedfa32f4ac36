"""Careers scored once for several permutations: the same as predicting each permuted panel on its own."""

from __future__ import annotations

import numpy as np
import pytest

from labor_llm.careers.panel import CareerPanel, transitions
from labor_llm.careers.predictions import Predictions
from labor_llm.errors import InputError, MismatchError
from labor_llm.evaluation.covariates import (
    TOGETHER,
    by_permutation,
    careers_to_score,
    of_workers,
    permuted_panels,
    predicted_permutations,
    random_workers,
    varying_covariates,
)

WEIGHTS = {"female": 1.0, "male": 2.0, "hispanic": 0.3, "white": 0.1, "west": 0.05, "south": 0.01}


class Covariates:
    """A log-probability that tells year and every covariate."""

    def predict(self, panel: CareerPanel) -> Predictions:
        table = transitions(panel)
        told = sum(table[name].map(WEIGHTS) for name in ("gender", "ethnicity", "region"))
        table = table[["dataset", "worker_id", "year", "transition_type", "occupation"]].reset_index(
            drop=True
        )
        table["log_prob"] = -(told.to_numpy() + (table["year"] - 1979) / 7.0)
        return Predictions("m", table.assign(log_valid_mass=np.nan), panel.outcomes)


@pytest.mark.parametrize("columns", [["gender"], ["gender", "ethnicity", "region"]])
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
    expected = predicted_permutations(model, permuted)
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
    with pytest.raises(InputError, match="change no career"):
        careers_to_score(same, permuted_panels(same, ["gender"], seeds=(1,)))


def test_workers_are_drawn_and_covariates_without_variation_left_out(chain_panel: CareerPanel) -> None:
    drawn = random_workers(chain_panel, 20, seed=1)
    assert len(drawn.workers) == 20
    assert drawn.workers == random_workers(chain_panel, 20, seed=1).workers
    assert drawn.workers != chain_panel.workers[:20]
    assert random_workers(chain_panel, -1, seed=1) is chain_panel
    with pytest.raises(InputError, match="at least 11"):
        random_workers(chain_panel, 10, seed=1)
    women = chain_panel.restrict(chain_panel.workers[::2])
    kept, left_out = varying_covariates(women)
    assert kept == ["ethnicity", "region"]
    assert [entry.what for entry in left_out] == ["gender"]
    assert TOGETHER in {name for name, _ in permuted_panels(women, kept, seeds=(1,))}
    with pytest.raises(InputError, match="no covariate of gender"):
        varying_covariates(women, ["gender"])
