"""Lengths of history on the same transitions, by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from labor_llm.careers.histories import lengths_of, predict_windows
from labor_llm.careers.panel import CareerPanel
from labor_llm.errors import InputError
from labor_llm.evaluation.history_length import drawn_workers, history_lengths, history_lengths_by_available


def test_all_lengths_rest_on_the_transitions_with_more_history(
    chain_panel: CareerPanel, chain_model: type
) -> None:
    """To a chain of first order one record says all, and without one it says the start distribution."""
    found = predict_windows(chain_model().predict, chain_panel, lengths_of([0, 1, 3], [2]))
    got = history_lengths({"chain": found}, chain_panel, draws=50)
    assert got["shown"].tolist() == ["0 records", "1 record", "3 records", "2 years", "all"]
    assert got["number"].tolist()[:-1] == [0, 1, 3, 2]
    before = chain_panel.frame.groupby("worker_id").cumcount()
    assert set(got["transitions"]) == {int((before > 3).sum())}
    table = found[None].table
    expected = np.exp(-table["log_prob"][(before > 3).to_numpy()].mean())
    assert got["perplexity"].to_numpy()[1:] == pytest.approx(expected)
    assert got["difference"].to_numpy()[1:4] == pytest.approx(0.0, abs=1e-12)
    assert got["difference"][0] == pytest.approx(got["perplexity"][0] - expected)
    assert got["difference_low"][0] > 0
    assert np.isnan(got["difference"][4])


def test_by_records_available_only_shorter_histories_are_shown(
    chain_panel: CareerPanel, chain_model: type
) -> None:
    some = chain_panel.restrict(chain_panel.workers[:60])
    found = predict_windows(chain_model().predict, some, lengths_of([1, 3], [2]))
    got = history_lengths_by_available({"chain": found}, some, draws=20)
    before = some.frame.groupby("worker_id").cumcount()
    shown = {
        label: part["number"].tolist()[:-1] for label, part in got.groupby("available_label", sort=False)
    }
    workers = {n: int((before == n).sum()) for n in before.unique()}
    largest = max(n for n in workers if workers[n] >= 11)
    assert list(shown)[:3] == ["2", "3", "4"]
    assert shown["2"] == shown["3"] == [1]
    assert shown["4"] == [1, 3]
    pooled = got[got["available"] == largest].iloc[0]
    assert pooled["transitions"] == int((before >= largest).sum())
    assert got["workers"].min() >= 11
    few = chain_panel.restrict(chain_panel.workers[:8])
    found = predict_windows(chain_model().predict, few, lengths_of([1]))
    assert history_lengths_by_available({"chain": found}, few, draws=20).empty
    assert history_lengths({"chain": {}}, few, draws=20).empty
    del found[None]
    with pytest.raises(InputError, match="whole history are missing"):
        history_lengths({"chain": found}, few, draws=20)


def test_lengths_by_years_are_compared_where_there_is_more_of_both(
    chain_panel: CareerPanel, chain_model: type
) -> None:
    """Where interviews are biennial from the third on, five years are not what five records are."""
    frame = chain_panel.frame
    since = frame["year"] - 1982
    panel = CareerPanel(frame.assign(year=frame["year"] + since.clip(lower=0)), chain_panel.outcomes, "chain")
    found = predict_windows(chain_model().predict, panel, lengths_of([2], [5]))
    (transitions,) = set(history_lengths({"chain": found}, panel, draws=20)["transitions"])
    # 1980, 1981, 1982, 1984, 1986, ...: from the fifth record on more than five years, and two records, are before.
    assert transitions == int((frame.groupby("worker_id").cumcount() >= 4).sum())


def test_workers_are_drawn_among_those_with_enough_history(panel: CareerPanel) -> None:
    some, borne, left_out = drawn_workers(panel, lengths_of([1, 3, 5]), number=12, seed=1)
    assert borne == lengths_of([1, 3]), "nobody has seven records"
    assert [(entry.what, entry.reason) for entry in left_out] == [
        ("last 5 records", "it takes 11 test workers with more than 5 records before a record")
    ]
    assert len(some.workers) == 12
    assert some.frame.groupby("worker_id").size().min() == 5
    assert some.workers != drawn_workers(panel, lengths_of([3]), number=12, seed=2)[0].workers
    none, borne, _ = drawn_workers(panel, lengths_of([5]))
    assert (none.workers, borne) == ([], [])
    for lengths, number in (([3], 10), ([], -1)):
        with pytest.raises(InputError, match="give at least 11 workers, or -1 for all, and one length"):
            drawn_workers(panel, lengths_of(lengths), number)


def test_lengths_that_many_have_one_by_one_and_few_together_are_not_both_kept(panel: CareerPanel) -> None:
    """Half of the workers have many records of few years, half few records of many years."""
    place, career = panel.frame.groupby("worker_id").cumcount(), pd.factorize(panel.frame["worker_id"])[0]
    half = career % 2 == 0
    frame = panel.frame.assign(year=1980 + place * np.where(half, 1, 10))[(place < 3) | half]
    apart = CareerPanel(frame.reset_index(drop=True), panel.outcomes, panel.survey)
    records, years = lengths_of([2], [9])
    for alone in (records, years):
        assert drawn_workers(apart, [alone])[1] == [alone]
    _, borne, left_out = drawn_workers(apart, [records, years])
    assert borne == [records] and left_out[0].reason.endswith(
        "more than 9 years and 2 records before a record"
    )
