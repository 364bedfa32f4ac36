"""Which cohort an NLS extract is of: the NLSY79 and the NLSY97 share reference numbers, R0000100 first of all.

Whether the variables of a survey year agree on who was interviewed: if they do not, one is of another year.

Whoever was not interviewed in a round has -5 in every variable of it, in both cohorts. A column that a column map or a
renamed header puts in the wrong year, or a file whose codes were changed, shows by this and by little else: an
occupation of 1985 is as plausible in 1986.

Reader of the National Longitudinal Surveys (NLSY79, NLSY97): extracts of the Investigator and full-cohort zips.

One or several extracts are joined by respondent. What stands in a file is returned as it is: the codes of the
survey, with -1 refusal, -2 don't know, -3 invalid skip, -4 valid skip and -5 not interviewed.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from labor_llm.errors import InputError
from labor_llm.surveys.nls.codebooks import (
    RESPONDENT,
    RESPONDENT_QUESTIONS,
    MappedColumn,
    comparable,
    is_release,
    read_column_map,
)
from labor_llm.surveys.nls.columns import (
    WEEKLY,
    Extract,
    NotAnExtractError,
    check_column_map,
    find_columns,
    open_extract,
    read_codebook,
)
from labor_llm.surveys.nls.values import EMPTY, ExtractValues, read_values
from labor_llm.surveys.sources import FileGroup, file_groups
from labor_llm.surveys.variables import CROSS_ROUND, RawSurvey, Variable, variables_of

COHORTS = {"nlsy79": "NLSY79", "nlsy97": "NLSY97"}
# Respondents of each cohort and the highest of their numbers.
COHORT_SIZES = {"nlsy79": (12_686, 12_686), "nlsy97": (8_984, 9_022)}
_QUESTIONS = {cohort: question for question, cohort in RESPONDENT_QUESTIONS.items()}


def check_cohort(extract: Extract, cohort: str, variables: Iterable[Variable]) -> None:
    """Refuse an extract whose columns, or the files beside it, say that it is of the other cohort.

    The evidence, strongest first: the question name of R0000100 (CASEID or PUBID), a tagset of the same name,
    reference numbers that only the other cohort's list of variables has.

    Raises:
        InputError: if it is of the other cohort.
    """
    found, reason = _evidence(extract, cohort, variables)
    if found and found != cohort:
        raise InputError(_refusal(extract, found, cohort, reason))


def check_respondents(extract: Extract, cohort: str, persons: np.ndarray) -> None:
    """Refuse an extract whose respondents are not of the cohort: those of the other one, or numbers that it has not.

    Args:
        extract: the extract.
        cohort: `nlsy79` or `nlsy97`.
        persons: the respondents' numbers, ascending.

    Raises:
        InputError: if number of rows and highest number are the other cohort's and no codebook says otherwise, or
            a number is above the cohort's highest.
    """
    size = (len(persons), int(persons[-1]))
    other = next(name for name in COHORTS if name != cohort)
    if size == COHORT_SIZES[other] and _evidence(extract, cohort, ())[0] != cohort:
        raise InputError(
            _refusal(extract, other, cohort, f"it has the {size[0]:,} respondents of that cohort")
        )
    highest = COHORT_SIZES[cohort][1]
    if above := int((persons > highest).sum()):
        raise InputError(
            f"{extract.path}, column {extract.columns[extract.respondent]}: {above:,} of {size[0]:,} respondents have "
            f"a number above {highest:,}, the highest of the {COHORTS[cohort]}. Check that the column is its "
            f"{_QUESTIONS[cohort]} and the file as it was downloaded."
        )


def _evidence(extract: Extract, cohort: str, variables: Iterable[Variable]) -> tuple[str, str]:
    """Return the cohort that an extract is of, and why; empty where nothing tells."""
    for question, found in RESPONDENT_QUESTIONS.items():
        if extract.stated.get(extract.respondent, ("",))[0] == question:
            return found, f"its column of respondents is {question}"
        entry = extract.codebook.get(RESPONDENT)
        # A codebook of another name may be of another file; it must describe every column to count.
        theirs = extract.own_codebooks or extract.references.keys() <= extract.codebook.keys()
        if entry and theirs and comparable(entry.question) == question:
            return found, f"{extract.codebooks[0].path.name} calls {RESPONDENT} {question}"
    if extract.tagset:
        return extract.tagset, "the tagset of the same name ends so"
    own = _numbers(cohort) | {variable.name for variable in variables}
    other = next(name for name in COHORTS if name != cohort)
    only_theirs = (_numbers(other) - own) & extract.references.keys()
    if len(only_theirs) > 1 and not (own - {RESPONDENT}) & extract.references.keys():
        return other, f"it has {len(only_theirs)} variables of that cohort and none of this"
    return "", ""


def _numbers(cohort: str) -> set[str]:
    """Return the reference numbers in a cohort's list of variables, but for the respondent's own."""
    with contextlib.suppress(InputError):
        return {variable.name for variable in variables_of(cohort) if variable.name} - {RESPONDENT}
    return set()


def _refusal(extract: Extract, found: str, cohort: str, reason: str) -> str:
    return (
        f"{extract.path}: an extract of the {COHORTS[found]}, not of the {COHORTS[cohort]} ({reason}). "
        f"Give {COHORTS[cohort]} files, or convert it as {found}; keep the cohorts in folders of their own."
    )


NON_INTERVIEW = -5
# Respondents on whom two variables of a year may disagree, as a share of those that both have. Genuine files: none.
_TOLERATED = 0.01
# Answered of those who were not interviewed; and a question on the person, whose answer may be given to all.
_NOT_OF_A_ROUND = frozenset({"reason_noninterview", "birth_year"})

Key = tuple[str, str, int]


def check_interviewed(
    columns: Mapping[Key, np.ndarray],
    empty: int,
    variables: Iterable[Variable],
    found: Mapping[Key, Path],
    mapped: Mapping[Key, MappedColumn],
) -> None:
    """Refuse variables of one survey year that disagree on who was interviewed.

    Args:
        columns: codes [respondents] of each variable that was found, by its key.
        empty: the code of a respondent whom the variable's file does not have; such are not compared.
        variables: those looked for.
        found: the file of each variable.
        mapped: the row of the column map, for variables whose column it named.

    Raises:
        InputError: if more than one in a hundred of the respondents that two variables of a year both have were not
            interviewed by one of them alone; names the two that disagree most.
    """
    years: dict[int, dict[Key, Variable]] = {}
    for variable in variables:
        single = variable.year != CROSS_ROUND and variable.concept not in (WEEKLY, *_NOT_OF_A_ROUND)
        if single and variable.key in columns:
            years.setdefault(variable.year, {})[variable.key] = variable
    for year, asked in years.items():
        known = {key: columns[key] != empty for key in asked}
        absent = {key: columns[key] == NON_INTERVIEW for key in asked}
        disagreements = []
        for pair in itertools.combinations(asked, 2):
            both = known[pair[0]] & known[pair[1]]
            size, differing = int(both.sum()), int(((absent[pair[0]] != absent[pair[1]]) & both).sum())
            if differing > _TOLERATED * size:
                disagreements.append((differing / size, differing, size, pair))
        if disagreements:
            _, differing, size, pair = max(disagreements)
            names = " and ".join(_named(asked[key], found[key], mapped.get(key)) for key in pair)
            raise InputError(
                f"{year}: {names} disagree on who was interviewed (code {NON_INTERVIEW}) for {differing:,} of the "
                f"{size:,} respondents that both have, so one of them is of another year. "
                f"{_remedy([mapped[key] for key in pair if key in mapped])}"
            )


def _named(variable: Variable, path: Path, row: MappedColumn | None) -> str:
    by = f", column {row.column!r} by row {row.row} of {row.source}" if row else ""
    return f"{variable} in {path}{by}"


def _remedy(rows: list[MappedColumn]) -> str:
    mend = f"Mend the years in {rows[0].source}" if rows else "Check the names of the columns"
    return f"{mend}, or download the files anew, with codes as the NLS Investigator gives them."


INVESTIGATOR = "https://www.nlsinfo.org/investigator"
# The variable that tells the release of the data; its question name has the round: VERSION_R26.
_RELEASE_NUMBER = "A0002600"
_MISSING_VALUES = range(-5, 0)

Key_nls_extracts = tuple[str, str, int]


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
            (`labor_llm.surveys.nls.codebooks.read_column_map`).

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
        self.columns: dict[Key_nls_extracts, np.ndarray] = {}
        self.found: dict[Key_nls_extracts, Path] = {}
        self.mapped: dict[Key_nls_extracts, MappedColumn] = {}
        self.releases: list[_Release] = []

    def add(
        self,
        path: Path,
        values: ExtractValues,
        positions: dict[Key_nls_extracts, int],
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

    def frame(self, order: Sequence[Key_nls_extracts]) -> pd.DataFrame:
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


def _name(key: Key_nls_extracts) -> str:
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
