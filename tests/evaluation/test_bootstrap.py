import numpy as np
import pandas as pd
import pytest
import scipy.stats

from labor_llm.careers.occupations import OutcomeSpace
from labor_llm.careers.predictions import Predictions
from labor_llm.errors import InputError
from labor_llm.evaluation import resampling
from labor_llm.evaluation.perplexity import bootstrap_differences, bootstrap_perplexity
from labor_llm.evaluation.resampling import resampled_means, worker_weights

SPACE = OutcomeSpace(("a", "b"), ("Actors", "Bakers"))


def predictions(model: str, workers: int = 200, noise: float = 0.0, seed: int = 1) -> Predictions:
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


def test_weights_resample_all_workers_and_do_not_depend_on_how_many_are_drawn_at_a_time():
    workers = [f"w{i}" for i in range(10)]
    weights = worker_weights(workers, 40, seed=3)
    assert (weights.sum(axis=1) == 10).all()
    in_parts = np.vstack([worker_weights(workers, 15, 3), worker_weights(workers, 25, 3, first_draw=15)])
    assert (weights == in_parts).all()
    assert not (weights == worker_weights(workers, 40, seed=4)).all()
    # Multinomial(10, 1/10): mean 1, variance 0.9.
    many = worker_weights(workers, 4000, seed=0)
    np.testing.assert_allclose([many.mean(), many.var()], [1.0, 0.9], atol=0.03)


@pytest.mark.parametrize("workers", [["b", "a"], ["a", "a"], []])
def test_weights_ask_for_sorted_distinct_workers(workers):
    with pytest.raises(InputError, match="ascending order"):
        worker_weights(workers, 2, seed=0)


def test_standard_error_agrees_with_scipy_and_the_cluster_robust_delta_method():
    model = predictions("m")
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


def test_standard_error_is_that_of_the_draws_with_one_degree_of_freedom_lost():
    model = predictions("m", workers=4)
    sums, counts = per_worker(model)
    weights = worker_weights(sorted(model.table["worker_id"].unique()), 3, seed=1)
    drawn = np.exp(-(weights @ sums) / (weights @ counts))
    got = bootstrap_perplexity([model], draws=3, seed=1)["test_se"][0]
    assert got == pytest.approx(np.sqrt(((drawn - drawn.mean()) ** 2).sum() / 2), rel=1e-12)


def test_paired_difference_agrees_with_scipy_and_is_far_more_precise_than_unpaired():
    base, other = predictions("base"), predictions("other", noise=0.05)
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
    models = [predictions("m"), predictions("twin"), predictions("other", noise=0.1)]
    got = bootstrap_differences(models, "m", draws=50, seed=1, by="transition_type")
    twin = got[got["model"] == "twin"]
    assert twin["transition_type"].tolist() == ["first", "moving", "staying"]
    assert (twin[["difference", "test_se", "log_prob_difference", "log_prob_test_se"]] == 0).all(axis=None)
    assert twin[["z", "log_prob_z"]].isna().all(axis=None)


def test_a_row_is_the_same_whatever_the_row_order_the_other_models_and_the_chunks(monkeypatch):
    model, other = predictions("m"), predictions("other", noise=0.1)
    expected = bootstrap_perplexity([model], draws=60, seed=5)
    shuffled = Predictions("m", model.table.sample(frac=1, random_state=0), SPACE)
    pd.testing.assert_frame_equal(bootstrap_perplexity([shuffled], 60, 5), expected, check_exact=True)
    pd.testing.assert_frame_equal(bootstrap_perplexity([model, other], 60, 5)[:1], expected, check_exact=True)
    monkeypatch.setattr(resampling, "_CHUNK_CELLS", 200 * 7)
    pd.testing.assert_frame_equal(bootstrap_perplexity([model], 60, 5), expected, rtol=1e-12)


