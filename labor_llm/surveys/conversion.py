"""What a conversion counts: records after every step, by year and frame, codes without a target, what is missing.

Survey files to a career panel: reader, rules, crosswalks and the counts of every step.

`convert_survey` is what `labor-llm convert` and the notebook of data conversion call.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from labor_llm.careers.occupations import outcome_space
from labor_llm.careers.panel import CareerPanel, career_panel
from labor_llm.crosswalks.mapping import Crosswalks, load_crosswalks
from labor_llm.disclosure import MINIMUM_PERSONS
from labor_llm.errors import InputError
from labor_llm.store.artefacts import sha256
from labor_llm.surveys.registry import survey_named, survey_options
from labor_llm.surveys.report import Conversion
from labor_llm.surveys.rules import STEPS, career_frame, coded_records, records_at
from labor_llm.surveys.variables import CROSS_ROUND, RawSurvey, Variable

# Of a wave with less than this share of interviews coded, the files have only a part.
_THIN = 0.5


def count_conversion(
    survey: str,
    options: dict[str, Any],
    coded: pd.DataFrame,
    values: RawSurvey,
    crosswalks: Crosswalks,
    missing_waves: Sequence[str],
    cohort: int | None = None,
    column_map: Path | None = None,
) -> Conversion:
    """Return the counts of a conversion; those that rest on fewer than `MINIMUM_PERSONS` are left out or pooled.

    Args:
        survey: its name.
        options: every option by name.
        coded: as `conversion_rules.coded_records` returns it.
        values: what was read.
        crosswalks: those that were used.
        missing_waves: what the survey's reader says of waves that the files lack.
        cohort: how many respondents the survey's cohort has.
        column_map: the file that named columns, if there was one.
    """
    with_code = records_at(coded, "coded")
    with_code = with_code[with_code["works"]]
    read = [*values.read, *([column_map] if column_map else [])]
    return Conversion.model_validate(
        {
            "survey": survey,
            "respondents": len(values.values),
            "cohort": cohort,
            "options": options,
            "steps": [_step(coded, step, meaning) for step, meaning in STEPS.items()],
            "coverage": _coverage(coded),
            "frames": [_frame(str(frame), part) for frame, part in with_code.groupby("frame")],
            "unmapped": _unmapped(with_code[with_code["step"] == "coded"]),
            "crosswalks": crosswalks.describe(),
            "missing_waves": [*missing_waves, *_thin_waves(survey, coded)],
            "missing_variables": _missing_variables(values),
            "skipped": sorted({path.name for path in values.skipped}),
            "unnamed": sorted({path.name for path in values.unnamed}),
            "files": _files(read),
        }
    )


def _shown(count: int, workers: int | None = None) -> int | None:
    return count if (count if workers is None else workers) >= MINIMUM_PERSONS else None


def _step(coded: pd.DataFrame, step: str, meaning: str) -> dict[str, Any]:
    left = records_at(coded, step)
    workers = left["person"].nunique()
    return {
        "step": step,
        "meaning": meaning,
        "workers": _shown(workers),
        "records": _shown(len(left), workers),
    }


def _frame(frame: str, part: pd.DataFrame) -> dict[str, Any]:
    lost = part.loc[part["occupation"].isna(), "person"].nunique()
    mapped = int(part["occupation"].notna().sum())
    # Codes of a few persons without a target would follow from the two counts.
    hidden = 0 < lost < MINIMUM_PERSONS
    return {
        "frame": frame,
        "coded": _shown(len(part), part["person"].nunique()),
        "mapped": None if hidden else _shown(mapped),
    }


def _coverage(coded: pd.DataFrame) -> list[dict[str, Any]]:
    rows = []
    columns = {"interviewed": "read", "coded": "coded", "mapped": "mapped", "kept": "kept"}
    for (year, frame), part in coded.groupby(["year", coded["frame"].fillna("none")]):
        counts = {name: len(records_at(part, step)) for name, step in columns.items()}
        counts["undetermined"] = int(records_at(part, "kept")["undetermined"].sum())
        # One record a worker and year, so records count persons here.
        shown = {name: count if count == 0 else _shown(count) for name, count in counts.items()}
        rows.append({"year": int(year), "frame": str(frame), **shown})
    return rows


def _thin_waves(survey: str, coded: pd.DataFrame) -> list[str]:
    """Name the waves of which few interviews tell an occupation or a state: a part of the files lacks them."""
    in_range = records_at(coded, "in range")
    told = in_range["step"].isin(list(STEPS)[2:]).groupby(in_range["year"]).agg(["sum", "size"])
    thin = told[(told["sum"] < _THIN * told["size"]) & (told["size"] >= MINIMUM_PERSONS)]
    return [
        f"{survey} {year}: {row['sum'] / row['size']:.0%} of {row['size']:,} interviews tell an occupation or a state; "
        "the files have the main job of this wave for some respondents alone"
        for year, row in thin.iterrows()
    ]


def _missing_variables(values: RawSurvey) -> list[str]:
    """Say for each concept how many of its variables no file has, and which."""
    missing: dict[tuple[str, str], list[Variable]] = {}
    for variable in values.missing:
        missing.setdefault((variable.concept, variable.role), []).append(variable)
    lines = []
    for (concept, role), variables in missing.items():
        found = sum(key[:2] == (concept, role) for key in values.found)
        which = f"{len(variables)} of {found + len(variables)}" if found else f"all {len(variables)}"
        name = f"{concept} ({role})" if role else concept
        years = _ranges([variable.year for variable in variables if variable.year != CROSS_ROUND])
        example = variables[0].name or variables[0].question
        lines.append(f"{name}: {which} variables, such as {example}{f'; {years}' if years else ''}")
    return lines


def _ranges(numbers: Sequence[int]) -> str:
    """Write ascending numbers with their gaps, the ends of long lists only."""
    numbers = sorted(numbers)
    if len(numbers) > 40:
        return f"{numbers[0]} to {numbers[-1]}"
    return " ".join(map(str, numbers))


def _unmapped(records: pd.DataFrame) -> list[dict[str, Any]]:
    """Count codes without a target; those of few workers are pooled, and left out if still too few."""
    rows = []
    for frame, part in records.groupby("frame"):
        counts = part.groupby("code")["person"].agg(["size", "nunique"])
        shown = counts[counts["nunique"] >= MINIMUM_PERSONS].sort_values("size", ascending=False)
        listed = [(int(code), int(row["size"]), int(row["nunique"])) for code, row in shown.iterrows()]
        rest = part[~part["code"].isin(shown.index)]
        if rest["person"].nunique() >= MINIMUM_PERSONS:
            listed.append((None, len(rest), int(rest["person"].nunique())))
        rows += [
            {"frame": str(frame), "code": code, "records": size, "workers": workers}
            for code, size, workers in listed
        ]
    return rows


def _files(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """Return name, size and checksum of each file; that of the archive for a member of one."""
    files = dict.fromkeys(_on_disk(path) for path in paths)
    return [
        {"name": path.name, "bytes": path.stat().st_size, "sha256": sha256(path)} for path in sorted(files)
    ]


def _on_disk(path: Path) -> Path:
    return next(found for found in (path, *path.parents) if found.is_file())


def convert_survey(
    survey: str,
    raw: Path,
    crosswalks: Path,
    dataset: str,
    settings: Mapping[str, Any] | Sequence[str] = (),
    column_map: Path | None = None,
    other_crosswalks: bool = False,
    survey_name: str = "",
) -> tuple[CareerPanel, Conversion]:
    """Convert the files of a survey to a career panel.

    Args:
        survey: `psid`, `nlsy79` or `nlsy97`.
        raw: folder, zip or file as downloaded.
        crosswalks: folder with Dorn's crosswalks (`labor-llm fetch` makes it).
        dataset: short name of the data set.
        settings: options by name, see `RecordOptions` and the survey's own.
        column_map: CSV that says which question and year the columns of a file are that bear no reference numbers.
        other_crosswalks: accept crosswalks whose content is not that of the known versions.
        survey_name: the survey's name in the resume's first line, if another than its own.

    Returns:
        The panel over occ1990dd's 330 occupations and three states, and the counts of every step.

    Raises:
        InputError: naming file, variable and year and what to download, if the files do not hold what is needed.
    """
    reader = survey_named(survey)
    record_options, own_options = survey_options(survey, settings)
    # Cheap, and a missing crosswalk is better known before large files are read.
    tables = load_crosswalks(Path(crosswalks), other_versions=other_crosswalks)
    values = reader.read(Path(raw), reader.variables(), column_map)
    interviews = reader.interviews(values, own_options)
    coded = coded_records(interviews, tables, record_options)
    frame = career_frame(coded, interviews.persons)
    if frame.empty:
        steps = ", ".join(f"{step} {len(records_at(coded, step)):,}" for step in STEPS)
        raise InputError(f"{raw}: no interview becomes a record ({steps}). Check the files and the options.")
    panel = career_panel(frame, outcome_space(), dataset, survey_name or reader.name, source=str(raw))
    options = dataclasses.asdict(record_options) | dataclasses.asdict(own_options)
    counts = count_conversion(
        interviews.survey, options, coded, values, tables, reader.missing(values), reader.cohort, column_map
    )
    return panel, counts
