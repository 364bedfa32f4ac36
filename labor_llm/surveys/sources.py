"""Survey files as they were downloaded, in folders and zip archives, and the columns of codes in their tables.

A zip archive counts as a folder: its members are read as streams and never unpacked. Of a table, only the wanted
columns are held: the file of a full cohort has 178,014 columns and six gigabytes.
"""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import os
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from labor_llm.errors import InputError
from labor_llm.store.streams import check_rows, damaged, opened, unreadable
from labor_llm.surveys.variables import NO_VALUE

EMPTY_CELLS = ["", "NA", "."]  # as R and Stata write
_WHOLE_NUMBER = r"^[+-]?\d+(\.0*)?([eE]\+?\d+)?$"
# A block must hold a row. Few codes have more than 11 digits, so that 48 bytes a column are several rows.
_BYTES_PER_COLUMN = 48
_SMALLEST_BLOCK = 1 << 22
_ROWS_AT_ONCE = 500
# Among which a header is looked for.
_ROWS_ABOVE = 20


@dataclass(frozen=True)
class SourceFile:
    """A file in a folder, or a member of a zip archive.

    Attributes:
        path: the name by which messages call it: where it is; of a member, the archive's path, then its own name.
        archive: the archive that holds it; None for a plain file.
        member: its name in the archive.
    """

    path: Path
    archive: Path | None = None
    member: str = ""

    @property
    def on_disk(self) -> Path:
        """The file itself, or the archive that holds it."""
        return self.archive or self.path

    @property
    def leads_out(self) -> bool:
        """Tell whether the name of a member is a path from the root or out of the archive (../FAM1981.txt)."""
        name = PureWindowsPath(self.member)  # knows both kinds of slashes
        return bool(name.anchor) or ".." in name.parts

    @property
    def stem(self) -> str:
        """Its name without its ending, and without the `.gz` of a file that gzip packed."""
        return self._unpacked.stem

    @property
    def ending(self) -> str:
        """Its ending in small letters, such as `.csv`."""
        return self._unpacked.suffix.lower()

    @property
    def _unpacked(self) -> Path:
        return self.path.with_suffix("") if self.path.suffix.lower() == ".gz" else self.path

    def open(self) -> contextlib.AbstractContextManager[io.BufferedReader]:
        """Return the content as a stream of bytes, counted as `labor_llm.store.streams` says unless it is no text.

        Raises:
            InputError: if the file or the archive may not be read, cannot be, is damaged, or is no data at all.
        """
        return opened(self.on_disk, self.member, self.path, text=self.ending != ".xlsx")


def files_below(raw: Path) -> list[SourceFile]:
    """Return the files in a folder and all below it, in a zip archive, or in the folder of a data file, by name.

    Archives in a folder are searched too. What a system hides beside the files is left out.

    Raises:
        InputError: if there is no such file or folder, one may not be read, or an archive is damaged.
    """
    try:
        if raw.is_dir():
            return [file for path in sorted(_walk(raw)) if path.is_file() for file in _files_in(path)]
        if raw.is_file():
            beside = [raw] if raw.suffix.lower() == ".zip" else sorted(raw.parent.iterdir())
            plain = [path for path in beside if path == raw or path.suffix.lower() != ".zip"]
            return [file for path in plain if path.is_file() for file in _files_in(path)]
    except OSError as error:
        raise unreadable(Path(error.filename or raw), error) from None
    raise InputError(f"{raw}: no such file or folder. Give the folder, archive or data file of the survey.")


def _walk(folder: Path) -> Iterator[Path]:
    """Yield what lies in all folders that are not hidden; an unreadable one is an error, for it may hold data."""

    def refuse(error: OSError) -> None:
        raise error

    for top, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(top) / name for name in names)


def _files_in(path: Path) -> list[SourceFile]:
    if path.name.startswith("."):
        return []
    if path.suffix.lower() != ".zip":
        return [SourceFile(path)]
    try:
        with zipfile.ZipFile(path) as archive:
            names = sorted(info.filename for info in archive.infolist() if not info.is_dir())
    except zipfile.BadZipFile:
        raise damaged(path) from None
    return [
        SourceFile(path / name.lstrip("/\\"), path, name)
        for name in names
        # macOS adds a shadow __MACOSX/._FAM1981.txt of each file.
        if not any(part.startswith((".", "__MACOSX")) for part in PureWindowsPath(name).parts if part != "..")
    ]


def some(names: Sequence[str], most: int = 8, separator: str = ", ") -> str:
    """Return names for a message, the first few where there are many."""
    shown = separator.join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


class NotATableError(Exception):
    """Text is no regular table: it has no rows (`empty`), or a row with too few or too many cells (`row`)."""

    def __init__(self, row: pa.csv.InvalidRow | None = None, empty: bool = False) -> None:
        super().__init__()
        self.row, self.empty = row, empty