def test_one_worker_or_a_zero_probability_has_no_standard_error():
    one = bootstrap_perplexity([predictions("m", workers=1)], draws=20)
    assert one[["test_se", "ci_low", "ci_high"]].isna().all(axis=None)
    assert np.isfinite(one["perplexity"][0])
    model = predictions("m", workers=30)
    zero = Predictions(
        "zero",
        model.table.assign(log_prob=model.table["log_prob"].where(model.table.index > 0, -np.inf)),
        SPACE,
    )
    got = bootstrap_perplexity([model, zero], draws=20).set_index("model")
    assert got.loc["zero", "perplexity"] == np.inf
    assert np.isnan(got.loc["zero", "test_se"])
    assert got["draws"].tolist() == [20, 20]
    assert got.loc["m", "test_se"] > 0
    assert np.isnan(bootstrap_differences([model, zero], "m", draws=20)["test_se"][0])


def test_draws_without_a_transition_of_the_group_are_left_out_and_counted():
    model = predictions("m", workers=40)
    rare = model.table["worker_id"].isin(["w0003", "w0007"])
    model.table["transition_type"] = np.where(rare, "rare", "common")
    got = bootstrap_perplexity([model], draws=400, by="transition_type").set_index("transition_type")
    assert got["workers"].to_dict() == {"common": 38, "rare": 2}
    assert got.loc["common", "draws"] == 400
    # (38/40)^40 = 12.9 percent of the draws hold neither of the two workers.
    assert got.loc["rare", "draws"] == pytest.approx(400 * (1 - 0.129), abs=4 * np.sqrt(400 * 0.129 * 0.871))


def test_normalised_rests_on_valid_mass_and_the_transitions_that_have_it():
    model = predictions("m")
    half = model.table.assign(log_valid_mass=np.where(model.table["year"] % 2 == 0, -0.05, np.nan))
    half["log_prob"] -= 0.05
    got = bootstrap_perplexity([Predictions("lm", half, SPACE), model], 30, 1, normalised=True).set_index(
        "model"
    )
    assert got.loc["lm", "transitions"] == (model.table["year"] % 2 == 0).sum()
    assert got.loc["lm", "perplexity"] == pytest.approx(got.loc["m", "perplexity"])
    assert got.loc["lm", "test_se"] == pytest.approx(got.loc["m", "test_se"])


def test_interval_covers_the_truth_in_93_to_97_percent_of_samples():
    samples, workers, rng = 4000, 200, np.random.default_rng(0)
    counts = rng.integers(1, 9, size=(workers, samples))
    # Record terms given the worker effect are normal, so their sum is drawn at once; the true mean is -2.
    sums = (
        -2.0 * counts
        + counts * rng.normal(0, 0.5, counts.shape)
        + np.sqrt(counts) * rng.normal(0, 0.5, counts.shape)
    )
    means = resampled_means(sums, counts, [f"w{i:03d}" for i in range(workers)], 400, seed=1)
    low, high = np.percentile(np.exp(-means), [2.5, 97.5], axis=0)
    covered = ((low < np.exp(2)) & (np.exp(2) < high)).mean()
    # The binomial standard error of 4,000 samples is 0.34 percentage points.
    assert 0.93 < covered < 0.97
    # Records as if they were independent: far too narrow an interval.
    assert covered > 0.93 > _naive_coverage(sums, counts)


def _naive_coverage(sums: np.ndarray, counts: np.ndarray) -> float:
    means, total = sums.sum(axis=0) / counts.sum(axis=0), counts.sum(axis=0)
    return float((np.abs(means + 2.0) < 1.96 * np.sqrt(0.5 / total)).mean())


def test_families_are_resampled_where_the_tables_have_them_and_refused_where_not():
    model = predictions("m", workers=60)
    family = model.table["worker_id"].str[1:].astype(int) // 3
    named = Predictions("m", model.table.assign(family=family), SPACE)
    got = bootstrap_perplexity([named], draws=500, seed=1, unit="family").iloc[0]
    # By hand: the same draws of sums over families.
    sums, counts = (model.table["log_prob"].groupby(family).agg(name).to_numpy() for name in ("sum", "count"))
    weights = worker_weights([f"{i:02d}" for i in range(20)], 500, seed=1)
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


def test_refuses_too_few_draws_and_an_absent_reference():
    with pytest.raises(InputError, match="at least two"):
        bootstrap_perplexity([predictions("m", 5)], draws=1)
    with pytest.raises(InputError, match="no predictions of the reference 'career'"):
        bootstrap_differences([predictions("m", 5)], "career", draws=2)
