"""The counts of a conversion: what is written is read back, and what tells of a few persons or is none is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pydantic import ValidationError

from labor_llm.crosswalks.files import write_crosswalks
from labor_llm.crosswalks.mapping import Crosswalks, load_crosswalks
from labor_llm.errors import ArtefactError
from labor_llm.store.artefacts import sha256, writing
from labor_llm.surveys.report import CONVERSION, Conversion, count_conversion, read_conversion
from labor_llm.surveys.rules import RecordOptions, coded_records
from labor_llm.surveys.variables import RawSurvey, Variable
from tests.surveys.test_rules import survey

COUNTS: dict[str, Any] = {
    "survey": "NLSY79",
    "options": {"first_age": 18, "states": ["unemployed", "education"], "frame_1982": "census1980"},
    "steps": [
        {"step": step, "meaning": "a rule", "workers": workers, "records": records}
        for step, workers, records in (
            ("read", 90, 900), ("in range", 90, 800), ("coded", 80, 700), ("mapped", 80, 690), ("kept", 75, 680),
        )
    ],
    "coverage": [
        dict(zip(("year", "frame", "interviewed", "coded", "mapped", "kept", "undetermined"), row, strict=True))
        for row in ((1979, "census1970", 80, 70, 69, 60, 0), (1979, "none", 20, 12, 12, None, 0))
    ],
    "frames": [{"frame": "census1970", "coded": 600, "mapped": 580}],
    "unmapped": [
        {"frame": "census1970", "code": 580, "records": 15, "workers": 12},
        {"frame": "census1970", "code": None, "records": 5, "workers": 3},
    ],
    "crosswalks": {"occ1970_occ1990dd": "0f3a"},
    "missing_waves": ["NLSY79 1990: no occupation of the main job is in the files"],
    "missing_variables": [],
    "skipped": [],
    "unnamed": [],
    "respondents": 100,
    "cohort": None,
    "files": ["default.csv"],
}  # fmt: skip


def changed(part: str, position: int, **values: object) -> dict[str, Any]:
    counts = json.loads(json.dumps(COUNTS))
    counts[part][position] |= values
    return counts


def stored(folder: Path, text: str | None) -> Path:
    with writing(folder) as aside:
        (aside / "titles.csv").write_text("occupation,title\n")
        if text is not None:
            (aside / CONVERSION).write_text(text)
    return folder


def test_what_is_stored_is_read_back(tmp_path: Path) -> None:
    conversion = Conversion(**COUNTS)
    got = read_conversion(stored(tmp_path / "panel", conversion.to_json()))
    assert got == conversion
    assert got.model_dump() == COUNTS


def test_counts_belong_to_the_panel_or_there_are_none(tmp_path: Path) -> None:
    folder = stored(tmp_path / "panel", None)
    assert read_conversion(folder) is None
    (folder / CONVERSION).write_text(Conversion(**COUNTS).to_json())
    with pytest.raises(ArtefactError, match=r"conversion\.json: not among the files"):
        read_conversion(folder)
    with pytest.raises(ArtefactError, match=r"conversion\.json: file: Invalid JSON"):
        read_conversion(stored(tmp_path / "cut", Conversion(**COUNTS).to_json()[:-20]))


@pytest.mark.parametrize(
    ("counts", "named"),
    [
        (changed("unmapped", 0, workers=10), "a code of fewer than 11 workers is named"),
        (COUNTS | {"persons": [4711]}, "Extra inputs"),
        ({name: part for name, part in COUNTS.items() if name != "steps"}, "steps: Field required"),
        (changed("coverage", 0, kept="60"), "coverage.0.kept: "),
    ],
)
def test_counts_that_cannot_be_are_refused(tmp_path: Path, counts: dict[str, Any], named: str) -> None:
    with pytest.raises(ValidationError):
        Conversion(**counts)
    folder = stored(tmp_path / "panel", json.dumps(counts))
    with pytest.raises(ArtefactError, match=rf"conversion\.json: .*{re.escape(named)}.*Convert the") as error:
        read_conversion(folder)
    assert "4711" not in str(error.value)


@pytest.fixture
def crosswalks(tmp_path: Path) -> Crosswalks:
    write_crosswalks(tmp_path / "crosswalks", {"census1970": {11: 4, 12: 7}})
    return load_crosswalks(tmp_path / "crosswalks", other_versions=True, patched=False)


def counted(crosswalks: Crosswalks, rows: list[tuple], missing=(), read=(), column_map=None):
    """Counts of interviews (person, year, employment, code) of people born in 1960."""
    interviews = survey(*((person, year, state, False, code, 12) for person, year, state, code in rows))
    coded = coded_records(interviews, crosswalks, RecordOptions())
    raw = RawSurvey(pd.DataFrame(), {("sex", "", 0): Path("x.csv")}, tuple(missing), tuple(read))
    return count_conversion("ACME", {}, coded, raw, crosswalks, [], column_map=column_map)


def test_counts_of_few_persons_are_left_out(crosswalks):
    rows = [(person, 1980, "working", 11) for person in range(20)]
    rows += [(person, 1981, "working", 11) for person in range(5)]
    rows += [(person, 1982, "working", 13 if person < 3 else 12) for person in range(20)]
    counts = counted(crosswalks, rows)
    assert {row.year: row.kept for row in counts.coverage} == {1980: 20, 1981: None, 1982: 17}
    # 45 codes, of which 42 are mapped, would tell of the three persons whose code is not.
    assert [(row.coded, row.mapped) for row in counts.frames] == [(45, None)]
    assert counts.unmapped == []


def test_codes_without_a_target_are_named_or_pooled(crosswalks):
    codes = [13] * 12 + [14] * 6 + [15] * 7 + [11] * 400
    rows = [(person, 1980, "working", code) for person, code in enumerate(codes)]
    rows += [(person, 1981, "working", 13) for person in range(3)]
    got = [(row.code, row.records, row.workers) for row in counted(crosswalks, rows).unmapped]
    assert got == [(13, 15, 12), (None, 13, 13)]


def test_waves_of_which_the_files_have_a_part_and_undetermined_records_are_told(crosswalks):
    rows = [(person, 1980, "working" if person < 8 else "unknown", 11) for person in range(100)]
    rows += [(person, 1981, "not working" if person < 30 else "working", 11) for person in range(100)]
    counts = counted(crosswalks, rows)
    (thin,) = counts.missing_waves
    assert thin.startswith("ACME 1980: 8% of 100 interviews tell an occupation or a state")
    assert (counts.coverage[-1].kept, counts.coverage[-1].undetermined) == (100, 30)


def test_missing_variables_are_named_by_concept(crosswalks):
    missing = [Variable("sex", 0, "R0214800", "SAMPLE_SEX")]
    missing += [Variable("weekly_status", week, "", f"STATUS_WK_NUM{week:04d}") for week in range(1, 101)]
    rows = [(person, 1980, "working", 11) for person in range(20)]
    assert counted(crosswalks, rows, missing).missing_variables == [
        "sex: 1 of 2 variables, such as R0214800",
        "weekly_status: all 100 variables, such as STATUS_WK_NUM0001; 1 to 100",
    ]


def test_every_file_that_was_read_is_told_by_its_checksum(crosswalks, tmp_path):
    archive, column_map = tmp_path / "fam1981.zip", tmp_path / "map.csv"
    archive.write_bytes(b"zip")
    column_map.write_text("map")
    rows = [(person, 1980, "working", 11) for person in range(20)]
    read = [archive / "FAM1981.txt", archive / "FAM1981.sas"]
    counts = counted(crosswalks, rows, read=read, column_map=column_map)
    assert counts.files == [
        {"name": path.name, "bytes": 3, "sha256": sha256(path)} for path in (archive, column_map)
    ]
