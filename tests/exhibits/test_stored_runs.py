"""Stored runs: their rows beside those of others, their claims, and that those in the repository tell of nobody."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from labor_llm.disclosure import MINIMUM_PERSONS
from labor_llm.errors import ArtefactError
from labor_llm.exhibits.catalogue import exhibit_of
from labor_llm.exhibits.stored_runs import (
    StoredRun,
    read_stored,
    stored_baseline_pairs,
    stored_claims,
    tables_in,
    write_stored,
)
from labor_llm.store.artefacts import MANIFEST
from labor_llm.store.results import EXPECTED, STORED, Results, project_root

PAIRS = """Model,Minus,Data set,Difference,TestSE,95 % from,95 % to,Transitions,Workers
FT,CAREER,One,-0.5,0.1,-0.7,-0.3,900,90
FT,Off the shelf,One,-9.0,1.0,-11.0,-7.0,900,90
"""
CLAIMS = """Claim,The paper,Data set,Difference,95 % from,95 % to,Workers,Verdict,What would decide it,Shown in
Better,8.18 against 8.58 (PSID81),One,-0.5,-0.7,-0.3,90,replicated,,tab-fine-tuned-pairs
Better,8.18 against 8.58 (PSID81),"NLSY79, larger run",-0.8,-1.0,-0.6,1600,replicated,,fig-on-every-data-set
Longer,,,,,,,not run here,no run of it in this profile,
"""
EVIDENCE = """Claim,Data set,Compared,Difference,TestSE,95 % from,95 % to,Transitions,Workers,Verdict
Better,One,FT − CAREER,-0.5,0.1,-0.7,-0.3,900,90,replicated
Better,"NLSY79, larger run",FT − CAREER,-0.8,0.1,-1.0,-0.6,21000,1600,replicated
"""


def store(folder: Path, *labels: str, **tables: str) -> Path:
    results = Results(folder / "results")
    results.exhibits.mkdir(parents=True)
    for name, text in tables.items():
        (results.exhibits / f"tab-{name.replace('_', '-')}.csv").write_text(text)
    about = {"description": "A tenth", "datasets": {label.lower(): {"label": label} for label in labels}}
    return write_stored(results, folder / "kept", about, {})


def test_rows_are_called_by_the_run_and_those_of_other_runs_left_out(tmp_path: Path) -> None:
    folder = store(tmp_path, "One", fine_tuned_pairs=PAIRS, claims=CLAIMS, claims_evidence=EVIDENCE)
    pairs = stored_baseline_pairs([folder])
    assert pairs[["dataset", "reference", "difference", "ci_low"]].to_numpy().tolist() == [
        ["A tenth", "CAREER", -0.5, -0.7]
    ]
    [claim] = stored_claims([folder]).to_dict("records")
    assert (claim["dataset"], claim["paper"], claim["workers"]) == (
        "A tenth",
        "8.18 against 8.58 (PSID81)",
        90,
    )
    assert stored_claims([]).empty and stored_baseline_pairs([]).empty


def test_of_several_data_sets_each_keeps_its_name(tmp_path: Path) -> None:
    folder = store(
        tmp_path, "One", "Two", fine_tuned_pairs=PAIRS + PAIRS.splitlines()[1].replace("One", "Two")
    )
    assert stored_baseline_pairs([folder])["dataset"].tolist() == ["One (A tenth)", "Two (A tenth)"]


def test_a_changed_table_is_refused(tmp_path: Path) -> None:
    folder = store(tmp_path, "One", fine_tuned_pairs=PAIRS)
    path = folder / "tab-fine-tuned-pairs.csv"
    path.write_text(path.read_text().replace("-0.5", "-0.9"))
    with pytest.raises(ArtefactError, match=r"tab-fine-tuned-pairs\.csv: its sha256 differs"):
        read_stored([folder])


FOUND = [
    path.parent for place in (STORED, EXPECTED) for path in (project_root() / place).glob(f"*/{MANIFEST}")
]


@pytest.mark.parametrize("run", read_stored(FOUND), ids=lambda run: run.folder.name)
def test_what_the_repository_keeps_is_of_eleven_persons_or_more(run: StoredRun) -> None:
    for path in tables_in(run.folder):
        assert exhibit_of(path.stem), path
        rows = pd.read_csv(path)
        counted = [name for name in rows if name.startswith("Workers") and rows[name].dtype != object]
        assert not (rows[counted] < MINIMUM_PERSONS).any(axis=None), path
    assert sum(path.stat().st_size for path in run.folder.iterdir()) < 2e6
