"""Two years and more ahead: compounding against matrix powers, against brute force, and against what happens."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from labor_llm.baselines.oracle import Oracle
from labor_llm.careers.horizons import compounded_predictions, direct_predictions, horizon_questions
from labor_llm.careers.occupations import OutcomeSpace
from labor_llm.careers.panel import CareerPanel, career_panel
from labor_llm.careers.predictions import Predictions
from labor_llm.errors import InputError, MismatchError
from labor_llm.evaluation.horizons import distance_to_truth, horizon_agreement
from labor_llm.models.loading import LanguageModel
from labor_llm.scoring.careers import score_careers
from labor_llm.scoring.settings import ScoringSettings
from labor_llm.simulation.careers import NLSY79, simulate_careers
from labor_llm.simulation.market import Market

GROUPS = {"10": "Clerical", "11": "Clerical", "40": "Service", "70": "Trades"}
CODES = (*GROUPS, "unemployed", "out_of_labor_force", "education")
SPACE = OutcomeSpace(CODES, CODES)
MARKET = Market(5, outcomes=SPACE, groups=GROUPS)


@pytest.fixture(scope="module")
def market_panel() -> CareerPanel:
    frame = simulate_careers(MARKET, 150, NLSY79, seed=1)
    return career_panel(frame[frame["year"] <= 1990], SPACE, "simulated")


def test_questions_are_pairs_of_records_so_many_years_apart() -> None:
    frame = pd.DataFrame(
        {
            "dataset": "d", "worker_id": ["a"] * 4 + ["b"], "year": [1980, 1981, 1982, 1984, 1982],
            "occupation": ["10", "11", "10", "40", "10"],
        }
    )  # fmt: skip
    got = horizon_questions(CareerPanel(frame, SPACE, "d"))
    assert got[["worker_id", "origin_year", "year", "transition_type"]].to_numpy().tolist() == [
        ["a", 1980, 1982, "staying"],
        ["a", 1982, 1984, "moving"],
    ]
    with pytest.raises(InputError, match="no worker has two records 7 years apart"):
        horizon_questions(CareerPanel(frame, SPACE, "d"), 7)
    with pytest.raises(InputError, match="give two or more"):
        horizon_questions(CareerPanel(frame, SPACE, "d"), 1)


def test_a_markov_chain_compounds_to_its_powers(chain_panel: CareerPanel, chain_model: type) -> None:
    model = chain_model()
    matrix = model.matrix[:-1]
    some = chain_panel.restrict(chain_panel.workers[:30])
    two = horizon_questions(some, 2)
    origin = some.outcomes.indices(two["origin"])
    exact = compounded_predictions(model, some, two)
    np.testing.assert_allclose(np.exp(exact.log_probs), (matrix @ matrix)[origin], atol=1e-6)
    # To a first-order model the year between means nothing: asked directly it says the one-year probabilities.
    direct = direct_predictions(model, some, two)
    np.testing.assert_allclose(np.exp(direct.log_probs), matrix[origin], atol=1e-6)
    # The truth of the chain is its square, and the careers show it.
    truth = distance_to_truth(exact, [direct], draws=50).iloc[0]
    assert truth["kl"] > 0.02
    three = horizon_questions(some, 3)
    power = np.linalg.matrix_power(matrix, 3)[some.outcomes.indices(three["origin"])]
    errors = []
    for paths in (16, 256):
        sampled = compounded_predictions(model, some, three, paths=paths, seed=1)
        errors.append(np.abs(np.exp(sampled.log_probs) - power).mean())
    # The Monte Carlo error falls with the square root of the number of paths: 4 here.
    assert 3 < errors[0] / errors[1] < 5.5
    realised = power[np.arange(len(three)), some.outcomes.indices(three["occupation"])]
    z = (np.exp(sampled.table["log_prob"]) - realised) / sampled.table["probability_se"]
    assert z.std() == pytest.approx(1.0, abs=0.3)


def test_the_market_compounds_as_by_hand(market_panel: CareerPanel) -> None:
    """Every history of one worker, written out and given to the market itself."""
    question = horizon_questions(market_panel).iloc[[25]]
    worker = market_panel.frame[market_panel.frame["worker_id"] == question["worker_id"].iloc[0]]
    year = int(question["origin_year"].iloc[0])
    known = worker[worker["year"] <= year]
    target = worker[worker["year"] == year + 2]
    assert (worker["year"] == year + 1).any()
    total = np.zeros(len(SPACE))
    for position, code in enumerate(CODES):
        between = worker[worker["year"] == year + 1].assign(occupation=code)
        logs = MARKET.log_probabilities(pd.concat([known, between, target]), np.float64)
        total += np.exp(logs[-2, position]) * np.exp(logs[-1])
    got = compounded_predictions(Oracle(MARKET), market_panel, question)
    np.testing.assert_allclose(np.exp(got.log_probs[0]), total, rtol=1e-5)
    sampled = compounded_predictions(Oracle(MARKET), market_panel, question, paths=3000, seed=2)
    np.testing.assert_allclose(np.exp(sampled.log_probs[0]), total, atol=0.02)
    direct = direct_predictions(Oracle(MARKET), market_panel, question)
    logs = MARKET.log_probabilities(pd.concat([known, target]), np.float64)
    np.testing.assert_allclose(direct.log_probs[0], logs[-1], rtol=1e-5)


def test_compounded_truth_predicts_what_happens_better_than_direct(market_panel: CareerPanel) -> None:
    questions = horizon_questions(market_panel)
    questions = questions[questions["origin_year"] >= 1982]
    oracle = Oracle(MARKET)
    direct = direct_predictions(oracle, market_panel, questions)
    compounded = compounded_predictions(oracle, market_panel, questions)
    got = horizon_agreement(direct, compounded, draws=300).iloc[0]
    # In a market whose careers move once a year, one step of two years is not what happens.
    assert got["log_prob_difference"] < -2 * got["test_se"]
    assert got["compounded_perplexity"] < got["direct_perplexity"]
    truth = distance_to_truth(compounded, [compounded_renamed(compounded), direct], draws=50).set_index(
        "model"
    )
    assert truth.loc["same", ["total_variation", "kl", "excess_log_prob"]].tolist() == [0.0, 0.0, 0.0]
    # What is lost on the careers estimates the divergence, within four standard errors.
    assert truth.loc["direct", "excess_log_prob"] == pytest.approx(
        truth.loc["direct", "kl"], abs=4 * got["test_se"]
    )


def compounded_renamed(predictions: Predictions) -> Predictions:
    return Predictions("same", predictions.table, predictions.outcomes, predictions.log_probs)


def test_agreement_by_hand() -> None:
    table = pd.DataFrame(
        {
            "dataset": "d", "worker_id": ["a", "b"], "year": [1, 1], "transition_type": "moving",
            "occupation": ["10", "11"], "log_prob": np.log([0.5, 0.5]), "log_valid_mass": 0.0,
        }
    )  # fmt: skip
    space = OutcomeSpace(("10", "11"), ("A", "B"))
    first = Predictions("d", table, space, np.log(np.array([[0.5, 0.5], [0.5, 0.5]])).astype(np.float32))
    other = np.array([[0.8, 0.2], [0.1, 0.9]])
    second = Predictions(
        "c", table.assign(log_prob=np.log([0.8, 0.9])), space, np.log(other).astype(np.float32)
    )
    got = horizon_agreement(first, second, draws=10).iloc[0]
    assert got["total_variation"] == pytest.approx((0.3 + 0.4) / 2, rel=1e-6)
    expected = np.mean([np.sum(0.5 * np.log(0.5 / row)) for row in other])
    assert got["kl_direct_compounded"] == pytest.approx(expected, rel=1e-6)
    assert got["entry_correlation"] != got["entry_correlation"]
    assert got["log_prob_difference"] == pytest.approx(np.mean(np.log(0.5 / np.array([0.8, 0.9]))))
    with np.errstate(divide="ignore"):
        blind = Predictions("z", table, space, np.log(np.array([[1.0, 0.0], [0.5, 0.5]])).astype(np.float32))
    assert horizon_agreement(first, blind, draws=10)["kl_direct_compounded"][0] == np.inf
    one = second.select(np.array([True, False]))
    with pytest.raises(MismatchError, match="different transitions"):
        horizon_agreement(first, one, draws=10)


def test_paths_depend_on_the_seed_the_worker_and_the_year_alone(
    chain_panel: CareerPanel, chain_model: type
) -> None:
    some = chain_panel.restrict(chain_panel.workers[:30])
    questions = horizon_questions(some, 3)
    whole = compounded_predictions(chain_model(), some, questions, paths=5, seed=1)
    half = compounded_predictions(chain_model(), some, questions.iloc[10:], paths=5, seed=1)
    np.testing.assert_array_equal(whole.log_probs[10:], half.log_probs)
    other = compounded_predictions(chain_model(), some, questions, paths=5, seed=2)
    assert not np.array_equal(whole.log_probs, other.log_probs)


def test_education_between_is_that_of_the_panel(chain_panel: CareerPanel, chain_model: type) -> None:
    worker = chain_panel.frame[chain_panel.frame["worker_id"] == chain_panel.workers[0]].iloc[:3].copy()
    worker["education"] = ["high school", "college", "graduate degree"]
    panel = CareerPanel(worker, chain_panel.outcomes, "d")
    questions = horizon_questions(panel)
    seen: list[list[str]] = []

    class Watching(chain_model):  # type: ignore[misc, valid-type]
        def predict(self, panel: CareerPanel) -> Predictions:
            last = panel.frame["worker_id"].iloc[-1]
            seen.append(panel.frame.loc[panel.frame["worker_id"] == last, "education"].tolist())
            return super().predict(panel)

    compounded_predictions(Watching(), panel, questions)
    assert seen == [["high school", "college"], ["high school", "college", "graduate degree"]]


def test_what_cannot_be_compounded_is_refused(chain_panel: CareerPanel, chain_model: type) -> None:
    three = horizon_questions(chain_panel, 3)
    with pytest.raises(InputError, match="Give a number of paths"):
        compounded_predictions(chain_model(), chain_panel, three)
    with pytest.raises(InputError, match="does not fit horizons of 3 years"):
        compounded_predictions(chain_model(), chain_panel, three, step=2)
    with pytest.raises(InputError, match="at least two"):
        compounded_predictions(chain_model(), chain_panel, three, paths=1)
    with pytest.raises(InputError, match="no questions"):
        direct_predictions(chain_model(), chain_panel, three.iloc[:0])
    with pytest.raises(MismatchError, match="records that the panel does not have"):
        direct_predictions(chain_model(), chain_panel.restrict(chain_panel.workers[:3]), three)

    class Partial(chain_model):  # type: ignore[misc, valid-type]
        def predict(self, panel: CareerPanel) -> Predictions:
            whole = super().predict(panel)
            return Predictions("partial", whole.table.assign(log_valid_mass=np.nan), whole.outcomes)

    with pytest.raises(MismatchError, match="did not score every title"):
        direct_predictions(Partial(), chain_panel, three)


class Scored:
    """A language model as a next-job model."""

    def __init__(self, language_model: LanguageModel) -> None:
        self.language_model = language_model

    def predict(self, panel: CareerPanel) -> Predictions:
        return score_careers(self.language_model, panel, "tiny", ScoringSettings())


def test_a_language_model_answers_directly_what_it_answers_in_careers(
    panel: CareerPanel, tiny_model: LanguageModel
) -> None:
    some = panel.restrict(panel.workers[:6])
    questions = horizon_questions(some, 2)
    # These careers skip years: nothing lies between, and the question is the career's own next record.
    own = Scored(tiny_model).predict(some)
    keys = own.table.set_index(["worker_id", "year"]).index
    rows = keys.get_indexer(questions.set_index(["worker_id", "year"]).index)
    direct = direct_predictions(Scored(tiny_model), some, questions)
    np.testing.assert_allclose(direct.table["log_prob"], own.normalised_log_prob.iloc[rows], atol=1e-3)
    compounded = compounded_predictions(Scored(tiny_model), some, questions.iloc[:2])
    np.testing.assert_allclose(np.exp(compounded.log_probs.astype(float)).sum(axis=1), 1.0, atol=1e-5)
    assert not np.allclose(compounded.log_probs, direct.log_probs[:2], atol=1e-3)
