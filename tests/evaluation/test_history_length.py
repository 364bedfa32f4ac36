"""Lengths of history on the same transitions, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from labor_llm.careers.histories import predict_windows
from labor_llm.careers.panel import CareerPanel
from labor_llm.errors import InputError
from labor_llm.evaluation.history_length import drawn_workers, history_lengths, history_lengths_by_available


def test_all_lengths_rest_on_the_transitions_with_more_history(
    chain_panel: CareerPanel, chain_model: type
) -> None:
    """To a chain of first order one record says all, and without one it says the start distribution."""
    found = predict_windows(chain_model().predict, chain_panel, [0, 1, 3])
    got = history_lengths({"chain": found}, chain_panel, draws=50)
    assert got["records"].tolist() == ["0", "1", "3", "all"]
    before = chain_panel.frame.groupby("worker_id").cumcount()
    assert set(got["transitions"]) == {int((before > 3).sum())}
    table = found[None].table
    expected = np.exp(-table["log_prob"][(before > 3).to_numpy()].mean())
    assert got["perplexity"].to_numpy()[1:] == pytest.approx(expected)
    assert got["difference"].to_numpy()[1:3] == pytest.approx(0.0, abs=1e-12)
    assert got["difference"][0] == pytest.approx(got["perplexity"][0] - expected)
    assert got["difference_low"][0] > 0
    assert np.isnan(got["difference"][3])


def test_by_records_available_only_shorter_histories_are_shown(
    chain_panel: CareerPanel, chain_model: type
) -> None:
    some = chain_panel.restrict(chain_panel.workers[:60])
    found = predict_windows(chain_model().predict, some, [1, 3])
    got = history_lengths_by_available({"chain": found}, some, draws=20)
    before = some.frame.groupby("worker_id").cumcount()
    shown = {label: part["records"].tolist() for label, part in got.groupby("available_label", sort=False)}
    workers = {n: int((before == n).sum()) for n in before.unique()}
    largest = max(n for n in workers if workers[n] >= 11)
    assert list(shown)[:3] == ["2", "3", "4"]
    assert shown["2"] == shown["3"] == ["1", "all"]
    assert shown["4"] == ["1", "3", "all"]
    pooled = got[got["available"] == largest].iloc[0]
    assert pooled["transitions"] == int((before >= largest).sum())
    assert got["workers"].min() >= 11
    few = chain_panel.restrict(chain_panel.workers[:8])
    found = predict_windows(chain_model().predict, few, [1])
    assert history_lengths_by_available({"chain": found}, few, draws=20).empty
    assert history_lengths({"chain": {}}, few, draws=20).empty
    del found[None]
    with pytest.raises(InputError, match="whole history are missing"):
        history_lengths({"chain": found}, few, draws=20)


def test_workers_are_drawn_among_those_with_enough_history(panel: CareerPanel) -> None:
    some, borne, left_out = drawn_workers(panel, [1, 3, 5], number=12, seed=1)
    assert borne == [1, 3], "nobody has seven records"
    assert [(entry.what, entry.reason) for entry in left_out] == [
        ("last 5", "it takes 11 test workers with 7 records")
    ]
    assert len(some.workers) == 12
    assert some.frame.groupby("worker_id").size().min() == 5
    assert some.workers != drawn_workers(panel, [3], number=12, seed=2)[0].workers
    none, borne, _ = drawn_workers(panel, [5])
    assert (none.workers, borne) == ([], [])
    for lengths, number in (([3], 10), ([], -1)):
        with pytest.raises(InputError, match="give at least 11 workers, or -1 for all, and one number"):
            drawn_workers(panel, lengths, number)
