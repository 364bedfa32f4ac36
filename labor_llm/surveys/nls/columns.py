"""NLS extracts: the files that belong together, and which column holds which variable.

The Investigator gives an extract as files of one name and many endings: the data (.csv, .dat, .dct), what the
columns are (.sdf, .cdb) and the list of them (.NLSY79, .NLSY97). A column is known by its reference number, by its
name where it was renamed to question and year, by a column map, or by what the codebooks beside the data say of it.
All of this is known before any value is read.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from labor_llm.errors import InputError
from labor_llm.surveys.nls.codebooks import (
    CODEBOOKS,
    RESPONDENT,
    RESPONDENT_QUESTIONS,
    TAGSETS,
    Entry,
    MappedColumn,
    comparable,
    parse_dct,
    question_and_year,
    reference_number,
    text_lines,
)
from labor_llm.surveys.sources import SourceFile, files_below, some, text_header
from labor_llm.surveys.variables import CROSS_ROUND, Variable

# The files that can hold data, the one to be preferred first.
DATA = (".csv", ".dat", ".dct")
# `read_codebook`, or one that remembers what it has read.
CodebookReader = Callable[[SourceFile], dict[str, Entry]]
# Year and position of columns by their comparable question.
Places = dict[str, list[tuple[int | None, int]]]


class NotAnExtractError(Exception):
    """A file is no NLS extract; the text says why. Never leaves the reader."""


@dataclass
class FileGroup:
    """Files of one name in one folder: an extract of the Investigator, or anything else.

    Attributes:
        files: by ending, such as `.csv`.
        neighbours: the codebooks (.sdf, .cdb) of other names in the same folder.
    """

    files: dict[str, SourceFile] = field(default_factory=dict)
    neighbours: list[SourceFile] = field(default_factory=list)

    def beside(self, *endings: str) -> list[SourceFile]:
        """Return the files with these endings, in the order of the endings."""
        return [self.files[ending] for ending in endings if ending in self.files]


def file_groups(raw: Path) -> list[FileGroup]:
    """Return the files below `raw` (a folder, a zip or a data file), grouped by folder and name, in order.

    Of a single data file, the codebooks in its folder belong to it too.

    Raises:
        InputError: if there is no such file or folder, it holds no file or one that cannot be read, or a zip is
            damaged.
    """
    raw = Path(raw)
    groups: dict[tuple[Path, str], FileGroup] = {}
    for file in files_below(raw):
        stem, ending = file.stem, file.ending
        describes = ending in CODEBOOKS or (stem == raw.stem and ending in (".dct", *TAGSETS))
        if raw.is_file() and file.on_disk != raw and not describes:
            continue
        group = groups.setdefault((file.path.parent, stem), FileGroup())
        if ending in group.files:
            raise InputError(
                f"{group.files[ending].path} and {file.path} are one file twice; take one of them away."
            )
        group.files[ending] = file
    if not groups:
        raise InputError(
            f"{raw}: no file in it. Put the extract of the NLS Investigator there (.csv or .zip)."
        )
    for place, group in groups.items():
        others = [other for key, other in groups.items() if key[0] == place[0] and key != place]
        group.neighbours = [book for other in others for book in other.beside(*CODEBOOKS)]
    return list(groups.values())


@dataclass
class Extract:
    """One extract: where its data are and what its columns are.

    Attributes:
        data: the file that holds the values.
        columns: names of the columns in order: the header of a .csv, the reference numbers of a layout otherwise.
        header_rows: rows of the file above the data.
        delimiter: what stands between the cells.
        layout: the file that gave the columns of a .dat; None for a .csv and a .dct.
        respondent: position of the respondent's number.
        references: position of a column by reference number, of those that no column map names.
        questions: comparable question and year by position, from a column map or the names of the columns (the year
            is None where a name states none), of numbered columns from the codebooks.
        mapped: the row of the column map by position.
        codebook: what codebooks say, by reference number; `codebooks` are those that say it, and `described_by_own`
            tells whether they have the extract's own name.
        tagset: the cohort that the ending of a tagset of the same name states; empty without one.
    """

    data: SourceFile
    columns: list[str]
    header_rows: int
    delimiter: str = " "
    layout: SourceFile | None = None
    respondent: int = -1
    references: dict[str, int] = field(default_factory=dict)
    questions: dict[int, tuple[str, int | None]] = field(default_factory=dict)
    mapped: dict[int, MappedColumn] = field(default_factory=dict)
    codebook: dict[str, Entry] = field(default_factory=dict)
    described_by_own: bool = False
    codebooks: list[SourceFile] = field(default_factory=list)
    tagset: str = ""

    @property
    def path(self) -> Path:
        """The file that messages name."""
        return self.data.path

    def unnamed(self) -> list[str]:
        """Return the columns of which nothing tells the question: neither number, name, column map nor codebook."""
        return [
            name
            for position, name in enumerate(self.columns)
            if position != self.respondent and self.questions.get(position, ("", 0))[1] is None
        ]

    def nothing_wanted(self) -> str:
        """Say why no wanted variable was found in it, and what may be missing beside it."""
        if unnamed := self.unnamed():
            return f"no wanted variable under its name; say in a column map what columns such as {unnamed[0]!r} are"
        nothing = "none of the wanted variables"
        beside = " by number; no .sdf or .cdb beside it says what its other columns are"
        return nothing if self.codebook else nothing + beside


def open_extract(
    group: FileGroup, source: SourceFile, column_map: Iterable[MappedColumn], books: CodebookReader
) -> Extract:
    """Return the extract whose values a data file, one of a group, holds, with what is known of its columns.

    Raises:
        NotAnExtractError: if the file is none.
        InputError: if two of its columns are the same, or the column map names a column that it has not, or one
            column twice.
    """
    extract = _opened(group, source, books)
    for position, name in enumerate(extract.columns):
        number = reference_number(name)
        if number in extract.references:
            raise InputError(
                f"{source.path}, column {position + 1}: {number} stands in two columns; download the extract anew."
            )
        if number:
            extract.references[number] = position
        else:
            extract.questions[position] = question_and_year(name)
    _apply(column_map, extract)
    extract.respondent = _respondent(extract)
    _add_codebooks(extract, group, books)
    extract.tagset = next((TAGSETS[ending] for ending in group.files if ending in TAGSETS), "")
    return extract


def _opened(group: FileGroup, source: SourceFile, books: CodebookReader) -> Extract:
    """Return an extract with the names of its columns, which a .dat has beside it and the others have within."""
    if source.ending == ".dat":
        for layout in group.beside(".dct", *TAGSETS, *CODEBOOKS):
            if columns := list(books(layout)):
                return Extract(source, columns, 0, layout=layout)
        raise NotAnExtractError("no .sdf, .cdb, .dct or tagset of the same name says what its columns are")
    if source.ending == ".dct":
        with source.open() as stream:
            columns, rows, has_data = parse_dct(text_lines(stream))
        if columns and has_data:
            return Extract(source, columns, rows)
        raise NotAnExtractError("a dictionary without data")
    try:
        names, delimiter, lines = text_header(source, _is_name)
    except csv.Error:  # of a field over 131,072 characters, of no text at all
        raise NotAnExtractError("its first line is no header of columns") from None
    if not names:
        raise NotAnExtractError("no header")
    return Extract(source, names, lines, delimiter)


def _is_name(cell: str) -> bool:
    return bool(reference_number(cell)) or question_and_year(cell)[0] in RESPONDENT_QUESTIONS


def _apply(column_map: Iterable[MappedColumn], extract: Extract) -> None:
    """Enter what the user's column map says of this file's columns; it goes before all else."""
    positions = {name: position for position, name in reversed(list(enumerate(extract.columns)))}
    for row in column_map:
        if not row.names(extract.path):
            continue
        if row.column not in positions:
            raise InputError(
                f"{extract.path}: no column {row.column!r}, which row {row.row} of the column map names; mend the "
                "map. The names of the columns are the first row of the file."
            )
        position = positions[row.column]
        if position in extract.mapped:
            raise InputError(
                f"{row.source}, row {row.row}: column {row.column!r} of {extract.path} stands in row "
                f"{extract.mapped[position].row} too; a column is one question of one year, so leave one row."
            )
        extract.mapped[position] = row
        extract.questions[position] = (comparable(row.question), row.year)
    numbers = extract.references.items()
    extract.references = {name: position for name, position in numbers if position not in extract.mapped}


def _respondent(extract: Extract) -> int:
    """Return the position of the respondent's number."""
    named = [place for place, (question, _) in extract.questions.items() if question in RESPONDENT_QUESTIONS]
    mapped = [position for position in named if position in extract.mapped]
    numbered = [extract.references[RESPONDENT]] if RESPONDENT in extract.references else []
    if not (found := [*mapped, *numbered, *named]):
        raise NotAnExtractError(f"no column {RESPONDENT} (CASEID or PUBID)")
    return found[0]


