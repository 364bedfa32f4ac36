"""Bytes of the files that people have: packed or not, in UTF-8 or UTF-16, with any line ends; counted as they pass.

A reader that loses rows says nothing of it. So the lines of a text are counted here, where its bytes pass, whatever
reads them then, and `check_rows` holds that count against the rows that came of them. What is no data at all, such as
a line of gigabytes or a small archive that unpacks without end, is refused as soon as it shows.
"""

from __future__ import annotations

import codecs
import contextlib
import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from labor_llm.errors import InputError

# A row of the whole NLSY79 has two megabytes.
LONGEST_LINE = 1 << 24
# Codes of a survey are packed to a twentieth, and little that is small does harm.
_MOST_UNPACKED, _ALWAYS_UNPACKED = 100, 1 << 26
_CHUNK = 1 << 16
_ANY_BYTES = "surrogateescape"
_REMEDY = "A line end within a cell, or a quotation mark that never ends, may be why: mend the file"
_GZIP = b"\x1f\x8b"


class CountedText(io.RawIOBase):
    """The bytes of a text: UTF-8, or another code that holds ASCII, without a byte order mark, lines ending in LF.

    Attributes:
        shown: the name by which messages call it.
        lines: how many lines were read.
        filled: how many of them are not blank.
    """

    def __init__(self, stream: BinaryIO, shown: Path) -> None:
        self.shown = shown
        self.lines = self.filled = self._open_line = 0
        self._held, self._last = b"", b"\n"
        buffered = io.BufferedReader(stream, _CHUNK)  # type: ignore[type-var]
        wide = buffered.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
        buffered.seek(0)
        # Line ends are translated, for old programs for the Mac end lines by CR alone.
        self._text = io.TextIOWrapper(buffered, "utf-16" if wide else "utf-8-sig", _ANY_BYTES)

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer; return how many bytes it got, 0 at the end."""
        if not self._held:
            self._held = self._counted()
        count = min(len(buffer), len(self._held))
        buffer[:count], self._held = self._held[:count], self._held[count:]
        return count

    def _counted(self) -> bytes:
        try:
            content = self._text.read(_CHUNK).encode("utf-8", _ANY_BYTES)
        except UnicodeError:
            raise InputError(
                f"{self.shown}: text in UTF-16 that is cut or damaged. Save it as UTF-8, or download it again."
            ) from None
        ends = np.frombuffer(self._last + content, np.uint8) == ord("\n")
        self.lines += int(np.count_nonzero(ends[:-1]))  # what follows on a line end begins a line
        self.filled += int(np.count_nonzero(ends[:-1] & ~ends[1:]))
        last = content.rfind(b"\n")
        self._open_line = self._open_line + len(content) if last < 0 else len(content) - 1 - last
        self._last = content[-1:]
        if self._open_line > LONGEST_LINE:
            raise InputError(
                f"{self.shown}: a line of more than {LONGEST_LINE >> 20} MiB, which no table or list has. "
                "Take the file away, or download it again."
            )
        return content


def check_unpacked(shown: Path, packed: int, unpacked: int) -> None:
    """Refuse what unpacks to far more bytes than data do."""
    if unpacked > max(_ALWAYS_UNPACKED, _MOST_UNPACKED * packed):
        raise InputError(
            f"{shown}: {packed:,} bytes unpack to {unpacked:,} or more, {_MOST_UNPACKED} times as many, which no data "
            "do. Take the file away, or give it unpacked."
        )


def check_rows(shown: Path, held: int, read: int, remedy: str = _REMEDY, what: str = "rows") -> None:
    """Refuse a file of which not every row was read, by a count that the reader has no part in.

    Raises:
        InputError: naming the file, both counts and what to do.
    """
    if held != read:
        raise InputError(f"{shown}: it holds {held:,} {what}, of which {read:,} can be read. {remedy}.")


def whole(stream: BinaryIO, shown: Path, most: int) -> bytes:
    """Return all bytes of a stream; an InputError if there are more than `most`."""
    content = stream.read(most + 1)
    if len(content) > most:
        raise InputError(f"{shown}: larger than {most >> 20} MiB, which no such file is. Download it again.")
    return content


@contextlib.contextmanager
def opened(path: Path, member: str = "", shown: Path | None = None, text: bool = True) -> Iterator[BinaryIO]:
    """Yield the content of a file, which may be packed by gzip, or of a member of a zip archive.

    Args:
        path: the file or archive.
        member: name in the archive.
        shown: the name by which messages call it; the path if not given.
        text: whether it is text, and comes as `CountedText` (the attribute `raw` of what is yielded).

    Raises:
        InputError: if it may not be read, cannot be, is damaged, or is no data (see above).
    """
    shown = shown or path
    try:
        with contextlib.ExitStack() as stack:
            if member:
                archive = stack.enter_context(zipfile.ZipFile(path))
                info = archive.getinfo(member)
                check_unpacked(shown, info.compress_size, info.file_size)
                stream: Any = stack.enter_context(archive.open(member))
            else:
                stream = stack.enter_context(open(path, "rb"))
                if stream.peek(2)[:2] == _GZIP:
                    _check_gzip(path)
                    stream = stack.enter_context(gzip.GzipFile(fileobj=stream))
            yield io.BufferedReader(CountedText(stream, shown), _CHUNK) if text else stream
    except RuntimeError as error:  # of a member of unknown packing or with a password
        raise InputError(
            f"{shown}: the archive is packed in a way that cannot be read here ({error}). Unpack it "
            "and put its files in its place."
        ) from None
    except (zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError):
        raise damaged(shown) from None
    except OSError as error:
        raise unreadable(shown, error) from None


def _check_gzip(path: Path) -> None:
    """Unpack a file of gzip without a use of it, for it does not say how large it is; damage shows too."""
    packed, unpacked = path.stat().st_size, 0
    with gzip.open(path) as stream:
        while more := stream.read(1 << 20):
            unpacked += len(more)
            check_unpacked(path, packed, unpacked)


def damaged(path: Path) -> InputError:
    """Return the error of an archive that cannot be unpacked."""
    return InputError(f"{path}: the archive is damaged or incomplete. Download it again.")


def unreadable(path: Path, error: OSError) -> InputError:
    """Return the error of a file that the system does not give."""
    refused = isinstance(error, PermissionError)
    remedy = "Give yourself the right to read it" if refused else "Download it again"
    return InputError(f"{path}: cannot be read ({error.strerror or error}). {remedy}.")
