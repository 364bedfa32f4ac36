"""NLS extracts: columns found in every way there is, values read, extracts joined, contradictions refused."""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from labor_llm.errors import InputError
from labor_llm.surveys import sources
from labor_llm.surveys.nls.extracts import read_nls
from labor_llm.surveys.variables import RawSurvey, Variable

BORN = Variable("born", 1979, "R0000500", "Q1-3_A~Y")
JOB79 = Variable("job", 1979, "R0046400", "CPSOCC70")
JOB80 = Variable("job", 1980, "", "CPSOCC70")
SEX = Variable("sex", 0, "", "SAMPLE_SEX")
WEEK = Variable("weekly_status", 7, "", "STATUS_WK_NUM0007")
WANTED = [BORN, JOB79, JOB80, SEX, WEEK]
ROWS = [[3, 60, 914, -4, 1, 4], [1, 61, 1, 2, 2, 101], [2, 62, -4, 230, 1, 5]]
NUMBERS = ["R0000100", "R0000500", "R0046400", "R0263400", "R0214800", "W0061900"]
RENAMED = ["CASEID_1979", "Q1_3_A_Y_1979", "CPSOCC70_1979", "CPSOCC70_1980", "SAMPLE_SEX_1979",
           "STATUS_WK_NUM0007_XRND"]  # fmt: skip
SDF = "".join(
    f"{number}  {year}  TITLE  {question}\n"
    for number, year, question in [
        ("R00001.00", "1979", "CASEID"), ("R00005.00", "1979", "Q1-3_A~Y"), ("R00464.00", "1979", "CPSOCC70"),
        ("R02634.00", "1980", "CPSOCC70"), ("R02148.00", "1979", "SAMPLE_SEX"), ("W00619.00", "XRND", WEEK.question),
    ]
)  # fmt: skip


MAP = ["file", "column", "question", "year"]


