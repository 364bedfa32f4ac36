"""What a conversion counted: from records and files to `conversion.json`, its form and its checked reading.

It is stored with the panel, so that the data report can tell how the panel came about without the raw files. It holds
aggregates alone: a count that rests on fewer than `disclosure.MINIMUM_PERSONS` workers is left out (null) or pooled.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from labor_llm.crosswalks.mapping import Crosswalks
from labor_llm.disclosure import MINIMUM_PERSONS, nested_counts
from labor_llm.errors import ArtefactError
from labor_llm.store.artefacts import sha256, verify
from labor_llm.surveys.rules import STEPS, records_at
from labor_llm.surveys.variables import CROSS_ROUND, RawSurvey, Variable

CONVERSION = "conversion.json"
# The frame of records that need no occupation code: states such as unemployed.
NO_FRAME = "none"

# Of a wave with less than this share of interviews coded, the files have only a part.
_THIN = 0.5

# None stands for a count that rests on too few workers to be stored.
Count = Annotated[int, Field(ge=0)] | None


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Step(_Part):
    """What is left after one step of the conversion: workers with at least one record, and worker-years."""

    step: Literal["read", "in range", "coded", "mapped", "kept"]
    meaning: str
    workers: Count
    records: Count


class YearCoverage(_Part):
    """Records of one survey year and Census frame (or `NO_FRAME`) at the steps of `STEPS`; each is of another worker.

    Attributes:
        undetermined: of those kept, those of who does not work where the files cannot tell unemployed from out of the
            labor force, so that an option decided.
    """

    year: int
    frame: str
    interviewed: Count
    coded: Count
    mapped: Count
    kept: Count
    undetermined: Count


class FrameCounts(_Part):
    """Records of one Census frame over all years: with an occupation code, and with one that was mapped."""

    frame: str
    coded: Count
    mapped: Count


class UnmappedCode(_Part):
    """Records with a code that no crosswalk row maps; codes of few workers are pooled with the code None."""

    frame: str
    code: int | None
    records: Annotated[int, Field(ge=1)]
    workers: Annotated[int, Field(ge=1)]

    @model_validator(mode="after")
    def _enough_workers_behind_a_code(self) -> UnmappedCode:
        if self.code is not None and self.workers < MINIMUM_PERSONS:
            raise ValueError(
                f"{self.frame}: a code of fewer than {MINIMUM_PERSONS} workers is named; pool it"
            )
        return self


class Conversion(_Part):
    """The counts of one conversion.

    Attributes:
        survey: the survey that the files are of: PSID, NLSY79 or NLSY97.
        respondents: how many respondents the files hold.
        cohort: how many the survey's cohort has; null for the PSID, which grows.
        options: every choice of the conversion by name.
        steps: `STEPS` in their order; neither workers nor records increase.
        coverage: one entry a survey year and Census frame.
        frames: one entry a Census frame.
        unmapped: one entry an unmapped code, and one with the code None for a frame's rarer ones, if they rest
            on enough workers together.
        missing_waves: waves that the files lack, or of which they have little, each with what to download.
        missing_variables: concepts of which the files lack variables, in one line each.
        skipped: files beside them that were not read.
        unnamed: of these, files with respondents whose columns nothing names.
        crosswalks: which crosswalks were used, such as their checksums by name.
        files: name, size and sha256 of each file that was read, the column map included.
    """

    survey: str
    respondents: int
    cohort: int | None
    options: dict[str, JsonValue]
    steps: list[Step]
    coverage: list[YearCoverage]
    frames: list[FrameCounts]
    unmapped: list[UnmappedCode]
    missing_waves: list[str]
    missing_variables: list[str]
    skipped: list[str]
    unnamed: list[str]
    crosswalks: dict[str, JsonValue]
    files: list[JsonValue]

    def lines(self) -> list[str]:
        """Return what a user should know of the conversion, in sentences: steps, mapped codes, what is missing."""
        size = f" of {self.cohort:,} in the cohort" if self.cohort else ""
        lines = [f"{self.survey}: {self.respondents:,} respondents{size}."]
        counts = (
            nested_counts([getattr(step, name) for step in self.steps]) for name in ("records", "workers")
        )
        lines += [
            f"{step.step:>9}: {_count(records):>9} records of {_count(workers):>7} workers. {step.meaning}."
            for step, records, workers in zip(self.steps, *counts, strict=True)
        ]
        lines += [
            f"{row.frame}: {row.mapped:,} of {row.coded:,} codes mapped ({row.mapped / row.coded:.2%})."
            for row in self.frames
            if row.coded and row.mapped is not None
        ]
        if undetermined := sum(row.undetermined or 0 for row in self.coverage):
            lines.append(
                f"{undetermined:,} records of who does not work, where the files cannot tell unemployed from out of "
                f"the labor force: {self.options.get('undetermined')} (option undetermined)."
            )
        lines += [f"missing wave: {wave}." for wave in self.missing_waves]
        lines += [f"missing: {variable}." for variable in self.missing_variables]
        lines += [
            f"{name}: has respondents, but nothing says what its columns are; give a column map."
            for name in self.unnamed
        ]
        if self.skipped:
            lines.append(f"not read: {', '.join(self.skipped)}.")
        return lines

    def to_json(self) -> str:
        """Return the text of `conversion.json`; equal counts give equal text."""
        return self.model_dump_json(indent=1) + "\n"


def read_conversion(folder: Path) -> Conversion | None:
    """Return the counts stored in the artefact of a career panel; None if it was not converted from survey files.

    Raises:
        ArtefactError: if the artefact is missing or was changed, or `conversion.json` is of another form.
    """
    path = Path(folder) / CONVERSION
    if CONVERSION not in verify(folder)["files"]:
        return None
    try:
        return Conversion.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "file"
        raise ArtefactError(f"{path}: {field}: {first['msg']}. Convert the survey again.") from error


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
        coded: as `rules.coded_records` returns it.
        values: what was read.
        crosswalks: those that were used.
        missing_waves: what the survey's reader says of waves that the files lack.
        cohort: how many respondents the survey's cohort has.
        column_map: the file that named columns, if there was one.
    """
    with_code = records_at(coded, "coded")
    with_code = with_code[with_code["works"]]
    # Of a member of an archive, the archive is told.
    paths = [*values.read, *([column_map] if column_map else [])]
    files = {next(found for found in (path, *path.parents) if found.is_file()) for path in paths}
    return Conversion(
        survey=survey,
        respondents=len(values.values),
        cohort=cohort,
        options=options,
        steps=[_step(coded, step) for step in STEPS],
        coverage=_coverage(coded),
        frames=[_frame(str(frame), part) for frame, part in with_code.groupby("frame")],
        unmapped=_unmapped(with_code[with_code["step"] == "coded"]),
        crosswalks=crosswalks.describe(),
        missing_waves=[*missing_waves, *_thin_waves(survey, coded)],
        missing_variables=_missing_variables(values),
        skipped=sorted({path.name for path in values.skipped}),
        unnamed=sorted({path.name for path in values.unnamed}),
        files=[
            {"name": path.name, "bytes": path.stat().st_size, "sha256": sha256(path)}
            for path in sorted(files)
        ],
    )


