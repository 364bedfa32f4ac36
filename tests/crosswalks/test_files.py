"""Files of crosswalks: each form is recognised by its content, and what is no crosswalk is refused by name."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from labor_llm.crosswalks.files import (
    KNOWN_VERSIONS,
    VINTAGES,
    content_checksum,
    find_files,
    read_crosswalk,
    write_crosswalks,
)
from labor_llm.crosswalks.mapping import load_crosswalks
from labor_llm.errors import InputError

# Kind of writer: bytes of a crosswalk in one of the forms.
Writer = Callable[..., bytes]
SMALL = {30: 7, 3: 4, 12: 436}


def csv(folder: Path, text: str, name: str = "occ1980_occ1990dd.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_a_version_is_known_by_its_rows_sorted_by_source_code() -> None:
    assert content_checksum(pd.Series(SMALL)) == hashlib.sha256(b"3,4\n12,436\n30,7\n").hexdigest()
    assert {vintage: known[0].rows for vintage, known in KNOWN_VERSIONS.items()} == {
        "occ1970": 442, "occ1980": 504, "occ1990": 502, "occ2000": 471, "occ2005": 471, "occ2010": 489,
    }  # fmt: skip


def test_every_form_gives_the_same_crosswalk(tmp_path: Path, stata: Writer, zipped: Writer) -> None:
    forms = {
        "a.zip": zipped(SMALL, "occ1980_occ1990dd.dta", readme_dot_txt=b"cite us"),
        "b.dta": stata(SMALL, "occ1980"),
        "c.csv": b"source_code,occ1990dd\n3,4\n12,436\n30,7\n",
        "d.csv": b"OCC1990DD,occ\r\n7,30\r\n436,12\r\n4,3\r\n436,12\r\n",
    }
    for name, content in forms.items():
        (tmp_path / name).write_bytes(content)
        got = read_crosswalk(tmp_path / name, "occ1980", other_versions=True)
        assert got.targets.to_dict() == SMALL, name
        assert list(got.targets.index) == [3, 12, 30]
        assert not got.known_version


def test_files_are_found_here_and_one_folder_below_in_any_case(tmp_path: Path) -> None:
    for place in (
        "Occ1980_occ1990dd.ZIP",
        "below/occ1980_to_occ1990dd.csv",
        "below/deeper/occ1980_occ1990dd.dta",
    ):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_bytes(b"")
    (tmp_path / ".occ1980_occ1990dd.1f.zip").write_bytes(b"a download that was cut off")
    found = [str(path.relative_to(tmp_path)) for path in find_files(tmp_path, "occ1980")]
    assert found == ["Occ1980_occ1990dd.ZIP", "below/occ1980_to_occ1990dd.csv"]


def test_an_unknown_version_is_refused_unless_allowed(tmp_path: Path, zipped: Writer) -> None:
    path = tmp_path / "occ1980_occ1990dd.zip"
    path.write_bytes(zipped(SMALL))
    with pytest.raises(
        InputError, match=r"occ1980_occ1990dd\.zip: not a version .* 3 source codes found, 504 exp"
    ):
        load_crosswalks(tmp_path)
    assert load_crosswalks(tmp_path, other_versions=True).frames == ("census1980",)


def test_a_known_version_is_taken(tmp_path: Path, zipped: Writer, invented: dict, versions: dict) -> None:
    path = tmp_path / "occ1980_occ1990dd.zip"
    path.write_bytes(zipped(invented["occ1980"]))
    assert read_crosswalk(path, "occ1980", versions=versions).known_version
    with pytest.raises(InputError, match=r"not a version of occ1990 that is known: 5 .*with other content"):
        read_crosswalk(path, "occ1990", versions=versions)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("occ,occ1990dd\n3,4\n3,7\n", r"code 3 stands for two occupations"),
        ("occ,occ1990dd\n3,4\n5,814\n", r"row 3, column occ1990dd: 814 is none of the 330"),
        ("occ,occ1990dd\n3,4\nManagers,22\n", r"row 3, column occ: 'Managers' is no occupation code"),
        ("occ,occ1990dd\n3,4.5\n", r"row 2, column occ1990dd: '4\.5' is no occupation code"),
        ("occ,occ1990dd\n-4,4\n", r"row 2, column occ: '-4'"),
        ("occ,occ1990dd\n3,\n", r"row 2, column occ1990dd: ''"),
        ("occ,title,occ1990dd\n3,Managers,4\n", r"found occ, title, occ1990dd"),
        ("occ,occ1990\n3,4\n", r"and occ1990dd; found occ, occ1990\."),
        ("", r"the file is empty"),
    ],
)
def test_what_is_no_crosswalk_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = csv(tmp_path, text)
    with pytest.raises(InputError, match=message) as error:
        read_crosswalk(path, "occ1980", other_versions=True)
    assert str(path) in str(error.value)


def test_a_damaged_archive_is_refused(tmp_path: Path, stata: Writer, zipped: Writer) -> None:
    whole = zipped(SMALL)
    damaged = {
        "cut.zip": whole[: len(whole) // 2],
        "page.zip": b"<html>Not found</html>",
        "flipped.zip": whole[:60] + bytes(byte ^ 255 for byte in whole[60:80]) + whole[80:],
        "two.zip": zipped(SMALL, other_dot_dta=b""),
        "none.zip": zipped(SMALL, name="readme.txt"),
        "cut.dta": stata(SMALL)[:100],
        "empty.dta": b"",
    }
    for name, content in damaged.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(InputError, match=rf"{name}: (not readable as|holds \d Stata files)"):
            read_crosswalk(path, "occ1980", other_versions=True)


def test_a_name_in_an_archive_is_never_a_path(tmp_path: Path, zipped: Writer) -> None:
    folder = tmp_path / "inside"
    folder.mkdir()
    (folder / "occ1980_occ1990dd.zip").write_bytes(zipped(SMALL, name="../../outside.dta"))
    assert load_crosswalks(folder, other_versions=True).files["occ1980"].targets.to_dict() == SMALL
    assert [path.name for path in tmp_path.rglob("*.dta")] == []


def test_two_files_of_a_crosswalk_must_agree(tmp_path: Path, stata: Writer) -> None:
    csv(tmp_path, "occ,occ1990dd\n3,4\n12,436\n30,7\n")
    (tmp_path / "occ1980_occ1990dd.dta").write_bytes(stata(SMALL))
    assert load_crosswalks(tmp_path, other_versions=True).frames == ("census1980",)
    csv(tmp_path, "occ,occ1990dd\n3,7\n")
    with pytest.raises(InputError, match=r"occ1980_occ1990dd\.dta and .*occ1980_occ1990dd\.csv differ"):
        load_crosswalks(tmp_path, other_versions=True)


def test_what_is_written_is_read_back(tmp_path: Path, invented: dict) -> None:
    write_crosswalks(
        tmp_path / "new", {vintage.replace("occ", "census"): invented[vintage] for vintage in VINTAGES}
    )
    got = load_crosswalks(tmp_path / "new", other_versions=True)
    assert {vintage: file.targets.to_dict() for vintage, file in got.files.items()} == invented
    with pytest.raises(InputError, match=r"^census2002: not a crosswalk of its own"):
        write_crosswalks(tmp_path, {"census2002": {10: 4}})
