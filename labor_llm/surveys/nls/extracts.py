"""Reader of the National Longitudinal Surveys (NLSY79, NLSY97): extracts of the Investigator and full-cohort zips.

One or several extracts are joined by respondent. What stands in a file is returned as it is: the codes of the
survey, with -1 refusal, -2 don't know, -3 invalid skip, -4 valid skip and -5 not interviewed.

Refused are files of the other cohort, for both share reference numbers, R0000100 first of all; files of different
releases; and variables of a survey year that disagree on who was interviewed: whoever was not has -5 in every
variable of the round, so that a column of another year shows by this and by little else. No message holds a cell's
content or the number of its row: in the file of a full cohort, row 602 is respondent 601.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np

from labor_llm.errors import InputError
from labor_llm.surveys.nls.codebooks import (
    RESPONDENT,
    RESPONDENT_QUESTIONS,
    MappedColumn,
    check_column_map,
    comparable,
    is_release,
    read_codebook,
    read_column_map,
)
from labor_llm.surveys.nls.columns import (
    DATA,
    Extract,
    FileGroup,
    NotAnExtractError,
    file_groups,
    find_columns,
    open_extract,
)
from labor_llm.surveys.sources import NotATableError, code_columns, some
from labor_llm.surveys.variables import (
    NO_VALUE,
    JoinedColumns,
    Key,
    RawSurvey,
    Variable,
    variables_of,
)

# Respondents of each cohort and the highest of their numbers.
COHORT_SIZES = {"nlsy79": (12_686, 12_686), "nlsy97": (8_984, 9_022)}
INVESTIGATOR = "https://www.nlsinfo.org/investigator"
NON_INTERVIEW = -5
_MISSING_VALUES = range(-5, 0)
_OTHER = {"nlsy79": "nlsy97", "nlsy97": "nlsy79"}
_QUESTIONS = {cohort: question for question, cohort in RESPONDENT_QUESTIONS.items()}
# Respondents on whom two variables of a year may disagree, as a share of those that both have. Genuine files: none.
_TOLERATED = 0.01
# Answered of those who were not interviewed; and a question on the person, whose answer may be given to all.
_NOT_OF_A_ROUND = ("reason_noninterview", "birth_year", "household")
# The variable that tells the release of the data; its question name has the round: VERSION_R26.
_RELEASE_NUMBER = "A0002600"


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
    groups = file_groups(raw)
    rows = read_column_map(column_map) if column_map else []
    check_column_map(rows, variables)
    extracts, reasons = _open_all(groups, raw, rows)
    evidence = [_evidence(extract, cohort, variables) for extract in extracts]
    for extract, (found, reason) in zip(extracts, evidence, strict=True):
        if found == _OTHER[cohort]:
            raise _other_cohort(extract, cohort, reason)
    mapped, releases, read, everyone, contents = {}, [], [], [], []
    columns_of = find_columns(extracts, variables)
    for extract, (is_told, _), positions in zip(extracts, evidence, columns_of, strict=True):
        if not positions:
            reasons[extract.path] = extract.nothing_wanted()
            continue
        release = _release_column(extract)
        persons, columns = _read_values(extract, {*positions.values(), *release})
        _check_respondents(extract, cohort, persons, is_told=bool(is_told))
        for position, question in release.items():
            codes = {*np.unique(columns[position]).tolist()} - {*_MISSING_VALUES, NO_VALUE}
            releases.append((extract.path, question, codes))
        everyone.append(persons)
        for variable, position in positions.items():
            contents.append((variable, persons, columns[position], extract.path))
            if position in extract.mapped:
                mapped.setdefault(variable.key, extract.mapped[position])
        layouts = [extract.layout] if extract.layout else []
        read += [extract.path, *(source.path for source in layouts + extract.codebooks)]
    if not contents:
        raise InputError(_nothing_found(Path(raw), cohort, reasons, variables))
    _check_releases(releases)
    joined = JoinedColumns(everyone)
    for content in contents:
        joined.add(*content)
    _check_interviewed(joined, variables, mapped)
    skipped = [file.path for group in groups for file in group.files.values() if file.path not in read]
    unnamed = [extract.path for extract in extracts if extract.path not in read and extract.unnamed()]
    return joined.survey(variables, read=read, skipped=skipped, unnamed=unnamed)


def _open_all(
    groups: Sequence[FileGroup], raw: Path, rows: Sequence[MappedColumn]
) -> tuple[list[Extract], dict[Path, str]]:
    """Return the extracts among the files, one a group, and of other data files why they are none."""
    maps = {row.source.resolve() for row in rows}
    books = cache(read_codebook)
    extracts: list[Extract] = []
    reasons: dict[Path, str] = {}
    for group in groups:
        for source in group.beside(*DATA):
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


def _read_values(extract: Extract, positions: Collection[int]) -> tuple[np.ndarray, dict[int, np.ndarray]]:
    """Return the respondents' numbers, ascending, and their codes in some columns by the column's position."""
    wanted = sorted({extract.respondent, *positions})
    try:
        with extract.data.open() as stream:
            width, above = len(extract.columns), extract.header_rows
            codes, wrong = code_columns(stream, width, wanted, extract.delimiter, above)
    except NotATableError as error:
        raise InputError(f"{extract.path}: {_not_regular(extract, error)}") from None
    if not len(codes[0]):
        raise InputError(f"{extract.path}: no rows of data; download it again.")
    for position, cells in zip(wanted, wrong, strict=True):
        if len(cells):
            raise InputError(
                f"{extract.path}, column {extract.columns[position]}: cells that are no whole numbers: {len(cells):,}. "
                "Give the codes, not their labels: the .csv or .dat as the NLS Investigator made it, before a program "
                "put labels in place of codes."
            )
    columns = dict(zip(wanted, codes, strict=True))
    persons = columns[extract.respondent].astype(np.int64)
    where = f"{extract.path}, column {extract.columns[extract.respondent]}"
    if missing := int((persons <= 0).sum()):
        raise InputError(f"{where}: rows without a respondent's number: {missing:,}; download it again.")
    if again := len(persons) - len(np.unique(persons)):
        raise InputError(
            f"{where}: rows of a respondent who stands in the file before: {again:,}; "
            "it needs one row a respondent (years side by side, not below each other)."
        )
    counted = extract.codebook[RESPONDENT].respondents if RESPONDENT in extract.codebook else 0
    if extract.described_by_own and len(persons) < counted:
        raise InputError(
            f"{extract.path}: {len(persons):,} rows, but the codebook of the same name counts {counted:,} respondents; "
            "the file is cut off, download it again (or, if you made it of some respondents, take the .cdb away)."
        )
    order = np.argsort(persons, kind="stable")
    return persons[order], {position: columns[position][order] for position in positions}


def _not_regular(extract: Extract, error: NotATableError) -> str:
    """Say why the text is no table, such as a row that does not have the cells that the header or the layout names."""
    row = error.row
    if row is None:
        what = "no rows of data" if error.empty else "not a regular table of codes"
        return f"{what}; download it again."
    cells = f"a row has {row.actual_columns:,} cells, but "
    if extract.delimiter != " " or (row.number or 0) > 1:
        return f"{cells}the file has {row.expected_columns:,} columns; it is cut off or was changed, download it again."
    layout = extract.layout.path if extract.layout else "its dictionary"
    return (
        f"{cells}{layout} names {row.expected_columns:,} columns; the two are not of the same extract. Download them "
        "together, or give the .csv, which names its columns itself."
    )


def _check_respondents(extract: Extract, cohort: str, persons: np.ndarray, is_told: bool) -> None:
    """Refuse respondents (numbers, ascending) that are all those of the other cohort, or that this one has not."""
    size = (len(persons), int(persons[-1]))
    if size == COHORT_SIZES[_OTHER[cohort]] and not is_told:
        raise _other_cohort(extract, cohort, f"it has the {size[0]:,} respondents of that cohort")
    highest = COHORT_SIZES[cohort][1]
    if above := int((persons > highest).sum()):
        raise InputError(
            f"{extract.path}, column {extract.columns[extract.respondent]}: {above:,} of {size[0]:,} respondents have "
            f"a number above {highest:,}, the highest of the {cohort.upper()}. Check that the column is its "
            f"{_QUESTIONS[cohort]} and the file as it was downloaded."
        )


def _evidence(extract: Extract, cohort: str, variables: Iterable[Variable]) -> tuple[str, str]:
    """Return the cohort that an extract is of, and why; empty where nothing tells.

    The evidence, strongest first: the question name of R0000100 (CASEID or PUBID), a tagset of the same name,
    reference numbers that only the other cohort's list of variables has.
    """
    entry = extract.codebook.get(RESPONDENT)
    # A codebook of another name may be of another file; it must describe every column to count.
    theirs = extract.described_by_own or extract.references.keys() <= extract.codebook.keys()
    is_numbered = extract.references.get(RESPONDENT) == extract.respondent
    for question, found in RESPONDENT_QUESTIONS.items():
        if not is_numbered and extract.questions[extract.respondent][0] == question:
            return found, f"its column of respondents is {question}"
        if entry and theirs and comparable(entry.question) == question:
            return found, f"{extract.codebooks[0].path.name} calls {RESPONDENT} {question}"
    if extract.tagset:
        return extract.tagset, "the tagset of the same name ends so"
    other = _OTHER[cohort]
    own = {variable.name for variable in (*variables_of(cohort), *variables)}
    only_theirs = {variable.name for variable in variables_of(other)} - own - {RESPONDENT}
    only_theirs &= extract.references.keys()
    if len(only_theirs) > 1 and not (own - {RESPONDENT}) & extract.references.keys():
        return other, f"it has {len(only_theirs)} variables of that cohort and none of this"
    return "", ""


def _other_cohort(extract: Extract, cohort: str, reason: str) -> InputError:
    return InputError(
        f"{extract.path}: an extract of the {_OTHER[cohort].upper()}, not of the {cohort.upper()} ({reason}). Give "
        f"{cohort.upper()} files, or convert it as {_OTHER[cohort]}; keep the cohorts in folders of their own."
    )


def _release_column(extract: Extract) -> dict[int, str]:
    """Return the column that tells an extract's release: its question name, which may be unknown, by position."""
    for position, (question, _) in extract.questions.items():
        if is_release(question):
            return {position: question}
    if _RELEASE_NUMBER in extract.references:
        return {extract.references[_RELEASE_NUMBER]: ""}
    return {}


