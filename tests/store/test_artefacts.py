"""Stored results: complete or absent, the earlier one kept on any failure, and never read when damaged."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from labor_llm.errors import ArtefactError
from labor_llm.store.artefacts import atomic_path, checksum_of, sha256, sound, verify, writing
from labor_llm.store.staleness import is_current

Make = Callable[..., Path]


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_manifest_holds_each_file_the_parameters_and_the_inputs(make, tmp_path, artefact):
    titles = tmp_path / "titles.csv"
    titles.write_bytes(b"abc")
    manifest = verify(make(tmp_path / "next", parameters={"x": 2}, inputs={"titles": titles, "p": artefact}))
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    files = {name: stored for name, stored in content(artefact).items() if name != "manifest.json"}
    sums = {name: hashlib.sha256(stored).hexdigest() for name, stored in files.items()}
    assert manifest["files"] == {name: {"bytes": len(files[name]), "sha256": sums[name]} for name in files}
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
def test_a_failure_inside_leaves_the_earlier_artefact_or_file_and_nothing_else(artefact, failure):
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
    assert os.listdir(path.parent) == ["table.csv"]
    assert sorted(os.listdir(artefact.parent)) == ["folder", "made"]


FULL_DISK = """
import resource
from labor_llm.errors import ResourceError
wait()
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
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
        "with writing(folder) as aside: np.save(aside / 'log_probs.npy', np.zeros(100_000))",
    ],
)
def test_a_full_disk_is_one_message_and_the_earlier_artefact_stays(process, artefact, work):
    before = content(artefact)
    with process(FULL_DISK.format(work=work), artefact) as run:
        said, _ = run.communicate("\n")
    assert run.returncode == 6 and said.startswith(str(artefact))
    assert "could not be written, no space left" in said
    assert "MiB are free there. Earlier results are untouched." in said
    assert content(artefact) == before
    assert os.listdir(artefact.parent) == ["made"]
    verify(artefact)


BETWEEN_THE_RENAMES = """
renamed = os.rename
def rename(source, target):
    renamed(source, target)
    wait()
os.rename = rename
with writing(folder) as aside:
    (aside / "only.txt").write_bytes(b"new")
"""


@pytest.mark.parametrize(
    "then", ["read", "read over an empty folder", "a writing fails", "a new one arrives"]
)
def test_a_process_that_is_killed_between_its_two_renames_loses_nothing(process, make, artefact, then):
    before, folder = content(artefact), artefact.parent
    with process(BETWEEN_THE_RENAMES, artefact) as run:
        # What a running process moves is left to it.
        with pytest.raises(ArtefactError, match="does not exist"):
            verify(artefact)
        assert [name[:6] for name in os.listdir(folder)] == [".made."]
        run.kill()
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


@pytest.mark.parametrize("name", ["numbers.csv", "deep/matrix.bin"])
def test_every_altered_byte_and_every_other_length_is_refused_by_name(make, tmp_path, artefact, name):
    path = artefact / name
    original = path.read_bytes()

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


def test_every_cut_and_altered_byte_of_the_manifest_is_refused(artefact):
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
def test_what_is_no_artefact_is_refused(tmp_path, text, message):
    if text != "absent":
        (tmp_path / "x").mkdir()
    if text not in (None, "absent"):
        (tmp_path / "x" / "manifest.json").write_text(text)
    with pytest.raises(ArtefactError, match=message):
        verify(tmp_path / "x")
