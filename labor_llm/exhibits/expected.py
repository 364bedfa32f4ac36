"""Expected outputs: the tables of a run that are kept in the repository, and how those of another run differ from them.

On the machine that they come from a run gives the same digits. Elsewhere the last digits of sums differ, and what a
fine-tuning makes of them: there a number may differ by a twentieth of itself, or of its column's median where it is
smaller than that; a column of whole numbers may not differ. Times are not compared.
"""

from __future__ import annotations

import platform
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from labor_llm.errors import ArtefactError
from labor_llm.exhibits.catalogue import exhibit_of
from labor_llm.exhibits.stored_runs import read_stored, tables_in
from labor_llm.store.artefacts import environment
from labor_llm.store.results import Results

SAME, WITHIN, DIFFERENT, MISSING, NEW = "same", "within tolerance", "different", "missing", "not expected"
# They have rows of all stored runs, which another checkout may have more of.
_OF_ALL_RUNS, _DATASET = ("tab-claims", "tab-claims-evidence"), "Data set"
_TOLERANCES = {True: 1e-6, False: 0.05}  # on the same machine, on another


def compare_with_expected(results: Results, folder: Path) -> pd.DataFrame:
    """Return how the tables of a run differ from the expected ones.

    Args:
        results: of the run.
        folder: a stored run (`labor_llm.exhibits.stored_runs`).

    Returns:
        A row a table: `exhibit`, `verdict` (same, within tolerance, different, missing, not expected), `largest`
        difference as a share of the number or of its column's median (NaN where nothing is to be compared) and `where`
        it is (column and row, or what differs otherwise).

    Raises:
        ArtefactError: if nothing is stored in the folder, it was changed, or the run has no tables.
    """
    [expected_run] = read_stored([folder])
    here, there = machine(), expected_run.about["machine"]
    alike = all(here[name] == there[name] for name in ("processor", "versions"))
    found, expected = ({path.stem: path for path in tables_in(of)} for of in (results.exhibits, folder))
    if not found:
        raise ArtefactError(f"{results.exhibits}: no tables. Run `labor-llm replicate` first.")
    rows = []
    for name in sorted(found.keys() | expected.keys()):
        if name not in found or name not in expected:
            rows.append((name, MISSING if name in expected else NEW, np.nan, ""))
        else:
            # The empty cell is of what is of no data set.
            own = ["", *expected_run.data_sets] if exhibit_of(name) in _OF_ALL_RUNS else None
            rows.append((name, *_difference(found[name], expected[name], _TOLERANCES[alike], own)))
    return pd.DataFrame(rows, columns=["exhibit", "verdict", "largest", "where"])


def machine() -> dict[str, Any]:
    """Return the processor, system and versions that numbers may depend on in their last digits."""
    return {"processor": processor(), **environment()}


def processor() -> str:
    """Return the model of this machine's processor, as Linux names it."""
    described = Path("/proc/cpuinfo")
    text = described.read_text(encoding="utf-8") if described.is_file() else ""
    model = re.search(r"model name\s*: (.*)", text)
    return model[1].strip() if model else platform.processor() or platform.machine()


def _difference(
    found: Path, expected: Path, tolerance: float, own: list[str] | None = None
) -> tuple[str, float, str]:
    """Return verdict, largest difference, and where it is; of rows of the `own` data sets, or of all."""
    if found.read_bytes() == expected.read_bytes():
        return SAME, 0.0, ""
    try:
        one, other = (pd.read_csv(path, dtype=str, keep_default_na=False) for path in (found, expected))
    except ValueError as error:
        return DIFFERENT, np.nan, f"no table: {error}"
    if own is not None and _DATASET in one and _DATASET in other:
        one, other = (frame[frame[_DATASET].isin(own)].reset_index(drop=True) for frame in (one, other))
    if not isinstance(one.index, pd.RangeIndex):  # Cells without a heading become an index.
        return DIFFERENT, np.nan, "no table: rows are longer than the head"
    if [*one.columns] != [*other.columns] or len(one) != len(other):
        return DIFFERENT, np.nan, f"{len(one)} rows of {len(other)}, or other columns"
    largest, where = 0.0, ""
    for column in one.columns:
        numbers, wanted = (pd.to_numeric(frame[column], errors="coerce") for frame in (one, other))
        words = (numbers.isna() | wanted.isna()) & (one[column] != other[column])
        if words.any():
            row = int(np.flatnonzero(words)[0])
            return (
                DIFFERENT,
                np.nan,
                f"{column}, row {row + 2}: {one[column][row]!r}, not {other[column][row]!r}",
            )
        sizes = wanted.abs().where(np.isfinite(wanted))
        whole = bool((sizes.dropna() % 1 == 0).all())
        scale = sizes.clip(lower=sizes.median()).where(sizes > 0, sizes.median())
        apart = (numbers != wanted) & numbers.notna()
        # What is infinite or zero in one alone differs without measure.
        share = ((numbers - wanted).abs() / scale).where(scale > 0, np.inf).where(apart, 0.0)
        if whole and apart.any():
            return DIFFERENT, float(share.max()), f"{column}, row {int(share.argmax()) + 2}"
        if share.max() > largest:
            largest, where = float(share.max()), f"{column}, row {int(share.argmax()) + 2}"
    return WITHIN if largest <= tolerance else DIFFERENT, largest, where
