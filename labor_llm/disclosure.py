"""The disclosure gate: nothing is published that rests on fewer than eleven persons.

Survey agencies release such data on the condition that no cell can be traced to a person. Every
function that writes an exhibit asks how many persons stand behind it and calls this gate first. A least or largest
value, a quantile and the difference of two counts rest on the persons beyond it alone; what is shown of these is made
here too.
"""

from __future__ import annotations

import numbers
from collections.abc import Sequence, Sized
from typing import TYPE_CHECKING, Literal, TypeAlias

from labor_llm.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

MINIMUM_PERSONS = 11
POOLED = "other groups pooled"
FEW = f"< {MINIMUM_PERSONS}"

# The number of persons behind an exhibit, or behind each of its rows.
Persons: TypeAlias = "int | pd.Series | Literal['none']"


def require_enough_persons(persons: Persons, rows: list[str], exhibit: str) -> None:
    """Refuse an exhibit with a row that rests on fewer than `MINIMUM_PERSONS` persons.

    Args:
        persons: one count for all rows, a Series in row order, or `'none'` for an exhibit without survey data
            (settings, versions, published values).
        rows: text of the first cell of each row.
        exhibit: name of the exhibit, for messages.

    Raises:
        InputError: if a row has no count or too small a one; names the exhibit and the row.
    """
    if isinstance(persons, str):
        if persons != "none":
            raise InputError(f"{exhibit}: persons must be counts or 'none', found {persons!r}.")
        return
    counts = persons.tolist() if isinstance(persons, Sized) else [persons] * len(rows)
    if len(counts) != len(rows):
        raise InputError(
            f"{exhibit}: {len(counts)} counts of persons for {len(rows)} rows. Give one for each row."
        )
    for number, (row, count) in enumerate(zip(rows, counts, strict=True), 1):
        where = f"{exhibit}, row {number} ({row})"
        if not isinstance(count, numbers.Real) or isinstance(count, bool) or count % 1 != 0:
            raise InputError(f"{where}: the number of persons must be a whole number, found {count!r}.")
        if count < MINIMUM_PERSONS:
            # The count itself is left out: it is what must not be published.
            raise InputError(
                f"{where}: fewer than {MINIMUM_PERSONS} persons stand behind it, so it cannot be published. "
                "Pool it with other groups or leave it out."
            )


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
    while (
        small and pooled < len(ascending) and (pooled < 2 or ascending.iloc[:pooled].sum() < MINIMUM_PERSONS)
    ):
        pooled += 1
    return {str(name): POOLED if rank < pooled else str(name) for rank, name in enumerate(ascending.index)}


def pooled_groups(groups: pd.Series, persons: pd.Series) -> pd.Series:
    """Return the group in which each row is shown, by `pool_small_groups`; `POOLED` throughout if that does not do.

    So it is where the groups of a pool are of the same few persons.

    Args:
        groups: the group of each row.
        persons: whom each row is about, with the same index.
    """
    shown = groups.map(pool_small_groups(persons.groupby(groups).nunique()))
    return (
        shown
        if persons.groupby(shown).nunique().min() >= MINIMUM_PERSONS
        else shown.mask(shown.notna(), POOLED)
    )


def supported_years(records: pd.DataFrame) -> tuple[int, int]:
    """Return the first and last `year` of records, without those that fewer than `MINIMUM_PERSONS` have or go beyond.

    So many of the `worker_id` have the first one shown or an earlier one, and so many the last or a later one; both are
    the median where they are too few for two ends.

    Raises:
        InputError: if there are fewer persons.
    """
    by_person = records.groupby("worker_id")["year"]
    if len(by_person) < MINIMUM_PERSONS:
        raise InputError(f"a range of years: fewer than {MINIMUM_PERSONS} persons stand behind it.")
    first = int(by_person.min().nsmallest(MINIMUM_PERSONS).iloc[-1])
    last = int(by_person.max().nlargest(MINIMUM_PERSONS).iloc[-1])
    return (first, last) if first <= last else (int(records["year"].median()),) * 2


def supported_quantile(values: pd.Series, persons: pd.Series, level: float) -> float:
    """Return a quantile; NaN where fewer than `MINIMUM_PERSONS` have a value up to it, or from it on."""
    quantile = float(values.quantile(level))
    beyond = min(persons[side.to_numpy()].nunique() for side in (values <= quantile, values >= quantile))
    return quantile if beyond >= MINIMUM_PERSONS else float("nan")


def nested_counts(counts: Sequence[int | None]) -> list[int | str]:
    """Return counts, each a part of the one before (None if too few), so that no two tell of a few by subtraction.

    Those that are 1 to 10 above the next one shown are worded, from the last back to the first.
    """
    shown: list[int | str] = []
    following = None
    for count in reversed(counts):
        if count is None:
            shown.append(FEW)
        elif following is not None and 0 < count - following < MINIMUM_PERSONS:
            shown.append(f"{following:,} + {FEW}")
        else:
            shown.append(count)
            following = count
    return shown[::-1]
