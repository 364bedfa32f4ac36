"""The career panel: one row per worker and survey year, and the transitions and splits made from it.

Every survey reader ends in a `CareerPanel` and every model starts from one. The documented form, also for a user's
own careers, is a CSV with a header and the columns of `COLUMNS`, sorted by worker and year. All cells are read as text
first, so that a code such as 0050 keeps its zeros and an empty cell is seen as empty; what does not fit is named by
row and column.

A transition is a record to be predicted from all records before it, whatever the gap in years between them (biennial
waves leave gaps); a worker's first record is a transition too, predicted from the covariates alone, as in CAREER
(Vafa et al. 2024).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from labor_llm.careers.occupations import OutcomeSpace, check_distinct, read_titles, title_problem
from labor_llm.careers.settings import STATIC
from labor_llm.careers.tables import WHOLE_FLOAT, read_table, read_text_csv
from labor_llm.errors import ArtefactError, InputError
from labor_llm.plain_text import comparable
from labor_llm.store.artefacts import verify, writing

COLUMNS = ("worker_id", "year", "occupation", "education", *STATIC)
# May stand beside them: whose members depend on each other, such as a family that a survey follows.
HOUSEHOLD = "household_id"
FIRST_YEAR, LAST_YEAR = 1900, 2100
SPLITS = ("train", "validation", "test")
_SHARES = (0.7, 0.1, 0.2)
# As R, pandas and others write what is missing.
_MISSING = ["NA", "N/A", "#N/A", "NaN", "nan", "<NA>", "None", "NULL", "null", "."]
_HOUSEHOLDS_FILE = "households.csv"
TRANSITION_TYPES = ("first", "moving", "staying")
# A column, in which rows the rule holds, and what is said of a cell where it does not.
Rule = tuple[str, pd.Series, str]


@dataclass(frozen=True)
class CareerPanel:
    """Career histories of many workers.

    Attributes:
        frame: columns `dataset`, `worker_id` (text), `year` (int64), `occupation` (code, text), `education`, `gender`,
            `ethnicity`, `region` (text), `birth_year` (Int64, may be missing); sorted by worker and year, one row a
            worker-year.
        outcomes: the occupations that a record can have.
        survey: the survey's name as the resume states it ("A worker from the NLSY79 dataset").
        households: the household or family of each worker, at least, where the data tell; it is no covariate.
    """

    frame: pd.DataFrame
    outcomes: OutcomeSpace
    survey: str
    households: Mapping[str, str] | None = None

    @property
    def dataset(self) -> str:
        """The short name of the data set, the same in every row."""
        return str(self.frame["dataset"].iloc[0])

    @property
    def workers(self) -> list[str]:
        """The worker ids in the order of the panel."""
        return list(self.frame["worker_id"].unique())

    def restrict(self, workers: Collection[str]) -> CareerPanel:
        """Return the panel of some of the workers, in the same order."""
        kept = self.frame[self.frame["worker_id"].isin(set(workers))].reset_index(drop=True)
        return CareerPanel(kept, self.outcomes, self.survey, self.households)

    def split(self, splits: Mapping[str, str], name: str) -> CareerPanel:
        """Return the panel of the workers of one split ('train', 'validation' or 'test')."""
        return self.restrict([worker for worker, split in splits.items() if split == name])

    def checksum(self) -> str:
        """Return a sha256 of the survey's name, the occupations' codes and the records, in their order."""
        digest = hashlib.sha256(f"{self.survey} {'|'.join(self.outcomes.codes)}".encode())
        digest.update(pd.util.hash_pandas_object(self.frame, index=False).to_numpy().tobytes())
        return digest.hexdigest()


def career_panel(
    frame: pd.DataFrame,
    outcomes: OutcomeSpace,
    dataset: str,
    survey: str | None = None,
    source: str = "panel",
) -> CareerPanel:
    """Validate career records and return them as a panel.

    Args:
        frame: at least `COLUMNS`; years may be text. With `HOUSEHOLD`, one value a worker, the panel has households.
        outcomes: the occupations that are allowed.
        dataset: short name of the data set, used in file names and tables.
        survey: name used in the resume's first line; the data set's name if not given.
        source: the file that the error messages name; row numbers count the header line as row 1.

    Raises:
        InputError: with the first offending row and column: a missing column or value, a duplicated worker-year, an
            unknown occupation, rows out of order, a static covariate that changes, a year that is no year or before
            the worker's birth, text that does not fit one line.
    """
    if missing := [column for column in COLUMNS if column not in frame.columns]:
        raise InputError(
            f"{source}: column {missing[0]!r} is missing; a career panel has the columns {', '.join(COLUMNS)}."
        )
    if frame.empty:
        raise InputError(f"{source}: no records. A career panel has one row per worker and survey year.")
    text = frame[list(COLUMNS)].astype(object).reset_index(drop=True)
    text = text.where(text.notna(), "").astype(str)
    for column in ("year", "birth_year"):  # as programs write the numbers of a column with gaps
        whole = {value: WHOLE_FLOAT.sub(r"\1", value) for value in text[column].unique()}
        text[column] = text[column].map(whole)
    text["birth_year"] = text["birth_year"].replace(_MISSING, "")
    _check(text, _cell_rules(text, outcomes.codes), source)
    typed = text.astype({"year": "int64"})
    typed["birth_year"] = pd.to_numeric(text["birth_year"].replace("", None)).astype("Int64")
    _check(typed, _career_rules(typed), source)
    _check_names(typed, source)
    households = _households(typed["worker_id"], frame, source) if HOUSEHOLD in frame else None
    typed.insert(0, "dataset", dataset)
    return CareerPanel(typed, outcomes, survey or dataset, households)


def _households(workers: pd.Series, frame: pd.DataFrame, source: str) -> dict[str, str]:
    """Return each worker's household, which must be known and the same in all records."""
    values = frame[HOUSEHOLD].astype(object).reset_index(drop=True)
    text = values.where(values.notna(), "").astype(str).map(lambda value: WHOLE_FLOAT.sub(r"\1", value))
    table = pd.DataFrame({HOUSEHOLD: text})
    empty = "is empty; give each worker one, the worker's own id if there is no other"
    varies = "differs from the worker's first record; it is one value a worker"
    first = text.groupby(workers).transform("first")
    filled = (text.str.strip() != "") & ~text.isin(_MISSING)
    _check(table, [(HOUSEHOLD, filled, empty), (HOUSEHOLD, text == first, varies)], source)
    return dict(zip(workers, text, strict=True))


