"""Calibration of binary tasks: what a perfect model has, and what one that is too sure of itself has."""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from labor_llm.evaluation.binary_tasks import CHANGE, UNEMPLOYMENT, BinaryEvents
from labor_llm.evaluation.calibration import (
    calibration_errors,
    expected_calibration_error,
    quantile_bins,
    recalibration,
    reliability_curves,
)


def made_events(workers: int = 300, seed: int = 0, heat: float = 1.0, records: int = 8) -> BinaryEvents:
    """Events drawn with known probabilities that differ by worker; `heat` divides the logit that is stated."""
    rng = np.random.default_rng(seed)
    worker = np.repeat(np.arange(workers), records)
    logit = rng.normal(-1, 1, workers)[worker] + rng.normal(0, 0.5, len(worker))
    outcome = rng.random(len(worker)) < 1 / (1 + np.exp(-logit))
    table = pd.DataFrame({"worker_id": [f"w{i:04d}" for i in worker], "outcome": outcome})
    table["half"] = np.where(worker % 2, "odd", "even")
    stated = 1 / (1 + np.exp(-logit / heat))
    return BinaryEvents(UNEMPLOYMENT, "toy", table, ("m",), stated[:, None])


def test_curve_by_hand() -> None:
    events = made_events(60)
    events.probabilities[:, 0] = np.where(events.table["half"] == "odd", 0.2, 0.6)
    got = reliability_curves([events], UNEMPLOYMENT, draws=50)
    # Two distinct probabilities make two bins, however many are asked for.
    np.testing.assert_allclose(got["predicted"], [0.2, 0.6])
    shares = events.table.groupby("half")["outcome"].mean()
    np.testing.assert_allclose(got["observed"], [shares["odd"], shares["even"]])
    assert got["transitions"].tolist() == [240, 240]
    assert got["workers"].tolist() == [30, 30]
    # 95 % of the shares of 240 draws with 0.2: about 1.96 binomial standard errors.
    half_width = 1.96 * np.sqrt(0.2 * 0.8 / 240)
    band = got.loc[0, ["perfect_low", "perfect_high"]].astype(float)
    np.testing.assert_allclose(band, [0.2 - half_width, 0.2 + half_width], atol=0.01)
    # One task, on every data set that has it.
    other = dataclasses.replace(events, dataset="other")
    change = dataclasses.replace(events, task=CHANGE)
    got = reliability_curves([events, change, other], UNEMPLOYMENT, draws=5)
    assert got["dataset"].unique().tolist() == ["toy", "other"]
    assert set(got["task"]) == {"Unemployment"}
    assert reliability_curves([events], CHANGE).empty


def test_a_perfect_model_lies_in_its_band_in_95_percent_of_bins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labor_llm.evaluation.calibration.CURVE_SIMULATIONS", 300)
    inside = []
    for seed in range(40):
        got = reliability_curves([made_events(200, seed=seed)], UNEMPLOYMENT, draws=2)
        inside += got["observed"].between(got["perfect_low"], got["perfect_high"]).tolist()
    # 400 bins: three binomial standard errors are 3.3 percentage points.
    assert np.mean(inside) == pytest.approx(0.95, abs=0.033)


def test_bands_from_resampled_workers_cover_the_true_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labor_llm.evaluation.calibration.CURVE_SIMULATIONS", 2)
    covered = []
    for seed in range(60):
        got = reliability_curves([made_events(200, seed=seed)], UNEMPLOYMENT, draws=200)
        covered += got["predicted"].between(got["ci_low"], got["ci_high"]).tolist()
    assert np.mean(covered) == pytest.approx(0.95, abs=0.045)


