"""The place of an output: what it may take the place of, and the hidden folder beside it in which it is written.

An output replaces nothing, or its like that this package made; a link, a device or a file of somebody is left alone.
What is being written stands in `.NAME.XXXXXXXX`, whose lock (flock) its process holds: once that is dead, on whatever
machine or in whatever container it was, the next one removes what it has left, as it can hold persons' records.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import glob
import json
import logging
import os
import re
import shutil
import stat
import uuid
from collections.abc import Collection, Iterator
from pathlib import Path

from labor_llm.errors import InputError

MANIFEST = "manifest.json"
RETIRED = ".retired"
"""In the hidden folder: what the new result takes the place of, for the moment between two renames."""
_LOCK = ".lock"
_KINDS = {
    stat.S_IFDIR: "a folder", stat.S_IFREG: "a file", stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket",
}  # fmt: skip
# What file managers, editors, office programs and network shares leave in any folder that they meet.
_LEFT_BEHIND = re.compile(
    r"\.DS_Store|\._.*|Icon\r|\.directory|Thumbs\.db|ehthumbs\.db|desktop\.ini|@eaDir|.*~|#.*#|\.#.*|.*\.sw[a-p]"
    r"|~\$.*|\.~lock\..*#|\.ipynb_checkpoints|\.nfs[0-9a-f]+|\.fuse_hidden[0-9a-f]+",
    re.IGNORECASE,
)
_warn_once = functools.cache(logging.getLogger(__name__).warning)


def check_replaceable(folder: Path, replace: bool = True) -> None:
    """Refuse a folder that an artefact must not replace, before any work is done for it.

    Args:
        folder: where the artefact is to stand.
        replace: whether it may take the place of another one; whoever passes False has asked `is_current` before.

    Raises:
        InputError: if the path is no name of its own, lies in a file, in another artefact or in a folder that cannot
            be written to, or anything but an artefact or an empty folder stands there; without `replace` also if an
            artefact stands there.
    """
    found = _check_place(folder)
    foreign = unlisted(folder, _listed(folder)) if found == "a folder" else []
    if foreign or found not in ("", "a folder"):
        what = f"holds {foreign[0]}" if foreign else f"is {found}"
        raise InputError(
            f"{folder}: exists and is no stored result ({what}), so it was left alone. Name another folder."
        )
    if not replace and (folder / MANIFEST).is_file():
        raise InputError(
            f"{folder}: holds a finished result that other options, careers or weights made. "
            "Name another folder, or give --replace."
        )


def check_file(path: Path) -> None:
    """Refuse a path at which an output of one file must not stand.

    Raises:
        InputError: as `check_replaceable`, but a file is what may stand there.
    """
    if (found := _check_place(path)) not in ("", "a file"):
        raise InputError(f"{path}: exists and is {found}, so it was left alone. Name another file.")


def _check_place(path: Path) -> str:
    """Refuse a path at which nothing can be written; return what stands there, '' for nothing."""
    if path.name in ("", ".."):
        raise InputError(f"{path}: name a folder of its own for the result.")
    above = [parent for parent in path.absolute().parents if parent.exists()]
    if not above[0].is_dir():
        raise InputError(f"{path}: {above[0]} is a file, so no folder can stand in it. Name another folder.")
    if inside := [parent for parent in above if _listed(parent)]:
        raise InputError(
            f"{path}: {inside[0]} is a stored result, which nothing else is written into. Name another folder."
        )
    if not os.access(above[0], os.W_OK | os.X_OK):
        raise InputError(
            f"{path}: {above[0]} cannot be written to. Name another folder, or change its permissions."
        )
    return "the place where a disk is mounted" if path.is_mount() else _kind(path)


def _kind(path: Path) -> str:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        return _KINDS.get(stat.S_IFMT(path.lstat().st_mode), "a device")
    return ""


def _listed(folder: Path) -> set[str]:
    """Return the names of the files of an artefact; none if its manifest is not ours."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        if (path := folder / MANIFEST).is_file():
            manifest = json.loads(path.read_text(encoding="utf-8"))
            return {MANIFEST, *manifest["files"]} if "seal" in manifest else set()
    return set()


def unlisted(folder: Path, listed: Collection[str]) -> list[str]:
    """Return what lies below a folder and is not listed; what file managers and editors leave is logged instead."""
    paths = [path.relative_to(folder) for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()]
    names = sorted(path.as_posix() for path in paths if path.as_posix() not in listed)
    left = [name for name in names if listed and any(map(_LEFT_BEHIND.fullmatch, name.split("/")))]
    if left:
        said = "%s: %s belongs to a file manager or an editor and does not count."
        _warn_once(said, folder, ", ".join(left))
    return [name for name in names if name not in left]


@contextlib.contextmanager
def aside(path: Path) -> Iterator[Path]:
    """Yield a hidden folder beside `path` that is gone in the end, with what killed processes have left there.

    What is written in it comes into place by a rename; while this process lives, no other one removes it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    clear_up(path)
    with contextlib.ExitStack() as held:
        while True:
            hidden = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
            hidden.mkdir()
            # Where it is not found, another process has taken it for what a dead one left.
            with contextlib.suppress(FileNotFoundError):
                if held.enter_context(_lock(hidden)):
                    break
        held.callback(shutil.rmtree, hidden, ignore_errors=True)
        yield hidden


def clear_up(path: Path) -> None:
    """Remove what dead processes left beside a path.

    An artefact that one of them had moved away to replace it comes back, unless the new one has arrived.
    """
    for hidden in path.parent.glob(f".{glob.escape(path.name)}.{'[0-9a-f]' * 8}"):
        # What cannot be locked or removed, for instance as it is another user's, is left to others.
        with contextlib.suppress(OSError), _lock(hidden) as is_ours:
            if is_ours:
                # Renaming fails where something stands.
                with contextlib.suppress(OSError):
                    os.rename(hidden / RETIRED, path)
                shutil.rmtree(hidden, ignore_errors=True)


@contextlib.contextmanager
def _lock(hidden: Path) -> Iterator[bool]:
    """Hold the lock of a hidden folder, and tell whether it was free and still is that folder's."""
    descriptor = os.open(hidden / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        yield taken(descriptor) and os.path.samefile(descriptor, hidden / _LOCK)
    finally:
        os.close(descriptor)


def taken(descriptor: int) -> bool:
    """Lock a file for this process alone, if no other holds it; tell whether that was so."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
