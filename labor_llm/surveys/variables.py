"""The variables of the surveys: which question, in which year, stands under which name in the official files.

A variable carries one concept (such as the occupation of the main job) of one survey year. The tables in
`surveys/variables/` restate the names from the surveys' own indexes. NLS variables have a reference
number (R0046400) and a question name (CPSOCC70); where the reference number is not known, the variable is
found by question name and survey year. PSID variables have a name (V7712) alone.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pandas as pd

from labor_llm.errors import InputError

_TABLES = Path(__file__).parent / "variables"
# The year of a variable that belongs to no single survey year (sex, race, a week's status).
CROSS_ROUND = 0


@dataclass(frozen=True)
class Variable:
    """One variable of a survey.

    Attributes:
        concept: what it measures, in this project's words, such as `occupation_1970`.
        year: survey year; `CROSS_ROUND` for a variable that belongs to the person; for weekly arrays
            the number of the week.
        name: its name in the files, such as R0046400 or V7712; empty where it is not known.
        question: question name of the NLS, such as CPSOCC70; empty for the PSID.
        role: whom a PSID variable describes: `person`, `head`, `spouse` or `family`; empty for the NLS.
    """

    concept: str
    year: int
    name: str = ""
    question: str = ""
    role: str = ""

    @property
    def key(self) -> tuple[str, str, int]:
        """The column of this variable in `RawSurvey.values`: concept, role, year."""
        return (self.concept, self.role, self.year)

    def __str__(self) -> str:
        """Name it as the survey's own documentation does."""
        year = f" ({self.year})" if self.year != CROSS_ROUND else ""
        return (
            f"{self.name or self.question}{f' {self.question}' if self.name and self.question else ''}{year}"
        )


@dataclass(frozen=True)
class RawSurvey:
    """What was read from the files of a survey, before any of it is interpreted.

    Attributes:
        values: one row a respondent (index `person`, int64, ascending), one column a variable that was found
            (columns: a MultiIndex with the levels `concept`, `role`, `year`); nullable integers
            (`Int32`), codes exactly as in the files; NA where no file has the respondent.
        found: the file in which each variable was found, by key.
        missing: the variables that no file has.
        read: every file that was read, in order; `skipped` those in the folder that were not.
        unnamed: the files of `skipped` that have respondents, but columns of which nothing tells what they are.
    """

    values: pd.DataFrame
    found: dict[tuple[str, str, int], Path]
    missing: tuple[Variable, ...]
    read: tuple[Path, ...]
    skipped: tuple[Path, ...] = ()
    unnamed: tuple[Path, ...] = ()

    def years(self, concept: str, role: str = "") -> list[int]:
        """Return the survey years for which a concept was found."""
        return sorted(year for found, whose, year in self.found if (found, whose) == (concept, role))

    def get(self, concept: str, year: int = CROSS_ROUND, role: str = "") -> pd.Series:
        """Return one variable's values (`Int32`, index `person`), all NA where it was not found."""
        key = (concept, role, year)
        if key in self.values.columns:
            return self.values[key]
        return pd.Series(pd.NA, index=self.values.index, dtype="Int32")


@cache
def variables_of(survey: str) -> tuple[Variable, ...]:
    """Return the variables of a survey (`psid`, `nlsy79`, `nlsy97`) that its reader looks for.

    Raises:
        InputError: if there is no such survey.
    """
    path = _TABLES / f"{survey}.csv"
    if not path.is_file():
        known = ", ".join(sorted(table.stem for table in _TABLES.glob("*.csv")))
        raise InputError(f"{survey!r} is no survey; known are {known}.")
    with open(path, encoding="utf-8", newline="") as file:
        return tuple(
            Variable(row["concept"], int(row["year"]), row["name"], row["question"], row["role"])
            for row in csv.DictReader(file)
        )
