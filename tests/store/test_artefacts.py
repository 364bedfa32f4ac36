"""Stored results: complete or absent, the earlier one kept on any failure, and never read when damaged."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from labor_llm.errors import ArtefactError, InputError
from labor_llm.store.artefacts import atomic_path, checksum_of, sha256, verify, writing

FILES = {"numbers.csv": b"year,wage\n1980,7.25\n", "deep/matrix.bin": bytes(range(64))}


def make(folder: Path, files: dict[str, bytes] | None = None, **kwargs: object) -> Path:
    with writing(folder, **kwargs) as aside:
        for name, content in (files or FILES).items():
            (aside / name).parent.mkdir(exist_ok=True)
            (aside / name).write_bytes(content)
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def artefact(tmp_path: Path) -> Path:
    return make(tmp_path / "made", parameters={"seed": 1, "survey": "ACME"})


def test_the_manifest_holds_each_file_the_parameters_and_the_inputs(tmp_path: Path, artefact: Path) -> None:
    titles = tmp_path / "titles.csv"
    titles.write_bytes(b"abc")

    manifest = verify(make(tmp_path / "next", parameters={"x": 2}, inputs={"titles": titles, "p": artefact}))

    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert manifest["files"] == {
        name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in FILES.items()
    }
    assert manifest["parameters"] == {"x": 2}
    assert manifest["inputs"] == {"titles": abc, "p": checksum_of(artefact)}
    assert manifest["environment"]["threads"] == os.environ.get("OMP_NUM_THREADS", "not set")
    assert sha256(titles) == checksum_of(titles) == abc


def test_an_artefacts_checksum_is_that_of_its_files_alone(tmp_path: Path, artefact: Path) -> None:
    same = make(tmp_path / "same", parameters={"seed": 2})
    other = make(tmp_path / "other", {"numbers.csv": b"year,wage\n1980,7.26\n"})
    assert checksum_of(same) == checksum_of(artefact) != checksum_of(other)


class Killed(BaseException):
    """Like KeyboardInterrupt: no `except Exception` catches it."""


@pytest.mark.parametrize("failure", [ValueError, Killed])
def test_a_failure_inside_leaves_the_earlier_artefact_and_nothing_else(
    artefact: Path, failure: type[BaseException]
) -> None:
    before = content(artefact)

    with pytest.raises(failure), writing(artefact) as aside:
        (aside / "numbers.csv").write_bytes(b"half")
        assert content(artefact) == before
        raise failure

    assert content(artefact) == before
    assert os.listdir(artefact.parent) == ["made"]


def test_a_failure_inside_leaves_nothing_where_there_was_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no"), writing(tmp_path / "made") as aside:
        (aside / "x").write_text("half")
        raise ValueError("no")
    assert os.listdir(tmp_path) == []


def test_a_new_artefact_replaces_the_old_one_whole(artefact: Path) -> None:
    make(artefact, {"only.txt": b"new"})
    assert set(content(artefact)) == {"only.txt", "manifest.json"}
    assert set(verify(artefact)["files"]) == {"only.txt"}
    assert os.listdir(artefact.parent) == ["made"]


@pytest.mark.parametrize("name", FILES)
def test_every_altered_byte_is_refused_by_name(artefact: Path, name: str) -> None:
    path, original = artefact / name, FILES[name]
    for position in range(len(original)):
        for bit in range(8):
            altered = bytearray(original)
            altered[position] ^= 1 << bit
            path.write_bytes(altered)
            with pytest.raises(ArtefactError) as refused:
                verify(artefact)
            assert str(refused.value).startswith(f"{path}: its sha256 differs"), (position, bit)
    path.write_bytes(original)
    verify(artefact)


@pytest.mark.parametrize("name", FILES)
def test_every_length_but_the_right_one_is_refused_by_name(artefact: Path, name: str) -> None:
    path, original = artefact / name, FILES[name]
    for changed in [original[:length] for length in range(len(original))] + [original + b"\n"]:
        path.write_bytes(changed)
        expected = f"{path}: {len(changed)} bytes found, {len(original)} written. The file was cut or changed"
        with pytest.raises(ArtefactError) as refused:
            verify(artefact)
        assert str(refused.value).startswith(expected)


def test_a_missing_file_is_named(artefact: Path) -> None:
    (artefact / "numbers.csv").unlink()
    with pytest.raises(ArtefactError, match=r"made/numbers\.csv: listed in manifest\.json but missing"):
        verify(artefact)


def test_an_absent_artefact_and_an_unfinished_one_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match=r"nothing: does not exist\. Run the step that makes it"):
        verify(tmp_path / "nothing")
    with pytest.raises(ArtefactError, match=r": has no manifest\.json: it is not a finished result"):
        verify(tmp_path)


def test_a_truncated_manifest_is_refused_by_name(artefact: Path) -> None:
    path = artefact / "manifest.json"
    original = path.read_bytes()
    for length in range(0, len(original) - 1, 7):
        path.write_bytes(original[:length])
        with pytest.raises(ArtefactError, match=r"manifest\.json: not readable as a manifest"):
            verify(artefact)


def test_every_altered_bit_of_the_manifest_is_refused(artefact: Path) -> None:
    """The manifest holds parameters that readers use (the survey's name), so it must not change either."""
    path = artefact / "manifest.json"
    original = path.read_bytes()
    accepted, broken = [], []
    for position in range(len(original)):
        altered = bytearray(original)
        altered[position] ^= 1
        path.write_bytes(altered)
        try:
            verify(artefact)
            accepted.append(position)
        except ArtefactError:
            pass
        except Exception as error:  # a traceback for the user
            broken.append((position, repr(error)))
    assert broken == []
    # Blanks between the values may change; what the manifest says may not.
    said = json.loads(original)
    for position in accepted:
        altered = bytearray(original)
        altered[position] ^= 1
        assert json.loads(altered) == said, (
            f"byte {position}: {altered[max(0, position - 30) : position + 5]!r}"
        )


@pytest.mark.parametrize(
    "text", ["[]", "{}", '{"files": []}', '{"files": {"x": {}}}', '{"files": {"x": 1}}', "1"]
)
def test_json_that_is_no_manifest_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "x").write_text("x")
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(ArtefactError, match=r"manifest\.json: not readable as a manifest"):
        verify(tmp_path)


