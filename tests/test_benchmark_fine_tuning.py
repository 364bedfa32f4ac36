"""The benchmark of fine-tuning runs to its end at a tiny size; its rows are of one form, whatever the times."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"
PEERS = ["Trainer, defaults", "Trainer, bf16"]


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("fine_tuning")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_tiny_run_prints_and_writes_its_rows(tmp_path: Path) -> None:
    command = [
        sys.executable,
        FOLDER / "fine_tuning.py",
        "--careers",
        "2",
        "--batch-size",
        "1",
        "--rounds",
        "1",
    ]
    command += ["--clock", "cpu", "--json", tmp_path / "rows.json"]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    rows = {row["name"]: row for row in json.loads((tmp_path / "rows.json").read_text())}
    assert all(list(row) == ["name", "value", "unit", "peer", "ratio"] for row in rows.values())
    assert rows["careers"]["value"] == 2
    assert rows["padding of Trainer's batches"]["value"] == 0  # one career a batch
    start = rows["loss at the start, float32; peer Trainer"]
    assert start["value"] == pytest.approx(start["peer"], rel=1e-3)
    for peer in PEERS:
        speed = rows[f"ours; peer {peer}"]
        assert speed["ratio"] == pytest.approx(speed["value"] / speed["peer"], rel=1e-3)
        # The same careers from the same weights, in another order.
        loss = rows[f"loss after the epoch, 16 other careers; peer {peer}"]
        assert loss["value"] == pytest.approx(loss["peer"], rel=0.02)
        assert f"{peer}: share of the" in " ".join(rows)
    assert "transformers" in done.stdout
    assert ("left out: trl" in done.stdout) == (not any("SFTTrainer" in name for name in rows))


def test_careers_have_5_to_25_years_and_are_always_the_same(benchmark: ModuleType) -> None:
    one, two = benchmark.simulated_resumes(12), benchmark.simulated_resumes(12)
    assert [career.ids.tolist() for career in one] == [career.ids.tolist() for career in two]
    assert len(one) == 12
    assert all(1 <= len(career.spans) <= 25 for career in one)
    assert len({len(career.ids) for career in one}) > 6


def test_padding_by_hand(benchmark: ModuleType) -> None:
    """Lengths 1 and 3 in one batch fill four of six places."""
    assert benchmark.padding([1, 3], 2) == pytest.approx(1 / 3)
    assert benchmark.padding([1, 3], 1) == 0
