"""NLS extracts: columns found in every way there is, extracts joined, contradictions refused."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from labor_llm.errors import InputError
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


def write(folder: Path, files: dict[str, object]) -> Path:
    """Write files; rows of cells become a CSV."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        text = content if isinstance(content, str) else "\n".join(",".join(map(str, row)) for row in content)
        (folder / name).write_text(text)
    return folder


def refusal(folder: Path, wanted: list[Variable] = WANTED, column_map: Path | None = None) -> str:
    with pytest.raises(InputError) as refused:
        read_nls(folder, "nlsy79", wanted, column_map)
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
    raw = write(
        tmp_path, {"x.csv": [NUMBERS, *ROWS], "x.sdf": SDF, "notes.pdf": "", "other.csv": "a,b\n1,2\n"}
    )
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
        ["file", "column", "question", "year"], ["x.csv", "id", "CASEID", ""], ["raw/x.csv", "79", "CPSOCC70", 1979],
        ["x.csv", "80", "cpsocc70", 1980], ["x.csv", "born", "Q1-3_A~Y", 1979], ["x.csv", "sex", "SAMPLE_SEX", "XRND"],
        ["x.csv", "week", WEEK.question, "XRND"],
    ]  # fmt: skip
    write(tmp_path, {"raw/x.csv": [header, *ROWS], "raw/map.csv": rows})
    check(read_nls(tmp_path / "raw", "nlsy79", WANTED, tmp_path / "raw/map.csv"))
    assert "column of respondents" in refusal(
        tmp_path / "raw", column_map=write(tmp_path, {"m.csv": [rows[0], *rows[2:]]}) / "m.csv"
    )
    wrong = write(tmp_path, {"m.csv": [*rows, ["x.csv", "81", "CPSOCC70", 1980]]}) / "m.csv"
    assert refusal(tmp_path / "raw", column_map=wrong).startswith(
        "x.csv: no column '81', which row 8 of the column map names; mend the map. The names of"
    )
    absent = write(tmp_path, {"m.csv": [*rows, ["y.csv", "81", "CPSOCC70", 1980]]}) / "m.csv"
    assert "row 8, column file: y.csv is no extract below" in refusal(tmp_path / "raw", column_map=absent)


def test_a_column_map_goes_before_reference_numbers(tmp_path: Path) -> None:
    rows = [["file", "column", "question", "year"], ["x.csv", "R0046400", "CPSOCC70", 1980]]
    raw = write(tmp_path, {"x.csv": [NUMBERS, *ROWS], "map.csv": rows})
    got = read_nls(raw, "nlsy79", [JOB79, JOB80], raw / "map.csv")
    assert got.get("job", 1980).tolist() == [1, -4, 914]
    assert got.missing == (JOB79,)
    assert got.unnamed == ()


def test_a_column_map_goes_before_the_number_that_a_variable_has_elsewhere(tmp_path: Path) -> None:
    """R0263400 is JOB80's column by number, but the map says that it is the one called R0046400."""
    numbered = replace(JOB80, name="R0263400")
    rows = [["file", "column", "question", "year"], ["x.csv", "R0046400", "CPSOCC70", 1980]]
    raw = write(tmp_path, {"x.csv": [NUMBERS, *ROWS], "x.sdf": SDF, "map.csv": rows})
    assert read_nls(raw, "nlsy79", [numbered]).get("job", 1980).tolist() == [2, 230, -4]
    assert read_nls(raw, "nlsy79", [numbered], raw / "map.csv").get("job", 1980).tolist() == [1, -4, 914]
    # Nor do codebooks have a say in what the map names: the column was the year of birth by the codebook.
    write(raw, {"map.csv": [rows[0], ["x.csv", "R0000500", "CPSOCC70", 1980]]})
    got = read_nls(raw, "nlsy79", [replace(BORN, name=""), JOB80], raw / "map.csv")
    assert got.get("job", 1980).tolist() == [61, 62, 60]
    assert [variable.concept for variable in got.missing] == ["born"]


def test_a_column_map_may_name_the_column_of_respondents_of_a_numbered_file(tmp_path: Path) -> None:
    rows = [["file", "column", "question", "year"], ["x.csv", "id", "CASEID", ""]]
    raw = write(tmp_path, {"x.csv": "R0000100,id,R0000500\n900,2,60\n901,1,61\n", "map.csv": rows})
    assert read_nls(raw, "nlsy79", [BORN], raw / "map.csv").values.index.tolist() == [1, 2]


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
    rows = [["file", "column", "question", "year"], ["x.csv", "79", "CPSOCC70", 1979],
            ["x.csv", "80", question, year]]  # fmt: skip
    raw = write(tmp_path, {"x.csv": "R0000100,79,80\n1,5,6\n", "map.csv": rows})
    refused = refusal(raw, column_map=raw / "map.csv")
    assert refused.startswith("map.csv, row 3 (x.csv, column '80'): ")
    assert message in refused


