"""What the simulator writes as packaged files or as a job is what the reader of the PSID returns."""

from __future__ import annotations

import hashlib
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings

from labor_llm.errors import InputError
from labor_llm.simulation.files.psid import write_data_center_job, write_packaged
from labor_llm.surveys.psid.files import read_psid
from labor_llm.surveys.variables import Variable

WAVES = (1981, 1994, 2003)
VARIABLES = [
    Variable("sex", 0, "ER32000", role="person"),
    *(Variable("ind_interview_number", year, f"ER3{year}", role="person") for year in WAVES),
    *(Variable("age", year, f"ER4{year}", role="person") for year in WAVES),
    *(Variable("fam_interview_number", year, f"V{year}", role="family") for year in WAVES),
    *(Variable("occupation", year, f"V1{year}", role="head") for year in WAVES),
    *(Variable("income_change", year, f"V2{year}", role="spouse") for year in WAVES),
]


def simulated(persons: int, seed: int, families: int = 12) -> pd.DataFrame:
    """Persons in shuffled families, some of them in none; as many digits as an Int32 may have."""
    draw = np.random.default_rng(seed)
    numbers = draw.choice(9000 * 20, size=persons, replace=False)
    index = pd.Index(np.sort((numbers // 20 + 1) * 1000 + numbers % 20 + 1), name="person")
    columns: dict[tuple[str, str, int], pd.array] = {}
    for variable in VARIABLES:
        if variable.role == "person" and variable.concept != "ind_interview_number":
            columns[variable.key] = pd.array(draw.integers(0, 100, persons), dtype="Int32")
    for year in WAVES:
        own = draw.integers(0, families + 1, persons)
        nobody = pd.array(own, dtype="Int32").copy()
        nobody[own == 0] = pd.NA
        columns["ind_interview_number", "person", year] = pd.array(own, dtype="Int32")
        columns["fam_interview_number", "family", year] = nobody
        for concept, role, low, high in (
            ("occupation", "head", 0, 1000),
            ("income_change", "spouse", -(2**31) + 1, 2**31),
        ):
            of_family = draw.integers(low, high, families + 1)
            of_family[draw.random(families + 1) < 0.3] = 0
            columns[concept, role, year] = pd.array(of_family[own], dtype="Int32")
            columns[concept, role, year][own == 0] = pd.NA
    frame = pd.DataFrame(
        {place: columns[variable.key] for place, variable in enumerate(VARIABLES)}, index=index
    )
    frame.columns = pd.MultiIndex.from_tuples([v.key for v in VARIABLES], names=["concept", "role", "year"])
    return frame


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("layouts", [("sas",), ("sps",), ("do",), ("sas", "sps", "do")])
def test_packaged_files_are_read_back(tmp_path: Path, layouts: tuple[str, ...], zipped: bool) -> None:
    values = simulated(60, 1)
    paths = write_packaged(tmp_path, values, VARIABLES, layouts, zipped, record_length_at_least=200)
    got = read_psid(tmp_path, VARIABLES)

    pd.testing.assert_frame_equal(got.values, values)
    assert got.missing == got.skipped == ()
    stems = {path.stem for path in paths}
    assert stems == (
        {"ind2023er", "fam1981", "fam1994er", "fam2003er"}
        if zipped
        else {"IND2023ER", "FAM1981", "FAM1994ER", "FAM2003ER"}
    )
    if not zipped:
        assert len((tmp_path / "FAM1994ER.txt").read_bytes().split(b"\r\n")[0]) >= 200


@pytest.mark.parametrize(
    ("form", "layouts"), [("txt", ("sas",)), ("txt", ("sps",)), ("txt", ("do",)), ("csv", ()), ("xlsx", ())]
)
@pytest.mark.parametrize("zipped", [False, True])
def test_a_job_is_read_back(tmp_path: Path, form: str, layouts: tuple[str, ...], zipped: bool) -> None:
    if form == "xlsx":
        pytest.importorskip("openpyxl")
    values = simulated(40, 2)
    paths = write_data_center_job(tmp_path, values, VARIABLES, form, layouts, zipped=zipped)
    got = read_psid(tmp_path, VARIABLES)

    pd.testing.assert_frame_equal(got.values, values)
    assert {path.stem for path in paths} == ({"j100001"} if zipped else {"J100001"})


@settings(max_examples=25, deadline=None)
@given(persons=st.integers(1, 30), families=st.integers(1, 5), seed=st.integers(0, 2**32 - 1))
def test_any_population_is_read_back_from_both_kinds_of_file_together(
    tmp_path_factory: pytest.TempPathFactory, persons: int, families: int, seed: int
) -> None:
    values = simulated(persons, seed, families)
    folder = tmp_path_factory.mktemp("psid")
    # A wave in which nobody is in a family has no family file: then its columns are in the job alone.
    write_packaged(folder, values, VARIABLES, ("do",))
    write_data_center_job(folder, values, VARIABLES, "csv")

    got = read_psid(folder, VARIABLES)
    pd.testing.assert_frame_equal(got.values, values)


def test_what_was_not_asked_is_zero_and_what_asks_of_no_family_is_missing(tmp_path: Path) -> None:
    values = simulated(30, 3)
    family = values["ind_interview_number", "person", 1981].to_numpy() == 1
    # Only one member of the family knows its head's occupation, nobody the spouse's income.
    values.loc[family, [("income_change", "spouse", 1981)]] = pd.NA
    values.loc[values.index[family][1:], [("occupation", "head", 1981)]] = pd.NA
    known = values.loc[values.index[family][0], ("occupation", "head", 1981)]
    values.loc[:, [("age", "person", 1994)]] = pd.NA
    write_packaged(tmp_path, values, VARIABLES)
    got = read_psid(tmp_path, VARIABLES).values

    assert family.sum() > 1
    assert (got.loc[family, ("income_change", "spouse", 1981)] == 0).all()
    assert (got.loc[family, ("occupation", "head", 1981)] == known).all()
    assert (got["age", "person", 1994] == 0).all()
    nobody = got["ind_interview_number", "person", 2003] == 0
    assert got.loc[nobody, ("occupation", "head", 2003)].isna().all()


def test_the_same_population_gives_the_same_bytes(tmp_path: Path) -> None:
    def sums(folder: Path) -> dict[str, str]:
        paths = write_packaged(folder, simulated(30, 4), VARIABLES, zipped=True)
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}

    assert sums(tmp_path / "a") == sums(tmp_path / "b")


def test_what_no_family_file_can_hold_is_refused(tmp_path: Path) -> None:
    values = simulated(30, 5, families=3)
    family = np.flatnonzero(values["ind_interview_number", "person", 1981] == 1)
    values.iloc[family[0], values.columns.get_loc(("occupation", "head", 1981))] = 1001
    with pytest.raises(InputError, match="members of a family differ in V11981"):
        write_packaged(tmp_path, values, VARIABLES)
    nobody = np.flatnonzero(values["ind_interview_number", "person", 1994] == 0)
    values.iloc[nobody[0], values.columns.get_loc(("occupation", "head", 1994))] = 5
    with pytest.raises(InputError, match=r"V11994 \(1994\) is given of persons who were in no family"):
        write_data_center_job(tmp_path, values, VARIABLES)
    with pytest.raises(InputError, match=r"'sex', 'person', 0.* is none of the variables"):
        write_packaged(tmp_path, values, VARIABLES[1:])


def test_labels_in_an_excel_file_are_refused_by_row_and_variable(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    (path,) = write_data_center_job(tmp_path, simulated(5, 6), VARIABLES, "xlsx")
    book = openpyxl.load_workbook(path)
    place = [cell.value for cell in book.active[1]].index("V11994") + 1
    book.active.cell(row=4, column=place, value="Cooks")
    book.save(path)
    with pytest.raises(InputError, match=r"J100001\.xlsx: row 4, V11994: not a code but something else"):
        read_psid(tmp_path, VARIABLES)
