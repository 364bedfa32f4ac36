"""Workbooks of Excel that hold one table: every cell is read, whatever size a sheet states.

Programs that write workbooks state a wrong size, repeat row numbers, or leave formulas without values, and the reader
then passes over what it does not expect. So the filled cells are counted in the XML beforehand, and held against those
that were read.
"""

from __future__ import annotations

import contextlib
import io
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from labor_llm.errors import InputError
from labor_llm.store.streams import check_rows, check_unpacked, whole
from labor_llm.surveys.sources import SourceFile, find_header, whole_numbers

_LARGEST, _MOST_ROWS = 1 << 30, 1 << 20
_REMEDY = "Open it in Excel and save it as .csv, or order it again as .csv or text"


class Workbook:
    """A workbook, of which one sheet is a table with a header.

    Attributes:
        names: the cells of its header.
        header_row: the row in which it stands, counted from 1.
    """

    def __init__(self, source: SourceFile, is_name: Callable[[str], object]) -> None:
        """Find the sheet with a header in which a cell is the name of a variable; else it is the first sheet.

        Raises:
            InputError: if it is no workbook, two sheets have such a header, a formula has no value, or there are
                numbers above the header.
        """
        # Imported here: only those who have such a file wait for it.
        import openpyxl

        self._shown = source.path
        with source.open() as stream:
            content = io.BytesIO(whole(stream, source.path, _LARGEST))
        with self._readable():
            self._cells = self._held(content)
            self._sheets = openpyxl.load_workbook(content, read_only=True, data_only=True).worksheets
            for sheet in self._sheets:
                sheet.reset_dimensions()
            headers = [
                find_header(sheet.iter_rows(values_only=True), is_name, source.path) for sheet in self._sheets
            ]
        named = [place for place, (_, names) in enumerate(headers) if any(map(is_name, names))]
        if len(named) > 1:
            titles = " and ".join(repr(self._sheets[place].title) for place in named[:2])
            raise InputError(
                f"{source.path}: its sheets {titles} are tables both. Save each as a file of its own."
            )
        self._table = named[0] if named else 0
        self.header_row, self.names = headers[self._table] if headers else (0, [])
        if not self.names:
            check_rows(self._shown, self._cells, 0, _REMEDY, what="filled cells")

    def columns(self, positions: Sequence[int]) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Return some columns as codes, without blank rows, and the rows (from 1) of cells that are none.

        Raises:
            InputError: if not every filled cell of the workbook can be read.
        """
        columns: list[list[str | None]] = [[] for _ in positions]
        numbers, cells = [], 0
        with self._readable():
            for sheet in self._sheets:
                for number, row in enumerate(sheet.iter_rows(values_only=True), start=1):
                    filled = sum(cell is not None for cell in row)
                    cells += filled
                    if filled and sheet is self._sheets[self._table] and number > self.header_row:
                        numbers.append(number)
                        for column, place in zip(columns, positions, strict=True):
                            cell = row[place] if place < len(row) else None
                            column.append(None if cell is None else str(cell))
        check_rows(self._shown, self._cells, cells, _REMEDY, what="filled cells")
        read = [whole_numbers(pa.chunked_array([column], pa.string())) for column in columns]
        return [codes for codes, _ in read], [np.array(numbers)[none] for _, none in read]

    def _held(self, content: io.BytesIO) -> int:
        """Return how many cells with a value its sheets have, by their XML alone."""
        from openpyxl.xml.functions import iterparse

        cells, archive = 0, zipfile.ZipFile(content)
        for part in archive.infolist():
            check_unpacked(self._shown, part.compress_size, part.file_size)
            if not part.filename.lower().endswith(".xml"):
                continue
            kind = ""
            with archive.open(part) as stream:
                for event, element in iterparse(stream, events=("start", "end")):
                    name = _name(element)
                    if (kind := kind or name) != "worksheet":
                        break
                    if event == "end" and name == "c":
                        cells += self._has_value(element)
                    elif event == "end" and name == "row":
                        if int(element.get("r") or 0) > _MOST_ROWS:
                            raise InputError(f"{self._shown}: a row number above {_MOST_ROWS:,}. {_REMEDY}.")
                        element.clear()
        return cells

    def _has_value(self, cell: Any) -> bool:
        parts = {_name(part): part.text for part in cell}
        if "f" in parts and "v" not in parts:
            raise InputError(
                f"{self._shown}: cell {cell.get('r')} has a formula whose value is not stored. {_REMEDY}."
            )
        return "is" in parts if cell.get("t") == "inlineStr" else bool(parts.get("v"))

    @contextlib.contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of styles, which are of no matter here
                yield
        except (InputError, MemoryError):
            raise
        except Exception:  # what the reader says of a damaged workbook is of any kind
            raise InputError(
                f"{self._shown}: it is not readable as an Excel file. Download it again, or order it as .csv."
            ) from None


def _name(element: Any) -> str:
    return str(element.tag).rpartition("}")[2]
