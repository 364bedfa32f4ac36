"""Who may work on a result, what becomes of unfinished work, and that what is current is not made again."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from labor_llm.errors import BusyError, InputError, MismatchError
from labor_llm.store.artefacts import verify, writing
from labor_llm.store.results import (
    discard_finished,
    only_run,
    only_run_into,
    shared_by_runs,
    stored,
    unfinished,
)
from labor_llm.store.shards import Shards


class Work:
    """A result that is a number; how often it was made, and what else happens meanwhile."""

    def __init__(self, folder: Path, number: int = 1) -> None:
        self.folder, self.number, self.made = folder, number, 0

    def make(self, working: Path) -> tuple[int, dict[str, int]]:
        self.made += 1
        return self.number, {"seed": 3}

    def write(self, folder: Path, number: int, parameters: dict, inputs: Mapping[str, Path] | None) -> None:
        with writing(folder, parameters, inputs) as aside:
            (aside / "number.json").write_text(json.dumps(number))

    def result(self, identity: str = "mine", **options: object) -> int:
        def read(folder: Path) -> int:
            verify(folder)
            return json.loads((folder / "number.json").read_text())

        return stored(self.folder, identity, self.make, read, self.write, **options)


def test_what_is_current_is_read_and_anything_else_made_again(tmp_path: Path) -> None:
    work, panel = Work(tmp_path / "result"), tmp_path / "panel.csv"
    panel.write_text("a")
    assert [work.result(inputs={"panel": panel}), work.result()] == [1, 1]
    assert work.made == 1
    manifest = verify(work.folder)
    assert manifest["parameters"] == {"identity": "mine", "seed": 3}
    assert set(manifest["inputs"]) == {"panel"}
    other = Work(work.folder, 2)
    with pytest.raises(
        InputError, match="holds a finished result that other options, careers or weights made"
    ):
        other.result("another", replace=False)
    assert (work.result(replace=False), other.made) == (1, 0)
    assert other.result("another") == other.result("another", replace=False) == 2
    assert other.made == 1
    (work.folder / "number.json").write_text("7")  # damaged
    assert other.result("another") == 2
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["result"]


def test_a_result_that_another_run_has_stored_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    first, second = Work(tmp_path / "result"), Work(tmp_path / "result", 2)

    def make(working: Path) -> tuple[int, dict[str, int]]:
        assert first.result() == 1  # the same identity, so the work is shared
        with pytest.raises(BusyError, match="a run with another model"):
            first.result("another")
        return 2, {}

    second.make = make
    assert second.result() == 2
    assert Work(tmp_path / "result").result() == 1


def test_work_that_failed_stays_and_nothing_else_is_taken_for_it(tmp_path: Path) -> None:
    folder = tmp_path / "model"

    def interrupted(identity: str, content: str) -> None:
        with pytest.raises(KeyboardInterrupt), only_run_into(folder, identity, "other careers") as working:
            if content:
                (working / "state").write_text(content)
            raise KeyboardInterrupt

    interrupted("one", "")
    assert not list(tmp_path.iterdir()), "nothing had been stored"
    interrupted("one", "half")
    with (
        pytest.raises(
            MismatchError, match=r"\.model\.unfinished: holds an unfinished run with other careers\. Finish"
        ),
        only_run_into(folder, "two", "other careers"),
    ):
        pass
    kept = unfinished(folder) / "state"
    with only_run_into(folder, "one", "other careers") as working:
        assert kept.read_text() == "half"
        with pytest.raises(BusyError), only_run_into(folder, "one", "other careers"):
            pass
        (working / "folder").mkdir()
    assert not list(tmp_path.iterdir()), "a run that ends leaves nothing"
    interrupted("one", "half")
    with writing(folder, {"identity": "one"}):
        pass
    with only_run(kept.with_name(".lock")):
        discard_finished(folder)
        assert kept.is_file(), "a run works there"
    discard_finished(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_second_run_is_refused_and_a_later_one_is_not(tmp_path: Path) -> None:
    first, second = only_run(tmp_path / ".lock"), only_run(tmp_path / ".lock")
    with first, pytest.raises(BusyError, match="another run works there"), second:
        pass
    with only_run(tmp_path / ".lock"):
        pass


def test_a_child_that_outlives_its_parent_still_holds_the_lock(tmp_path: Path) -> None:
    with only_run(tmp_path / ".lock") as descriptor:
        waiting = [sys.executable, "-c", "input()"]
        child = subprocess.Popen(waiting, stdin=subprocess.PIPE, pass_fds=[descriptor])
    try:
        with pytest.raises(BusyError), only_run(tmp_path / ".lock"):
            pass
    finally:
        child.communicate(b"\n")
    with only_run(tmp_path / ".lock"):
        pass


def test_the_same_work_is_shared_and_other_work_refused(tmp_path: Path) -> None:
    result = tmp_path / "result"
    with shared_by_runs(result, "one") as first:
        with shared_by_runs(result, "one") as second:
            assert first == second
            with pytest.raises(BusyError, match="a run with another model, other careers or other options"):
                shared_by_runs(result, "two").__enter__()
            Shards(second, "key").collect([0], lambda start: {"n": np.zeros(1)}, lambda start: None)
        assert first.is_dir()  # the first run still works there
    assert first.is_dir()  # a shard is stored and the result is not: the work can go on
    # Nobody is at work any more.
    with shared_by_runs(result, "two"), writing(result, {"identity": "two"}):
        pass
    assert not first.exists()


def test_a_busy_folder_is_named_as_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with (
        shared_by_runs(Path("result"), "one"),
        pytest.raises(BusyError, match=r"^result: a run with another"),
    ):
        shared_by_runs(Path("result"), "two").__enter__()


def test_a_run_that_stored_nothing_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), shared_by_runs(tmp_path / "result", "one"):
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_a_killed_run_does_not_hold_the_folder(tmp_path: Path) -> None:
    working = (
        "import sys; from pathlib import Path; from labor_llm.store.results import shared_by_runs\n"
        "with shared_by_runs(Path(sys.argv[1]), 'one'):\n    print('held', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", working, str(tmp_path / "result")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as run:
        assert run.stdout is not None
        run.stdout.readline()
        with pytest.raises(BusyError):
            shared_by_runs(tmp_path / "result", "two").__enter__()
        run.kill()
        run.wait()
    with shared_by_runs(tmp_path / "result", "two"):
        pass
