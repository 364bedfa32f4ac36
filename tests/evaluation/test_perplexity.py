"""Perplexity in closed form, and its two errors: of other test workers and of other training workers."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given

from labor_llm.baselines.frequencies import transition_counts
from labor_llm.baselines.registry import fit_baselines, refit_baselines
from labor_llm.careers.horizons import NextJobModel
from labor_llm.careers.occupations import OutcomeSpace
from labor_llm.careers.panel import CareerPanel, split_workers
from labor_llm.careers.predictions import Predictions
from labor_llm.careers.refits import training_refits
from labor_llm.errors import InputError, MismatchError, NumericalError
from labor_llm.evaluation.perplexity import (
    bootstrap_differences,
    bootstrap_households,
    bootstrap_perplexity,
    differences_of,
    perplexity,
    perplexity_beside_reference,
    refits_in_words,
    stored_refits_of,
    with_train_errors,
)
from labor_llm.evaluation.resampling import weight_blocks
from labor_llm.exhibits.tables import household_errors
from labor_llm.store.results import Results
from labor_llm.workflow.datasets import DatasetSource, convert_dataset, open_dataset

SPACE = OutcomeSpace(("a", "b"), ("Actors", "Bakers"))
NAMES = ("empirical-transitions", "second-order-transitions")


def two_by_two(model: str, log_probs, valid_mass=0.0, workers="1122") -> Predictions:
    """Two records of each of two workers, unless told otherwise; `valid_mass` in nats."""
    workers = list(workers)
    count = pd.Series(workers).groupby(workers).cumcount()
    table = pd.DataFrame({"dataset": "toy", "worker_id": workers, "year": 1980 + count})
    table = table.assign(
        transition_type=np.where(count == 0, "first", "moving"), occupation=np.where(count == 0, "a", "b"),
        log_prob=np.asarray(log_probs, dtype=float), log_valid_mass=valid_mass,
    )  # fmt: skip
    return Predictions(model, table, SPACE)


def test_perplexity_in_closed_form():
    assert perplexity(np.log([0.5, 0.25, 0.125])) == pytest.approx(4.0, rel=1e-14)
    # A model that gives 0.6 to staying and 0.1 to each of four moves, where 3 of 5 stay.
    assert perplexity(np.log([0.6, 0.6, 0.6, 0.1, 0.1])) == pytest.approx(0.6**-0.6 * 0.1**-0.4, rel=1e-14)
    # A uniform guess has the number of occupations.
    assert perplexity(np.full(1000, -math.log(335))) == pytest.approx(335, rel=1e-12)
    assert perplexity([-1.0, -np.inf]) == np.inf
    assert perplexity([0.0, 1e-7]) == pytest.approx(1.0, abs=1e-6)
    with pytest.raises(InputError, match="no transitions"):
        perplexity([])
    for bad in (np.nan, 2e-6):
        with pytest.raises(NumericalError, match="of 2 are"):
            perplexity([-1.0, bad])


@given(st.lists(st.floats(-30, 0), min_size=1, max_size=200))
def test_agrees_with_exact_summation(log_probs):
    expected = math.exp(-math.fsum(log_probs) / len(log_probs))
    assert perplexity(log_probs) == pytest.approx(expected, rel=1e-12)


def test_normalised_perplexities_rest_on_the_transitions_that_all_models_have():
    logs = np.log([0.5, 0.25, 0.5, 0.125])
    some = two_by_two("lm", logs, [math.log(0.5), np.nan, np.nan, math.log(0.5)])
    never = two_by_two("realised only", logs, np.nan)
    models = [some, two_by_two("counts", logs), never]
    got = bootstrap_perplexity(models, 20, normalised=True).set_index("model")
    assert got["transitions"].tolist() == [2, 2, 0]
    assert got["perplexity"].tolist() == pytest.approx([2.0, 4.0, np.nan], nan_ok=True)
    assert np.isnan(got.loc["realised only", "test_se"])
    disjoint = two_by_two("other", logs, [np.nan, 0.0, 0.0, np.nan])
    with pytest.raises(MismatchError, match="no transition has the scores of all titles from each of the 2"):
        bootstrap_perplexity([some, disjoint], 20, normalised=True)
    # A title among the valid ones is not more likely than one, beyond rounding.
    with pytest.raises(NumericalError, match="1 are above zero"):
        bootstrap_perplexity([two_by_two("m", [-1.0, -1.0, -1.0, -0.1], -0.2)], 20, normalised=True)


def careers(model: str, workers: int = 200, noise: float = 0.0, seed: int = 1) -> Predictions:
    """Careers of up to 12 records that share a worker effect; `noise` is added to it by this model only."""
    rng, own = np.random.default_rng(seed), np.random.default_rng(99)
    rows = []
    for worker in range(workers):
        effect = rng.normal()
        for t in range(rng.integers(1, 13)):
            log_prob = -np.exp(0.5 + 0.5 * effect + 0.3 * rng.normal() + noise * own.normal())
            kind = "first" if t == 0 else rng.choice(["moving", "staying"])
            rows.append(("toy", f"w{worker:04d}", 1980 + t, kind, "a", log_prob, 0.0))
    columns = ["dataset", "worker_id", "year", "transition_type", "occupation", "log_prob", "log_valid_mass"]
    return Predictions(model, pd.DataFrame(rows, columns=columns), SPACE)


def per_worker(model: Predictions) -> tuple[np.ndarray, np.ndarray]:
    grouped = model.table.groupby("worker_id")["log_prob"]
    return grouped.sum().to_numpy(), grouped.count().to_numpy()


def test_standard_error_agrees_with_scipy_and_the_cluster_robust_delta_method():
    model = careers("m")
    got = bootstrap_perplexity([model], draws=2000, seed=1).iloc[0]
    sums, counts = per_worker(model)
    value = np.exp(-sums.sum() / counts.sum())
    assert got["perplexity"] == pytest.approx(value, rel=1e-12)
    reference = scipy.stats.bootstrap(
        (sums, counts),
        lambda s, c, axis=-1: np.exp(-s.sum(axis=axis) / c.sum(axis=axis)),
        paired=True, vectorized=True, n_resamples=2000, method="percentile", rng=np.random.default_rng(2),
    )  # fmt: skip
    # Two bootstrap standard errors of 2,000 draws each differ by about 1/sqrt(2000) = 2.2 percent.
    assert got["test_se"] == pytest.approx(reference.standard_error, rel=0.1)
    interval = [reference.confidence_interval.low, reference.confidence_interval.high]
    np.testing.assert_allclose([got["ci_low"], got["ci_high"]], interval, atol=0.2 * got["test_se"])
    residuals = sums - counts * sums.sum() / counts.sum()
    delta = value * np.sqrt((residuals**2).sum()) / counts.sum()
    assert got["test_se"] == pytest.approx(delta, rel=0.1)
    naive = value * model.table["log_prob"].std() / np.sqrt(len(model.table))
    assert got["test_se"] > 1.5 * naive


def test_paired_difference_agrees_with_scipy_and_is_far_more_precise_than_unpaired():
    base, other = careers("base"), careers("other", noise=0.05)
    got = bootstrap_differences([base, other], "base", draws=2000, seed=1).iloc[0]
    (base_sums, counts), (other_sums, _) = per_worker(base), per_worker(other)

    def difference(b, o, c, axis=-1):
        total = c.sum(axis=axis)
        return np.exp(-o.sum(axis=axis) / total) - np.exp(-b.sum(axis=axis) / total)

    reference = scipy.stats.bootstrap(
        (base_sums, other_sums, counts), difference,
        paired=True, vectorized=True, n_resamples=2000, method="percentile", rng=np.random.default_rng(2),
    )  # fmt: skip
    assert got["difference"] == pytest.approx(difference(base_sums, other_sums, counts), rel=1e-9)
    assert got["test_se"] == pytest.approx(reference.standard_error, rel=0.1)
    assert got["z"] == pytest.approx(got["difference"] / got["test_se"])
    residuals = (other_sums - base_sums) - counts * (other_sums - base_sums).sum() / counts.sum()
    assert got["log_prob_difference"] == pytest.approx((other_sums - base_sums).sum() / counts.sum())
    assert got["log_prob_test_se"] == pytest.approx(np.sqrt((residuals**2).sum()) / counts.sum(), rel=0.1)
    assert got["test_se"] < 0.1 * bootstrap_perplexity([base], 200, 1)["test_se"][0]


def test_identical_models_differ_by_exactly_zero():
    models = [careers("m"), careers("twin"), careers("other", noise=0.1)]
    twin = bootstrap_differences(models, "m", draws=50, seed=1).iloc[0]
    assert (twin[["difference", "test_se", "log_prob_difference", "log_prob_test_se"]] == 0).all()
    assert twin[["z", "log_prob_z"]].isna().all()


def test_differences_of_a_model_are_those_with_each_other_as_the_reference() -> None:
    """On the same draws; data sets that the model does not predict are left out."""
    model, one, two = careers("m"), careers("one", noise=0.1), careers("two", noise=0.3)
    elsewhere = replace(one, table=one.table.assign(dataset="elsewhere"))
    got = differences_of([one, model, two, elsewhere], "m", ["one", "two"], 50, 1)
    expected = [bootstrap_differences([model, other], other.model, 50, 1) for other in (one, two)]
    pd.testing.assert_frame_equal(got, pd.concat(expected, ignore_index=True))


def test_a_reference_stands_beside_the_rows_of_its_group() -> None:
    models = [careers("m"), careers("other", noise=0.1)]
    got = perplexity_beside_reference(models, "m", 50, 1, by="transition_type")
    table = bootstrap_perplexity(models, 50, 1, by="transition_type").drop(columns="draws")
    pd.testing.assert_frame_equal(got[table.columns], table)
    assert got["transition_type"].tolist() == ["first", "moving", "staying"] * 2
    moving = [model.select((model.table["transition_type"] == "moving").to_numpy()) for model in models]
    expected = bootstrap_differences(moving, "m", 50, 1)["difference"][0]
    assert got["difference"].tolist()[4] == pytest.approx(expected, rel=1e-12)
    beside = ["difference", "difference_se", "difference_low", "difference_high"]
    assert got.loc[:2, beside].isna().all(axis=None)
    assert got.loc[3:, beside].notna().all(axis=None)


def test_a_row_is_the_same_whatever_the_row_order_and_the_other_models():
    model, other = careers("m"), careers("other", noise=0.1)
    expected = bootstrap_perplexity([model], draws=60, seed=5)
    shuffled = Predictions("m", model.table.sample(frac=1, random_state=0), SPACE)
    pd.testing.assert_frame_equal(bootstrap_perplexity([shuffled], 60, 5), expected, check_exact=True)
    pd.testing.assert_frame_equal(bootstrap_perplexity([model, other], 60, 5)[:1], expected, check_exact=True)


def test_one_worker_or_a_zero_probability_has_no_standard_error():
    one = bootstrap_perplexity([careers("m", workers=1)], draws=20)
    assert one[["test_se", "ci_low", "ci_high"]].isna().all(axis=None)
    assert np.isfinite(one["perplexity"][0])
    model = careers("m", workers=30)
    impossible = model.table["log_prob"].where(model.table.index > 0, -np.inf)
    zero = Predictions("zero", model.table.assign(log_prob=impossible), SPACE)
    got = bootstrap_perplexity([model, zero], draws=20).set_index("model")
    assert got.loc["zero", "perplexity"] == np.inf
    assert np.isnan(got.loc["zero", "test_se"])
    assert got["draws"].tolist() == [20, 20]
    assert got.loc["m", "test_se"] > 0
    assert np.isnan(bootstrap_differences([model, zero], "m", draws=20)["test_se"][0])


def test_draws_without_a_transition_of_the_group_are_left_out_and_counted():
    model = careers("m", workers=40)
    rare = model.table["worker_id"].isin(["w0003", "w0007"])
    model.table["transition_type"] = np.where(rare, "rare", "common")
    got = bootstrap_perplexity([model], draws=400, by="transition_type").set_index("transition_type")
    assert got["workers"].to_dict() == {"common": 38, "rare": 2}
    assert got.loc["common", "draws"] == 400
    # (38/40)^40 = 12.9 percent of the draws hold neither of the two workers.
    assert got.loc["rare", "draws"] == pytest.approx(400 * (1 - 0.129), abs=4 * np.sqrt(400 * 0.129 * 0.871))


def test_families_are_resampled_where_the_tables_have_them_and_refused_where_not():
    model = careers("m", workers=60)
    family = model.table["worker_id"].str[1:].astype(int) // 3
    named = Predictions("m", model.table.assign(family=family), SPACE)
    got = bootstrap_perplexity([named], draws=500, seed=1, unit="family").iloc[0]
    # By hand: the same draws of sums over families.
    sums, counts = (model.table["log_prob"].groupby(family).agg(name).to_numpy() for name in ("sum", "count"))
    weights = np.concatenate(list(weight_blocks(20, 500, seed=1)))
    drawn = np.exp(-(weights @ sums) / (weights @ counts))
    assert got["test_se"] == pytest.approx(drawn.std(ddof=1), rel=1e-10)
    assert (got["workers"], got["perplexity"]) == (60, pytest.approx(np.exp(-model.table["log_prob"].mean())))
    # Families of one are workers.
    single = Predictions("m", model.table.assign(family=model.table["worker_id"]), SPACE)
    pd.testing.assert_frame_equal(
        bootstrap_perplexity([single], 50, 1, unit="family"), bootstrap_perplexity([model], 50, 1)
    )
    with pytest.raises(InputError, match="'family' is no column"):
        bootstrap_perplexity([model], 10, unit="family")
    lacking = Predictions("m", model.table.assign(family=family.where(family > 2)), SPACE)
    with pytest.raises(InputError, match="'family' is missing for"):
        bootstrap_perplexity([lacking], 10, unit="family")


def test_households_are_resampled_where_the_data_tell_them_and_nowhere_else(tmp_path: Path) -> None:
    results = Results(tmp_path)
    convert_dataset(results, "psid", DatasetSource(reader="psid", simulated_workers=110))
    convert_dataset(results, "wage_panel")
    predictions, panels = [], []
    for dataset in ("psid", "wage_panel"):
        panel, splits = open_dataset(results, dataset)
        fitted = fit_baselines(["empirical-transitions", "second-order-transitions"], panel, splits).values()
        predictions += [model.predict(panel.split(splits, "test")) for model in fitted]
        panels.append(panel)
    first, second = (prediction.model for prediction in predictions[:2])
    reference = {"psid": first, "wage_panel": first}

    table = bootstrap_households(panels, predictions, reference, draws=100, seed=1)
    assert table[["dataset", "model"]].to_numpy().tolist() == [["psid", first], ["psid", second]]
    # The family of 1968 is the number of the person without its last three digits.
    families = predictions[0].table["worker_id"].astype(int) // 1000
    assert table["households"].tolist() == [families.nunique()] * 2
    assert families.nunique() < predictions[0].table["worker_id"].nunique()
    by_hand = [replace(each, table=each.table.assign(family=families)) for each in predictions[:2]]
    expected = bootstrap_differences(by_hand, first, 100, 1, unit="family")["test_se"]
    # Draws depend on the order of the units' names: 10 comes before 9 as text.
    assert table["difference_se"].iloc[1] == pytest.approx(expected.iloc[0], rel=0.3)
    assert np.isnan(table["difference_se"].iloc[0])

    by_worker = bootstrap_perplexity(predictions, 100, 1)
    paired = bootstrap_differences(predictions, first, 100, 1)
    shown = household_errors(table, by_worker, paired).frame
    assert shown["TestSE, workers"].tolist() == by_worker["test_se"].tolist()[:2]
    assert shown["TestSE, households"].tolist() == table["test_se"].tolist()
    assert shown["Difference, households"].tolist() == ["", table["difference_se"].iloc[1]]
    assert shown["Difference, workers"].tolist() == ["", paired["test_se"].iloc[0]]
    none = bootstrap_households(panels[1:], predictions[2:], reference, 100)
    assert none.empty and household_errors(none, by_worker, paired).frame.empty


@pytest.fixture(scope="module")
def results(panel: CareerPanel, tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Refits of two baselines on one data set, none of a third."""
    results = Results(tmp_path_factory.mktemp("results"))
    folders = {name: results.refits("invented", name) for name in NAMES}
    refit_baselines(folders, panel, split_workers(panel, seed=1), 3)
    return results


