"""The values of an NLS extract: only the wanted columns of a file of any width, read as a stream.

The file of a full cohort has 178,014 columns and six gigabytes; a block of it is parsed, the wanted cells are
taken as text and then become integers, so that cells that are none can be counted. No message holds a cell's content
or the number of its row: in the file of a full cohort, row 602 is respondent 601.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from labor_llm.errors import InputError
from labor_llm.surveys.nls.codebooks import RESPONDENT
from labor_llm.surveys.nls.columns import Extract

# What stands for an empty cell in the integer arrays; no code of the NLS comes near it.
EMPTY = np.iinfo(np.int32).min
_EMPTY_CELLS = ["", "NA", "."]
_WHOLE_NUMBER = r"^\s*[+-]?\d+(\.0*)?([eE]\+?\d+)?\s*$"
# A block must hold a row. Few codes have more than 11 digits, so that 48 bytes a column are several rows.
_BYTES_PER_COLUMN = 48
_SMALLEST_BLOCK = 1 << 22
# A block of a very wide file has few rows; text of many columns and few rows takes far more than its bytes.
_ROWS_AT_ONCE = 500


@dataclass(frozen=True)
class ExtractValues:
    """Values of the wanted columns.

    Attributes:
        persons: number of the respondent in each row (int64), ascending.
        columns: by position in the file, the codes (int32, `EMPTY` for an empty cell), in the order of `persons`.
    """

    persons: np.ndarray
    columns: dict[int, np.ndarray]


def read_values(extract: Extract, positions: Collection[int]) -> ExtractValues:
    """Return the values of some columns of an extract, by respondent.

    Raises:
        InputError: if a row has too few or too many cells, a cell holds text, a respondent is missing or stands
            twice, there are no rows, or fewer than the extract's own codebook counts.
    """
    wanted = sorted({extract.respondent, *positions})
    parts: list[list[np.ndarray]] = []
    labels = dict.fromkeys(wanted, 0)
    for table in _text_columns(extract, wanted):
        parts.append([])
        for position in wanted:
            integers, wrong = _integers(table[str(position)])
            parts[-1].append(integers)
            labels[position] += wrong
    if not parts:
        raise InputError(f"{extract.path}: no rows of data; download it again.")
    _refuse_labels(extract, labels)
    integers = {position: np.concatenate([part[k] for part in parts]) for k, position in enumerate(wanted)}
    persons = _persons(integers[extract.respondent], extract)
    counted = extract.codebook[RESPONDENT].respondents if RESPONDENT in extract.codebook else 0
    if extract.own_codebooks and len(persons) < counted:
        raise InputError(
            f"{extract.path}: {len(persons):,} rows, but the codebook of the same name counts {counted:,} respondents; "
            "the file is cut off, download it again (or, if you made it of some respondents, take the .cdb away)."
        )
    order = np.argsort(persons, kind="stable")
    return ExtractValues(persons[order], {position: integers[position][order] for position in positions})


def _text_columns(extract: Extract, wanted: list[int]) -> Iterator[pa.Table]:
    """Yield some columns as text, many rows at a time, under their positions as names; empty cells are null."""
    invalid: list[pa.csv.InvalidRow] = []

    def remember(row: pa.csv.InvalidRow) -> str:
        invalid.append(row)
        return "error"

    names = [str(position) for position in wanted]
    with extract.data.open() as stream:
        for _ in range(extract.header_rows):
            stream.readline()
        try:
            batches = pa.csv.open_csv(
                stream,
                read_options=pa.csv.ReadOptions(
                    use_threads=False,
                    block_size=max(_SMALLEST_BLOCK, _BYTES_PER_COLUMN * len(extract.columns)),
                    column_names=[str(position) for position in range(len(extract.columns))],
                ),
                parse_options=pa.csv.ParseOptions(
                    delimiter=extract.delimiter,
                    quote_char='"' if extract.delimiter == "," else False,
                    invalid_row_handler=remember,
                ),
                convert_options=pa.csv.ConvertOptions(
                    include_columns=names,
                    column_types=dict.fromkeys(names, pa.string()),
                    null_values=_EMPTY_CELLS,
                    strings_can_be_null=True,
                    check_utf8=False,
                ),
            )
            held: list[pa.RecordBatch] = []
            for batch in batches:
                held.append(batch)
                if sum(map(len, held)) >= _ROWS_AT_ONCE:
                    yield pa.Table.from_batches(held)
                    held = []
            if held:
                yield pa.Table.from_batches(held)
        except pa.ArrowInvalid as error:
            # The library's own message quotes the row.
            if invalid:
                raise InputError(_ragged(extract, invalid[0])) from None
            if "empty" in str(error).lower():
                raise InputError(f"{extract.path}: no rows of data; download it again.") from None
            raise InputError(f"{extract.path}: not a regular table of codes; download it again.") from None


def _ragged(extract: Extract, row: pa.csv.InvalidRow) -> str:
    """Say that a row does not have the cells that the header or the layout names."""
    cells = f"{row.actual_columns:,} cells, but "
    if extract.delimiter == "," or (row.number or 0) > 1:
        return (
            f"{extract.path}: a row has {cells}the file has {row.expected_columns:,} columns; it is cut off or was "
            "changed, download it again."
        )
    layout = extract.layout.path if extract.layout else "its dictionary"
    return (
        f"{extract.path}: a row has {cells}{layout} names {row.expected_columns:,} columns; the two are not of the "
        "same extract. Download them together, or give the .csv, which names its columns itself."
    )


def _integers(text: pa.ChunkedArray) -> tuple[np.ndarray, int]:
    """Return a column as int32, `EMPTY` where a cell is empty, and the number of cells that are no whole numbers.

    12.0 and 1e3, as other programs write, are whole. Where there is a cell that is not, the array is all `EMPTY`.
    """
    try:
        return pc.cast(text, pa.int32()).fill_null(EMPTY).to_numpy(), 0
    except pa.ArrowInvalid:
        whole = pc.fill_null(pc.match_substring_regex(text, _WHOLE_NUMBER), True).to_numpy()
    if whole.all():
        numbers = pc.cast(pc.ascii_trim_whitespace(text), pa.float64()).fill_null(EMPTY).to_numpy()
        whole = (numbers >= EMPTY) & (numbers < -float(EMPTY))
        if whole.all():
            return numbers.astype(np.int32), 0
    return np.full(len(text), EMPTY, dtype=np.int32), int((~whole).sum())


def _refuse_labels(extract: Extract, labels: dict[int, int]) -> None:
    """Refuse columns with cells that are no whole numbers, given their number by position; the first one is named."""
    for position, wrong in labels.items():
        if wrong:
            raise InputError(
                f"{extract.path}, column {extract.columns[position]}: cells that are no whole numbers: {wrong:,}. Give "
                "the codes, not their labels: the .csv or .dat as the NLS Investigator made it, before a program put "
                "labels in place of codes."
            )


def _persons(numbers: np.ndarray, extract: Extract) -> np.ndarray:
    """Return the respondents' numbers, each of which must be there once."""
    where = f"column {extract.columns[extract.respondent]}"
    if missing := int((numbers <= 0).sum()):
        raise InputError(
            f"{extract.path}, {where}: rows without a respondent's number: {missing:,}; download it again."
        )
    if again := len(numbers) - len(np.unique(numbers)):
        raise InputError(
            f"{extract.path}, {where}: rows of a respondent who stands in the file before: {again:,}; "
            "it needs one row a respondent (years side by side, not below each other)."
        )
    return numbers.astype(np.int64)