def _cell_rules(text: pd.DataFrame, occupations: Collection[str]) -> Iterator[Rule]:
    """Yield the rules that each cell obeys on its own, on text."""
    filled = "is empty; fill it in ('unknown' if it is not known)"
    one_line = (
        "does not fit one line of plain text; remove line ends, outer blanks, control characters, < and >, write it in "
        "Unicode's form NFC and in 200 characters at most"
    )
    missing = "stands for a missing value in other programs; write 'unknown'"
    for column in ("worker_id", "education", "gender", "ethnicity", "region"):
        yield column, text[column].str.strip() != "", filled
        unfit = [value for value in text[column].unique() if title_problem(value)]
        yield column, ~text[column].isin(unfit), one_line
        yield column, ~text[column].isin(_MISSING), missing
    years = text["year"].where(text["year"].str.fullmatch("[0-9]{4}"), "0").astype(int)
    no_year = f"is not a calendar year between {FIRST_YEAR} and {LAST_YEAR}; write it with four digits"
    yield "year", years.between(FIRST_YEAR, LAST_YEAR), no_year
    no_birth = "is not a calendar year; write four digits, or leave the cell empty if it is not known"
    yield "birth_year", text["birth_year"].str.fullmatch("([0-9]{4})?"), no_birth
    yield "occupation", text["occupation"].str.strip() != "", filled
    unlisted = "is not in the file of titles; add the occupation there, or correct or drop the record"
    yield "occupation", text["occupation"].isin(occupations), unlisted


