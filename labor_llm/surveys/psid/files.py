"""Reading the files of the PSID into one row a person: packaged files, jobs of the Data Center, or both.

Packaged are one family file a wave and one individual file over all waves. A family's answers belong to the persons
whom the individual file places in it: it holds the number of the family's interview in each wave, 0 where the
person was in no family. Jobs of the Data Center hold a row a person with the family's answers already there.
Files are text of fixed width with a layout beside it, .csv or .xlsx.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from labor_llm.errors import InputError
from labor_llm.store.streams import whole
from labor_llm.surveys.psid.layouts import LAYOUT_ENDINGS, read_fixed_width, read_layout
from labor_llm.surveys.psid.waves import INDIVIDUAL_FILE, WAVES, family_file
from labor_llm.surveys.psid.workbooks import Workbook
from labor_llm.surveys.sources import (
    NotATableError,
    SourceFile,
    code_columns,
    files_below,
    some,
    text_header,
)
from labor_llm.surveys.variables import NO_VALUE, JoinedColumns, RawSurvey, Variable

# The two parts of a person's number.
FAMILY_OF_1968, PERSON_IN_1968 = "ER30001", "ER30002"
# A person's interview number of a wave, and the family file's own.
INDIVIDUAL_NUMBER, FAMILY_NUMBER = "ind_interview_number", "fam_interview_number"
_LOWEST_SHARE_MATCHED = 0.95
_DOWNLOADS = (
    "Download from the PSID's Data Center either the packaged cross-year individual file (such as "
    f"{INDIVIDUAL_FILE.lower()}.zip) and the family file of each wave (such as {family_file(WAVES[0]).lower()}.zip), "
    "or a job of the type 'All Individuals Data' with "
    f"{FAMILY_OF_1968} and {PERSON_IN_1968}, and put the archives into this folder as they are"
)
# FAM1981.txt, FAM2023ER.txt, IND2023ER.txt, J123456.txt
_OFFICIAL_NAME = re.compile(r"(FAM\d{4}(ER)?|IND\d{4}(ER)?|J\d{4,})", re.IGNORECASE)
_VARIABLE = re.compile(r"(ER|V)\d{1,6}\w*", re.IGNORECASE)
_LARGEST_LAYOUT = 1 << 24
_NOT_READ = (".zip", ".7z", ".rar", ".xls", ".ods", ".dta", ".sav", ".sas7bdat", ".rds", ".parquet")
_TABLES, _FIXED_WIDTH = (".csv", ".tsv", ".tab", ".xlsx"), (".txt", ".dat")


def read_psid(raw: Path, variables: Sequence[Variable]) -> RawSurvey:
    """Return what the PSID's files below a folder hold of some variables, one row a person.

    Args:
        raw: a folder with packaged files or jobs, unpacked or as .zip archives, which may be mixed; or one such file.
        variables: what to look for; the interview numbers of each wave, `ind_interview_number` of the role `person`
            and `fam_interview_number` of the role `family`, must be among them.

    Returns:
        Index `person` is ER30001 * 1000 + ER30002. A variable of a family (roles `head`, `spouse` and
        `family`) is NA for persons who were in no family in that wave.

    Raises:
        InputError: if nothing usable is there, a file is damaged, cut, or lacks its layout, a person or family is
            there twice, or two files are of different releases; names file, line or row, and variable.
    """
    raw = Path(raw)
    tables, others = _find_tables(raw)
    by_name = {variable.name.upper(): variable for variable in variables}
    persons, families, unused = _kinds(tables, by_name)
    others = [*(table.source for table in unused), *others]
    if not persons:
        raise _nothing_usable(raw, families, others)
    joined = _join_persons(persons, by_name)
    for table in families:
        _add_family_file(joined, table, by_name)
    used = [file for table in (*persons, *families) for file in (table.source, table.layout_file) if file]
    skipped = (file.path for file in others)
    return joined.survey(variables, read=(file.on_disk for file in used), skipped=skipped)


class _Table:
    """A data file whose variables (`names`, in capital letters) are known; values are read when asked for."""

    def __init__(self, source: SourceFile, layout_file: SourceFile | None = None) -> None:
        self.source, self.layout_file = source, layout_file
        self._lines, self._delimiter, self._workbook = 0, ",", None
        if layout_file is not None:
            with layout_file.open() as stream:
                text = whole(stream, layout_file.path, _LARGEST_LAYOUT)
            # Labels may hold letters of any code page; names and columns are ASCII.
            self._layout = read_layout(text.decode("latin-1"), layout_file.path)
            header = list(self._layout.columns)
        elif source.ending == ".xlsx":
            self._workbook = Workbook(source, _VARIABLE.fullmatch)
            header, self._lines = self._workbook.names, self._workbook.header_row
        else:
            try:
                header, self._delimiter, self._lines = text_header(source, _VARIABLE.fullmatch)
            except csv.Error:
                raise self._no_table() from None
        self._header = [cell.upper() for cell in header]
        self.names = frozenset(self._header)

    def read(self, names: Iterable[str]) -> dict[str, np.ndarray]:
        """Return some of its variables: int32, `NO_VALUE` where blank, one entry a row of the file.

        Raises:
            InputError: if the file is damaged or cut, its layout does not belong to it, or a value is no whole
                number; names the file, the row (a header is row 1) and the variable, never the value.
        """
        path, names = self.source.path, list(dict.fromkeys(names))
        if self.layout_file is not None:
            with self.source.open() as stream:
                return read_fixed_width(stream, self._layout, names, path)
        count = Counter(self._header)
        if twice := [name for name in names if count[name] > 1]:
            raise InputError(
                f"{path}: row {self._lines}: column {twice[0]} is there twice. Download it again."
            )
        positions = [self._header.index(name) for name in names]
        codes, wrong = (self._workbook.columns if self._workbook else self._csv)(positions)
        for name, rows in zip(names, wrong, strict=True):
            if len(rows):
                raise InputError(
                    f"{path}: row {rows[0]}, {name}: not a code but something else, such as a value label. Order "
                    "the job again with codes in place of labels, or as fixed-width text (ASCII) with its SAS, SPSS or "
                    "Stata statements."
                )
        return dict(zip(names, codes, strict=True))

    def _csv(self, positions: list[int]) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Return columns of delimited text as codes, and the rows (from 1) of cells that are none."""
        width = len(self._header)
        try:
            with self.source.open() as stream:
                codes, wrong = code_columns(stream, width, positions, self._delimiter, self._lines)
            return codes, [self._lines + 1 + cells for cells in wrong]
        except NotATableError as error:
            if error.row is None:
                raise self._no_table() from None
            row = self._lines + (error.row.number or 1)
            raise InputError(
                f"{self.source.path}: row {row} has {error.row.actual_columns} columns, its header "
                f"{width}: the file is cut or edited. Download it again."
            ) from None

    def _no_table(self) -> InputError:
        return InputError(
            f"{self.source.path}: it is not readable as a table. Download it again, or take it out of the folder if it "
            "is not the PSID's."
        )


