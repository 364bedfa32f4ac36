"""What describes the columns of an NLS file: codebooks (.cdb), lists (.sdf), dictionaries (.dct), tagsets, column maps.

The NLS Investigator writes a column by its reference number (R0046400; R00464.00 in codebooks) and leaves it to the
files beside the data to say which question of which survey year that is: CPSOCC70 of 1979. Question names come in two
spellings: Q1-3_A~Y in codebooks, Q1_3_A_Y_1979 in the programs that rename the columns; `comparable` brings both to
one. Files are read line by line, since the codebook of a full cohort has hundreds of megabytes.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from labor_llm.careers.tables import read_text_csv
from labor_llm.errors import InputError
from labor_llm.surveys.sources import SourceFile, some
from labor_llm.surveys.variables import CROSS_ROUND, Variable

# The respondent's number: of CASEID in the NLSY79 and of PUBID in the NLSY97, under the same reference number.
RESPONDENT = "R0000100"
RESPONDENT_QUESTIONS = {"CASEID": "nlsy79", "PUBID": "nlsy97"}
CODEBOOKS, TAGSETS = (".sdf", ".cdb"), {".nlsy79": "nlsy79", ".nlsy97": "nlsy97"}

_REFERENCE = re.compile(r"([A-Z])(\d{5})\.?(\d{2})")
_SDF_LINE = re.compile(r"([A-Z]\d{5}\.\d{2})\s+(\S+)\s+(.*\S)\s*$")
_CDB_HEAD = re.compile(r"([A-Z]\d{5}\.\d{2})\s+\[(.*?)\]\s+Survey Year:\s*(\S+)")
_CDB_COUNTS = re.compile(
    r"TOTAL\s*=+>\s*(\d+)(?:\s+VALID SKIP\(-4\)\s*(\d+))?(?:\s+NON-INTERVIEW\(-5\)\s*(\d+))?"
)
_DCT_LINE = re.compile(r'\s*(?:\w+\s+)?(\S+)\s+"(.*)"')
_NAMED_YEARS = {"XRND": CROSS_ROUND, "78SCRN": 1978}
_MAP_COLUMNS = ["file", "column", "question", "year"]


class Entry(NamedTuple):
    """What a codebook says of a column.

    Attributes:
        question: its name as the codebook writes it; empty where the file has none.
        year: survey year; `CROSS_ROUND` for XRND, 1978 for the screener (78SCRN).
        respondents: how many the codebook counts, -4 and -5 included; 0 where it does not count them.
    """

    question: str
    year: int
    respondents: int = 0


@dataclass(frozen=True)
class MappedColumn:
    """A row of a column map: which question and year a column of a file is; `source` and `row` say where it stands."""

    file: Path
    column: str
    question: str
    year: int
    row: int
    source: Path

    def names(self, path: Path) -> bool:
        """Tell whether this row is about the file: its name or the end of its path."""
        return path.parts[-len(self.file.parts) :] == self.file.parts


def text_lines(stream: BinaryIO) -> Iterator[str]:
    """Yield the lines of a stream, as `SourceFile.open` yields it, without their ends; bytes read as Latin-1."""
    return (line.decode("latin-1").rstrip("\n") for line in stream)


def reference_number(text: str) -> str:
    """Return a reference number as a letter and seven digits (R00464.00 gives R0046400); empty if it is none."""
    match = _REFERENCE.fullmatch(text.strip().upper())
    return "".join(match.groups()) if match else ""


def comparable(question: str) -> str:
    """Return a question name in the form in which all its spellings agree: Q1-3_A~Y and Q1_3_A_Y give Q1_3_A_Y."""
    return re.sub(r"[^A-Z0-9]+", "_", question.upper()).strip("_")


def is_release(question: str) -> bool:
    """Tell whether a question is the one whose name has the release of the data, such as VERSION_R26."""
    return re.fullmatch(r"VERSION_R\d+", comparable(question)) is not None


def survey_year(text: str) -> int | None:
    """Return the year that a codebook or a column's name states; None if the text is no year."""
    text = text.strip().upper()
    if text in _NAMED_YEARS:
        return _NAMED_YEARS[text]
    return int(text) if re.fullmatch(r"(?:19|20)\d{2}", text) else None


def question_and_year(header: str) -> tuple[str, int | None]:
    """Split a renamed column into its comparable question and year: CPSOCC70_1979, KEY_SEX_1997, W1_XRND.

    The year is None where the name ends in none.
    """
    name = comparable(header)
    question, _, last = name.rpartition("_")
    year = survey_year(last)
    return (question, year) if question and year is not None else (name, None)


def parse_sdf(lines: Iterable[str]) -> dict[str, Entry]:
    """Return the variables of a short description file (.sdf) by reference number, in the file's order.

    The widths of its four columns differ from file to file, and a description may run on up to the question
    name or hold two spaces itself; the question is the last word where it stands under its heading.
    """
    entries: dict[str, Entry] = {}
    heading = 0
    for line in lines:
        if match := _SDF_LINE.match(line):
            question = match[3].split(" ")[-1]
            if heading and match.end(3) - len(question) < heading:
                question = ""
            entries[reference_number(match[1])] = Entry(question, survey_year(match[2]) or CROSS_ROUND)
        elif "Question Name" in line:
            heading = line.index("Question Name")
    return entries


