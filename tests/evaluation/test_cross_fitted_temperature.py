"""Temperatures fitted on other test workers than those that they are tried on."""

from __future__ import annotations

import numpy as np
import pytest

from labor_llm.careers.panel import CareerPanel
from labor_llm.errors import InputError
from labor_llm.evaluation.distribution_calibration import (
    cross_fitted_temperature,
    fitted_temperature,
    with_temperature,
)


@pytest.mark.parametrize("heat", [0.5, 1.0, 2.0])
def test_the_temperature_undoes_what_was_done(
    chain_panel: CareerPanel, chain_model: type, heat: float
) -> None:
    got = cross_fitted_temperature(chain_model(heat=heat).predict(chain_panel), draws=100).iloc[0]
    # Some 1,800 transitions tell the temperature to about five percent.
    assert got["temperature"] == pytest.approx(1.0 / heat, rel=0.15)
    assert got["temperature_from"] <= got["temperature"] <= got["temperature_to"]
    assert got["tempered_perplexity"] == pytest.approx(got["perplexity"] * np.exp(-got["gain"]))
    assert (got["gain"] > 3 * got["test_se"]) == (heat != 1.0)


def test_no_worker_chooses_its_own_temperature(chain_panel: CareerPanel, chain_model: type) -> None:
    prediction = chain_model(heat=2.0).predict(chain_panel.restrict(chain_panel.workers[:40]))
    got = cross_fitted_temperature(prediction, folds=2, draws=5, seed=3).iloc[0]
    workers = np.array(sorted(set(prediction.table["worker_id"])))
    half = set(workers[np.random.default_rng((3, 5)).permutation(40) % 2 == 0])
    inside = prediction.table["worker_id"].isin(half).to_numpy()
    gains = []
    for rows in (inside, ~inside):
        plain, tempered = with_temperature(
            prediction.select(rows), fitted_temperature(prediction.select(~rows))[0]
        )
        gains.append(tempered - plain)
    assert got["gain"] == pytest.approx(np.concatenate(gains).mean(), abs=1e-12)


def test_what_has_no_temperature(chain_panel: CareerPanel, chain_model: type) -> None:
    matrix = chain_model().matrix.copy()
    matrix[:, 0], matrix[:, 1] = 0.0, matrix[:, 0] + matrix[:, 1]
    got = cross_fitted_temperature(chain_model(matrix=matrix).predict(chain_panel), draws=5).iloc[0]
    assert np.isnan(got["temperature"])
    assert np.isnan(got["gain"])
    assert "probability zero" in got["reason"]
    few = chain_model().predict(chain_panel.restrict(chain_panel.workers[:4]))
    with pytest.raises(InputError, match="5 parts of 4 workers"):
        cross_fitted_temperature(few)
