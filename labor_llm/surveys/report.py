"""What a conversion counted: the form of `conversion.json`, its writing and its checked reading.

A converted survey is stored with the counts of what was read, left out and kept, so that the data report can
tell how the panel came about without the raw files. It holds aggregates alone: a count that rests on fewer
than `disclosure.MINIMUM_PERSONS` workers is left out (null) or pooled before it is stored.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from labor_llm.disclosure import MINIMUM_PERSONS
from labor_llm.errors import ArtefactError, InputError
from labor_llm.store.artefacts import verify
from labor_llm.surveys import rules as conversion_rules

CONVERSION = "conversion.json"
STEPS = tuple(conversion_rules.STEPS)
# The frame of records that need no occupation code: states such as unemployed.
NO_FRAME = "none"

# None stands for a count that rests on too few workers to be stored.
Count = Annotated[int, Field(ge=0)] | None


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Step(_Part):
    """What is left after one step of the conversion.

    Attributes:
        step: one of `STEPS`.
        meaning: the rule of the step in words, with the options that were chosen.
        workers: workers with at least one record left.
        records: worker-years left.
    """

    step: Literal["read", "in range", "coded", "mapped", "kept"]
    meaning: str
    workers: Count
    records: Count


class YearCoverage(_Part):
    """Records of one survey year and Census frame; each is of another worker.

    Attributes:
        year: survey year.
        frame: Census frame of the occupation codes, or `NO_FRAME`.
        interviewed: persons interviewed.
        coded: records with an occupation code or a state.
        mapped: records with an occupation of the outcome space.
        kept: records in the panel.
        undetermined: of these, those of who does not work where the files cannot tell unemployed from out of the
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

    @model_validator(mode="after")
    def _no_more_mapped_than_coded(self) -> FrameCounts:
        if self.coded is not None and self.mapped is not None and self.mapped > self.coded:
            raise ValueError(f"{self.frame}: more records mapped than coded")
        return self


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
        if self.workers > self.records:
            raise ValueError(f"{self.frame}: more workers than records with an unmapped code")
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

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Conversion:
        if tuple(step.step for step in self.steps) != STEPS:
            raise ValueError(f"the steps must be {', '.join(STEPS)}, in this order")
        for name in ("workers", "records"):
            counts = [count for step in self.steps if (count := getattr(step, name)) is not None]
            if counts != sorted(counts, reverse=True):
                raise ValueError(f"the number of {name} increases from one step to a later one")
        _refuse_repeated("coverage", [(entry.year, entry.frame) for entry in self.coverage])
        _refuse_repeated("frames", [entry.frame for entry in self.frames])
        _refuse_repeated("unmapped", [(entry.frame, entry.code) for entry in self.unmapped])
        if unknown := {entry.frame for entry in self.unmapped} - {entry.frame for entry in self.frames}:
            raise ValueError(f"unmapped codes of the frame {min(unknown)!r}, which `frames` does not have")
        for counts in self.frames:
            unmapped = sum(entry.records for entry in self.unmapped if entry.frame == counts.frame)
            if (
                counts.coded is not None
                and counts.mapped is not None
                and unmapped > counts.coded - counts.mapped
            ):
                raise ValueError(f"{counts.frame}: more records with an unmapped code than are left unmapped")
        return self

    def lines(self) -> list[str]:
        """Return what a user should know of the conversion, in sentences: steps, mapped codes, what is missing."""
        size = f" of {self.cohort:,} in the cohort" if self.cohort else ""
        lines = [f"{self.survey}: {self.respondents:,} respondents{size}."]
        lines += [
            f"{step.step:>9}: {_count(step.records):>9} records of {_count(step.workers):>7} workers. {step.meaning}."
            for step in self.steps
        ]
        for frame in self.frames:
            if frame.coded and frame.mapped is not None:
                share = frame.mapped / frame.coded
                lines.append(
                    f"{frame.frame}: {frame.mapped:,} of {frame.coded:,} codes mapped ({share:.2%})."
                )
        undetermined = sum(row.undetermined or 0 for row in self.coverage)
        if undetermined:
            lines.append(
                f"{undetermined:,} records of who does not work, where the files cannot tell unemployed from out of "
                f"the labor force: {self.options.get('undetermined')} (option undetermined)."
            )
        lines += [f"missing wave: {wave}." for wave in self.missing_waves]
        lines += [f"missing: {variable}." for variable in self.missing_variables]
        for name in self.unnamed:
            lines.append(
                f"{name}: has respondents, but nothing says what its columns are; give a column map."
            )
        if self.skipped:
            lines.append(f"not read: {', '.join(self.skipped)}.")
        return lines

    def to_json(self) -> str:
        """Return the text of `conversion.json`; equal counts give equal text."""
        return self.model_dump_json(indent=1) + "\n"


def parse_conversion(text: str | bytes, source: str) -> Conversion:
    """Return the counts that `Conversion.to_json` wrote.

    Args:
        text: content of the file.
        source: name of the file, for messages.

    Raises:
        InputError: if the text is no JSON or not of this form; names the file and the field.
    """
    try:
        return Conversion.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "file"
        raise InputError(f"{source}: {field}: {first['msg']}. Convert the survey again.") from error


def read_conversion(folder: Path) -> Conversion | None:
    """Return the counts stored with a career panel, checksums verified; None where there are none.

    A packaged panel or a user's own careers were not converted from survey files and have no counts.

    Args:
        folder: the artefact of a career panel.

    Raises:
        ArtefactError: if the artefact is missing or was changed, or `conversion.json` is not part of it or not
            of the form of `Conversion`.
    """
    path = Path(folder) / CONVERSION
    listed = CONVERSION in verify(folder)["files"]
    if not listed and path.exists():
        raise ArtefactError(
            f"{path}: not part of the stored panel. Remove the file, or convert the survey again."
        )
    if not listed:
        return None
    try:
        return parse_conversion(path.read_bytes(), str(path))
    except InputError as error:
        raise ArtefactError(str(error)) from error


def _refuse_repeated(part: str, keys: list[object]) -> None:
    if twice := [key for key, count in Counter(keys).items() if count > 1]:
        raise ValueError(f"{part}: {twice[0]} occurs twice")


def _count(number: int | None) -> str:
    return f"under {MINIMUM_PERSONS}" if number is None else f"{number:,}"
