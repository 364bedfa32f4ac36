"""Stored results: written aside, renamed into place, and verified by checksum whenever they are read.

An artefact is a folder with its files and a `manifest.json` that holds the sha256 and size of each
file, the parameters that made it, the checksums of its inputs, the library versions and the thread
count. A killed or failed run leaves no folder under the final name, and an earlier one untouched.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import os
import platform
import re
import shutil
import socket
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from labor_llm import __version__
from labor_llm.errors import ArtefactError, InputError, disk_space_named

MANIFEST = "manifest.json"
_MACHINE = re.sub(r"[^A-Za-z0-9]", "_", socket.gethostname())
_OLD = ".old"
_VERSIONS_OF = ("torch", "transformers", "peft", "numpy", "pandas", "scikit-learn")


def sha256(path: Path) -> str:
    """Return the hexadecimal sha256 of a file, read in chunks."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` that replaces it when the block succeeds.

    Raises:
        ResourceError: if there is no space left; an earlier file of that name stays as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}{path.suffix}")
    try:
        with disk_space_named(path):
            yield aside
            _flush(aside)
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


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
        ResourceError: if there is no space left; the earlier artefact stays as it was.
    """
    folder = Path(folder)
    check_replaceable(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    _clear_up(folder)
    # The hidden name tells which process of which machine uses it.
    aside = folder.with_name(f".{folder.name}.{_MACHINE}-{os.getpid()}-{uuid.uuid4().hex[:8]}")
    try:
        with disk_space_named(folder):
            aside.mkdir()
            yield aside
            _write_manifest(aside, parameters or {}, inputs or {})
        _replace_folder(aside, folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _clear_up(folder: Path) -> None:
    """Remove what killed processes of this machine left beside a folder: it can hold persons' records.

    An artefact that one of them had moved away to replace it comes back, unless the new one has arrived.
    """
    ours = re.compile(rf"\.{re.escape(folder.name)}\.{_MACHINE}-(\d+)-[0-9a-f]{{8}}({re.escape(_OLD)})?")
    for path in folder.parent.glob(".*"):
        if (found := ours.fullmatch(path.name)) and not _is_running(int(found[1])):
            if found[2]:
                # Renaming fails where something stands.
                with contextlib.suppress(OSError):
                    os.rename(path, folder)
            shutil.rmtree(path, ignore_errors=True)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except OSError as error:
        return not isinstance(error, ProcessLookupError)
    return True


def check_replaceable(folder: Path, replace: bool = True) -> None:
    """Refuse a folder that an artefact must not replace, before any work is done for it.

    Args:
        folder: where the artefact is to stand.
        replace: whether it may take the place of another one; whoever passes False has asked `is_current` before.

    Raises:
        InputError: if the path is no name of its own, below a file, a file, or a folder with anything but an
            artefact; without `replace` also if an artefact stands there.
    """
    if folder.name in ("", ".."):
        raise InputError(f"{folder}: name a folder of its own for the result.")
    if files := [parent for parent in folder.parents if parent.is_file()]:
        raise InputError(
            f"{folder}: {files[0]} is a file, so no folder can stand in it. Name another folder."
        )
    if (foreign := _foreign_files(folder)) or folder.is_file():
        what = f"holds {foreign[0]}" if foreign else "is a file"
        raise InputError(
            f"{folder}: exists and is no stored result ({what}), so it was left alone. Name another folder."
        )
    if not replace and (folder / MANIFEST).is_file():
        raise InputError(
            f"{folder}: holds a finished result that other options, careers or weights made. "
            "Name another folder, or give --replace."
        )


def _foreign_files(folder: Path) -> list[str]:
    """Return the files below a folder that its manifest does not list; all of them if the manifest is not ours."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        ours = {MANIFEST, *manifest["files"]} if "seal" in manifest else set()
    except (OSError, ValueError, KeyError, TypeError):
        ours = set()
    return [name for name in names if name not in ours]


def verify(folder: Path) -> dict[str, Any]:
    """Return the manifest of an artefact after checking every file against its checksum.

    Raises:
        ArtefactError: if the artefact is absent or incomplete, or a file was altered; names the file.
    """
    folder = Path(folder)
    path = folder / MANIFEST
    if not path.is_file():
        _clear_up(folder)
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
    if manifest.pop("seal", None) != _seal(manifest):
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
    return manifest


def sound(folder: Path) -> dict[str, Any] | None:
    """Return the manifest of an artefact as `verify` does, but None where that refuses it."""
    with contextlib.suppress(ArtefactError):
        return verify(folder)
    return None


def checksum_of(path: Path) -> str:
    """Return the sha256 that identifies a file, or an artefact folder by the checksums in its manifest."""
    return _seal(verify(path)["files"]) if path.is_dir() else sha256(path)


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
    manifest["seal"] = _seal(manifest)
    text = json.dumps(manifest, indent=1, sort_keys=True) + "\n"
    (folder / MANIFEST).write_text(text, encoding="utf-8")
    for written in folder.rglob("*"):
        _flush(written)


def _seal(said: Mapping[str, Any]) -> str:
    """Return the sha256 of what a manifest says, or a part of it, so that it cannot change unnoticed."""
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


def _replace_folder(aside: Path, folder: Path) -> None:
    """Rename `aside` to `folder`; an old folder is moved away first, as rename needs an empty target."""
    retired = aside.with_name(aside.name + _OLD)
    with contextlib.suppress(FileNotFoundError):
        os.rename(folder, retired)
    try:
        os.rename(aside, folder)
    except OSError:
        if retired.exists():
            os.rename(retired, folder)
        raise
    _flush(folder.parent)
    shutil.rmtree(retired, ignore_errors=True)


def _flush(path: Path) -> None:
    """Force a file or folder to the disk, so that a rename never outlives its content."""
    if path.is_file() or path.is_dir():
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
