"""Stored runs: what a finished run has found, kept as numbers beside what it rests on, and read again.

A stored run is an artefact that `labor-llm store` writes:

    about.json    which files, settings, code and machine it was made with, and by which command it is made again
    tab-*.csv     every table, in full precision
    shown.json    tables and leading sentences as the chapters show them, in Markdown, by exhibit and notebook

Those in `data/stored` are evidence, which the book shows before the reader's own run; those in `data/expected` are what
`labor-llm check` compares another run with.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from labor_llm.baselines.settings import BASELINES
from labor_llm.errors import ArtefactError
from labor_llm.exhibits.catalogue import Exhibit, exhibit_of, find_exhibit
from labor_llm.exhibits.formatting import escape_csv
from labor_llm.store.artefacts import verify, writing
from labor_llm.store.results import Results, project_root

# What tells of the machine and its speed.
_OF_THE_MACHINE = re.compile(r"tab-(run-times|environment)")
_OF_A_CLAIM = ["claim", "dataset"]


class StoredRun(NamedTuple):
    """A run that the repository keeps: its folder, and what `about.json` says of it."""

    folder: Path
    about: dict[str, Any]

    @property
    def label(self) -> str:
        """What it is called beside others."""
        return str(self.about["description"])

    @property
    def data_sets(self) -> list[str]:
        """What its data sets are called in its tables, as csv files have it."""
        return [escape_csv(dataset["label"]) for dataset in self.about["datasets"].values()]

    def shown(self) -> dict[str, list[str]]:
        """Return Markdown of its tables by exhibit, and of its leading sentences by notebook."""
        return json.loads((self.folder / "shown.json").read_text(encoding="utf-8"))

    def rows(self, exhibit: str) -> pd.DataFrame:
        """Return the rows of a table of all its data sets, in the columns that they were made of; none without one.

        `dataset` says what the run is called, and which of its data sets it is if there are several.
        """
        entry, labels = find_exhibit(exhibit, "table"), self.data_sets
        tables = [path for path in tables_in(self.folder) if exhibit_of(path.stem) == exhibit]
        found = [read_table(path, entry) for path in tables]
        rows = pd.concat(found, ignore_index=True) if found else pd.DataFrame()
        if rows.empty:
            return rows
        if "dataset" in rows:
            rows["dataset"] = rows["dataset"].astype("string")
        if len(labels) == 1:
            # Rows of other runs, which a chapter puts beside the own ones, have another label.
            own = rows["dataset"].isin(labels) if "dataset" in rows else slice(None)
            return rows[own].assign(dataset=self.label)
        rows = rows[rows["dataset"].isin(labels)]
        return rows.assign(dataset=rows["dataset"] + f" ({self.label})")


def write_stored(
    results: Results,
    folder: Path,
    about: Mapping[str, Any],
    shown: Mapping[str, list[str]],
    made: Collection[Path] | None = None,
) -> Path:
    """Store the tables of a run, as the artefact `folder`, with what is to be said of it.

    Args:
        results: of the run.
        folder: of the artefact.
        about: what it was made with.
        shown: as `StoredRun.shown` returns it.
        made: files that the run is known to have made; others are left out. None for all that is there.

    Raises:
        ArtefactError: if the run has no tables, or lacks some that are stored there.
    """
    known = None if made is None else {path.resolve() for path in made}
    tables = [path for path in tables_in(results.exhibits) if known is None or path.resolve() in known]
    lost = {path.name for path in tables_in(folder)} - {path.name for path in tables}
    if lost or not tables:
        raise ArtefactError(
            f"{results.exhibits}: lacks {min(lost, default='tables')}. Run `labor-llm replicate` first."
        )
    with writing(folder) as aside:
        for path in tables:
            (aside / path.name).write_bytes(path.read_bytes())
        for name, content in {"about.json": about, "shown.json": shown}.items():
            text = json.dumps(content, indent=1, ensure_ascii=False)
            (aside / name).write_text(f"{text}\n", encoding="utf-8")
    return folder


def tables_in(folder: Path) -> list[Path]:
    """Return the tables of a run, stored or not, but those of its machine and times."""
    return [path for path in sorted(folder.glob("tab-*.csv")) if not _OF_THE_MACHINE.match(path.name)]


def read_stored(folders: Iterable[str | Path]) -> list[StoredRun]:
    """Return stored runs, verified; relative folders are taken from the checkout.

    Raises:
        ArtefactError: if a file of one was changed.
    """
    runs = []
    for folder in (project_root() / name for name in folders):
        verify(folder)
        runs.append(StoredRun(folder, json.loads((folder / "about.json").read_text(encoding="utf-8"))))
    return runs


def read_table(path: Path, entry: Exhibit) -> pd.DataFrame:
    """Return a stored table in the columns that it was made of, empty cells as missing."""
    headings = {form if isinstance(form, str) else form[0]: column for column, form in entry.columns.items()}
    rows = pd.read_csv(path, keep_default_na=False, na_values=[""])
    return rows.rename(columns={**headings, "Workers": "workers"})


def stored_baseline_pairs(folders: Sequence[str]) -> pd.DataFrame:
    """Return the differences of the fine-tuned models of stored runs from their baselines, as they stored them."""
    found = [run.rows("tab-fine-tuned-pairs") for run in read_stored(folders)]
    rows = pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=["reference"])
    return rows[rows["reference"].isin(BASELINES.values())]


def stored_claims(folders: Sequence[str]) -> pd.DataFrame:
    """Return what stored runs have of the claims of the paper, as `claims.judged` returned it there.

    Columns as `claims.judged` has them, but for `shown_in`.
    """
    found = []
    for run in read_stored(folders):
        words, sizes = run.rows("tab-claims"), run.rows("tab-claims-evidence")
        if not words.empty and not sizes.empty:
            found.append(sizes.merge(words[[*_OF_A_CLAIM, "paper", "decides"]], on=_OF_A_CLAIM))
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()
