"""Calibration of all titles: simulate with a known model, and recover how wrong another one is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from labor_llm.careers.occupations import OutcomeSpace
from labor_llm.careers.panel import CareerPanel
from labor_llm.careers.predictions import Predictions
from labor_llm.errors import InputError, MismatchError
from labor_llm.evaluation.distribution_calibration import (
    OTHERS,
    classwise_calibration,
    fitted_temperature,
    mean_classwise_error,
    temperature_calibration,
    top_title_calibration,
)


@pytest.fixture(scope="module")
def halves(panel_of_chain: Callable[..., CareerPanel]) -> tuple[CareerPanel, CareerPanel]:
    panel = panel_of_chain(2400, seed=3)
    return panel.restrict(panel.workers[:1200]), panel.restrict(panel.workers[1200:])


@pytest.mark.parametrize("heat", [0.5, 1.0, 2.0])
def test_the_temperature_undoes_the_heat(
    halves: tuple[CareerPanel, CareerPanel], chain_model: type, heat: float
) -> None:
    validation, test = halves
    hot = chain_model(heat=heat)
    got = temperature_calibration(hot.predict(validation), hot.predict(test), draws=200).iloc[0]
    assert got["temperature"] == pytest.approx(1 / heat, rel=0.06)
    truth = chain_model().predict(test)
    assert got["tempered_perplexity"] == pytest.approx(np.exp(-truth.table["log_prob"].mean()), rel=0.003)
    assert got["gain"] == pytest.approx(np.log(got["perplexity"] / got["tempered_perplexity"]))
    if heat == 1.0:
        assert abs(got["gain"]) < 4 * got["test_se"] + 1e-4
    else:
        assert got["ci_low"] > 0
    assert got["reason"] == ""


def test_probability_zero_on_the_truth_has_no_temperature_and_infinite_perplexity(
    halves: tuple[CareerPanel, CareerPanel], chain_model: type
) -> None:
    validation, test = halves
    matrix = chain_model().matrix.copy()
    matrix[0, 4] = 0.0
    blind = chain_model(matrix)
    assert np.isnan(fitted_temperature(blind.predict(validation))[0])
    got = temperature_calibration(blind.predict(validation), blind.predict(test), draws=5).iloc[0]
    assert "probability zero" in got["reason"]
    assert got["perplexity"] == np.inf
    assert np.isnan(got["gain"])
    with pytest.raises(InputError, match="workers are in the validation and in the test"):
        temperature_calibration(blind.predict(test), blind.predict(test), draws=5)
    with pytest.raises(MismatchError, match="two sets of one model"):
        temperature_calibration(chain_model(name="other").predict(validation), blind.predict(test), draws=5)


def test_titles_occur_as_often_as_a_perfect_model_expects(
    halves: tuple[CareerPanel, CareerPanel], chain_model: type
) -> None:
    _, test = halves
    model = chain_model().predict(test)
    got = classwise_calibration(model, draws=300)
    shares = test.frame["occupation"].value_counts(normalize=True)
    titles = dict(zip(test.outcomes.codes, test.outcomes.titles, strict=True))
    assert got["title"].tolist() == [titles[code] for code in shares.index]
    np.testing.assert_allclose(got["observed"], shares)
    np.testing.assert_allclose(got[["expected", "observed"]].sum(), 1.0, rtol=1e-6)
    assert (got["difference"].abs() < 4 * got["test_se"]).all()
    # The normal approximation of a perfect model's scatter and the bootstrap tell the same.
    np.testing.assert_allclose(got["perfect_error"] * np.sqrt(np.pi / 2), got["test_se"], rtol=0.15)
    biased = chain_model().matrix * [1.0, 1.0, 1.0, 2.0, 1.0]
    wrong = chain_model(biased / biased.sum(axis=1, keepdims=True)).predict(test)
    unemployed = classwise_calibration(wrong, draws=50).set_index("title").loc["Unemployed"]
    assert unemployed["ci_high"] < 0
    summary = mean_classwise_error(classwise_calibration(wrong, draws=5)).iloc[0]
    assert summary["classwise_error"] > 3 * summary["perfect_error"]


def test_rare_titles_are_one_row_and_groups_add_up(
    halves: tuple[CareerPanel, CareerPanel], chain_model: type
) -> None:
    _, test = halves
    model = chain_model().predict(test)
    events = test.frame["occupation"].value_counts()
    got = classwise_calibration(model, minimum_events=int(events.iloc[1]), draws=5)
    assert got["title"].tolist()[-1] == OTHERS
    assert len(got) == 3
    assert got["events"].sum() == len(test.frame)
    groups = {code: "work" if code.isdigit() else "no work" for code in test.outcomes.codes}
    grouped = classwise_calibration(model, groups, draws=5).set_index("title")
    single = classwise_calibration(model, draws=5).set_index("title")
    states = ["Unemployed", "Out of labor force"]
    assert grouped.loc["no work", "expected"] == pytest.approx(single.loc[states, "expected"].sum())
    with pytest.raises(InputError, match="occupation '12' has none"):
        classwise_calibration(model, {"10": "a", "11": "a"}, draws=5)


def test_top_title_error_by_hand_and_the_same_whatever_the_order_of_the_titles(
    halves: tuple[CareerPanel, CareerPanel], chain_model: type
) -> None:
    _, test = halves
    model = chain_model(heat=0.5).predict(test)
    got = top_title_calibration(model, draws=20).iloc[0]
    chance = np.exp(model.log_probs.astype(float).max(axis=1))
    hit = model.log_probs.argmax(axis=1) == test.outcomes.indices(test.frame["occupation"])
    bins = np.minimum((chance * 15).astype(int), 14)
    by_hand = sum(abs((hit - chance)[bins == b].sum()) for b in range(15)) / len(hit)
    assert got["calibration_error"] == pytest.approx(by_hand, rel=1e-6)
    assert got["calibration_error"] > got["perfect_high"]
    order = [3, 0, 4, 2, 1]
    codes, titles = (tuple(np.array(x)[order].tolist()) for x in (test.outcomes.codes, test.outcomes.titles))
    permuted = Predictions("p", model.table, OutcomeSpace(codes, titles), model.log_probs[:, order])
    assert top_title_calibration(permuted, draws=20)["calibration_error"][0] == got["calibration_error"]
    one = model.select((model.table["worker_id"] == model.table["worker_id"][0]).to_numpy())
    assert np.isnan(top_title_calibration(one, draws=5)["test_se"][0])
    with pytest.raises(InputError, match="no transition has the score of every title"):
        top_title_calibration(Predictions("n", model.table.assign(log_valid_mass=np.nan), model.outcomes))
