"""Reading the wanted columns of a .csv or .xlsx file of the PSID's Data Center as whole numbers.

One data file of the PSID, whatever its form: the names of its variables, and their values when asked for.
"""

from __future__ import annotations

import csv
import io
import re
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from labor_llm.errors import InputError
from labor_llm.surveys.psid.layouts import NO_VALUE, Layout, read_fixed_width, read_layout
from labor_llm.surveys.sources import DataFile

_LONGEST_HEADER = 1 << 22
_BLANKS = ("", ".")
_WHOLE_NUMBER = re.compile(r"[+-]?\d{1,10}(\.0*)?")


def read_header(stream: BinaryIO, shown: Path) -> list[str]:
    """Return the names in the first row of a .csv or .xlsx file, in capital letters, '' where there is none.

    Raises:
        InputError: if a .xlsx file is no Excel file, or the first row of a .csv file is none of a table.
    """
    if shown.suffix.lower() == ".xlsx":
        cells = next(_excel_rows(stream.read(), shown), ())
    else:
        line = _first_line(stream.readline(_LONGEST_HEADER))
        text = line.decode("utf-8-sig", errors="replace")
        try:
            cells = next(csv.reader([text], delimiter=_delimiter(line)), [])
        except csv.Error as error:
            raise _no_table(shown) from error
    return ["" if cell is None else str(cell).strip().upper() for cell in cells]


def read_spreadsheet(content: bytes, names: Sequence[str], shown: Path) -> dict[str, np.ndarray]:
    """Return some columns of a .csv or .xlsx file: int32, `NO_VALUE` where blank, one entry a row.

    Args:
        content: the whole file.
        names: names of columns in capital letters, all of them in the header.
        shown: the name by which messages call the file.

    Raises:
        InputError: if a row is cut off, or a cell holds anything but a whole number, such as a value label; names
            file, row (the header is row 1) and variable.
    """
    header = read_header(io.BytesIO(content), shown)
    for name in names:
        if header.count(name) > 1:
            raise InputError(f"{shown}: row 1: column {name} is there twice. Download it again.")
    columns = {name: header.index(name) for name in names}
    if shown.suffix.lower() == ".xlsx":
        return _read_excel(content, columns, shown)
    return _read_csv(content, len(header), columns, shown)


def _read_csv(content: bytes, width: int, columns: dict[str, int], shown: Path) -> dict[str, np.ndarray]:
    # Numbered, for a name may be empty, and is only told from another by its place.
    every = [str(column) for column in range(width)]
    wanted = [str(column) for column in columns.values()]
    # Whole numbers at once; a column that was saved as 1.0, 2.0 needs the second type.
    for kind in (pa.int32(), pa.float64()):
        try:
            table = arrow_csv.read_csv(
                io.BytesIO(content),
                read_options=arrow_csv.ReadOptions(column_names=every, skip_rows=1),
                parse_options=arrow_csv.ParseOptions(delimiter=_delimiter(content)),
                convert_options=arrow_csv.ConvertOptions(
                    include_columns=wanted, column_types=dict.fromkeys(wanted, kind), null_values=_BLANKS
                ),
            )
        except pa.ArrowInvalid:
            continue
        return {name: _whole_numbers(table[str(column)], name, shown) for name, column in columns.items()}
    raise _fault_in_csv(content, width, columns, shown)


def _first_line(content: bytes) -> bytes:
    """Return what stands before the first line end; CR alone is one too."""
    return content.partition(b"\n")[0].partition(b"\r")[0]


def _delimiter(content: bytes) -> str:
    header = _first_line(content)
    return max(",;\t", key=lambda sign: header.count(sign.encode()))


def _whole_numbers(column: pa.ChunkedArray, name: str, shown: Path) -> np.ndarray:
    values = pc.fill_null(column, NO_VALUE).to_numpy()
    if values.dtype != np.int32:
        wrong = (values != np.floor(values)) | (np.abs(values) > -NO_VALUE)
        if wrong.any():
            raise _no_code(shown, int(np.argmax(wrong)) + 2, name)
    return values.astype(np.int32)


