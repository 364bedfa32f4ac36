"""Two years and more ahead: compounding against matrix powers and against brute force."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labor_llm.baselines.oracle import Oracle
from labor_llm.careers.horizons import (
    compounded_predictions,
    direct_predictions,
    draw_questions,
    horizon_questions,
    optimal_resampling,
)
from labor_llm.careers.occupations import OutcomeSpace
from labor_llm.careers.panel import CareerPanel, career_panel
from labor_llm.careers.predictions import Predictions
from labor_llm.errors import InputError, MismatchError
from labor_llm.simulation.careers import NLSY79, simulate_careers
from labor_llm.simulation.market import Market

GROUPS = {"10": "Clerical", "11": "Clerical", "40": "Service", "70": "Trades"}
CODES = (*GROUPS, "unemployed", "out_of_labor_force", "education")
SPACE = OutcomeSpace(CODES, CODES)


@pytest.fixture(scope="module")
def some(chain_panel: CareerPanel) -> CareerPanel:
    return chain_panel.restrict(chain_panel.workers[:30])


def test_questions_are_pairs_of_records_so_many_years_apart() -> None:
    frame = pd.DataFrame(
        {
            "dataset": "d", "worker_id": ["a"] * 4 + ["b"], "year": [1980, 1981, 1982, 1984, 1982],
            "occupation": ["10", "11", "10", "40", "10"],
        }
    )  # fmt: skip
    panel = CareerPanel(frame, SPACE, "d")
    got = horizon_questions(panel)[["worker_id", "origin_year", "year", "transition_type"]]
    assert got.to_numpy().tolist() == [["a", 1980, 1982, "staying"], ["a", 1982, 1984, "moving"]]
    assert horizon_questions(panel, 7).empty
    with pytest.raises(InputError, match="give two or more"):
        horizon_questions(panel, 1)


def test_questions_are_drawn_in_their_order(some: CareerPanel) -> None:
    every = horizon_questions(some, 2)
    drawn = draw_questions(every, 30, seed=3)
    assert len(drawn) == 30
    assert drawn.equals(drawn.sort_values(["worker_id", "year"], ignore_index=True))
    # As many more as make eleven workers, and no more.
    few = draw_questions(every, 5, seed=3)
    assert few["worker_id"].nunique() == 11
    assert set(map(tuple, few.to_numpy())) <= set(map(tuple, drawn.to_numpy()))
    of_ten = every[every["worker_id"].isin(every["worker_id"].unique()[:10])]
    with pytest.raises(InputError, match="fewer than 11 workers"):
        draw_questions(of_ten, -1)


def test_a_markov_chain_compounds_to_its_powers(some: CareerPanel, chain_model: type) -> None:
    model, two = chain_model(), horizon_questions(some, 2)
    matrix, origin = model.matrix[:-1], some.outcomes.indices(two["origin"])
    (exact,) = compounded_predictions(model, some, two, paths=5)
    np.testing.assert_allclose(np.exp(exact.log_probs), (matrix @ matrix)[origin], atol=1e-6)
    # To a first-order model the year between means nothing: asked directly it says the one-year probabilities.
    direct = direct_predictions(model, some, two)
    np.testing.assert_allclose(np.exp(direct.log_probs), matrix[origin], atol=1e-6)


def test_runs_are_unbiased_and_scatter_as_much_as_they_err(
    chain_panel: CareerPanel, chain_model: type
) -> None:
    model, some = chain_model(), chain_panel.restrict(chain_panel.workers[:90])
    three = horizon_questions(some, 3)
    power = np.linalg.matrix_power(model.matrix[:-1], 3)[some.outcomes.indices(three["origin"])]
    runs = {}
    for paths in (2, 5):
        found = compounded_predictions(model, some, three, paths=paths, seed=1)
        runs[paths] = np.exp([run.log_probs.astype(float) for run in found])
    mean, scatter = runs[2].mean(axis=0), runs[2].std(axis=0, ddof=1) / np.sqrt(len(runs[2]))
    # The squared error of the mean is what the runs' scatter says it is, and errors cancel over the questions.
    assert ((mean - power) ** 2).sum() == pytest.approx((scatter**2).sum(), rel=0.2)
    assert np.abs((mean - power).mean(axis=0)).max() < 4 * np.sqrt((scatter**2).mean() / len(three))
    # With more histories the error falls faster than with the square root of their number.
    errors = {paths: np.sqrt(((found - power) ** 2).mean()) for paths, found in runs.items()}
    assert errors[5] < 0.8 * errors[2] / np.sqrt(2.5)


@given(st.lists(st.floats(0.0, 1.0), min_size=3, max_size=40), st.floats(0.0, 0.999), st.data())
def test_resampling_keeps_what_is_likely_and_the_sum(
    weights: list[float], luck: float, data: st.DataObject
) -> None:
    kept = data.draw(st.integers(1, len(weights) - 1))
    given_weights = np.array(weights)
    places, found = optimal_resampling(given_weights, kept, luck)
    assert len(places) == len(found) == kept
    assert found.sum() == pytest.approx(given_weights.sum(), abs=1e-9)
    # What is drawn weighs more than before, and what weighs more than that is there as it was.
    drawn = ~np.isclose(found, given_weights[places])
    assert (found[drawn] >= given_weights[places[drawn]] - 1e-9).all()
    if drawn.any():
        assert set(np.flatnonzero(given_weights > found[drawn].max() + 1e-9)) <= set(places)


def test_resampling_gives_each_weight_its_own_for_its_mean() -> None:
    weights, total = np.array([0.05, 0.6, 0.02, 0.2, 0.1, 0.03]), np.zeros(6)
    for luck in (np.arange(4000) + 0.5) / 4000:
        places, found = optimal_resampling(weights, 3, luck)
        np.add.at(total, places, found / 4000)
        assert dict(zip(places, found, strict=True))[1] == 0.6
    np.testing.assert_allclose(total, weights, atol=1e-3)


def test_the_market_compounds_as_by_hand() -> None:
    """Every history of one worker, written out and given to the market itself."""
    market = Market(5, outcomes=SPACE, groups=GROUPS)
    frame = simulate_careers(market, 12, NLSY79, seed=1)
    panel = career_panel(frame[frame["year"] <= 1990], SPACE, "simulated")
    question = horizon_questions(panel).iloc[[25]]
    worker = panel.frame[panel.frame["worker_id"] == question["worker_id"].iloc[0]]
    year = int(question["origin_year"].iloc[0])
    known, target = worker[worker["year"] <= year], worker[worker["year"] == year + 2]
    total = np.zeros(len(SPACE))
    for position, code in enumerate(CODES):
        between = known.iloc[[-1]].assign(year=year + 1, occupation=code)
        logs = market.log_probabilities(pd.concat([known, between, target]), np.float64)
        total += np.exp(logs[-2, position]) * np.exp(logs[-1])
    (got,) = compounded_predictions(Oracle(market), panel, question, paths=2)
    np.testing.assert_allclose(np.exp(got.log_probs[0]), total, rtol=1e-5)
    direct = direct_predictions(Oracle(market), panel, question)
    logs = market.log_probabilities(pd.concat([known, target]), np.float64)
    np.testing.assert_allclose(direct.log_probs[0], logs[-1], rtol=1e-5)


def test_paths_depend_on_the_seed_the_worker_and_the_year_alone(some: CareerPanel, chain_model: type) -> None:
    questions = horizon_questions(some, 3)
    whole = compounded_predictions(chain_model(), some, questions, paths=3, seed=1)
    half = compounded_predictions(chain_model(), some, questions.iloc[10:], paths=3, seed=1)
    for every, later in zip(whole, half, strict=True):
        np.testing.assert_array_equal(every.log_probs[10:], later.log_probs)
    other = compounded_predictions(chain_model(), some, questions, paths=3, seed=2)
    differing = {run.log_probs.tobytes() for run in (*whole, *other)}
    assert len(differing) == 10, "each run of each seed has luck of its own"


def test_histories_that_are_asked_are_the_known_records_and_those_drawn(
    chain_panel: CareerPanel, chain_model: type
) -> None:
    """The year between is that of the step, its education the last known one, and what is asked for is not told."""
    worker = chain_panel.frame[chain_panel.frame["worker_id"] == chain_panel.workers[0]].iloc[:3]
    worker = worker.assign(
        education=["high school", "college", "graduate degree"], occupation=["12", "11", "10"]
    )
    panel = CareerPanel(worker, chain_panel.outcomes, "d")
    seen: list[list[list[object]]] = []

    class Watching(chain_model):  # type: ignore[misc, valid-type]
        def predict(self, panel: CareerPanel) -> Predictions:
            columns = ["worker_id", "year", "education", "occupation"]
            seen.append(panel.frame[columns].to_numpy().tolist())
            return super().predict(panel)

    compounded_predictions(Watching(), panel, horizon_questions(panel), paths=5)
    first = [1980, "high school", "12"]
    assert [record[1:] for record in seen[0]] == [first, [1981, "high school", "12"]]
    last = [1982, "graduate degree", "12"]
    for path, code in enumerate(panel.outcomes.codes):
        history = [record[1:] for record in seen[1] if record[0].endswith(f"-{path:06d}")]
        assert history == [first, [1981, "high school", code], last]


def test_what_cannot_be_compounded_is_refused(some: CareerPanel, chain_model: type) -> None:
    model, three = chain_model(), horizon_questions(some, 3)
    for choices, message in (
        ({"step": 2, "paths": 5}, "does not fit horizons of 3 years"),
        ({"paths": 1}, "at least two"),
    ):
        with pytest.raises(InputError, match=message):
            compounded_predictions(model, some, three, **choices)
    with pytest.raises(InputError, match="no questions"):
        direct_predictions(model, some, three.iloc[:0])
    with pytest.raises(MismatchError, match="records that the panel does not have"):
        direct_predictions(model, some.restrict(some.workers[:3]), three)

    class Partial(chain_model):  # type: ignore[misc, valid-type]
        def predict(self, panel: CareerPanel) -> Predictions:
            whole = super().predict(panel)
            return Predictions("partial", whole.table.assign(log_valid_mass=np.nan), whole.outcomes)

    with pytest.raises(MismatchError, match="did not score every title"):
        direct_predictions(Partial(), some, three)
