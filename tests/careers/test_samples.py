"""Random parts of the workers, and which careers a model is fine-tuned on."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labor_llm.careers.panel import CareerPanel, split_workers
from labor_llm.careers.samples import (
    random_workers,
    refuse_same_persons,
    sampled,
    stored_training_data,
    train_up_to,
    training_careers,
)
from labor_llm.careers.settings import TrainingData
from labor_llm.errors import InputError
from labor_llm.finetuning.fit import fine_tune
from labor_llm.finetuning.settings import FineTuningSettings
from labor_llm.settings import SettingError

Other = tuple[CareerPanel, dict[str, str]]


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
    for number in (-2, 0, 10):
        with pytest.raises(InputError, match="give at least 11"):
            sampled(panel, number, seed=1)


@pytest.fixture(scope="module")
def splits(panel: CareerPanel) -> dict[str, str]:
    return split_workers(panel, seed=1)


@pytest.fixture(scope="module")
def other(panel: CareerPanel) -> Other:
    """The same careers as those of other persons in another survey, split otherwise."""
    frame = panel.frame.assign(dataset="other", worker_id="x" + panel.frame["worker_id"])
    moved = CareerPanel(frame, panel.outcomes, "other survey")
    return moved, split_workers(moved, seed=2)


def late(panel: CareerPanel, first: str, years: int) -> CareerPanel:
    """The careers of workers before `first` in the order of ids, so many years later."""
    later = panel.frame["year"] + years * (panel.frame["worker_id"] < first)
    return dataclasses.replace(panel, frame=panel.frame.assign(year=later))


def test_no_test_or_validation_worker_of_any_data_set_is_trained_on(
    panel: CareerPanel, splits: dict[str, str], other: Other
) -> None:
    plain = training_careers(panel, splits)
    assert (plain.panels, plain.workers) == ((plain.own,), 112)
    assert plain.own.frame.equals(panel.split(splits, "train").frame)
    data = TrainingData(workers=20, others=["other"], share=0.5, own_repeats=3)
    got = training_careers(panel, splits, data, [other])
    own, repeated, thrice, added = got.panels
    assert own is repeated is thrice
    assert (len(own.workers), len(added.workers), got.workers) == (20, 56, 76)
    assert {splits[worker] for worker in own.workers} == {"train"}
    assert {other[1][worker] for worker in added.workers} == {"train"}
    assert {splits[worker] for worker in got.validation.workers} == {"validation"}
    assert got.sentence() == (
        "It is trained on the careers of 20 workers of invented (3 times an epoch), and of 56 of other; the checkpoint "
        "is chosen on 16 validation workers."
    )


def test_records_after_the_last_year_are_left_out_everywhere(
    panel: CareerPanel, splits: dict[str, str], other: Other
) -> None:
    moved = late(panel, "w030", 3)
    got = training_careers(moved, splits, TrainingData(others=["other"], last_year=1981), [other])
    for part, original in (
        (got.own, moved.split(splits, "train")),
        (got.validation, moved.split(splits, "validation")),
        (got.added[0], other[0].split(other[1], "train")),
    ):
        expected = original.frame[original.frame["year"] <= 1981].reset_index(drop=True)
        assert part.frame.equals(expected)
    assert min(got.own.workers) >= "w030", "who has no record left is left out"
    with pytest.raises(InputError, match="fewer than 11 training workers have records up to 1979"):
        training_careers(panel, splits, TrainingData(last_year=1979))


def test_the_control_of_an_early_end_has_as_many_records_of_the_same_workers(
    panel: CareerPanel, splits: dict[str, str]
) -> None:
    drawn = TrainingData(workers=60)
    whole, early, control = (
        training_careers(panel, splits, drawn.model_copy(update=changes)).own
        for changes in ({}, {"last_year": 1982}, {"as_many_as_until": 1982})
    )
    assert set(control.workers) < set(whole.workers)
    assert control.frame.equals(whole.restrict(control.workers).frame), "careers are whole"
    longest = whole.frame.groupby("worker_id").size().max()
    assert abs(len(control.frame) - len(early.frame)) <= longest / 2
    with pytest.raises(SettingError, match="give one of the two"):
        TrainingData(last_year=1982, as_many_as_until=1982)
    with pytest.raises(InputError, match="than 11 training workers"):
        training_careers(panel, splits, TrainingData(workers=12, as_many_as_until=1981))


def test_an_early_end_draws_the_same_workers(
    panel: CareerPanel, splits: dict[str, str], other: Other
) -> None:
    """Those who begin after the end drop out of the draw; nobody else comes in for them."""
    own, added = late(panel, "w030", 10), late(other[0], "xw030", 10)
    drawn = TrainingData(workers=60, others=["other"], share=0.5)
    whole = training_careers(own, splits, drawn, [(added, other[1])])
    early = training_careers(own, splits, drawn.model_copy(update={"last_year": 1985}), [(added, other[1])])
    assert early.own.workers == [worker for worker in whole.own.workers if worker >= "w030"]
    assert early.added[0].workers == [worker for worker in whole.added[0].workers if worker >= "xw030"]
    assert 11 <= len(early.own.workers) < 60
    assert 11 <= len(early.added[0].workers) < 56


def test_data_sets_that_do_not_go_together_are_refused(
    panel: CareerPanel, splits: dict[str, str], other: Other
) -> None:
    half = {"others": ["other"], "share": 0.5}
    same = dataclasses.replace(other[0], survey=panel.survey), other[1]
    latest = late(other[0], "xw155", 10), other[1]
    for data, others, message in (
        ({"workers": 3}, [], "^workers: 3 workers; give at least 11"),
        ({"others": ["other"], "share": 1.5}, [other], "^share: 1.5 should be less than or equal to 1"),
        ({"workers": 113}, [], "113 training workers are asked for, it has 112"),
        (half, [], "Careers of no other data set are given, shares of other"),
        (half, [same], "invented and other are both of the survey invented"),
        ({"others": ["invented"]}, [(panel, splits)], "invented and invented are both of the survey"),
        ({**half, "share": 0.05}, [other], "the share 0.05 of its training workers is fewer than 11"),
        ({**half, "last_year": 1985}, [latest], r"share 0\.5 of .* with records up to 1985 is fewer than 11"),
    ):
        with pytest.raises(InputError, match=message):
            training_careers(panel, splits, TrainingData(**data), others)


def test_a_survey_is_known_in_another_spelling() -> None:
    refuse_same_persons([("a", "NLSY79"), ("b", "NLSY97"), ("c", "simulated NLSY79")])
    with pytest.raises(InputError, match="a and c are both of the survey NLSY79, so a person"):
        refuse_same_persons([("a", "NLSY79"), ("b", "NLSY97"), ("c", "nlsy-79 ")])


def test_the_model_says_what_it_was_trained_on(
    tiny_model_folder: Path, panel: CareerPanel, splits: dict[str, str], other: Other, tmp_path: Path
) -> None:
    data = TrainingData(workers=11, others=["other"], share=0.5, own_repeats=2)
    chosen = training_careers(panel, splits, data, [other])
    settings = FineTuningSettings(epochs=1, batch_size=64, precision="float32")
    got = stored_training_data(fine_tune(str(tiny_model_folder), chosen, settings, tmp_path / "pooled"))
    assert (got["own_workers"], got["own_repeats"], got["other_workers"]) == (11, 2, {"other": 56})
    assert got == {**chosen.described(), "steps": 2, "careers_in_windows": 0}
    assert not any(worker in str(got) for worker in chosen.own.workers)


def test_training_ends_at_the_year_and_leaves_test_workers_out(chain_panel: CareerPanel) -> None:
    splits = split_workers(chain_panel, seed=1)
    got = train_up_to(chain_panel, splits, 1983)
    assert got.frame["year"].max() == 1983
    assert {splits[worker] for worker in got.workers} == {"train", "validation"}
    for year in (1979, 1990):
        with pytest.raises(InputError, match="The panel has 1980 to 198"):
            train_up_to(chain_panel, splits, year)
