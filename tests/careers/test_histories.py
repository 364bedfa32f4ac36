"""Windows against careers cut by hand, and against models that look so far back and no further."""

from __future__ import annotations

import numpy as np
import pytest

from labor_llm.baselines.frequencies import EmpiricalTransitions, SecondOrderTransitions
from labor_llm.careers.histories import HistoryLength, history_windows, lengths_of, predict_windows
from labor_llm.careers.panel import CareerPanel, split_workers, transitions
from labor_llm.errors import InputError, MismatchError


def test_a_window_is_the_last_records_and_the_one_to_be_predicted(panel: CareerPanel) -> None:
    worker = next(worker for worker, rows in panel.frame.groupby("worker_id") if len(rows) == 4)
    career = panel.restrict([worker])
    windows = history_windows(career, HistoryLength("records", 1))
    frame = career.frame.drop(columns="worker_id")
    for number, last in enumerate((2, 3)):
        window = windows.panel.frame[windows.panel.frame["worker_id"] == f"window-{number:08d}"]
        expected = frame.iloc[last - 1 : last + 1].reset_index(drop=True)
        assert window.drop(columns="worker_id").reset_index(drop=True).equals(expected)
    expected = transitions(career).iloc[2:][["worker_id", "year", "transition_type"]]
    assert windows.targets.to_numpy().tolist() == expected.to_numpy().tolist()
    none = history_windows(career, HistoryLength("records", 0))
    assert none.panel.frame.groupby("worker_id").size().tolist() == [1, 1, 1]


def test_a_window_of_years_holds_what_was_recorded_in_them(panel: CareerPanel) -> None:
    """Two years before 1990 hold one biennial record; after a gap of five years the covariates alone are left."""
    some = panel.restrict([worker for worker, rows in panel.frame.groupby("worker_id") if len(rows) == 4][:2])
    years = [1985, 1986, 1988, 1990, 1990, 1995, 1996, 1997]
    career = CareerPanel(some.frame.assign(year=years), some.outcomes, some.survey)
    windows = history_windows(career, HistoryLength("years", 2))
    shown = [rows["year"].tolist() for _, rows in windows.panel.frame.groupby("worker_id")]
    # Of 1986 and of 1997 the last two years are either the whole history, which is no window, or a part of it.
    assert shown == [[1986, 1988], [1988, 1990], [1995], [1995, 1996], [1995, 1996, 1997]]
    assert windows.targets["year"].tolist() == [1988, 1990, 1995, 1996, 1997]


def test_in_annual_careers_years_are_records(chain_panel: CareerPanel) -> None:
    for number in (0, 1, 3):
        by_years, by_records = (
            history_windows(chain_panel, HistoryLength(u, number)) for u in ("years", "records")
        )
        assert by_years.panel.frame.equals(by_records.panel.frame)
        assert by_years.targets.equals(by_records.targets)


def test_a_model_of_some_order_needs_no_longer_history(panel: CareerPanel) -> None:
    splits = split_workers(panel, seed=1)
    train, validation = panel.split(splits, "train"), panel.split(splits, "validation")
    test = panel.split(splits, "test")
    for model, order in ((EmpiricalTransitions(), 1), (SecondOrderTransitions(), 2)):
        got = predict_windows(model.fit(train, validation).predict, test, lengths_of([2, 1]))
        assert list(got) == [*lengths_of([1, 2]), None]
        whole = got[None].table.set_index(["worker_id", "year"])
        for records in (1, 2):
            table = got[HistoryLength("records", records)].table.set_index(["worker_id", "year"])
            assert (transitions(test)["records_before"] > records).sum() == len(table)
            same = np.allclose(table["log_prob"], whole.loc[table.index, "log_prob"], atol=1e-12)
            assert same == (records >= order)
            assert (table["transition_type"] == whole.loc[table.index, "transition_type"]).all()


def test_what_does_not_fit_is_refused(panel: CareerPanel) -> None:
    with pytest.raises(InputError, match="no record has more than 6 records before"):
        history_windows(panel, HistoryLength("records", 6))
    with pytest.raises(InputError, match="give 0 or more"):
        history_windows(panel, HistoryLength("years", -1))
    assert predict_windows(lambda careers: None, panel, []) == {}  # type: ignore[arg-type, return-value]
    splits = split_workers(panel, seed=1)
    model = EmpiricalTransitions().fit(panel.split(splits, "train"), panel.split(splits, "validation"))
    with pytest.raises(MismatchError, match="Predict the panel of the windows"):
        history_windows(panel, HistoryLength("records", 2)).of_targets(model.predict(panel))
