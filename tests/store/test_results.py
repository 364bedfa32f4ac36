"""Who may work on a result, what becomes of unfinished work, and that what is current is not made again."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from labor_llm.errors import BusyError, InputError, MismatchError
from labor_llm.store.artefacts import verify, writing
from labor_llm.store.results import (
    Results,
    discard_finished,
    in_shards,
    only_run,
    open_results,
    project_root,
    stored,
    unfinished,
    work_into,
)

ALONE = "other careers"


def busy(folder: Path, identity: str, alone: str = "") -> str:
    with pytest.raises(BusyError) as refused, work_into(folder, identity, alone):
        pass
    return str(refused.value)


def test_results_lie_where_they_are_said_to():
    folders = open_results("results/x")
    assert folders == Results(project_root() / "results/x")
    assert (project_root() / "pyproject.toml").is_file()
    assert folders.panel("d") == folders.root / "d" / "panel"
    assert folders.model("d", "m") == folders.root / "d" / "models" / "m"
    assert open_results("/elsewhere/x").root == Path("/elsewhere/x")


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


def test_what_is_current_is_read_and_anything_else_made_again(tmp_path):
    work, panel = Work(tmp_path / "result"), tmp_path / "panel.csv"
    panel.write_text("a")
    assert [work.result(inputs={"panel": panel}), work.result(), work.made] == [1, 1, 1]
    manifest = verify(work.folder)
    assert manifest["parameters"] == {"identity": "mine", "seed": 3}
    assert set(manifest["inputs"]) == {"panel"}
    other = Work(work.folder, 2)
    with pytest.raises(InputError, match="a finished result that other options, careers or weights made"):
        other.result("another", replace=False)
    assert (work.result(replace=False), other.made) == (1, 0)
    assert other.result("another") == other.result("another", replace=False) == 2
    assert other.made == 1
    (work.folder / "number.json").write_text("7")  # damaged
    assert other.result("another") == 2
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["result"]


def test_a_result_that_another_run_has_stored_meanwhile_is_not_overwritten(tmp_path):
    first, second = Work(tmp_path / "result"), Work(tmp_path / "result", 2)

    def make(working: Path) -> tuple[int, dict[str, int]]:
        assert first.result() == 1  # the same identity, so the work is shared
        with pytest.raises(BusyError, match="a run with another model"):
            first.result("another")
        return 2, {}

    second.make = make
    assert second.result() == 2
    assert Work(tmp_path / "result").result() == 1


def test_work_that_failed_stays_and_nothing_else_is_taken_for_it(tmp_path):
    folder = tmp_path / "model"

    def interrupted(identity: str, content: str, alone: str = ALONE) -> None:
        with pytest.raises(KeyboardInterrupt), work_into(folder, identity, alone) as working:
            if content:
                (working / "state").write_text(content)
            raise KeyboardInterrupt

    for alone in (ALONE, ""):
        interrupted("one", "", alone)
        assert not list(tmp_path.iterdir()), "nothing had been stored"
    interrupted("one", "half")
    refused = r"\.model\.unfinished: holds an unfinished run with other careers\. Finish it as it was begun"
    with pytest.raises(MismatchError, match=refused), work_into(folder, "two", ALONE):
        pass
    kept = unfinished(folder) / "state"
    with work_into(folder, "one", ALONE) as working:
        assert kept.read_text() == "half"
        assert "another run works there (.lock is held)" in busy(folder, "one", ALONE)
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


def test_a_second_run_is_refused_also_by_a_child_that_outlives_the_first(tmp_path):
    with only_run(tmp_path / ".lock") as descriptor:
        with pytest.raises(BusyError, match="another run works there"), only_run(tmp_path / ".lock"):
            pass
        waiting = [sys.executable, "-c", "input()"]
        child = subprocess.Popen(waiting, stdin=subprocess.PIPE, pass_fds=[descriptor])
    try:
        with pytest.raises(BusyError), only_run(tmp_path / ".lock"):
            pass
    finally:
        child.communicate(b"\n")
    with only_run(tmp_path / ".lock"):
        pass


def test_the_same_work_is_shared_and_other_work_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = Path("result")
    with pytest.raises(KeyboardInterrupt), work_into(result, "one") as first:
        with pytest.raises(KeyboardInterrupt), work_into(result, "one") as second:
            assert first == second
            assert busy(result, "two").startswith(
                "result: a run with another model, other careers or other options works on it now."
            )
            collected(second / "one")
            raise KeyboardInterrupt
        assert first.is_dir()  # the first run still works there
        raise KeyboardInterrupt
    assert first.is_dir()  # a shard is stored and the result is not: the work can go on
    # Nobody is at work any more.
    with work_into(result, "two"), writing(result, {"identity": "two"}):
        pass
    assert not first.exists()


# Shards.


def numbered(item: int) -> dict[str, np.ndarray]:
    return {"numbers": np.array([item])}


def collected(folder: Path, compute: Callable = numbered, number: int = 50) -> list[int]:
    """What is found of so many items, in shards that begin with 0, 20, 40, ..."""
    return in_shards(folder, number, compute, "counting", "item")["numbers"].tolist()


DIVIDED = """
mine = []
def compute(item):
    mine.append(item)
    return {"n": np.array([item])}
def make(working):
    wait()
    return in_shards(working / "key", 790, compute, "counting", "item")["n"].tolist(), {}
def write(folder, result, parameters, inputs):
    with writing(folder, parameters, inputs) as aside:
        (aside / "result.json").write_text(json.dumps(result))
result = stored(folder, "one", make, None, write)
print(json.dumps([mine, result]))
"""


def test_two_processes_divide_the_work_and_end_with_the_whole(process, tmp_path):
    with process(DIVIDED, tmp_path / "result") as one, process(DIVIDED, tmp_path / "result") as other:
        for run in (one, other):
            run.stdin.write("\n")
            run.stdin.flush()
        said = [json.loads(run.communicate()[0].splitlines()[-1]) for run in (one, other)]
    computed, results = zip(*said, strict=True)
    assert sorted(computed[0] + computed[1]) == list(range(790))
    assert results == (list(range(790)),) * 2
    assert os.listdir(tmp_path) == ["result"]


HOLDING = """
with work_into(folder, "one") as working:
    shard = working / "key" / "careers-00000020.lock"
    shard.parent.mkdir()
    with FileLock(shard):
        wait()
"""


def test_a_killed_process_holds_neither_the_folder_nor_its_shard(process, tmp_path):
    order: list[int] = []
    with process(HOLDING, tmp_path / "result") as holder:
        busy(tmp_path / "result", "two")

        def compute(item: int) -> dict[str, np.ndarray]:
            order.append(item)
            if item == 40:  # everything that is free is done; now the holder dies
                holder.kill()
            return numbered(item)

        with work_into(tmp_path / "result", "one") as working:
            assert collected(working / "key", compute) == list(range(50))
        holder.wait()
    assert order == [*range(20), *range(40, 50), *range(20, 40)]
    with work_into(tmp_path / "result", "two"):
        pass


def test_what_another_has_stored_is_not_computed(tmp_path):
    def compute(item: int) -> dict[str, np.ndarray]:
        return {"numbers": np.array([-1])}

    collected(tmp_path / "key", number=40)
    assert collected(tmp_path / "key", compute) == [*range(40), *[-1] * 10]
    (tmp_path / "key" / "careers-00000020" / "numbers.npy").write_bytes(b"damaged")
    assert collected(tmp_path / "key", compute) == [*range(20), *[-1] * 30]
    assert collected(tmp_path / "other key", compute) == [-1] * 50
