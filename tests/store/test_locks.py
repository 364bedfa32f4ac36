import subprocess
import sys
from pathlib import Path

import pytest

from labor_llm.errors import BusyError
from labor_llm.store.results import only_run


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
