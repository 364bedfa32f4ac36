"""What a step takes, measured in a process of its own, and the rows and the table that report it."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import multiprocessing
import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from labor_llm.errors import MismatchError, ResourceError

# Imported before a process is forked; the last is what checking a career panel loads when it is first done.
PRELOADED = (
    "labor_llm.simulation.survey_files",
    "labor_llm.surveys.conversion",
    "pandera.backends.pandas.register",
    "pandera.backends.pandas.builtin_checks",
)
Row = dict[str, Any]
Limits = Mapping[tuple[str, str], float]


@dataclasses.dataclass
class Measurement:
    """What a step took.

    Attributes:
        seconds: wall time, without starting the process and importing.
        gigabytes: peak resident memory of the process, 1e9 bytes.
        made: what the step made, by name: counts, or check sums to be compared with a peer's.
    """

    seconds: float = 0.0
    gigabytes: float = 0.0
    made: dict[str, Any] = dataclasses.field(default_factory=dict)


@contextlib.contextmanager
def measured() -> Iterator[Measurement]:
    """Yield a measurement that holds time and peak memory once the block is left."""
    measurement, start = Measurement(), time.perf_counter()
    yield measurement
    measurement.seconds = time.perf_counter() - start
    # Linux counts it in KiB.
    measurement.gigabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def in_own_process(step: Callable[..., Measurement], *arguments: Any) -> Measurement:
    """Return what a step measured in a new process, forked from one that has only imported the package.

    Raises:
        ResourceError: if the process was killed.
    """
    print(f"{step.__name__}({', '.join(map(str, arguments))})", file=sys.stderr, flush=True)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    try:
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            return pool.submit(step, *arguments).result()
    except BrokenProcessPool:
        raise ResourceError(
            f"{step.__name__}: its process was killed, usually because memory ran out. Measure at a smaller size."
        ) from None


def step_rows(name: str, own: Measurement, peer: Measurement | None = None) -> list[Row]:
    """Return the rows of a step, time and memory, beside those of a peer that made the same.

    Raises:
        MismatchError: if the peer made something else.
    """
    if peer is not None and peer.made != own.made:
        raise MismatchError(f"{name}: the two do not read the same values.")
    return [
        row(name, own.seconds, "s", peer and peer.seconds),
        row(name, own.gigabytes, "GB", peer and peer.gigabytes),
    ]


def row(name: str, value: float, unit: str, peer: float | None = None) -> Row:
    """Return a row: numbers to four digits; `ratio` is the peer's over ours, so above one where ours is less."""
    value, peer = _rounded(value), None if peer is None else _rounded(peer)
    ratio = None if peer is None else _rounded(peer / value)
    return {"name": name, "value": value, "unit": unit, "peer": peer, "ratio": ratio}


def _rounded(number: float) -> float:
    return number if isinstance(number, int) else float(f"{number:.4g}")


def report(rows: Sequence[Row], limits: Limits, packages: Sequence[str]) -> str:
    """Return the table of rows as text, then the limits that apply, the machine and the versions.

    Args:
        rows: as `row` makes them.
        limits: the most that a row may have, by the start of its name and its unit.
        packages: the distributions whose versions are told.
    """
    width = max(len(each["name"]) for each in rows)
    lines = [f"{'name':<{width}}  {'value':>10} {'unit':<8} {'peer':>10} {'ratio':>7}"]
    for each in rows:
        value, peer, ratio = (
            "" if each[column] is None else f"{each[column]:,}" for column in ("value", "peer", "ratio")
        )
        lines.append(f"{each['name']:<{width}}  {value:>10} {each['unit']:<8} {peer:>10} {ratio:>7}".rstrip())
    for (start, unit), limit in limits.items():
        for each in rows:
            if each["name"].startswith(start) and each["unit"] == unit:
                verdict = "kept" if each["value"] <= limit else "EXCEEDED"
                lines.append(f"limit of {limit:g} {unit} {verdict}: {each['name']}, {each['value']:,} {unit}")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    cores = f"{len(os.sched_getaffinity(0))} of {os.cpu_count()} cores"
    versions = [f"{name} {importlib.metadata.version(name)}" for name in packages]
    lines.append(f"machine: {platform.platform()}, {cores}, {memory:.1f} GB")
    lines.append(f"versions: python {platform.python_version()}, {', '.join(versions)}")
    return "\n".join(lines)
