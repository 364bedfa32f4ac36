"""Reading the files of the PSID into one row a person: packaged files, jobs of the Data Center, or both.

Packaged are one family file a wave and one individual file over all waves. A family's answers belong to the persons
whom the individual file places in it: it holds the number of the family's interview in each wave, 0 where the
person was in no family. Jobs of the Data Center hold a row a person with the family's answers already there.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from labor_llm.errors import InputError
from labor_llm.surveys.psid.layouts import NO_VALUE
from labor_llm.surveys.psid.tables import Table
from labor_llm.surveys.psid.waves import INDIVIDUAL_FILE, WAVES, family_file
from labor_llm.surveys.sources import SourceFile, find_data
from labor_llm.surveys.variables import RawSurvey, Variable

Key = tuple[str, str, int]

# The two parts of a person's number.
FAMILY_OF_1968, PERSON_IN_1968 = "ER30001", "ER30002"
# A person's interview number of a wave, and the family file's own.
INDIVIDUAL_NUMBER, FAMILY_NUMBER = "ind_interview_number", "fam_interview_number"
_FAMILY_ROLES = ("head", "spouse", "family")
_LOWEST_SHARE_MATCHED = 0.95
_DOWNLOADS = (
    "Download from the PSID's Data Center either the packaged cross-year individual file (such as "
    f"{INDIVIDUAL_FILE.lower()}.zip) and the family file of each wave (such as {family_file(WAVES[0]).lower()}.zip), "
    "or a job of the type 'All Individuals Data' with "
    f"{FAMILY_OF_1968} and {PERSON_IN_1968}, and put the archives into this folder as they are"
)


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
    data, others = find_data(raw)
    by_name: dict[str, list[Variable]] = {}
    for variable in variables:
        if variable.name:
            by_name.setdefault(variable.name.upper(), []).append(variable)
    persons, families, unused = _kinds([Table(file) for file in data], by_name)
    if not persons:
        raise _nothing_usable(raw, families, unused, others)
    panel = _Panel.of_persons(persons, by_name)
    for table in families:
        panel.add_family_file(table, by_name)
    used = [*persons, *families]
    return RawSurvey(
        values=panel.frame(variables),
        found={
            variable.key: panel.found[variable.key] for variable in variables if variable.key in panel.found
        },
        missing=tuple(variable for variable in variables if variable.key not in panel.found),
        read=tuple(dict.fromkeys(file.path for table in used for file in _files(table))),
        skipped=tuple(
            dict.fromkeys(file.shown for file in [*(table.file.source for table in unused), *others])
        ),
    )


class _Panel:
    """The columns that were found so far, each one value a person, `NO_VALUE` where there is none."""

    def __init__(self, persons: np.ndarray) -> None:
        self.persons = persons
        self.columns: dict[Key, np.ndarray] = {}
        self.found: dict[Key, Path] = {}

    @classmethod
    def of_persons(cls, tables: Sequence[Table], by_name: dict[str, list[Variable]]) -> _Panel:
        """Join the files that have a row a person."""
        contents = [(table, *_read_persons(table, by_name)) for table in tables]
        panel = cls(np.unique(np.concatenate([persons for _, persons, _ in contents])))
        # The persons' own variables first: they tell who was in a family at all.
        for of_family in (False, True):
            for table, persons, columns in contents:
                rows = np.searchsorted(panel.persons, persons)
                for name, values in columns.items():
                    for variable in by_name.get(name, ()):
                        if (variable.role in _FAMILY_ROLES) == of_family:
                            column = np.full(len(panel.persons), NO_VALUE, dtype=np.int32)
                            column[rows] = values
                            panel._add(variable, column, table.file.source.shown)
        return panel

    def add_family_file(self, table: Table, by_name: dict[str, list[Variable]]) -> None:
        """Give each person the answers of the family that they were in."""
        shown = table.file.source.shown
        wanted = [
            v
            for name in sorted(table.names & by_name.keys())
            for v in by_name[name]
            if v.role in _FAMILY_ROLES
        ]
        number = _interview_number(table, wanted)
        own = self.columns.get((INDIVIDUAL_NUMBER, "person", number.year))
        if own is None:
            raise InputError(
                f"{shown}: the individual file has no interview number of {number.year}, by which this family file "
                "would be joined to persons. Download the individual file of the latest release."
            )
        values = table.read(list(dict.fromkeys(variable.name.upper() for variable in wanted)))
        numbers = values[number.name.upper()]
        order = np.argsort(numbers, kind="stable")
        ordered = numbers[order]
        if twice := int(np.count_nonzero(ordered[1:] == ordered[:-1])):
            raise InputError(
                f"{shown}: {number.name} should tell its families apart, but {twice:,} rows repeat one. Download it "
                "again."
            )
        place = np.minimum(np.searchsorted(ordered, own), len(ordered) - 1)
        matched = (ordered[place] == own) & (own > 0)
        in_family = int(np.count_nonzero(own > 0))
        if np.count_nonzero(matched) < _LOWEST_SHARE_MATCHED * in_family:
            raise InputError(
                f"{shown}: different releases: it has the family of {np.count_nonzero(matched):,} of the "
                f"{in_family:,} persons whom {self.found[INDIVIDUAL_NUMBER, 'person', number.year]} places in one in "
                f"{number.year}. Download both files again, from the same release."
            )
        rows = order[place]
        for variable in wanted:
            if variable.year in (number.year, 0):
                column = np.where(matched, values[variable.name.upper()][rows], np.int32(NO_VALUE))
                self._add(variable, column, shown)

    def _add(self, variable: Variable, column: np.ndarray, shown: Path) -> None:
        """Add a column, or complete the one that another file has of the same variable."""
        if variable.role in _FAMILY_ROLES:
            own = self.columns.get((INDIVIDUAL_NUMBER, "person", variable.year))
            if own is not None:
                column[own == 0] = NO_VALUE
        earlier = self.columns.get(variable.key)
        if earlier is None:
            self.columns[variable.key] = column
            self.found[variable.key] = shown
            return
        shared = (earlier != NO_VALUE) & (column != NO_VALUE)
        if differing := int(np.count_nonzero(shared & (earlier != column))):
            raise InputError(
                f"{shown} and {self.found[variable.key]}: different releases: {variable} differs for {differing:,} of "
                f"the {np.count_nonzero(shared):,} persons whom both hold. Keep the files of one release."
            )
        self.columns[variable.key] = np.where(earlier == NO_VALUE, column, earlier)

    def frame(self, variables: Sequence[Variable]) -> pd.DataFrame:
        """Return the columns as `RawSurvey.values`, in the order of the variables; the columns are given up."""
        keys = [key for key in dict.fromkeys(variable.key for variable in variables) if key in self.columns]
        arrays = {}
        for place, key in enumerate(keys):
            column = self.columns.pop(key)
            blank = column == NO_VALUE
            column[blank] = 1  # what pandas itself keeps under a missing value
            arrays[place] = pd.arrays.IntegerArray(column, blank)
        frame = pd.DataFrame(arrays, index=pd.Index(self.persons, name="person"), copy=False)
        frame.columns = pd.MultiIndex.from_tuples(keys, names=["concept", "role", "year"])
        return frame


def _kinds(
    tables: Sequence[Table], by_name: dict[str, list[Variable]]
) -> tuple[list[Table], list[Table], list[Table]]:
    """Return the files with a row a person, those with a row a family, and those without a wanted variable."""
    persons, families, unused = [], [], []
    for table in tables:
        wanted = [variable for name in table.names & by_name.keys() for variable in by_name[name]]
        number = (FAMILY_OF_1968, PERSON_IN_1968)
        absent = [name for name in number if name not in table.names]
        if not absent:
            persons.append(table)
        elif len(absent) < len(number) or any(variable.role not in _FAMILY_ROLES for variable in wanted):
            raise InputError(
                f"{table.file.source.shown}: holds variables of persons, but not {' and '.join(absent)}; persons are "
                f"numbered by {FAMILY_OF_1968} and {PERSON_IN_1968}. Order the job again as 'All Individuals Data' "
                "with both, or download the individual file and its layout again."
            )
        elif wanted:
            families.append(table)
        else:
            unused.append(table)
    return persons, families, unused


def _interview_number(table: Table, wanted: Sequence[Variable]) -> Variable:
    """Return the variable that numbers the rows of a family file."""
    numbers = [variable for variable in wanted if variable.concept == FAMILY_NUMBER]
    waves = sorted({variable.year for variable in numbers})
    if len(waves) == 1:
        return numbers[0]
    shown = table.file.source.shown
    if waves:
        raise InputError(
            f"{shown}: a row a family, with the interview numbers of {len(waves)} waves ({waves[0]} to {waves[-1]}), "
            f"so it cannot be joined to persons. Order it again as 'All Individuals Data' with {FAMILY_OF_1968} and "
            f"{PERSON_IN_1968}."
        )
    raise InputError(
        f"{shown}: holds {wanted[0]} but neither the family's interview number of that wave nor {FAMILY_OF_1968} and "
        f"{PERSON_IN_1968}, so it cannot be joined to persons. Order it again with one of them."
    )


def _read_persons(
    table: Table, by_name: dict[str, list[Variable]]
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return the number of the person in each row, and the wanted columns."""
    shown = table.file.source.shown
    columns = table.read(sorted((table.names & by_name.keys()) | {FAMILY_OF_1968, PERSON_IN_1968}))
    family, person = columns[FAMILY_OF_1968].astype(np.int64), columns[PERSON_IN_1968].astype(np.int64)
    unfit = (family < 1) | (person < 1) | (person > 999)
    if unfit.any():
        raise InputError(
            f"{shown}: row {int(np.argmax(unfit)) + 1} of its data has no person: {FAMILY_OF_1968} and "
            f"{PERSON_IN_1968} must be numbers from 1 on, the second of at most three digits. Download it again, with "
            "its layout."
        )
    numbers = family * 1000 + person
    if twice := len(numbers) - len(np.unique(numbers)):
        raise InputError(
            f"{shown}: {twice:,} rows repeat a person ({FAMILY_OF_1968} and {PERSON_IN_1968}); a row a person is "
            "wanted. Order it again as 'All Individuals Data', or download it again."
        )
    return numbers, columns


def _nothing_usable(
    raw: Path, families: Sequence[Table], unused: Sequence[Table], others: Sequence[SourceFile]
) -> InputError:
    if families:
        return InputError(
            f"{raw}: holds {len(families)} family file{'s' if len(families) > 1 else ''} "
            f"({families[0].file.source.shown.name} first), but no individual file, by which families are joined to "
            f"persons. {_DOWNLOADS}."
        )
    names = [file.shown.name for file in [*(table.file.source for table in unused), *others]]
    listed = (
        f"It has {', '.join(names[:8])}{f' and {len(names) - 8} more' if len(names) > 8 else ''}. "
        if names
        else ""
    )
    outside = [file for file in others if file.leads_out]
    if outside:
        listed += (
            f"{outside[0].path.name} has members whose paths lead out of it, which are passed over: unpack it and "
            "put its files in its place. "
        )
    return InputError(f"{raw}: no file of the PSID with a row a person was found. {listed}{_DOWNLOADS}.")


def _files(table: Table) -> list[SourceFile]:
    return [file for file in (table.file.source, table.file.layout) if file is not None]
