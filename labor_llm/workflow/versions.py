"""What version control (git) says of a repository: the files under it, and the commit with its date and content."""

from __future__ import annotations

import contextlib
import io
import os
import stat
import subprocess
import tarfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from labor_llm.errors import InputError


@dataclass(frozen=True)
class Commit:
    """A commit: its hash, its date, and by path what its files hold and which of them are executable."""

    hash: str
    date: datetime
    files: dict[str, bytes]
    executable: frozenset[str]


def tracked_files(root: Path) -> list[str]:
    """Return the paths of the files under version control that are there; none where there is no version control."""
    with contextlib.suppress(InputError):
        names = os.fsdecode(_git(root, "ls-files", "-z")).split("\0")
        return sorted({name for name in names if (root / name).is_file()})
    return []


def version_of(root: Path) -> dict[str, Any]:
    """Return `commit` and whether a file under version control differs from it, `changed`; nothing without a commit."""
    with contextlib.suppress(InputError):
        changed = bool(_changes(root))
        return {"commit": _git(root, "rev-parse", "HEAD").decode().strip(), "changed": changed}
    return {}


def committed(root: Path) -> Commit:
    """Return the present commit.

    Raises:
        InputError: if there is no version control, or a file differs from the commit; names it.
    """
    if changed := _changes(root):
        path = os.fsdecode(changed)[3:].splitlines()[0]
        raise InputError(f"{path}: differs from the commit ({root}). Commit it, or take the change back.")
    name, seconds = _git(root, "show", "--no-patch", "--format=%H %ct", "HEAD").decode().split()
    # Links and folders have no content of their own.
    with tarfile.open(fileobj=io.BytesIO(_git(root, "archive", "--format=tar", "HEAD"))) as packed:
        members = [(each, packed.extractfile(each)) for each in packed if each.isfile()]
        files = {each.name: content.read() for each, content in members if content}
    executable = frozenset(each.name for each, _ in members if each.mode & stat.S_IXUSR)
    return Commit(name, datetime.fromtimestamp(int(seconds), UTC), files, executable)


def _changes(root: Path) -> bytes:
    return _git(root, "status", "--porcelain", "--untracked-files=no", ".")


def _git(root: Path, *words: str) -> bytes:
    try:
        return subprocess.run(["git", "-C", root, *words], capture_output=True, check=True).stdout
    except OSError as error:
        said = str(error)
    except subprocess.CalledProcessError as error:
        said = os.fsdecode(error.stderr).strip()
    raise InputError(f"{root}: git tells no commit ({said}). Work in a clone of the repository.")