def _career_rules(frame: pd.DataFrame) -> Iterator[Rule]:
    """Yield the rules that hold between the rows of a worker, on typed columns."""
    worker, year = frame["worker_id"], frame["year"]
    continues, sort = worker == worker.shift(), "sort the file by worker_id and year"
    repeats = frame.duplicated(["worker_id", "year"])
    yield "year", ~repeats, "repeats a worker-year; keep one record per worker and year"
    yield "year", ~continues | (year >= year.shift()), f"is before the row above; {sort}"
    yield "worker_id", continues | ~worker.duplicated(), f"returns after other workers; {sort}"
    born_before = (year > frame["birth_year"]).fillna(True).astype(bool)
    yield "birth_year", born_before, "is not before the year of the record; correct one of them"
    for column in STATIC:
        # An unknown year of birth is a value like any other here: all of a worker's records lack it.
        values = frame[column].astype(object).where(frame[column].notna(), "").astype(str)
        same = values == values.groupby(worker).transform("first")
        yield column, same, "differs from the worker's first record; it is one value a worker"


def _check_names(frame: pd.DataFrame, source: str) -> None:
    """Refuse names of one person, or of one group, in two spellings: a person could be trained on and tested."""
    rule = "They look the same: give a person one id, and a group one name, in all records."
    for column in ("worker_id", "education", "gender", "ethnicity", "region"):
        first = frame[column].drop_duplicates()
        values = dict(zip(first.index + 2, first, strict=True))
        # 7.0 is 7 of another program.
        check_distinct(source, column, values, rule, lambda value: comparable(WHOLE_FLOAT.sub(r"\1", value)))


def _check(frame: pd.DataFrame, rules: Iterable[Rule], source: str) -> None:
    """Word the failure that stands first in the file."""
    failures = [(np.flatnonzero(~holds), column, error) for column, holds, error in rules if not holds.all()]
    if failures:
        rows, column, error = min(failures, key=lambda failure: failure[0][0])
        others = f" ({len(rows):,} rows are affected)" if len(rows) > 1 else ""
        cell = str(frame.at[rows[0], column])[:80]
        raise InputError(f"{source}, row {rows[0] + 2}, column {column}: {cell!r} {error}{others}.")


def read_careers(panel: Path, titles: Path, dataset: str, survey: str | None = None) -> CareerPanel:
    """Read a career panel from the user's own CSV (or parquet) and the CSV of its occupation titles.

    Raises:
        InputError: as `career_panel` and `read_titles`, naming file, row and column.
    """
    outcomes = read_titles(titles)
    return career_panel(read_table(panel, COLUMNS, [HOUSEHOLD]), outcomes, dataset, survey, source=str(panel))


def split_workers(panel: CareerPanel, seed: int, whole_households: bool = False) -> dict[str, str]:
    """Assign every worker, with all records, to a split at random (paper: 70, 10 and 20 percent).

    The assignment depends on the seed and the set of worker ids (and their households) alone, not on the order of the
    rows.

    Args:
        panel: the careers.
        seed: of the draw.
        whole_households: whether members of a household go to one split, that of the place of its first worker.

    Raises:
        InputError: if a split would be empty, or whole households are asked for and the data do not tell them.
    """
    workers = sorted(panel.workers)
    if whole_households:
        if panel.households is None:
            raise InputError(
                f"{panel.dataset}: its careers do not tell households, so they cannot be kept whole. Add the column "
                f"{HOUSEHOLD} (of the NLS: the household's variable to the extract), or split by worker."
            )
        # Households in random order, their members together: the shares are of workers all the same.
        number = pd.factorize(pd.Series([panel.households[worker] for worker in workers]), sort=True)[0]
        rank = np.random.default_rng(seed).permutation(number.max() + 1)
        order = np.argsort(rank[number], kind="stable")
    else:
        order = np.random.default_rng(seed).permutation(len(workers))
    bounds = np.rint(np.cumsum(_SHARES) * len(workers)).astype(int)
    counts = np.diff(bounds, prepend=0)
    if (counts < 1).any():
        raise InputError(
            f"{panel.dataset}: {len(workers)} workers cannot be split into train, validation and test "
            f"({', '.join(map(str, counts))}). Give at least ten workers."
        )
    positions = np.searchsorted(bounds, np.arange(len(workers)), side="right")
    if whole_households:
        ordered = number[order]
        first = np.flatnonzero(np.diff(ordered, prepend=-1))
        positions = np.repeat(positions[first], np.diff(first, append=len(ordered)))
    return {workers[worker]: SPLITS[position] for worker, position in zip(order, positions, strict=True)}