def _find_tables(raw: Path) -> tuple[list[_Table], list[SourceFile]]:
    """Return the data files, sorted by name, and the files that are no data of the PSID."""
    found = files_below(raw)
    tables: list[_Table] = []
    others = [file for file in found if file.leads_out]
    files = [file for file in found if not file.leads_out]
    by_name = {(file.path.parent, file.stem.lower(), file.ending): file for file in files}
    for file in files:
        if raw.is_file() and file.on_disk != raw:
            continue  # beside a single data file, for its layout
        names = ((file.path.parent, file.stem.lower(), ending) for ending in LAYOUT_ENDINGS)
        layout = next((by_name[name] for name in names if name in by_name), None)
        if file.ending in _TABLES:
            tables.append(_Table(file))
        elif file.ending in _FIXED_WIDTH and layout:
            tables.append(_Table(file, layout))
        elif file.ending in _FIXED_WIDTH and _is_fixed_width(file):
            stem = file.stem
            raise InputError(
                f"{file.path}: its layout is missing. Put {stem}.sas, {stem}.sps or {stem}.do, which the PSID "
                "delivers together with the data, in the same folder or archive."
            )
        elif file.ending not in LAYOUT_ENDINGS:
            others.append(file)
    return tables, others


def _is_fixed_width(file: SourceFile) -> bool:
    """Tell data from the notes and lists that lie beside it: by name, or by a first line of numbers alone."""
    if _OFFICIAL_NAME.fullmatch(file.stem):
        return True
    with file.open() as stream:
        line = stream.read(4096).split(b"\n", 1)[0].strip()
    return len(line) >= 8 and re.fullmatch(rb"[\d .+-]+", line) is not None


def _kinds(
    tables: Sequence[_Table], by_name: dict[str, Variable]
) -> tuple[list[_Table], list[_Table], list[_Table]]:
    """Return the files with a row a person, those with a row a family, and those without a wanted variable."""
    persons, families, unused = [], [], []
    for table in tables:
        roles = {by_name[name].role for name in table.names & by_name.keys()}
        absent = [name for name in (FAMILY_OF_1968, PERSON_IN_1968) if name not in table.names]
        if len(absent) == 1 or (absent and "person" in roles):
            raise InputError(
                f"{table.source.path}: holds variables of persons, but not {' and '.join(absent)}; persons are "
                f"numbered by {FAMILY_OF_1968} and {PERSON_IN_1968}. Order the job again as 'All Individuals Data' "
                "with both, or download the individual file and its layout again."
            )
        (families if absent and roles else unused if absent else persons).append(table)
    return persons, families, unused


