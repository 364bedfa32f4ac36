"""Work in shards that a killed run continues and that several processes or machines share.

Every process that runs the same command on the same folder takes the shards that nobody holds, waits for those
that others hold, and ends with all of them:

    .NAME.unfinished/.lock                       held, shared, by every process at work; says which work it is
    .NAME.unfinished/KEY/careers-00000020/       a shard that is done: an artefact of its own
    .NAME.unfinished/KEY/careers-00000040.lock   held by the process that computes that shard

The locks are the operating system's (flock), so those of a killed process are free at once and its shard is taken
over. Over a network the file system must carry flock (NFS 4, Lustre mounted with `flock`, GPFS).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from labor_llm.errors import ArtefactError, BusyError, disk_space_named
from labor_llm.store.artefacts import is_current, verify, writing

_LOCK = ".lock"
Arrays = Mapping[str, np.ndarray]


@contextlib.contextmanager
def shared_by_runs(folder: Path, identity: str) -> Iterator[Path]:
    """Yield the hidden folder beside `folder` in which runs of one and the same work share their shards.

    The last process that leaves removes it if the result of this identity stands at `folder`, or nothing has been
    stored; otherwise it stays, so that the work can go on.

    Args:
        folder: where the result will stand.
        identity: what the work is; also the `identity` in the parameters of the result.

    Raises:
        BusyError: if a run of another identity works there.
    """
    working = folder.with_name(f".{folder.name}.unfinished")
    descriptor = _join(folder, working, identity)
    try:
        yield working
    finally:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            pass  # Others are at work; the last of them cleans up.
        else:
            if is_current(folder, identity) or not any(working.glob("*/*/")):
                shutil.rmtree(working, ignore_errors=True)
        finally:
            os.close(descriptor)


def _join(folder: Path, working: Path, identity: str) -> int:
    """Hold the working folder's lock together with runs of the same identity; return its descriptor."""
    while True:
        working.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(working / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        except FileNotFoundError:
            continue  # The last run has just removed the folder.
        try:
            with contextlib.suppress(BlockingIOError):
                # Nobody else is there: say which work this is. Who finds somebody there reads what it is.
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, identity.encode(), 0)
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            if not _still_there(descriptor, working / _LOCK):
                os.close(descriptor)
                continue
            # Between the two locks another run may have come in, so the one that is there now is asked for.
            if os.pread(descriptor, len(identity) + 1, 0) != identity.encode():
                raise BusyError(
                    f"{folder}: a run with another model, other careers or other options works on it now. Wait "
                    "for it, stop it, or name another folder; only runs of the same command, code and number of "
                    "threads share their work."
                )
        except BaseException:
            with contextlib.suppress(OSError):
                os.close(descriptor)
            raise
        return descriptor


def _still_there(descriptor: int, path: Path) -> bool:
    """Tell whether the locked file is the one at `path`, not one that was removed meanwhile."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


class Shards:
    """The shards of one piece of work, each a few named arrays.

    Args:
        folder: where they are stored; None to store nothing.
        key: what they depend on; work with another key never meets them.
    """

    def __init__(self, folder: Path | None, key: str) -> None:
        self._folder = folder / key if folder else None

    def collect(
        self, starts: list[int], compute: Callable[[int], Arrays], found: Callable[[int], None]
    ) -> list[Arrays]:
        """Return all shards in order: computed here, or by others, or stored before.

        Args:
            starts: what each shard begins with; its name.
            compute: computes the shard of a start.
            found: told the start of each shard that was not computed here.

        Raises:
            ResourceError: if there is no space left.
        """
        if self._folder is None:
            return [compute(start) for start in starts]
        with disk_space_named(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
        done: dict[int, Arrays] = {}
        # First what nobody is at, then what others hold: their locks come free when they are done or dead.
        for seconds in (0, -1):
            for start in [start for start in starts if start not in done]:
                with contextlib.suppress(Timeout):
                    done[start] = self._one(start, compute, found, seconds)
        return [done[start] for start in starts]

    def _one(
        self, start: int, compute: Callable[[int], Arrays], found: Callable[[int], None], seconds: float
    ) -> Arrays:
        folder = self._path(start)
        stored = _read(folder)
        if stored is None:
            with FileLock(folder.with_suffix(".lock"), timeout=seconds):
                stored = _read(folder)
                if stored is None:
                    computed = compute(start)
                    with writing(folder) as aside:
                        for name, array in computed.items():
                            np.save(aside / f"{name}.npy", array, allow_pickle=False)
                    return computed
        found(start)
        return stored

    def _path(self, start: int) -> Path:
        assert self._folder is not None  # noqa: S101
        return self._folder / f"careers-{start:08d}"


def _read(shard: Path) -> Arrays | None:
    """Return a stored shard, or None if it is absent or damaged: it is then computed again."""
    try:
        names = verify(shard)["files"]
    except ArtefactError:
        return None
    return {Path(name).stem: np.load(shard / name, allow_pickle=False) for name in names}
