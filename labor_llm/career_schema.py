"""What a career panel must look like, and the one message that says where a file does not.

The documented form, also for a user's own careers: a CSV with a header and the columns of `COLUMNS`,
one row per worker and survey year, sorted by worker and year. All cells are read as text first, so
that a code such as 0050 keeps its zeros and an empty cell is seen as empty.
"""

from __future__ import annotations

from collections.abc import Collection

import pandas as pd
import pandera.pandas as pa

from labor_llm.errors import InputError
from labor_llm.occupations import title_problem

STATIC = ("gender", "ethnicity", "region", "birth_year")
COLUMNS = ("worker_id", "year", "occupation", "education", *STATIC)
FIRST_YEAR, LAST_YEAR = 1900, 2100


def checked_careers(frame: pd.DataFrame, occupations: Collection[str], source: str) -> pd.DataFrame:
    """Return the records with typed columns after checking every rule of the panel.

    Args:
        frame: at least `COLUMNS`; further columns are left out.
        occupations: the codes that are allowed.
        source: the file named in messages; row numbers count the header line as row 1.

    Raises:
        InputError: naming the first offending row and column, how many rows are affected, the rule and the remedy.
    """
    missing = [column for column in COLUMNS if column not in frame.columns]
    if missing:
        raise InputError(
            f"{source}: column {missing[0]!r} is missing; a career panel has the columns {', '.join(COLUMNS)}."
        )
    if frame.empty:
        raise InputError(f"{source}: no records. A career panel has one row per worker and survey year.")
    text = frame[list(COLUMNS)].astype(object).reset_index(drop=True)
    text = text.where(text.notna(), "").astype(str)
    _validate(_cell_schema(occupations), text, source)
    typed = text.astype({"year": "int64"})
    typed["birth_year"] = pd.to_numeric(text["birth_year"].replace("", None)).astype("Int64")
    _validate(_career_schema(), typed, source)
    return typed


def _cell_schema(occupations: Collection[str]) -> pa.DataFrameSchema:
    """Return the rules that each cell obeys on its own, on text."""
    known = set(occupations)
    filled = pa.Check(
        lambda s: s.str.strip() != "", error="is empty; fill it in ('unknown' if it is not known)"
    )
    one_line = pa.Check(
        lambda s: s.map(lambda value: title_problem(value) is None),
        error="does not fit one line of plain text; remove line ends, outer blanks, control characters, < and >",
    )
    year = pa.Check(
        lambda s: (
            s.str.fullmatch(r"[0-9]{4}") & pd.to_numeric(s, errors="coerce").between(FIRST_YEAR, LAST_YEAR)
        ),
        error=f"is not a calendar year between {FIRST_YEAR} and {LAST_YEAR}; write it with four digits",
    )
    birth = pa.Check(
        lambda s: (s == "") | s.str.fullmatch(r"[0-9]{4}"),
        error="is not a calendar year; write four digits, or leave the cell empty if it is not known",
    )
    listed = pa.Check(
        lambda s: s.isin(known),
        error="is not in the file of titles; add the occupation there, or correct or drop the record",
    )
    covariates = ("education", "gender", "ethnicity", "region")
    columns = {name: pa.Column(str, [filled, one_line]) for name in ("worker_id", *covariates)}
    columns |= {"year": pa.Column(str, year), "birth_year": pa.Column(str, birth)}
    columns |= {"occupation": pa.Column(str, [filled, listed])}
    return pa.DataFrameSchema(columns)


def _career_schema() -> pa.DataFrameSchema:
    """Return the rules that hold between the rows of a worker, on typed columns."""

    def next_of_same(frame: pd.DataFrame) -> pd.Series:
        return frame["worker_id"].eq(frame["worker_id"].shift())

    def no_duplicate(frame: pd.DataFrame) -> pd.Series:
        return ~frame.duplicated(["worker_id", "year"], keep="first")

    def years_ascend(frame: pd.DataFrame) -> pd.Series:
        return ~next_of_same(frame) | (frame["year"] >= frame["year"].shift())

    def workers_together(frame: pd.DataFrame) -> pd.Series:
        return next_of_same(frame) | ~frame["worker_id"].duplicated()

    def born_before(frame: pd.DataFrame) -> pd.Series:
        return (frame["birth_year"].isna() | (frame["year"] > frame["birth_year"])).fillna(True).astype(bool)

    def constant(column: str) -> pa.Check:
        def same(frame: pd.DataFrame) -> pd.Series:
            # An unknown year of birth is a value like any other here: all of a worker's records lack it.
            values = frame[column].astype(object).where(frame[column].notna(), "").astype(str)
            return values == values.groupby(frame["worker_id"]).transform("first")

        return pa.Check(
            same, name=column, error="differs from the worker's first record; it is one value a worker"
        )

    return pa.DataFrameSchema(
        {},
        checks=[
            pa.Check(
                no_duplicate, name="year", error="repeats a worker-year; keep one record per worker and year"
            ),
            pa.Check(
                years_ascend,
                name="year",
                error="is before the row above; sort the file by worker_id and year",
            ),
            pa.Check(
                workers_together,
                name="worker_id",
                error="returns after other workers; sort the file by worker_id and year",
            ),
            pa.Check(
                born_before,
                name="birth_year",
                error="is not before the year of the record; correct one of them",
            ),
            *[constant(column) for column in STATIC],
        ],
    )


def _validate(schema: pa.DataFrameSchema, frame: pd.DataFrame, source: str) -> None:
    try:
        schema.validate(frame, lazy=True)
    except pa.errors.SchemaErrors as errors:
        raise InputError(_first_failure(errors, frame, source)) from None


def _first_failure(errors: pa.errors.SchemaErrors, frame: pd.DataFrame, source: str) -> str:
    """Word the failure that stands first in the file; pandera reports every failing rule with its cells."""
    rows = {
        number: error.failure_cases["index"].astype(int) for number, error in enumerate(errors.schema_errors)
    }
    number = min(rows, key=lambda number: rows[number].min())
    check, row = errors.schema_errors[number].check, int(rows[number].min())
    # A rule between rows carries the column in its name; a rule on cells is part of a column.
    column = check.name if check.name in frame.columns else errors.schema_errors[number].schema.name
    affected = rows[number].nunique()
    others = f" ({affected:,} rows are affected)" if affected > 1 else ""
    return f"{source}, row {row + 2}, column {column}: {str(frame.at[row, column])!r} {check.error}{others}."
