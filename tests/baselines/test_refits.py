"""Refits of baselines: other training workers each time, the same for all baselines, stored and replaced."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from labor_llm.baselines.frequencies import EmpiricalTransitions
from labor_llm.baselines.refits import refit_baselines
from labor_llm.baselines.registry import fit_baselines
from labor_llm.careers.panel import CareerPanel, split_workers
from labor_llm.careers.refits import resampled_training, stored_refits
from labor_llm.errors import InputError


def test_a_refit_is_the_fit_of_resampled_workers_and_is_not_done_twice(
    panel: CareerPanel, tmp_path: Path
) -> None:
    splits = split_workers(panel, seed=1)
    names = ["empirical-transitions", "second-order-transitions"]
    folders = {name: tmp_path / name for name in names}
    made = refit_baselines(folders, panel, splits, 3, seed=5)
    assert {name: len(refits) for name, refits in made.items()} == dict.fromkeys(names, 3)

    sample = resampled_training(panel.split(splits, "train"), 5, 1)
    validation, test = panel.split(splits, "validation"), panel.split(splits, "test")
    by_hand = EmpiricalTransitions().fit(sample, validation).predict(test)
    np.testing.assert_allclose(made[names[0]][1].table["log_prob"], by_hand.table["log_prob"], rtol=1e-12)
    assert made[names[0]][1].model == fit_baselines(names[:1], panel, splits)[names[0]].name

    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("manifest.json")}
    refit_baselines(folders, panel, splits, 3, seed=5)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("manifest.json")} == before

    refit_baselines(folders, panel, splits, 2, seed=6)
    found = stored_refits(folders[names[0]])
    assert len(found) == 2, "those of an earlier run with more refits are not counted"
    assert not np.allclose(found[1].table["log_prob"], by_hand.table["log_prob"])


def test_an_unknown_baseline_is_refused(panel: CareerPanel, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'oracle' is no baseline"):
        refit_baselines({"oracle": tmp_path}, panel, split_workers(panel, seed=1), 2)
