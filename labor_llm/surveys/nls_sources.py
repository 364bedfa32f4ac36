"""Where NLS files lie: a folder, a zip or a single file, as groups of files that describe the same extract.

The Investigator gives an extract as files of one name and many endings: the data (.csv, .dat, .dct), what the
columns are (.sdf, .cdb) and the list of them (.NLSY79, .NLSY97). Members of a zip are read through a stream;
nothing is unpacked.
"""

from __future__ import annotations

import contextlib
import os
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from labor_llm.errors import InputError

TAGSETS = {".nlsy79": "nlsy79", ".nlsy97": "nlsy97"}
_DATA = (".csv", ".dat", ".dct")
_BESIDE = (".sdf", ".cdb", ".dct", *TAGSETS)
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError)
# Of opening a member alone: packed by an unknown method, protected by a password.
_UNREADABLE = (NotImplementedError, RuntimeError)


@dataclass(frozen=True)
class SourceFile:
    """A file on disk or a member of a zip.

    Attributes:
        path: where it is; for a member, the path of the zip followed by the member's name.
        archive: the zip that holds it; None for a file on disk.
        member: its name in the zip.
    """

    path: Path
    archive: Path | None = None
    member: str = ""

    @property
    def ending(self) -> str:
        """The file's ending in small letters, such as `.csv`."""
        return self.path.suffix.lower()

    @contextlib.contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """Yield the file's bytes as a stream.

        Raises:
            InputError: if the file cannot be read, or the zip is damaged, cut off, protected or packed by a method
                that Python cannot read.
        """
        if self.archive is None:
            try:
                with open(self.path, "rb") as stream:
                    yield stream
            except OSError as error:
                raise InputError(_unreadable(self.path, error)) from None
            return
        with contextlib.ExitStack() as stack:
            try:
                archive = stack.enter_context(zipfile.ZipFile(self.archive))
                stream = stack.enter_context(archive.open(self.member))
            except (*_DAMAGED, *_UNREADABLE) as error:
                raise InputError(_broken(self.archive, self.member, error)) from None
            except OSError as error:
                raise InputError(_unreadable(self.archive, error)) from None
            try:
                yield stream
            except _DAMAGED as error:
                raise InputError(_broken(self.archive, self.member, error)) from None
            except OSError as error:
                raise InputError(_unreadable(self.archive, error)) from None


@dataclass
class FileGroup:
    """Files of one name in one folder: an extract of the Investigator, or anything else.

    Attributes:
        files: by ending, such as `.csv`.
        neighbours: the codebooks (.sdf, .cdb) of other names in the same folder.
    """

    files: dict[str, SourceFile] = field(default_factory=dict)
    neighbours: list[SourceFile] = field(default_factory=list)

    def data(self) -> Iterator[SourceFile]:
        """Yield the files that can hold data, the one to be preferred first."""
        return (self.files[ending] for ending in _DATA if ending in self.files)

    def beside(self, *endings: str) -> list[SourceFile]:
        """Return the files with these endings, in the order of the endings."""
        return [self.files[ending] for ending in endings if ending in self.files]


def file_groups(raw: Path) -> list[FileGroup]:
    """Return the files below `raw` (a folder, a zip or a data file), grouped by folder and name, in order.

    Of a single data file, the codebooks in its folder belong to it too.

    Raises:
        InputError: if there is no such file or folder, it holds no file or one that cannot be read, or a zip is
            damaged.
    """
    raw = Path(raw)
    try:
        files = _source_files(raw)
    except OSError as error:
        raise InputError(_unreadable(Path(error.filename or raw), error)) from None
    groups: dict[tuple[Path, str], FileGroup] = {}
    for file in files:
        groups.setdefault((file.path.parent, file.path.stem), FileGroup()).files[file.ending] = file
    if not groups:
        raise InputError(
            f"{raw}: no file in it. Put the extract of the NLS Investigator there (.csv or .zip)."
        )
    for (folder, stem), group in groups.items():
        others = [other for place, other in groups.items() if place[0] == folder and place[1] != stem]
        group.neighbours = [book for other in others for book in other.beside(".sdf", ".cdb")]
    return list(groups.values())


def _source_files(raw: Path) -> list[SourceFile]:
    """Return the files below a folder, in a zip, or a data file and what describes it."""
    if raw.is_dir():
        paths = [Path(folder) / name for folder, _, names in os.walk(raw, onerror=_raise) for name in names]
        return [file for path in sorted(paths) if path.is_file() for file in _files_in(path)]
    if raw.is_file() and raw.suffix.lower() != ".zip":
        beside = [path for path in sorted(raw.parent.iterdir()) if path.suffix.lower() in _BESIDE]
        codebooks = [
            path for path in beside if path.stem == raw.stem or path.suffix.lower() in (".sdf", ".cdb")
        ]
        return [SourceFile(path) for path in dict.fromkeys([raw, *codebooks])]
    if raw.is_file():
        return _files_in(raw)
    raise InputError(f"{raw}: no such file or folder. Give the folder, zip or .csv of the NLS Investigator.")


def _raise(error: OSError) -> None:
    """Let a folder that cannot be listed be an error; `os.walk` passes over it otherwise."""
    raise error


def _files_in(path: Path) -> list[SourceFile]:
    """Return a file itself, or the members of a zip; what a system hides beside the files is left out."""
    if path.name.startswith("."):
        return []
    if path.suffix.lower() != ".zip":
        return [SourceFile(path)]
    try:
        with zipfile.ZipFile(path) as archive:
            names = sorted(info.filename for info in archive.infolist() if not info.is_dir())
    except _DAMAGED as error:
        raise InputError(_broken(path, "", error)) from None
    return [
        SourceFile(path / name.lstrip("/"), path, name)
        for name in names
        if not Path(name).name.startswith(".") and "__MACOSX" not in name
    ]


def _broken(archive: Path, member: str, error: Exception) -> str:
    """Say what is wrong with a zip."""
    where = f"{archive}{f', {member}' if member else ''}"
    if isinstance(error, NotImplementedError):
        return f"{where}: packed by a method that Python cannot read; unpack it by hand and give the folder instead."
    if isinstance(error, RuntimeError):
        return f"{where}: protected by a password; unpack it by hand and give the folder instead."
    return f"{where}: damaged or cut off ({error}); download it again."


def _unreadable(path: Path, error: OSError) -> str:
    """Say that the system does not let a file or folder be read."""
    return (
        f"{path}: cannot be read ({error.strerror or error}); allow reading it (chmod -R u+rX), or take it out of the "
        "folder."
    )
