"""Tables of stored benchmarks, and of the memory that models need."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from labor_llm.artefacts import verify
from labor_llm.errors import ArtefactError
from labor_llm.memory import llama_2, recipe_table

# Between what was measured and what it was measured beside.
_BESIDE = "; peer "
MEMORY_PARTS = {
    "weights": "Weights",
    "gradients": "Gradients",
    "optimizer": "Optimizer",
    "activations": "Activations",
    "logits": "Logits",
    "keys_values": "Keys and values",
    "total": "Total",
}


def benchmark_table(folder: Path) -> pd.DataFrame:
    """Return what a benchmark measured, one row a quantity.

    Args:
        folder: what `python benchmarks/<name>.py --store FOLDER` stored.

    Returns:
        Columns `Measured`, `Value`, `Unit`, `Beside` (what it was compared with, in the same run), `Its value` and
        `Ratio` (how many times the peer's time or memory, or of speeds how many times the peer's speed); empty text
        where nothing was compared.

    Raises:
        ArtefactError: if nothing is stored there, or it was changed.
    """
    rows = pd.DataFrame(json.loads(_stored(folder, "rows.json")))
    names = rows["name"].str.partition(_BESIDE)
    return pd.DataFrame(
        {
            "Measured": names[0],
            "Value": rows["value"].astype(float),
            "Unit": rows["unit"],
            "Beside": names[2],
            "Its value": _or_empty(rows["peer"]),
            "Ratio": _or_empty(rows["ratio"]),
        }
    )


def benchmark_machine(folder: Path) -> dict[str, str]:
    """Return on what a stored benchmark ran: `processor`, `cores`, `memory`, `platform`, `date`, `versions`, `command`.

    Raises:
        ArtefactError: if nothing is stored there, or it was changed.
    """
    command = verify(folder)["parameters"]["command"]
    machine: dict[str, str] = json.loads(_stored(folder, "machine.json"))
    return {**machine, "command": " ".join(map(str, command))}


def memory_table(sizes: Sequence[str], tokens: int) -> pd.DataFrame:
    """Return the memory that the recipes for Llama-2 take on each GPU of 80 GB.

    Args:
        sizes: of `labor_llm.memory.llama_2`.
        tokens: run at once on each GPU.

    Returns:
        Columns `Recipe`, `GPUs`, the parts of the memory and `Total` in GiB, and `Fits`.
    """
    tables = []
    for size in sizes:
        table = recipe_table(llama_2(size), tokens)
        shown = pd.DataFrame({"Recipe": f"Llama-2-{size.upper()}: " + table["recipe"], "GPUs": table["gpus"]})
        for part, column in MEMORY_PARTS.items():
            shown[column] = table[part]
        tables.append(shown.assign(Fits=table["fits"].map({True: "yes", False: "no"})))
    return pd.concat(tables, ignore_index=True)


def _or_empty(values: pd.Series) -> pd.Series:
    numbers = values.astype(float)
    return numbers.astype(object).where(numbers.notna(), "")


def _stored(folder: Path, name: str) -> str:
    if not Path(folder).is_dir():
        raise ArtefactError(
            f"{folder}: no benchmark is stored there. Run `python benchmarks/<name>.py --store {folder}`."
        )
    verify(folder)
    return (Path(folder) / name).read_text(encoding="utf-8")
