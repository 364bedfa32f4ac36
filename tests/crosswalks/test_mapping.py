"""Codes of each frame to occ1990dd, worked by hand; the patch table; codes of another frame, told by which occur."""

from __future__ import annotations

import json
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings

from labor_llm.careers.occupations import occupation_codes
from labor_llm.crosswalks.files import CrosswalkFile, write_crosswalks
from labor_llm.crosswalks.mapping import (
    COLUMNS,
    FRAME_FILES,
    Crosswalks,
    load_crosswalks,
    patch_of,
    patch_table,
)
from labor_llm.errors import InputError

FRAMES = tuple(FRAME_FILES)
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


@pytest.mark.parametrize(
    ("frame", "values", "expected"),
    [
        # What is no occupation is missing, and so is what is no code.
        ("census1970", (1, None, 0, 580, 991, 777, -4, 40_000), ["23"] + [None] * 7),
        # 874 is taken for 873.
        ("census1990", (873, 874), ["873", "873"]),
        # The file of 2005 adds the codes that the one of 2000 lacks.
        ("census2000", (1, 134, 500), ["4", "22", "313"]),
        # Four digits of 2002 are the three of 2000 and a zero.
        ("census2002", (10, 4020, 4025, 402, 1), ["4", "436", None, None, None]),
        ("census2000", (402, 4020), ["436", None]),
        ("census2010", (4020,), ["436"]),
        # The patch (183, sociologists) serves where Dorn has no row; 134 and 905 stand in the invented files.
        ("census2002", (1830, 1340), ["169", "22"]),
        ("census2000", (183,), ["169"]),
        ("census1990", (905,), ["436"]),
    ],
)
def test_codes_become_text_by_the_files_of_their_frame(
    crosswalks: Crosswalks, frame: str, values: tuple[int | None, ...], expected: list[str | None]
) -> None:
    assert mapped(crosswalks, frame, *values) == expected


def test_the_armed_forces_are_told(crosswalks: Crosswalks) -> None:
    assert crosswalks.military("census1970", codes(1, 580, None)).tolist() == [False, True, False]
    assert crosswalks.military("census2002", codes(9840)).tolist() == [True]


def test_the_patch_can_be_left_out(folder: Path) -> None:
    plain = load_crosswalks(folder, other_versions=True, patched=False)
    assert mapped(plain, "census2002", 1830, 1340) == [None, "22"]
    assert not plain.describe()["patched"]
    assert plain.describe()["frames"]["census2002"]["rows_patched"] == 0


def test_a_frame_without_a_file_is_an_error_only_when_used(crosswalks: Crosswalks) -> None:
    assert crosswalks.frames == tuple(frame for frame in FRAMES if frame != "census1980")
    crosswalks.require(["census1970", "census2002"])
    missing = r"no crosswalk occ1980_occ1990dd\.zip .*labor-llm fetch.*ddorn\.net"
    with pytest.raises(InputError, match=missing):
        crosswalks.require(["census1970", "census1980"])
    with pytest.raises(InputError, match=missing):
        crosswalks.map("census1980", codes(1))
    with pytest.raises(InputError, match=r"nowhere: no such folder"):
        load_crosswalks(Path("nowhere"))


def test_the_description_tells_files_and_versions(crosswalks: Crosswalks) -> None:
    got = json.loads(json.dumps(crosswalks.describe()))
    checksum = crosswalks.files["occ1970"].sha256
    assert got["files"]["occ1970"] == {
        "file": "occ1970_occ1990dd.csv", "rows": 4, "content_sha256": checksum, "known_version": False
    }  # fmt: skip
    assert got["frames"]["census2002"]["files"] == ["occ2000", "occ2005"]
    assert got["frames"]["census2010"]["rows_patched"] > 40
    assert got["other_versions_allowed"]


@settings(max_examples=30)
@given(
    targets=st.dictionaries(st.integers(0, 999), st.sampled_from(occupation_codes()), max_size=20),
    asked=st.lists(st.none() | st.integers(-9, 12_000), max_size=40),
)
def test_a_map_gives_what_a_dictionary_gives(targets: dict[int, str], asked: list[int | None]) -> None:
    file = CrosswalkFile(Path("occ2000.csv"), pd.Series(targets, dtype="int64"), "0f3a", False)
    crosswalks = Crosswalks(Path("."), {"occ2000": file}, patched=False)
    assert mapped(crosswalks, "census2000", *asked) == [targets.get(code) for code in asked]
    in_four = [code if code is None else code * 10 for code in asked]
    assert mapped(crosswalks, "census2002", *in_four) == [targets.get(code) for code in asked]


