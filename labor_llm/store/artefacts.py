"""Stored results: written aside, renamed into place, and verified by checksum whenever they are read.

An artefact is a folder with its files and a `manifest.json` that holds the sha256 and size of each
file, the parameters that made it, the checksums of its inputs, the library versions and the thread
count. A killed or failed run leaves no folder under the final name, and an earlier one untouched.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import importlib.metadata
import json
import os
import platform
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from labor_llm import __version__
from labor_llm.errors import ArtefactError, BusyError, disk_space_named
from labor_llm.store.places import MANIFEST, RETIRED, aside, check_file, check_replaceable, clear_up, unlisted

_VERSIONS_OF = ("torch", "transformers", "peft", "numpy", "pandas", "scikit-learn", "scipy", "lightgbm")


def sha256(path: Path) -> str:
    """Return the hexadecimal sha256 of a file, read in chunks."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path of the same name that replaces the file `path` when the block succeeds.

    Raises:
        InputError: if something else than a file stands at `path`.
        ResourceError: if there is no space left; an earlier file of that name stays as it was.
    """
    path = Path(path)
    check_file(path)
    with disk_space_named(path), aside(path) as hidden:
        yield (written := hidden / path.name)
        _flush(written)
        check_file(path)
        os.replace(written, path)


@contextlib.contextmanager
def writing(
    folder: Path, parameters: Mapping[str, Any] | None = None, inputs: Mapping[str, Path] | None = None
) -> Iterator[Path]:
    """Yield an empty temporary folder that becomes the artefact `folder` when the block succeeds.

    Args:
        folder: where the artefact will stand; an earlier artefact there is replaced at the very end.
        parameters: what made the artefact, stored in its manifest (JSON values).
        inputs: files or artefact folders that it was made from, by name; their checksums are stored.

    Raises:
        InputError: if something else than an artefact stands at `folder`.
        BusyError: if another process has stored something there in the same moment.
        ResourceError: if there is no space left; the earlier artefact stays as it was.
    """
    folder = Path(folder)
    check_replaceable(folder)
    with disk_space_named(folder), aside(folder) as hidden:
        written = hidden / folder.name
        written.mkdir()
        yield written
        _write_manifest(written, parameters or {}, inputs or {})
        _replace_folder(written, folder)


def verify(folder: Path) -> dict[str, Any]:
    """Return the manifest of an artefact after checking every file against its checksum.

    Raises:
        ArtefactError: if the artefact is absent or incomplete, or a file was altered or added; names the file.
    """
    folder = Path(folder)
    path = folder / MANIFEST
    if not path.is_file():
        clear_up(folder)
    if not path.is_file():
        state = "has no manifest.json: it is not a finished result" if folder.is_dir() else "does not exist"
        raise ArtefactError(f"{folder}: {state}. Run the step that makes it, then try again.")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        files = {
            name: (int(entry["bytes"]), str(entry["sha256"])) for name, entry in manifest["files"].items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtefactError(
            f"{path}: not readable as a manifest ({error}). Remove {folder} and make it again."
        ) from error
    if manifest.pop("seal", None) != seal(manifest):
        raise ArtefactError(
            f"{path}: it was changed after it was written. Remove {folder} and make it again."
        )
    for name, (size, checksum) in files.items():
        path = folder / name
        if not path.is_file():
            fault = f"listed in {MANIFEST} but missing. Remove"
        elif (found := path.stat().st_size) != size:
            fault = f"{found:,} bytes found, {size:,} written. The file was cut or changed: remove"
        elif sha256(path) != checksum:
            fault = f"its sha256 differs from the one in {MANIFEST}. The file was changed after it was written: remove"
        else:
            continue
        raise ArtefactError(f"{path}: {fault} {path.parent} and make it again.")
    if foreign := unlisted(folder, {MANIFEST, *files}):
        raise ArtefactError(
            f"{folder / foreign[0]}: not among the files that the result was stored with, so it may be meant to change "
            "it. Move it elsewhere, or remove it."
        )
    return manifest


def sound(folder: Path) -> dict[str, Any] | None:
    """Return the manifest of an artefact as `verify` does, but None where that refuses it."""
    with contextlib.suppress(ArtefactError):
        return verify(folder)
    return None


def checksum_of(path: Path) -> str:
    """Return the sha256 that identifies a file, or an artefact folder by the checksums in its manifest."""
    return seal(verify(path)["files"]) if path.is_dir() else sha256(path)


def _write_manifest(folder: Path, parameters: Mapping[str, Any], inputs: Mapping[str, Path]) -> None:
    files = {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": sha256(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    manifest = {
        "files": files,
        "parameters": dict(parameters),
        "inputs": {name: checksum_of(path) for name, path in inputs.items()},
        "environment": environment(),
    }
    manifest["seal"] = seal(manifest)
    text = json.dumps(manifest, indent=1, sort_keys=True) + "\n"
    (folder / MANIFEST).write_text(text, encoding="utf-8")
    for written in folder.rglob("*"):
        _flush(written)


def seal(said: object) -> str:
    """Return the sha256 of what a manifest or a record says, or a part of it, so that it cannot change unnoticed."""
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def environment() -> dict[str, Any]:
    """Return versions, platform and thread count: what else a result can depend on."""
    return {
        "labor_llm": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "threads": os.environ.get("OMP_NUM_THREADS", "not set"),
        "versions": {name: importlib.metadata.version(name) for name in _VERSIONS_OF},
    }


def _replace_folder(written: Path, folder: Path) -> None:
    """Rename `written` to `folder`; an old folder is moved away first, as rename needs an empty target."""
    check_replaceable(folder)  # Something else may have come there meanwhile.
    retired = written.with_name(RETIRED)
    with contextlib.suppress(FileNotFoundError):
        os.rename(folder, retired)
    try:
        os.rename(written, folder)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.rename(retired, folder)
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        raise BusyError(
            f"{folder}: another run has stored a result there in this moment, which was left as it is. "
            "Look whether it is the one that you want; if not, run the command again."
        ) from None
    _flush(folder.parent)


def _flush(path: Path) -> None:
    """Force a file or folder to the disk, so that a rename never outlives its content."""
    if path.is_file() or path.is_dir():
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