def write(folder: Path, files: dict[str, object]) -> Path:
    """Write files; rows of cells become a CSV."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, list):
            content = "\n".join(",".join(map(str, row)) for row in content)
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def refusal(
    folder: Path, wanted: list[Variable] = WANTED, column_map: Path | None = None, cohort: str = "nlsy79"
) -> str:
    with pytest.raises(InputError) as refused:
        read_nls(folder, cohort, wanted, column_map)
    return str(refused.value).replace(str(folder) + "/", "")


def check(got: RawSurvey) -> None:
    assert got.missing == ()
    assert got.values.columns.tolist() == [variable.key for variable in WANTED]
    assert got.values.columns.names == ["concept", "role", "year"]
    assert (got.values.index.name, str(got.values.index.dtype)) == ("person", "int64")
    assert set(got.values.dtypes.astype(str)) == {"Int32"}
    assert [
        [person, *row] for person, row in zip(got.values.index, got.values.to_numpy(), strict=True)
    ] == sorted(ROWS)


def test_columns_are_found_by_number_and_by_the_codebook_of_the_same_name(tmp_path: Path) -> None:
    files = {"x.csv": [NUMBERS, *ROWS], "x.sdf": SDF, "notes.pdf": "", "other.csv": "a,b\n1,2\n"}
    raw = write(tmp_path, files)
    got = read_nls(raw, "nlsy79", WANTED)
    check(got)
    assert got.read == (raw / "x.csv", raw / "x.sdf")
    assert got.skipped == (raw / "notes.pdf", raw / "other.csv")
    assert set(got.found.values()) == {raw / "x.csv"}


def test_a_codebook_of_another_name_describes_the_columns_it_holds(tmp_path: Path) -> None:
    foreign = "R00001.00  1979  N  CASEID\nR02634.00  1980  N  OTHER\nR99999.00  1980  N  CPSOCC70\n"
    raw = write(tmp_path, {"x-8.csv": [NUMBERS, *ROWS], "x.sdf": SDF, "a.sdf": foreign})
    check(read_nls(raw / "x-8.csv", "nlsy79", WANTED))


@pytest.mark.parametrize("change", [str.upper, str.lower, lambda name: name.replace("Q1_3_A_Y", "Q1-3_A~Y")])
def test_renamed_columns_are_found_by_question_and_year(tmp_path: Path, change: object) -> None:
    check(read_nls(write(tmp_path, {"x.csv": [map(change, RENAMED), *ROWS]}), "nlsy79", WANTED))


def test_a_column_map_says_what_columns_are(tmp_path: Path) -> None:
    header = ["id", "born", "79", "80", "sex", "week"]
    rows = [
        MAP, ["x.csv", "id", "CASEID", ""], ["raw/x.csv", "79", "CPSOCC70", 1979],
        ["x.csv", "80", "cpsocc70", 1980], ["x.csv", "born", "Q1-3_A~Y", 1979], ["x.csv", "sex", "SAMPLE_SEX", "XRND"],
        ["x.csv", "week", WEEK.question, "XRND"],
    ]  # fmt: skip
    raw = write(tmp_path, {"raw/x.csv": [header, *ROWS], "raw/map.csv": rows}) / "raw"
    check(read_nls(raw, "nlsy79", WANTED, raw / "map.csv"))
    for wrong, message in (
        ([MAP, *rows[2:]], "column of respondents"),
        ([*rows, ["x.csv", "81", "CPSOCC70", 1980]],
         "x.csv: no column '81', which row 8 of the column map names; mend the map. The names of"),
        ([*rows, ["y.csv", "81", "CPSOCC70", 1980]], "row 8, column file: y.csv is no extract below"),
        ([*rows, ["raw/x.csv", "79", "CPSOCC70", 1980]],
         "row 8: column '79' of x.csv stands in row 3 too; a column is one question of one year, so leave one row."),
    ):  # fmt: skip
        assert message in refusal(raw, column_map=write(tmp_path, {"m.csv": wrong}) / "m.csv")


def test_a_column_map_goes_before_numbers_and_codebooks(tmp_path: Path) -> None:
    """R0263400 is JOB80's column by number, but the map says that it is the one called R0046400."""
    numbered = replace(JOB80, name="R0263400")
    rows = [MAP, ["x.csv", "R0046400", "CPSOCC70", 1980]]
    raw = write(tmp_path, {"x.csv": [NUMBERS, *ROWS], "x.sdf": SDF, "map.csv": rows})
    assert read_nls(raw, "nlsy79", [numbered]).get("job", 1980).tolist() == [2, 230, -4]
    got = read_nls(raw, "nlsy79", [JOB79, numbered], raw / "map.csv")
    assert got.get("job", 1980).tolist() == [1, -4, 914]
    assert (got.missing, got.unnamed) == ((JOB79,), ())
    # The column was the year of birth by the codebook.
    write(raw, {"map.csv": [MAP, ["x.csv", "R0000500", "CPSOCC70", 1980]]})
    unnumbered = replace(BORN, name="")
    got = read_nls(raw, "nlsy79", [unnumbered, JOB80], raw / "map.csv")
    assert got.get("job", 1980).tolist() == [61, 62, 60]
    assert got.missing == (unnumbered,)


def test_a_column_map_may_name_the_release_and_the_respondents(tmp_path: Path) -> None:
    files = {"x.csv": "R0000100,id,R0000500\n900,2,60\n901,1,61\n", "y.csv": "n,v,R0046400\n1,458,6\n"}
    rows = [["x.csv", "id", "CASEID", ""], ["y.csv", "n", "CASEID", ""], ["y.csv", "v", "VERSION_R26", 2014]]
    raw = write(tmp_path, files | {"map.csv": [MAP, *rows]})
    got = read_nls(raw, "nlsy79", [BORN, JOB79], raw / "map.csv")
    assert got.get("born", 1979).tolist() == [61, 60]
    assert got.get("job", 1979).fillna(0).tolist() == [6, 0]


