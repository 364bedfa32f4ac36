"""Families of the PSID resampled: errors of workers who depend on each other."""

from pathlib import Path

import numpy as np
import pytest

from labor_llm.baselines.registry import fit_baselines
from labor_llm.evaluation.families import bootstrap_families
from labor_llm.evaluation.perplexity import bootstrap_perplexity
from labor_llm.exhibits.tables import family_errors
from labor_llm.store.results import Results
from labor_llm.workflow.datasets import DatasetSource, convert_dataset, open_dataset


def test_families_of_a_converted_psid_are_resampled_and_no_others(tmp_path: Path) -> None:
    results = Results(tmp_path)
    convert_dataset(results, "psid", DatasetSource(reader="psid", simulated_workers=150))
    convert_dataset(results, "wage_panel")
    predictions = []
    for dataset in ("psid", "wage_panel"):
        panel, splits = open_dataset(results, dataset)
        fitted = fit_baselines(["empirical-transitions"], panel, splits)["empirical-transitions"]
        predictions.append(fitted.predict(panel.split(splits, "test")))

    table = bootstrap_families(results, predictions, draws=100, seed=1)
    assert table["dataset"].tolist() == ["psid"]
    # The family of 1968 is the number of the person without its last three digits.
    families = {int(worker) // 1000 for worker in predictions[0].table["worker_id"]}
    assert table["families"].tolist() == [len(families)]
    assert len(families) < predictions[0].table["worker_id"].nunique()

    by_worker = bootstrap_perplexity(predictions, 100, 1)
    shown = family_errors(by_worker, table).frame
    assert shown["TestSE, workers"].tolist() == by_worker["test_se"].tolist()
    assert shown["TestSE, families"].iloc[0] == table["test_se"].iloc[0]
    assert np.isnan(shown["TestSE, families"].iloc[1])
    assert shown["Perplexity"].iloc[0] == pytest.approx(table["perplexity"].iloc[0])

    assert bootstrap_families(results, predictions[1:], draws=100).empty
    assert (
        family_errors(by_worker[1:], bootstrap_families(results, predictions[1:], 100))
        .frame["Ratio"]
        .isna()
        .all()
    )