def _join_persons(tables: Sequence[_Table], by_name: dict[str, Variable]) -> JoinedColumns:
    """Join the files that have a row a person."""
    contents = [(table.source.path, *_read_persons(table, by_name)) for table in tables]
    joined = JoinedColumns(persons for _, persons, _ in contents)
    # The persons' own variables first: they tell who was in a family at all.
    for of_family in (False, True):
        for path, persons, columns in contents:
            rows = np.searchsorted(joined.persons, persons)
            for name in sorted(columns.keys() & by_name.keys()):
                variable = by_name[name]
                if of_family == (variable.role != "person"):
                    own = joined.columns.get((INDIVIDUAL_NUMBER, "person", variable.year))
                    outside = of_family and own is not None and own[rows] == 0
                    joined.add(variable, persons, np.where(outside, np.int32(NO_VALUE), columns[name]), path)
    return joined


def _read_persons(table: _Table, by_name: dict[str, Variable]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return the number of the person in each row, and the wanted columns."""
    path = table.source.path
    columns = table.read(sorted((table.names & by_name.keys()) | {FAMILY_OF_1968, PERSON_IN_1968}))
    family, person = columns[FAMILY_OF_1968].astype(np.int64), columns[PERSON_IN_1968].astype(np.int64)
    unfit = (family < 1) | (person < 1) | (person > 999)
    if unfit.any():
        raise InputError(
            f"{path}: row {int(np.argmax(unfit)) + 1} of its data has no person: {FAMILY_OF_1968} and "
            f"{PERSON_IN_1968} must be numbers from 1 on, the second of at most three digits. Download it again, with "
            "its layout."
        )
    numbers = family * 1000 + person
    if twice := len(numbers) - len(np.unique(numbers)):
        raise InputError(
            f"{path}: {twice:,} rows repeat a person ({FAMILY_OF_1968} and {PERSON_IN_1968}); a row a person is "
            "wanted. Order it again as 'All Individuals Data', or download it again."
        )
    return numbers, columns


def _add_family_file(joined: JoinedColumns, table: _Table, by_name: dict[str, Variable]) -> None:
    """Give each person the answers of the family that they were in."""
    path = table.source.path
    wanted = [by_name[name] for name in sorted(table.names & by_name.keys())]
    number = _interview_number(table, wanted)
    key = (INDIVIDUAL_NUMBER, "person", number.year)
    own = joined.columns.get(key)
    if own is None:
        raise InputError(
            f"{path}: the individual file has no interview number of {number.year}, by which this family file "
            "would be joined to persons. Download the individual file of the latest release."
        )
    values = table.read(variable.name.upper() for variable in wanted)
    numbers = pd.Index(values[number.name.upper()])
    if twice := int(numbers.duplicated().sum()):
        raise InputError(
            f"{path}: {number.name} should tell its families apart, but {twice:,} rows repeat one. Download it again."
        )
    place = numbers.get_indexer(own)
    matched = (place >= 0) & (own > 0)
    found, in_family = np.count_nonzero(matched), np.count_nonzero(own > 0)
    if found < _LOWEST_SHARE_MATCHED * in_family:
        raise InputError(
            f"{path}: different releases: it has the family of {found:,} of the {in_family:,} persons whom "
            f"{joined.found[key]} places in one in {number.year}. Download both files again, from the same release."
        )
    for variable in wanted:
        if variable.year in (number.year, 0):
            codes = np.where(matched, values[variable.name.upper()][place], np.int32(NO_VALUE))
            joined.add(variable, joined.persons, codes, path)


def _interview_number(table: _Table, wanted: Sequence[Variable]) -> Variable:
    """Return the variable that numbers the rows of a family file."""
    numbers = [variable for variable in wanted if variable.concept == FAMILY_NUMBER]
    waves = sorted({variable.year for variable in numbers})
    person = f"{FAMILY_OF_1968} and {PERSON_IN_1968}"
    if len(waves) == 1:
        return numbers[0]
    if waves:
        what = f"a row a family, with the interview numbers of {len(waves)} waves ({waves[0]} to {waves[-1]})"
        remedy = f"as 'All Individuals Data' with {person}"
    else:
        what = f"holds {wanted[0]} but neither the family's interview number of that wave nor {person}"
        remedy = "with one of them"
    raise InputError(
        f"{table.source.path}: {what}, so it cannot be joined to persons. Order it again {remedy}."
    )


def _nothing_usable(raw: Path, families: Sequence[_Table], others: Sequence[SourceFile]) -> InputError:
    if families:
        number = f"{len(families)} family file{'s' if len(families) > 1 else ''}"
        return InputError(
            f"{raw}: holds {number} ({families[0].source.path.name} first), but no individual file, by which families "
            f"are joined to persons. {_DOWNLOADS}."
        )
    listed = f"It has {some([file.path.name for file in others])}. " if others else ""
    if unread := [file for file in others if file.ending in _NOT_READ]:
        listed += f"{unread[0].path.name} is of a kind that is not read: unpack it, or save it as .csv. "
    if outside := [file for file in others if file.leads_out]:
        listed += (
            f"{outside[0].on_disk.name} has members whose paths lead out of it, which are passed over: unpack it and "
            "put its files in its place. "
        )
    return InputError(f"{raw}: no file of the PSID with a row a person was found. {listed}{_DOWNLOADS}.")