def _check_releases(releases: Sequence[tuple[Path, str, set[int]]]) -> None:
    """Refuse two extracts with different question names (VERSION_R26) or codes of the column that tells the release."""
    for (path, question, codes), (other, other_question, other_codes) in itertools.combinations(releases, 2):
        questions = {question, other_question} - {""}
        if len(questions) > 1 or (codes and other_codes and codes != other_codes):
            named = f" ({' and '.join(sorted(questions))})" if len(questions) > 1 else ""
            raise InputError(
                f"{path} and {other} are two extracts of different releases{named}. Download both anew "
                "from one release, or give only one of them."
            )


def _check_interviewed(
    joined: JoinedColumns, variables: Iterable[Variable], mapped: Mapping[Key, MappedColumn]
) -> None:
    """Refuse variables of one survey year that disagree on who was interviewed.

    More than one in a hundred of the respondents that two variables of a year both have were not interviewed by one
    of them alone; named are the two that disagree most.
    """
    years: dict[int, dict[Key, Variable]] = {}
    for variable in variables:
        single = not variable.of_no_year and variable.concept not in _NOT_OF_A_ROUND
        if single and variable.key in joined.columns:
            years.setdefault(variable.year, {})[variable.key] = variable
    for year, asked in years.items():
        keys, codes = list(asked), np.stack([joined.columns[key] for key in asked])
        known, absent = (codes != NO_VALUE).astype(float), (codes == NON_INTERVIEW).astype(float)
        both, by_one = known @ known.T, absent @ (known - absent).T  # respondents of each pair of variables
        differing = by_one + by_one.T
        pairs = np.argwhere(np.triu(differing > _TOLERATED * both))
        if len(pairs):
            sizes = (
                (int(differing[*pair]), int(both[*pair]), [keys[place] for place in pair]) for pair in pairs
            )
            _, few, size, named = max((few / size, few, size, named) for few, size, named in sizes)
            names = " and ".join(_named(asked[key], joined, mapped) for key in named)
            rows = [mapped[key] for key in named if key in mapped]
            mend = f"Mend the years in {rows[0].source}" if rows else "Check the names of the columns"
            raise InputError(
                f"{year}: {names} disagree on who was interviewed (code {NON_INTERVIEW}) for {few:,} of the {size:,} "
                f"respondents that both have, so one of them is of another year. {mend}, or download the files anew, "
                "with codes as the NLS Investigator gives them."
            )


def _named(variable: Variable, joined: JoinedColumns, mapped: Mapping[Key, MappedColumn]) -> str:
    row = mapped.get(variable.key)
    by = f", column {row.column!r} by row {row.row} of {row.source}" if row else ""
    return f"{variable} in {joined.found[variable.key]}{by}"


def _nothing_found(raw: Path, cohort: str, reasons: dict[Path, str], variables: Sequence[Variable]) -> str:
    """Say that no file held a wanted variable, what was there, and what to download."""
    listed = some([f"{path} ({reason})" for path, reason in reasons.items()], 10, separator="; ")
    there = f"found {listed or 'no .csv, .dat or .dct'}"
    examples = ", ".join(str(variable) for variable in variables[:3])
    return (
        f"{raw}: none of the {len(variables):,} wanted variables of the {cohort.upper()}, "
        f"such as {examples}; {there}. "
        f"Download them from {INVESTIGATOR} with the tagset that `labor-llm variables {cohort}` writes, each file with "
        "its codebook (.sdf or .cdb) beside it, without which variables of unknown number cannot be found."
    )
