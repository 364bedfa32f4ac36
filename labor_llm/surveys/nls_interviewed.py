"""Whether the variables of a survey year agree on who was interviewed: if they do not, one is of another year.

Whoever was not interviewed in a round has -5 in every variable of it, in both cohorts. A column that a column map or a
renamed header puts in the wrong year, or a file whose codes were changed, shows by this and by little else: an
occupation of 1985 is as plausible in 1986.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from labor_llm.errors import InputError
from labor_llm.surveys.nls_codebooks import MappedColumn
from labor_llm.surveys.nls_columns import WEEKLY
from labor_llm.surveys.variables import CROSS_ROUND, Variable

NON_INTERVIEW = -5
# Respondents on whom two variables of a year may disagree, as a share of those that both have. Genuine files: none.
_TOLERATED = 0.01
# Answered of those who were not interviewed; and a question on the person, whose answer may be given to all.
_NOT_OF_A_ROUND = frozenset({"reason_noninterview", "birth_year"})

Key = tuple[str, str, int]


def check_interviewed(
    columns: Mapping[Key, np.ndarray],
    empty: int,
    variables: Iterable[Variable],
    found: Mapping[Key, Path],
    mapped: Mapping[Key, MappedColumn],
) -> None:
    """Refuse variables of one survey year that disagree on who was interviewed.

    Args:
        columns: codes [respondents] of each variable that was found, by its key.
        empty: the code of a respondent whom the variable's file does not have; such are not compared.
        variables: those looked for.
        found: the file of each variable.
        mapped: the row of the column map, for variables whose column it named.

    Raises:
        InputError: if more than one in a hundred of the respondents that two variables of a year both have were not
            interviewed by one of them alone; names the two that disagree most.
    """
    years: dict[int, dict[Key, Variable]] = {}
    for variable in variables:
        single = variable.year != CROSS_ROUND and variable.concept not in (WEEKLY, *_NOT_OF_A_ROUND)
        if single and variable.key in columns:
            years.setdefault(variable.year, {})[variable.key] = variable
    for year, asked in years.items():
        known = {key: columns[key] != empty for key in asked}
        absent = {key: columns[key] == NON_INTERVIEW for key in asked}
        disagreements = []
        for pair in itertools.combinations(asked, 2):
            both = known[pair[0]] & known[pair[1]]
            size, differing = int(both.sum()), int(((absent[pair[0]] != absent[pair[1]]) & both).sum())
            if differing > _TOLERATED * size:
                disagreements.append((differing / size, differing, size, pair))
        if disagreements:
            _, differing, size, pair = max(disagreements)
            names = " and ".join(_named(asked[key], found[key], mapped.get(key)) for key in pair)
            raise InputError(
                f"{year}: {names} disagree on who was interviewed (code {NON_INTERVIEW}) for {differing:,} of the "
                f"{size:,} respondents that both have, so one of them is of another year. "
                f"{_remedy([mapped[key] for key in pair if key in mapped])}"
            )


def _named(variable: Variable, path: Path, row: MappedColumn | None) -> str:
    by = f", column {row.column!r} by row {row.row} of {row.source}" if row else ""
    return f"{variable} in {path}{by}"


def _remedy(rows: list[MappedColumn]) -> str:
    mend = f"Mend the years in {rows[0].source}" if rows else "Check the names of the columns"
    return f"{mend}, or download the files anew, with codes as the NLS Investigator gives them."
