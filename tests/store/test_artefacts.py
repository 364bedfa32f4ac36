"""Stored results: complete or absent, the earlier one kept on any failure, and never read when damaged."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from labor_llm.errors import ArtefactError
from labor_llm.store.artefacts import atomic_path, checksum_of, sha256, sound, verify, writing
from labor_llm.store.staleness import is_current

FILES = {"numbers.csv": b"year,wage\n1980,7.25\n", "deep/matrix.bin": bytes(range(64))}


def make(folder: Path, files: dict[str, bytes] = FILES, **kwargs: object) -> Path:
    with writing(folder, **kwargs) as aside:
        for name, content in files.items():
            (aside / name).parent.mkdir(exist_ok=True)
            (aside / name).write_bytes(content)
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def artefact(tmp_path: Path) -> Path:
    return make(tmp_path / "made", parameters={"seed": 1, "identity": "mine"})


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
    # An artefact's checksum is that of its files alone.
    other = make(tmp_path / "other", {"numbers.csv": b"year,wage\n1980,7.26\n"})
    assert checksum_of(tmp_path / "next") == checksum_of(artefact) != checksum_of(other)
    make(other, {"only.txt": b"new"})
    assert set(content(other)) == {"only.txt", "manifest.json"}, "the old one is replaced whole"


# A killed or failed run.


class Killed(BaseException):
    """Like KeyboardInterrupt: no `except Exception` catches it."""


@pytest.mark.parametrize("failure", [ValueError, Killed])
def test_a_failure_inside_leaves_the_earlier_artefact_or_file_and_nothing_else(
    artefact: Path, failure: type[BaseException]
) -> None:
    before = content(artefact)
    with pytest.raises(failure), writing(artefact) as aside:
        (aside / "numbers.csv").write_bytes(b"half")
        assert content(artefact) == before
        raise failure
    with pytest.raises(failure), writing(artefact.with_name("other")):
        raise failure
    assert content(artefact) == before
    path = artefact.parent / "folder" / "table.csv"
    with atomic_path(path) as aside:
        aside.write_text("old")
        assert not path.exists()
        assert (aside.parent.parent, aside.name) == (path.parent, "table.csv")
    with pytest.raises(failure), atomic_path(path) as aside:
        aside.write_text("half")
        raise failure
    assert path.read_text() == "old"
    assert (os.listdir(path.parent), sorted(os.listdir(artefact.parent))) == (
        ["table.csv"],
        ["folder", "made"],
    )


PROGRAM = """
import os, resource, sys
from pathlib import Path
from labor_llm.errors import ResourceError
from labor_llm.store.artefacts import atomic_path, writing
folder = Path(sys.argv[1])

def full_disk():
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
"""


def run(folder: Path, program: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM + program, str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


FULL_DISK = """
full_disk()
try:
    {work}
except ResourceError as error:
    print(error)
    sys.exit(error.exit_code)
"""


@pytest.mark.parametrize(
    "work",
    [
        "with atomic_path(folder.with_name('made.csv')) as aside: aside.write_bytes(bytes(200_000))",
        "with writing(folder) as aside: (aside / 'numbers.csv').write_bytes(bytes(200_000))",
        "import numpy\n    with writing(folder) as aside: numpy.save(aside / 'log_probs.npy', numpy.zeros(100_000))",
    ],
)
def test_a_full_disk_is_one_message_and_the_earlier_artefact_stays(artefact: Path, work: str) -> None:
    before = content(artefact)
    done = run(artefact, FULL_DISK.format(work=work))
    assert (done.returncode, done.stderr) == (6, "")
    assert "could not be written, no space left" in done.stdout
    assert "MiB are free there. Earlier results are untouched." in done.stdout
    assert done.stdout.startswith(str(artefact))
    assert content(artefact) == before
    assert os.listdir(artefact.parent) == ["made"]
    verify(artefact)


BETWEEN_THE_RENAMES = """
renamed = os.rename
def rename(source, target):
    renamed(source, target)
    print("ready", flush=True)
    input()