def test_train_errors_stand_beside_test_errors_of_refitted_models_alone(
    results: Results, panel: CareerPanel
) -> None:
    splits = split_workers(panel, seed=1)
    fitted = fit_baselines(NAMES, panel, splits)
    own = [model.predict(panel.split(splits, "test")) for model in fitted.values()]
    refits = stored_refits_of(results, own, [*NAMES, "career"])
    assert stored_refits_of(results, own, []) == []
    # Of other workers, as after a new split.
    other = [model.predict(panel.split(splits, "train")) for model in fitted.values()]
    with pytest.raises(MismatchError, match=r"empirical-transitions: its refits are of other transitions"):
        stored_refits_of(results, other, NAMES)
    assert refits_in_words(refits) == "3 of Empirical transitions, 3 of Second-order transitions"
    first, second = refits[0][0], refits[1][0]
    third = Predictions("Third", first.table, first.outcomes)
    values = np.array([np.exp(-refit.table["log_prob"].mean()) for refit in refits[0]])

    table = with_train_errors(bootstrap_perplexity([first, second, third], 50), refits)
    rows = table.set_index("model")
    assert rows.at["Empirical transitions", "train_se"] == pytest.approx(values.std(ddof=1))
    assert np.isnan(rows.at["Third", "train_se"])

    reference = {"invented": "Second-order transitions"}
    differences = bootstrap_differences([first, second, third], reference, 50)
    rows = with_train_errors(differences, refits, reference).set_index("model")
    base = np.array([np.exp(-refit.table["log_prob"].mean()) for refit in refits[1]])
    assert rows.at["Empirical transitions", "train_se"] == pytest.approx((values - base).std(ddof=1))
    assert np.isnan(rows.at["Third", "train_se"])
    # Without refits of the yardstick nothing is paired.
    unpaired = with_train_errors(differences, refits[:1], reference)
    assert unpaired[["train_se", "total_se"]].isna().all(axis=None)
    pd.testing.assert_frame_equal(unpaired[differences.columns], differences)
    twin = [Predictions("Twin", each.table, each.outcomes) for each in refits[1]]
    same = with_train_errors(
        bootstrap_differences([second, twin[0]], reference, 50), [refits[1], twin], reference
    )
    assert same["train_se"].tolist() == [0.0]
    with pytest.raises(
        InputError, match="2 refits of 'Empirical transitions', 3 of the reference 'Second-order"
    ):
        with_train_errors(differences, [refits[0][:2], refits[1]], reference)
    with pytest.raises(InputError, match="1 refits given; give at least two, of one model"):
        with_train_errors(table, [refits[0][:1]])
    # Without any a table stays as it is, and an infinite one has no error.
    assert with_train_errors(differences, []) is differences
    assert refits_in_words([]) == "no model was refitted"
    refits[0][1].table.loc[0, "log_prob"] = -np.inf
    infinite = with_train_errors(bootstrap_perplexity([first], 20), refits[:1])
    assert infinite[["train_se", "total_se"]].isna().all(axis=None)


