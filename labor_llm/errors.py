"""The errors that a user can cause or mend: one class a remedy, one clear message each.

Every message names the file (and row and column where there is one), the value found and what to
do. The command line prints the message without a traceback and exits with `exit_code`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path

_NO_SPACE = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT}


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
        if not _is_no_space(error):
            raise
        raise ResourceError(_no_space_message(path, error)) from error


def _is_no_space(error: Exception) -> bool:
    """Tell whether an error means a full disk; the writers of other libraries wrap the system's own error."""
    text = str(error)
    return (
        getattr(error, "errno", None) in _NO_SPACE
        or any(os.strerror(code) in text for code in _NO_SPACE)
        # numpy counts the items that it could write, and does not say why it stopped.
        or re.search(r"\d+ requested and \d+ written", text) is not None
    )


def _no_space_message(path: Path, error: Exception) -> str:
    parent = next(folder for folder in [path, *path.parents] if folder.exists())
    status = os.statvfs(parent)
    free = status.f_bavail * status.f_frsize / 2**20
    return (
        f"{path}: could not be written, no space left ({error}); {free:,.0f} MiB are free there. "
        "Earlier results are untouched. Free some space, or raise the quota, and run the same command again."
    )
