"""Writing a simulated PSID in the forms in which the PSID is delivered: packaged files and jobs of the Data Center.

Written is what `labor_llm.surveys.psid.files` reads, from a frame of the form that it returns. A missing value is
written as 0, the PSID's code for a question that was not asked; the family's answers about persons who
were in no family have no row in a family file and are blank in a job.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import csv as arrow_csv

from labor_llm.errors import InputError
from labor_llm.simulation.files.psid_layouts import WRITERS, Field, FileDescription, layout_text
from labor_llm.store.artefacts import atomic_path
from labor_llm.surveys.psid.files import FAMILY_NUMBER, FAMILY_OF_1968, INDIVIDUAL_NUMBER, PERSON_IN_1968
from labor_llm.surveys.psid.layouts import NO_VALUE
from labor_llm.surveys.psid.waves import INDIVIDUAL_FILE, family_file
from labor_llm.surveys.variables import Variable

_RELEASE = "ER30000"
_LINES_A_BLOCK = 2048
_LINE_END = b"\r\n"
_NARROWEST = {FAMILY_OF_1968: 4, PERSON_IN_1968: 3}
_FILLER_WIDTH = 5
# One time for all, so that the same simulation gives the same bytes.
_ZIP_TIME = (2026, 1, 1, 0, 0, 0)

Layouts = Sequence[Literal["sas", "sps", "do"]]


@dataclass(frozen=True)
class _Column:
    """A variable with its values: int32, `NO_VALUE` for a blank, one a row of the file."""

    name: str
    label: str
    values: np.ndarray

    def field(self) -> Field:
        known = self.values[self.values != NO_VALUE]
        ends = (int(known.min()), int(known.max())) if len(known) else (0,)
        return Field(
            self.name, self.label, max(_NARROWEST.get(self.name, 1), *(len(str(end)) for end in ends))
        )


def write_packaged(
    folder: Path,
    values: pd.DataFrame,
    variables: Sequence[Variable],
    layouts: Layouts = ("sas", "sps", "do"),
    zipped: bool = False,
    record_length_at_least: int = 0,
) -> list[Path]:
    """Write an individual file and the family file of each wave, named as the PSID names them; return their paths.

    Args:
        folder: where the files are put.
        values: one row a person, of the form of `RawSurvey.values`. The members of a family agree in the family's
            variables, NA standing for any value.
        variables: the variables in the columns; each wave's `fam_interview_number` of the role `family`
            gives the name of the number in its family file, whether `values` holds it or not.
        layouts: the statements that are put beside each file.
        zipped: put each file with its layouts into an archive of its own.
        record_length_at_least: fill the lines up to this length with variables that nobody looks for, as most
            of a real file is.

    Raises:
        InputError: if the members of a family disagree, a person in no family has a family's variable, or a column
            is not among the variables.
        ResourceError: if there is no space left.
    """
    answers = _Answers(values, variables)
    written = list(
        _write_fixed_width(
            folder,
            FileDescription(INDIVIDUAL_FILE, "Simulated cross-year individual file, 1968-2023", 0, ()),
            answers.of_persons(),
            layouts,
            zipped,
            record_length_at_least,
        )
    )
    for year in answers.waves:
        written += _write_fixed_width(
            folder,
            FileDescription(family_file(year), f"Simulated {year} family file", 0, ()),
            answers.of_families(year),
            layouts,
            zipped,
            record_length_at_least,
        )
    return written


def write_data_center_job(
    folder: Path,
    values: pd.DataFrame,
    variables: Sequence[Variable],
    form: Literal["txt", "csv", "xlsx"] = "txt",
    layouts: Layouts = ("sas",),
    job: int = 100001,
    zipped: bool = False,
) -> list[Path]:
    """Write a job of the Data Center, one row a person with the family's answers; return the paths of its files.

    Args:
        folder: where the files are put.
        values: one row a person, of the form of `RawSurvey.values`.
        variables: the variables in the columns.
        form: fixed width with layouts, or a table with the variables' names in its first row.
        layouts: the statements that are put beside a file of fixed width.
        job: number of the job, by which its files are called.
        zipped: put the files into one archive.

    Raises:
        InputError: if a column is not among the variables, or a person in no family has a family's variable.
        ResourceError: if there is no space left.
    """
    answers = _Answers(values, variables)
    columns = [*answers.of_persons(), *answers.of_families_by_person()]
    stem = f"J{job}"
    if form == "txt":
        description = FileDescription(stem, "", 0, (), job=str(job))
        return list(_write_fixed_width(folder, description, columns, layouts, zipped, 0))
    content = _csv(columns) if form == "csv" else _excel(columns)
    return list(_write(folder, stem, {f"{stem}.{form}": [content]}, zipped))


class _Answers:
    """The values to be written, by the file that holds them."""

    def __init__(self, values: pd.DataFrame, variables: Sequence[Variable]) -> None:
        self._persons = values.index.to_numpy(dtype=np.int64)
        self._variables = {variable.key: variable for variable in variables}
        unknown = [key for key in values.columns if key not in self._variables]
        if unknown:
            raise InputError(f"simulated PSID: column {unknown[0]} is none of the variables. Add it to them.")
        self._values = {
            key: values[key].to_numpy(dtype=np.int32, na_value=NO_VALUE) for key in values.columns
        }
        self._check()

    @property
    def waves(self) -> list[int]:
        """The years in which anybody is in a family, of which there is a family file."""
        return sorted(
            year
            for concept, role, year in self._variables
            if (concept, role) == (FAMILY_NUMBER, "family")
            and (own := self._own(year)) is not None
            and (own > 0).any()
        )

    def of_persons(self) -> list[_Column]:
        """Return the columns of the individual file."""
        persons = self._persons
        columns = [
            _Column(_RELEASE, "RELEASE NUMBER", np.ones(len(persons), dtype=np.int32)),
            _Column(FAMILY_OF_1968, "1968 INTERVIEW NUMBER", (persons // 1000).astype(np.int32)),
            _Column(PERSON_IN_1968, f"{'PERSON NUMBER':<38}68", (persons % 1000).astype(np.int32)),
        ]
        return columns + [
            self._column(key, np.where(values == NO_VALUE, 0, values))
            for key, values in self._values.items()
            if key[1] == "person" and self._variables[key].name not in (FAMILY_OF_1968, PERSON_IN_1968)
        ]

    def of_families_by_person(self) -> list[_Column]:
        """Return the families' columns with a value a person."""
        columns = []
        for key, values in self._values.items():
            if key[1] != "person":
                own = self._own(key[2])
                nobody = (values == NO_VALUE) & (own > 0 if own is not None else False)
                columns.append(self._column(key, np.where(nobody, 0, values)))
        return columns

    def of_families(self, year: int) -> list[_Column]:
        """Return the columns of a family file, one value a family, by ascending interview number."""
        own = self._own(year)
        order = np.argsort(own, kind="stable")
        order = order[own[order] > 0]
        numbers, starts, family = np.unique(own[order], return_index=True, return_inverse=True)
        columns = [self._column((FAMILY_NUMBER, "family", year), numbers)]
        for key, values in self._values.items():
            if key[1] == "person" or key[2] != year or key[0] == FAMILY_NUMBER:
                continue
            of_members = values[order]
            # NO_VALUE is the smallest number: any member's value goes before it.
            of_family = np.maximum.reduceat(of_members, starts) if len(starts) else of_members
            if ((of_members != of_family[family]) & (of_members != NO_VALUE)).any():
                raise InputError(
                    f"simulated PSID: members of a family differ in {self._variables[key]} of their family."
                )
            columns.append(self._column(key, np.where(of_family == NO_VALUE, 0, of_family)))
        return columns

    def _own(self, year: int) -> np.ndarray | None:
        """Return the persons' interview numbers of a wave."""
        if (number := self._values.get((INDIVIDUAL_NUMBER, "person", year))) is None:
            return None
        return np.where(number == NO_VALUE, 0, number)

    def _column(self, key: tuple[str, str, int], values: np.ndarray) -> _Column:
        concept, role, year = key
        label = f"{year or ''} {concept} {role}".strip().upper().replace("_", " ")[:40]
        return _Column(self._variables[key].name.upper(), label, values.astype(np.int32, copy=False))

    def _check(self) -> None:
        if len(self._persons) == 0 or len(np.unique(self._persons)) < len(self._persons):
            raise InputError("simulated PSID: there is no person, or one is there twice.")
        for key, values in self._values.items():
            own = self._own(key[2])
            if key[1] != "person" and own is not None and ((values != NO_VALUE) & (own == 0)).any():
                raise InputError(
                    f"simulated PSID: {self._variables[key]} is given of persons who were in no family."
                )


