import numpy as np
import pandas as pd
import pytest

from labor_llm.careers.occupations import OutcomeSpace
from labor_llm.careers.panel import career_panel
from labor_llm.exhibits import tables
from labor_llm.exhibits.publishing import show_table

OUTCOMES = OutcomeSpace(("a", "b"), ("Title A", "Title B"))


def panel(workers=30, rare=2):
    """Workers with three records a, a, b; the first `rare` of them are of a rare group."""
    rows = [
        (
            f"w{number:03}",
            year,
            occupation,
            "school",
            "male",
            "rare" if number < rare else f"group {number % 2}",
            "west",
            1960,
        )
        for number in range(workers)
        for year, occupation in [(1980, "a"), (1981, "a"), (1982, "b")]
    ]
    columns = ["worker_id", "year", "occupation", "education", "gender", "ethnicity", "region", "birth_year"]
    return career_panel(pd.DataFrame(rows, columns=columns), OUTCOMES, "invented")


def bootstrap(**changes):
    rows = pd.DataFrame(
        {
            "dataset": "d",
            "model": ["x", "y"],
            "perplexity": [8.0, 9.0],
            "test_se": [0.1, 0.2],
            "transitions": 90,
            "workers": 30,
        }
    )
    return rows.assign(**changes)


def test_description_of_an_invented_panel():
    splits = dict.fromkeys(panel().workers, "train")
    table = tables.data_description([panel()], {"invented": splits})
    got = dict(table.frame.itertuples(index=False, name=None))
    assert got["Workers"] == 30
    assert got["Workers, test"] == 0
    assert got["Records"] == 90
    assert got["Survey years"] == "1980\u20131982"
    assert got["Transition: moving, %"] == pytest.approx(100 / 3)
    assert got["Ethnicity: other groups pooled, %"] == pytest.approx(100 * 16 / 30)
    assert table.persons.min() >= 11


@pytest.mark.parametrize(
    ("counts", "pooled"),
    [
        ({"a": 20, "b": 11}, set()),
        ({"a": 20, "b": 15, "c": 2}, {"b", "c"}),  # a single pooled group could be computed from the others
        ({"a": 20, "b": 6, "c": 5}, {"b", "c"}),
        ({"a": 20, "b": 12, "c": 3, "d": 4}, {"b", "c", "d"}),
    ],
)
def test_small_groups_are_pooled_until_the_pool_is_large_enough(counts, pooled):
    got = tables.pool_small_groups(pd.Series(counts))
    assert {name for name, group in got.items() if group == tables.POOLED} == pooled


def test_main_comparison_of_one_and_of_two_data_sets():
    one = tables.main_comparison(bootstrap(), {"x": "Model X"})
    assert one.frame.to_dict("list") == {
        "Model": ["Model X", "y", "Test transitions", "Test workers"],
        "Perplexity": [8.0, 9.0, 90, 30],
        "TestSE": [0.1, 0.2, "", ""],
    }
    two = tables.main_comparison(pd.concat([bootstrap(), bootstrap(dataset="e", workers=12)]))
    assert list(two.frame.columns) == ["Model", "d: Perplexity", "d: TestSE", "e: Perplexity", "e: TestSE"]
    assert two.persons.tolist() == [12, 12, 12, 12]
    refitted = tables.main_comparison(bootstrap(train_se=[0.3, np.nan]))
    assert refitted.frame["TrainSE"].tolist()[0] == 0.3
    assert refitted.formats["TrainSE"] == "[{:.2f}]"


def test_differences_with_both_errors_can_be_shown(tmp_path):
    differences = pd.DataFrame(
        {
            "dataset": "d", "model": ["x", "y"], "reference": "z", "difference": [1.0, -2.0], "test_se": [0.3, 0.5],
            "ci_low": [0.4, -3.0], "ci_high": [1.6, -1.0], "z": [3.3, -4.0], "workers": [30, 30],
            "train_se": [0.4, np.nan], "total_se": [0.5, np.nan],
        }
    )  # fmt: skip
    table = tables.paired_differences(differences)
    shown = show_table("tab-paired-differences", table.frame, tmp_path, persons=table.persons, formats=table.formats,
                       numbers={"draws": 100, "refits": "2 of x"})  # fmt: skip
    row = next(line for line in shown.markdown.splitlines() if line.startswith("| x"))
    cells = [cell.strip("| \\").replace("\\", "") for cell in row.split(" | ")]
    assert cells[1:] == ["1.00", "(0.30)", "[0.40]", "0.50", "0.40", "1.60", "3.3"]


def test_no_type_of_transition_is_shown_if_one_has_too_few_workers():
    rows = pd.concat([bootstrap(transition_type="first"), bootstrap(transition_type="moving", workers=10)])
    table = tables.transition_types(rows)
    assert table.frame[["First", "Moving"]].isna().all(axis=None)
    assert table.persons.tolist() == [30, 30]


def test_value_of_fine_tuning_keeps_models_apart():
    masses = pd.DataFrame({"dataset": "d", "model": ["y", "x"], "mean": [0.5, 0.9]})
    table = tables.value_of_fine_tuning(bootstrap(), bootstrap(perplexity=[7.0, 6.0]), masses)
    assert table.frame["Normalised perplexity"].tolist() == [7.0, 6.0]
    assert table.frame["Mean valid mass"].tolist() == [0.9, 0.5]


def test_words_for_a_difference():
    assert tables.compare_in_words(-3.0, -4.0, -2.0) == "lower than"
    assert tables.compare_in_words(3.0, 2.0, 4.0) == "higher than"
    assert tables.compare_in_words(-1.0, -3.0, 0.5) == "not distinguishable from"
    # The estimate may lie outside the percentiles of the samples: the interval tells.
    assert tables.compare_in_words(0.1, 0.2, 0.5) == "higher than"
    assert tables.compare_in_words(0.1, -0.5, -0.2) == "lower than"
    assert tables.compare_in_words(0.6, -0.2, 0.5) == "not distinguishable from"


@pytest.mark.parametrize(
    "unknown",
    [(np.inf, np.nan, np.nan), (np.nan, np.nan, np.nan), (np.inf, 1.0, np.inf), (-1.0, np.nan, np.nan)],
)
def test_a_probability_of_zero_leaves_nothing_to_compare(unknown):
    assert tables.compare_in_words(*unknown) == tables.NOT_COMPARABLE == "not comparable with"
