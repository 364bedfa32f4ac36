"""Reader of the National Longitudinal Surveys (NLSY79, NLSY97): extracts of the Investigator and full-cohort zips.

One or several extracts are joined by respondent. What stands in a file is returned as it is: the codes of the
survey, with -1 refusal, -2 don't know, -3 invalid skip, -4 valid skip and -5 not interviewed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from labor_llm.errors import InputError
from labor_llm.surveys.nls_codebooks import MappedColumn, is_release, read_column_map
from labor_llm.surveys.nls_cohorts import COHORTS, check_cohort, check_respondents
from labor_llm.surveys.nls_columns import (
    Extract,
    NotAnExtractError,
    check_column_map,
    find_columns,
    open_extract,
    read_codebook,
)
from labor_llm.surveys.nls_interviewed import check_interviewed
from labor_llm.surveys.nls_sources import FileGroup, file_groups
from labor_llm.surveys.nls_values import EMPTY, ExtractValues, read_values
from labor_llm.surveys.variables import RawSurvey, Variable

INVESTIGATOR = "https://www.nlsinfo.org/investigator"
# The variable that tells the release of the data; its question name has the round: VERSION_R26.
_RELEASE_NUMBER = "A0002600"
_MISSING_VALUES = range(-5, 0)

Key = tuple[str, str, int]


@dataclass(frozen=True)
class _Release:
    """The release that an extract states: question name (empty if not known) and the codes in its column."""

    path: Path
    question: str
    codes: frozenset[int]


def read_nls(
    raw: Path, cohort: str, variables: Sequence[Variable], column_map: Path | None = None
) -> RawSurvey:
    """Return the wanted variables of a cohort from NLS files, joined by respondent.

    Of files of one name in one folder, the .csv is read, else the .dat, else the data within the .dct. Only the
    wanted columns are ever held in memory.

    Data alone (.csv, .dct, or a .dat with a .dct or tagset) tell reference numbers and no question names: variables
    of unknown reference number are found only with the codebook (.sdf or .cdb) beside the data, or in columns renamed
    to question and year, or by a column map.

    Args:
        raw: a folder (with all below it), a zip, or a single data file.
        cohort: `nlsy79` or `nlsy97`.
        variables: what to look for: by reference number, else by question name and survey year.
        column_map: a CSV that says what columns are whose names are no reference numbers
            (`labor_llm.surveys.nls_codebooks.read_column_map`).

    Returns:
        The values, the files they come from, and the variables that no file has. Files below `raw` that are no
        extract, or hold nothing that is wanted, are in `skipped`; those of them that have respondents and columns
        of which nothing tells what they are, in `unnamed` too.

    Raises:
        InputError: if no file holds a wanted variable, a file is damaged, cannot be read, holds labels or is of the
            other cohort, a layout does not fit its data, a row of the column map fits no column or no wanted
            variable, two extracts contradict each other, or two variables of a year differ in who was interviewed.
    """
    if cohort not in COHORTS:
        raise InputError(f"{cohort!r} is no cohort of the NLS read here; give one of {', '.join(COHORTS)}.")
    groups = file_groups(raw)
    rows = read_column_map(column_map) if column_map else []
    check_column_map(rows, variables)
    extracts, reasons = _open_all(groups, raw, rows)
    for extract in extracts:
        check_cohort(extract, cohort, variables)
    places = find_columns(extracts, variables)
    joined = _Joined()
    read: list[Path] = []
    for extract, positions in zip(extracts, places, strict=True):
        if not positions:
            reasons[extract.path] = _nothing_in(extract)
            continue
        release = _release_column(extract)
        wanted = {*positions.values(), *([release[0]] if release else [])}
        values = read_values(extract, wanted)
        check_respondents(extract, cohort, values.persons)
        if release:
            _check_release(joined.releases, _release_of(extract, release, values))
        joined.add(extract.path, values, positions, extract.mapped)
        layouts = [extract.layout] if extract.layout else []
        read += [extract.path, *(source.path for source in layouts + extract.codebooks)]
    if not joined.found:
        raise InputError(_nothing_found(Path(raw), cohort, reasons, variables))
    check_interviewed(joined.columns, int(EMPTY), variables, joined.found, joined.mapped)
    every = [file.path for group in groups for file in group.files.values()]
    read = list(dict.fromkeys(read))
    return RawSurvey(
        values=joined.frame([variable.key for variable in variables]),
        found=joined.found,
        missing=tuple(variable for variable in variables if variable.key not in joined.found),
        read=tuple(read),
        skipped=tuple(path for path in every if path not in set(read)),
        unnamed=tuple(
            extract.path
            for extract, used in zip(extracts, places, strict=True)
            if not used and extract.unnamed()
        ),
    )


def _open_all(
    groups: Sequence[FileGroup], raw: Path, rows: Sequence[MappedColumn]
) -> tuple[list[Extract], dict[Path, str]]:
    """Return the extracts among the files, one a group, and of other data files why they are none."""
    maps = {row.source.resolve() for row in rows}
    books = cache(read_codebook)
    extracts: list[Extract] = []
    reasons: dict[Path, str] = {}
    for group in groups:
        for source in group.data():
            if source.path.resolve() in maps:
                continue
            try:
                extracts.append(open_extract(group, source, rows, books))
            except NotAnExtractError as reason:
                reasons[source.path] = str(reason)
            else:
                break
    for row in rows:
        if not any(row.names(extract.path) for extract in extracts):
            why = next((f" ({reason})" for path, reason in reasons.items() if row.names(path)), "")
            raise InputError(
                f"{row.source}, row {row.row}, column file: {row.file} is no extract below {raw}{why}; mend the name, "
                "or add a row with the question CASEID (NLSY97: PUBID) for its column of respondents."
            )
    return extracts, reasons


class _Joined:
    """Values of several extracts, put together respondent by respondent."""

    def __init__(self) -> None:
        self.persons = np.empty(0, dtype=np.int64)
        self.columns: dict[Key, np.ndarray] = {}
        self.found: dict[Key, Path] = {}
        self.mapped: dict[Key, MappedColumn] = {}
        self.releases: list[_Release] = []

    def add(
        self,
        path: Path,
        values: ExtractValues,
        positions: dict[Key, int],
        mapped: dict[int, MappedColumn],
    ) -> None:
        """Add the variables of an extract, some of whose columns the column map named.

        Raises:
            InputError: if a variable that another extract has too differs in respondents that both have.
        """
        persons = np.union1d(self.persons, values.persons)
        if len(persons) > len(self.persons):
            self.columns = {key: _spread(self.persons, held, persons) for key, held in self.columns.items()}
            self.persons = persons
        for key, position in positions.items():
            new = _spread(values.persons, values.columns[position], persons)
            if key in self.columns:
                held = self.columns[key]
                both = (held != EMPTY) & (new != EMPTY)
                if differing := int((held != new)[both].sum()):
                    raise InputError(
                        f"{_name(key)} differs between {self.found[key]} and {path} for {differing:,} of the "
                        f"{int(both.sum()):,} respondents that both have; the two extracts seem to be of different "
                        "releases. Download both anew from one release, or give only one of them."
                    )
                new = np.where(held == EMPTY, new, held)
            self.columns[key] = new
            self.found.setdefault(key, path)
            if position in mapped:
                self.mapped.setdefault(key, mapped[position])

    def frame(self, order: Sequence[Key]) -> pd.DataFrame:
        """Return the values as `RawSurvey.values`, the columns in an order given."""
        keys = [key for key in dict.fromkeys(order) if key in self.columns]
        arrays = [pd.arrays.IntegerArray(self.columns[key], self.columns[key] == EMPTY) for key in keys]
        frame = pd.DataFrame(dict(enumerate(arrays)), index=pd.Index(self.persons, name="person"))
        frame.columns = pd.MultiIndex.from_tuples(keys, names=["concept", "role", "year"])
        return frame


def _spread(persons: np.ndarray, values: np.ndarray, everyone: np.ndarray) -> np.ndarray:
    """Return the values of some respondents among all, `EMPTY` for the others."""
    if len(persons) == len(everyone):
        return values
    spread = np.full(len(everyone), EMPTY, dtype=np.int32)
    spread[np.searchsorted(everyone, persons)] = values
    return spread


def _name(key: Key) -> str:
    concept, _, year = key
    return f"{concept} ({year})" if year else concept


def _release_column(extract: Extract) -> tuple[int, str] | None:
    """Return position and question name of the column that tells an extract's release; None without one."""
    names = {**extract.described(), **extract.stated}
    for position, (question, _) in names.items():
        if is_release(question):
            return position, question
    if _RELEASE_NUMBER in extract.references:
        return extract.references[_RELEASE_NUMBER], ""
    return None


