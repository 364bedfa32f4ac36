"""Time and memory of simulating the three surveys, writing their official files, and converting these back.

    python benchmarks/survey_conversion.py [--quick] [--workers N] [--json PATH] [--store FOLDER]

Measured, each step in a process of its own:

* each survey simulated and written (52,500 workers together), and its files converted to a career panel;
* the same PSID once more with lines as long as those of real files, most of which nobody looks for;
* three fixed-width files of it, whole, against `pandas.read_fwf` with the same columns;
* a full cohort: a csv of 178,014 columns and about 7 GB that holds the simulated NLSY79 among others, converted as
  it is and from a zip;
* the first rows of that csv, against `pandas.read_csv` of the whole file and of the wanted columns alone.

Every converted panel must equal the simulated careers, and what a peer reads must equal what the package reads.
The files are read soon after they were written, so from the system's cache where memory suffices. A full run needs
about 10 GB of disk space. Linux only.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from measurement import (
    Measurement,
    Row,
    end_with_status,
    in_own_process,
    measured,
    report,
    row,
    step_rows,
    store,
    write_json,
)
from wide_files import COHORT, SAMPLE, WIDE, write_cohort, write_wide_psid, zip_cohort

from labor_llm.errors import InputError, MismatchError
from labor_llm.simulation.files.writing import CROSSWALKS, RAW, write_simulated_survey
from labor_llm.store.streams import opened
from labor_llm.surveys.conversion import convert_survey
from labor_llm.surveys.nls.extracts import read_nls
from labor_llm.surveys.nls.nlsy79 import nlsy79_variables
from labor_llm.surveys.psid.layouts import read_fixed_width, read_layout
from labor_llm.surveys.psid.waves import INDIVIDUAL_FILE
from labor_llm.surveys.variables import variables_of

SURVEYS = ("psid", "nlsy79", "nlsy97")
COLUMNS = ["worker_id", "year", "occupation", "education", "gender", "ethnicity", "region", "birth_year"]
FIXED_WIDTH_FILES = (INDIVIDUAL_FILE, "FAM1981", "FAM2023ER")
# The columns of the full NLSY79.
COHORT_COLUMNS = 178_014
# The most that a run at full size is meant to take.
PACKAGES = ("labor_llm", "numpy", "pandas", "pyarrow")
LIMITS = {
    ("simulate all three", "s"): 180.0,
    ("simulate all three", "GB"): 4.0,
    ("convert psid", "s"): 120.0,
    ("convert psid", "GB"): 6.0,
    ("convert nlsy79_cohort", "GB"): 2.0,
}


def simulate(folder: Path, survey: str, workers: int | None) -> Measurement:
    """Simulate a survey, write its files, and keep the careers as `<survey>.parquet`."""
    with measured() as measurement:
        careers = write_simulated_survey(folder / survey, survey, workers)
    careers[COLUMNS].to_parquet(folder / f"{survey}.parquet")
    measurement.made = {"workers": int(careers["worker_id"].nunique()), "records": len(careers)}
    return measurement


def convert(folder: Path, survey: str, raw: Path) -> Measurement:
    """Convert files of a simulated survey to a panel.

    Raises:
        MismatchError: if the panel does not equal the careers that were simulated.
    """
    with measured() as measurement:
        panel, _ = convert_survey(survey, raw, folder / survey / CROSSWALKS, survey, other_crosswalks=True)
    careers = pd.read_parquet(folder / f"{survey}.parquet")
    try:
        pd.testing.assert_frame_equal(panel.frame[COLUMNS], careers, check_dtype=False)
    except AssertionError as error:
        raise MismatchError(f"{raw}: the converted panel is not what was simulated: {error}") from None
    return measurement


def read_fixed_width_file(path: Path, peer: bool) -> Measurement:
    """Read the wanted columns of a fixed-width file, by pandas if `peer`; made are their check sums."""
    wanted = {variable.name for variable in variables_of("psid")}
    statements = path.with_suffix(".sas")
    layout = read_layout(statements.read_text("latin-1"), statements)
    own = {name: place for name, place in layout.columns.items() if name in wanted}
    with measured() as measurement:
        if peer:
            places = [(first - 1, last) for first, last in own.values()]
            table: Any = pd.read_fwf(path, colspecs=places, names=list(own), header=None)
        else:
            with opened(path) as stream:
                table = read_fixed_width(stream, layout, list(own), path)
    measurement.made = {name: _check_sum(table[name]) for name in own}
    return measurement


def read_sample(folder: Path, peer: str = "") -> Measurement:
    """Read the first rows of the cohort: by the package, or by pandas, `whole` or the wanted `columns`."""
    path = folder / SAMPLE / f"{SAMPLE}.csv"
    wanted = list(pd.read_csv(folder / "nlsy79" / RAW / "simulated.csv", nrows=0).columns)
    with measured() as measurement:
        if peer:
            table = pd.read_csv(path, usecols=wanted if peer == "columns" else None)
        else:
            table = read_nls(path.parent, "nlsy79", nlsy79_variables()).values
    # The package keeps the respondent, the first column wanted, in the index.
    sums = {_check_sum(table[name]) for name in (wanted[1:] if peer else table.columns)}
    measurement.made = {"rows": len(table), "columns": sums}
    return measurement


def _check_sum(values: pd.Series | np.ndarray) -> int:
    """Return a number that depends on the values and their order."""
    return int(np.dot(np.asarray(values, dtype=np.int64), np.arange(1, len(values) + 1)))


def benchmark(
    folder: Path, workers: int | None, line_length: int, cohort_columns: int, sample_rows: int
) -> list[Row]:
    """Return the rows of all steps, whose files go into a folder.

    Args:
        folder: an empty or absent one.
        workers: how many a survey; its full size if None.
        line_length: characters in a line of the wide PSID files.
        cohort_columns: columns of the full cohort.
        sample_rows: first rows of it that the peers read too.

    Raises:
        MismatchError: if what is read back differs from what was simulated, or from what a peer reads.
    """
    simulated = {survey: in_own_process(simulate, folder, survey, workers) for survey in SURVEYS}
    made = {kind: sum(each.made[kind] for each in simulated.values()) for kind in ("workers", "records")}
    rows = [row(f"simulated {kind}", count, kind) for kind, count in made.items()]
    for survey, measurement in simulated.items():
        rows += step_rows(f"simulate {survey}", measurement)
    rows.append(row("simulate all three", sum(each.seconds for each in simulated.values()), "s"))
    rows.append(row("simulate all three", max(each.gigabytes for each in simulated.values()), "GB"))
    for survey in SURVEYS:
        rows += step_rows(f"convert {survey}", in_own_process(convert, folder, survey, folder / survey / RAW))

    wide = in_own_process(write_wide_psid, folder, line_length)
    rows.append(row("psid persons", wide.made["persons"], "persons"))
    name = f"convert psid, lines of {line_length:,} characters"
    rows.append(row(name, _size(folder / WIDE), "GB read"))
    rows += step_rows(name, in_own_process(convert, folder, "psid", folder / WIDE))
    for stem in FIXED_WIDTH_FILES:
        path = folder / WIDE / f"{stem}.txt"
        own, peer = (in_own_process(read_fixed_width_file, path, by_peer) for by_peer in (False, True))
        rows += step_rows(f"read {stem}, {len(own.made)} columns; peer pandas.read_fwf", own, peer)

    in_own_process(write_cohort, folder, cohort_columns, sample_rows)
    name = f"convert {COHORT}, {cohort_columns:,} columns"
    rows.append(row(name, _size(folder / COHORT), "GB read"))
    rows += step_rows(name, in_own_process(convert, folder, "nlsy79", folder / COHORT))
    in_own_process(zip_cohort, folder)
    rows += step_rows(
        f"{name}, from its zip", in_own_process(convert, folder, "nlsy79", folder / f"{COHORT}.zip")
    )
    own = in_own_process(read_sample, folder)
    for peer, said in (("whole", "whole file"), ("columns", "usecols")):
        name = f"read {own.made['rows']:,} rows of it; peer pandas.read_csv, {said}"
        rows += step_rows(name, own, in_own_process(read_sample, folder, peer))
    return rows


def _size(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.iterdir()) / 1e9


def main() -> int:
    """Run the benchmark as the command line says, and return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small sizes: a quarter of a minute")
    parser.add_argument("--workers", type=int, help="workers a survey; the full size if not given")
    parser.add_argument("--line-length", type=int, help="characters in a line of the wide PSID (4000)")
    parser.add_argument("--cohort-columns", type=int, help=f"columns of the full cohort ({COHORT_COLUMNS})")
    parser.add_argument("--sample-rows", type=int, help="rows of it that pandas reads too (1000)")
    parser.add_argument("--folder", type=Path, help="keep the files here; otherwise they are deleted")
    parser.add_argument("--json", type=Path, help="write the rows to this file too")
    parser.add_argument("--store", type=Path, help="store rows and machine in this folder, for the book")
    given = parser.parse_args()
    sizes = {"workers": 500, "line_length": 1000, "cohort_columns": 10_000, "sample_rows": 100}
    if not given.quick:
        sizes = {"workers": None, "line_length": 4000, "cohort_columns": COHORT_COLUMNS, "sample_rows": 1000}
    sizes |= {name: vars(given)[name] for name in sizes if vars(given)[name] is not None}
    with contextlib.ExitStack() as stack:
        folder = given.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        if next(folder.iterdir(), None):
            raise InputError(f"{folder}: not empty. Give a folder that is empty or does not exist.")
        rows = benchmark(folder, **sizes)
    full = not given.quick and given.workers is None
    print(report(rows, LIMITS if full else {}, PACKAGES))
    if given.json:
        write_json(given.json, rows)
    if given.store:
        store(given.store, rows, PACKAGES, sys.argv)
    return 0


if __name__ == "__main__":
    end_with_status(main)
