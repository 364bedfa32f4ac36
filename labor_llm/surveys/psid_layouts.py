"""Layouts of the PSID's fixed-width files: which columns of a line hold which variable.

Every data file of the PSID comes with statements for SAS (.sas), SPSS (.sps) or Stata (.do, .dct) that read it. The
three say the same in different words; `read_layout` understands each by its statement, whatever the
file is called. Packaged files state the number of rows in their header, jobs of the Data Center the number
of observations, and most state the length of a line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from labor_llm.errors import InputError

# Suffixes of the layouts, the one that is taken first where a file has several.
SUFFIXES = (".sas", ".sps", ".do", ".dct")

_DATA_LIST = re.compile(
    r"^[ \t]*DATA\s+LIST\b(?:'[^']*'|\"[^\"]*\"|[^/'\"])*/\s*1?(?=\s)", re.IGNORECASE | re.MULTILINE
)
_INFIX = re.compile(r"^[ \t]*(?:quietly\s+)?infix\b(?:\s+dictionary\b[^{]*\{)?", re.IGNORECASE | re.MULTILINE)
_DICTIONARY = re.compile(r"^[ \t]*(?:infile\s+)?dictionary\b[^{]*\{", re.IGNORECASE | re.MULTILINE)
_INPUT = re.compile(r"^[ \t]*INPUT\b", re.IGNORECASE | re.MULTILINE)
_ENDS = {
    _DATA_LIST: re.compile(r"\.[ \t\r]*$", re.MULTILINE),
    _INFIX: re.compile(r"\busing\b|^\s*\}", re.IGNORECASE | re.MULTILINE),
    _DICTIONARY: re.compile(r"^\s*\}", re.MULTILINE),  # a label may hold one too
    _INPUT: re.compile(r";"),
}

_TYPE = r"(?:(?:byte|int|long|float|double|str\d*)\s+)?"
# NAME 1 - 5, also with a type before or, after it, decimals: (2), (F), (F,2), .2
_COLUMNS = re.compile(
    rf"\s*{_TYPE}(?P<name>[A-Za-z_]\w*)\s+\$?\s*(?P<first>\d+)(?:\s*-\s*(?P<last>\d+))?"
    r"(?:\s*\([^)]*\)|\s+\.\d+)?(?=\s|,|$)",
    re.IGNORECASE,
)
# _column(1) long NAME %4f "label"
_DICTIONARY_COLUMN = re.compile(
    rf"\s*_column\(\s*(?P<first>\d+)\s*\)\s+{_TYPE}(?P<name>[A-Za-z_]\w*)\s+%(?P<width>\d+)"
    r'(?:\.\d+)?[a-z]*(?:\s+"[^"\n]*")?',
    re.IGNORECASE,
)
_DICTIONARY_SETTING = re.compile(r"_(?:lrecl|lines|line|firstlineoffile)\(?[^\s)]*\)?", re.IGNORECASE)
_LINE_LENGTH = re.compile(r"LRECL\s*[=(]\s*(\d+)|MAX_REC_LENGTH\s*:\s*(\d+)", re.IGNORECASE)
_RECORDS = re.compile(r"^\W*(?:Rows|N_OF_OBSERVATIONS)\s*:\s*(\d[\d,]*)", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True)
class Layout:
    """Where the variables of a fixed-width file stand.

    Attributes:
        columns: first and last column of each variable, counted from 1, by its name in capital letters, in the order
            of the layout.
        record_length: length of a line without its end, where the layout states it (LRECL).
        records: number of lines, where the layout's header states it.
    """

    columns: dict[str, tuple[int, int]]
    record_length: int | None = None
    records: int | None = None


def read_layout(source: Path | str, shown: Path | str | None = None) -> Layout:
    """Return the layout that statements for SAS, SPSS or Stata describe.

    Args:
        source: the file, or the text of one.
        shown: the name by which messages call it, if it is not that of the file.

    Raises:
        InputError: if the file cannot be read, holds none of the statements `INPUT`, `DATA LIST`, `infix` and
            `dictionary`, or one that is cut off, or columns that are not understood; names file and line.
    """
    shown = shown or (source if isinstance(source, Path) else "layout")
    if isinstance(source, Path):
        try:
            # Labels may hold letters of any code page; names and columns are ASCII.
            source = source.read_text(encoding="latin-1")
        except OSError as error:
            raise InputError(f"{shown}: cannot be read ({error.strerror}).") from error
    text = _without_comments(source)
    for start, end in _ENDS.items():
        if begun := start.search(text):
            ended = end.search(text, begun.end())
            if ended is None:
                raise _refused(shown, text, begun.start(), "begins the list of columns, which never ends")
            items = _items(shown, text, begun.end(), ended.start(), in_dictionary=start is _DICTIONARY)
            columns = _checked(shown, text, items)
            length = _number(_LINE_LENGTH, source)
            if length is not None and columns and max(last for _, last in columns.values()) > length:
                raise InputError(
                    f"{shown}: its columns reach beyond the line length of {length} that it states. Download it again."
                )
            if columns:
                return Layout(columns, length, _number(_RECORDS, source))
    raise InputError(
        f"{shown}: no layout was found in it (no INPUT of SAS, DATA LIST of SPSS, or infix of Stata with columns). "
        "Take the .sas, .sps or .do file that was downloaded together with the data."
    )


def _items(
    shown: Path | str, text: str, position: int, end: int, in_dictionary: bool
) -> Iterator[tuple[int, str, int, int]]:
    """Yield where it stands, the name, first and last column of each variable between two positions."""
    pattern = _DICTIONARY_COLUMN if in_dictionary else _COLUMNS
    if in_dictionary:
        text = _DICTIONARY_SETTING.sub(lambda found: " " * len(found[0]), text)
    blank = re.compile(r"[\s,]*(?:///[^\n]*)?[\s,]*")
    while (position := blank.match(text, position, end).end()) < end:
        found = pattern.match(text, position, end)
        if found is None:
            piece = text[position:end].split("\n", 1)[0].strip()[:40]
            raise _refused(shown, text, position, f"{piece!r} is not of the form NAME first - last")
        first = int(found["first"])
        last = first + int(found["width"]) - 1 if in_dictionary else int(found["last"] or first)
        yield found.start("name"), found["name"].upper(), first, last
        position = found.end()


def _checked(
    shown: Path | str, text: str, items: Iterator[tuple[int, str, int, int]]
) -> dict[str, tuple[int, int]]:
    columns: dict[str, tuple[int, int]] = {}
    for position, name, first, last in items:
        if not 1 <= first <= last:
            raise _refused(shown, text, position, f"{name} cannot reach from column {first} to column {last}")
        if name in columns:
            raise _refused(shown, text, position, f"{name} is there twice")
        columns[name] = (first, last)
    return columns


def _without_comments(text: str) -> str:
    """Blank out /* comments */, keeping every line where it was."""
    return re.sub(
        r"/\*.*?\*/",
        lambda found: re.sub(r"[^\n]", " ", found[0]),
        text.replace("\r\n", "\n"),
        flags=re.DOTALL,
    )


def _number(pattern: re.Pattern[str], text: str) -> int | None:
    found = pattern.search(text)
    return int(next(group for group in found.groups() if group).replace(",", "")) if found else None


def _refused(shown: Path | str, text: str, position: int, problem: str) -> InputError:
    line = text.count("\n", 0, position) + 1
    return InputError(
        f"{shown}: line {line}: {problem}. Download the file again, or take its layout of another form."
    )
