"""One run at a time in a folder: a lock of the operating system, gone when the last process that holds it ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from labor_llm.errors import BusyError


@contextlib.contextmanager
def only_run(path: Path) -> Iterator[int]:
    """Hold the lock file `path`, which is made if need be, and yield its descriptor.

    A child process that is given the descriptor holds the lock as well, so that work which outlives the
    process that began it is not joined by a second run.

    Raises:
        BusyError: if another run holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise BusyError(
                f"{path.parent}: another run works there ({path.name} is held). Wait for it, or stop it first."
            ) from error
        yield descriptor
    finally:
        # Closing lets go of the lock unless a child still holds it; unlocking would take it from the child too.
        os.close(descriptor)


def unfinished(folder: Path) -> Path:
    """Return the hidden folder beside `folder` in which an unfinished run keeps its work."""
    return folder.with_name(f".{folder.name}.unfinished")


@contextlib.contextmanager
def only_run_into(folder: Path) -> Iterator[Path]:
    """Yield the folder in which an unfinished run into `folder` keeps its work, held for one run.

    It stays if the block fails, so that the run can go on, unless nothing has been stored in it.

    Raises:
        BusyError: if another run holds it.
    """
    working = unfinished(folder)
    lock = working / ".lock"
    with only_run(lock):
        try:
            yield working
        finally:
            if working.is_dir() and set(working.iterdir()) <= {lock}:
                shutil.rmtree(working)
