"""The variables of the surveys: which question, in which year, stands under which name in the official files.

The tables in `surveys/variables/` restate the names from the surveys' own indexes. NLS variables have a reference
number (R0046400) and a question name (CPSOCC70); where the number is not known, the variable is found by question
name and survey year. PSID variables have a name (V7712) alone.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from labor_llm.errors import InputError

_TABLES = Path(__file__).parent / "variables"
# The year of a variable that belongs to no single survey year (sex, race, a week's status).
CROSS_ROUND = 0
# The weekly arrays of the NLS, of which `Variable.year` is the number of the week.
WEEKLY = "weekly_status"
# Stands for an empty cell where codes are int32; no code of a survey comes near it.
NO_VALUE = int(np.iinfo(np.int32).min)

Key = tuple[str, str, int]


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
    def key(self) -> Key:
        """The column of this variable in `RawSurvey.values`: concept, role, year."""
        return (self.concept, self.role, self.year)

    @property
    def of_no_year(self) -> bool:
        """Tell whether it is found by its question alone: it is cross-round, or of a week and not of a year."""
        return self.year == CROSS_ROUND or self.concept == WEEKLY

    def __str__(self) -> str:
        """Name it as the survey's own documentation does."""
        year = f" ({self.year})" if self.year != CROSS_ROUND else ""
        return f"{' '.join(name for name in (self.name, self.question) if name)}{year}"


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
    found: dict[Key, Path]
    missing: tuple[Variable, ...]
    read: tuple[Path, ...]
    skipped: tuple[Path, ...] = ()
    unnamed: tuple[Path, ...] = ()

    def has(self, concept: str, year: int = CROSS_ROUND, role: str = "") -> bool:
        """Tell whether a variable was found."""
        return (concept, role, year) in self.values.columns

    def years(self, concept: str) -> list[int]:
        """Return the survey years for which a concept was found."""
        return sorted(year for found, _, year in self.values.columns if found == concept)

    def get(self, concept: str, year: int = CROSS_ROUND, role: str = "") -> pd.Series:
        """Return one variable's values (`Int32`, index `person`), all NA where it was not found."""
        if self.has(concept, year, role):
            return self.values[concept, role, year]
        return pd.Series(pd.NA, index=self.values.index, dtype="Int32")

    def codes(self, concept: str, year: int = CROSS_ROUND, role: str = "", blank: int = -1) -> np.ndarray:
        """Return one variable's values as int64 [persons], `blank` where no file has one."""
        return self.get(concept, year, role).to_numpy("int64", na_value=blank)


class JoinedColumns:
    """The variables of several files, put together person by person.

    Attributes:
        persons: the numbers (int64) of all persons, ascending.
        columns: codes [persons] of each variable by its key, int32 and `NO_VALUE` where no file has one.
        found: the first file that has each variable.
    """

    def __init__(self, persons: Iterable[np.ndarray]) -> None:
        self.persons = np.unique(np.concatenate([np.empty(0, np.int64), *persons]))
        self.columns: dict[Key, np.ndarray] = {}
        self.found: dict[Key, Path] = {}

    def add(self, variable: Variable, persons: np.ndarray, codes: np.ndarray, path: Path) -> None:
        """Add a variable of some persons, or complete the one that another file has.

        Raises:
            InputError: if the two files differ in persons that both have.
        """
        new = np.full(len(self.persons), NO_VALUE, dtype=np.int32)
        new[np.searchsorted(self.persons, persons)] = codes
        held = self.columns.get(variable.key)
        if held is not None:
            both = (held != NO_VALUE) & (new != NO_VALUE)
            if differing := int(np.count_nonzero(both & (held != new))):
                raise InputError(
                    f"{variable} differs between {self.found[variable.key]} and {path} for {differing:,} of the "
                    f"{np.count_nonzero(both):,} respondents that both have; the two files seem to be of different "
                    "releases. Download both anew from one release, or give only one of them."
                )
            new = np.where(held == NO_VALUE, new, held)
        self.columns[variable.key] = new
        self.found.setdefault(variable.key, path)

    def survey(self, variables: Sequence[Variable], **files: Iterable[Path]) -> RawSurvey:
        """Return what was read, the variables in the order in which they were looked for; the columns are given up.

        Args:
            variables: those that were looked for.
            files: `read`, `skipped` and `unnamed` of the `RawSurvey`.
        """
        keys = [key for key in dict.fromkeys(variable.key for variable in variables) if key in self.columns]
        arrays = {}
        for place, key in enumerate(keys):
            column = self.columns.pop(key)
            blank = column == NO_VALUE
            column[blank] = 1  # what pandas itself keeps under a missing value
            arrays[place] = pd.arrays.IntegerArray(column, blank)
        values = pd.DataFrame(arrays, index=pd.Index(self.persons, name="person"), copy=False)
        values.columns = pd.MultiIndex.from_tuples(keys, names=["concept", "role", "year"])
        return RawSurvey(
            values,
            {key: self.found[key] for key in keys},
            tuple(variable for variable in variables if variable.key not in self.found),
            **{kind: tuple(dict.fromkeys(paths)) for kind, paths in files.items()},
        )


@cache
def variables_of(survey: str) -> tuple[Variable, ...]:
    """Return the variables of a survey (`psid`, `nlsy79`, `nlsy97`) that its reader looks for."""
    with open(_TABLES / f"{survey}.csv", encoding="utf-8", newline="") as file:
        return tuple(
            Variable(row["concept"], int(row["year"]), row["name"], row["question"], row["role"])
            for row in csv.DictReader(file)
        )