def test_a_column_map_may_name_the_release_and_the_respondents(tmp_path: Path) -> None:
    rows = [["file", "column", "question", "year"], ["x.csv", "v", "VERSION_R26", 2014], ["x.csv", "n", "CASEID", ""],
            ["x.csv", "79", "CPSOCC70", 1979]]  # fmt: skip
    raw = write(tmp_path, {"x.csv": "n,v,79\n1,458,6\n", "map.csv": rows})
    assert read_nls(raw, "nlsy79", WANTED, raw / "map.csv").get("job", 1979).tolist() == [6]


def test_two_rows_of_a_column_map_for_one_column_are_refused(tmp_path: Path) -> None:
    rows = [["file", "column", "question", "year"], ["x.csv", "a", "CPSOCC70", 1979],
            ["raw/x.csv", "a", "CPSOCC70", 1980]]  # fmt: skip
    write(tmp_path, {"raw/x.csv": "R0000100,a\n1,5\n", "map.csv": rows})
    assert refusal(tmp_path / "raw", column_map=tmp_path / "map.csv") == (
        f"{tmp_path}/map.csv, row 3: column 'a' of x.csv stands in row 2 too; a column is one question of one year, so "
        "leave one row."
    )


def test_a_file_of_respondents_whose_columns_have_no_known_name_is_told_apart(tmp_path: Path) -> None:
    files = {"a.csv": [NUMBERS, *ROWS], "b.csv": "R0000100,1979\n1,5\n", "c.csv": "x,y\n1,2\n",
             "d.csv": "R0000100,T0000100\n1,5\n"}  # fmt: skip
    got = read_nls(write(tmp_path, files), "nlsy79", WANTED)
    assert got.unnamed == (tmp_path / "b.csv",)
    assert got.skipped == tuple(tmp_path / name for name in ("b.csv", "c.csv", "d.csv"))
    (tmp_path / "a.csv").unlink()
    assert (
        "b.csv (no wanted variable under its name; say in a column map what columns such as '1979' are)"
        in (refusal(tmp_path))
    )


@pytest.mark.parametrize(
    "content",
    [b'"R0000100","R0000500"\r1,60\r', "R0000100,R0000500\n1,60\n".encode("utf-16"), bytes(range(256)) * 40,
     b"x" * 200_000 + b",R0000100\n1,2\n", b"R0000100,R0\x00000500\n", b'"R0000100\n\n\n1,2\n'],
    ids=["CR", "UTF-16", "binary", "field over 131,072", "NUL", "open quote"],
)  # fmt: skip
def test_a_csv_that_is_none_is_skipped_and_refused_alone(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "b.csv").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.writestr("c.csv", content)
    assert "b.csv (" in refusal(tmp_path)
    got = read_nls(write(tmp_path, {"a.csv": [NUMBERS, *ROWS]}), "nlsy79", WANTED)
    assert got.get("born", 1979).tolist() == [61, 62, 60]
    assert got.skipped == (tmp_path / "b.csv", tmp_path / "z.zip" / "c.csv")


def test_data_without_codebook_say_that_it_is_what_lacks(tmp_path: Path) -> None:
    refused = refusal(write(tmp_path, {"a.csv": [NUMBERS, *ROWS]}), [JOB80])
    assert "no .sdf or .cdb beside it says what its other columns are" in refused
    assert "each file with its codebook (.sdf or .cdb)" in refused
    assert read_nls(write(tmp_path, {"a.sdf": SDF}), "nlsy79", [JOB80]).missing == ()


def test_the_csv_is_preferred_to_the_other_forms_of_an_extract(tmp_path: Path) -> None:
    dat = "\r\n".join(" ".join(map(str, row)) for row in ROWS)
    dct = (
        "infile dictionary {\n"
        + "".join(f'  {number} "TITLE 79"\n' for number in NUMBERS)
        + "}\n"
        + dat
        + "\r\n"
    )
    raw = write(tmp_path, {"x.csv": [NUMBERS, *ROWS], "x.dat": dat, "x.dct": dct, "x.sdf": SDF})
    for form in ("csv", "dat", "dct"):
        got = read_nls(raw, "nlsy79", WANTED)
        check(got)
        assert got.read[0] == raw / f"x.{form}" and raw / "x.sdf" in got.read
        (raw / f"x.{form}").unlink()
    assert refusal(raw).startswith(
        f"{raw}: none of the 5 wanted variables of the NLSY79, such as R0000500 Q1-3_A~Y"
    )


