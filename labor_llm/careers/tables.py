"""Tables that users bring, every cell as text: a CSV, also packed by gzip or zip, or a parquet file.

Nothing is guessed, dropped or reinterpreted, so that a code such as 0050 keeps its zeros and an empty cell is seen as
empty. That no row is lost on the way is checked by a count of its own.
"""

from __future__ import annotations

import csv
import io
import itertools
import re
import zipfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from labor_llm.errors import InputError
from labor_llm.store.streams import check_rows, check_unpacked, damaged, opened, unreadable

WHOLE_FLOAT = re.compile(r"\A(-?[0-9]+)\.0*\Z")
_MOST_COLUMNS, _SHOWN_COLUMNS = 10_000, 20
# Of a row in memory, at the least.
_BYTES_A_ROW = 64


def read_table(path: Path, required: Sequence[str], beside: Sequence[str] = ()) -> pd.DataFrame:
    """Read a CSV or parquet file (which its ending or its first bytes tell), the required columns of it as text.

    And those `beside` them that the file has.

    Numbers of a parquet file that are whole are written so (1951 where 1951.0 is stored); what is missing is empty.

    Raises:
        InputError: as `read_text_csv`, or if a parquet column holds neither text nor whole numbers.
    """
    path = Path(path)
    if path.is_file() and (path.suffix.lower() == ".parquet" or _start(path) == b"PAR1"):
        return _read_parquet(path, required, beside)
    return read_text_csv(path, required, beside)


def read_text_csv(path: Path, required: Sequence[str], beside: Sequence[str] = ()) -> pd.DataFrame:
    """Read the required columns of a CSV, all if none is; every cell is text. It may be packed, alone in its file.

    And those `beside` them that the file has.

    Raises:
        InputError: if the file is missing, empty, not UTF-8 text (nor UTF-16 with its mark), lacks a required column,
            or has a row with other cells than the header or a line end within a cell.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file. Give the path of a CSV file with a header line.")
    with opened(path, _only_member(path)) as stream:
        content = stream.read()
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: not UTF-8 text (byte {error.start}). Save the file as UTF-8 CSV."
        ) from error
    if "\0" in text:
        row = text.count("\n", 0, text.index("\0")) + 1
        raise InputError(
            f"{path}, row {row}: no text, or UTF-16 without its mark. Save the file as UTF-8 CSV."
        )
    number, rows = 0, csv.reader(io.StringIO(text), strict=True)
    try:
        names = next(rows, [])
        header = [name.strip() for name in names]
        if not any(header):
            raise InputError(
                f"{path}: the file is empty, or its first row. It needs a header line and at least one row."
            )
        check_header(path, header, required)
        cells = _parsed(content)
        # pandas refuses long rows, but fills short ones up and passes over what stands in or beside quotation marks.
        # Without any of these, rows that have as many commas together as they ought to have are all whole.
        commas = (len(header) - 1) * stream.raw.filled
        known = len(cells) and b'"' not in content and content.count(b",") == commas
        for number, row in enumerate(() if known else itertools.chain([names], rows), start=1):
            if row and (len(row) != len(header) or rows.line_num != number):
                raise InputError(
                    f"{path}, row {number}: not a regular CSV ({len(row)} cells in {rows.line_num - number + 1} lines, "
                    f"the header has {len(header)} in one). Take line ends out of cells, and put a cell with a comma "
                    "in quotation marks, all of which must end."
                )
    except csv.Error as error:
        raise InputError(
            f"{path}, row {number + 1}: not a regular CSV ({error}). A quotation mark may be missing or too many."
        ) from error
    check_rows(path, stream.raw.lines, len(cells))
    # A blank line keeps its number, so that messages name the row as an editor does; only the end is trimmed.
    end = np.flatnonzero((cells != "").any(axis=1))[-1] + 1
    if end == 1:
        raise InputError(f"{path}: a header but no rows. It needs at least one row.")
    wanted = [*required, *(name for name in beside if name in header)] if required else header
    return cells[1:end].set_axis(header, axis=1)[wanted].reset_index(drop=True)


def _parsed(content: bytes) -> pd.DataFrame:
    try:
        # The header is read as a row: pandas would shift rows with more cells.
        return pd.read_csv(
            io.BytesIO(content), header=None, dtype=str, na_filter=False, skip_blank_lines=False
        )
    except pd.errors.ParserError:
        return pd.DataFrame()


def check_header(path: Path, names: Sequence[str], required: Sequence[str]) -> None:
    """Refuse a header with a column twice, or without a required one."""
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise InputError(f"{path}: column {twice[0]!r} stands twice. Give each column its own name.")
    if len(names) > _MOST_COLUMNS:
        raise InputError(
            f"{path}: {len(names):,} columns, more than {_MOST_COLUMNS:,}. Leave out what is not used."
        )
    if missing := [column for column in required if column not in set(names)]:
        parted = re.search("[;\t]|^sep=", "".join(names))
        hint = " Put commas between the cells, and no note for Excel above them." if parted else ""
        raise InputError(
            f"{path}: column {missing[0]!r} is missing; found {', '.join(names[:_SHOWN_COLUMNS])}. Row 1 must "
            f"be the header.{hint}"
        )


def _start(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(4)
    except OSError as error:
        raise unreadable(path, error) from None


def _only_member(path: Path) -> str:
    """Return the name of the one file in a zip archive; empty for what is none."""
    if _start(path) not in (b"PK\x03\x04", b"PK\x05\x06"):
        return ""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [info.filename for info in archive.infolist() if not info.is_dir()]
    except zipfile.BadZipFile:
        raise damaged(path) from None
    if len(names) != 1:
        kind = "a workbook" if "[Content_Types].xml" in names else f"an archive of {len(names)} files"
        raise InputError(f"{path}: {kind}, where one CSV is wanted. Save the table as CSV.")
    return names[0]


def _read_parquet(path: Path, required: Sequence[str], beside: Sequence[str]) -> pd.DataFrame:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            rows = file.metadata.num_rows
            check_unpacked(path, path.stat().st_size, rows * _BYTES_A_ROW)
            check_header(path, file.schema_arrow.names, required)
            wanted = [*required, *(name for name in beside if name in file.schema_arrow.names)]
            table = file.read(columns=wanted)
    except InputError:
        raise
    except (ValueError, OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: not readable as parquet ({' '.join(str(error).split())}).") from error
    check_rows(path, rows, table.num_rows)
    return pd.DataFrame({name: _texts(path, name, table[name]) for name in wanted}, dtype=object)


def _texts(path: Path, name: str, column: Any) -> list[str]:
    """Return a column of parquet as text."""
    from pyarrow import types

    kind = column.type.value_type if types.is_dictionary(column.type) else column.type
    fractional = types.is_floating(kind) or types.is_decimal(kind)
    text = types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
    if not (fractional or text or types.is_integer(kind) or types.is_null(kind)):
        raise InputError(f"{path}, column {name}: holds {kind} values. Store text or whole numbers.")
    # A missing number is null or not a number, and only the latter differs from itself.
    texts = ["" if value is None or value != value else str(value) for value in column.to_pylist()]
    if fractional:
        for row, value in enumerate(texts):
            if value and not (whole := WHOLE_FLOAT.fullmatch(value)):
                raise InputError(
                    f"{path}, row {row + 2}, column {name}: {value!r} is not whole. Store text or whole numbers."
                )
            texts[row] = whole[1] if value else ""
    return texts
