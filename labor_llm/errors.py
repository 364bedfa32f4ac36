"""The errors that a user can cause or mend: one class a remedy, one clear message each.

Every message names the file (and row and column where there is one), the value found and what to
do. The command line prints the message without a traceback and exits with `exit_code`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

_LONGEST = 600  # characters of what another program says


class LaborLLMError(Exception):
    """Base class: the message is complete and meant for the user.

    Attributes:
        exit_code: of the command line.
        said_elsewhere: whether another process of the same run tells the user.
    """

    exit_code = 1
    said_elsewhere = False


class InputError(LaborLLMError, ValueError):
    """Data, titles, a profile or a parameter that the user gave is not usable as it is.

    A ValueError too, so that a validation by pydantic adds the field to the message.
    """

    exit_code = 3


class ArtefactError(LaborLLMError):
    """A stored result is missing, incomplete or differs from its checksum manifest."""

    exit_code = 4


class BusyError(LaborLLMError):
    """Another run works in the same folder."""

    exit_code = 5


class ResourceError(LaborLLMError):
    """Memory or disk space does not suffice."""

    exit_code = 6


class NumericalError(LaborLLMError):
    """A loss, probability or gradient is not a finite, admissible number."""

    exit_code = 7


class MismatchError(LaborLLMError):
    """Two things that must belong together (model and tokenizer, predictions of two models) do not."""

    exit_code = 8


def _said(*codes: int) -> str:
    """Return a pattern of what the system says of errors, which other libraries wrap in their own."""
    return "|".join(re.escape(text) for code in codes for text in (f"[Errno {code}]", os.strerror(code)))


# numpy counts the items that it could write, and does not say why it stopped.
_NO_SPACE = rf"{_said(errno.ENOSPC, errno.EFBIG, errno.EDQUOT)}|\d+ requested and \d+ written"
_REMEDIES = [
    (ResourceError, _NO_SPACE, "No space is left. Free some, or raise the quota, and run it again."),
    (ResourceError,
     rf"MemoryError|bad_alloc|ALLOC_FAILED|map segment|(out of|can't allocate) memory|{_said(errno.ENOMEM)}",
     "Memory does not suffice. Close other programs, let fewer runs go on at once, or take a smaller profile, "
     "model, batch or --memory-mib."),
    (ResourceError, rf"can't start new thread|{_said(errno.EAGAIN, errno.EMFILE, errno.ENFILE)}",
     "The system grants no more threads, processes or open files. End other programs, or raise the limit (ulimit)."),
    (ResourceError, _said(errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ENOLCK),
     "The disk or network share failed, or keeps no locks. Work on another one."),
    (InputError, _said(errno.EROFS, errno.EACCES, errno.EPERM),
     "It may not be read or written. Change its permissions, or work in a copy of the folder of your own."),
    (InputError, _said(errno.ENAMETOOLONG), "Give it a shorter name, or work in a folder with a shorter path."),
    (InputError,
     rf"No usable temporary directory|{_said(errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.EBUSY, errno.ELOOP)}",
     "Something else stands there, or nothing that can be used. Move it away, or name another place."),
]  # fmt: skip


@contextlib.contextmanager
def disk_space_named(path: Path) -> Iterator[None]:
    """Turn "no space left" while writing below `path` into a message with the space that is free.

    Raises:
        ResourceError: if the block fails because the disk, a quota or a file size limit is reached.
    """
    try:
        yield
    except LaborLLMError:
        raise
    except Exception as error:
        if re.search(_NO_SPACE, str(error)) is None:
            raise
        there = next(folder for folder in [path, *path.parents] if folder.exists())
        raise ResourceError(
            f"{path}: could not be written, no space left ({error}); {shutil.disk_usage(there).free / 2**20:,.0f} MiB "
            "are free there. Earlier results are untouched. Free some space, or raise the quota, and run the same "
            "command again."
        ) from error


def explained(failure: Exception | str) -> LaborLLMError | None:
    """Return a failure of the machine, not of the program, as an error that says what to do; None for any other.

    Args:
        failure: what was raised, or the text of it, such as a kernel reports.
    """
    said = failure if isinstance(failure, str) else f"{type(failure).__name__}: {failure}"
    for kind, pattern, remedy in _REMEDIES:
        if re.search(pattern, said, re.IGNORECASE):
            return kind(f"{' '.join(said.split())[:_LONGEST]}. {remedy}")
    return None
