"""A run that is ended from outside takes along what it has started, tidies up and says so by its exit status."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from labor_llm.workflow.stopping import STARTER, lives

pytestmark = pytest.mark.timeout(300)

PROGRAM = """
import hashlib, os, signal, subprocess, sys, time
from labor_llm.workflow import stopping

stubborn = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
stopping._SECONDS_FOR_CHILDREN = 0.5
if "computes" in sys.argv:
    stopping._SECONDS_IN_ALL = 1.0
stopping.end_in_order()
# A session of its own, as kernels and forks have, and a child that nothing but force ends.
middle = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {stubborn!r}])"
child = subprocess.Popen([sys.executable, "-c", middle], start_new_session=True, stdout=subprocess.PIPE)
child.stdout.readline()
print("ready", flush=True)
try:
    if "computes" in sys.argv:
        hashlib.pbkdf2_hmac("sha512", b"", b"", 10**9)
    time.sleep(60)
finally:
    print("tidied up", flush=True)
"""


def started(*arguments: str, **environment: str) -> tuple[subprocess.Popen[str], list[psutil.Process]]:
    """Start the program; return it and all its processes."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, **environment},
    )  # fmt: skip
    assert process.stdout.readline() == "ready\n"
    family = psutil.Process(process.pid).children(recursive=True)
    assert len(family) == 2
    return process, family


def await_end(family: list[psutil.Process]) -> None:
    while any(map(lives, family)):
        time.sleep(0.1)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_run_ends_in_order_with_all_that_it_has_started(number: int, status: int) -> None:
    process, family = started()
    process.send_signal(number)
    said, error = process.communicate(timeout=10)
    assert (process.returncode, said) == (status, "tidied up\n")
    assert error == f"labor-llm: ended by {number.name}. The same command goes on from what is stored.\n"
    await_end(family)


def test_a_run_ends_while_a_library_computes() -> None:
    process, _ = started("computes")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=10)
    assert process.returncode == 143


def test_a_run_ends_when_what_started_it_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as starter:
        process, family = started(**{STARTER: str(starter.pid)})
        time.sleep(1)
        assert process.poll() is None
        starter.kill()
        said, error = process.communicate(timeout=10)
    assert (process.returncode, said, error) == (143, "tidied up\n", "")
    await_end(family)


def test_what_was_asked_to_outlive_its_terminal_does() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        process, family = started()
    finally:
        signal.signal(signal.SIGHUP, before)
    process.send_signal(signal.SIGHUP)
    time.sleep(0.5)
    assert process.poll() is None
    process.terminate()
    process.communicate(timeout=10)
    await_end(family)


NOTEBOOK = """\
{"cells": [
 {"cell_type": "code", "id": "a", "metadata": {"tags": ["parameters"]}, "source": "seed: int = 1", "outputs": [],
  "execution_count": null},
 {"cell_type": "code", "id": "b", "metadata": {}, "outputs": [], "execution_count": null,
  "source": "import os, time; open('SAYS', 'w').write(str(os.getpid())); time.sleep(600)"}
], "metadata": {"labor_llm": {}, "kernelspec": {"name": "python3", "display_name": "", "language": "python"}},
 "nbformat": 4, "nbformat_minor": 5}
"""


@pytest.fixture
def interruptible() -> Iterator[None]:
    """A shell has what it starts in the background ignore interrupts, and programs inherit that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
@pytest.mark.parametrize("module", ["labor_llm.commands.main notebook", "papermill"])
def test_a_notebook_ends_with_its_kernel_and_leaves_nothing(
    tmp_path: Path, fork_server_address: str, module: str, number: int
) -> None:
    (tmp_path / "in.ipynb").write_text(NOTEBOOK.replace("SAYS", str(tmp_path / "kernel")))
    command = [sys.executable, "-m", *module.split(), "in.ipynb", "out.ipynb"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        while not (tmp_path / "kernel").exists() or not (tmp_path / "kernel").read_text():
            time.sleep(0.1)
        kernel = psutil.Process(int((tmp_path / "kernel").read_text()))
        process.send_signal(number)
        _, said = process.communicate(timeout=10)
    await_end([kernel])
    assert "memory" not in said
    if module != "papermill":
        assert process.returncode == 128 + number
        assert "Traceback" not in said
        assert sorted(os.listdir(tmp_path)) == ["in.ipynb", "kernel"]