def _release_of(extract: Extract, column: tuple[int, str], values: ExtractValues) -> _Release:
    position, question = column
    codes = set(np.unique(values.columns[position]).tolist()) - {*_MISSING_VALUES, int(EMPTY)}
    return _Release(extract.path, question, frozenset(codes))


def _check_release(releases: list[_Release], new: _Release) -> None:
    """Enter the release of an extract, which must be that of the others.

    Raises:
        InputError: if the question names (VERSION_R26) or the codes of two extracts differ.
    """
    for other in releases:
        questions = {new.question, other.question} - {""}
        if len(questions) > 1 or (new.codes and other.codes and new.codes != other.codes):
            named = f" ({' and '.join(sorted(questions))})" if len(questions) > 1 else ""
            raise InputError(
                f"{other.path} and {new.path} are two extracts of different releases{named}. Download both anew "
                "from one release, or give only one of them."
            )
    releases.append(new)


def _nothing_in(extract: Extract) -> str:
    """Say that an extract holds no wanted variable, and what may be missing beside it."""
    if extract.unnamed():
        column = extract.unnamed()[0]
        return f"no wanted variable under its name; say in a column map what columns such as {column!r} are"
    if not extract.codebook:
        return "none of the wanted variables by number; no .sdf or .cdb beside it says what its other columns are"
    return "none of the wanted variables"


def _nothing_found(raw: Path, cohort: str, reasons: dict[Path, str], variables: Sequence[Variable]) -> str:
    """Say that no file held a wanted variable, what was there, and what to download."""
    listed = [f"{path} ({reason})" for path, reason in list(reasons.items())[:10]]
    more = f" and {len(reasons) - 10} more" if len(reasons) > 10 else ""
    there = f"found {'; '.join(listed)}{more}" if listed else "found no .csv, .dat or .dct"
    examples = ", ".join(str(variable) for variable in variables[:3])
    return (
        f"{raw}: none of the {len(variables):,} wanted variables of the {COHORTS[cohort]}, "
        f"such as {examples}; {there}. "
        f"Download them from {INVESTIGATOR} with the tagset that `labor-llm variables {cohort}` writes, each file with "
        "its codebook (.sdf or .cdb) beside it, without which variables of unknown number cannot be found."
    )
