"""Stored benchmarks and the memory of models as tables."""

import json
from pathlib import Path

import pytest

from labor_llm.errors import ArtefactError
from labor_llm.exhibits.models import benchmark_machine, benchmark_table, memory_table
from labor_llm.models.memory import GIB, LLAMA_2, fine_tuning_need
from labor_llm.store.artefacts import writing

ROWS = [
    {"name": "titles", "value": 333, "unit": "titles", "peer": None, "ratio": None},
    {"name": "all titles; peer other", "value": 2.0, "unit": "s/transition", "peer": 90.0, "ratio": 45.0},
]


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    with writing(tmp_path / "scoring", {"command": ["scoring.py", "--quick"]}) as aside:
        (aside / "rows.json").write_text(json.dumps(ROWS))
        (aside / "machine.json").write_text(json.dumps({"processor": "a processor", "date": "2026-01-01"}))
    return tmp_path / "scoring"


def test_a_row_tells_what_it_was_measured_beside(stored: Path) -> None:
    table = benchmark_table(stored)
    assert table["Measured"].tolist() == ["titles", "all titles"]
    assert table["Beside"].tolist() == ["", "other"]
    assert table.loc[1, ["Value", "Its value", "Ratio"]].tolist() == [2, 90, 45]
    assert table.loc[0, "Ratio"] == ""
    assert benchmark_machine(stored) == {
        "processor": "a processor", "date": "2026-01-01", "command": "scoring.py --quick",
    }  # fmt: skip


def test_numbers_that_were_changed_are_refused(stored: Path) -> None:
    (stored / "rows.json").write_text(json.dumps(ROWS).replace("45", "90"))
    with pytest.raises(ArtefactError, match=r"rows\.json"):
        benchmark_table(stored)
    with pytest.raises(ArtefactError, match=r"Run `python benchmarks/<name>\.py --store"):
        benchmark_table(stored / "absent")


def test_the_memory_of_a_recipe_is_the_sum_of_its_parts() -> None:
    table = memory_table(["7b"], tokens=4096).set_index("Recipe")
    row = table.loc["Llama-2-7B: LoRA, bfloat16"]
    need = fine_tuning_need(LLAMA_2["7b"], 4096, "none")
    assert row["Total"] == pytest.approx(need.total / GIB)
    parts = ["Weights", "Gradients", "Optimizer", "Activations", "Logits", "Keys and values"]
    assert row[parts].sum() == pytest.approx(row["Total"])
    assert table.loc["Llama-2-7B: full, one GPU", "Fits"] == "no"
