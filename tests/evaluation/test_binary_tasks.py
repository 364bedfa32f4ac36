"""Events read off the distribution over titles, and which transitions they are asked of."""

from __future__ import annotations

import numpy as np
import pytest

from labor_llm.careers.panel import CareerPanel, transitions
from labor_llm.careers.predictions import Predictions
from labor_llm.errors import InputError, MismatchError, NumericalError
from labor_llm.evaluation.binary_tasks import (
    BINARY_TASKS,
    CHANGE,
    OUT_OF_LABOR_FORCE,
    UNEMPLOYMENT,
    BinaryTask,
    binary_events,
)


def test_probabilities_are_entries_of_the_distribution(chain_panel: CareerPanel, chain_model: type) -> None:
    model = chain_model()
    records = transitions(chain_panel)
    later = records[records["previous"].notna()]
    previous = chain_panel.outcomes.indices(later["previous"])
    expected = {
        "change_of_occupation": 1 - model.matrix[previous, previous],
        "unemployment": model.matrix[previous, 3],
        "out_of_labor_force": model.matrix[previous, 4],
    }
    happened = {
        "change_of_occupation": later["transition_type"] == "moving",
        "unemployment": later["occupation"] == "unemployed",
        "out_of_labor_force": later["occupation"] == "out_of_labor_force",
    }
    for task in BINARY_TASKS:
        got = binary_events([model.predict(chain_panel)], chain_panel, task)
        np.testing.assert_allclose(got.probabilities[:, 0], expected[task.name], rtol=1e-6)
        np.testing.assert_array_equal(got.outcomes, happened[task.name])
        assert got.normalised == (True,)


def test_populations_are_those_with_history_those_who_can_enter_and_all(
    chain_panel: CareerPanel, chain_model: type
) -> None:
    predictions = [chain_model().predict(chain_panel)]
    records = transitions(chain_panel)
    sizes = {
        "all": len(records),
        "with_history": records["previous"].notna().sum(),
        "entering": (records["previous"].notna() & (records["previous"] != "unemployed")).sum(),
    }
    for population, size in sizes.items():
        got = binary_events(predictions, chain_panel, UNEMPLOYMENT, population)
        assert len(got.table) == len(got.probabilities) == size
        assert not (population == "entering" and (got.table["previous"] == "unemployed").any())
    with pytest.raises(InputError, match="the population is 'with_history'"):
        binary_events(predictions, chain_panel, CHANGE, "all")
    with pytest.raises(InputError, match="'some' is not known"):
        binary_events(predictions, chain_panel, UNEMPLOYMENT, "some")


def test_mass_outside_the_titles_is_divided_out_where_all_titles_were_scored_and_only_there(
    chain_panel: CareerPanel, chain_model: type
) -> None:
    whole = chain_model().predict(chain_panel)
    half = np.log(0.5)
    table = whole.table.assign(log_prob=whole.table["log_prob"] + half, log_valid_mass=half)
    scored = Predictions("lm", table, whole.outcomes, (whole.log_probs + half).astype(np.float32))
    named = Predictions(
        "named",
        table.assign(log_valid_mass=np.nan, log_prob_unemployed=whole.log_probs[:, 3] + half),
        whole.outcomes,
    )
    # The rows of a table need not be sorted, and the matrix follows them.
    order = np.random.default_rng(0).permutation(len(table))
    shuffled = Predictions("shuffled", table.iloc[order], whole.outcomes, scored.log_probs[order])
    got = binary_events([whole, scored, named, shuffled], chain_panel, UNEMPLOYMENT)
    assert got.normalised == (True, True, False, True)
    np.testing.assert_allclose(got.probabilities[:, 1], got.probabilities[:, 0], rtol=1e-5)
    np.testing.assert_allclose(got.probabilities[:, 2], got.probabilities[:, 0] / 2, rtol=1e-5)
    np.testing.assert_array_equal(got.probabilities[:, 3], got.probabilities[:, 1])
    with pytest.raises(InputError, match="Out of the labor force needs the title"):
        binary_events([named], chain_panel, OUT_OF_LABOR_FORCE)


def test_what_does_not_fit_is_refused(chain_panel: CareerPanel, chain_model: type) -> None:
    whole = chain_model().predict(chain_panel)
    short = whole.select(np.arange(len(whole.table)) < 100)
    with pytest.raises(MismatchError, match="different transitions"):
        binary_events(
            [whole, Predictions("b", short.table, whole.outcomes, short.log_probs)], chain_panel, CHANGE
        )
    with pytest.raises(InputError, match="'retired' is no occupation of chain"):
        binary_events([whole], chain_panel, BinaryTask("retired", "Retired", "retired"))
    with pytest.raises(MismatchError, match="are not in the panel"):
        binary_events([whole], chain_panel.restrict(chain_panel.workers[:5]), CHANGE)
    unscored = Predictions(
        "n", whole.table.assign(log_valid_mass=np.nan, log_prob_unemployed=0.2), whole.outcomes
    )
    with pytest.raises(NumericalError, match="above zero"):
        binary_events([unscored], chain_panel, UNEMPLOYMENT)
    lower, upper = whole.log_probs.copy(), whole.log_probs.copy()
    lower[5:7, 3] = -np.inf
    bounded = Predictions("bounded", whole.table, whole.outcomes, lower, upper)
    with pytest.raises(InputError, match="left 'unemployed' open in 2 of"):
        binary_events([bounded], chain_panel, UNEMPLOYMENT, "all")
