"""Tables of binary tasks: invented numbers as they are to be read, and the rule of eleven persons."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from labor_llm.careers.occupations import OutcomeSpace
from labor_llm.careers.predictions import from_matrix
from labor_llm.evaluation.binary_tasks import CHANGE, UNEMPLOYMENT, BinaryEvents
from labor_llm.evaluation.calibration import calibration_errors, recalibration
from labor_llm.evaluation.comparison import LeftOut
from labor_llm.evaluation.distribution_calibration import distribution_calibration
from labor_llm.evaluation.ranking import bootstrap_auc, differences_to_best
from labor_llm.exhibits import tasks as tables


def events(with_event: int = 12, workers: int = 40, dataset: str = "d", task=CHANGE) -> BinaryEvents:
    """Two records a worker; the first `with_event` workers have the event in the second one."""
    worker = np.repeat(np.arange(workers), 2)
    outcome = (np.arange(2 * workers) % 2 == 1) & (worker < with_event)
    table = pd.DataFrame({"worker_id": [f"w{i:03d}" for i in worker], "year": 1980, "outcome": outcome})
    rng = np.random.default_rng(0)
    noise = rng.random((2 * workers, 2))
    stated = np.column_stack([0.2 + 0.4 * outcome * noise[:, 0] + 0.1 * noise[:, 1], noise[:, 1]])
    return BinaryEvents(task, dataset, table, ("a", "b"), stated)


def test_what_each_task_rests_on() -> None:
    table = tables.task_events([events(), events(35, dataset="e", task=UNEMPLOYMENT)], {"e": "Data E"})
    assert table.frame.to_dict("list") == {
        "Task": ["Change of occupation", "Unemployment"],
        "Data set": ["d", "Data E"],
        "Models": [2, 2],
        "Transitions": [80, 80],
        "Events": [12, 35],
        "Events, %": [15.0, 43.75],
        "Workers": [40, 40],
        # Five workers never have the second event: too few to be told.
        "Workers with an event": [12, "30 or more"],
    }
    assert table.persons.tolist() == [12, 35]


def test_areas_and_differences_name_task_model_and_persons() -> None:
    both = [events(), events(14, dataset="e", task=UNEMPLOYMENT)]
    table = tables.task_areas(bootstrap_auc(both, draws=20), {"e": "Data E"})
    assert list(table.frame) == ["Model", "Task", "Data set", "AUC", "TestSE", "95 % from", "95 % to"]
    assert table.frame["Data set"].tolist() == ["d", "d", "Data E", "Data E"]
    assert table.persons.tolist() == [12, 12, 14, 14]
    differences = differences_to_best(both[:1], ["b"], draws=200)
    table = tables.area_differences(differences)
    assert list(table.frame)[:4] == ["Model", "Task", "Best baseline", "Difference in AUC"]
    sentence = tables.model_in_words(differences, "a", {"d": "Data D"})
    assert sentence.startswith(
        "The AUC of a is, by task: Data D, change of occupation: higher than that of b (+0."
    )
    undefined = differences.assign(difference=np.nan, test_se=np.nan, ci_low=np.nan, ci_high=np.nan)
    assert tables.model_in_words(undefined, "a") == (
        "The AUC of a is, by task: d, change of occupation: not comparable with that of b."
    )
    assert "no scores of other titles" in tables.model_in_words(differences, "c")


def test_calibration_of_tasks_stands_beside_a_perfect_model() -> None:
    tasks = [events()]
    errors = calibration_errors(tasks)
    table = tables.task_calibration(recalibration(tasks), errors)
    assert table.frame["Model"].tolist() == ["a", "b"]
    np.testing.assert_array_equal(table.frame["Perfect model, mean"], errors["perfect_mean"])
    assert table.persons.tolist() == [40, 40]


def test_left_out_in_words() -> None:
    entries = [
        LeftOut("d", "Unemployment", "", "no state"),
        LeftOut("d", "Out of the labor force", "", "no state"),
        LeftOut("d", "", "m", "not scored"),
    ]
    got = tables.left_out_in_words(entries, {"d": "Data D"})
    assert got == "Left out: Data D: unemployment, out of the labor force (no state); Data D: m (not scored)."
    assert tables.left_out_in_words([]) == "Nothing was left out."


@pytest.mark.parametrize("heat", [1.0, 3.0])
def test_the_whole_distribution_of_a_model_that_is_right_and_of_one_that_is_timid(heat: float) -> None:
    rng = np.random.default_rng(1)
    space = OutcomeSpace(("a", "b", "c", "d"), ("A", "B", "C", "D"))
    logits = rng.normal(0, 1.5, (1200, 4))
    true = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    drawn = (rng.random((1200, 1)) > true.cumsum(axis=1)).sum(axis=1).clip(max=3)
    transitions = pd.DataFrame(
        {
            "dataset": "d",
            "worker_id": [f"w{row // 6:03d}" for row in range(1200)],
            "year": 1980 + np.arange(1200) % 6,
            "transition_type": "moving",
            "occupation": np.array(space.codes, dtype=object)[drawn],
        }
    )
    stated = logits / heat - np.log(np.exp(logits / heat).sum(axis=1, keepdims=True))
    groups = {"d": {"a": "ab", "b": "ab", "c": "c", "d": "d"}}
    measured = distribution_calibration([from_matrix("m", transitions, space, stated)], groups, draws=50)
    row = measured.iloc[0]
    assert row["classes"] == 3
    assert row["temperature"] == pytest.approx(1.0 / heat, rel=0.15)
    assert (row["top_error"] > 3 * row["top_perfect"]) == (heat > 1)
    assert (row["gain"] > 3 * row["test_se"]) == (heat > 1)
    assert row["class_error"] < 3 * row["class_perfect"]
    table = tables.distribution_table(measured)
    assert table.frame["Temperature"].tolist() == [row["temperature"]]
    assert table.persons.tolist() == [200]
