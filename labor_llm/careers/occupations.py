"""The outcome space: which occupations a worker can have next, and their titles in words.

An occupation model is a probability over this fixed set (paper, set-up of the occupation model). The set is given
beforehand, never read off the data that is predicted. That of the three surveys is occ1990dd, the 330 civilian
occupations of Autor and Dorn, and three states without a job. Their codes are the same in all years, which makes the
Census frames of 1970 to 2010 comparable. The titles are restated in `occ1990dd.csv` beside this module; where sources
differ on the wording of a title (never on its code) the column `note` says so. The surveys' own codes reach this list
by the crosswalks of `labor_llm.crosswalks`.

References: D. Dorn (2009), "Essays on Inequality, Spatial Interaction, and the Demand for Skills", dissertation,
University of St. Gallen; D. Autor and D. Dorn (2013), "The Growth of Low-Skill Service Jobs and the Polarization of
the US Labor Market", American Economic Review 103(5), 1553-1597; files at https://www.ddorn.net/data.htm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import pandas as pd

from labor_llm.careers.tables import read_text_csv
from labor_llm.errors import InputError
from labor_llm.plain_text import comparable, text_problem

TITLE_COLUMNS = ("occupation", "title")
NAME = "occ1990dd"
STATES = {"unemployed": "Unemployed", "out_of_labor_force": "Out of labor force", "education": "In education"}
_TABLE = Path(__file__).with_name("occ1990dd.csv")
_COLUMNS = ("occupation", "title", "major_group", "note")


@dataclass(frozen=True)
class OutcomeSpace:
    """Occupation codes and their titles, in a fixed order that every probability matrix follows.

    Raises:
        InputError: if there are fewer than two occupations, or a code or title is empty, repeated or
            holds what a resume line cannot hold (control characters, line ends, markup).
    """

    codes: tuple[str, ...]
    titles: tuple[str, ...]
    source: str = "titles"

    def __post_init__(self) -> None:
        if len(self.codes) < 2 or len(self.codes) != len(self.titles):
            raise InputError(f"{self.source}: {len(self.codes)} occupations found; at least two are needed.")
        rule = "Each occupation has one code and one title of its own."
        check_distinct(self.source, "occupation", dict(enumerate(self.codes, start=2)), rule, key=str)
        for column, what, texts in (("occupation", "A code", self.codes), ("title", "A title", self.titles)):
            for row, text in enumerate(texts):
                if problem := title_problem(text):
                    raise InputError(
                        f"{self.source}, row {row + 2}, column {column}: {text!r} {problem}. {what} is one line of "
                        "plain text: change it in the file."
                    )
        check_distinct(self.source, "title", dict(enumerate(self.titles, start=2)), rule)

    def __len__(self) -> int:
        return len(self.codes)

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {code: position for position, code in enumerate(self.codes)}

    def index(self, code: str) -> int:
        """Return the column of an occupation in a probability matrix."""
        return self._positions[code]

    def indices(self, codes: Iterable[str]) -> list[int]:
        """Return the columns of several occupations."""
        return [self._positions[code] for code in codes]

    def title(self, code: str) -> str:
        """Return the title of an occupation."""
        return self.titles[self._positions[code]]

    def frame(self) -> pd.DataFrame:
        """Return the columns `occupation` and `title`, one row an occupation."""
        return pd.DataFrame({"occupation": list(self.codes), "title": list(self.titles)})


def read_titles(path: Path) -> OutcomeSpace:
    """Read the outcome space from a CSV with the columns `occupation` and `title`; codes are text, `0050` stays `0050`.

    Raises:
        InputError: naming file, row and column, if the file is missing, empty, lacks a column, or holds an empty,
            repeated or unprintable code or title.
    """
    frame = read_text_csv(path, TITLE_COLUMNS)
    for column in TITLE_COLUMNS:
        empty = frame.index[frame[column].str.strip() == ""]
        if len(empty):
            raise InputError(
                f"{path}, row {empty[0] + 2}, column {column}: empty. Give every row both columns."
            )
    codes, titles = frame["occupation"].str.strip(), frame["title"].str.strip(" ")
    return OutcomeSpace(tuple(codes), tuple(titles), source=str(path))


def title_problem(text: str) -> str | None:
    """Return what makes a text unfit for one resume line, or None if it is fit."""
    return text_problem(text) or ("holds markup (< or >)" if {"<", ">"} & {*text} else None)


def check_distinct(
    source: str,
    column: str,
    values: Mapping[int, str],
    rule: str,
    key: Callable[[str], str] = comparable,
) -> None:
    """Refuse two values that nobody can tell apart by sight.

    Args:
        source: the file that the message names.
        column: the column in which they stand.
        values: each value by its row in the file.
        rule: what must hold, and what to do.
        key: what is the same of values that count as the same.

    Raises:
        InputError: naming both rows and both values, letters other than ASCII by their numbers.
    """
    rows: dict[str, int] = {}
    for row, value in values.items():
        if (other := rows.setdefault(key(value), row)) != row:
            written = "" if values[other] == value else f" as {values[other]!a}"
            raise InputError(
                f"{source}, row {row}, column {column}: {value!a} stands already in row {other}{written}. {rule}"
            )


@cache
def _table() -> pd.DataFrame:
    return read_text_csv(_TABLE, _COLUMNS)


def occupation_codes() -> tuple[str, ...]:
    """Return the 330 codes as text, in the order of the classification."""
    return tuple(_table()["occupation"])


def outcome_space() -> OutcomeSpace:
    """Return the outcome space of the surveys: 330 occupations, then the three `STATES` without a job."""
    return OutcomeSpace((*occupation_codes(), *STATES), (*_table()["title"], *STATES.values()), source=NAME)


def major_groups() -> dict[str, str]:
    """Return the major group of each code: Dorn's 25 groups of occupations, and each state for itself."""
    return {**dict(zip(occupation_codes(), _table()["major_group"], strict=True)), **STATES}
