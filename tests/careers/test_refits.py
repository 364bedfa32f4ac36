"""Resampled training workers, and stored refits that an interrupted bootstrap goes on from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from labor_llm.baselines.frequencies import EmpiricalTransitions
from labor_llm.careers.panel import CareerPanel, split_workers
from labor_llm.careers.refits import resampled_training, stored_refits, training_refits
from labor_llm.errors import ArtefactError, InputError


def empirical(train: CareerPanel, validation: CareerPanel) -> EmpiricalTransitions:
    return EmpiricalTransitions("empirical", smoothings=["additive"]).fit(train, validation)


class Counting:
    """A fit that counts how often it was asked for."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, train: CareerPanel, validation: CareerPanel) -> EmpiricalTransitions:
        self.times += 1
        return empirical(train, validation)


@pytest.fixture(scope="module")
def parts(chain_panel: CareerPanel) -> dict[str, CareerPanel]:
    splits = split_workers(chain_panel, seed=1)
    return {name: chain_panel.split(splits, name) for name in ("train", "validation", "test")}


def test_as_many_workers_are_drawn_with_copies_of_their_own(parts: dict[str, CareerPanel]) -> None:
    train = parts["train"]
    drawn = resampled_training(train, seed=0, refit=0)
    assert len(drawn.workers) == len(train.workers)
    originals = pd.Series(drawn.workers).str.split("~").str[0]
    # About a share of 1 / e of the workers is not drawn.
    assert originals.nunique() / len(train.workers) == pytest.approx(1 - np.exp(-1), abs=0.06)
    twice = next(worker for worker in drawn.workers if worker.endswith("~1"))
    copy = drawn.frame[drawn.frame["worker_id"] == twice].drop(columns="worker_id").reset_index(drop=True)
    own = train.frame[train.frame["worker_id"] == twice[:-2]].drop(columns="worker_id").reset_index(drop=True)
    pd.testing.assert_frame_equal(copy, own)
    again = resampled_training(train, seed=0, refit=0)
    pd.testing.assert_frame_equal(drawn.frame, again.frame)
    assert resampled_training(train, seed=0, refit=1).workers != drawn.workers


def test_refits_are_stored_and_an_interrupted_bootstrap_goes_on(
    parts: dict[str, CareerPanel], tmp_path: Path
) -> None:
    fit = Counting()
    panels = (parts["train"], parts["validation"], parts["test"])
    (tmp_path / "refit_002").mkdir()  # As a workflow does for the outputs of a step.
    three = training_refits(fit, *panels, refits=3, folder=tmp_path)
    five = training_refits(fit, *panels, refits=5, folder=tmp_path)
    assert fit.times == 5
    for stored, made in zip(stored_refits(tmp_path), [*three, *five[3:]], strict=True):
        pd.testing.assert_frame_equal(stored.table, made.table)
    assert five[0].log_probs is None
    damaged = tmp_path / "refit_001" / "predictions.parquet"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    with pytest.raises(ArtefactError, match="refit_001"):
        stored_refits(tmp_path)
    training_refits(fit, *panels, refits=5, folder=tmp_path)
    assert fit.times == 6
    fewer = parts["train"].restrict(parts["train"].workers[1:])
    for changed in ({"seed": 1}, {"made_by": {"rank": 8}}):
        training_refits(fit, *panels, refits=2, folder=tmp_path, **changed)
    training_refits(fit, fewer, *panels[1:], refits=2, folder=tmp_path)
    assert fit.times == 6 + 3 * 2
    assert len(stored_refits(tmp_path)) == 2
    with pytest.raises(ArtefactError, match="0 refits found"):
        stored_refits(tmp_path / "nothing")
    with pytest.raises(InputError, match="at least two"):
        training_refits(fit, *panels, refits=1, folder=tmp_path)