os.rename = rename
with writing(folder) as aside:
    (aside / "only.txt").write_bytes(b"new")
"""


@pytest.mark.parametrize(
    "then", ["read", "read over an empty folder", "a writing fails", "a new one arrives"]
)
def test_a_process_that_is_killed_between_its_two_renames_loses_nothing(artefact: Path, then: str) -> None:
    before, folder = content(artefact), artefact.parent
    command = [sys.executable, "-c", PROGRAM + BETWEEN_THE_RENAMES, str(artefact)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        # What a running process moves is left to it.
        with pytest.raises(ArtefactError, match="does not exist"):
            verify(artefact)
        assert [name[:6] for name in os.listdir(folder)] == [".made."]
        process.kill()
    if then == "read over an empty folder":
        artefact.mkdir()
    if then == "a writing fails":
        with pytest.raises(ValueError, match="no"), writing(artefact):
            raise ValueError("no")
    if then == "a new one arrives":
        os.rename(make(folder / "new"), artefact)
        before = content(make(artefact, {"only.txt": b"newer"}))
    else:
        assert is_current(artefact, "mine")
    assert content(artefact) == before
    make(artefact)
    assert os.listdir(folder) == ["made"]


# Damage.


@pytest.mark.parametrize("name", FILES)
def test_every_altered_byte_and_every_other_length_is_refused_by_name(
    tmp_path: Path, artefact: Path, name: str
) -> None:
    path, original = artefact / name, FILES[name]

    def refusal(changed: bytes) -> str:
        path.write_bytes(changed)
        with pytest.raises(ArtefactError) as refused:
            verify(artefact)
        return str(refused.value)

    for changed in [original[:length] for length in range(len(original))] + [original + b"\n"]:
        expected = f"{path}: {len(changed)} bytes found, {len(original)} written. The file was cut or changed"
        assert refusal(changed).startswith(expected)
    for position in range(len(original)):
        altered = bytearray(original)
        altered[position] ^= 1 << position % 8
        assert refusal(bytes(altered)).startswith(f"{path}: its sha256 differs"), position
    # What was changed stops the artefact that is made from it.
    with pytest.raises(ArtefactError, match="its sha256 differs"):
        make(tmp_path / "next", inputs={"panel": artefact})
    assert os.listdir(tmp_path) == ["made"]
    path.unlink()
    with pytest.raises(ArtefactError, match=rf"made/{name}: listed in manifest\.json but missing\. Remove "):
        verify(artefact)


def test_every_cut_and_altered_byte_of_the_manifest_is_refused(artefact: Path) -> None:
    """The manifest holds parameters that readers use (the survey's name), so it must not change either."""
    path = artefact / "manifest.json"
    original = path.read_bytes()
    for length in range(0, len(original) - 1, 7):
        path.write_bytes(original[:length])
        with pytest.raises(ArtefactError, match=r"manifest\.json: not readable as a manifest"):
            verify(artefact)
    said = json.loads(original)
    for position in range(len(original)):
        altered = bytearray(original)
        altered[position] ^= 1
        path.write_bytes(altered)
        # Blanks between the values may change; what the manifest says may not.
        assert sound(artefact) is None or json.loads(altered) == said, f"byte {position}"


@pytest.mark.parametrize(
    ("text", "message"),
    [(text, r"x/manifest\.json: not readable as a manifest") for text in ("[]", "{}", '{"files": {"x": 1}}', "1")]
    + [(None, "x: has no manifest.json: it is not a finished result"), ("absent", "x: does not exist. Run the step")],
)  # fmt: skip
def test_what_is_no_artefact_is_refused(tmp_path: Path, text: str | None, message: str) -> None:
    if text != "absent":
        (tmp_path / "x").mkdir()
    if text not in (None, "absent"):
        (tmp_path / "x" / "manifest.json").write_text(text)
    with pytest.raises(ArtefactError, match=message):
        verify(tmp_path / "x")