def _write_fixed_width(
    folder: Path,
    about: FileDescription,
    columns: Sequence[_Column],
    layouts: Layouts,
    zipped: bool,
    at_least: int,
) -> Iterator[Path]:
    columns = _filled(columns, at_least)
    rows = len(columns[0].values)
    about = FileDescription(about.stem, about.label, rows, [column.field() for column in columns], about.job)
    contents: dict[str, Sequence[bytes] | Iterator[bytes]] = {f"{about.stem}.txt": _lines(columns, about)}
    contents |= {f"{about.stem}.{form}": [layout_text(about, form).encode("ascii")] for form in layouts}
    if unknown := [form for form in layouts if form not in WRITERS]:
        raise InputError(f"layouts: {unknown[0]!r} is none of {', '.join(WRITERS)}.")
    yield from _write(folder, about.stem, contents, zipped)


def _filled(columns: Sequence[_Column], at_least: int) -> Sequence[_Column]:
    """Return the columns with others that nobody looks for spread among them, so that a line is long enough."""
    short = at_least - sum(column.field().width for column in columns)
    fillers = max(0, -(-short // _FILLER_WIDTH))
    content = np.full(len(columns[0].values), 10 ** (_FILLER_WIDTH - 1), dtype=np.int32)
    others = [_Column(f"FILLER{number}", "NOT LOOKED FOR", content) for number in range(fillers)]
    filled: list[_Column] = []
    for place, column in enumerate(columns):
        filled += [column, *others[place * fillers // len(columns) : (place + 1) * fillers // len(columns)]]
    return filled


def _lines(columns: Sequence[_Column], about: FileDescription) -> Iterator[bytes]:
    """Yield the lines of a fixed-width file in blocks: numbers stand at the right of their columns."""
    ends = dict(zip((field.name for field in about.fields), about.ends, strict=True))
    by_width: dict[int, list[_Column]] = {}
    for column, field in zip(columns, about.fields, strict=True):
        by_width.setdefault(field.width, []).append(column)
    for start in range(0, about.rows, _LINES_A_BLOCK):
        size = min(_LINES_A_BLOCK, about.rows - start)
        block = np.full((size, about.record_length + len(_LINE_END)), ord(" "), dtype=np.uint8)
        block[:, about.record_length :] = np.frombuffer(_LINE_END, np.uint8)
        for width, group in by_width.items():
            last = np.array([ends[column.name] - 1 for column in group])
            values = np.stack([column.values[start : start + size] for column in group], axis=1)
            blank = values == NO_VALUE
            negative = (values < 0) & ~blank
            rest = np.abs(np.where(blank, 0, values))
            written = ~blank
            for position in range(width):
                digit = (rest % 10 + ord("0")).astype(np.uint8)
                sign = np.where(written, digit, np.uint8(ord(" ")))
                sign[negative & ~written] = ord("-")
                negative &= written
                block[:, last - position] = sign
                rest //= 10
                written &= rest > 0
        yield block.tobytes()


def _csv(columns: Sequence[_Column]) -> bytes:
    table = pa.table({column.name: _nullable(column.values) for column in columns})
    buffer = io.BytesIO()
    buffer.write((",".join(table.column_names) + "\n").encode())
    arrow_csv.write_csv(table, buffer, arrow_csv.WriteOptions(include_header=False))
    return buffer.getvalue()


def _excel(columns: Sequence[_Column]) -> bytes:
    import openpyxl  # imported here: it is not wanted for any other form

    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("Data")
    sheet.append([column.name for column in columns])
    for row in zip(*(_nullable(column.values).to_pylist() for column in columns), strict=True):
        sheet.append(row)
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def _nullable(values: np.ndarray) -> pa.Array:
    return pa.array(values, mask=values == NO_VALUE)


def _write(
    folder: Path, stem: str, contents: Mapping[str, Sequence[bytes] | Iterator[bytes]], zipped: bool
) -> Iterator[Path]:
    """Write files, or one archive of them, and yield their paths; a failure leaves none that is cut off."""
    folder = Path(folder)
    if zipped:
        path = folder / f"{stem.lower()}.zip"
        with atomic_path(path) as aside, zipfile.ZipFile(aside, "w") as archive:
            for name, content in contents.items():
                entry = zipfile.ZipInfo(name, _ZIP_TIME)
                entry.compress_type = zipfile.ZIP_DEFLATED
                with archive.open(entry, "w", force_zip64=True) as stream:
                    _write_all(stream, content)
        yield path
        return
    for name, content in contents.items():
        with atomic_path(folder / name) as aside, open(aside, "wb") as stream:
            _write_all(stream, content)
        yield folder / name


def _write_all(stream: BinaryIO, content: Sequence[bytes] | Iterator[bytes]) -> None:
    for part in content:
        stream.write(part)
