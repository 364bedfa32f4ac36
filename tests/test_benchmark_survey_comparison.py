"""The comparison on a survey runs to its end at a tiny size, goes on where it stopped, and stores aggregates."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from labor_llm.exhibits.report import read_comparison
from labor_llm.simulation.files.writing import CROSSWALKS, RAW, write_simulated_survey

# Eight models, one of them fine-tuned.
pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "survey_comparison.py"


def test_all_models_are_compared_on_the_same_workers(tmp_path: Path, tiny_model_folder: Path) -> None:
    write_simulated_survey(tmp_path / "survey", "nlsy79", 150, 1)
    model = tmp_path / "model"
    shutil.copytree(tiny_model_folder, model)
    config = json.loads((model / "config.json").read_text())
    # Careers of a simulated survey are longer than the other tests'.
    (model / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 4096}))
    command = [
        sys.executable, SCRIPT, "--raw", tmp_path / "survey" / RAW, "--crosswalks", tmp_path / "survey" / CROSSWALKS,
        "--other-crosswalks", "--work", tmp_path / "work", "--store", tmp_path / "stored", "--train", 40,
        "--validation", 14, "--test", 20, "--simulated", 60, "--draws", 100, "--base", model,
        "--label", "Tiny",
    ]  # fmt: skip

    def run(*more: object) -> subprocess.CompletedProcess[str]:
        words = [str(word) for word in [*command, *more]]
        return subprocess.run(words, capture_output=True, text=True, timeout=400)

    done = run()
    assert done.returncode == 0, done.stderr
    comparison = read_comparison(tmp_path / "stored")
    models = comparison.perplexity["model"].tolist()
    assert models[-3:] == ["CAREER", "CAREER, transfer", "Tiny, fine-tuned"]
    assert len(models) == 8
    assert set(comparison.perplexity["workers"]) == {20}
    assert set(comparison.differences["model"]) == set(models[:-1])
    assert comparison.about["train"] == 40
    # Nothing of it is done twice, and a request for something else is not answered with what is there.
    assert "Multinomial logit" not in run().stderr
    other = run("--train", 41)
    assert other.returncode != 0
    assert "made with other arguments" in other.stderr
