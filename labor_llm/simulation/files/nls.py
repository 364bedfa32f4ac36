"""Writes simulated respondents as an extract of the NLS Investigator: the files that the readers take.

Data (.csv, .dat, or within the dictionary .dct), the short description file (.sdf), the codebook (.cdb) and
the tagset (.NLSY79, .NLSY97) are laid out as in genuine downloads, line ends included, so that what is written
here goes through the same reader as a user's own files.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv

from labor_llm.store.artefacts import atomic_path
from labor_llm.surveys.nls.codebooks import RESPONDENT, comparable
from labor_llm.surveys.variables import CROSS_ROUND, WEEKLY, Variable

FORMS = ("csv", "dat", "dct", "sdf", "cdb", "tagset")
# A cell that is NA: the survey's code of a respondent who was not interviewed.
NOT_INTERVIEWED = -5
# Reference numbers of the NLS do not begin with X as far as their lists were seen; those invented here all do.
INVENTED = "X"
_TAGSETS = {"nlsy79": "NLSY79", "nlsy97": "NLSY97"}
_RESPONDENTS = {
    "nlsy79": Variable("identification code", 1979, RESPONDENT, "CASEID"),
    "nlsy97": Variable("identification code", 1997, RESPONDENT, "PUBID"),
}


@dataclass(frozen=True)
class _Column:
    """A column to be written."""

    number: str
    question: str
    year: int
    description: str
    values: np.ndarray

    @property
    def dotted(self) -> str:
        """The reference number as codebooks write it, R00464.00."""
        return f"{self.number[:6]}.{self.number[6:]}"

    @property
    def year_text(self) -> str:
        """The survey year as codebooks write it."""
        return "XRND" if self.year == CROSS_ROUND else str(self.year)


def write_nls(
    folder: Path,
    stem: str,
    cohort: str,
    values: pd.DataFrame,
    variables: Sequence[Variable],
    forms: Sequence[str] = FORMS,
    *,
    zipped: bool = False,
    renamed: bool = False,
    rows_at_once: int = 2_000,
) -> list[Path]:
    """Write respondents as an NLS extract and return the paths of its files.

    Args:
        folder: where the files go.
        stem: their name without the ending.
        cohort: `nlsy79` or `nlsy97`.
        values: one row a respondent, as in `RawSurvey.values`; NA is written as -5.
        variables: what the columns are; a column without its variable is not written, nor a variable without
            column. Those without reference number get an invented one, X and seven digits, that depends on
            question and year alone (but for the rare clash of two).
        forms: some of `FORMS`; `tagset` is the file .NLSY79 or .NLSY97.
        zipped: write one .zip with the files as members, as full cohorts are.
        renamed: name the columns of the .csv by question and year (CPSOCC70_1979) as the Investigator's
            programs do, not by reference number.
        rows_at_once: rows that are turned to text together.

    Raises:
        ValueError: if two variables share a reference number and differ in their values.
        ResourceError: if there is no space left.
    """
    columns = _columns(cohort, values, variables)
    contents = {
        "csv": lambda: _csv(columns, renamed, rows_at_once),
        "dat": lambda: _rows(columns, " ", rows_at_once),
        "dct": lambda: _dct(columns, rows_at_once),
        "sdf": lambda: iter([_sdf(columns)]),
        "cdb": lambda: _cdb(columns),
        "tagset": lambda: iter(["".join(f"{column.number}\n" for column in columns).encode()]),
    }
    names = {form: f"{stem}.{_TAGSETS[cohort] if form == 'tagset' else form}" for form in forms}
    if zipped:
        return [_write_zip(Path(folder) / f"{stem}.zip", {names[form]: contents[form] for form in forms})]
    for form in forms:
        with atomic_path(Path(folder) / names[form]) as aside, open(aside, "wb") as file:
            file.writelines(contents[form]())
    return [Path(folder) / names[form] for form in forms]


def _write_zip(path: Path, members: dict[str, Callable[[], Iterator[bytes]]]) -> Path:
    # The quickest level: codes repeat so much that the others gain little for ten times the time. Members
    # opened by name bear the date 1980-01-01, so that the same content gives the same bytes.
    with (
        atomic_path(path) as aside,
        zipfile.ZipFile(aside, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        for name, content in members.items():
            with archive.open(name, "w", force_zip64=True) as member:
                member.writelines(content())
    return path


def _columns(cohort: str, values: pd.DataFrame, variables: Sequence[Variable]) -> list[_Column]:
    """Return the columns in the order of a genuine extract, by reference number."""
    columns: dict[str, _Column] = {}
    numbers = _reference_numbers(cohort, variables)
    respondent = _RESPONDENTS[cohort]
    persons = values.index.to_numpy(dtype=np.int32)
    for variable in (respondent, *variables):
        number = numbers.get(variable, variable.name)
        if variable is respondent:
            codes = persons
        elif variable.key in values.columns and number != RESPONDENT:
            codes = values[variable.key].to_numpy(dtype=np.int32, na_value=NOT_INTERVIEWED)
        else:
            continue
        if number in columns and not np.array_equal(columns[number].values, codes):
            raise ValueError(f"{variable} and {columns[number].question} share {number} and differ in values")
        year = CROSS_ROUND if variable.concept == WEEKLY else variable.year
        title = variable.concept.replace("_", " ").upper()
        columns[number] = _Column(number, variable.question or comparable(title), year, title, codes)
    return [columns[number] for number in sorted(columns)]


def _reference_numbers(cohort: str, variables: Sequence[Variable]) -> dict[Variable, str]:
    """Return the reference number of each variable, an invented one where none is known."""
    unknown = sorted({v for v in variables if not v.name}, key=lambda v: (v.question, v.year, v.concept))
    taken: set[int] = set()
    invented = {}
    for variable in unknown:
        number = (
            zlib.crc32(f"{cohort} {variable.question or variable.concept} {variable.year}".encode()) % 10**7
        )
        while number in taken:
            number = (number + 1) % 10**7
        taken.add(number)
        invented[variable] = f"{INVENTED}{number:07d}"
    return {variable: invented.get(variable, variable.name) for variable in variables}


def _rows(columns: Sequence[_Column], delimiter: str, rows_at_once: int) -> Iterator[bytes]:
    """Yield the rows, CRLF between them and none at the end."""
    table = pa.table([column.values for column in columns], names=[column.number for column in columns])
    options = pa.csv.WriteOptions(include_header=False, delimiter=delimiter, quoting_style="none")
    for start in range(0, len(table), rows_at_once):
        buffer = io.BytesIO()
        pa.csv.write_csv(table.slice(start, rows_at_once), buffer, options)
        text = buffer.getvalue().rstrip(b"\n").replace(b"\n", b"\r\n")
        yield b"\r\n" + text if start else text


def _csv(columns: Sequence[_Column], renamed: bool, rows_at_once: int) -> Iterator[bytes]:
    names = [f"{comparable(c.question)}_{c.year_text}" if renamed else c.number for c in columns]
    yield (",".join(f'"{name}"' for name in names) + "\r\n").encode()
    yield from _rows(columns, ",", rows_at_once)


def _dct(columns: Sequence[_Column], rows_at_once: int) -> Iterator[bytes]:
    """Yield a Stata dictionary with the data behind it; its own lines end in LF, those of the data in CRLF."""
    lines = ["infile dictionary {"]
    for column in columns:
        year = column.year_text[2:] if column.year_text.startswith("19") else column.year_text
        lines.append(f'  {column.number} "{column.description} {year}"')
    yield ("\n".join([*lines, "}"]) + "\n").encode()
    yield from _rows(columns, " ", rows_at_once)
    yield b"\r\n"


def _sdf(columns: Sequence[_Column]) -> bytes:
    """Return the short description file: four columns, as wide as their longest cell and two spaces."""
    head = ("Number", "Year", "Variable Description", "Question Name")
    rows = [(c.dotted, c.year_text, c.description, c.question) for c in columns]
    widths = [max(len(row[k]) for row in (head, *rows)) + 2 for k in range(4)]
    lines = [
        "".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (head, *rows)
    ]
    return "\n".join(["", "", "Reference", lines[0], "-" * sum(widths), *lines[1:], ""]).encode()


def _cdb(columns: Sequence[_Column]) -> Iterator[bytes]:
    """Yield the blocks of the codebook, dashes between them."""
    for number, column in enumerate(columns):
        counts = {code: int((column.values == code).sum()) for code in (-1, -2, -4, -5)}
        total = len(column.values) - counts[-4] - counts[-5]
        valid = column.values[column.values >= 0]
        low, high, mean = (valid.min(), valid.max(), valid.mean()) if len(valid) else (0, 0, 0.0)
        following = columns[number + 1].dotted if number + 1 < len(columns) else column.dotted
        block = [
            f"{column.dotted}    {f'[{column.question}]':<47}Survey Year: {column.year_text}",
            "  PRIMARY VARIABLE",
            "",
            " ",
            f"             {column.description}",
            " ",
            f"Refusal(-1)     {counts[-1]:>8}",
            f"Don't Know(-2)  {counts[-2]:>8}",
            f"TOTAL =========>{total:>8}   VALID SKIP(-4){counts[-4]:>8}     NON-INTERVIEW(-5){counts[-5]:>8}",
            " ",
            f"Min: {low:>14}        Max: {high:>14}        Mean: {mean:>19.1f}",
            " ",
            "Lead In: None.",
            f"Default Next Question: {following}",
        ]
        yield ("\r\n".join([*(["-" * 80] if number else []), *block]) + "\r\n").encode()
