"""What an output may take the place of, and what becomes of what a killed process was writing."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from labor_llm.errors import ArtefactError, BusyError, InputError
from labor_llm.store.artefacts import atomic_path, verify, writing
from labor_llm.store.places import check_file, check_replaceable
from labor_llm.store.staleness import is_current

Make = Callable[..., Path]


def stand(path: Path, kind: str) -> None:
    """Have something of somebody stand at a path."""
    match kind:
        case "a device":
            try:
                os.mknod(path, 0o20600, os.makedev(1, 3))
            except PermissionError:
                pytest.skip("only root makes devices")
        case "a named pipe":
            os.mkfifo(path)
        case "a socket":
            with socket.socket(socket.AF_UNIX) as server:
                server.bind(str(path))
        case "a symbolic link":
            path.with_name("elsewhere").mkdir()
            path.symlink_to(path.with_name("elsewhere"))
        case "a file":
            path.write_text("thesis")
        case _:
            path.mkdir()
            (path / "thesis.tex").write_text("thesis")


@pytest.mark.parametrize(
    "kind", ["a device", "a named pipe", "a socket", "a symbolic link", "a file", "a folder"]
)
@pytest.mark.timeout(20)
def test_nothing_but_its_like_is_replaced(tmp_path, kind):
    """A pipe must not be opened either, which would never end."""
    place = tmp_path / "out"
    stand(place, kind)
    before = place.lstat()
    if kind != "a file":
        refused = rf"out: exists and is {kind}, so it was left alone"
        with pytest.raises(InputError, match=refused), atomic_path(place):
            pytest.fail("work was done")
    what = r"holds thesis\.tex" if kind == "a folder" else f"is {kind}"
    with pytest.raises(InputError, match=rf"out: exists and is no stored result \({what}\)"), writing(place):
        pytest.fail("work was done")
    assert place.lstat()[:7] == before[:7]
    assert not list(tmp_path.glob(".*"))


def test_what_comes_meanwhile_is_not_replaced_either(tmp_path):
    place = tmp_path / "out"
    with pytest.raises(InputError, match=r"holds thesis\.tex"), writing(place):
        stand(place, "a folder")
    with pytest.raises(InputError, match="is a folder"), atomic_path(place) as aside:
        aside.write_text("x")
    assert os.listdir(tmp_path) == ["out"]
    assert os.listdir(place) == ["thesis.tex"]


LEFT = (
    ".DS_Store", "._numbers.csv", "Thumbs.db", "desktop.ini", "numbers.csv~", ".#numbers.csv", "#x#",
    ".manifest.json.swp", ".ipynb_checkpoints/a-checkpoint.csv", ".nfs0000abcd", "~$titles.xlsx", ".~lock.titles.csv#",
)  # fmt: skip


@pytest.mark.parametrize("name", LEFT)
def test_what_an_editor_or_a_file_manager_leaves_is_named_and_does_not_count(make, artefact, name, caplog):
    (artefact / name).parent.mkdir(exist_ok=True)
    (artefact / name).write_text("x")
    verify(artefact)
    assert is_current(artefact, "mine")
    said = [record.getMessage() for record in caplog.records]
    assert said == [f"{artefact}: {name} belongs to a file manager or an editor and does not count."]
    make(artefact)
    assert sorted(os.listdir(artefact)) == ["deep", "manifest.json", "numbers.csv"]
    assert not list(artefact.parent.glob(".*"))


@pytest.mark.parametrize("name", ["log_probs_upper.npy", "deep/notes.txt", "link", "folder link", "DS_Store"])
def test_any_other_file_in_a_result_makes_it_refused_by_name(make, artefact, name):
    """A file that is not listed could be read as if it was a part."""
    (artefact / name).parent.mkdir(exist_ok=True)
    if "link" in name:
        (artefact / name).symlink_to("/" if "folder" in name else "/nowhere")
    else:
        (artefact / name).write_text("x")
    with pytest.raises(ArtefactError, match=rf"made/{name}: not among the files .* Move it elsewhere"):
        verify(artefact)
    with pytest.raises(InputError, match=rf"is no stored result \(holds {name}\)"):
        make(artefact)
    (artefact / name).unlink()
    verify(artefact)


@pytest.mark.parametrize("name", [".DS_Store", "manifest.json"])
def test_a_folder_with_what_a_file_manager_or_another_program_leaves_is_somebodys(tmp_path, name):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / name).write_text('{"name": "my app", "files": {}}')
    with pytest.raises(InputError, match=f"holds {name}"):
        check_replaceable(tmp_path / "photos")


@pytest.mark.parametrize("inside", ["x", "x/y"])
@pytest.mark.parametrize("check", [check_replaceable, check_file])
def test_nothing_is_written_into_a_stored_result(artefact, inside, check):
    with pytest.raises(InputError, match="made is a stored result"):
        check(artefact / inside)


def test_a_place_that_cannot_be_written_to_is_refused_before_any_work(tmp_path, monkeypatch):
    """Root may write everywhere, so a medium that is read-only is said to be there."""
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    with pytest.raises(InputError, match=rf"{tmp_path} cannot be written to\. Name another folder"):
        check_replaceable(tmp_path / "not" / "yet")
    monkeypatch.undo()
    monkeypatch.setattr(Path, "is_mount", lambda path: True)
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match="is the place where a disk is mounted"):
        check_replaceable(tmp_path / "out")


# What a killed process leaves.

WRITING = """
with {how}(folder) as aside:
    (aside / "records.csv" if aside.is_dir() else aside).write_text("w017,1980")
    wait()
