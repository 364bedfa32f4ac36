"""Artefacts to be spoilt, and processes that are killed while they write one."""

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labor_llm.store.artefacts import writing

FILES = {"numbers.csv": b"year,wage\n1980,7.25\n", "deep/matrix.bin": bytes(range(64))}
_HEAD = """
import json, os, sys
from pathlib import Path
import numpy as np
from filelock import FileLock
from labor_llm.store.artefacts import atomic_path, writing
from labor_llm.store.results import in_shards, stored, work_into
folder = Path(sys.argv[1])

def wait():
    print("ready", flush=True)
    input()
"""
Make = Callable[..., Path]


@pytest.fixture(scope="session")
def make() -> Make:
    def made(folder: Path, files: dict[str, bytes] = FILES, **given: object) -> Path:
        with writing(folder, **given) as aside:
            for name, content in files.items():
                (aside / name).parent.mkdir(exist_ok=True)
                (aside / name).write_bytes(content)
        return folder

    return made


@pytest.fixture
def artefact(make: Make, tmp_path: Path) -> Path:
    return make(tmp_path / "made", parameters={"seed": 1, "identity": "mine"})


@pytest.fixture(scope="session")
def process() -> Callable[[str, Path], contextlib.AbstractContextManager[subprocess.Popen]]:
    """A Python process that works on a folder and has come to `wait()`."""

    @contextlib.contextmanager
    def begun(program: str, folder: Path) -> Iterator[subprocess.Popen]:
        command = [sys.executable, "-c", _HEAD + program, str(folder)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as run:
            assert run.stdout.readline() == "ready\n"
            yield run

    return begun
