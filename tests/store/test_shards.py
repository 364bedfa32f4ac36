"""Several processes at the same work: each shard is computed once, a dead process's by another."""

from __future__ import annotations

import json
import multiprocessing
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from labor_llm.careers.panel import CareerPanel, split_workers, write_panel
from labor_llm.careers.predictions import read_predictions
from labor_llm.scoring.careers import score_panel
from labor_llm.scoring.settings import ScoringSettings
from labor_llm.store.shards import Shards

# A process that scores a stored panel and writes down which workers it scored.
SCORE = """
import json
from pathlib import Path
from labor_llm.careers.panel import read_panel
from labor_llm.scoring import careers
from labor_llm.scoring.settings import ScoringSettings
scored, unpatched = [], careers.realised_log_probs
def noting(language_model, resume):
    scored.append(resume.worker_id)
    return unpatched(language_model, resume)
careers.realised_log_probs = noting
settings = ScoringSettings(all_titles_workers=11)
careers.score_panel(read_panel(Path(panel))[0], model, "Tiny", Path(folder), settings)
Path(log).write_text(json.dumps(scored))
"""


def numbered(start: int) -> dict[str, np.ndarray]:
    return {"numbers": np.array([start])}


def nothing(start: int) -> None:
    pass


@pytest.mark.slow  # a process that imports everything
def test_two_processes_divide_the_work_and_end_with_what_one_gives(
    tiny_model_folder: Path, panel: CareerPanel, tmp_path: Path
) -> None:
    few, model, shared = panel.restrict(set(panel.workers[:60])), str(tiny_model_folder), tmp_path / "shared"
    write_panel(tmp_path / "panel", few, split_workers(few, 1))
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["labor_llm.scoring.careers"])
    logs = [tmp_path / f"{number}.json" for number in range(2)]
    given = {"panel": str(tmp_path / "panel"), "model": model, "folder": str(shared)}
    runs = [context.Process(target=exec, args=(SCORE, {**given, "log": str(log)})) for log in logs]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
        assert run.exitcode == 0
    scored = [json.loads(log.read_text()) for log in logs]
    assert sorted(scored[0] + scored[1]) == sorted(few.workers)
    settings = ScoringSettings(all_titles_workers=11)
    got, expected = read_predictions(shared), score_panel(few, model, "Tiny", tmp_path / "alone", settings)
    assert got.table["worker_id"].equals(expected.table["worker_id"])
    assert np.abs(got.table["log_prob"] - expected.table["log_prob"]).max() < 1e-5
    assert np.abs(got.log_probs - expected.log_probs).max() < 1e-5
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["alone", "panel", "shared"]


def test_a_shard_of_a_killed_process_is_taken_over(tmp_path: Path) -> None:
    shard = tmp_path / "key" / "careers-00000020.lock"
    shard.parent.mkdir()
    holding = (
        "import sys, filelock; lock = filelock.FileLock(sys.argv[1]); lock.acquire()\n"
        "print('held', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holding, str(shard)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as run:
        assert run.stdout is not None
        run.stdout.readline()
        order: list[int] = []

        def compute(start: int) -> dict[str, np.ndarray]:
            order.append(start)
            if start == 40:  # everything that is free is done; now the holder dies
                run.send_signal(signal.SIGKILL)
            return numbered(start)

        parts = Shards(tmp_path, "key").collect([0, 20, 40], compute, nothing)
    assert order == [0, 40, 20]
    assert [int(part["numbers"][0]) for part in parts] == [0, 20, 40]


def test_what_another_has_stored_is_not_computed(tmp_path: Path) -> None:
    Shards(tmp_path, "key").collect([0, 20], numbered, nothing)
    found: list[int] = []
    again = Shards(tmp_path, "key").collect(
        [0, 20, 40], lambda start: {"numbers": np.array([-1])}, found.append
    )
    assert [int(part["numbers"][0]) for part in again] == [0, 20, -1]
    assert found == [0, 20]
    other = Shards(tmp_path, "other key").collect(
        [0], lambda start: {"numbers": np.array([-1])}, found.append
    )
    assert int(other[0]["numbers"][0]) == -1