"""


@pytest.mark.parametrize("how", [writing, atomic_path])
def test_what_a_dead_writer_left_is_removed_and_what_a_living_one_writes_is_not(process, tmp_path, how):
    """Whatever their machines were called, as a container has a name of its own each time."""
    place = tmp_path / "out"

    def write(text: str) -> str:
        with how(place) as aside:
            (aside / "numbers.csv" if how is writing else aside).write_text(text)
        return (place / "numbers.csv" if how is writing else place).read_text()

    with process(WRITING.format(how=how.__name__), place) as run:
        assert write("1") == "1"
        [living] = tmp_path.glob(".*")
        assert "w017" in "".join(path.read_text() for path in living.rglob("*") if path.is_file())
        run.kill()
    assert write("2") == "2"
    assert os.listdir(tmp_path) == ["out"]


def test_of_two_writers_in_the_same_moment_one_is_told(make, tmp_path, monkeypatch):
    place, rename = tmp_path / "out", os.rename

    def late(source: Path, target: Path) -> None:
        if Path(target) == place:
            monkeypatch.setattr(os, "rename", rename)
            make(place, {"first": b""})
        rename(source, target)

    monkeypatch.setattr(os, "rename", late)
    with pytest.raises(BusyError, match="another run has stored a result there in this moment"):
        make(place, {"second": b""})
    assert (place / "first").is_file()
    assert os.listdir(tmp_path) == ["out"]


def test_a_finished_result_is_replaced_only_where_that_is_asked_for(tmp_path, artefact):
    check_replaceable(artefact)
    with pytest.raises(InputError, match=r"holds a finished result that other .* or give --replace\."):
        check_replaceable(artefact, replace=False)
    (tmp_path / "empty").mkdir()
    for name in ("absent", "empty"):
        check_replaceable(tmp_path / name, replace=False)


@pytest.mark.parametrize("name", [".", "..", "afile/x", "afile/x/y"])
def test_a_path_that_cannot_be_a_folder_is_refused(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    Path("afile").write_text("precious")
    assert not is_current(Path(name), "any")
    message = (
        r"afile is a file, so no folder can stand in it\. Name" if "x" in name else "name a folder of its own"
    )
    with pytest.raises(InputError, match=message), writing(Path(name)):
        pass
