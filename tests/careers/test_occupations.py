"""The outcome space: codes and titles as the file has them, unusable ones named by row and column; occ1990dd."""

from __future__ import annotations

import tempfile
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from labor_llm.careers.occupations import (
    STATES,
    OutcomeSpace,
    major_groups,
    occupation_codes,
    outcome_space,
    read_titles,
    title_problem,
)
from labor_llm.errors import InputError

HEADER = "occupation,title\n"


def titles_file(folder: Path, content: str) -> Path:
    path = folder / "titles.csv"
    path.write_text(content, encoding="utf-8")
    return path


def refusal(folder: Path, content: str) -> str:
    """The message on a file of titles, without the folder."""
    path = titles_file(folder, content)
    with pytest.raises(InputError) as refused:
        read_titles(path)
    return str(refused.value).replace(str(path), "titles.csv")


def test_codes_and_titles_are_kept_as_they_stand(tmp_path: Path) -> None:
    content = (
        'occupation,title,note\n0050,"Cooks, short order",x\n1e5,Bäcker,\nNA,null,\n 7 ,Sales (retail) ,\n'
    )
    got = read_titles(titles_file(tmp_path, content))
    assert got.codes == ("0050", "1e5", "NA", "7")
    assert got.titles == ("Cooks, short order", "Bäcker", "null", "Sales (retail)")
    assert (len(got), got.index("1e5"), got.title("NA"), got.indices(["7", "0050"])) == (4, 1, "null", [3, 0])


@pytest.mark.parametrize(
    ("one", "two"),
    [("Cooks", "Cooks"), ("Straßenkehrer", "STRASSENKEHRER"), ("Cooks, a", "Cooks,  a"), ("Cooks", "Ｃｏｏｋｓ")],
)  # fmt: skip
def test_a_title_that_stands_twice_is_refused_with_both_rows(tmp_path: Path, one: str, two: str) -> None:
    message = refusal(tmp_path, f'{HEADER}1,"{one}"\n2,Bakers\n3,"{two}"\n')
    assert message.startswith("titles.csv, row 4, column title: ")
    assert "stands already in row 2" in message


@pytest.mark.parametrize(
    ("title", "problem"),
    [
        ("Cooks\u2028bakers", "holds a line end"),
        ("Cooks\u200bbakers", "invisible"),
        ("<b>Cooks</b>", "'<b>Cooks</b>' holds markup (< or >)"),
        ("Income > 100", "holds markup"),
        ("Cooks\t", "begins or ends with a blank"),
        ("   ", "empty. Give every row both columns"),
    ],
)
def test_a_title_that_does_not_fit_one_line_of_text_is_refused(
    tmp_path: Path, title: str, problem: str
) -> None:
    message = refusal(tmp_path, f"{HEADER}1,Bakers\n2,{title}\n3,Clerks\n")
    assert message.startswith("titles.csv, row 3, column title: ")
    assert problem in message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1,Cooks\n", ": 1 occupations found; at least two are needed."),
        ("1,Cooks\n,Bakers\n", ", row 3, column occupation: empty. Give every row both"),
        # A row number counts blank lines too.
        ("1,Cooks\n\n2,<b>\n", ", row 3, column occupation: empty. Give every row both"),
        (
            "010,Cooks\n011,Bakers\n 010,Clerks\n",
            ", row 4, column occupation: '010' stands already in row 2.",
        ),
    ],
)
def test_fewer_than_two_occupations_and_codes_that_tell_nothing_are_refused(
    tmp_path: Path, content: str, message: str
) -> None:
    assert refusal(tmp_path, HEADER + content).startswith(f"titles.csv{message}")


plain = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"]), min_size=1, max_size=12)


@settings(max_examples=30)
@given(st.lists(plain.filter(lambda text: title_problem(text) is None), min_size=2, max_size=6))
def test_an_accepted_outcome_space_comes_back_from_its_file(titles: list[str]) -> None:
    codes = tuple(f"{number:04d}" for number in range(len(titles)))
    try:
        space = OutcomeSpace(codes, tuple(titles))
    except InputError:
        return  # repeated titles
    with tempfile.TemporaryDirectory() as folder:
        got = read_titles(titles_file(Path(folder), space.frame().to_csv(index=False)))
    assert (got.codes, got.titles) == (space.codes, space.titles)


def test_there_are_330_occupations_and_three_states_each_in_one_major_group() -> None:
    space, groups = outcome_space(), major_groups()
    assert (len(space), len(occupation_codes()), space.source) == (333, 330, "occ1990dd")
    assert (space.codes[:2], space.codes[-3:]) == (("4", "7"), tuple(STATES))
    assert space.titles[-3:] == ("Unemployed", "Out of labor force", "In education")
    assert (space.title("436"), space.title("313")) == ("Cooks", "Secretaries and stenographers")
    assert (tuple(groups), len(set(groups.values()))) == (space.codes, 25 + 3)
    assert groups["436"] == "Food preparation and service occupations"
    # The updated list of 341 codes has 9, 647 and 814 and lacks 225, 346, 475 and 679; 905 and 991 are no jobs.
    codes = [int(code) for code in occupation_codes()]
    assert codes == sorted(codes)
    assert not {9, 647, 814, 874, 905, 991, 999} & set(codes)
    assert {225, 346, 475, 679, 873} <= set(codes)
