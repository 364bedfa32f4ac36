"""The files of the PSID that lie in a folder, in zip archives or both, and the layout that belongs to each.

A zip archive counts as a folder: its members are read as streams and never unpacked. Members whose paths lead out
of the archive are passed over, and counted among the files that are no data.

Where NLS files lie: a folder, a zip or a single file, as groups of files that describe the same extract.

The Investigator gives an extract as files of one name and many endings: the data (.csv, .dat, .dct), what the
columns are (.sdf, .cdb) and the list of them (.NLSY79, .NLSY97). Members of a zip are read through a stream;
nothing is unpacked.
"""

from __future__ import annotations

import contextlib
import os
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath
from typing import BinaryIO

from labor_llm.errors import InputError
from labor_llm.surveys.psid.layouts import SUFFIXES

_FIXED_WIDTH = ".txt"
_TABULAR = (".csv", ".xlsx")
# FAM1981.txt, FAM2023ER.txt, IND2023ER.txt, J123456.txt
_OFFICIAL_NAME = re.compile(r"(FAM\d{4}(ER)?|IND\d{4}(ER)?|J\d{4,})", re.IGNORECASE)


@dataclass(frozen=True)
class SourceFile:
    """A file in a folder, or a member of a zip archive.

    Attributes:
        path: the file on disk, the archive for a member.
        member: name within the archive; empty for a plain file.
    """

    path: Path
    member: str = ""

    @property
    def shown(self) -> Path:
        """The name by which messages call it: that of the archive, then that of the member."""
        return self.path / self.member.lstrip("/\\") if self.member else self.path

    @property
    def leads_out(self) -> bool:
        """Tell whether the name of a member is a path from the root or out of the archive (../FAM1981.txt)."""
        name = PureWindowsPath(self.member)  # knows both kinds of slashes
        return bool(name.anchor) or ".." in name.parts

    @property
    def suffix(self) -> str:
        """Its suffix in small letters."""
        return self.shown.suffix.lower()

    @contextlib.contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """Yield the content as a stream of bytes.

        Raises:
            InputError: if the file or the archive may not be read, cannot be, or is damaged.
        """
        with contextlib.ExitStack() as stack:
            try:
                if self.member:
                    archive = stack.enter_context(zipfile.ZipFile(self.path))
                    stream = stack.enter_context(archive.open(self.member))
                else:
                    stream = stack.enter_context(open(self.path, "rb"))
            except (NotImplementedError, RuntimeError) as error:  # an unknown packing; a password
                raise InputError(
                    f"{self.shown}: the archive is packed in a way that cannot be read here ({error}). Unpack it "
                    "and put its files in its place."
                ) from error
            except zipfile.BadZipFile as error:
                raise InputError(f"{self.shown}: cannot be read ({error}). Download it again.") from error
            except OSError as error:
                raise _unreadable(self.shown, error) from error
            try:
                yield stream
            except OSError as error:
                raise _unreadable(self.shown, error) from error
            except (zipfile.BadZipFile, zlib.error, EOFError) as error:
                raise InputError(
                    f"{self.shown}: the archive is damaged or incomplete. Download it again."
                ) from error


@dataclass(frozen=True)
class DataFile:
    """A data file, with its layout if it is one of fixed width."""

    source: SourceFile
    layout: SourceFile | None = None


def find_data(raw: Path) -> tuple[list[DataFile], list[SourceFile]]:
    """Return the data files below `raw`, sorted by name, and the files that are no data of the PSID.

    Args:
        raw: a folder, searched with all folders and zip archives in it, or a single archive or data file.

    Raises:
        InputError: if there is no such folder, a file or folder may not be read, an archive is damaged, or a
            fixed-width file has no layout.
    """
    try:
        found = list(_files(raw))
    except OSError as error:
        raise _unreadable(Path(error.filename or raw), error) from error
    files = [file for file in found if not file.leads_out]
    layouts = {_stem(file): file for suffix in reversed(SUFFIXES) for file in files if file.suffix == suffix}
    data: list[DataFile] = []
    others = [file for file in found if file.leads_out]
    for file in files:
        if raw.is_file() and file.path != raw:
            continue
        if file.suffix in _TABULAR:
            data.append(DataFile(file))
        elif file.suffix == _FIXED_WIDTH and (layout := layouts.get(_stem(file))):
            data.append(DataFile(file, layout))
        elif file.suffix == _FIXED_WIDTH and _is_fixed_width(file):
            stem = file.shown.stem
            raise InputError(
                f"{file.shown}: its layout is missing. Put {stem}.sas, {stem}.sps or {stem}.do, which the PSID "
                "delivers together with the data, in the same folder or archive."
            )
        elif file.suffix not in SUFFIXES:
            others.append(file)
    return data, others


def _files(raw: Path) -> Iterator[SourceFile]:
    if not raw.exists():
        raise InputError(
            f"{raw}: there is no such file or folder. Name the folder with the files of the PSID."
        )
    below = raw if raw.is_dir() else raw.parent
    # The layout of a single data file lies beside it.
    paths = (
        [raw]
        if raw.suffix.lower() == ".zip" and raw.is_file()
        else sorted(raw.parent.iterdir() if raw.is_file() else _below(raw))
    )
    for path in paths:
        if not path.is_file() or any(part.startswith(".") for part in path.relative_to(below).parts):
            continue
        if path.suffix.lower() != ".zip":
            yield SourceFile(path)
        elif path == raw or raw.is_dir():
            yield from _members(path)


