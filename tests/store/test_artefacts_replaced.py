"""What a new result may replace, and that a kill while it takes the place of another loses neither."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from labor_llm.errors import ArtefactError, InputError
from labor_llm.store import artefacts
from labor_llm.store.artefacts import check_replaceable, is_current, verify, writing

FILES = {"numbers.csv": b"year,wage\n1980,7.25\n", "matrix.bin": bytes(range(64))}


def make(folder: Path, files: dict[str, bytes] | None = None, **kwargs: object) -> Path:
    with writing(folder, **kwargs) as aside:
        for name, content in (files or FILES).items():
            (aside / name).write_bytes(content)
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def artefact(tmp_path: Path) -> Path:
    return make(tmp_path / "made", parameters={"seed": 1, "survey": "ACME"})


def ended_process() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def moved_away(artefact: Path, process: int) -> Path:
    """Where a process that replaces an artefact keeps the earlier one for a moment."""
    machine = artefacts._MACHINE
    return artefact.with_name(f".{artefact.name}.{machine}-{process}-0123abcd.old")


@pytest.mark.parametrize("empty_folder", [False, True])
def test_a_result_that_a_killed_process_had_moved_away_is_read(artefact: Path, empty_folder: bool) -> None:
    before = content(artefact)
    os.rename(artefact, moved_away(artefact, ended_process()))
    if empty_folder:
        artefact.mkdir()
    assert verify(artefact)["parameters"] == {"seed": 1, "survey": "ACME"}
    assert content(artefact) == before
    assert os.listdir(artefact.parent) == ["made"]


def test_a_result_that_a_killed_process_had_moved_away_is_current(tmp_path: Path) -> None:
    folder = make(tmp_path / "made", parameters={"identity": "mine"})
    os.rename(folder, moved_away(folder, ended_process()))
    assert is_current(folder, "mine")


def test_a_result_that_was_moved_away_comes_back_when_the_next_writing_fails(artefact: Path) -> None:
    before = content(artefact)
    os.rename(artefact, moved_away(artefact, ended_process()))
    with pytest.raises(ValueError, match="no"), writing(artefact):
        raise ValueError("no")
    assert content(artefact) == before
    assert os.listdir(artefact.parent) == ["made"]


def test_an_earlier_result_is_removed_where_the_new_one_arrived(artefact: Path) -> None:
    old = moved_away(artefact, ended_process())
    os.rename(artefact, old)
    make(artefact.with_name("new"), {"only.txt": b"new"})
    os.rename(artefact.with_name("new"), artefact)
    assert set(verify(artefact)["files"]) == {"only.txt"}
    make(artefact, {"only.txt": b"newer"})
    assert content(artefact)["only.txt"] == b"newer"
    assert os.listdir(artefact.parent) == ["made"]


def test_a_result_that_a_running_process_replaces_is_left_to_it(artefact: Path) -> None:
    old = moved_away(artefact, os.getpid())
    os.rename(artefact, old)
    with pytest.raises(ArtefactError, match="does not exist"):
        verify(artefact)
    make(artefact, {"only.txt": b"new"})
    assert set(verify(artefact)["files"]) == {"only.txt"}
    assert old.is_dir()


KILLED_BETWEEN = """
import os, signal, sys
from pathlib import Path
from labor_llm.store.artefacts import writing
renamed = os.rename
def rename(source, target):
    renamed(source, target)
    os.kill(os.getpid(), signal.SIGKILL)
os.rename = rename
with writing(Path(sys.argv[1])) as aside:
    (aside / "numbers.csv").write_bytes(b"new")
"""


def test_a_kill_between_the_two_renames_loses_nothing(artefact: Path) -> None:
    before = content(artefact)
    done = subprocess.run([sys.executable, "-c", KILLED_BETWEEN, str(artefact)], check=False)
    assert done.returncode == -9
    assert not artefact.exists()
    verify(artefact)
    assert content(artefact) == before


def test_a_finished_result_is_replaced_only_where_that_is_asked_for(tmp_path: Path, artefact: Path) -> None:
    check_replaceable(artefact)
    with pytest.raises(InputError) as refused:
        check_replaceable(artefact, replace=False)
    assert str(refused.value) == (
        f"{artefact}: holds a finished result that other options, careers or weights made. "
        "Name another folder, or give --replace."
    )
    check_replaceable(tmp_path / "absent", replace=False)
    (tmp_path / "empty").mkdir()
    check_replaceable(tmp_path / "empty", replace=False)


@pytest.mark.parametrize("below", ["x", "x/y"])
def test_a_path_below_a_file_is_refused(tmp_path: Path, below: str) -> None:
    (tmp_path / "afile").write_text("precious")
    assert not is_current(tmp_path / "afile" / below, "any")
    with pytest.raises(InputError, match=r"afile is a file, so no folder can stand in it\. Name another"):
        check_replaceable(tmp_path / "afile" / below)
