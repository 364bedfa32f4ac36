"""Tables of how well models predict: invented numbers as they are to be read, and the rule of eleven persons."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from labor_llm.careers.occupations import OutcomeSpace
from labor_llm.careers.predictions import Predictions
from labor_llm.evaluation.binary_tasks import (
    CHANGE,
    UNEMPLOYMENT,
    BinaryEvents,
    bootstrap_auc,
    differences_to_best,
)
from labor_llm.evaluation.calibration import calibration_errors, recalibration
from labor_llm.evaluation.comparison import LeftOut
from labor_llm.evaluation.perplexity import bootstrap_differences, bootstrap_perplexity
from labor_llm.exhibits import formatting, studies, tables
from labor_llm.exhibits.formatting import format_value

SPACE = OutcomeSpace(("1", "2"), ("Cooks", "Bakers"))


BOOTSTRAP = pd.DataFrame(
    {
        "dataset": "d", "model": ["x", "y"], "perplexity": [8.0, 9.0], "test_se": [0.1, 0.2], "transitions": 90,
        "workers": 30,
    }
)  # fmt: skip
bootstrap = BOOTSTRAP.assign


def test_main_comparison_of_one_and_of_two_data_sets() -> None:
    one = tables.main_comparison(bootstrap())
    assert one.frame.to_dict("list") == {
        "Model": ["x", "y", "Test transitions", "Test workers"],
        "Perplexity": [8.0, 9.0, 90, 30],
        "TestSE": [0.1, 0.2, "", ""],
    }
    two = tables.main_comparison(pd.concat([bootstrap(), bootstrap(dataset="e", workers=12)]))
    assert list(two.frame.columns) == ["Model", "d: Perplexity", "d: TestSE", "e: Perplexity", "e: TestSE"]
    assert two.persons == 12
    refitted = tables.main_comparison(bootstrap(train_se=[0.3, np.nan]))
    assert refitted.frame["TrainSE"].tolist()[0] == 0.3
    assert refitted.formats["TrainSE"] == "[{:.2f}]"


def test_differences_with_both_errors_name_both_models() -> None:
    differences = pd.DataFrame(
        {
            "dataset": "d", "model": ["x", "y"], "reference": "z", "difference": [1.0, -2.0], "test_se": [0.3, 0.5],
            "ci_low": [0.4, -3.0], "ci_high": [1.6, -1.0], "z": [3.3, -4.0], "workers": [30, 30],
            "train_se": [0.4, np.nan], "total_se": [0.5, np.nan],
        }
    )  # fmt: skip
    table = formatting.table("tab-paired-differences", tables.difference_labels(differences))
    assert list(table.frame) == [
        "Comparison", "Difference", "TestSE", "TrainSE", "Both", "95 % from", "95 % to", "z",
    ]  # fmt: skip
    row = [format_value(table.frame.loc[0, name], table.formats.get(name)) for name in table.frame]
    assert row == ["x \u2212 z", "1.00", "(0.30)", "[0.40]", "0.50", "0.40", "1.60", "3.3"]
    plain = tables.difference_labels(differences.drop(columns=["train_se", "total_se"]), {"d": "Data D"})
    frame = formatting.table("tab-paired-differences", plain).frame
    assert list(frame) == ["Comparison", "Difference", "TestSE", "95 % from", "95 % to", "z"]
    assert set(plain["dataset"]) == {"Data D"}


def test_no_type_of_transition_is_shown_if_one_has_too_few_workers() -> None:
    rows = pd.concat([bootstrap(transition_type="first"), bootstrap(transition_type="moving", workers=10)])
    table = tables.transition_types(rows)
    assert table.frame[["First", "Moving"]].isna().all(axis=None)
    assert table.persons.tolist() == [30, 30]


def test_value_of_fine_tuning_keeps_models_apart() -> None:
    masses = pd.DataFrame({"dataset": "d", "model": ["y", "x"], "mean": [0.5, 0.9]})
    masses = masses.assign(mean_se=0.1, mean_low=masses["mean"] - 0.2, mean_high=1.0)
    table = tables.value_of_fine_tuning(bootstrap(), bootstrap(perplexity=[7.0, 6.0]), masses)
    assert table.frame["Normalised perplexity"].tolist() == [7.0, 6.0]
    assert table.frame["Mean valid mass"].tolist() == [0.9, 0.5]


def predictions(model: str, log_prob: float) -> Predictions:
    """Twelve workers of two transitions each."""
    table = pd.DataFrame(
        {
            "dataset": "d", "worker_id": np.repeat([f"w{number:02}" for number in range(12)], 2),
            "year": [1980, 1981] * 12, "transition_type": "first", "occupation": "1",
            "log_prob": log_prob * np.tile([0.5, 1.5], 12), "log_valid_mass": np.nan,
        }
    )  # fmt: skip
    return Predictions(model, table, SPACE)


def test_models_beside_the_reference_with_what_they_were_trained_on() -> None:
    both = [predictions("Own", -np.log(2.0)), predictions("Pooled", -np.log(1.5))]
    scores, differences = bootstrap_perplexity(both, 20), bootstrap_differences(both, "Own", 20)
    described = pd.DataFrame({"dataset": "d", "model": ["Pooled", "Own"], "own": [300, 100]})
    table = tables.beside_reference("tab-pooled-data", scores, differences, described)
    own, pooled = table.frame.to_dict("records")
    assert (own["Model"], own["Own careers"], own["Difference"]) == ("Own", 100, "")
    assert own["Perplexity"] == pytest.approx(2.0)
    assert pooled["Difference"] == pytest.approx(-0.5)
    assert pooled["95 % from"] <= -0.5 <= pooled["95 % to"] + 1e-9
    assert table.persons.tolist() == [12, 12]
    gain = tables.beside_reference("tab-prompts", scores, differences, nats=True).frame["Gain in nats"]
    assert gain.tolist() == ["", pytest.approx(np.log(2.0 / 1.5))]
    pairs = studies.pooled_pairs(both, described.assign(others=[40, 0]), 20)
    assert pairs.frame[["Model", "Minus", "Workers"]].to_numpy().tolist() == [["Pooled", "Own", 12]]
    assert pairs.frame["Difference"].item() == pytest.approx(-0.5)


def test_a_reference_alone_has_no_differences() -> None:
    one = [predictions("Own", -1.0)]
    scores, differences = bootstrap_perplexity(one, 20), bootstrap_differences(one, "Own", 20)
    frame = tables.beside_reference("tab-titles", scores, differences).frame
    assert frame[["Model", "Difference"]].to_numpy().tolist() == [["Own", ""]]
    assert frame["Perplexity"].item() == pytest.approx(np.e)


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
    assert list(table.frame)[:6] == ["Task", "Data set", "Models", "Transitions", "Events", "Events, %"]
    assert table.frame.to_numpy().tolist() == [
        ["Change of occupation", "d", 2, 80, 12, 15.0, 40, 12],
        # Five workers never have the second event: too few to be told.
        ["Unemployment", "Data E", 2, 80, 35, 43.75, 40, "30 or more"],
    ]
    assert table.persons.tolist() == [12, 35]


def test_areas_and_differences_name_task_model_and_persons() -> None:
    both = [events(), events(14, dataset="e", task=UNEMPLOYMENT)]
    table = tables.areas(bootstrap_auc(both, draws=20), {"e": "Data E"})
    assert list(table.frame)[:7] == ["Model", "Task", "Data set", "AUC", "TestSE", "95 % from", "95 % to"]
    assert table.frame["Workers"].tolist() == [12, 12, 14, 14]
    assert table.frame["Data set"].tolist() == ["d", "d", "Data E", "Data E"]
    assert table.persons.tolist() == [12, 12, 14, 14]
    differences = differences_to_best(both[:1], ["b"], draws=200)
    table = formatting.table("tab-auc-differences", differences)
    assert list(table.frame)[:4] == ["Model", "Task", "Best baseline", "Difference in AUC"]
    sentence = tables.model_in_words(differences, "a", {"d": "Data D"}).words
    words = "AUC of a against the best baseline of each task. Data D, change of occupation, against b: higher (+0."
    assert sentence.startswith(words)
    undefined = differences.assign(difference=np.nan, test_se=np.nan, ci_low=np.nan, ci_high=np.nan)
    assert tables.model_in_words(undefined, "a").words == (
        "AUC of a against the best baseline of each task. d, change of occupation, against b: not comparable."
    )
    assert "no scores of other titles" in tables.model_in_words(differences, "c").words


def test_calibration_of_tasks_stands_beside_a_perfect_model() -> None:
    asked = [events()]
    errors = calibration_errors(asked)
    table = tables.task_calibration(recalibration(asked), errors)
    assert table.frame["Model"].tolist() == ["a", "b"]
    np.testing.assert_array_equal(table.frame["Perfect model, mean"], errors["perfect_mean"])
    assert table.persons.tolist() == [40, 40]


def test_left_out_in_words() -> None:
    entries = [
        LeftOut("d", "Unemployment", "", "no state"),
        LeftOut("d", "Out of the labor force", "", "no state"),
        LeftOut("d", "", "m", "not scored"),
    ]
    got = tables.left_out_in_words(entries, {"d": "Data D"}).words
    assert got == "Left out: Data D: unemployment, out of the labor force (no state); Data D: m (not scored)."
    assert tables.left_out_in_words([]).words == "Nothing was left out."
