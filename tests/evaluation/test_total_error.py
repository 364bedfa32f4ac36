"""Tables of TestSE that get TrainSE beside it, where there are refits."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from labor_llm.baselines.registry import fit_baselines, refit_baselines
from labor_llm.careers.panel import CareerPanel, split_workers
from labor_llm.careers.predictions import Predictions
from labor_llm.errors import MismatchError
from labor_llm.evaluation.perplexity import bootstrap_differences, bootstrap_perplexity
from labor_llm.evaluation.total_error import refits_in_words, stored_refits_of, with_train_errors
from labor_llm.store.results import Results

NAMES = ("empirical-transitions", "second-order-transitions")


@pytest.fixture(scope="module")
def results(panel: CareerPanel, tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Refits of two baselines on one data set, none of a third."""
    results = Results(tmp_path_factory.mktemp("results"))
    folders = {name: results.refits("invented", name) for name in NAMES}
    refit_baselines(folders, panel, split_workers(panel, seed=1), 3)
    return results


def test_train_errors_stand_beside_test_errors_of_refitted_models_alone(
    results: Results, panel: CareerPanel
) -> None:
    splits = split_workers(panel, seed=1)
    fitted = fit_baselines(NAMES, panel, splits)
    own = [model.predict(panel.split(splits, "test")) for model in fitted.values()]
    refits = stored_refits_of(results, own, [*NAMES, "career"])
    assert stored_refits_of(results, own, []) == []
    # Of other workers, as after a new split.
    other = [model.predict(panel.split(splits, "train")) for model in fitted.values()]
    with pytest.raises(MismatchError, match=r"empirical-transitions: its refits are of other transitions"):
        stored_refits_of(results, other, NAMES)
    assert refits_in_words(refits) == "3 of Empirical transitions, 3 of Second-order transitions"
    first, second = refits[0][0], refits[1][0]
    third = Predictions("Third", first.table, first.outcomes)
    values = np.array([np.exp(-refit.table["log_prob"].mean()) for refit in refits[0]])

    table = with_train_errors(bootstrap_perplexity([first, second, third], 50), refits)
    rows = table.set_index("model")
    assert rows.at["Empirical transitions", "train_se"] == pytest.approx(values.std(ddof=1))
    assert np.isnan(rows.at["Third", "train_se"])

    reference = {"invented": "Second-order transitions"}
    differences = bootstrap_differences([first, second, third], reference, 50)
    rows = with_train_errors(differences, refits, reference).set_index("model")
    base = np.array([np.exp(-refit.table["log_prob"].mean()) for refit in refits[1]])
    assert rows.at["Empirical transitions", "train_se"] == pytest.approx((values - base).std(ddof=1))
    assert np.isnan(rows.at["Third", "train_se"])
    # Without refits of the yardstick nothing is paired.
    unpaired = with_train_errors(differences, refits[:1], reference)
    assert unpaired[["train_se", "total_se"]].isna().all(axis=None)
    pd.testing.assert_frame_equal(unpaired[differences.columns], differences)


def test_without_refits_a_table_stays_as_it_is() -> None:
    table = pd.DataFrame({"dataset": ["d"], "model": ["m"], "perplexity": [2.0], "test_se": [0.1]})
    pd.testing.assert_frame_equal(with_train_errors(table, []), table)
    assert refits_in_words([]) == "no model was refitted"
