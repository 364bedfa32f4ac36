"""What a step takes, measured in a process of its own, and the rows and the table that report it."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import json
import multiprocessing
import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from labor_llm.errors import LaborLLMError, MismatchError, ResourceError
from labor_llm.exhibits.expected import processor
from labor_llm.store.artefacts import atomic_path, writing

# Imported before a process is forked.
PRELOADED = ("labor_llm.simulation.files.writing", "labor_llm.surveys.conversion")
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
    about = machine(packages)
    lines.append(f"machine: {about['processor']}, {about['platform']}, {about['cores']}, {about['memory']}")
    lines.append(f"versions: {about['versions']}")
    return "\n".join(lines)


def machine(packages: Sequence[str]) -> dict[str, str]:
    """Return what the numbers depend on: processor, cores, memory, platform, date and versions of packages."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    versions = [f"{name} {importlib.metadata.version(name)}" for name in packages]
    return {
        "processor": processor(),
        "platform": platform.platform(),
        "cores": f"{cores} of {os.cpu_count()} cores",
        "memory": f"{memory:.1f} GB",
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "versions": ", ".join([f"python {platform.python_version()}", *versions]),
    }


def write_json(path: Path, rows: Sequence[Row]) -> None:
    """Write rows to a file, which is in place when it is complete."""
    with atomic_path(path) as aside:
        aside.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def store(folder: Path, rows: Sequence[Row], packages: Sequence[str], command: Sequence[str]) -> None:
    """Store rows as an artefact that the book can show: `rows.json` and `machine.json`, with a manifest.

    Args:
        folder: where it will stand.
        rows: as `row` makes them.
        packages: the distributions whose versions are told.
        command: the arguments that gave the rows.
    """
    with writing(folder, {"command": [Path(command[0]).name, *command[1:]]}) as aside:
        write_json(aside / "rows.json", rows)
        (aside / "machine.json").write_text(json.dumps(machine(packages), indent=1) + "\n", encoding="utf-8")


def end_with_status(main: Callable[[], int]) -> NoReturn:
    """Run the command of a benchmark and end with its exit status; an error that the user can mend is one line."""
    try:
        sys.exit(main())
    except LaborLLMError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


def interleaved(
    steps: Mapping[str, Callable[[Any], Any]],
    items: Sequence[Any],
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
    before: Mapping[str, Callable[[Any], Any]] | None = None,
) -> dict[str, np.ndarray]:
    """Return the seconds that each step takes for each item, float64 [rounds, items], all in this process.

    What a step has `before` it is done right before it, and not timed.

    In every round each item is given to all steps one after the other, the next time in the opposite order, so that
    whatever else the machine does meets all of them alike. `time.process_time` as the clock counts the processor's
    seconds of all threads, which waiting for other processes does not lengthen; use it with one thread.
    """
    seconds = {name: np.empty((rounds, len(items))) for name in steps}
    for turn in range(rounds):
        for number, item in enumerate(items):
            print(
                f"round {turn + 1} of {rounds}, item {number + 1} of {len(items)}",
                file=sys.stderr,
                flush=True,
            )
            for name in list(steps) if turn % 2 == 0 else reversed(steps):
                if before and name in before:
                    before[name](item)
                start = clock()
                steps[name](item)
                seconds[name][turn, number] = clock() - start
    return seconds


@contextlib.contextmanager
def memory_above_present() -> Iterator[Measurement]:
    """As `measured`, with the peak memory that the block takes beyond what the process holds before. Linux only."""
    # Writing 5 sets the peak, VmHWM, back to what is resident now.
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = _peak_memory()
    with measured() as measurement:
        yield measurement
    # What fits into memory that was freed before shows as nothing; rows divide by it.
    measurement.gigabytes = max(_peak_memory() - before, resource.getpagesize() / 1e9)


def _peak_memory() -> float:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return int(fields["VmHWM"].split()[0]) * 1024 / 1e9


def ratio_verdicts(rows: Sequence[Row], least: Mapping[str, float]) -> list[str]:
    """Return a line for every ratio that is meant to reach a least value, by the start of the row's name."""
    return [
        f"ratio of {aim:g} {'reached' if each['ratio'] >= aim else 'MISSED'}: {each['name']}, {each['ratio']:g}"
        for start, aim in least.items()
        for each in rows
        if each["name"].startswith(start) and each["ratio"] is not None
    ]
