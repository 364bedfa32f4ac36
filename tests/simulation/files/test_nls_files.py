"""Simulated NLS files: what is written in each form is what the readers return."""

from __future__ import annotations

import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings

from labor_llm.simulation.files.nls import FORMS, write_nls
from labor_llm.surveys.nls.codebooks import parse_cdb, parse_sdf, parse_tagset, text_lines
from labor_llm.surveys.nls.extracts import read_nls
from labor_llm.surveys.variables import Variable

VARIABLES = [
    Variable("weekly_status", 7, "", "STATUS_WK_NUM0007"),
    Variable("occupation_1970", 1979, "R0046400", "CPSOCC70"),
    Variable("occupation_1970", 1980, "", "CPSOCC70"),
    Variable("birth_year", 1979, "R0000500", "Q1-3_A~Y"),
    Variable("sex", 0, "R0214800", "SAMPLE_SEX"),
    Variable("occupation_2000", 2004, "", "OCCALL-EMP.01"),
]
NUMBERED = [variable for variable in VARIABLES if variable.name]


def frame(variables: list[Variable], rows: int, seed: int = 0) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    keys = pd.MultiIndex.from_tuples([v.key for v in variables], names=["concept", "role", "year"])
    persons = np.sort(generator.choice(np.arange(1, 8_985), rows, replace=False))
    # No -5: everyone was interviewed, or variables of a year would have to agree on who was not.
    codes = generator.integers(-4, 9_999, (rows, len(variables)))
    return pd.DataFrame(codes, pd.Index(persons, name="person", dtype="int64"), keys).astype("Int32")


@pytest.mark.parametrize("cohort", ["nlsy79", "nlsy97"])
@pytest.mark.parametrize("forms", [("csv", "sdf"), ("csv", "cdb"), ("dat", "sdf"), ("dat", "cdb"), ("dct", "sdf"),
                                   ("dat", "tagset", "cdb"), FORMS])  # fmt: skip
@pytest.mark.parametrize("zipped", [False, True])
def test_every_form_comes_back(tmp_path: Path, cohort: str, forms: tuple[str, ...], zipped: bool) -> None:
    values = frame(VARIABLES, 50)
    paths = write_nls(tmp_path, "x", cohort, values, VARIABLES, forms, zipped=zipped, rows_at_once=7)
    got = read_nls(tmp_path, cohort, VARIABLES)
    pd.testing.assert_frame_equal(got.values, values)
    assert got.missing == ()
    assert all(path.is_file() for path in paths) and len(paths) == (1 if zipped else len(forms))


@pytest.mark.parametrize("forms", [("csv",), ("dct",), ("dat", "dct"), ("dat", "tagset")])
def test_forms_without_a_codebook_come_back_by_reference_number(
    tmp_path: Path, forms: tuple[str, ...]
) -> None:
    values = frame(VARIABLES, 50)
    write_nls(tmp_path, "x", "nlsy79", values, VARIABLES, forms)
    got = read_nls(tmp_path, "nlsy79", VARIABLES)
    pd.testing.assert_frame_equal(got.values, values[[variable.key for variable in NUMBERED]])
    assert got.missing == tuple(variable for variable in VARIABLES if not variable.name)


def test_renamed_columns_and_two_extracts_come_back(tmp_path: Path) -> None:
    values = frame(VARIABLES, 50)
    write_nls(tmp_path, "a", "nlsy79", values.iloc[:30], VARIABLES[:4], ("csv",), renamed=True)
    write_nls(tmp_path / "below", "b", "nlsy79", values.iloc[20:], VARIABLES[2:], ("dat", "sdf"))
    got = read_nls(tmp_path, "nlsy79", VARIABLES).values
    expected = values.copy()
    expected.iloc[30:, :2] = pd.NA
    expected.iloc[:20, 4:] = pd.NA
    pd.testing.assert_frame_equal(got, expected)


@settings(max_examples=25, deadline=None)
@given(rows=st.integers(1, 40), chunk=st.integers(1, 41), seed=st.integers(0, 99), zipped=st.booleans(),
       wanted=st.lists(st.sampled_from(VARIABLES), min_size=1, unique=True))  # fmt: skip
