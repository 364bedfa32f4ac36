"""Progress of long work: what runs, how far it is, how long it still takes; on the error stream."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from tqdm import tqdm

_SECONDS_BETWEEN_LINES = 10.0


@contextlib.contextmanager
def progress(what: str, total: int, unit: str, done: int = 0) -> Iterator[Callable[[int, str], None]]:
    """Yield a function `advance(number, note)` that reports progress, a line every ten seconds at most.

    Args:
        what: what is being done.
        total: units in all.
        unit: name of a unit.
        done: units that an earlier, interrupted run has done.
    """
    bar = tqdm(
        total=total,
        initial=done,
        desc=what,
        unit=unit,
        mininterval=_SECONDS_BETWEEN_LINES,
        ascii=True,
        ncols=100,
    )

    def advance(number: int, note: str = "") -> None:
        if note:
            bar.set_postfix_str(note, refresh=False)
        bar.update(number)

    with bar:
        yield advance
