"""One data file of the PSID, whatever its form: the names of its variables, and their values when asked for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from labor_llm.surveys.psid_fixed_width import read_fixed_width
from labor_llm.surveys.psid_layouts import Layout, read_layout
from labor_llm.surveys.psid_sources import DataFile
from labor_llm.surveys.psid_spreadsheets import read_header, read_spreadsheet


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