def _fault_in_csv(content: bytes, width: int, columns: dict[str, int], shown: Path) -> InputError:
    """Return the error that names the first row that is no row of codes."""
    text = io.StringIO(content.decode("utf-8", errors="replace"), newline="")
    try:
        for number, row in enumerate(csv.reader(text, delimiter=_delimiter(content)), start=1):
            if row and len(row) != width:
                return _cut(shown, number, len(row), width)
            for name, column in columns.items() if number > 1 and row else ():
                if row[column].strip() not in _BLANKS and not _WHOLE_NUMBER.fullmatch(row[column].strip()):
                    return _no_code(shown, number, name)
    except csv.Error:
        pass  # said below
    return _no_table(shown)


def _read_excel(content: bytes, columns: dict[str, int], shown: Path) -> dict[str, np.ndarray]:
    rows = _excel_rows(content, shown)
    next(rows)
    values: list[list[int]] = []
    for number, row in enumerate(rows, start=2):
        if any(cell is not None for cell in row):
            cells = [row[column] if column < len(row) else None for column in columns.values()]
            codes = [_code(cell) for cell in cells]
            if None in codes:
                raise _no_code(shown, number, list(columns)[codes.index(None)])
            values.append(codes)
    numbers = np.array(values, dtype=np.int32).reshape(len(values), len(columns))
    return {name: np.ascontiguousarray(numbers[:, place]) for place, name in enumerate(columns)}


def _code(cell: Any) -> int | None:
    """Return the whole number in a cell of Excel, `NO_VALUE` for a blank, None for anything else."""
    if cell is None:
        return NO_VALUE
    if isinstance(cell, str):
        if cell.strip() in _BLANKS:
            return NO_VALUE
        return int(float(cell)) if _WHOLE_NUMBER.fullmatch(cell.strip()) else None
    whole = isinstance(cell, int | float) and not isinstance(cell, bool) and cell == cell // 1
    return int(cell) if whole and abs(cell) < -NO_VALUE else None


def _excel_rows(content: bytes, shown: Path) -> Iterator[tuple[Any, ...]]:
    # Imported here: only those who have such a file wait for it.
    import openpyxl
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of styles, which are of no matter here
            book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True)
            return book.worksheets[0].iter_rows(values_only=True)
    except (zipfile.BadZipFile, InvalidFileException, KeyError, IndexError) as error:
        raise InputError(
            f"{shown}: it is not readable as an Excel file. Download it again, or order it as .csv."
        ) from error


def _no_table(shown: Path) -> InputError:
    return InputError(
        f"{shown}: it is not readable as a table. Download it again, or take it out of the folder if it is not the "
        "PSID's."
    )


def _cut(shown: Path, row: int, found: int, width: int) -> InputError:
    return InputError(
        f"{shown}: row {row} has {found} columns, its header {width}: the file is cut or edited. Download it again."
    )


def _no_code(shown: Path, row: int, name: str) -> InputError:
    return InputError(
        f"{shown}: row {row}, {name}: not a code but something else, such as a value label. Order the job again with "
        "codes in place of labels, or as fixed-width text (ASCII) with its SAS, SPSS or Stata statements."
    )


class Table:
    """A data file whose variables are known and whose values are read when they are asked for.

    Attributes:
        file: the file and its layout.
        names: names of its variables in capital letters.

    Raises:
        InputError: if the layout or the header cannot be read.
    """

    def __init__(self, file: DataFile) -> None:
        self.file = file
        self._layout: Layout | None = None
        if file.layout is not None:
            with file.layout.open() as stream:
                # Labels may hold letters of any code page; names and columns are ASCII.
                self._layout = read_layout(stream.read().decode("latin-1"), file.layout.shown)
            self.names = frozenset(self._layout.columns)
        else:
            with file.source.open() as stream:
                self.names = frozenset(read_header(stream, file.source.shown))

    def read(self, names: Sequence[str]) -> dict[str, np.ndarray]:
        """Return some of its variables: int32, `NO_VALUE` where blank, one entry a row of the file.

        Raises:
            InputError: if the file is damaged or cut, its layout does not belong to it, or a value is no whole
                number; names the file, the row or line and the variable, never the value.
        """
        with self.file.source.open() as stream:
            if self._layout is not None:
                return read_fixed_width(stream, self._layout, names, self.file.source.shown)
            return read_spreadsheet(stream.read(), names, self.file.source.shown)