def parse_cdb(lines: Iterable[str]) -> dict[str, Entry]:
    """Return the variables of a codebook (.cdb) by reference number, in the file's order."""
    entries: dict[str, Entry] = {}
    number = ""
    for line in lines:
        if line[6:7] == "." and (match := _CDB_HEAD.match(line)):
            number = reference_number(match[1])
            entries[number] = Entry(match[2].strip(), survey_year(match[3]) or CROSS_ROUND)
        elif line.startswith("TOTAL =") and number and (match := _CDB_COUNTS.match(line)):
            counted = sum(int(count or 0) for count in match.groups())
            entries[number] = entries[number]._replace(respondents=counted)
    return entries


def parse_dct(lines: Iterable[str]) -> tuple[list[str], int, bool]:
    """Return the columns of a Stata dictionary (.dct), the number of its lines up to `}`, and whether data follow.

    None do where the dictionary names another file (`using`). The columns are empty if it is no dictionary.
    """
    columns: list[str] = []
    own_data, number = True, 0
    for number, line in enumerate(lines, start=1):
        if number == 1:
            if "dictionary" not in line.lower():
                return [], number, False
            own_data = " using " not in line.lower()
        elif line.strip() == "}":
            return columns, number, own_data
        elif match := _DCT_LINE.match(line):
            columns.append(reference_number(match[1]) or match[1])
    return [], number, False


def parse_tagset(lines: Iterable[str]) -> list[str]:
    """Return the reference numbers of a tagset (.NLSY79, .NLSY97), one a line."""
    return [number for line in lines if (number := reference_number(line))]


def read_codebook(source: SourceFile) -> dict[str, Entry]:
    """Return the variables that any file beside the data describes, by reference number, in the file's order.

    Dictionaries and tagsets name them only; what is no such file has none.
    """
    with source.open() as stream:
        lines = text_lines(stream)
        if source.ending in CODEBOOKS:
            return (parse_sdf if source.ending == ".sdf" else parse_cdb)(lines)
        numbers = parse_dct(lines)[0] if source.ending == ".dct" else parse_tagset(lines)
        return dict.fromkeys(numbers, Entry("", CROSS_ROUND))


def read_column_map(path: Path) -> list[MappedColumn]:
    """Return the rows of a column map, a CSV with the columns file, column, question and year.

    It says what the columns of files are whose headers are no reference numbers, such as

        file,column,question,year
        CPS80_occ_codes.csv,1982,CPSOCC80,1982

    `file` is a file's name or the end of its path; a row with the question CASEID or PUBID marks the column of
    the respondent; an empty year, or XRND, a variable of no single year.

    Raises:
        InputError: as `labor_llm.careers.tables.read_text_csv`, or if a year is none or another cell is empty.
    """
    cells = read_text_csv(path, _MAP_COLUMNS).map(str.strip)
    mapped = []
    for row in cells[(cells != "").any(axis=1)].itertuples():
        number, year = row.Index + 2, survey_year(row.year or "XRND")
        if year is None:
            raise InputError(
                f"{path}, row {number}, column year: not a survey year; write four digits, or XRND for none."
            )
        if not (row.file and row.column and row.question):
            raise InputError(f"{path}, row {number}: file, column or question is empty; fill it in.")
        mapped.append(MappedColumn(Path(row.file), row.column, row.question, year, number, path))
    return mapped


def check_column_map(rows: Iterable[MappedColumn], variables: Sequence[Variable]) -> None:
    """Refuse a row of a column map whose question and year are of no variable that is looked for.

    Raises:
        InputError: naming the row, its question and year, and what is nearest to them.
    """
    years: dict[str, list[str]] = {}
    for variable in variables:
        if variable.question:
            year = "XRND" if variable.of_no_year else str(variable.year)
            years.setdefault(comparable(variable.question), []).append(year)
    for row in rows:
        question = comparable(row.question)
        asked = years.get(question, [])
        if question in RESPONDENT_QUESTIONS or is_release(question) or {"XRND", str(row.year)} & {*asked}:
            continue
        if asked:
            nearest = f"{question} is looked for of {', '.join(dict.fromkeys(asked))}"
        elif near := difflib.get_close_matches(question, years, n=3):
            nearest = f"near it are {some([f'{name} of {some(sorted(set(years[name])))}' for name in near])}"
        else:
            nearest = "`labor-llm variables` lists those that are"
        year = "no year" if row.year == CROSS_ROUND else row.year
        raise InputError(
            f"{row.source}, row {row.row} ({row.file}, column {row.column!r}): {row.question} of {year} is no variable "
            f"that is looked for; {nearest}. Mend question or year, or take the row out."
        )
