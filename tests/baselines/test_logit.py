"""The multinomial logit against scikit-learn, statsmodels and the probabilities that careers were drawn with."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from sklearn.linear_model import LogisticRegression

from labor_llm.baselines.form import record_features
from labor_llm.baselines.frequencies import EmpiricalTransitions
from labor_llm.baselines.logit import MultinomialLogit, MultinomialLogitStaying
from labor_llm.careers.occupations import OutcomeSpace
from labor_llm.careers.panel import CareerPanel
from labor_llm.errors import InputError, MismatchError, NumericalError


@pytest.fixture(scope="session")
def panel(toy):
    """Careers in a, b and c (never d) that depend on the previous occupation and on education."""

    def made(workers: range, years: int, seed: int, occupations: int = 4) -> CareerPanel:
        rng = np.random.default_rng(seed)
        rows = []
        for worker in workers:
            education, region = rng.choice(["college", "high school"]), rng.choice(["south", "west"])
            code = rng.choice(["a", "b", "c"])
            for t in range(years):
                rows.append((f"w{worker:04d}", 1980 + t, code, education, region, 1950 + worker % 9))
                weights = np.array([1.0, 2.0 if education == "college" else 0.5, 1.0])
                weights["abc".index(code)] += 2.0
                code = rng.choice(["a", "b", "c"], p=weights / weights.sum())
        return toy(rows, occupations)

    return made


def logit(*regularisations: float, **choices: float) -> MultinomialLogit:
    return MultinomialLogit(regularisations=regularisations, feature_weights=[(1.0, 1.0, 1.0)], **choices)


def second_records_alone(several: CareerPanel) -> CareerPanel:
    """One record a worker, in which education is all that differs."""
    frame = several.frame[several.frame["year"] == 1981].assign(region="south").reset_index(drop=True)
    frame["birth_year"] = pd.array([pd.NA] * len(frame), dtype="Int64")
    return CareerPanel(frame, several.outcomes, "toy")


def test_probabilities_agree_with_plain_scikit_learn_on_dummies(panel):
    train, validation, test = panel(range(60), 5, 1), panel(range(60, 70), 5, 2), panel(range(70, 90), 5, 3)
    model = logit(0.5, tolerance=1e-7).fit(train, validation)
    features = pd.concat([record_features(train), record_features(test)], ignore_index=True)
    features = features.drop(columns=["records_in_occupation", "year_skipped", "education_changed"])
    split, numbers = len(train.frame), features.select_dtypes("number")
    X = pd.get_dummies(features.select_dtypes(exclude="number"), dtype=float)
    spread = numbers[:split].std(ddof=0)
    X[numbers.columns] = (numbers - numbers[:split].mean()) / spread
    plain = LogisticRegression(C=0.5, tol=1e-7, max_iter=5000).fit(X[:split], train.frame["occupation"])
    # Occupation d never occurs in training: Laplace's share of 300 records and 4 occupations, then rescaled.
    floor = np.full((len(test.frame), 1), 1 / (300 + 4))
    expected = np.hstack([plain.predict_proba(X[split:]), floor]) / (1 + floor)
    np.testing.assert_allclose(np.exp(model.predict(test).log_probs), expected, atol=1e-5)


def test_without_regularisation_it_is_the_maximum_likelihood_logit_of_statsmodels(panel):
    single, validation = (
        second_records_alone(part) for part in (panel(range(300), 2, 4), panel(range(300, 310), 2, 5))
    )
    got = np.exp(logit(1e7, tolerance=1e-8).fit(single, validation).predict(single).log_probs)[:, :3]
    got = got / got.sum(axis=1, keepdims=True)
    college = (single.frame["education"] == "college").to_numpy(float)
    oracle = sm.MNLogit(single.frame["occupation"].map("abc".index), sm.add_constant(college)).fit(disp=0)
    np.testing.assert_allclose(got, oracle.predict(), atol=1e-5)
    # Log odds ratios of college against high school, b and c against a, are MNLogit's slopes.
    odds = np.log(got[:, 1:] / got[:, :1])
    slopes = odds[college == 1][0] - odds[college == 0][0]
    np.testing.assert_allclose(slopes, oracle.params.to_numpy()[1], atol=1e-3)


def test_recovers_that_the_previous_occupation_is_likelier_and_college_leads_to_b(panel):
    train, validation, test = (
        panel(range(600), 6, 6), panel(range(600, 660), 6, 7), panel(range(660, 760), 6, 8),
    )  # fmt: skip
    got = logit(0.3, 1.0).fit(train, validation).predict(test)
    college = (test.frame["education"] == "college") & (test.frame["occupation"].shift() == "a")
    later = got.table["transition_type"] != "first"
    # True chances after a: college (3, 2, 1) / 6.
    mean = np.exp(got.log_probs[(college & later).to_numpy()]).mean(axis=0)
    np.testing.assert_allclose(mean[:3], [3 / 6, 2 / 6, 1 / 6], atol=0.05)


def test_predictions_do_not_look_ahead_and_know_unseen_levels_and_missing_birth_years(panel):
    train, validation, test = panel(range(40), 4, 1), panel(range(40, 50), 4, 2), panel(range(50, 55), 4, 3)
    model = logit(1.0).fit(train, validation)
    before = model.predict(test).log_probs.reshape(5, 4, 4)
    changed = test.frame.copy()
    last = changed["year"] == 1983
    changed.loc[last, ["occupation", "region"]] = ["d", "overseas"]
    changed.loc[last, "birth_year"] = pd.NA
    after = model.predict(CareerPanel(changed, test.outcomes, "toy")).log_probs.reshape(5, 4, 4)
    assert (before[:, :3] == after[:, :3]).all()
    assert np.isfinite(after).all()


def test_keeps_the_best_of_the_grid_on_validation(panel):
    train, validation = panel(range(40), 4, 1), panel(range(40, 60), 4, 2)
    model = MultinomialLogit(regularisations=[0.01, 1.0, 100.0]).fit(train, validation)
    grid = model.validation_perplexity_
    best = grid.loc[grid["validation_perplexity"].idxmin()]
    assert len(grid) == 9
    assert model.regularisation_ == best["regularisation"]
    assert model.feature_weights_[2] == best["covariates_weight"]
    got = np.exp(-model.predict(validation).table["log_prob"].mean())
    assert got == pytest.approx(best["validation_perplexity"], rel=1e-9)


def test_a_shared_term_of_staying_serves_where_titles_are_many_and_workers_few():
    """Of 150 titles one stays with 0.8 whatever it is, and 120 workers show each of them a few times."""
    titles = tuple(f"t{number:03d}" for number in range(150))
    rng = np.random.default_rng(1)

    def careers(prefix: str, workers: int) -> CareerPanel:
        codes = rng.integers(150, size=(workers, 12))
        for t in range(1, 12):
            codes[:, t] = np.where(rng.random(workers) < 0.8, codes[:, t - 1], codes[:, t])
        frame = pd.DataFrame(
            {"worker_id": np.repeat([f"{prefix}{i:03d}" for i in range(workers)], 12),
             "year": np.tile(range(1980, 1992), workers), "occupation": np.take(titles, codes.ravel())}
        )  # fmt: skip
        known = {"education": "college", "region": "west", "gender": "male", "ethnicity": "white"}
        frame = frame.assign(dataset="toy", birth_year=pd.array([1960] * len(frame), dtype="Int64"), **known)
        return CareerPanel(frame, OutcomeSpace(titles, titles), "toy")

    train, validation, test = careers("a", 120), careers("b", 40), careers("c", 60)
    frequencies, plain, staying = (
        np.exp(-model.fit(train, validation).predict(test).table["log_prob"].mean())
        for model in (
            EmpiricalTransitions(),
            MultinomialLogit(feature_weights=[(1.0, 0.5, 0.1)]),
            MultinomialLogitStaying(feature_weights=[(1.0, 0.5, 0.1)]),
        )
    )
    assert plain > 1.5 * frequencies
    assert staying < 1.1 * frequencies


def test_refuses_what_cannot_be_estimated_and_says_when_it_has_not_converged(panel):
    train, validation = panel(range(20), 3, 1), panel(range(20, 25), 3, 2)
    with pytest.raises(NumericalError, match="C = 1: not converged in 1 iterations"):
        logit(1.0, max_iterations=1).fit(train, validation)
    with pytest.raises(MismatchError, match="fitted for 4 occupations"):
        MultinomialLogit().fit(train, panel(range(30, 31), 3, 1, 3))
    train.frame["occupation"] = "a"
    with pytest.raises(InputError, match="one occupation only"):
        MultinomialLogit().fit(train, validation)