def _shown(count: int, workers: int) -> int | None:
    return count if workers >= MINIMUM_PERSONS else None


def _step(coded: pd.DataFrame, step: str) -> Step:
    left = records_at(coded, step)
    workers = left["person"].nunique()
    shown = {"workers": _shown(workers, workers), "records": _shown(len(left), workers)}
    return Step(step=step, meaning=STEPS[step], **shown)


def _frame(frame: str, part: pd.DataFrame) -> FrameCounts:
    lost = part.loc[part["occupation"].isna(), "person"].nunique()
    mapped = int(part["occupation"].notna().sum())
    # Codes of a few persons without a target would follow from the two counts.
    hidden = 0 < lost < MINIMUM_PERSONS
    coded = _shown(len(part), part["person"].nunique())
    return FrameCounts(frame=frame, coded=coded, mapped=None if hidden else _shown(mapped, mapped))


def _coverage(coded: pd.DataFrame) -> list[YearCoverage]:
    rows = []
    for (year, frame), part in coded.groupby(["year", coded["frame"].fillna(NO_FRAME)]):
        counts = {step: len(records_at(part, step)) for step in ("coded", "mapped", "kept")}
        counts |= {
            "interviewed": len(part),
            "undetermined": int(records_at(part, "kept")["undetermined"].sum()),
        }
        # One record a worker and year, so records count persons here.
        shown = {name: _shown(count, count) if count else 0 for name, count in counts.items()}
        rows.append(YearCoverage(year=int(year), frame=str(frame), **shown))
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
        missing.setdefault(variable.key[:2], []).append(variable)
    lines = []
    for (concept, role), variables in missing.items():
        found = sum(key[:2] == (concept, role) for key in values.found)
        which = f"{len(variables)} of {found + len(variables)}" if found else f"all {len(variables)}"
        years = sorted(variable.year for variable in variables if variable.year != CROSS_ROUND)
        listed = f"{years[0]} to {years[-1]}" if len(years) > 40 else " ".join(map(str, years))
        lines.append(
            f"{concept}{f' ({role})' if role else ''}: {which} variables, such as "
            f"{variables[0].name or variables[0].question}{f'; {listed}' if years else ''}"
        )
    return lines


def _unmapped(records: pd.DataFrame) -> list[UnmappedCode]:
    """Count codes without a target; those of few workers are pooled, and left out if still too few."""
    rows = []
    for frame, part in records.groupby("frame"):
        counts = part.groupby("code")["person"].agg(["size", "nunique"])
        shown = counts[counts["nunique"] >= MINIMUM_PERSONS].sort_values("size", ascending=False)
        rest = part[~part["code"].isin(shown.index)]
        listed = [(int(code), *map(int, row)) for code, *row in shown.itertuples(name=None)]
        if (workers := rest["person"].nunique()) >= MINIMUM_PERSONS:
            listed.append((None, len(rest), workers))
        rows += [
            UnmappedCode(frame=str(frame), code=code, records=records, workers=workers)
            for code, records, workers in listed
        ]
    return rows


def _count(number: int | str) -> str:
    return number if isinstance(number, str) else f"{number:,}"
