"""Windows against careers cut by hand, and against models that look so far back and no further."""

from __future__ import annotations

import numpy as np
import pytest

from labor_llm.baselines.frequencies import EmpiricalTransitions, SecondOrderTransitions
from labor_llm.careers.histories import history_windows, predict_windows
from labor_llm.careers.panel import CareerPanel, split_workers, transitions
from labor_llm.errors import InputError, MismatchError


def test_a_window_is_the_last_records_and_the_one_to_be_predicted(panel: CareerPanel) -> None:
    worker = next(worker for worker, rows in panel.frame.groupby("worker_id") if len(rows) == 4)
    career = panel.restrict([worker])
    windows = history_windows(career, 1)
    frame = career.frame.drop(columns="worker_id")
    for number, last in enumerate((2, 3)):
        window = windows.panel.frame[windows.panel.frame["worker_id"] == f"window-{number:08d}"]
        expected = frame.iloc[last - 1 : last + 1].reset_index(drop=True)
        assert window.drop(columns="worker_id").reset_index(drop=True).equals(expected)
    expected = transitions(career).iloc[2:][["worker_id", "year", "transition_type"]]
    assert windows.targets.to_numpy().tolist() == expected.to_numpy().tolist()
    assert history_windows(career, 0).panel.frame.groupby("worker_id").size().tolist() == [1, 1, 1]


def test_a_model_of_some_order_needs_no_longer_history(panel: CareerPanel) -> None:
    splits = split_workers(panel, seed=1)
    train, validation = panel.split(splits, "train"), panel.split(splits, "validation")
    test = panel.split(splits, "test")
    for model, order in ((EmpiricalTransitions(), 1), (SecondOrderTransitions(), 2)):
        got = predict_windows(model.fit(train, validation).predict, test, [2, 1])
        assert list(got) == [1, 2, None]
        whole = got[None].table.set_index(["worker_id", "year"])
        for records in (1, 2):
            table = got[records].table.set_index(["worker_id", "year"])
            assert (transitions(test)["records_before"] > records).sum() == len(table)
            same = np.allclose(table["log_prob"], whole.loc[table.index, "log_prob"], atol=1e-12)
            assert same == (records >= order)
            assert (table["transition_type"] == whole.loc[table.index, "transition_type"]).all()


def test_what_does_not_fit_is_refused(panel: CareerPanel) -> None:
    with pytest.raises(InputError, match="no record has more than 6"):
        history_windows(panel, 6)
    with pytest.raises(InputError, match="give 0 or more"):
        history_windows(panel, -1)
    assert predict_windows(lambda careers: None, panel, []) == {}  # type: ignore[arg-type, return-value]
    splits = split_workers(panel, seed=1)
    model = EmpiricalTransitions().fit(panel.split(splits, "train"), panel.split(splits, "validation"))
    with pytest.raises(MismatchError, match="Predict the panel of the windows"):
        history_windows(panel, 2).of_targets(model.predict(panel))
