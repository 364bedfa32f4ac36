"""The files of the PSID that lie in a folder, in zip archives or both, and the layout that belongs to each.

A zip archive counts as a folder: its members are read as streams and never unpacked.
"""

from __future__ import annotations

import contextlib
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from labor_llm.errors import InputError
from labor_llm.surveys.psid_layouts import SUFFIXES

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
        return self.path / self.member if self.member else self.path

    @property
    def suffix(self) -> str:
        """Its suffix in small letters."""
        return self.shown.suffix.lower()

    @contextlib.contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """Yield the content as a stream of bytes.

        Raises:
            InputError: if the file or the archive cannot be read or is damaged.
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
            except (zipfile.BadZipFile, OSError) as error:
                raise InputError(f"{self.shown}: cannot be read ({error}). Download it again.") from error
            try:
                yield stream
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
        InputError: if there is no such folder, an archive is damaged, or a fixed-width file has no layout.
    """
    files = list(_files(raw))
    layouts = {_stem(file): file for suffix in reversed(SUFFIXES) for file in files if file.suffix == suffix}
    data: list[DataFile] = []
    others: list[SourceFile] = []
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
        else sorted(raw.parent.iterdir() if raw.is_file() else raw.rglob("*"))
    )
    for path in paths:
        if not path.is_file() or any(part.startswith(".") for part in path.relative_to(below).parts):
            continue
        if path.suffix.lower() != ".zip":
            yield SourceFile(path)
        elif path == raw or raw.is_dir():
            yield from _members(path)


def _members(path: Path) -> Iterator[SourceFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = sorted(info.filename for info in archive.infolist() if not info.is_dir())
    except (zipfile.BadZipFile, OSError) as error:
        raise InputError(f"{path}: the archive is damaged or incomplete. Download it again.") from error
    for name in names:
        # macOS adds a shadow ._FAM1981.txt of each file.
        if not any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts):
            yield SourceFile(path, name)


def _stem(file: SourceFile) -> tuple[Path, str]:
    return file.shown.parent, file.shown.stem.lower()


def _is_fixed_width(file: SourceFile) -> bool:
    """Tell data from the notes and lists that lie beside it: by name, or by a first line of numbers alone."""
    if _OFFICIAL_NAME.fullmatch(file.shown.stem):
        return True
    with file.open() as stream:
        line = stream.read(4096).split(b"\n", 1)[0].strip()
    return len(line) >= 8 and re.fullmatch(rb"[\d .+-]+", line) is not None
