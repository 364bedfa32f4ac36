"""Work in shards that a killed run continues and that several processes or machines share.

Every process that runs the same command on the same folder takes the shards that nobody holds, waits for those
that others hold, and ends with all of them:

    KEY/careers-00000020/       a shard that is done: an artefact of its own
    KEY/careers-00000040.lock   held by the process that computes that shard

The lock of a killed process is free at once, and its shard is taken over.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from labor_llm.errors import ArtefactError, disk_space_named
from labor_llm.store.artefacts import verify, writing

Arrays = Mapping[str, np.ndarray]


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
