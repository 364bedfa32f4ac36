"""Codes of each frame to occ1990dd, worked by hand on small crosswalks."""

from __future__ import annotations

import json
from pathlib import Path

import hypothesis.strategies as st
import pandas as pd
import pytest
from hypothesis import given, settings

from labor_llm.careers.occupations import occupation_codes
from labor_llm.crosswalks.files import write_crosswalks
from labor_llm.crosswalks.mapping import FRAME_FILES, Crosswalks, load_crosswalks
from labor_llm.errors import InputError
from labor_llm.surveys.rules import FRAMES

TABLES = {
    "occ1970": {0: 999, 1: 23, 580: 905, 991: 991},
    "occ1990": {873: 874, 874: 873, 905: 436},
    "occ2000": {1: 4, 402: 436, 134: 22},
    "occ2005": {1: 7, 134: 59, 983: 905, 500: 313},
    "occ2010": {10: 4, 4020: 436},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("crosswalks")
    write_crosswalks(folder, TABLES)
    return folder


@pytest.fixture(scope="module")
def crosswalks(folder: Path) -> Crosswalks:
    return load_crosswalks(folder, other_versions=True)


def codes(*values: int | None) -> pd.Series:
    return pd.Series(values, index=[f"r{row}" for row in range(len(values))], dtype="Int64")


def mapped(crosswalks: Crosswalks, frame: str, *values: int | None) -> list[str | None]:
    got = crosswalks.map(frame, codes(*values))
    assert list(got.index) == [f"r{row}" for row in range(len(values))]
    return [None if pd.isna(code) else code for code in got]


def test_every_frame_of_the_surveys_has_its_files() -> None:
    assert tuple(FRAME_FILES) == FRAMES


def test_codes_become_text_and_what_is_no_occupation_is_missing(crosswalks: Crosswalks) -> None:
    values = (1, None, 0, 580, 991, 777, -4, 40_000)
    assert mapped(crosswalks, "census1970", *values) == ["23"] + [None] * 7
    assert crosswalks.kind("census1970", codes(*values)).tolist() == [
        "occupation", "missing", "unknown", "military", "unemployed", "unmapped", "unmapped", "unmapped",
    ]  # fmt: skip
    assert crosswalks.military("census1970", codes(1, 580, None)).tolist() == [False, True, False]
    assert crosswalks.kind("census1970", codes(995, 9995)).tolist() == ["unknown", "unmapped"]
    assert crosswalks.kind("census2010", codes(995, 9995)).tolist() == ["unmapped", "unknown"]


def test_874_is_taken_for_873(crosswalks: Crosswalks) -> None:
    assert mapped(crosswalks, "census1990", 873, 874) == ["873", "873"]


def test_the_2005_file_adds_the_codes_that_the_2000_file_lacks(crosswalks: Crosswalks) -> None:
    assert mapped(crosswalks, "census2000", 1, 134, 500) == ["4", "22", "313"]


def test_four_digits_of_2002_are_the_three_of_2000_and_a_zero(crosswalks: Crosswalks) -> None:
    assert mapped(crosswalks, "census2002", 10, 4020, 4025, 402, 1) == ["4", "436", None, None, None]
    assert mapped(crosswalks, "census2000", 402, 4020) == ["436", None]
    assert mapped(crosswalks, "census2010", 4020) == ["436"]


def test_the_patch_serves_only_where_dorn_has_no_row(folder: Path, crosswalks: Crosswalks) -> None:
    """Sociologists (1830) and the armed forces (9840) are patched; 134 and 905 stand in the invented files."""
    assert mapped(crosswalks, "census2002", 1830, 1340) == ["169", "22"]
    assert mapped(crosswalks, "census2000", 183) == ["169"]
    assert mapped(crosswalks, "census1990", 905) == ["436"]
    assert crosswalks.kind("census2002", codes(9840)).tolist() == ["military"]
    assert crosswalks.by_patch("census2002", codes(1830, 1340, None)).tolist() == [True, False, False]

    plain = load_crosswalks(folder, other_versions=True, patched=False)
    assert mapped(plain, "census2002", 1830, 1340) == [None, "22"]
    assert not plain.describe()["patched"]
    assert plain.describe()["frames"]["census2002"]["rows_patched"] == 0


def test_a_frame_without_a_file_is_an_error_only_when_used(crosswalks: Crosswalks) -> None:
    assert crosswalks.frames == ("census1970", "census1990", "census2000", "census2002", "census2010")
    crosswalks.require(["census1970", "census2002"])
    with pytest.raises(
        InputError, match=r"no crosswalk occ1980_occ1990dd\.zip .*labor-llm fetch.*ddorn\.net"
    ):
        crosswalks.require(["census1970", "census1980"])
    with pytest.raises(InputError, match=r"occ1980_occ1990dd\.zip"):
        crosswalks.map("census1980", codes(1))
    with pytest.raises(InputError, match=r"'census2018' is no frame of occupation codes"):
        crosswalks.map("census2018", codes(1))
    with pytest.raises(InputError, match=r"nowhere: no such folder"):
        load_crosswalks(Path("nowhere"))


def test_the_description_tells_files_and_versions(crosswalks: Crosswalks) -> None:
    got = json.loads(json.dumps(crosswalks.describe()))
    assert got["files"]["occ1970"] == {
        "file": "occ1970_occ1990dd.csv",
        "rows": 4,
        "content_sha256": crosswalks.files["occ1970"].sha256,
        "known_version": False,
    }
    assert got["frames"]["census2002"]["files"] == ["occ2000", "occ2005"]
    assert got["frames"]["census2010"]["rows_patched"] > 40
    assert got["other_versions_allowed"]


@settings(max_examples=50, deadline=None)
@given(
    targets=st.dictionaries(st.integers(0, 999), st.sampled_from(occupation_codes()), max_size=20),
    asked=st.lists(st.none() | st.integers(-9, 12_000), max_size=40),
)
def test_a_map_gives_what_a_dictionary_gives(
    tmp_path_factory: pytest.TempPathFactory, targets: dict[int, str], asked: list[int | None]
) -> None:
    folder = tmp_path_factory.mktemp("drawn")
    targets[1] = "4"
    write_crosswalks(folder, {"census2000": {code: int(target) for code, target in targets.items()}})
    crosswalks = load_crosswalks(folder, other_versions=True, patched=False)
    assert mapped(crosswalks, "census2000", *asked) == [targets.get(code) for code in asked]
    in_four = [code if code is None else code * 10 for code in asked]
    assert mapped(crosswalks, "census2002", *in_four) == [targets.get(code) for code in asked]