@pytest.mark.parametrize(
    ("question", "year", "message"),
    [
        ("CPSOC70", 1979, "CPSOC70 of 1979 is no variable that is looked for; near it are CPSOCC70 of 1979, 1980"),
        ("CPSOCC70", 1995, "CPSOCC70 of 1995 is no variable that is looked for; CPSOCC70 is looked for of 1979, 1980"),
        ("CPSOCC70", 2099, "CPSOCC70 of 2099 is no"),
        ("CPSOCC70", "", "CPSOCC70 of no year is no"),
        ("XXXXXXX", 1979, "XXXXXXX of 1979 is no variable that is looked for; `labor-llm variables` lists"),
    ],
)  # fmt: skip
def test_a_row_of_a_column_map_that_no_variable_answers_to_is_refused(
    tmp_path: Path, question: str, year: object, message: str
) -> None:
    rows = [MAP, ["x.csv", "79", "CPSOCC70", 1979], ["x.csv", "80", question, year]]
    raw = write(tmp_path, {"x.csv": "R0000100,79,80\n1,5,6\n", "map.csv": rows})
    refused = refusal(raw, column_map=raw / "map.csv")
    assert refused.startswith("map.csv, row 3 (x.csv, column '80'): ")
    assert message in refused


def test_a_file_of_respondents_whose_columns_have_no_known_name_is_told_apart(tmp_path: Path) -> None:
    files = {"a.csv": [NUMBERS, *ROWS], "b.csv": "R0000100,1979\n1,5\n", "c.csv": "x,y\n1,2\n",
             "d.csv": "R0000100,T0000100\n1,5\n"}  # fmt: skip
    got = read_nls(write(tmp_path, files), "nlsy79", WANTED)
    assert got.unnamed == (tmp_path / "b.csv",)
    assert got.skipped == tuple(tmp_path / name for name in ("b.csv", "c.csv", "d.csv"))
    (tmp_path / "a.csv").unlink()
    unnamed = "b.csv (no wanted variable under its name; say in a column map what columns such as '1979' are)"
    assert unnamed in refusal(tmp_path)


@pytest.mark.parametrize(
    "content",
    ["R,R0000500\n1,60\n".encode("utf-16"), "R0000100,R0000500\n1,6\n".encode("utf-16-le"), bytes(range(256)) * 40,
     b"x" * 200_000 + b",R0000100\n1,2\n", b"R0000100,R0\x00000500\n", b'"R0000100\n\n\n1,2\n'],
    ids=["no respondent", "UTF-16 without mark", "binary", "field over 131,072", "NUL", "open quote"],
)  # fmt: skip
def test_a_csv_that_is_none_is_skipped_and_refused_alone(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "b.csv").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.writestr("c.csv", content)
    assert "b.csv (" in refusal(tmp_path)
    got = read_nls(write(tmp_path, {"a.csv": [NUMBERS, *ROWS]}), "nlsy79", WANTED)
    assert got.get("born", 1979).tolist() == [61, 62, 60]
    assert got.skipped == (tmp_path / "b.csv", tmp_path / "z.zip" / "c.csv")


@pytest.mark.parametrize(
    ("name", "change"),
    [("x.csv.gz", lambda text: gzip.compress(text.encode("utf-16"))),
     ("x.csv", lambda text: ("sep=;\n" + text.replace(",", ";")).encode()),
     ("x.csv", lambda text: ("An extract, mine\n\n" + text.lower()).encode("utf-8-sig"))],
    ids=["gzip", "sep", "title"],
)  # fmt: skip
def test_a_csv_is_read_in_every_form_that_programs_give_it(
    tmp_path: Path, name: str, change: Callable[[str], bytes]
) -> None:
    write(tmp_path, {"x.csv": [NUMBERS, *ROWS], "x.sdf": SDF})
    content = (tmp_path / "x.csv").read_text()
    (tmp_path / "x.csv").unlink()
    (tmp_path / name).write_bytes(change(content))
    check(read_nls(tmp_path, "nlsy79", WANTED))
    (tmp_path / f"{name.removesuffix('.gz')}.gz").write_bytes(gzip.compress(content.encode()))
    (tmp_path / name.removesuffix(".gz")).write_text(content)
    assert "are one file twice; take one of them away" in refusal(tmp_path)