def test_an_input_that_was_changed_stops_the_artefact_made_from_it(tmp_path: Path, artefact: Path) -> None:
    (artefact / "numbers.csv").write_bytes(b"year,wage\n1980,9.25\n")
    with pytest.raises(ArtefactError, match=r"numbers\.csv: its sha256 differs"):
        make(tmp_path / "next", inputs={"panel": artefact})
    assert os.listdir(tmp_path) == ["made"]


def test_a_single_file_is_replaced_only_on_success(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "table.csv"
    with atomic_path(path) as aside:
        aside.write_text("old")
        assert not path.exists()
        assert (aside.parent, aside.suffix) == (path.parent, ".csv")
    with pytest.raises(Killed), atomic_path(path) as aside:
        aside.write_text("half")
        raise Killed
    assert path.read_text() == "old"
    assert os.listdir(path.parent) == ["table.csv"]


FULL_DISK = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
from pathlib import Path
from labor_llm.store.artefacts import atomic_path, writing
from labor_llm.errors import ResourceError
folder, writer = Path(sys.argv[1]), sys.argv[2]
try:
    if writer == "file":
        with atomic_path(folder / "numbers.csv") as aside:
            aside.write_bytes(bytes(200_000))
    else:
        with writing(folder) as aside:
            if writer == "bytes":
                (aside / "numbers.csv").write_bytes(bytes(200_000))
            else:
                import numpy as np
                np.save(aside / "log_probs.npy", np.zeros(100_000), allow_pickle=False)
except ResourceError as error:
    print(error)
    sys.exit(error.exit_code)
"""


@pytest.mark.parametrize("writer", ["bytes", "numpy", "file"])
def test_a_full_disk_is_one_message_and_the_earlier_artefact_stays(artefact: Path, writer: str) -> None:
    before = content(artefact)

    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(artefact), writer],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (6, "")
    assert "could not be written, no space left" in done.stdout
    assert "MiB are free there. Earlier results are untouched." in done.stdout
    assert done.stdout.startswith(str(artefact))
    assert content(artefact) == before
    assert os.listdir(artefact.parent) == ["made"]
    verify(artefact)


KILLED = """
import os, signal, sys
from pathlib import Path
from labor_llm.store.artefacts import writing
with writing(Path(sys.argv[1])) as aside:
    (aside / "numbers.csv").write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_leaves_the_earlier_artefact(artefact: Path) -> None:
    before = content(artefact)
    done = subprocess.run([sys.executable, "-c", KILLED, str(artefact)], check=False)
    assert done.returncode == -9
    assert content(artefact) == before
    verify(artefact)


@pytest.mark.parametrize("added", ["thesis.tex", "sub/notes.txt"])
def test_an_artefact_with_files_of_somebody_is_not_replaced(tmp_path: Path, added: str) -> None:
    with writing(tmp_path / "result") as aside:
        (aside / "numbers.txt").write_text("1")
    (tmp_path / "result" / added).parent.mkdir(exist_ok=True)
    (tmp_path / "result" / added).write_text("precious")
    with pytest.raises(InputError, match=re.escape(added)), writing(tmp_path / "result"):
        pass
    assert (tmp_path / "result" / added).read_text() == "precious"


def test_a_manifest_of_another_program_is_no_artefact(tmp_path: Path) -> None:
    folder = tmp_path / "web"
    folder.mkdir()
    (folder / "manifest.json").write_text('{"name": "my app", "files": {}}')
    with pytest.raises(InputError, match="exists and is no stored result"), writing(folder):
        pass
    assert (folder / "manifest.json").is_file()


def test_what_a_killed_process_left_is_removed_by_the_next_run(tmp_path: Path) -> None:
    """A conversion that is killed leaves a hidden folder that can hold every person's records."""
    code = (
        "import os, signal, sys; from pathlib import Path; from labor_llm.store.artefacts import writing\n"
        "with writing(Path(sys.argv[1])) as aside:\n"
        "    (aside / 'records.txt').write_text('persons')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "result")], check=False)
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".result.")

    with writing(tmp_path / "result") as own:
        (own / "numbers.txt").write_text("1")
        with writing(tmp_path / "result") as other:  # of a process that is running: left alone
            assert own.is_dir()
            (other / "numbers.txt").write_text("2")

    assert [path.name for path in tmp_path.iterdir()] == ["result"]


@pytest.mark.parametrize("standing", ["folder with other files", "file"])
def test_what_is_no_artefact_is_never_replaced(tmp_path: Path, standing: str) -> None:
    folder = tmp_path / "thesis"
    precious = folder if standing == "file" else folder / "chapter1.tex"
    precious.parent.mkdir(exist_ok=True)
    precious.write_text("precious")
    with pytest.raises(InputError, match="exists and is no stored result"), writing(folder) as aside:
        (aside / "x").write_text("result")
    assert precious.read_text() == "precious"
    assert os.listdir(tmp_path) == ["thesis"]


@pytest.mark.parametrize("name", [".", ".."])
def test_a_result_has_a_folder_of_its_own(name: str) -> None:
    with pytest.raises(InputError, match="name a folder of its own"), writing(Path(name)):
        pass
