"""What a user meets when something goes wrong: exit status, one message, no word about other people's errors."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from labor_llm import errors
from labor_llm.errors import InputError, LaborLLMError, ResourceError, disk_space_named


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
