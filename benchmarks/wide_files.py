"""Files as wide as real ones, of which a reader wants little: made from a simulated PSID and a simulated NLSY79."""

from __future__ import annotations

import contextlib
import itertools
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from measurement import Measurement, measured

from labor_llm.simulation.files.writing import RAW, Column, write_psid
from labor_llm.store.artefacts import atomic_path
from labor_llm.surveys.psid.files import read_psid
from labor_llm.surveys.variables import variables_of

# Below the folder of the benchmark, beside one folder a survey.
WIDE, COHORT, SAMPLE = "psid_wide", "nlsy79_cohort", "nlsy79_sample"
FILLER_WIDTH = 5
# Codes of the columns that nobody looks for: with their commas three bytes a cell, as in the full NLSY79.
FILLER_CODES = (b"-4", b"-4", b"-5", b"-4", b"1", b"-4", b"-5", b"0", b"-4", b"12500")


def write_wide_psid(folder: Path, line_length: int) -> Measurement:
    """Write the simulated PSID once more, unpacked, with lines of at least that length."""
    variables = variables_of("psid")
    with measured() as measurement:
        values = read_psid(folder / "psid" / RAW, variables).values
        write_psid(folder / WIDE, values, variables, arranged=lambda columns: _filled(columns, line_length))
    measurement.made = {"persons": len(values)}
    return measurement


def _filled(columns: list[Column], line_length: int) -> list[Column]:
    """Return the columns with others that nobody looks for spread among them, so that a line is long enough."""
    fillers = max(0, -(-(line_length - sum(column.width for column in columns)) // FILLER_WIDTH))
    content = np.full(len(columns[0].values), 10 ** (FILLER_WIDTH - 1), dtype=np.int32)
    others = [Column(f"FILLER{number}", "NOT LOOKED FOR", content) for number in range(fillers)]
    filled = []
    for place, column in enumerate(columns):
        filled += [column, *others[place * fillers // len(columns) : (place + 1) * fillers // len(columns)]]
    return filled


def write_cohort(folder: Path, columns: int, sample_rows: int) -> Measurement:
    """Write the simulated NLSY79 as a csv of that many columns, and its first rows as another one."""
    source = folder / "nlsy79" / RAW / "simulated.csv"
    description = source.with_suffix(".sdf").read_text()
    with measured() as measurement, open(source, "rb") as lines, contextlib.ExitStack() as stack:
        header = next(lines).rstrip().split(b",")
        others = max(0, columns - len(header))
        names = [f"Z{number:07d}" for number in range(others)]
        description += "".join(f"{name[:6]}.{name[6:]}  1990  NOT LOOKED FOR  {name}\n" for name in names)
        codes = list(itertools.islice(itertools.cycle(FILLER_CODES), others + len(FILLER_CODES)))
        # Rows differ in where the cycle of codes begins.
        fillers = [_between(codes[start : start + others], len(header)) for start in range(len(FILLER_CODES))]
        files = []
        for name in (COHORT, SAMPLE):
            path = folder / name / f"{name}.csv"
            files.append(stack.enter_context(open(stack.enter_context(atomic_path(path)), "wb")))
            path.with_suffix(".sdf").write_text(description)
            files[-1].write(_line(header, _between([f'"{name}"'.encode() for name in names], len(header))))
        for number, line in enumerate(lines):
            written = _line(line.rstrip().split(b","), fillers[number % len(fillers)])
            for file in files if number < sample_rows else files[:1]:
                file.write(written)
    return measurement


def _between(cells: Sequence[bytes], parts: int) -> list[bytes]:
    """Return that many pieces of a line, each to follow a wanted cell, with the cells spread over them."""
    bounds = [len(cells) * part // parts for part in range(parts + 1)]
    pieces = [b",".join([b"", *cells[start:end], b""]) for start, end in itertools.pairwise(bounds)]
    return [*(piece or b"," for piece in pieces[:-1]), pieces[-1].removesuffix(b",") + b"\r\n"]


def _line(cells: Sequence[bytes], between: Sequence[bytes]) -> bytes:
    return b"".join(itertools.chain.from_iterable(zip(cells, between, strict=True)))


def zip_cohort(folder: Path) -> Measurement:
    """Pack the files of the cohort into one zip beside their folder, as a full cohort is delivered."""
    with (
        measured() as measurement,
        atomic_path(folder / f"{COHORT}.zip") as aside,
        zipfile.ZipFile(aside, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        for path in sorted((folder / COHORT).iterdir()):
            archive.write(path, path.name)
    return measurement