def find_header(
    rows: Iterable[Sequence[Any]], is_name: Callable[[str], object], shown: Path
) -> tuple[int, list[str]]:
    """Return the number and the cells of the first row in which one is the name of a variable; else of the first row.

    Titles may stand above it; a row with more numbers than words may not, for it would be lost.

    Args:
        rows: the cells of each row from the top.
        is_name: tells the name of a variable.
        shown: the name by which messages call the file.
    """
    first: tuple[int, list[str]] = (0, [])
    data = 0
    for number, row in enumerate(itertools.islice(rows, _ROWS_ABOVE), start=1):
        names = ["" if cell is None else str(cell).strip() for cell in row]
        if any(map(is_name, names)):
            if data:
                raise InputError(
                    f"{shown}: row {data} has numbers but stands above the header, row {number}. Put the header first."
                )
            return number, names
        filled = list(filter(None, names))
        numbers = sum(re.match(_WHOLE_NUMBER, name) is not None for name in filled)
        data = data or number * (numbers > max(1, len(filled) // 2))
        if filled and not first[0]:
            first = (number, names)
    return first


def text_header(source: SourceFile, is_name: Callable[[str], object]) -> tuple[list[str], str, int]:
    """Return the header of delimited text, as `find_header` finds it: cells, delimiter, and lines up to and with it.

    A line such as `sep=;` says the delimiter.

    Raises:
        csv.Error: if it is no such text.
    """
    with source.open() as stream:
        lines = [stream.readline() for _ in range(_ROWS_ABOVE)]
    try:
        texts = [line.decode("utf-8").rstrip("\n") for line in lines]
    except UnicodeDecodeError:
        texts = [line.decode("latin-1").rstrip("\n") for line in lines]
    if stated := re.fullmatch(r'"?sep=([,;|\t])"?', texts[0], re.IGNORECASE):
        texts[0] = ""
    signs = [stated[1] if stated else max(",;\t", key=text.count) for text in texts]
    cells = (next(csv.reader([text], delimiter=sign), []) for text, sign in zip(texts, signs, strict=True))
    number, names = find_header(cells, is_name, source.path)
    return names, signs[number - 1], number


def code_columns(
    stream: io.BufferedReader, width: int, wanted: Sequence[int], delimiter: str, skipped_lines: int = 0
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return some columns of delimited text as codes, and where their cells are none.

    Args:
        stream: the text's bytes, of any code page, as `SourceFile.open` yields them.
        width: how many columns it has.
        wanted: positions of the columns.
        delimiter: between the cells; cells may stand in quotes unless it is a space.
        skipped_lines: lines above the data.

    Returns:
        For each column its codes, as `whole_numbers` returns them of all rows, and the rows (from 0) of cells that are
        no whole numbers. A cell is empty also with NA or a point in it, as other programs write.

    Raises:
        NotATableError: if it is no regular table; the library's own message would quote the row.
        InputError: if not every line came as a row.
    """
    invalid: list[pa.csv.InvalidRow] = []

    def remember(row: pa.csv.InvalidRow) -> str:
        invalid.append(row)
        return "error"

    names = [str(position) for position in wanted]
    codes: list[list[np.ndarray]] = [[np.empty(0, np.int32)] for _ in names]
    wrong: list[list[np.ndarray]] = [[np.empty(0, np.intp)] for _ in names]
    rows = 0
    above = sum(bool(stream.readline().rstrip(b"\n")) for _ in range(skipped_lines))
    try:
        batches = pa.csv.open_csv(
            stream,
            read_options=pa.csv.ReadOptions(
                use_threads=False,
                block_size=max(_SMALLEST_BLOCK, _BYTES_PER_COLUMN * width),
                # By position, for a name may be empty or stand twice.
                column_names=[str(position) for position in range(width)],
            ),
            parse_options=pa.csv.ParseOptions(
                delimiter=delimiter,
                quote_char=False if delimiter == " " else '"',
                invalid_row_handler=remember,
            ),
            convert_options=pa.csv.ConvertOptions(
                include_columns=names,
                column_types=dict.fromkeys(names, pa.string()),
                null_values=EMPTY_CELLS,
                strings_can_be_null=True,
                check_utf8=False,
            ),
        )
        for table in _tables(batches):
            for place, name in enumerate(names):
                numbers, none = whole_numbers(table[name])
                codes[place].append(numbers)
                wrong[place].append(rows + np.flatnonzero(none))
            rows += len(table)
    except pa.ArrowInvalid as error:
        raise NotATableError(invalid[0] if invalid else None, "empty" in str(error).lower()) from None
    check_rows(stream.raw.shown, stream.raw.filled - above, rows)
    return [np.concatenate(parts) for parts in codes], [np.concatenate(parts) for parts in wrong]


def _tables(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Put the few rows of each block of a very wide file together, for a column is converted at some cost."""
    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        if sum(map(len, held)) >= _ROWS_AT_ONCE:
            yield pa.Table.from_batches(held)
            held = []
    if held:
        yield pa.Table.from_batches(held)


def whole_numbers(text: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """Return a column of text as int32, `NO_VALUE` where a cell is empty, and which cells are no whole numbers.

    12.0 and 1e3, as other programs write, are whole; blanks around a number, or alone, are nothing. Where there is a
    cell that is no whole number, the array is all `NO_VALUE`.
    """
    if (codes := digits(text)) is not None:
        return codes, np.zeros(len(text), bool)
    text = pc.ascii_trim_whitespace(text)
    text = pc.if_else(pc.is_in(text, pa.array(EMPTY_CELLS)), pa.scalar(None, pa.string()), text)
    whole = pc.fill_null(pc.match_substring_regex(text, _WHOLE_NUMBER), True).to_numpy()
    if whole.all():
        numbers = pc.cast(text, pa.float64()).fill_null(NO_VALUE).to_numpy()
        whole = (numbers >= NO_VALUE) & (numbers < -float(NO_VALUE))
        if whole.all():
            return numbers.astype(np.int32), ~whole
    return np.full(len(text), NO_VALUE, dtype=np.int32), ~whole


def digits(text: pa.ChunkedArray | pa.StringArray) -> np.ndarray | None:
    """Return text as int32, `NO_VALUE` where it is null; None if a cell holds anything but digits and a sign."""
    # A cast would read 0x1 as 1, and the least number stands for no value.
    if pc.any(pc.match_substring_regex(text, "[xX]|2147483648")).as_py():
        return None
    try:
        return pc.cast(text, pa.int32()).fill_null(NO_VALUE).to_numpy()
    except pa.ArrowInvalid:
        return None