def _below(folder: Path) -> Iterator[Path]:
    """Yield the files in all folders that are not hidden; an unreadable one is an error, for it may hold waves."""

    def refuse(error: OSError) -> None:
        raise error

    for top, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(top) / name for name in names)


def _members(path: Path) -> Iterator[SourceFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = sorted(info.filename for info in archive.infolist() if not info.is_dir())
    except zipfile.BadZipFile as error:
        raise InputError(f"{path}: the archive is damaged or incomplete. Download it again.") from error
    except OSError as error:
        raise _unreadable(path, error) from error
    for name in names:
        # macOS adds a shadow ._FAM1981.txt of each file.
        parts = [part for part in PureWindowsPath(name).parts if part != ".."]
        if not any(part.startswith((".", "__MACOSX")) for part in parts):
            yield SourceFile(path, name)


def _unreadable(shown: Path, error: OSError) -> InputError:
    remedy = (
        "Give yourself the right to read it" if isinstance(error, PermissionError) else "Download it again"
    )
    return InputError(f"{shown}: cannot be read ({error.strerror or error}). {remedy}.")


def _stem(file: SourceFile) -> tuple[Path, str]:
    return file.shown.parent, file.shown.stem.lower()


def _is_fixed_width(file: SourceFile) -> bool:
    """Tell data from the notes and lists that lie beside it: by name, or by a first line of numbers alone."""
    if _OFFICIAL_NAME.fullmatch(file.shown.stem):
        return True
    with file.open() as stream:
        line = stream.read(4096).split(b"\n", 1)[0].strip()
    return len(line) >= 8 and re.fullmatch(rb"[\d .+-]+", line) is not None


TAGSETS = {".nlsy79": "nlsy79", ".nlsy97": "nlsy97"}
_DATA = (".csv", ".dat", ".dct")
_BESIDE = (".sdf", ".cdb", ".dct", *TAGSETS)
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError)
# Of opening a member alone: packed by an unknown method, protected by a password.
_UNREADABLE = (NotImplementedError, RuntimeError)


@dataclass(frozen=True)
class NlsSourceFile:
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
                raise InputError(_unreadable_in_nls_sources(self.path, error)) from None
            return
        with contextlib.ExitStack() as stack:
            try:
                archive = stack.enter_context(zipfile.ZipFile(self.archive))
                stream = stack.enter_context(archive.open(self.member))
            except (*_DAMAGED, *_UNREADABLE) as error:
                raise InputError(_broken(self.archive, self.member, error)) from None
            except OSError as error:
                raise InputError(_unreadable_in_nls_sources(self.archive, error)) from None
            try:
                yield stream
            except _DAMAGED as error:
                raise InputError(_broken(self.archive, self.member, error)) from None
            except OSError as error:
                raise InputError(_unreadable_in_nls_sources(self.archive, error)) from None


@dataclass
class FileGroup:
    """Files of one name in one folder: an extract of the Investigator, or anything else.

    Attributes:
        files: by ending, such as `.csv`.
        neighbours: the codebooks (.sdf, .cdb) of other names in the same folder.
    """

    files: dict[str, NlsSourceFile] = field(default_factory=dict)
    neighbours: list[NlsSourceFile] = field(default_factory=list)

    def data(self) -> Iterator[NlsSourceFile]:
        """Yield the files that can hold data, the one to be preferred first."""
        return (self.files[ending] for ending in _DATA if ending in self.files)

    def beside(self, *endings: str) -> list[NlsSourceFile]:
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
        raise InputError(_unreadable_in_nls_sources(Path(error.filename or raw), error)) from None
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


def _source_files(raw: Path) -> list[NlsSourceFile]:
    """Return the files below a folder, in a zip, or a data file and what describes it."""
    if raw.is_dir():
        paths = [Path(folder) / name for folder, _, names in os.walk(raw, onerror=_raise) for name in names]
        return [file for path in sorted(paths) if path.is_file() for file in _files_in(path)]
    if raw.is_file() and raw.suffix.lower() != ".zip":
        beside = [path for path in sorted(raw.parent.iterdir()) if path.suffix.lower() in _BESIDE]
        codebooks = [
            path for path in beside if path.stem == raw.stem or path.suffix.lower() in (".sdf", ".cdb")
        ]
        return [NlsSourceFile(path) for path in dict.fromkeys([raw, *codebooks])]
    if raw.is_file():
        return _files_in(raw)
    raise InputError(f"{raw}: no such file or folder. Give the folder, zip or .csv of the NLS Investigator.")


def _raise(error: OSError) -> None:
    """Let a folder that cannot be listed be an error; `os.walk` passes over it otherwise."""
    raise error


def _files_in(path: Path) -> list[NlsSourceFile]:
    """Return a file itself, or the members of a zip; what a system hides beside the files is left out."""
    if path.name.startswith("."):
        return []
    if path.suffix.lower() != ".zip":
        return [NlsSourceFile(path)]
    try:
        with zipfile.ZipFile(path) as archive:
            names = sorted(info.filename for info in archive.infolist() if not info.is_dir())
    except _DAMAGED as error:
        raise InputError(_broken(path, "", error)) from None
    return [
        NlsSourceFile(path / name.lstrip("/"), path, name)
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


def _unreadable_in_nls_sources(path: Path, error: OSError) -> str:
    """Say that the system does not let a file or folder be read."""
    return (
        f"{path}: cannot be read ({error.strerror or error}); allow reading it (chmod -R u+rX), or take it out of the "
        "folder."
    )
