"""Values of an extract: what a cell may be, and files that are cut off, changed or hold labels."""

from __future__ import annotations

from pathlib import Path

import pytest

from labor_llm.errors import InputError
from labor_llm.surveys import sources
from labor_llm.surveys.nls.extracts import read_nls
from labor_llm.surveys.variables import RawSurvey, Variable

WANTED = [Variable("sex", 0, "R0214800"), Variable("occ", 1979, "R0046400")]
HEADER = "R0000100,R0000500,R0046400,R0214800"
SDF = """
Number     Year    Variable Description    Question Name
R00001.00  1979    NUMBER                  CASEID
R00005.00  1979    BORN                    Q1-3_A~Y
R00464.00  1979    JOB                     CPSOCC70
R02148.00  1979    SEX                     SAMPLE_SEX
"""


def read(folder: Path, content: str | bytes, name: str = "x.csv") -> RawSurvey:
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_nls(folder, "nlsy79", WANTED)


def refusal(folder: Path, content: str, name: str = "x.csv") -> str:
    with pytest.raises(InputError) as refused:
        read(folder, content, name)
    assert "secret" not in str(refused.value) and refused.value.__cause__ is None
    return str(refused.value).replace(str(folder) + "/", "")


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("last", [True, False])
def test_line_ends_and_marks_change_nothing(tmp_path: Path, end: str, start: bytes, last: bool) -> None:
    text = end.join([f'"{HEADER}"'.replace(",", '","'), "3,60,-4,1", "1,61,914,2"]) + (end if last else "")
    got = read(tmp_path, start + text.encode()).values
    assert got.index.tolist() == [1, 3]
    assert got[("sex", "", 0)].tolist() == [2, 1]
    assert got[("occ", "", 1979)].tolist() == [914, -4]


def test_whole_numbers_of_other_programs_and_empty_cells_are_read(tmp_path: Path) -> None:
    rows = ["1,JOHN,12.0,1", "2,\xe9,1e+02,", '3,,"7",NA', "4,x, -4 ,2.", "5,,,1"]
    got = read(tmp_path, "\n".join([HEADER, *rows]).encode("latin-1")).values
    assert got[("occ", "", 1979)].fillna(-99).tolist() == [12, 100, 7, -4, -99]
    assert got[("sex", "", 0)].fillna(-99).tolist() == [1, -99, -99, 2, 1]


@pytest.mark.parametrize("cell", ["SECRET: secret", "1.5", "1e99", "4294967296", "nan", "1_0", "s\u00e9cret"])
def test_cells_that_are_no_codes_are_counted_by_column_alone(
    tmp_path: Path, cell: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "_ROWS_AT_ONCE", 3)
    monkeypatch.setattr(sources, "_SMALLEST_BLOCK", 300)
    rows = [f"{person},60,{cell if person in (7, 70) else person},1" for person in range(1, 101)]
    message = refusal(tmp_path, "\n".join([HEADER, *rows]))
    assert message.startswith(
        "x.csv, column R0046400: cells that are no whole numbers: 2. Give the codes, not their"
    )
    assert cell not in message and "row" not in message


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["1,60,1,1", "2,60,secret"], "x.csv: a row has 3 cells, but the file has 4 columns; it is cut off"),
        (["1,60,1,1", "2,60,1,1,secret"], "x.csv: a row has 5 cells, but the file has 4 columns"),
        (["1,60,1,1", "x,60,1,1"], "x.csv, column R0000100: cells that are no whole numbers: 1."),
        (["1,60,1,1", ",60,1,1"], "x.csv, column R0000100: rows without a respondent's number: 1;"),
        (["2,60,1,1", "1,60,1,1", "3,6,1,1", "2,6,1,1"],
         "x.csv, column R0000100: rows of a respondent who stands in the file before: 1;"),
        ([], "x.csv: no rows of data"),
    ],
)  # fmt: skip
def test_a_file_that_was_cut_or_changed_is_refused(tmp_path: Path, rows: list[str], message: str) -> None:
    """No message says in which row: in the file of a full cohort, it is the respondent's number and one."""
    refused = refusal(tmp_path, "\n".join([HEADER, *rows]))
    assert refused.startswith(message) and "row 3" not in refused


def test_a_cut_off_row_of_the_space_delimited_form_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.sdf").write_text(SDF)
    assert refusal(tmp_path, "1 60 914 1\r\n2 60 914 1\r\n3 60\r\n", "x.dat").startswith(
        "x.dat: a row has 2 cells, but the file has 4 columns; it is cut off"
    )


def test_a_layout_of_another_extract_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.sdf").write_text(SDF)
    assert refusal(tmp_path, "1 60 914\r\n2 60 914\r\n", "x.dat").startswith(
        "x.dat: a row has 3 cells, but x.sdf names 4 columns; the two are not of the same extract"
    )
    dictionary = 'infile dictionary {\n  R0000100 "ID"\n  R0046400 "JOB"\n}\n1 914 2\r\n'
    (tmp_path / "x.dat").unlink()
    assert refusal(tmp_path, dictionary, "y.dct").startswith(
        "y.dct: a row has 3 cells, but its dictionary names 2"
    )


def test_rows_that_the_codebook_counts_and_the_file_lacks_are_missed(tmp_path: Path) -> None:
    (tmp_path / "x.cdb").write_text(
        "R00001.00    [CASEID]             Survey Year: 1979\n"
        "TOTAL =========>       3   VALID SKIP(-4)       0     NON-INTERVIEW(-5)       0\n"
    )
    rows = ["1,60,1,1", "2,60,1,1", "3,60,1,2"]
    assert len(read(tmp_path, "\n".join([HEADER, *rows])).values) == 3
    message = refusal(tmp_path, "\n".join([HEADER, *rows[:2]]))
    assert message.startswith(
        "x.csv: 2 rows, but the codebook of the same name counts 3 respondents; the file is"
    )
