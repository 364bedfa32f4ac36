"""Lines of progress: whole, rarely, and with what is left."""

from __future__ import annotations

import pytest

from labor_llm import progress as module
from labor_llm.progress import progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


@pytest.mark.parametrize(
    ("seconds", "lines", "first"),
    [
        (3, 5, "9 of 25 steps, about 48 s left"),
        (30, 20, "6 of 25 steps, about 10 min left"),
        (600, 20, "6 of 25 steps, about 3.2 h left"),
    ],
)
def test_a_line_says_how_far_it_is_and_what_is_left(
    clock: list[float], capsys: pytest.CaptureFixture[str], seconds: float, lines: int, first: str
) -> None:
    """Five of 25 steps were done before; the others take the same time each."""
    with progress("fine-tuning small", 25, "step", done=5) as advance:
        for _ in range(20):
            clock[0] += seconds
            advance(1, "loss 0.500")
    written = capsys.readouterr().err.splitlines()
    assert len(written) == lines
    assert written[0] == f"fine-tuning small: {first}, loss 0.500"


def test_short_work_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("scoring", 3, "career") as advance:
        advance(3, "")
    assert capsys.readouterr().err == ""
