"""Programs that are forks of a process with libraries behave as those that Python starts."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from labor_llm.workflow.forkserver import START
from labor_llm.workflow.start import ADDRESS
from labor_llm.workflow.stopping import lives

PROGRAM = """\
import os, sys, time
print(os.getpid(), os.getcwd(), os.environ["WORD"], sys.argv[1:], "torch" in sys.modules, flush=True)
if "wait" in sys.argv:
    time.sleep(60)
if "die" in sys.argv:
    os.kill(os.getpid(), 9)
raise SystemExit(7)
"""


@pytest.fixture
def started(tmp_path: Path, fork_server_address: str):
    """Return a function that starts the program, plainly if it is told so."""
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")

    def start(*arguments: str, forked: bool = True) -> subprocess.Popen[str]:
        environment = {**os.environ, "WORD": "a word", ADDRESS: fork_server_address if forked else "/nowhere"}
        command = [*START, "-m", "program", *arguments]
        return subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)

    return start


@pytest.mark.parametrize("forked", [True, False])
def test_a_program_has_its_folder_environment_arguments_and_streams(started, tmp_path, forked):
    process = started("x", "y z", forked=forked)
    said, _ = process.communicate(timeout=240)
    assert said.split(" ", 1)[1] == f"{tmp_path} a word ['x', 'y z'] {forked}\n"
    assert process.returncode == 7


def test_a_killed_program_is_a_killed_starter(started):
    process = started("die")
    process.communicate(timeout=240)
    assert process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_program_ends_with_its_starter(started, number):
    process = started("wait")
    program = psutil.Process(int(process.stdout.readline().split()[0]))
    process.send_signal(number)
    assert process.wait(timeout=10) == -signal.SIGKILL
    while lives(program):
        time.sleep(0.1)