def test_the_csv_is_preferred_to_the_other_forms_of_an_extract(tmp_path: Path) -> None:
    dat = "\r\n".join(" ".join(map(str, row)) for row in ROWS)
    names = "".join(f'  {number} "TITLE 79"\n' for number in NUMBERS)
    dct = f"infile dictionary {{\n{names}}}\n{dat}\r\n"
    raw = write(tmp_path, {"x.csv": [NUMBERS, *ROWS], "x.dat": dat, "x.dct": dct, "x.sdf": SDF})
    for form in ("csv", "dat", "dct"):
        got = read_nls(raw, "nlsy79", WANTED)
        check(got)
        assert got.read[0] == raw / f"x.{form}" and raw / "x.sdf" in got.read
        (raw / f"x.{form}").unlink()
    none = f"{raw}: none of the 5 wanted variables of the NLSY79, such as R0000500 Q1-3_A~Y"
    assert refusal(raw).startswith(none)


def test_extracts_of_one_release_are_joined_by_respondent(tmp_path: Path) -> None:
    raw = write(tmp_path, {
        "a.csv": "A0002600,R0000100,R0000500\n458,2,60\n-5,1,61\n",
        "b/b.csv": "R0046400,R0000100,R0000500,A0002600\n7,3,62,458\n8,2,60,458\n-5,9,,-5\n",
    })  # fmt: skip
    got = read_nls(raw, "nlsy79", WANTED)
    assert got.values.index.tolist() == [1, 2, 3, 9]
    assert got.get("born", 1979).fillna(-99).tolist() == [61, 60, 62, -99]
    assert got.get("job", 1979).fillna(-99).tolist() == [-99, 8, 7, -5]
    assert got.found == {BORN.key: raw / "a.csv", JOB79.key: raw / "b/b.csv"}
    assert got.missing == (JOB80, SEX, WEEK)
    assert got.years("job") == [1979]


def test_a_cross_round_column_is_preferred(tmp_path: Path) -> None:
    header = "CASEID_1979,SAMPLE_SEX_1979,SAMPLE_SEX_1980,SAMPLE_SEX_XRND"
    raw = write(tmp_path, {"x.csv": f"{header}\n1,1,2,3\n"})
    assert read_nls(raw, "nlsy79", [SEX]).get("sex").tolist() == [3]


def test_a_file_without_anything_wanted_is_listed_with_the_reason(tmp_path: Path) -> None:
    files = {"a.csv": "R0000100,T0000100\n1,1\n", "b.csv": "x,y\n1,1\n", "c.dat": "1 1\n", "d.csv": ""}
    message = refusal(write(tmp_path, files))
    for part in ("a.csv (none of the wanted variables by number; no .sdf or .cdb beside it says what its other columns",
                 "b.csv (no column R0000100 (CASEID or PUBID))", "d.csv (no h",
                 "c.dat (no .sdf, .cdb, .dct or tagset of the same name", "labor-llm variables nlsy79",
                 "each file with its codebook (.sdf or .cdb)"):  # fmt: skip
        assert part in message


HEADER = "R0000100,R0000500,R0046400,R0214800"
CODES = [Variable("sex", 0, "R0214800"), JOB79]
LAYOUT = "".join(f"{number}  1979  X  {question}\n" for number, question in [
    ("R00001.00", "CASEID"), ("R00005.00", "Q1-3_A~Y"), ("R00464.00", "CPSOCC70"), ("R02148.00", "SAMPLE_SEX"),
])  # fmt: skip


def test_whole_numbers_of_other_programs_and_empty_cells_are_read(tmp_path: Path) -> None:
    rows = ["1,JOHN,12.0,1", "2,\xe9,1e+02,", '3,,"7",NA', "4,x, -4 ,2.", "5,,,1"]
    raw = write(tmp_path, {"x.csv": "\n".join([HEADER, *rows]).encode("latin-1")})
    got = read_nls(raw, "nlsy79", CODES).values.fillna(-99)
    assert got.to_numpy().T.tolist() == [[1, -99, -99, 2, 1], [12, 100, 7, -4, -99]]


