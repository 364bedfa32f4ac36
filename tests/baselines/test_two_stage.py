"""Two-stage logits against statsmodels, scikit-learn and the probabilities that careers were drawn with."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy.sparse import csr_matrix
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from statsmodels.discrete.conditional_models import ConditionalLogit

from labor_llm.baselines.penalised_logit import fit_penalised_logit
from labor_llm.baselines.two_stage import BagOfJobs, TwoStageLogit
from labor_llm.careers.panel import CareerPanel
from labor_llm.errors import InputError, NumericalError

STAY, COLLEGE_STAYS, COLLEGE_TO_B = 0.5, 1.0, 1.5


@pytest.fixture(scope="session")
def panel(toy):
    """Two-stage careers in a, b, c (never d): college raises the log-odds of staying, and draws movers to b."""

    def made(workers: range, years: int, seed: int) -> CareerPanel:
        rng = np.random.default_rng(seed)
        rows = []
        for worker in workers:
            college = worker % 2
            weights = np.exp([0.0, COLLEGE_TO_B * college, 0.0])
            job = int(rng.choice(3, p=weights / weights.sum()))
            for t in range(years):
                if t and rng.random() > expit(STAY + COLLEGE_STAYS * college):
                    open_to = np.where(np.arange(3) == job, 0.0, weights)
                    job = int(rng.choice(3, p=open_to / open_to.sum()))
                level = "college" if college else "high school"
                rows.append((f"w{worker:04d}", 1980 + t, "abc"[job], level, "south", pd.NA))
        return toy(rows)

    return made


def two_stage(stay: list[float], destination: list[float], kind: type = TwoStageLogit, **choices: float):
    return kind(stay_regularisations=stay, destination_regularisations=destination, **choices)


def mover_rows(rows: int, seed: int) -> tuple[csr_matrix, np.ndarray, np.ndarray]:
    """Rows with two features that chose among four alternatives, one of them closed to most."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, 2))
    closed = rng.integers(-1, 4, size=rows)
    utilities = X @ rng.normal(size=(2, 4)) + rng.normal(size=4) + rng.gumbel(size=(rows, 4))
    utilities[closed >= 0, closed[closed >= 0]] = -np.inf
    return csr_matrix(X), utilities.argmax(axis=1), closed


def test_destinations_agree_with_the_conditional_logit_of_statsmodels():
    X, chosen, closed = mover_rows(400, 1)
    got = fit_penalised_logit(X, chosen, 1e9, closed=closed, tolerance=1e-8).parameters[[-1, 0, 1]]
    # One row an open alternative; alternative a is the base, the others have an intercept and two slopes each.
    row, alternative = np.nonzero(np.arange(4) != closed[:, None])
    dummies = (alternative[:, None] == np.arange(1, 4)).astype(float)
    features = np.column_stack([np.ones(len(chosen)), X.toarray()])[row]
    exog = (dummies[:, :, None] * features[:, None, :]).reshape(len(row), 9)
    happened = (chosen[row] == alternative).astype(int)
    oracle = ConditionalLogit(happened, exog, groups=row).fit(disp=0, gtol=1e-8)
    np.testing.assert_allclose((got[:, 1:] - got[:, :1]).T.ravel(), oracle.params, atol=1e-3)


def test_without_closed_alternatives_it_is_the_penalised_logit_of_scikit_learn():
    X, chosen, _ = mover_rows(300, 2)
    plain = LogisticRegression(C=0.5, tol=1e-8, max_iter=1000).fit(X, chosen).predict_proba(X)
    for start in (None, fit_penalised_logit(X, chosen, 0.1)):
        fitted = fit_penalised_logit(X, chosen, 0.5, start=start, tolerance=1e-8)
        np.testing.assert_allclose(np.exp(fitted.log_probabilities(X, 4)), plain, atol=1e-5)


def test_both_stages_recover_what_they_were_simulated_with(panel):
    model = two_stage([1e5], [1e5]).fit(panel(range(1500), 8, 3), panel(range(1500, 1600), 8, 4))
    test = panel(range(1600, 1900), 2, 6)
    chances = np.exp(model.predict(test).log_probs)
    later, previous = (test.frame["year"] == 1981).to_numpy(), test.frame["occupation"].shift()
    for level, stays, to_b in (("college", STAY + COLLEGE_STAYS, COLLEGE_TO_B), ("high school", STAY, 0.0)):
        rows = later & ((test.frame["education"] == level) & (previous == "c")).to_numpy()
        # 10,500 transitions, about 5,250 of each education: three standard errors of a log-odds are 0.1 and more.
        np.testing.assert_allclose(np.log(chances[rows, 2] / (1 - chances[rows, 2])), stays, atol=0.25)
        assert np.log(chances[rows, 1] / chances[rows, 0]).mean() == pytest.approx(to_b, abs=0.3)


