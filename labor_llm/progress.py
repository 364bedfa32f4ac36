"""Progress of long work: what runs, how far it is, how long it still takes; on the error stream."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

_SECONDS_BETWEEN_LINES = 10.0


@contextlib.contextmanager
def progress(what: str, total: int, unit: str, done: int = 0) -> Iterator[Callable[[int, str], None]]:
    """Yield a function `advance(number, note)` that reports progress: a bar on a terminal, elsewhere lines.

    A line is written whole, every ten seconds at most, so that runs which share an error stream stay apart:
    `fine-tuning smollm2-pooled: 40 of 191 steps, about 6 min left, loss 0.412`.

    Args:
        what: what is being done.
        total: units in all.
        unit: name of a unit, one of which an `s` makes several.
        done: units that an earlier, interrupted run has done.
    """
    if sys.stderr.isatty():
        with _bar(what, total, unit, done) as advance:
            yield advance
        return
    start = said = time.monotonic()
    now = done

    def advance(number: int, note: str = "") -> None:
        nonlocal said, now
        now += number
        seconds = time.monotonic() - start
        if start + seconds - said < _SECONDS_BETWEEN_LINES:
            return
        said = start + seconds
        left = f"about {_duration(seconds / (now - done) * (total - now))} left" if done < now < total else ""
        parts = [f"{what}: {now:,} of {total:,} {unit}s", left, note]
        sys.stderr.write(", ".join(part for part in parts if part) + "\n")
        sys.stderr.flush()

    yield advance


@contextlib.contextmanager
def _bar(what: str, total: int, unit: str, done: int) -> Iterator[Callable[[int, str], None]]:
    from tqdm import tqdm

    with tqdm(total=total, initial=done, desc=what, unit=unit, ascii=True, ncols=100) as bar:

        def advance(number: int, note: str = "") -> None:
            bar.set_postfix_str(note, refresh=False)
            bar.update(number)

        yield advance


def _duration(seconds: float) -> str:
    for size, name in ((3600, "h"), (60, "min")):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.{1 if name == 'h' else 0}f} {name}"
    return f"{seconds:.0f} s"