def test_total_error_is_that_of_new_samples_and_train_se_errs_on_the_safe_side(
    panel_of_chain: Callable[..., CareerPanel], chain_model: type, tmp_path: Path
) -> None:
    """First records only: the truth over fresh samples is simulated at once, and one panel must tell it."""

    def counted(train: CareerPanel, validation: CareerPanel) -> NextJobModel:
        counts = transition_counts(train)[-1] + 0.5
        return chain_model(np.tile(counts / counts.sum(), (6, 1)))

    def perplexities(test: np.ndarray) -> np.ndarray:
        fitted = rng.multinomial(300, chances, size=20_000) + 0.5
        return np.exp(-(test * np.log(fitted / fitted.sum(axis=1, keepdims=True))).sum(axis=1))

    rng, chances = np.random.default_rng(0), chain_model().matrix[-1]
    total = perplexities(rng.multinomial(300, chances, size=20_000) / 300).std()
    fitting_alone = perplexities(chances).std()
    found = []
    for seed in range(5):
        panel = panel_of_chain(600, seed=seed, records=(1, 2))
        train, test = panel.restrict(panel.workers[:300]), panel.restrict(panel.workers[300:])
        refits = training_refits(counted, train, train, test, 12, tmp_path / str(seed))
        own = counted(train, train).predict(test)
        both = with_train_errors(bootstrap_perplexity([own], draws=200), [refits])
        found.append(both[["total_se", "train_se"]].iloc[0] ** 2)
    found = np.sqrt(pd.DataFrame(found).mean())
    assert 0.9 < found["total_se"] / total < 1.3
    # See the module: about the square root of three, and more with the noise of a finite test sample.
    assert found["train_se"] > 1.3 * fitting_alone
