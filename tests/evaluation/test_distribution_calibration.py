"""Calibration of all titles: simulate with a known model, and recover how wrong another one is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import scipy.optimize

from labor_llm.careers.occupations import OutcomeSpace
from labor_llm.careers.panel import CareerPanel
from labor_llm.careers.predictions import Predictions
from labor_llm.errors import InputError
from labor_llm.evaluation.distribution_calibration import distribution_calibration

SINGLE = {code: code for code in ("10", "11", "12", "unemployed", "out_of_labor_force")}


@pytest.fixture(scope="module")
def simulated(panel_of_chain: Callable[..., CareerPanel]) -> CareerPanel:
    return panel_of_chain(1200, seed=3)


def measured(
    prediction: Predictions, groups: dict[str, str] = SINGLE, draws: int = 5, seed: int = 0
) -> pd.Series:
    return distribution_calibration([prediction], {"chain": groups}, draws, seed).iloc[0]


@pytest.mark.parametrize("heat", [0.5, 1.0, 2.0])
def test_the_temperature_undoes_the_heat(simulated: CareerPanel, chain_model: type, heat: float) -> None:
    hot = chain_model(heat=heat).predict(simulated)
    got = measured(hot, draws=200)
    assert got["temperature"] == pytest.approx(1 / heat, rel=0.06)
    truth = chain_model().predict(simulated).table["log_prob"].mean()
    assert got["gain"] == pytest.approx(truth - hot.table["log_prob"].mean(), abs=0.003)
    assert (got["gain"] > 3 * got["test_se"]) == (heat != 1.0)
    assert got["reason"] == ""


def test_no_worker_chooses_its_own_temperature(chain_panel: CareerPanel, chain_model: type) -> None:
    prediction = chain_model(heat=2.0).predict(chain_panel.restrict(chain_panel.workers[:40]))
    got = measured(prediction, seed=3)
    workers = np.array(sorted(set(prediction.table["worker_id"])))
    parts = dict(zip(workers, np.random.default_rng((3, 5)).permutation(40) % 5, strict=True))
    part = prediction.table["worker_id"].map(parts).to_numpy()
    own = prediction.outcomes.indices(prediction.table["occupation"])
    matrix = prediction.log_probs.astype(float)

    def log_probs(temperature: float) -> np.ndarray:
        scaled = matrix / temperature
        return (scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True)))[np.arange(len(own)), own]

    gains, temperatures = np.empty(len(own)), []
    for number in range(5):
        fit = scipy.optimize.minimize_scalar(
            lambda t, others=part != number: -log_probs(t)[others].mean(), bounds=(0.02, 50), method="bounded",
            options={"xatol": 1e-9},
        )  # fmt: skip
        temperatures.append(fit.x)
        gains[part == number] = (log_probs(fit.x) - log_probs(1.0))[part == number]
    assert got["gain"] == pytest.approx(gains.mean(), abs=1e-6)
    assert got["temperature"] == pytest.approx(np.exp(np.log(temperatures).mean()), rel=1e-4)


def test_what_has_no_temperature(chain_panel: CareerPanel, chain_model: type) -> None:
    matrix = chain_model().matrix.copy()
    matrix[:, 0], matrix[:, 1] = 0.0, matrix[:, 0] + matrix[:, 1]
    got = measured(chain_model(matrix=matrix).predict(chain_panel))
    assert got[["temperature", "gain", "test_se"]].isna().all()
    assert "probability zero" in got["reason"]
    few = chain_model().predict(chain_panel.restrict(chain_panel.workers[:4]))
    with pytest.raises(InputError, match="5 parts of 4 workers"):
        measured(few)


def test_titles_occur_as_often_as_a_perfect_model_expects_and_as_a_biased_one_does_not(
    simulated: CareerPanel, chain_model: type
) -> None:
    model = chain_model().predict(simulated)
    got = measured(model)
    shares = simulated.frame["occupation"].value_counts(normalize=True).reindex(model.outcomes.codes)
    chances = np.exp(model.log_probs.astype(float))
    assert got["classes"] == 5
    assert got["class_error"] == pytest.approx(np.abs(shares - chances.mean(axis=0)).mean(), rel=1e-5)
    # The normal approximation: sqrt(2 / pi) of the standard deviation of the mean.
    deviations = np.sqrt((chances * (1 - chances)).sum(axis=0)) / len(chances)
    assert got["class_perfect"] == pytest.approx(np.sqrt(2 / np.pi) * deviations.mean(), rel=1e-5)
    assert got["class_error"] < 3 * got["class_perfect"]
    biased = chain_model().matrix * [1.0, 1.0, 1.0, 2.0, 1.0]
    wrong = measured(chain_model(biased / biased.sum(axis=1, keepdims=True)).predict(simulated))
    assert wrong["class_error"] > 3 * wrong["class_perfect"]


def test_groups_of_titles_and_rare_ones_are_taken_together(
    simulated: CareerPanel, chain_model: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = chain_model().predict(simulated)
    groups = {code: "work" if code.isdigit() else "no work" for code in SINGLE}
    working = simulated.frame["occupation"].str.isdigit().mean()
    expected = np.exp(model.log_probs.astype(float))[:, :3].sum(axis=1).mean()
    got = measured(model, groups)
    assert (got["classes"], got["class_error"]) == (2, pytest.approx(abs(working - expected), rel=1e-4))
    events = simulated.frame["occupation"].value_counts()
    monkeypatch.setattr("labor_llm.evaluation.distribution_calibration.MINIMUM_EVENTS", int(events.iloc[1]))
    assert measured(model)["classes"] == 3
    with pytest.raises(InputError, match="occupation '12' has none"):
        measured(model, {"10": "a", "11": "a"})


def test_top_title_error_by_hand_and_the_same_whatever_the_order_of_the_titles(
    simulated: CareerPanel, chain_model: type
) -> None:
    model = chain_model(heat=0.5).predict(simulated)
    got = measured(model)
    chance = np.exp(model.log_probs.astype(float).max(axis=1))
    hit = model.log_probs.argmax(axis=1) == simulated.outcomes.indices(simulated.frame["occupation"])
    bins = np.minimum((chance * 15).astype(int), 14)
    by_hand = sum(abs((hit - chance)[bins == b].sum()) for b in range(15)) / len(hit)
    assert got["top_error"] == pytest.approx(by_hand, rel=1e-6)
    assert got["top_error"] > 3 * got["top_perfect"]
    order = [3, 0, 4, 2, 1]
    codes, titles = (
        tuple(np.array(x)[order].tolist()) for x in (model.outcomes.codes, model.outcomes.titles)
    )
    permuted = Predictions("p", model.table, OutcomeSpace(codes, titles), model.log_probs[:, order])
    assert measured(permuted)["top_error"] == got["top_error"]
    with pytest.raises(InputError, match="no transition has the score of every title"):
        measured(Predictions("n", model.table.assign(log_valid_mass=np.nan), model.outcomes))