def test_bins_have_eleven_workers_with_the_event_and_without_it_and_every_value() -> None:
    values = np.sort(np.random.default_rng(0).random(100))
    assert np.bincount(quantile_bins(values, 10)).tolist() == [10] * 10
    tied = quantile_bins(np.array([0.1] * 90 + [0.5] * 10), 10)
    assert np.bincount(tied).tolist() == [90, 10]
    values, outcomes = np.arange(200.0), np.arange(200) >= 90
    assert set(quantile_bins(values, 10, np.arange(200), outcomes)) == {0}
    outcomes = np.arange(200) % 2 == 0
    codes = quantile_bins(values, 10, np.arange(200), outcomes)
    assert min(np.bincount(codes[outcomes]).min(), np.bincount(codes[~outcomes]).min()) >= 11
    assert codes.max() == 4
    # Workers are counted, not records.
    assert set(quantile_bins(values, 10, np.arange(200) // 20, outcomes)) == {0}


def test_expected_calibration_error_by_hand_and_its_perfect_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labor_llm.evaluation.calibration.SIMULATIONS", 4000)
    chances = np.array([0.05, 0.05, 0.55, 0.55, 0.55, 0.95])
    outcomes = np.array([0, 1, 1, 0, 0, 1], dtype=bool)
    got = expected_calibration_error(chances, outcomes, np.array([0, 0, 1, 1, 1, 2]))
    # Bins: |1 - 0.1| + |1 - 1.65| + |1 - 0.95| over six transitions.
    assert got["calibration_error"] == pytest.approx((0.9 + 0.65 + 0.05) / 6)
    # E|events - n p| in each bin: two draws with 0.05, three with 0.55, one with 0.95.
    pairs = 2 * 0.05 * 0.95 * 0.9 + 0.05**2 * 1.9 + 0.95**2 * 0.1
    chances = [0.45**3, 3 * 0.55 * 0.45**2, 3 * 0.55**2 * 0.45, 0.55**3]
    threes = sum(chance * abs(count - 1.65) for count, chance in enumerate(chances))
    one = 0.95 * 0.05 * 2
    assert got["perfect_mean"] == pytest.approx((pairs + threes + one) / 6, rel=0.03)


def test_error_of_a_perfect_model_is_that_of_the_reference_and_of_a_wrong_one_far_above() -> None:
    perfect = calibration_errors([made_events(400)]).iloc[0]
    assert perfect["calibration_error"] < perfect["perfect_high"]
    wrong = calibration_errors([made_events(400, heat=0.4)]).iloc[0]
    assert wrong["calibration_error"] > 3 * wrong["perfect_high"]
    smaller = calibration_errors([made_events(40)]).iloc[0]
    assert smaller["perfect_mean"] > 2 * perfect["perfect_mean"]


def test_recalibration_agrees_with_statsmodels() -> None:
    events = made_events(150, heat=0.6)
    got = recalibration([events]).iloc[0]
    logit = np.log(events.probabilities[:, 0] / (1 - events.probabilities[:, 0]))
    groups = pd.factorize(events.table["worker_id"])[0]
    expected = sm.Logit(events.outcomes, sm.add_constant(logit)).fit(
        disp=0, tol=1e-12, cov_type="cluster", cov_kwds={"groups": groups}
    )
    np.testing.assert_allclose(got[["intercept", "slope"]].astype(float), expected.params, rtol=1e-6)
    np.testing.assert_allclose(got[["intercept_se", "slope_se"]].astype(float), expected.bse, rtol=1e-5)


def test_what_cannot_be_recalibrated_is_stated() -> None:
    events = made_events(30)
    events.probabilities[3, 0] = 0.0
    got = recalibration([events]).iloc[0]
    assert got["reason"] == "a probability of exactly zero or one in 1 transitions"
    assert got[["intercept", "intercept_se", "slope", "slope_se"]].isna().all()
    events.probabilities[:, 0] = 0.3
    assert recalibration([events])["reason"][0] == "all probabilities are equal"
    events.probabilities[::2, 0] += 1e-9
    assert recalibration([events])["reason"][0] == "all probabilities are equal"
    events.probabilities[:, 0] = np.where(events.outcomes, 0.6, 0.4)
    assert "separate" in recalibration([events])["reason"][0]
    events.table["outcome"] = False
    assert recalibration([events])["reason"][0] == "only one outcome occurs"


def stated_events(stated: list[float], occurred: list[int]) -> BinaryEvents:
    """One record of each of twelve workers per probability and outcome."""
    workers = [f"w{worker:02d}" for _ in stated for worker in range(12)]
    table = pd.DataFrame({"worker_id": workers, "outcome": np.repeat(np.array(occurred, dtype=bool), 12)})
    return BinaryEvents(UNEMPLOYMENT, "toy", table, ("m",), np.repeat(stated, 12)[:, None])


def test_outcomes_that_share_one_probability_alone_have_no_slope_and_tiny_ones_do() -> None:
    # Both outcomes at 0.3, one below and the other above: the steeper the slope, the likelier what happened.
    for occurred in ([0, 0, 0, 1, 1], [1, 1, 1, 0, 0]):
        got = recalibration([stated_events([0.2, 0.25, 0.3, 0.3, 0.4], occurred)]).iloc[0]
        assert "separate" in got["reason"]
        assert got[["intercept", "slope", "slope_se"]].isna().all()
    # One half happens at either probability.
    got = recalibration([stated_events([1e-25, 1e-25, 1e-24, 1e-24], [0, 1, 0, 1])]).iloc[0]
    assert (got["reason"], got["slope"]) == ("", pytest.approx(0.0, abs=1e-6))


def test_a_fit_that_does_not_converge_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labor_llm.evaluation.calibration.ITERATIONS", 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = recalibration([made_events(30, heat=0.3)]).iloc[0]
    assert got["reason"] == "the fit of intercept and slope did not converge"
    assert np.isnan(got["slope"])


def test_one_worker_has_estimates_but_no_standard_errors() -> None:
    events = made_events(1)
    events.table["outcome"] = np.arange(len(events.table)) % 2 == 0
    got = recalibration([events]).iloc[0]
    assert np.isfinite(got["slope"])
    assert got[["intercept_se", "slope_se"]].isna().all()
    assert reliability_curves([events], UNEMPLOYMENT, draws=5)["ci_low"].isna().all()
