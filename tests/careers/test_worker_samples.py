"""Random parts of the workers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labor_llm.careers.panel import CareerPanel
from labor_llm.careers.samples import random_workers, sampled
from labor_llm.errors import InputError


@given(fewer=st.integers(0, 50), more=st.integers(50, 200), seed=st.integers(0, 2**32))
def test_fewer_workers_are_a_part_of_more(panel: CareerPanel, fewer: int, more: int, seed: int) -> None:
    few, many = random_workers(panel, fewer, seed), random_workers(panel, more, seed)
    assert set(few) <= set(many) <= set(panel.workers)
    assert (len(few), len(many)) == (fewer, min(more, 160))
    turned = CareerPanel(panel.frame.iloc[::-1], panel.outcomes, panel.survey)
    assert random_workers(turned, fewer, seed) == few


def test_a_sample_keeps_whole_careers_in_order(panel: CareerPanel) -> None:
    got = sampled(panel, 30, seed=1)
    assert got.workers == [worker for worker in panel.workers if worker in set(random_workers(panel, 30, 1))]
    expected = panel.frame[panel.frame["worker_id"].isin(got.workers)].reset_index(drop=True)
    assert got.frame.equals(expected)
    assert sampled(panel, -1, seed=1) is panel
    assert sampled(panel, 1000, seed=1).frame.equals(panel.frame)


@pytest.mark.parametrize("number", [-2, 0, 10])
def test_too_few_to_be_shown_are_refused(panel: CareerPanel, number: int) -> None:
    with pytest.raises(InputError, match="give at least 11"):
        sampled(panel, number, seed=1)
