"""The counts of a conversion: what is written is read back, and what cannot be true is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from labor_llm.errors import ArtefactError, InputError
from labor_llm.store.artefacts import writing
from labor_llm.surveys.report import CONVERSION, Conversion, Step, parse_conversion, read_conversion

COUNTS: dict[str, Any] = {
    "survey": "NLSY79",
    "options": {"first_age": 18, "states": ["unemployed", "education"], "frame_1982": "census1980"},
    "steps": [
        {"step": "read", "meaning": "interviews", "workers": 90, "records": 900},
        {"step": "in range", "meaning": "ages 18 to 80", "workers": 90, "records": 800},
        {"step": "coded", "meaning": "an occupation or a state", "workers": 80, "records": 700},
        {"step": "mapped", "meaning": "in the outcome space", "workers": 80, "records": 690},
        {"step": "kept", "meaning": "in the panel", "workers": 75, "records": 680},
    ],
    "coverage": [
        {
            "year": 1979,
            "frame": "census1970",
            "interviewed": 80,
            "coded": 70,
            "mapped": 69,
            "kept": 60,
            "undetermined": 0,
        },
        {
            "year": 1979,
            "frame": "none",
            "interviewed": 20,
            "coded": 12,
            "mapped": 12,
            "kept": None,
            "undetermined": 0,
        },
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
}


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
    assert got.steps[2] == Step(step="coded", meaning="an occupation or a state", workers=80, records=700)


def test_a_panel_that_was_not_converted_has_no_counts(tmp_path: Path) -> None:
    assert read_conversion(stored(tmp_path / "panel", None)) is None


def test_counts_that_the_manifest_does_not_know_are_refused(tmp_path: Path) -> None:
    folder = stored(tmp_path / "panel", None)
    (folder / CONVERSION).write_text(Conversion(**COUNTS).to_json())
    with pytest.raises(ArtefactError, match="not part of the stored panel"):
        read_conversion(folder)


def test_counts_that_were_changed_are_refused(tmp_path: Path) -> None:
    folder = stored(tmp_path / "panel", Conversion(**COUNTS).to_json())
    path = folder / CONVERSION
    path.write_text(path.read_text().replace("680", "681"))
    with pytest.raises(ArtefactError, match=r"conversion\.json: its sha256 differs"):
        read_conversion(folder)


def test_a_stored_file_of_another_form_is_refused_with_the_field(tmp_path: Path) -> None:
    folder = stored(tmp_path / "panel", json.dumps(changed("coverage", 0, kept="60")))
    with pytest.raises(
        ArtefactError, match=r"conversion\.json: coverage\.0\.kept: .*Convert the survey again"
    ):
        read_conversion(folder)


@pytest.mark.parametrize(
    ("counts", "named"),
    [
        (changed("steps", 3, records=701), "the number of records increases"),
        (changed("steps", 4, workers=81), "the number of workers increases"),
        (changed("steps", 0, step="in range"), "the steps must be read, in range"),
        (changed("coverage", 1, frame="census1970"), "coverage: (1979, 'census1970') occurs twice"),
        (changed("frames", 0, frame="census1980"), "unmapped codes of the frame 'census1970'"),
        (changed("frames", 0, mapped=601), "more records mapped than coded"),
        (changed("frames", 0, mapped=581), "more records with an unmapped code than are left"),
        (changed("unmapped", 0, workers=10), "a code of fewer than 11 workers is named"),
        (changed("unmapped", 1, workers=6), "more workers than records"),
        (changed("unmapped", 0, code=None), "unmapped: ('census1970', None) occurs twice"),
        (COUNTS | {"persons": [4711]}, "Extra inputs"),
        ({name: part for name, part in COUNTS.items() if name != "steps"}, "steps: Field required"),
    ],
)
def test_counts_that_cannot_be_are_refused(counts: dict[str, Any], named: str) -> None:
    with pytest.raises(ValidationError):
        Conversion(**counts)
    with pytest.raises(InputError, match=re.escape(named)) as error:
        parse_conversion(json.dumps(counts), "conversion.json")
    assert "4711" not in str(error.value)


def test_text_that_is_cut_is_refused() -> None:
    with pytest.raises(InputError, match="x: file: Invalid JSON"):
        parse_conversion(Conversion(**COUNTS).to_json()[:-20], "x")
