"""Checksums of the files of a model, which are large: each is read once a process, unless it changes.

A file counts as unchanged while its path, size, time of last change and inode are. A file that was written within
the last seconds is always read, as the clock of a file system may not tell two writes apart.
"""

from __future__ import annotations

import time
from pathlib import Path

from labor_llm.artefacts import MANIFEST, sha256, verify

_SETTLED_SECONDS = 5.0
_State = tuple[tuple[str, int, int, int], ...]
_checksums: dict[_State, str] = {}
_sound: set[_State] = set()


def file_checksum(path: Path) -> str:
    """Return the sha256 of a file, remembered while the file does not change."""
    state = _state([path])
    if state not in _checksums or not _settled(state):
        _checksums[state] = sha256(path)
    return _checksums[state]


def verify_model(folder: Path) -> None:
    """Check a model that was stored as an artefact against its checksums, once a process while nothing changes.

    Raises:
        ArtefactError: if a file is missing or was altered; names it.
    """
    state = _state(sorted(path for path in folder.rglob("*") if path.is_file()))
    if state not in _sound or not _settled(state):
        verify(folder)
        _sound.add(state)


def is_sound(folder: Path) -> bool:
    """Tell whether this process has verified the folder and nothing in it has changed since."""
    if not (folder / MANIFEST).is_file():
        return False
    state = _state(sorted(path for path in folder.rglob("*") if path.is_file()))
    return state in _sound and _settled(state)


def _state(paths: list[Path]) -> _State:
    found = []
    for path in paths:
        status = path.stat()
        found.append((str(path.resolve()), status.st_size, status.st_mtime_ns, status.st_ino))
    return tuple(found)


def _settled(state: _State) -> bool:
    return all(time.time() - changed / 1e9 > _SETTLED_SECONDS for _, _, changed, _ in state)
