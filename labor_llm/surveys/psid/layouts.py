"""The PSID's fixed-width files: layouts, which say where in a line each variable stands, and the numbers there.

Every data file comes with statements for SAS (.sas), SPSS (.sps) or Stata (.do, .dct) that read it. The three say the
same in different words; `read_layout` understands each by its statement, whatever the file is called.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from labor_llm.errors import InputError
from labor_llm.store.streams import check_rows
from labor_llm.surveys.sources import digits

# The one that is taken first where a file has several layouts.
LAYOUT_ENDINGS = (".sas", ".sps", ".do", ".dct")

_DATA_LIST = re.compile(
    r"^[ \t]*DATA\s+LIST\b(?:'[^']*'|\"[^\"]*\"|[^/'\"]){0,500}/\s*1?(?=\s)", re.IGNORECASE | re.MULTILINE
)
_INFIX = re.compile(
    r"^[ \t]*(?:quietly\s+)?infix\b(?:\s+dictionary\b[^{]{0,500}\{)?", re.IGNORECASE | re.MULTILINE
)
_DICTIONARY = re.compile(r"^[ \t]*(?:infile\s+)?dictionary\b[^{]{0,500}\{", re.IGNORECASE | re.MULTILINE)
_INPUT = re.compile(r"^[ \t]*INPUT\b", re.IGNORECASE | re.MULTILINE)
_ENDS = {
    _DATA_LIST: re.compile(r"\.[ \t]*$", re.MULTILINE),
    _INFIX: re.compile(r"\busing\b|^[ \t]*\}", re.IGNORECASE | re.MULTILINE),
    _DICTIONARY: re.compile(r"^[ \t]*\}", re.MULTILINE),  # a label may hold one too
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
_RECORDS = re.compile(r"^[^\w\n]*(?:Rows|N_OF_OBSERVATIONS)\s*:\s*(\d[\d,]*)", re.IGNORECASE | re.MULTILINE)
_BLOCK_BYTES, _LONGEST_LINE = 8 << 20, 1 << 20
# Columns of a field; no code is as wide.
_WIDEST = 18


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


def read_layout(source: str, shown: Path) -> Layout:
    """Return the layout that statements for SAS, SPSS or Stata describe.

    Args:
        source: the text of the statements, its lines ending in LF.
        shown: the name by which messages call their file.

    Raises:
        InputError: if there is none of the statements `INPUT`, `DATA LIST`, `infix` and `dictionary`, or one that is
            cut off, or columns that are not understood; names file and line.
    """
    text = _without_comments(source)
    for start, end in _ENDS.items():
        if begun := start.search(text):
            ended = end.search(text, begun.end())
            if ended is None:
                raise _refused(shown, text, begun.start(), "begins the list of columns, which never ends")
            columns = _columns(shown, text, begun.end(), ended.start(), in_dictionary=start is _DICTIONARY)
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


def _columns(
    shown: Path, text: str, position: int, end: int, in_dictionary: bool
) -> dict[str, tuple[int, int]]:
    """Return first and last column of each variable that stands between two positions of the text."""
    pattern = _DICTIONARY_COLUMN if in_dictionary else _COLUMNS
    if in_dictionary:
        text = _DICTIONARY_SETTING.sub(lambda found: " " * len(found[0]), text)
    blank = re.compile(r"[\s,]*(?:///[^\n]*)?[\s,]*")
    columns: dict[str, tuple[int, int]] = {}
    while (position := blank.match(text, position, end).end()) < end:
        found = pattern.match(text, position, end)
        if found is None:
            piece = text[position:end].split("\n", 1)[0].strip()[:40]
            raise _refused(shown, text, position, f"{piece!r} is not of the form NAME first - last")
        name, first = found["name"].upper(), int(found["first"])
        last = first + int(found["width"]) - 1 if in_dictionary else int(found["last"] or first)
        if name in columns or not 1 <= first <= last:
            wrong = (
                "is there twice" if name in columns else f"cannot reach from column {first} to column {last}"
            )
            raise _refused(shown, text, found.start("name"), f"{name} {wrong}")
        columns[name] = (first, last)
        position = found.end()
    return columns


def _without_comments(text: str) -> str:
    """Blank out /* comments */, keeping every line where it was."""
    ended = text.rfind("*/") + 2  # beyond, a search from each opening sign would go on to the end
    comment = re.compile(r"/\*.*?\*/", re.DOTALL)
    return comment.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text[:ended]) + text[ended:]


def _number(pattern: re.Pattern[str], text: str) -> int | None:
    found = pattern.search(text)
    return int(next(group for group in found.groups() if group).replace(",", "")) if found else None


def _refused(shown: Path, text: str, position: int, problem: str) -> InputError:
    line = text.count("\n", 0, position) + 1
    return InputError(
        f"{shown}: line {line}: {problem}. Download the file again, or take its layout of another form."
    )


def read_fixed_width(
    stream: io.BufferedReader, layout: Layout, names: Sequence[str], shown: Path
) -> dict[str, np.ndarray]:
    """Return some variables of a fixed-width file: int32, `NO_VALUE` where blank, one entry a line.

    Args:
        stream: the file's bytes, as `SourceFile.open` yields them.
        layout: where its variables stand.
        names: the variables to be read, in capital letters, all of them in the layout.
        shown: the name by which messages call the file.

    Raises:
        InputError: if the layout does not fit the file, the file is cut off, or a field holds anything but a whole
            number; names file, line and variable, never the value.
    """
    held = stream.read(_LONGEST_LINE)
    length = _line_length(held, layout, shown)
    stride = length + 1
    widths = {name: last - first + 1 for name, (first, last) in layout.columns.items() if name in names}
    widest = max(widths, key=widths.__getitem__)
    if widths[widest] > _WIDEST:
        raise InputError(
            f"{shown}: {widest} is {widths[widest]} columns wide by its layout, which no code is. "
            "Download the layout again."
        )
    parts: dict[str, list[np.ndarray]] = {name: [] for name in names}
    lines, more = 0, held
    while more:
        more = stream.read(max(1, _BLOCK_BYTES // stride) * stride)
        held += more
        if not more and len(held) % stride == length:
            held += b"\n"  # the last line has no end of its own
        whole = len(held) // stride
        block = np.frombuffer(held, np.uint8, whole * stride).reshape(whole, stride)
        ends = block == ord("\n")
        # A line that is longer or shorter than the first shifts all that follow.
        if not ends[:, length].all() or np.count_nonzero(ends) != whole:
            odd = ~ends[:, length] | (np.count_nonzero(ends, axis=1) != 1)
            raise InputError(
                f"{shown}: line {lines + int(np.argmax(odd)) + 1} is longer or shorter than the {length} characters of "
                "the lines before: the file was cut or edited. Download it again."
            )
        for name in names:
            parts[name].append(_codes(block, name, lines, layout, shown))
        held = held[whole * stride :]
        lines += whole
    rest = held.strip(b"\n\x1a")  # blank lines and the end-of-file sign of DOS are no records
    if rest:
        raise InputError(
            f"{shown}: cut off: its last line, {lines + 1}, has {len(rest)} characters, the others "
            f"{length}. Download it again."
        )
    # The end-of-file sign may stand in a line of its own.
    check_rows(shown, stream.raw.filled - bool(held.strip(b"\n")), lines)
    if layout.records is not None and layout.records != lines:
        raise InputError(
            f"{shown}: has {lines:,} lines, its layout states {layout.records:,} records: it is cut, or the "
            "layout is that of another release. Download both again."
        )
    return {name: np.concatenate(codes) for name, codes in parts.items()}


def _line_length(held: bytes, layout: Layout, shown: Path) -> int:
    """Return the length of a line without its end, after holding it against the layout."""
    first = held.partition(b"\n")[0]
    if not first.strip():
        raise InputError(f"{shown}: is empty. Download it again.")
    last, length = max(last for _, last in layout.columns.values()), len(first)
    if last <= length and layout.record_length in (None, length):
        return length
    stated = f"states lines of {layout.record_length}"
    problem = f"reaches to column {last}" if layout.record_length in (None, length) else stated
    raise InputError(
        f"{shown}: its layout does not fit: it {problem}, line 1 has {length} characters. Download the file "
        "and its layout again, from the same release."
    )


def _codes(block: np.ndarray, name: str, lines: int, layout: Layout, shown: Path) -> np.ndarray:
    """Return the codes that a variable has in a block of lines, before which there are others."""
    first, last = layout.columns[name]
    cells = np.ascontiguousarray(block[:, first - 1 : last])
    starts = np.arange(0, cells.size + 1, last - first + 1, dtype=np.int32)
    text = pa.StringArray.from_buffers(len(cells), pa.py_buffer(starts), pa.py_buffer(cells))
    text = pc.ascii_trim(text, " ")
    text = pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)
    if (codes := digits(text)) is not None:
        return codes
    row = next(
        row for row, cell in enumerate(text.to_pylist()) if digits(pa.array([cell], pa.string())) is None
    )
    raise InputError(
        f"{shown}: line {lines + row + 1}, {name} (columns {first} to {last}): no whole number stands "
        "there. The layout does not belong to the file, or the file is damaged: download both again."
    )
