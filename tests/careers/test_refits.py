"""Resampled training workers, and stored refits that an interrupted bootstrap goes on from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from labor_llm.careers.panel import CareerPanel, split_workers
from labor_llm.careers.refits import resampled_training, stored_refits, training_refits
from labor_llm.errors import ArtefactError, InputError


@pytest.fixture(scope="module")
def parts(chain_panel: CareerPanel) -> list[CareerPanel]:
    splits = split_workers(chain_panel, seed=1)
    return [chain_panel.split(splits, name) for name in ("train", "validation", "test")]


def test_as_many_workers_are_drawn_with_copies_of_their_own(parts: list[CareerPanel]) -> None:
    train = parts[0]
    drawn = resampled_training(train, seed=0, refit=0)
    assert len(drawn.workers) == len(train.workers)
    originals = pd.Series(drawn.workers).str.split("~").str[0]
    # About a share of 1 / e of the workers is not drawn.
    assert originals.nunique() / len(train.workers) == pytest.approx(1 - np.exp(-1), abs=0.06)
    twice = next(worker for worker in drawn.workers if worker.endswith("~1"))
    copy, own = (
        panel.restrict([worker]).frame.drop(columns="worker_id")
        for panel, worker in ((drawn, twice), (train, twice[:-2]))
    )
    pd.testing.assert_frame_equal(copy, own)
    again = resampled_training(train, seed=0, refit=0)
    pd.testing.assert_frame_equal(drawn.frame, again.frame)
    assert resampled_training(train, seed=0, refit=1).workers != drawn.workers


def test_refits_are_stored_and_an_interrupted_bootstrap_goes_on(
    parts: list[CareerPanel], chain_model: type, tmp_path: Path
) -> None:
    fits = []

    def fit(train: CareerPanel, validation: CareerPanel) -> object:
        fits.append(train.workers)
        return chain_model(heat=1.0 + len(fits) / 10)

    (tmp_path / "refit_002").mkdir()  # As a workflow does for the outputs of a step.
    three = training_refits(fit, *parts, refits=3, folder=tmp_path)
    five = training_refits(fit, *parts, refits=5, folder=tmp_path)
    assert len(fits) == 5
    for stored, made in zip(stored_refits(tmp_path), [*three, *five[3:]], strict=True):
        pd.testing.assert_frame_equal(stored.table, made.table)
    assert five[0].log_probs is None
    damaged = tmp_path / "refit_001" / "predictions.parquet"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    with pytest.raises(ArtefactError, match="refit_001"):
        stored_refits(tmp_path)
    training_refits(fit, *parts, refits=5, folder=tmp_path)
    assert (len(fits), fits[5]) == (6, fits[1])
    fewer = parts[0].restrict(parts[0].workers[1:])
    for train, changed in ((parts[0], {"seed": 1}), (parts[0], {"made_by": {"rank": 8}}), (fewer, {})):
        training_refits(fit, train, *parts[1:], refits=2, folder=tmp_path, **changed)
    assert len(fits) == 6 + 3 * 2
    assert len(stored_refits(tmp_path)) == 2, "those of an earlier run with more refits are not counted"
    with pytest.raises(ArtefactError, match="0 refits found"):
        stored_refits(tmp_path / "nothing")
    with pytest.raises(InputError, match="at least two"):
        training_refits(fit, *parts, refits=1, folder=tmp_path)