def test_any_part_of_what_was_written_comes_back(
    rows: int, chunk: int, seed: int, zipped: bool, wanted: list[Variable]
) -> None:
    values = frame(VARIABLES, rows, seed)
    with TemporaryDirectory() as folder:
        forms = ("csv", "cdb") if seed % 2 else ("dat", "sdf")
        write_nls(Path(folder), "x", "nlsy79", values, VARIABLES, forms, zipped=zipped, rows_at_once=chunk)
        got = read_nls(Path(folder), "nlsy79", wanted)
    pd.testing.assert_frame_equal(got.values, values[[variable.key for variable in wanted]])


def test_the_files_are_laid_out_as_genuine_ones(tmp_path: Path) -> None:
    values = frame(VARIABLES[1:2], 3)
    values.iloc[:, 0] = pd.array([914, pd.NA, -4], "Int32")
    values.index = pd.Index([1, 2, 3], name="person")
    write_nls(tmp_path, "x", "nlsy79", values, VARIABLES)
    content = {path.suffix: path.read_bytes() for path in tmp_path.iterdir()}
    assert content[".csv"] == b'"R0000100","R0046400"\r\n1,914\r\n2,-5\r\n3,-4'
    assert content[".dat"] == b"1 914\r\n2 -5\r\n3 -4"
    assert content[".NLSY79"] == b"R0000100\nR0046400\n"
    assert content[".dct"] == (
        b'infile dictionary {\n  R0000100 "IDENTIFICATION CODE 79"\n  R0046400 "OCCUPATION 1970 79"\n}\n'
        b"1 914\r\n2 -5\r\n3 -4\r\n"
    )
    assert content[".sdf"].decode().splitlines()[2:] == [
        "Reference",
        "Number     Year  Variable Description  Question Name  ",
        "------------------------------------------------------",
        "R00001.00  1979  IDENTIFICATION CODE   CASEID         ",
        "R00464.00  1979  OCCUPATION 1970       CPSOCC70       ",
    ]
    block = content[".cdb"].decode().split("-" * 80 + "\r\n")[1].split("\r\n")
    assert block[0] == "R00464.00    [CPSOCC70]                                     Survey Year: 1979"
    assert "TOTAL =========>       1   VALID SKIP(-4)       1     NON-INTERVIEW(-5)       1" in block


def test_codebooks_agree_and_invented_numbers_do_not_depend_on_the_other_variables(tmp_path: Path) -> None:
    values = frame(VARIABLES, 5)
    write_nls(tmp_path, "a", "nlsy97", values, VARIABLES)
    write_nls(tmp_path, "b", "nlsy97", values, VARIABLES[::-1][:3], ("tagset",))
    with open(tmp_path / "a.sdf", "rb") as sdf, open(tmp_path / "a.cdb", "rb") as cdb:
        short, long = parse_sdf(text_lines(sdf)), parse_cdb(text_lines(cdb))
    assert {n: e[:2] for n, e in short.items()} == {n: e[:2] for n, e in long.items()}
    assert {entry.respondents for entry in long.values()} == {5}
    assert (short["R0000100"].question, short["R0000100"].year) == ("PUBID", 1997)
    assert sorted(number[0] for number in short) == ["R"] * 4 + ["X"] * 3
    with open(tmp_path / "a.NLSY97", "rb") as a, open(tmp_path / "b.NLSY97", "rb") as b:
        numbers, fewer = parse_tagset(text_lines(a)), parse_tagset(text_lines(b))
    assert numbers == list(short) and set(fewer) < set(numbers)


def test_the_same_content_gives_the_same_zip(tmp_path: Path) -> None:
    values = frame(VARIABLES, 5)
    first, second = (
        write_nls(tmp_path / name, "x", "nlsy79", values, VARIABLES, zipped=True)[0] for name in ("a", "b")
    )
    assert first.read_bytes() == second.read_bytes()
    assert zipfile.ZipFile(first).namelist() == ["x.csv", "x.dat", "x.dct", "x.sdf", "x.cdb", "x.NLSY79"]


def test_two_variables_under_one_number_must_agree(tmp_path: Path) -> None:
    variables = [Variable("week", 0, "W0061300"), Variable("weekly_status", 1, "W0061300")]
    values = frame(variables, 5)
    with pytest.raises(ValueError, match="share W0061300 and differ"):
        write_nls(tmp_path, "x", "nlsy79", values, variables)
    values.iloc[:, 1] = values.iloc[:, 0]
    write_nls(tmp_path, "x", "nlsy79", values, variables)
    pd.testing.assert_frame_equal(read_nls(tmp_path, "nlsy79", variables).values, values)
