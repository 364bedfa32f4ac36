"""The disclosure gate: nothing is published that rests on fewer than eleven persons.

Survey agencies release such data on the condition that no cell can be traced to a person. Every
function that writes an exhibit asks how many persons stand behind it and calls this gate first.
"""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, TypeAlias

from labor_llm.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

MINIMUM_PERSONS = 11
POOLED = "other groups pooled"

# The number of persons behind an exhibit, or behind each of its rows.
Persons: TypeAlias = "int | pd.Series | Mapping[str, int] | Literal['none']"


def require_enough_persons(persons: Persons, rows: list[str], exhibit: str) -> None:
    """Refuse an exhibit with a row that rests on fewer than `MINIMUM_PERSONS` persons.

    Args:
        persons: one count for all rows; a Series in row order; a mapping from the text of a row's first
            cell to its count; or `'none'` for an exhibit without survey data (settings, versions,
            published values).
        rows: text of the first cell of each row.
        exhibit: name of the exhibit, for messages.

    Raises:
        InputError: if a row has no count or too small a one; names the exhibit and the row.
    """
    if isinstance(persons, str):
        if persons != "none":
            raise InputError(f"{exhibit}: persons must be counts or 'none', found {persons!r}.")
        return
    for number, (row, count) in enumerate(zip(rows, _counts_by_row(persons, rows, exhibit), strict=True), 1):
        _require_one(count, f"{exhibit}, row {number} ({row})")


def pool_small_groups(persons: pd.Series) -> dict[str, str]:
    """Name, for each group, the group that it is shown in: itself, or `POOLED`.

    Groups below `MINIMUM_PERSONS` are pooled, and the next larger ones with them until the pool is large
    enough: a single group that is left out could be computed from the others.

    Args:
        persons: number of persons by group.
    """
    ascending = persons.sort_values(kind="stable")
    small = int((ascending < MINIMUM_PERSONS).sum())
    pooled = small
    while small and pooled < len(ascending) and _too_few(ascending.iloc[:pooled]):
        pooled += 1
    return {str(name): POOLED if rank < pooled else str(name) for rank, name in enumerate(ascending.index)}


def _too_few(pool: pd.Series) -> bool:
    return len(pool) < 2 or int(pool.sum()) < MINIMUM_PERSONS


def _counts_by_row(persons: Persons, rows: list[str], exhibit: str) -> list[object]:
    if not isinstance(persons, int | Mapping) and hasattr(persons, "tolist"):
        if len(persons) != len(rows):
            raise InputError(
                f"{exhibit}: {len(persons)} counts of persons for {len(rows)} rows. Give one for each row."
            )
        return persons.tolist()
    if isinstance(persons, Mapping):
        if len(set(rows)) != len(rows):
            raise InputError(f"{exhibit}: row labels repeat, so persons must be a Series in row order.")
        missing = [row for row in rows if row not in persons]
        if missing:
            raise InputError(f"{exhibit}: no count of persons for row {missing[0]!r}.")
        return [persons[row] for row in rows]
    return [persons] * max(len(rows), 1) if rows else []


def _require_one(count: object, where: str) -> None:
    whole = isinstance(count, numbers.Real) and not isinstance(count, bool) and count == count
    if not whole or int(count) != count:
        raise InputError(f"{where}: the number of persons must be a whole number, found {count!r}.")
    if count < MINIMUM_PERSONS:
        # The count itself is left out: it is what must not be published.
        raise InputError(
            f"{where}: fewer than {MINIMUM_PERSONS} persons stand behind it, so it cannot be published. "
            "Pool it with other groups or leave it out."
        )
