"""What a run leaves about itself: wall time of each notebook, software and machine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from labor_llm.errors import ArtefactError


def run_times(notebooks: Path, benchmarks: Path) -> pd.DataFrame:
    """Return wall time and peak memory of every executed notebook of a folder.

    Args:
        notebooks: executed notebooks; papermill records the wall time in them.
        benchmarks: the workflow's record of each job, `<name>.tsv`, with its peak memory; may be absent.

    Returns:
        Columns `Notebook`, `Minutes`, `Peak memory, GB` (NaN where not recorded), in the order of names, and a
        last row `Total` with the sum of the minutes and the largest peak. A notebook that is being executed is
        left out.

    Raises:
        ArtefactError: if the folder holds no executed notebook or one of them is unreadable.
    """
    rows = []
    for path in sorted(Path(notebooks).glob("*.ipynb")):
        if path.name.endswith(".failed.ipynb"):
            continue
        try:
            record = json.loads(path.read_text(encoding="utf-8"))["metadata"].get("papermill", {})
        except (ValueError, KeyError) as error:
            raise ArtefactError(f"{path}: not readable as a notebook ({error}). Run it again.") from error
        if record.get("duration") is not None:
            rows.append((path.stem, record["duration"] / 60.0, _peak_memory(benchmarks / f"{path.stem}.tsv")))
    if not rows:
        raise ArtefactError(f"{notebooks}: no executed notebook there. Run the replication first.")
    frame = pd.DataFrame(rows, columns=["Notebook", "Minutes", "Peak memory, GB"])
    frame.loc[len(frame)] = ["Total", frame["Minutes"].sum(), frame["Peak memory, GB"].max()]
    return frame


def _peak_memory(path: Path) -> float:
    """Return the largest resident memory of a job's processes together, in GB, or NaN if it was not recorded."""
    if not path.is_file():
        return float("nan")
    return float(pd.to_numeric(pd.read_csv(path, sep="\t")["max_rss"], errors="coerce").max()) * 2**20 / 1e9


def environment_table(environment: Mapping[str, Any]) -> pd.DataFrame:
    """Return software and machine as a table.

    Args:
        environment: as `labor_llm.artefacts.environment` returns it; nested mappings are laid flat.

    Returns:
        Columns `Item`, `Value` (text).
    """
    rows = []
    for key, value in environment.items():
        nested = value.items() if isinstance(value, Mapping) else [(key, value)]
        rows += [{"Item": str(name), "Value": str(text)} for name, text in nested]
    return pd.DataFrame(rows)
