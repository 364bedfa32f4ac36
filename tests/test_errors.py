"""What a user meets when something goes wrong: exit status, one message, no word about other people's errors."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from labor_llm import errors
from labor_llm.errors import InputError, LaborLLMError, ResourceError, disk_space_named, explained


def test_every_class_has_the_exit_status_that_the_command_documents() -> None:
    found = {
        kind.__name__: kind.exit_code
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, LaborLLMError)
    }
    assert found == {
        "LaborLLMError": 1, "InputError": 3, "ArtefactError": 4, "BusyError": 5, "ResourceError": 6,
        "NumericalError": 7, "MismatchError": 8,
    }  # fmt: skip


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EFBIG, errno.EDQUOT])
@pytest.mark.parametrize("wrapped", [False, True])
def test_no_space_is_said_with_the_path_the_free_space_and_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, wrapped: bool
) -> None:
    """Arrow and safetensors wrap the operating system's error in one without its number."""
    monkeypatch.chdir(tmp_path)
    cause = OSError(code, os.strerror(code))
    raised = RuntimeError(f"writer failed: {cause}") if wrapped else cause
    for target in (tmp_path / "not" / "yet" / "there", Path("results/x")):
        with pytest.raises(ResourceError) as said, disk_space_named(target):
            raise raised
        message = str(said.value)
        assert message.startswith(f"{target}: could not be written, no space left (")
        assert os.strerror(code) in message
        assert "MiB are free there. Earlier results are untouched. Free some space" in message
        assert said.value.__cause__ is raised


@pytest.mark.parametrize(
    "other",
    [
        PermissionError(errno.EACCES, "not yours"), ValueError("something else"), KeyboardInterrupt(),
        # A message that is complete is not wrapped in another.
        ResourceError("inner: no space left ([Errno 28] No space left on device)"), InputError("cell 3 failed"),
    ],
)  # fmt: skip
def test_any_other_failure_stays_what_it_is(tmp_path: Path, other: BaseException) -> None:
    with pytest.raises(type(other)) as found, disk_space_named(tmp_path):
        raise other
    assert found.value is other


MACHINE = [
    (MemoryError(), 6, "Memory does not suffice"),
    ("_ArrayMemoryError: Unable to allocate 8.00 GiB for an array", 6, "Memory does not suffice"),
    ("OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB.", 6, "smaller profile"),
    ("RuntimeError: [enforce fail at alloc_cpu.cpp:118] . DefaultCPUAllocator: can't allocate memory", 6, "Memory"),
    (errno.ENOMEM, 6, "Memory does not suffice"),
    (errno.ENOSPC, 6, "No space is left"),
    ("RuntimeError: writer failed: [Errno 122] Disk quota exceeded", 6, "No space is left"),
    (errno.EROFS, 3, "may not be read or written"),
    (errno.EACCES, 3, "may not be read or written"),
    (OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), "x" * 9000), 3, "shorter name"),
    (errno.EMFILE, 6, "open files"),
    (RuntimeError("can't start new thread"), 6, "no more threads"),
    (errno.EEXIST, 3, "Move it away"),
    (FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']"), 3, "name another place"),
    (errno.EIO, 6, "disk or network share failed"),
]  # fmt: skip


@pytest.mark.parametrize(("failure", "status", "remedy"), MACHINE, ids=lambda value: str(value)[:40])
def test_a_failure_of_the_machine_has_a_remedy(
    failure: Exception | str | int, status: int, remedy: str
) -> None:
    said = explained(OSError(failure, os.strerror(failure), "/x") if isinstance(failure, int) else failure)
    assert said is not None and said.exit_code == status
    assert remedy in str(said) and len(str(said)) < 900 and "\n" not in str(said)


@pytest.mark.parametrize(
    "bug", [ValueError("x"), KeyError("memory"), FileNotFoundError(errno.ENOENT, "x"), "IndexError: 5"]
)
def test_a_fault_of_the_program_is_not_explained_away(bug: Exception | str) -> None:
    assert explained(bug) is None
