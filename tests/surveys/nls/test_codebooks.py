"""What stands beside NLS data: each format in the oddities of genuine files, read to the same variables."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from labor_llm.errors import InputError
from labor_llm.surveys.nls.codebooks import (
    Entry,
    comparable,
    parse_cdb,
    parse_dct,
    parse_sdf,
    parse_tagset,
    question_and_year,
    read_column_map,
    reference_number,
    text_lines,
)

SDF = (
    "\n\nReference\n"
    "Number     Year    Variable Description                       Question Name   \n"
    "------------------------------------------------------------------------------\n"
    "R00001.00  1979    NUMBER OF THE PERSON                       CASEID          \n"
    "R00005.00  1979    YEAR  (TRUNC)  OF SOMETHING                Q1-3_A~Y        \n"
    "R02147.00  78SCRN  WHAT THE SCREENER SAID                     SAMPLE_RACE     \n"
    "R02167.00  1979    A TITLE THAT RUNS ON UP TO THE NAME OF THE QUESTION HGC          \n"
    "W00613.00  XRND    A WEEK                                     STATUS_WK_NUM0001 \n"
    "T00001.00  2006    A VARIABLE WITHOUT QUESTION NAME                           \n"
)
CDB = """R00001.00    [CASEID]                                       Survey Year: 1979
  PRIMARY VARIABLE

 
             NUMBER OF THE PERSON
 
TOTAL =========>      90   VALID SKIP(-4)       0     NON-INTERVIEW(-5)       0
--------------------------------------------------------------------------------
R00005.00    [Q1-3_A~Y]                                     Survey Year: 1979
  PRIMARY VARIABLE

             YEAR OF SOMETHING
 
R00004.00 LEADS HERE [OR NOT]
TOTAL =========>      70   VALID SKIP(-4)      15     NON-INTERVIEW(-5)       5
--------------------------------------------------------------------------------
W00613.00    [STATUS_WK_NUM0001]                            Survey Year: XRND
  COMPUTED VARIABLE

             A WEEK
"""  # noqa: W293


def test_a_short_description_file_is_split_whatever_its_widths() -> None:
    assert parse_sdf(SDF.split("\n")) == {
        "R0000100": Entry("CASEID", 1979),
        "R0000500": Entry("Q1-3_A~Y", 1979),
        "R0214700": Entry("SAMPLE_RACE", 1978),
        "R0216700": Entry("HGC", 1979),
        "W0061300": Entry("STATUS_WK_NUM0001", 0),
        "T0000100": Entry("", 2006),
    }


def test_a_codebook_is_read_whatever_its_encoding() -> None:
    got = parse_cdb(text_lines(io.BytesIO(CDB.replace("A WEEK", "A WEEK, É").encode("latin-1"))))
    assert list(got) == ["R0000100", "R0000500", "W0061300"]
    assert got["R0000100"] == Entry("CASEID", 1979, 90)
    assert got["R0000500"] == Entry("Q1-3_A~Y", 1979, 90)
    assert got["W0061300"][:2] == ("STATUS_WK_NUM0001", 0)


def test_a_dictionary_ends_where_its_data_begin() -> None:
    text = 'infile dictionary {\n  R0000100 "ID# 79"\n  int R0000500 "YEAR 79"\n}\n1 60\n'
    assert parse_dct(text.split("\n")) == (["R0000100", "R0000500"], 4, True)
    apart = text.replace("dictionary {", 'dictionary using "x.dat" {')
    assert parse_dct(apart.split("\n")) == (["R0000100", "R0000500"], 4, False)
    assert parse_dct(["R0000100 R0000500", "1 60"])[0] == []


def test_reference_numbers_are_known_with_and_without_their_dot() -> None:
    headers = ["R0046400", "R00464.00", " r0046400 ", "1982", "R004640", "CPSOCC70_1979", "RR046400"]
    assert [reference_number(header) for header in headers] == ["R0046400"] * 3 + [""] * 4
    assert parse_tagset(["R0214800", "R0000100", "", "x", "T05257.01"]) == [
        "R0214800",
        "R0000100",
        "T0525701",
    ]


@pytest.mark.parametrize(
    ("question", "renamed", "split"),
    [
        ("Q1-3_A~Y", "Q1_3_A_Y_1979", ("Q1_3_A_Y", 1979)),
        ("OCCALL-EMP.01", "OCCALL_EMP_01_2002", ("OCCALL_EMP_01", 2002)),
        ("YEMP_OCCODE-2002.01", "yemp_occode_2002_01_2010", ("YEMP_OCCODE_2002_01", 2010)),
        ("KEY!SEX", "KEY!SEX_1997", ("KEY_SEX", 1997)),
        ("EMP_STATUS_1994.01", "EMP_STATUS_1994_01_XRND", ("EMP_STATUS_1994_01", 0)),
        ("SAMPLE_RACE", "SAMPLE_RACE_78SCRN", ("SAMPLE_RACE", 1978)),
        ("SAMPLE_SEX", "SAMPLE_SEX", ("SAMPLE_SEX", None)),
    ],
)
def test_both_spellings_of_a_question_agree(
    question: str, renamed: str, split: tuple[str, int | None]
) -> None:
    assert (question_and_year(renamed), comparable(question)) == (split, split[0])


def column_map(folder: Path, text: str) -> Path:
    path = folder / "map.csv"
    path.write_text(text, encoding="utf-8-sig")
    return path


def test_a_column_map_names_files_by_the_end_of_their_path(tmp_path: Path) -> None:
    rows = read_column_map(
        column_map(tmp_path, "year,file, column ,question\n1982,b/c.csv,82,CPSOCC80\n,c.csv,id,CASEID\n")
    )
    assert [(row.column, row.question, row.year, row.row) for row in rows] == [
        ("82", "CPSOCC80", 1982, 2), ("id", "CASEID", 0, 3),
    ]  # fmt: skip
    places = [Path("/a/b/c.csv"), Path("/a/c.csv"), Path("/a/bc.csv")]
    named = [[row.names(path) for path in places] for row in rows]
    assert named == [[True, False, False], [True, True, False]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "file,column,question\nc.csv,82,X\n",
            "map.csv: column 'year' is missing; found file, column, question",
        ),
        ("file,column,question,year\nc.csv,82,X,82\n", "map.csv, row 2, column year: not a survey year"),
        ("file,column,question,year\nc.csv,82,,1982\n", "map.csv, row 2: file, column or question is empty"),
        ("file,column,question,year\n" + "x" * 200_000, "map.csv, row 2: not a regular CSV"),
        (None, "map.csv: no such file"),
    ],
)
def test_a_column_map_that_is_none_is_refused(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "map.csv" if text is None else column_map(tmp_path, text)
    with pytest.raises(InputError) as refused:
        read_column_map(path)
    assert str(refused.value).startswith(f"{tmp_path}/{message}")
