"""Tables of demographics: invented numbers as they are to be read, and the rule of eleven persons."""

from __future__ import annotations

import numpy as np
import pandas as pd

from labor_llm.evaluation.covariates import TOGETHER
from labor_llm.exhibits import studies as tables


def measured() -> pd.DataFrame:
    rows = []
    for group, workers in (("female", 20), ("male", 15), ("other", 9)):
        for measure, task, value in (
            ("perplexity", "", 8.0),
            ("auc", "t", 0.7),
            ("calibration_error", "t", 0.1),
        ):
            rows.append(
                {
                    "dataset": "d", "model": "m", "characteristic": "gender", "group": group, "measure": measure,
                    "task": task, "value": value, "test_se": 0.5, "ci_low": value - 0.05, "ci_high": value + 0.05,
                    "perfect_mean": 0.05, "perfect_high": 0.08, "transitions": 90, "workers": workers,
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def test_groups_below_eleven_workers_are_not_shown() -> None:
    table = tables.group_perplexity(measured())
    assert table.frame.to_dict("list") == {
        "Group": ["Gender: female", "Gender: male"],
        "Model": ["m", "m"],
        "Perplexity": [8.0, 8.0],
        "TestSE": [0.5, 0.5],
        "95 % from": [7.95, 7.95],
        "95 % to": [8.05, 8.05],
        "Transitions": [90, 90],
        "Workers": [20, 15],
    }
    assert table.persons.tolist() == [20, 15]


def test_auc_and_calibration_error_of_a_group_stand_in_one_row() -> None:
    frame = measured().sample(frac=1.0, random_state=1)
    table = tables.group_tasks(pd.concat([frame, frame.assign(dataset="e", value=0.3)]), {"e": "Data E"})
    assert set(table.frame["Data set"]) == {"d", "Data E"}
    assert len(table.frame) == 4
    own = table.frame[table.frame["Data set"] == "d"]
    assert set(own["AUC"]) == {0.7}
    assert set(own["Calibration error"]) == {0.1}
    assert list(own.columns[-4:]) == [
        "Calibration error",
        "Perfect model, mean",
        "Perfect model, 95 %",
        "Workers",
    ]
    assert own[["Perfect model, mean", "Perfect model, 95 %"]].to_numpy().tolist() == [[0.05, 0.08]] * 2
    assert table.persons.min() == 15


def values(
    models: tuple[str, ...] = ("m", "n"), names: tuple[str, ...] = ("gender", TOGETHER)
) -> pd.DataFrame:
    rows = [
        {
            "dataset": "d", "model": model, "covariate": name, "difference": 0.5, "test_se": 0.1, "ci_low": 0.3,
            "ci_high": 0.7, "seed_sd": np.nan, "log_prob_difference": -0.02, "log_prob_test_se": 0.004,
            "transitions": 1200, "workers": 40, "seeds": 3,
        }
        for model in models
        for name in names
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_the_value_of_covariates_as_table_figure_labels_and_sentence() -> None:
    table = tables.covariate_values(values())
    assert table.frame["Covariate"].tolist() == ["gender", TOGETHER] * 2
    assert table.frame["Model"].tolist() == ["m", "m", "n", "n"]
    assert table.persons.tolist() == [40] * 4
    labelled = tables.covariate_labels(values(), "Data D")
    assert labelled["label"].tolist()[:2] == ["gender: m", f"{TOGETHER}: m"]
    assert set(labelled["dataset"]) == {"Data D"}
    sentence = tables.covariates_in_words(values(), "n")
    assert sentence.startswith(
        "With all of them exchanged the perplexity of n is higher than that with the workers'"
    )
    assert (
        "+0.50 with a standard error of 0.10, over 1,200 transitions of 40 workers and 3 permutations"
        in sentence
    )
    zero = values().assign(difference=np.inf, test_se=np.nan, ci_low=np.nan, ci_high=np.nan)
    assert tables.covariates_in_words(zero, "n") == (
        "With all of them exchanged the perplexity of n is not comparable with that with the workers' own, as their "
        "difference has no finite interval, over 1,200 transitions of 40 workers and 3 permutations."
    )
    alone = tables.covariates_in_words(values(names=("region",)), "m")
    assert alone.startswith("With region exchanged")
