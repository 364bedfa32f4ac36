"""Jobs of the PSID as workbooks: whatever size a sheet states, all of it is read, or it is said why it cannot be."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from labor_llm.errors import InputError
from labor_llm.surveys.psid.files import read_psid
from tests.surveys.psid.test_files import EXPECTED, JOB, VARIABLES, table

LINES = [line.split(",") for line in JOB["J123.csv"]]
CELLS = [[int(cell) if re.fullmatch(r"-?\d+", cell) else cell or None for cell in line] for line in LINES]
SHEET = "xl/worksheets/sheet1.xml"


def workbook(folder: Path, *sheets: list[list[object]], mend: Callable[[str], str] = str) -> Path:
    """A workbook of sheets of cells; `mend` changes the XML of the first."""
    path = folder / "J123.XLSX"
    with pd.ExcelWriter(folder / "made.xlsx", engine="openpyxl") as writer:
        for number, cells in enumerate(sheets):
            pd.DataFrame(cells).to_excel(writer, sheet_name=f"s{number}", index=False, header=False)
    with zipfile.ZipFile(folder / "made.xlsx") as made, zipfile.ZipFile(path, "w") as archive:
        for name in made.namelist():
            text = made.read(name).decode()
            archive.writestr(name, mend(text) if name == SHEET else text)
    (folder / "made.xlsx").unlink()
    return folder


def changed(old: str, new: str) -> Callable[[str], str]:
    def mend(text: str) -> str:
        assert re.search(old, text), text[:3000]
        return re.sub(old, new, text, count=1)

    return mend


def stating(size: str) -> Callable[[str], str]:
    return changed(r'<dimension ref="[^"]*"', f'<dimension ref="{size}"')


@pytest.mark.parametrize("size", ["A1", "A1:K2", "A1:C4", "A1:XFD1048576", "B2:C3"])
def test_a_stated_size_is_not_believed(tmp_path: Path, size: str) -> None:
    assert table(read_psid(workbook(tmp_path, CELLS, mend=stating(size)), VARIABLES)) == EXPECTED


@pytest.mark.parametrize(
    "sheets",
    [[[["A job of mine"], [None, "2024"], *CELLS]], [[["notes"]], CELLS], [CELLS, [["labels", "of"], ["ER1", "x"]][:1]],
     [[[cell if cell is not None else "NA" for cell in line] for line in CELLS]],
     [[CELLS[0], [None] * 11, *CELLS[1:]]]],
    ids=["titles", "second sheet", "notes after", "NA", "blank row"],
)  # fmt: skip
def test_titles_notes_and_blanks_are_passed_over(tmp_path: Path, sheets: list[list[list[object]]]) -> None:
    assert table(read_psid(workbook(tmp_path, *sheets), VARIABLES)) == EXPECTED


ROW = r'<row r="3"([^>]*)>'
REFUSED = [
    ([CELLS], changed(ROW, r'<row r="2"\1>'), "it holds 39 filled cells, of which 29 can be read. Open it in Excel"),
    ([CELLS], changed(r'r="J3"', 'r="B3"'), "filled cells, of which"),
    ([CELLS], changed(r'<c r="A3"[^>]*><v>4</v>', '<c r="A3"><f>2+2</f>'), "cell A3 has a formula whose value is not"),
    ([CELLS], changed(ROW, r'<row r="3000000000"\1>'), "a row number above 1,048,576"),
    ([CELLS], changed("</sheetData>", "<"), "it is not readable as an Excel file"),
    ([CELLS], changed("spreadsheetml/2006/main", "strict"), "of which 0 can be read. Open it in Excel and save"),
    ([CELLS, CELLS], str, "its sheets 's0' and 's1' are tables both. Save each as a file of its own"),
    ([[["x"], CELLS[1], *CELLS]], str, "row 2 has numbers but stands above the header, row 3. Put the header first"),
    ([[["x"], CELLS[0], *CELLS[1:3], [5, 2, 0, 20, None, 20, None, None, "Cook", 1]]], str, "row 5, ER21145: not a"),
]  # fmt: skip


@pytest.mark.parametrize(("sheets", "mend", "message"), REFUSED)
def test_what_a_reader_would_pass_over_is_refused(
    tmp_path: Path, sheets: list[list[list[object]]], mend: Callable[[str], str], message: str
) -> None:
    with pytest.raises(InputError) as refused:
        read_psid(workbook(tmp_path, *sheets, mend=mend), VARIABLES)
    assert f"J123.XLSX: {message}" in str(refused.value) or message in str(refused.value)
