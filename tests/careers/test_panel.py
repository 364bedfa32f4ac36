"""The career panel: what it refuses, by row and column; transitions worked by hand; splits of whole workers."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings

from labor_llm.careers.occupations import OutcomeSpace
from labor_llm.careers.panel import (
    COLUMNS,
    SPLITS,
    CareerPanel,
    career_panel,
    read_careers,
    read_panel,
    split_workers,
    transitions,
    write_panel,
)
from labor_llm.errors import ArtefactError, InputError

SPACE = OutcomeSpace(("0010", "0020", "0030"), ("Cooks", "Bakers", "Clerks"))
GOOD = (
    "worker_id,year,occupation,education,gender,ethnicity,region,birth_year\n"
    "a,1980,0010,college,male,white,west,1950\n"
    "a,1981,0010,college,male,white,west,1950\n"
    "b,1980,0020,high school,female,hispanic,south,\n"
    "b,1982,0030,high school,female,hispanic,south,\n"
    "a10,1980,0020,college,male,white,west,1961\n"
)
ROWS = GOOD.splitlines()


def files(folder: Path, careers: str) -> tuple[Path, Path]:
    (folder / "careers.csv").write_text(careers)
    SPACE.frame().to_csv(folder / "titles.csv", index=False)
    return folder / "careers.csv", folder / "titles.csv"


def changed(*changes: tuple[int, str, str]) -> str:
    """GOOD with cells set anew: (row of the file, column, value)."""
    cells = [line.split(",") for line in ROWS]
    for row, column, value in changes:
        cells[row - 1][COLUMNS.index(column)] = value
    return "\n".join(",".join(row) for row in cells) + "\n"


def refusal(folder: Path, careers: str) -> str:
    """The message on a file of careers, without the folder."""
    path, titles = files(folder, careers)
    with pytest.raises(InputError) as refused:
        read_careers(path, titles, "toy")
    return str(refused.value).replace(str(path), path.name)


def test_a_good_file_becomes_a_typed_panel_and_so_does_its_parquet(tmp_path: Path) -> None:
    path, titles = files(tmp_path, GOOD)
    got = read_careers(path, titles, "toy", "The Toy Survey")

    expected = pd.DataFrame([line.split(",") for line in ROWS[1:]], columns=list(COLUMNS))
    expected["year"] = [1980, 1981, 1980, 1982, 1980]
    expected["birth_year"] = pd.array([1950, 1950, None, None, 1961], dtype="Int64")
    expected.insert(0, "dataset", "toy")
    pd.testing.assert_frame_equal(got.frame, expected)
    assert (got.dataset, got.survey, got.workers) == ("toy", "The Toy Survey", ["a", "b", "a10"])
    assert got.restrict({"a10", "b"}).frame["worker_id"].tolist() == ["b", "b", "a10"]
    assert got.split({"a": "test", "b": "train", "a10": "test"}, "test").workers == ["a", "a10"]
    typed = got.frame.drop(columns="dataset").astype({"year": "int32", "education": "category"})
    typed.to_parquet(tmp_path / "careers.parquet")
    again = read_careers(tmp_path / "careers.parquet", titles, "toy")
    pd.testing.assert_frame_equal(again.frame, expected)
    (tmp_path / "cut.parquet").write_bytes((tmp_path / "careers.parquet").read_bytes()[:-9])
    for name, message in (("cut", "not readable as parquet"), ("absent", "no such file")):
        with pytest.raises(InputError, match=rf"{name}\.parquet: {message}"):
            read_careers(tmp_path / f"{name}.parquet", titles, "toy")


BAD_CELLS = [
    # a worker-year twice, though not side by side
    ([(3, "year", "1980")], "row 3, column year: '1980' repeats a worker-year; keep one record per"),
    ([(3, "year", "1979")], "row 3, column year: '1979' is before the row above; sort the file by worker_id"),
    ([(4, "year", "")], "row 4, column year: '' is not a calendar year between 1900 and 2100; write it with"),
    *(([(4, "year", year)], f"row 4, column year: {year!r} is not a calendar year")
      for year in ("1980.5", "80", "1899", "2101", "١٩٨٠")),
    ([(6, "worker_id", "a"), (6, "year", "1990"), (6, "birth_year", "1950")],
     "row 6, column worker_id: 'a' returns after other workers; sort the file by worker_id and year"),
    ([(5, "occupation", "30")], "row 5, column occupation: '30' is not in the file of titles; add the"),
    ([(5, "occupation", "")], "row 5, column occupation: '' is empty; fill it in ('unknown' if it is not"),
    ([(3, "occupation", "x"), (5, "occupation", "y")],
     "row 3, column occupation: 'x' is not in the file of titles; add the occupation there, or correct or drop "
     "the record (2 rows are affected)."),
    *(([(row, column, other)], f"row {row}, column {column}: {other!r} differs from the worker's first record")
      for row, column, other in ((3, "gender", "female"), (3, "ethnicity", "hispanic"), (3, "birth_year", "1951"),
                                 (5, "birth_year", "1951"))),
    # Two covariates change, the later in the list of columns first in the file.
    ([(3, "region", "south"), (5, "gender", "male")],
     "row 3, column region: 'south' differs from the worker's first record; it is one value a worker."),
    ([(6, "birth_year", "1980")], "row 6, column birth_year: '1980' is not before the year of the record"),
    ([(6, "birth_year", "61")], "row 6, column birth_year: '61' is not a calendar year; write four digits, or"),
    ([(6, "birth_year", "١٩٦١")], "row 6, column birth_year: '١٩٦١' is not a calendar year"),
    ([(2, "education", "")], "row 2, column education: '' is empty; fill it in"),
    ([(2, "worker_id", " ")], "row 2, column worker_id: ' ' is empty"),
    ([(4, "education", '"high\nschool"')], "row 4: not a regular CSV (8 cells in 2 lines, the header has 8 in one)"),
    ([(4, "region", "NA")], "row 4, column region: 'NA' stands for a missing value in other programs; write 'unknown'"),
    ([(4, "region", "<south>"), (5, "region", "<south>")],
     "row 4, column region: '<south>' does not fit one line of plain text; remove line ends, outer blanks, control "
     "characters, < and >, write it in Unicode's form NFC and in 200 characters at most (2 rows are affected)."),
    ([(6, "gender", "male ")], "row 6, column gender: 'male ' does not fit one line"),
    ([(6, "worker_id", "cafe\u0301")], "row 6, column worker_id: 'cafe\u0301' does not fit one line of plain text"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "message"), BAD_CELLS, ids=[case[1].split(":")[0] for case in BAD_CELLS])
def test_a_bad_cell_is_named_by_row_and_column(
    tmp_path: Path, changes: list[tuple[int, str, str]], message: str
) -> None:
    assert refusal(tmp_path, changed(*changes)).startswith(f"careers.csv, {message}")


@pytest.mark.parametrize(
    ("one", "two"),
    [("Ab", "aB"), ("a b", "a  b"), ("7", "7.0"), ("7", "\uff17")],
)
def test_two_spellings_of_an_id_or_a_group_are_refused_with_both_rows(
    tmp_path: Path, one: str, two: str
) -> None:
    """One person could be trained on and tested."""
    ids = changed((2, "worker_id", one), (3, "worker_id", one), (6, "worker_id", two))
    expected = f"careers.csv, row 6, column worker_id: {two!a} stands already in row 2 as {one!a}. They look"
    assert refusal(tmp_path, ids).startswith(expected)
    groups = changed((2, "region", one), (3, "region", one), (6, "region", two))
    assert refusal(tmp_path, groups).startswith(f"careers.csv, row 6, column region: {two!a} stands already")


@pytest.mark.parametrize("missing", ["NA", "nan", "."])
def test_whole_floats_and_marks_of_what_is_missing_are_read(tmp_path: Path, missing: str) -> None:
    whole = [(6, "year", "1980.0"), (6, "birth_year", "1961.")]
    text = changed((4, "birth_year", missing), (5, "birth_year", missing), *whole)
    got = read_careers(*files(tmp_path, text), "toy").frame
    pd.testing.assert_frame_equal(got, read_careers(*files(tmp_path, GOOD), "toy").frame)


@pytest.mark.parametrize("column", COLUMNS)
def test_a_missing_column_is_named(tmp_path: Path, column: str) -> None:
    frame = pd.DataFrame([line.split(",") for line in ROWS[1:]], columns=list(COLUMNS)).drop(columns=column)
    message = refusal(tmp_path, frame.to_csv(index=False))
    assert message.startswith(f"careers.csv: column {column!r} is missing; found ")
    with pytest.raises(InputError, match=f"'{column}' is missing; a career panel has the columns worker_id"):
        career_panel(frame, SPACE, "toy")


def panel_of(careers: dict[str, list[tuple[int, str]]]) -> CareerPanel:
    """A panel of careers written as (year, code)."""
    alike = ("college", "male", "white", "west", "1950")
    rows = [(worker, str(year), code, *alike) for worker in careers for year, code in careers[worker]]
    return career_panel(pd.DataFrame(rows, columns=list(COLUMNS)), SPACE, "toy")


def test_transitions_worked_by_hand() -> None:
    careers = {
        "w1": [(1980, "0010"), (1981, "0010"), (1983, "0020"), (1985, "0010")],
        "w2": [(1985, "0010")],
        "w3": [(1979, "0030"), (1980, "0010")],
    }
    got = transitions(panel_of(careers))
    assert got["previous"].tolist() == [None, "0010", "0010", "0020", None, None, "0030"]
    assert got["before_previous"].tolist() == [None, None, "0010", "0010", None, None, None]
    assert got["previous_year"].fillna(0).tolist() == [0, 1980, 1981, 1983, 0, 0, 1979]
    types = ["first", "staying", "moving", "moving", "first", "first", "moving"]
    assert got["transition_type"].tolist() == types
    assert got["records_before"].tolist() == [0, 1, 2, 3, 0, 0, 1]
    records = [record for career in careers.values() for record in career]
    assert list(zip(got["year"], got["occupation"], strict=True)) == records
    assert list(got.columns) == [
        "dataset", "worker_id", "year", "occupation", "previous", "before_previous", "previous_year",
        "transition_type", "education", "gender", "ethnicity", "region", "birth_year", "records_before",
        "years_before",
    ]  # fmt: skip


def test_a_transition_knows_nothing_of_what_comes_after_it(panel: CareerPanel) -> None:
    """The first records of each career give the same transitions as the whole career."""
    kept = panel.frame.groupby("worker_id", sort=False).cumcount() < 2
    short = CareerPanel(panel.frame[kept].reset_index(drop=True), panel.outcomes, panel.survey)
    whole = transitions(panel)
    expected = whole[whole["records_before"] < 2].reset_index(drop=True)
    pd.testing.assert_frame_equal(transitions(short), expected)


def of_workers(workers: list[str]) -> CareerPanel:
    """As much of a panel as a split looks at."""
    return CareerPanel(pd.DataFrame({"dataset": "toy", "worker_id": workers}), SPACE, "toy")


@settings(max_examples=30)
@given(
    workers=st.lists(st.text("abcdef0123456789", min_size=1, max_size=5), min_size=10, max_size=60, unique=True),
    seed=st.integers(0, 2**32 - 1),
    data=st.data(),
)  # fmt: skip
def test_a_split_assigns_every_worker_by_seed_and_set_of_workers_alone(
    workers: list[str], seed: int, data: st.DataObject
) -> None:
    got = split_workers(of_workers(workers), seed)
    assert set(got) == set(workers)
    shares = zip(SPLITS, (0.7, 0.1, 0.2), strict=True)
    assert all(abs(list(got.values()).count(name) - share * len(workers)) <= 1 for name, share in shares)
    shuffled = data.draw(st.permutations(workers))
    assert split_workers(of_workers(shuffled), seed) == got


def test_every_worker_has_the_same_chance_of_each_split() -> None:
    """Over 400 seeds a worker is in the test set with 0.2; binomial, five standard errors."""
    careers = of_workers([f"w{number:02d}" for number in range(10)])
    splits = [split_workers(careers, seed) for seed in range(400)]
    shares = [np.mean([split[worker] == "test" for split in splits]) for worker in careers.workers]
    assert np.abs(np.array(shares) - 0.2).max() < 5 * np.sqrt(0.2 * 0.8 / 400)
    with pytest.raises(InputError, match=r"^toy: 4 workers cannot be split .*\(3, 0, 1\)\. Give at least"):
        split_workers(of_workers(list("abcd")), seed=1)


def test_a_stored_panel_comes_back_unless_it_was_changed(tmp_path: Path, panel: CareerPanel) -> None:
    folder, splits = tmp_path / "panel", split_workers(panel, seed=3)
    write_panel(folder, panel, splits, {"split_seed": 3})
    got, got_splits = read_panel(folder)
    pd.testing.assert_frame_equal(got.frame, panel.frame)
    assert (got.outcomes.codes, got.outcomes.titles) == (panel.outcomes.codes, panel.outcomes.titles)
    assert (got.survey, got.dataset, got_splits) == ("invented", "invented", splits)
    text = (folder / "splits.csv").read_text()
    (folder / "splits.csv").write_text(text.replace("w000,t", "w000,T", 1))
    with pytest.raises(ArtefactError, match=r"splits\.csv: its sha256 differs"):
        read_panel(folder)
    del splits["w000"]
    write_panel(tmp_path / "fewer", panel, splits)
    with pytest.raises(ArtefactError, match=r"splits\.csv and panel\.parquet name different workers"):
        read_panel(tmp_path / "fewer")


@pytest.fixture
def related(panel: CareerPanel) -> CareerPanel:
    """Every household has three workers, but the last, which has one."""
    of_three = {worker: f"h{number // 3:02d}" for number, worker in enumerate(panel.workers)}
    return dataclasses.replace(panel, households=of_three)


def test_households_stay_whole_where_they_are_asked_to(related: CareerPanel) -> None:
    splits = split_workers(related, seed=4, whole_households=True)
    by_household = pd.DataFrame({"household": related.households, "split": splits})
    assert by_household.groupby("household")["split"].nunique().max() == 1
    counts = pd.Series(splits).value_counts()
    # 160 workers: shares to within a household.
    for name, share in zip(SPLITS, (0.7, 0.1, 0.2), strict=True):
        assert abs(counts[name] - share * 160) <= 3
    assert splits != split_workers(related, seed=5, whole_households=True)
    shuffled = related.frame.sample(frac=1.0, random_state=1)
    assert split_workers(dataclasses.replace(related, frame=shuffled), 4, whole_households=True) == splits
    with pytest.raises(InputError, match="do not tell households, so they cannot be kept whole"):
        split_workers(dataclasses.replace(related, households=None), 4, whole_households=True)


def test_households_are_read_stored_and_no_part_of_what_models_see(
    related: CareerPanel, tmp_path: Path
) -> None:
    frame = related.frame.drop(columns="dataset").assign(
        household_id=lambda rows: rows["worker_id"].map(related.households)
    )
    frame.to_csv(tmp_path / "careers.csv", index=False)
    frame.to_parquet(tmp_path / "careers.parquet", index=False)
    related.outcomes.frame().to_csv(tmp_path / "titles.csv", index=False)
    for name in ("careers.csv", "careers.parquet"):
        got = read_careers(tmp_path / name, tmp_path / "titles.csv", "invented")
        assert got.households == related.households
        assert list(got.frame.columns) == list(related.frame.columns)
    write_panel(tmp_path / "panel", got, split_workers(got, 1))
    stored, _ = read_panel(tmp_path / "panel")
    assert stored.households == related.households
    assert stored.restrict(stored.workers[:5]).households == related.households
    assert stored.checksum() == dataclasses.replace(stored, households=None).checksum()


@pytest.mark.parametrize(
    ("row", "value", "message"),
    [
        (1, "", "row 3, column household_id: '' is empty"),
        (1, "h99", "row 3, column household_id: 'h99' differs from"),
    ],
)
def test_a_household_that_is_missing_or_changes_is_named(
    related: CareerPanel, row: int, value: str, message: str
) -> None:
    frame = related.frame.assign(household_id=lambda rows: rows["worker_id"].map(related.households))
    frame.loc[row, "household_id"] = value
    with pytest.raises(InputError, match=message):
        career_panel(frame, related.outcomes, "d")