def _add_codebooks(extract: Extract, group: FileGroup, books: CodebookReader) -> None:
    """Collect what describes the columns: the codebooks of the same name, else those beside it that fit best."""
    own = group.beside(*CODEBOOKS)
    extract.described_by_own = bool(own)
    known = {book: books(book) for book in own or group.neighbours}
    shared = {book: known[book].keys() & extract.references.keys() for book in known}
    for book in sorted(known, key=lambda book: -len(shared[book])):
        if len(shared[book]) > (0 if own else 1):
            entries = {number: known[book][number] for number in extract.references if number in shared[book]}
            extract.codebook = entries | extract.codebook
            extract.codebooks.append(book)
    for number, entry in extract.codebook.items():
        if entry.question:
            extract.questions[extract.references[number]] = (comparable(entry.question), entry.year)


def find_columns(extracts: Sequence[Extract], variables: Iterable[Variable]) -> list[dict[Variable, int]]:
    """Return, for each extract, the position of every wanted variable that it holds.

    A variable is found by question and year in the column map; by its reference number, unless the column map
    says otherwise of that column; by question and year in the names of columns; and, where no extract has its
    reference number or none is known, by question and year in the codebooks. Cross-round variables and weekly
    arrays are found by question alone.

    Raises:
        InputError: if two columns of a file answer to the same question and year.
    """
    everywhere = {number for extract in extracts for number in extract.references}
    found = []
    for extract in extracts:
        numbered = {*extract.references.values()}
        mapped, named, described = ({}, {}, {})
        for position, (question, year) in extract.questions.items():
            places = mapped if position in extract.mapped else described if position in numbered else named
            places.setdefault(question, []).append((year, position))
        positions = {}
        for variable in variables:
            position = _find(variable, mapped, extract)
            if position is None:
                position = extract.references.get(variable.name)
            if position is None:
                position = _find(variable, named, extract)
            if position is None and variable.name not in everywhere:
                position = _find(variable, described, extract)
            if position is not None:
                positions[variable] = position
        found.append(positions)
    return found


def _find(variable: Variable, by_question: Places, extract: Extract) -> int | None:
    """Return the position of the one column with a variable's question and year; None if there is none."""
    places = by_question.get(comparable(variable.question), []) if variable.question else []
    year = CROSS_ROUND if variable.of_no_year else variable.year
    of_year = [position for stated, position in places if stated == year]
    if variable.of_no_year and not of_year:
        of_year = [position for _, position in places]
    if len(of_year) > 1:
        names = [extract.columns[position] for position in of_year]
        raise InputError(
            f"{extract.path}: {variable} could be any of the columns {some(names)}; say in a column map which it is."
        )
    return of_year[0] if of_year else None
