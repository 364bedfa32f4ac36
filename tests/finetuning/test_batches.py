"""Batches, passes and targets: every career once, nothing but what counts, no more tokens at once than allowed."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from labor_llm.finetuning.batches import IGNORED, batches, packed, padded, training_career
from labor_llm.models.batches import passes
from labor_llm.text.tokenization import EncodedResume

CPU = torch.device("cpu")
# Two records: the tokens 12 and 13, and the token 15, are titles with their ends of line.
RESUME = EncodedResume("a", np.array([10, 11, 12, 13, 14, 15, 16]), ((2, 4), (5, 6)))
SHORT = EncodedResume("b", np.array([20, 21]), ((1, 2),))


@pytest.mark.parametrize(
    ("loss", "targets"),
    [
        ("all tokens", [11, 12, 13, 14, 15, 16, IGNORED]),
        ("titles", [IGNORED, 12, 13, IGNORED, 15, IGNORED, IGNORED]),
    ],
)
def test_targets_are_all_following_tokens_or_those_of_titles(loss, targets):
    career = training_career(RESUME, loss)
    assert career.targets.tolist() == targets
    assert career.predicted == sum(target != IGNORED for target in targets)


def test_packed_careers_begin_anew_and_padded_ones_end_in_nothing_that_counts():
    careers = [training_career(resume, "all tokens") for resume in (SHORT, RESUME)]
    one_row = packed(careers, CPU)
    assert one_row["input_ids"].tolist() == [[20, 21, 10, 11, 12, 13, 14, 15, 16]]
    assert one_row["position_ids"].tolist() == [[0, 1, 0, 1, 2, 3, 4, 5, 6]]
    assert one_row["targets"].tolist() == [[21, IGNORED, 11, 12, 13, 14, 15, 16, IGNORED]]
    assert (one_row["cu_seq_lens_q"].tolist(), one_row["max_length_q"]) == ([0, 2, 9], 7)
    rows = padded(careers, CPU)
    assert rows["input_ids"].shape == (2, 7)
    assert rows["targets"][0].tolist() == [21, *[IGNORED] * 6]


@given(st.lists(st.integers(1, 400), min_size=1, max_size=120), st.integers(1, 9), st.integers(0, 5))
def test_every_career_is_in_one_batch_of_an_epoch(lengths, batch_size, epoch):
    got = batches(lengths, batch_size, 1, epoch)
    assert sorted(np.concatenate(got).tolist()) == list(range(len(lengths)))
    assert len(got) == -(-len(lengths) // batch_size)
    again = batches(lengths, batch_size, 1, epoch)
    assert all(map(np.array_equal, got, again))


@pytest.mark.parametrize(
    ("layout", "width"), [("packed", sum), ("padded", lambda part: len(part) * max(part))]
)
@given(lengths=st.lists(st.integers(1, 400), min_size=1, max_size=40), tokens=st.integers(1, 2000))
def test_every_career_is_in_one_pass_that_keeps_the_limit(layout, width, lengths, tokens):
    got = passes(lengths, tokens, layout)
    assert sorted(career for part in got for career in part) == list(range(len(lengths)))
    assert all(len(part) == 1 or width([lengths[career] for career in part]) <= tokens for part in got)


def test_passes_by_hand():
    assert passes([5, 2, 9, 2, 4], 9, "packed") == [[1, 3, 4], [0], [2]]
    assert passes([5, 2, 9, 2, 4], 9, "padded") == [[1, 3], [4], [0], [2]]