@pytest.mark.parametrize(
    "cell", ["SECRET: secret", "1.5", "1e99", "4294967296", "nan", "1_0", "0x1", "s\u00e9cret"]
)
def test_cells_that_are_no_codes_are_counted_by_column_alone(
    tmp_path: Path, cell: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "_ROWS_AT_ONCE", 3)
    monkeypatch.setattr(sources, "_SMALLEST_BLOCK", 300)
    rows = [f"{person},60,{cell if person in (7, 70) else person},1" for person in range(1, 101)]
    message = refusal(write(tmp_path, {"x.csv": "\n".join([HEADER, *rows])}), CODES)
    counted = "x.csv, column R0046400: cells that are no whole numbers: 2. Give the codes, not their"
    assert message.startswith(counted) and cell not in message and "row" not in message


COUNTED = (
    "R00001.00    [CASEID]             Survey Year: 1979\n"
    "TOTAL =========>       3   VALID SKIP(-4)       0     NON-INTERVIEW(-5)       0\n"
)


def test_a_codebook_counts_the_rows(tmp_path: Path) -> None:
    rows = [HEADER.split(","), [1, 60, 1, 1], [2, 60, 1, 1], [3, 60, 1, 2]]
    raw = write(tmp_path, {"x.csv": rows, "x.cdb": COUNTED})
    assert len(read_nls(raw, "nlsy79", CODES).values) == 3


CUT = "the file has 4 columns; it is cut off"
DCT = 'infile dictionary {\n  R0000100 "ID"\n  R0046400 "JOB"\n}\n1 914 2\r\n'


def table(*rows: str) -> dict[str, object]:
    return {"x.csv": "\r\n".join([HEADER, *rows])}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (table("1,60,1,1", "2,60,secret"), f"x.csv: a row has 3 cells, but {CUT}"),
        (table("1,60,1,1", "2,60,1,1,secret"), "x.csv: a row has 5 cells, but the file has 4 columns"),
        (table("1,60,1,1", "x,60,1,1"), "x.csv, column R0000100: cells that are no whole numbers: 1."),
        (table("1,60,1,1", ",60,1,1"), "x.csv, column R0000100: rows without a respondent's number: 1;"),
        (table("2,60,1,1", "1,60,1,1", "3,6,1,1", "2,6,1,1"),
         "x.csv, column R0000100: rows of a respondent who stands in the file before: 1;"),
        (table(), "x.csv: no rows of data"),
        ({"x.dat": "1 60 914 1\n2 60 914 1\n3 60", "x.sdf": LAYOUT}, f"x.dat: a row has 2 cells, but {CUT}"),
        ({"x.dat": "1 60 914\n2 60 914", "x.sdf": LAYOUT},
         "x.dat: a row has 3 cells, but x.sdf names 4 columns; the two are not of the same extract"),
        ({"y.dct": DCT}, "y.dct: a row has 3 cells, but its dictionary names 2"),
        (table("1,60,1,1", "2,60,1,1") | {"x.cdb": COUNTED},
         "x.csv: 2 rows, but the codebook of the same name counts 3 respondents; the file is"),
        ({"x.csv": "R0000100,R0000500,R00005.00\n1,1,1\n"}, "x.csv, column 3: R0000500 stands in two columns"),
        ({"x.csv": "CASEID_1979,SAMPLE_SEX_1979,SAMPLE_SEX_1980\n1,1,2\n"},
         "x.csv: SAMPLE_SEX could be any of the columns SAMPLE_SEX_1979, SAMPLE_SEX_1980"),
        ({"a.csv": "R0000100,R0000500\n1,60\n2,61\n3,62\n5,1\n", "b.csv": "R0000100,R0000500\n3,60\n2,61\n1,62\n4,1\n"},
         "R0000500 Q1-3_A~Y (1979) differs between a.csv and b.csv for 2 of the 3 respondents that both have; "),
        ({"a.csv": "A0002600,R0000100,R0000500\n458,1,60\n-5,2,61\n", "b.csv": "A0002600,R0000100,R0046400\n460,1,1\n"},
         "a.csv and b.csv are two extracts of different releases. Download"),
        ({"a.csv": "VERSION_R26_2014,CASEID_1979,R0000500\n1,1,60\n",
          "b.csv": "VERSION_R28_2018,CASEID_1979,R0046400\n1,1,1\n"},
         "a.csv and b.csv are two extracts of different releases (VERSION_R26 and VERSION_R28). Download"),
    ],
)  # fmt: skip
def test_a_file_that_was_cut_or_changed_or_contradicts_another_is_refused(
    tmp_path: Path, files: dict[str, object], message: str
) -> None:
    """No message says in which row: in the file of a full cohort, it is the respondent's number and one."""
    refused = refusal(write(tmp_path, files), WANTED)
    assert refused.startswith(message)
    assert "row 3" not in refused and "secret" not in refused


