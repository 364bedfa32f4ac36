"""Stored comparisons: what is read again is what was compared, and no number rests on few workers."""

from pathlib import Path

import pandas as pd
import pytest

from labor_llm.baselines.frequencies import EmpiricalTransitions, SecondOrderTransitions
from labor_llm.careers.panel import split_workers
from labor_llm.careers.predictions import Predictions
from labor_llm.errors import ArtefactError, InputError
from labor_llm.evaluation.perplexity import bootstrap_differences, bootstrap_perplexity
from labor_llm.exhibits import tables
from labor_llm.exhibits.report import read_comparison, store_comparison
from labor_llm.workflow.datasets import packaged_careers


@pytest.fixture(scope="module")
def compared() -> list[Predictions]:
    panel = packaged_careers("wage_panel")
    splits = split_workers(panel, seed=1)
    train, validation, test = (panel.split(splits, name) for name in ("train", "validation", "test"))
    models = (EmpiricalTransitions(name="first"), SecondOrderTransitions(name="second"))
    return [model.fit(train, validation).predict(test) for model in models]


def test_a_comparison_is_read_as_it_was_stored(compared: list[Predictions], tmp_path: Path) -> None:
    stored = store_comparison(tmp_path / "run", compared, "second", {"survey": "ACME"}, draws=100, seed=3)
    read = read_comparison(tmp_path / "run")
    assert read.about == {"survey": "ACME", "reference": "second", "draws": 100}
    assert read.told("survey", "draws") == {"survey": "ACME", "draws": 100}
    expected = {
        "perplexity": bootstrap_perplexity(compared, 100, 3),
        "by_type": bootstrap_perplexity(compared, 100, 3, by="transition_type"),
        "differences": bootstrap_differences(compared, "second", 100, 3),
    }
    for name, table in expected.items():
        pd.testing.assert_frame_equal(getattr(stored, name), table)
        pd.testing.assert_frame_equal(getattr(read, name), table, check_dtype=False)
    assert tables.main_comparison(read.perplexity).frame["Model"].tolist()[:2] == ["first", "second"]
    changed = tmp_path / "run" / "perplexity.csv"
    changed.write_text(changed.read_text().replace("first", "other"))
    with pytest.raises(ArtefactError, match=r"perplexity\.csv"):
        read_comparison(tmp_path / "run")


def test_a_number_of_few_workers_is_not_stored(compared: list[Predictions], tmp_path: Path) -> None:
    ten = sorted(compared[0].table["worker_id"].unique())[:10]
    few = [
        Predictions(
            each.model, each.table[each.table["worker_id"].isin(ten)].reset_index(drop=True), each.outcomes
        )
        for each in compared
    ]
    with pytest.raises(InputError, match="rests on 10 workers"):
        store_comparison(tmp_path / "run", few, "second", {}, draws=100)
    assert not (tmp_path / "run").exists()