def test_stay_stage_is_the_logit_of_statsmodels(panel):
    train = panel(range(200), 4, 7)
    model = two_stage([1e7], [1.0], tolerance=1e-8).fit(train, panel(range(200, 210), 4, 8))
    features = model._features(train).toarray()[train.frame["year"] > 1980]
    stays = (train.frame["occupation"] == train.frame["occupation"].shift())[train.frame["year"] > 1980]
    # Redundant indicators have no unique coefficients, fitted probabilities have.
    full = sm.add_constant(features, has_constant="add")
    left, singular, _ = np.linalg.svd(full, full_matrices=False)
    oracle = sm.Logit(stays.to_numpy(float), left[:, singular > 1e-8 * singular[0]]).fit(disp=0)
    np.testing.assert_allclose(expit(model.stay_.decision_function(features)), oracle.predict(), atol=1e-4)


@pytest.mark.parametrize("kind", [TwoStageLogit, BagOfJobs])
def test_never_moves_to_where_one_is_gives_absent_occupations_their_share_and_does_not_look_ahead(
    kind, panel
):
    train, validation, test = panel(range(60), 4, 1), panel(range(60, 80), 4, 2), panel(range(80, 85), 4, 3)
    weights = [(1.0, 0.5, 0.25)]
    model = two_stage([0.3, 1.0], [0.3, 1.0], kind=kind, feature_weights=weights, tolerance=1e-6)
    model.fit(train, validation)
    got = np.exp(model.predict(test).log_probs).reshape(5, 4, 4)
    movers = (train.frame["occupation"] != train.frame["occupation"].shift()) | (train.frame["year"] == 1980)
    # d is nobody's destination: 1 / (n + 4) before the row is scaled to one, times the chance to move.
    floor = 1 / (movers.sum() + 4)
    np.testing.assert_allclose(got[:, 0, 3], floor / (1 + floor), rtol=1e-5)
    changed = test.frame.copy()
    changed.loc[changed["year"] == 1983, ["occupation", "region"]] = ["d", "overseas"]
    after = np.exp(model.predict(CareerPanel(changed, test.outcomes, "toy")).log_probs).reshape(5, 4, 4)
    assert (got[:, :3] == after[:, :3]).all()
    best = np.exp(-model.predict(validation).table["log_prob"].mean())
    assert best == pytest.approx(model.validation_perplexity_["validation_perplexity"].min(), rel=1e-6)
    assert len(model.validation_perplexity_) == 4


@pytest.mark.parametrize(
    ("occupations", "stays"),
    [(["a", "a", "a"], True), (["a", "b", "a"], False), (["a"], None), (["b", "a", "a"], None)],
)
@pytest.mark.parametrize("kind", [TwoStageLogit, BagOfJobs])
def test_where_all_do_the_same_the_rest_stays_possible(panel, kind, occupations, stays):
    train, validation = (panel(range(*workers), 3, 1) for workers in ((0, 20), (20, 25)))
    every = train.frame.groupby("worker_id").cumcount()
    kept = every < len(occupations)
    frame = train.frame[kept].assign(occupation=every[kept].map(dict(enumerate(occupations))))
    alike = CareerPanel(frame.reset_index(drop=True), train.outcomes, "toy")
    model = kind(stay_regularisations=(1.0,), destination_regularisations=(1.0,)).fit(alike, validation)
    chances = np.exp(model.predict(validation).log_probs)
    assert (chances > 0).all()
    previous = validation.frame.groupby("worker_id")["occupation"].shift()
    later = previous.notna().to_numpy()
    staying = chances[later, validation.outcomes.indices(previous[later])]
    if stays is not None:
        assert (staying > 0.9).all() if stays else (staying < 0.3).all()


def test_refuses_what_cannot_be_estimated(panel):
    train, validation = panel(range(20), 3, 1), panel(range(20, 25), 3, 2)
    with pytest.raises(NumericalError, match="Raise max_iterations"):
        two_stage([1.0], [1.0], max_iterations=1).fit(train, validation)
    with pytest.raises(InputError, match="closed to it"):
        fit_penalised_logit(csr_matrix(np.ones((2, 1))), np.array([0, 1]), 1.0, closed=np.array([0, 2]))
