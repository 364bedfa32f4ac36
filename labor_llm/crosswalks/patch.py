"""The patch table: occupation codes for which Dorn's crosswalks have no row, each with reason and source.

A row's code is the one that stands in the survey. Rows of census2002 serve census2000 too, whose codes are the
first three of their four digits. A row without a target says why there is none.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pandas as pd

from labor_llm.occupations import read_text_csv

COLUMNS = ("frame", "code", "census_title", "occ1990dd", "reason", "source")
_TABLE = Path(__file__).with_name("patch.csv")


@cache
def patch_table() -> pd.DataFrame:
    """Return the patch table: the columns `COLUMNS`, `code` int64, `occ1990dd` Int64 (NA: no target)."""
    table = read_text_csv(_TABLE, COLUMNS)[list(COLUMNS)]
    table["code"] = table["code"].astype("int64")
    table["occ1990dd"] = pd.to_numeric(table["occ1990dd"].replace("", None)).astype("Int64")
    return table


def patch_of(frame: str) -> dict[int, int | None]:
    """Return the targets (None: there is none) of the patch for a frame, by code."""
    table = patch_table()
    rows = table[table["frame"] == ("census2002" if frame == "census2000" else frame)]
    codes = rows["code"] // 10 if frame == "census2000" else rows["code"]
    return {
        int(code): None if pd.isna(target) else int(target)
        for code, target in zip(codes, rows["occ1990dd"], strict=True)
    }