def test_the_patch_names_codes_of_its_frames_targets_reasons_and_sources() -> None:
    table = patch_table()
    assert tuple(table.columns) == COLUMNS
    assert table["frame"].isin(FRAME_FILES).all()
    assert not table.duplicated(["frame", "code"]).any()
    assert (table[["census_title", "reason", "source"]].map(str.strip) != "").all(axis=None)
    assert set(table["occ1990dd"].dropna()) <= {int(code) for code in occupation_codes()} | {905, 991}
    four = table["frame"].isin(["census2002", "census2010"])
    assert (table.loc[~four, "code"] < 1000).all()
    assert (table.loc[table["frame"] == "census2002", "code"] % 10 == 0).all()
    both = table.pivot(index="code", columns="frame", values="occ1990dd")
    both = both[["census2002", "census2010"]].dropna()
    assert len(both) > 30
    assert (both["census2002"] == both["census2010"]).all()
    for frame, code, target in (("census2000", 183, 169), ("census1970", 280, 275), ("census1980", 905, 905)):
        assert patch_of(frame)[code] == target


@pytest.fixture(scope="module")
def lists() -> dict[str, np.ndarray]:
    """Invented lists that overlap as the true ones do: 1970 and 2000 by two thirds, 1980 and 1990 all but ten codes."""
    generator = np.random.default_rng(20260101)
    first = np.sort(generator.permutation(np.arange(1, 980))[:450])
    second = np.sort(generator.permutation(np.arange(3, 890))[:500])
    third = np.union1d(second[10:], np.setdiff1d(np.arange(3, 890), second)[:10])
    fourth = np.union1d(first[::3], np.sort(generator.permutation(np.arange(1, 980))[:300]))
    fifth = np.union1d(fourth[::2] * 10, np.setdiff1d(np.arange(15, 9800, 10), [])[::9])
    return dict(zip(FRAMES, (first, second, third, fourth, fourth * 10, fifth), strict=True))


@pytest.fixture(scope="module")
def of_lists(lists: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Crosswalks:
    folder = tmp_path_factory.mktemp("lists")
    own = {frame: dict.fromkeys(codes.tolist(), 4) for frame, codes in lists.items() if frame != "census2002"}
    write_crosswalks(folder, own)
    return load_crosswalks(folder, other_versions=True, patched=False)


def draw(codes: np.ndarray, size: int, stray: float, seed: int) -> pd.Series:
    """Draw records: occupations of very unequal size, some stray codes, some answers missing or not reported."""
    generator = np.random.default_rng(seed)
    weights = generator.pareto(1.5, len(codes)) + 0.2
    drawn = pd.Series(generator.choice(codes, size, p=weights / weights.sum()), dtype="Int64")
    drawn = drawn.mask(generator.random(size) < stray, generator.integers(1, codes.max() + 20, size))
    return drawn.mask(generator.random(size) < 0.1).mask(generator.random(size) < 0.1, 0)


@pytest.mark.parametrize("true", FRAMES)
def test_another_frame_is_named_and_the_right_one_raises_no_alarm(
    of_lists: Crosswalks, lists: dict[str, np.ndarray], true: str
) -> None:
    alike = {"census1980", "census1990"}
    for seed in range(3):
        for size in (40, 400, 20_000):
            assert of_lists.wrong_frame(true, draw(lists[true], size, 0.04, seed)) is None
        drawn = draw(lists[true], 20_000, 0.02, seed)
        for said in FRAMES:
            if said != true and {said, true} != alike:
                assert f"look like {true} codes" in str(of_lists.wrong_frame(said, drawn)), said


def test_1980_and_1990_are_told_apart_by_the_few_codes_that_differ(
    of_lists: Crosswalks, lists: dict[str, np.ndarray]
) -> None:
    drawn = pd.Series(np.tile(lists["census1980"], 4), dtype="Int64")
    assert "look like census1980 codes" in str(of_lists.wrong_frame("census1990", drawn))
    assert of_lists.wrong_frame("census1980", drawn) is None


def test_codes_of_no_frame_are_told(of_lists: Crosswalks, tmp_path: Path) -> None:
    groups = pd.Series(np.tile(np.arange(1100, 1120), 5), dtype="Int64")
    write_crosswalks(tmp_path, {"census1970": dict.fromkeys(range(1, 400), 4)})
    alone = load_crosswalks(tmp_path, other_versions=True, patched=False)
    assert alone.wrong_frame("census1970", groups) == (
        "0.0% of 100 codes are in the list of census1970, and no other frame at hand knows more of them: "
        "they have four digits, not three"
    )


def test_a_handful_of_codes_or_none_says_nothing(of_lists: Crosswalks) -> None:
    for values in ([1234] * 19, [], [None] * 50, [-4] * 50, [0] * 50, [999] * 50):
        assert of_lists.wrong_frame("census1970", pd.Series(values, dtype="Int64")) is None