def transitions(panel: CareerPanel) -> pd.DataFrame:
    """Return one row per record with what was known before it.

    Returns:
        In panel order: `dataset`, `worker_id`, `year`, `occupation`, `previous` and `before_previous` (codes, None
        where there is none), `previous_year` (Int64), `transition_type` ('first' record of the worker, 'moving' to
        another occupation than in the previous record, or 'staying'), `education`, `gender`, `ethnicity`, `region`,
        `birth_year`, `records_before` and `years_before` (since the worker's first record).
    """
    by_worker = panel.frame.groupby("worker_id", sort=False)
    table = panel.frame[["dataset", "worker_id", "year", "occupation"]].copy()
    for column, shift in (("previous", 1), ("before_previous", 2)):
        shifted = by_worker["occupation"].shift(shift).astype(object)
        table[column] = shifted.where(shifted.notna(), None)
    table["previous_year"] = by_worker["year"].shift(1).astype("Int64")
    stays = table["occupation"] == table["previous"]
    first = table["previous_year"].isna()
    table["transition_type"] = np.select([first, stays], ["first", "staying"], default="moving")
    table[["education", *STATIC]] = panel.frame[["education", *STATIC]]
    table["records_before"] = by_worker.cumcount()
    table["years_before"] = table["year"] - by_worker["year"].transform("first")
    return table


def write_panel(
    folder: Path,
    panel: CareerPanel,
    splits: Mapping[str, str],
    parameters: Mapping[str, Any] | None = None,
    inputs: Mapping[str, Path] | None = None,
    texts: Mapping[str, str] | None = None,
) -> None:
    """Store a panel, its outcome space and its splits as an artefact, with further text files by name."""
    described = {**(parameters or {}), "dataset": panel.dataset, "survey": panel.survey}
    with writing(folder, described, inputs) as aside:
        panel.frame.to_parquet(aside / "panel.parquet", index=False)
        panel.outcomes.frame().to_csv(aside / "titles.csv", index=False)
        assigned = pd.DataFrame(sorted(splits.items()), columns=["worker_id", "split"])
        assigned.to_csv(aside / "splits.csv", index=False)
        if panel.households is not None:
            rows = [(worker, panel.households[worker]) for worker in panel.workers]
            pd.DataFrame(rows, columns=["worker_id", HOUSEHOLD]).to_csv(aside / _HOUSEHOLDS_FILE, index=False)
        for name, text in (texts or {}).items():
            (aside / name).write_text(text, encoding="utf-8")


def read_panel(folder: Path) -> tuple[CareerPanel, dict[str, str]]:
    """Return a stored panel and the split of each of its workers, checksums verified.

    Raises:
        ArtefactError: if the artefact is missing or was changed.
    """
    survey = verify(folder)["parameters"]["survey"]
    frame = pd.read_parquet(folder / "panel.parquet")
    splits = read_text_csv(folder / "splits.csv", ["worker_id", "split"])
    assigned = dict(zip(splits["worker_id"], splits["split"], strict=True))
    if set(assigned) != set(frame["worker_id"]):
        raise ArtefactError(
            f"{folder}: splits.csv and panel.parquet name different workers. Make the panel again."
        )
    households = None
    if (folder / _HOUSEHOLDS_FILE).is_file():
        of_worker = read_text_csv(folder / _HOUSEHOLDS_FILE, ["worker_id", HOUSEHOLD])
        households = dict(zip(of_worker["worker_id"], of_worker[HOUSEHOLD], strict=True))
    return CareerPanel(frame, read_titles(folder / "titles.csv"), survey, households), assigned
