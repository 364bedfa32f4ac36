"""Tables that users bring: the forms that say the same, and what is refused lest a value or a row change."""

from __future__ import annotations

import decimal
import gzip
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from labor_llm.careers.tables import read_table
from labor_llm.errors import InputError

TEXT = "id,year,note\n01,1980,x\n02,,y\n"
ROWS = [["01", "1980"], ["02", ""]]


def got(path: Path) -> list[list[str]]:
    return read_table(path, ["id", "year"]).to_numpy().tolist()


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as refused:
        got(path)
    assert "\n" not in str(refused.value)
    return str(refused.value).replace(str(path), path.name)


FORMS = {
    "x.csv": TEXT.encode(),
    "x.CSV": TEXT.replace("\n", "\r\n").encode("utf-8-sig"),
    "mac.csv": TEXT.replace("\n", "\r").encode(),
    "wide.csv": TEXT.encode("utf-16"),
    "quoted.csv": TEXT.replace("01", '"01"').replace("x", '"x, ""y"""').encode(),
    "blank.csv": (TEXT.replace(",year", ", year ") + ",,\n\n").encode(),
    "x.csv.gz": gzip.compress(TEXT.encode()),
    "X.CSV.GZ": gzip.compress(TEXT.encode("utf-16")),
    "gzip.csv": gzip.compress(TEXT.encode()),
}


@pytest.mark.parametrize("name", FORMS)
def test_all_forms_of_a_csv_say_the_same(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(FORMS[name])
    assert got(tmp_path / name) == ROWS


def test_a_zip_is_the_one_file_that_it_holds(tmp_path: Path) -> None:
    members = {
        "ONE.ZIP": ["a/x.csv"],
        "two.zip": ["x.csv", "y.csv"],
        "no.zip": [],
        "x.xlsx": ["[Content_Types].xml", "x"],
    }
    for name, inside in members.items():
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for member in inside:
                archive.writestr(member, TEXT)
    assert got(tmp_path / "ONE.ZIP") == ROWS
    assert refusal(tmp_path / "two.zip").startswith("two.zip: an archive of 2 files, where one CSV is wanted")
    assert refusal(tmp_path / "no.zip").startswith("no.zip: an archive of 0 files")
    assert refusal(tmp_path / "x.xlsx").startswith("x.xlsx: a workbook, where one CSV is wanted. Save the")


EMPTY = ": the file is empty, or its first row. It needs a header line and at least one row."
NO_ROWS = ": a header but no rows. It needs at least one row."
REFUSED = [
    ("", EMPTY),
    ("\n\n", EMPTY),
    ("id,year\n", NO_ROWS),
    ("id,year\n\n\n", NO_ROWS),
    ("code,year\n1,1980\n", ": column 'id' is missing; found code, year."),
    ("id,year,year\n1,1980,1980\n", ": column 'year' stands twice. Give each column its own"),
    (TEXT.replace(",", "\t"), ": column 'id' is missing; found id\tyear\tnote. Row 1 must be the header. Put"),
    ("sep=;\n" + TEXT.replace(",", ";"), ": column 'id' is missing; found sep=;. Row 1 must be the"),
    ("My careers,\n\n" + TEXT, ": column 'id' is missing; found My careers, . Row 1 must be the header."),
    (TEXT + "03,1980", ", row 4: not a regular CSV (2 cells in 1 lines, the header has 3 in"),
    # A comma without quotation marks must not turn the ids into an index and the year into an id.
    (TEXT.replace("x", "x,z").replace("y\n", "y,z\n"), ", row 2: not a regular CSV ("),
    (TEXT.replace("x", "x,").replace(",y\n", ",y,\n"), ", row 2: not a regular CSV ("),
    (TEXT.replace("x", '"x').replace(",y\n", ',y"\n'), ", row 2: not a regular CSV (3 cells in 2 lines, the"),
    (TEXT.replace("x", '"x"y'), ", row 2: not a regular CSV ("),
    (TEXT.replace("x", '"x'), ", row 2: not a regular CSV (unexpected end of data). A quotation mark"),
    (TEXT.encode() + b"Caf\xe9,,\n", ": not UTF-8 text (byte "),
    (TEXT.encode("utf-16") + b"x", ": text in UTF-16 that is cut or damaged. Save it as UTF-8"),
    (TEXT.encode("utf-16-le"), ", row 1: no text, or UTF-16 without its mark. Save the file as"),
    (TEXT.replace("x", "x\0"), ", row 2: no text"),
    (gzip.compress(TEXT.encode(), mtime=0)[:-9], ": the archive is damaged or incomplete"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_a_csv_that_may_lose_a_row_is_refused(tmp_path: Path, text: str | bytes, message: str) -> None:
    (tmp_path / "x.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    assert refusal(tmp_path / "x.csv").startswith(f"x.csv{message}")


def test_a_missing_file_and_a_folder_are_no_file(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.csv", tmp_path):
        assert refusal(path) == f"{path.name}: no such file. Give the path of a CSV file with a header line."


def test_a_header_of_200000_columns_is_refused_at_once(tmp_path: Path) -> None:
    header = ",".join(f"c{place}" for place in range(200_000))
    (tmp_path / "x.csv").write_text(f"{header}\n")
    began = time.process_time()
    assert refusal(tmp_path / "x.csv").startswith("x.csv: 200,000 columns, more than 10,000. Leave out")
    assert time.process_time() - began < 5


WHOLE = [[1980.0, None], pd.array([1980, None], "Int16"), np.float32([1980, np.nan]), ["1980", None], ["1980", ""],
         pd.Categorical(["1980", None]), [decimal.Decimal("1980.00"), None]]  # fmt: skip


@pytest.mark.parametrize("years", WHOLE)
def test_whole_numbers_of_any_type_are_read_from_parquet(tmp_path: Path, years: Any) -> None:
    frame = pd.DataFrame({"id": ["01", "02"], "note": [b"x", b"y"], "year": years})
    frame.set_index("id").to_parquet(tmp_path / "X.PARQUET")
    assert got(tmp_path / "X.PARQUET") == ROWS


@pytest.mark.parametrize(
    ("years", "message"),
    [
        ([1980.5, None], ", row 2, column year: '1980.5' is not whole. Store text or whole numbers"),
        ([None, np.inf], ", row 3, column year: 'inf' is not whole"),
        ([["1980"], None], ", column year: holds list<element: string> values"),
        ([{"a": 1}, None], ", column year: holds struct<a: int64> values"),
        ([b"1980", None], ", column year: holds binary values"),
        ([True, False], ", column year: holds bool values"),
        (pd.to_datetime(["1980-01-01", None]), ", column year: holds timestamp["),
    ],
)
def test_other_types_of_parquet_are_refused(tmp_path: Path, years: Any, message: str) -> None:
    pd.DataFrame({"id": ["01", "02"], "year": years}).to_parquet(tmp_path / "x.parquet")
    assert refusal(tmp_path / "x.parquet").startswith(f"x.parquet{message}")


def test_a_small_parquet_of_countless_rows_is_refused(tmp_path: Path) -> None:
    column = pa.DictionaryArray.from_arrays(pa.array(np.zeros(3_000_000, np.int8)), pa.array(["1980"]))
    pq.write_table(pa.table({"id": column, "year": column}), tmp_path / "x.parquet")
    assert "which no data do" in refusal(tmp_path / "x.parquet")