# The two cohorts share R0000100: files of one given as the other are refused, whatever the evidence.
SEXES = {
    "nlsy79": [Variable("sex", 0, "R0214800", "SAMPLE_SEX")],
    "nlsy97": [Variable("sex", 0, "R0536300", "KEY!SEX")],
}
OTHER = {"nlsy79": "nlsy97", "nlsy97": "nlsy79"}
BOTH = "R0000100,R0214800,R0536300\n"
DESCRIBED = "R00001.00  1997  NUMBER  {}\nR02148.00  1997  X  SOMETHING\nR05363.00  1997  SEX  KEY!SEX\n"


@pytest.mark.parametrize(("question", "cohort"), [("CASEID", "nlsy79"), ("PUBID", "nlsy97")])
@pytest.mark.parametrize("name", ["x.sdf", "y.sdf"])
def test_the_question_of_the_respondents_number_decides(
    tmp_path: Path, question: str, cohort: str, name: str
) -> None:
    raw = write(tmp_path, {"x.csv": f"{BOTH}1,1,2\n2,2,2\n", name: DESCRIBED.format(question)})
    assert read_nls(raw, cohort, SEXES[cohort]).get("sex").notna().all()
    other = OTHER[cohort]
    assert refusal(raw, SEXES[other], cohort=other) == (
        f"x.csv: an extract of the {cohort.upper()}, not of the {other.upper()} ({name} calls R0000100 {question}). "
        f"Give {other.upper()} files, or convert it as {cohort}; keep the cohorts in folders of their own."
    )


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"x.csv": f"{BOTH}1,1,2\n", "x.NLSY97": "R0000100\nR0214800\nR0536300\n"}, "the tagset of the same name"),
        ({"x.csv": "PUBID_1997,KEY_SEX_1997\n1,1\n"}, "its column of respondents is PUBID"),
        # KEY!SEX, KEY!RACE_ETHNICITY and CV_SAMPLE_TYPE are variables of the NLSY97.
        ({"x.csv": "R0000100,R0536300,R1482600,R1235800\n1,1,1,1\n"}, "it has 3 variables of that cohort and none"),
    ],
)  # fmt: skip
def test_tagsets_names_and_variables_of_the_other_cohort_decide(
    tmp_path: Path, files: dict[str, object], reason: str
) -> None:
    raw = write(tmp_path, files)
    assert read_nls(raw, "nlsy97", SEXES["nlsy97"]).get("sex").notna().all()
    assert f"an extract of the NLSY97, not of the NLSY79 ({reason}" in refusal(raw, SEXES["nlsy79"])


@pytest.mark.parametrize("header", [BOTH.replace("R0536300", "R0618500"), "R0000100,SAMPLE_SEX_1979,R7\n"])
def test_a_codebook_of_another_extract_in_the_folder_is_no_evidence(tmp_path: Path, header: str) -> None:
    raw = write(tmp_path, {"x.csv": f"{header}1,1,2\n2,2,2\n", "y.sdf": DESCRIBED.format("PUBID")})
    got = read_nls(raw, "nlsy79", SEXES["nlsy79"])
    assert got.get("sex").tolist() == [1, 2]


@pytest.mark.parametrize(("cohort", "size", "last"), [("nlsy79", 12_686, 12_686), ("nlsy97", 8_984, 9_022)])
def test_the_numbers_of_the_respondents_decide_where_nothing_else_does(
    tmp_path: Path, cohort: str, size: int, last: int
) -> None:
    rows = "".join(f"{person},1,1\n" for person in (*range(1, size), last))
    raw = write(tmp_path, {"x.csv": BOTH + rows})
    assert len(read_nls(raw, cohort, SEXES[cohort]).values) == size
    other = OTHER[cohort]
    refused = refusal(raw, SEXES[other], cohort=other)
    assert f"not of the {other.upper()} (it has the {size:,} respondents of that" in refused
    write(raw, {"x.csv": f"{BOTH}1,1,1\n{last + 1},1,1\n20000,1,1\n"})
    refused = refusal(raw, SEXES[cohort], cohort=cohort)
    above = f"x.csv, column R0000100: 2 of 3 respondents have a number above {last:,}, the highest"
    assert refused.startswith(above) and "20000" not in refused and str(last + 1) not in refused