def test_extracts_are_joined_by_respondent(tmp_path: Path) -> None:
    raw = write(tmp_path, {
        "a.csv": "R0000100,R0000500\n2,60\n1,61\n", "b/b.csv": "R0046400,R0000100,R0000500\n7,3,62\n8,2,60\n-5,9,\n",
    })  # fmt: skip
    got = read_nls(raw, "nlsy79", WANTED)
    assert got.values.index.tolist() == [1, 2, 3, 9]
    assert got.get("born", 1979).fillna(-99).tolist() == [61, 60, 62, -99]
    assert got.get("job", 1979).fillna(-99).tolist() == [-99, 8, 7, -5]
    assert got.found == {BORN.key: raw / "a.csv", JOB79.key: raw / "b/b.csv"}
    assert got.missing == (JOB80, SEX, WEEK)
    assert got.years("job") == [1979]


def test_extracts_that_contradict_each_other_are_refused_by_a_count(tmp_path: Path) -> None:
    raw = write(tmp_path, {
        "a.csv": "R0000100,R0000500\n1,60\n2,61\n3,62\n5,1\n", "b.csv": "R0000100,R0000500\n3,60\n2,61\n1,62\n4,1\n",
    })  # fmt: skip
    assert refusal(raw).startswith(
        "R0000500 Q1-3_A~Y (1979) differs between a.csv and b.csv for 2 of the 3 respondents that both have; the two "
    )


@pytest.mark.parametrize(
    ("files", "named"),
    [
        ({"a.csv": "A0002600,R0000100,R0000500\n458,1,60\n-5,2,61\n", "b.csv": "A0002600,R0000100,R0046400\n460,1,1\n"},
         ""),
        ({"a.csv": "VERSION_R26_2014,CASEID_1979,R0000500\n1,1,60\n",
          "b.csv": "VERSION_R28_2018,CASEID_1979,R0046400\n1,1,1\n"}, r" (VERSION_R26 and VERSION_R28)"),
    ],
)  # fmt: skip
def test_extracts_of_different_releases_are_refused(
    tmp_path: Path, files: dict[str, object], named: str
) -> None:
    raw = write(tmp_path, files)
    assert refusal(raw).startswith(f"a.csv and b.csv are two extracts of different releases{named}. Download")
    same = files["b.csv"].replace("460", "458").replace("R28_2018", "R26_2014")
    got = read_nls(write(raw, {"b.csv": same}), "nlsy79", WANTED)
    assert got.get("job", 1979).iloc[0] == 1


def test_an_ambiguous_question_is_refused_and_a_cross_round_one_preferred(tmp_path: Path) -> None:
    header = "CASEID_1979,SAMPLE_SEX_1979,SAMPLE_SEX_1980"
    raw = write(tmp_path, {"x.csv": f"{header}\n1,1,2\n"})
    assert refusal(raw, [SEX]).startswith(
        "x.csv: SAMPLE_SEX could be any of the columns SAMPLE_SEX_1979, SAMPLE_SEX"
    )
    write(raw, {"x.csv": f"{header},SAMPLE_SEX_XRND\n1,1,2,3\n"})
    assert read_nls(raw, "nlsy79", [SEX]).get("sex").tolist() == [3]


def test_a_file_without_anything_wanted_is_listed_with_the_reason(tmp_path: Path) -> None:
    raw = write(
        tmp_path, {"a.csv": "R0000100,T0000100\n1,1\n", "b.csv": "x,y\n1,1\n", "c.dat": "1 1\n", "d.csv": ""}
    )
    message = refusal(raw)
    for part in ("a.csv (none of the wanted variables by number; no .sdf",
                 "b.csv (no column R0000100 (CASEID or PUBID))", "d.csv (no h",
                 "c.dat (no .sdf, .cdb, .dct or tagset of the same name", "labor-llm variables nlsy79"):  # fmt: skip
        assert part in message
    assert refusal(write(raw, {"e.csv": "R0000100,R0000500,R00005.00\n1,1,1\n"})).startswith(
        "e.csv, column 3: R0000500"
    )
    with pytest.raises(InputError, match="'psid' is no cohort of the NLS"):
        read_nls(raw, "psid", WANTED)
