"""What a run leaves about itself: wall time of each notebook, software and machine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from labor_llm.errors import ArtefactError


def run_times(notebooks: Path) -> pd.DataFrame:
    """Return the wall time of every executed notebook of a folder, from papermill's record.

    Returns:
        Columns `Notebook`, `Minutes`, in the order of names, and a last row `Total`. A notebook that is being
        executed is left out.

    Raises:
        ArtefactError: if the folder holds no executed notebook or one of them is unreadable.
    """
    rows = []
    for path in sorted(Path(notebooks).glob("*.ipynb")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))["metadata"].get("papermill", {})
        except (ValueError, KeyError) as error:
            raise ArtefactError(f"{path}: not readable as a notebook ({error}). Run it again.") from error
        if record.get("duration") is not None:
            rows.append({"Notebook": path.stem, "Minutes": record["duration"] / 60.0})
    if not rows:
        raise ArtefactError(f"{notebooks}: no executed notebook there. Run the replication first.")
    total = {"Notebook": "Total", "Minutes": sum(row["Minutes"] for row in rows)}
    return pd.DataFrame([*rows, total])


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