# Variables of a year that disagree on who was not interviewed are of different years.
JOBS = {year: Variable("job", year, "", "CPSOCC80") for year in (1982, 1983)}
SCHOOL = {year: Variable("school", year, f"R000{year}", "HGC") for year in (1982, 1983)}
# Those who were not interviewed may have an answer to these.
OF_NO_ROUND = [
    Variable("reason_noninterview", 1982, "R0009999"), Variable("weekly_status", 1982, "W0001982"),
    Variable("birth_year", 1982, "R0000500"), SEXES["nlsy79"][0],
]  # fmt: skip
ASKED = [*JOBS.values(), *SCHOOL.values(), *OF_NO_ROUND]


def write_apart(folder: Path, years: tuple[int, int], people: int = 200, first: int = 1) -> Path:
    """Write an extract without the jobs, the jobs as a file of columns a (1982) and b (1983), and a map of them.

    Respondents 1 to 4 were not interviewed in 1982, 5 to 10 not in 1983.
    """
    person = np.arange(1, people + 1)
    absent = {1982: person <= 4, 1983: (person > 4) & (person <= 10)}
    answers = {f"R000{year}": np.where(absent[year], -5, 12) for year in absent}
    answers |= {"R0009999": np.where(absent[1982], 65, -4), "W0001982": np.where(person < 100, -5, 3)}
    numbered = pd.DataFrame(answers | {"R0000500": 60, "R0214800": 1}, pd.Index(person, name="R0000100"))
    jobs = numbered[["R0001982", "R0001983"]].set_axis(["a", "b"], axis=1)
    rows = [["job.csv", column, "CPSOCC80", year] for column, year in zip("ab", years, strict=True)]
    return write(folder, {
        "x.csv": numbered.loc[first:].to_csv(), "job.csv": jobs.to_csv(), "map.csv": [MAP, *rows],
    })  # fmt: skip


@pytest.mark.parametrize("first", [1, 21], ids=["same respondents", "others in one file alone"])
def test_variables_that_agree_are_read_and_others_are_not_compared(tmp_path: Path, first: int) -> None:
    got = read_nls(write_apart(tmp_path, (1982, 1983), first=first), "nlsy79", ASKED, tmp_path / "map.csv")
    assert got.missing == () and len(got.values) == 200
    assert got.get("job", 1983).eq(-5).sum() == 6


def test_years_that_differ_in_more_than_one_of_a_hundred_are_refused(tmp_path: Path) -> None:
    raw = write_apart(tmp_path, (1983, 1982))
    assert refusal(raw, ASKED, raw / "map.csv") == (
        "1982: CPSOCC80 (1982) in job.csv, column 'b' by row 3 of map.csv and R0001982 HGC (1982) in x.csv disagree on "
        "who was interviewed (code -5) for 10 of the 200 respondents that both have, so one of them is of another "
        "year. Mend the years in map.csv, or download the files anew, with codes as the NLS Investigator gives them."
    )
    write_apart(tmp_path, (1983, 1982), people=1_000)
    assert read_nls(raw, "nlsy79", ASKED, raw / "map.csv").missing == ()
    write_apart(tmp_path, (1983, 1982), people=999)
    assert "for 10 of the 999 respondents" in refusal(raw, ASKED, raw / "map.csv")
    # Without a column map, the columns are to be mended.
    (raw / "job.csv").unlink()
    write(raw, {"x.csv": "R0000100,R0001983,CPSOCC80_1983\n1,-5,12\n2,12,12\n"})
    refused = refusal(raw, ASKED)
    assert refused.startswith("1983: ") and "for 1 of the 2 " in refused
    assert "Check the names of the columns, or" in refused
