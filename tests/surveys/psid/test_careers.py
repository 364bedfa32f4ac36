"""The PSID's reader, rule by rule on respondents invented by hand; files that are joined wrongly are refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings

from labor_llm.errors import InputError
from labor_llm.simulation.careers import PSID81, simulate_careers
from labor_llm.simulation.files.psid_answers import expressible_in_psid, psid_answers
from labor_llm.simulation.files.writing import simulated_codes, write_psid
from labor_llm.simulation.market import Market
from labor_llm.surveys.psid.careers import (
    PsidOptions,
    check_agreement,
    most_frequent,
    psid_interviews,
)
from labor_llm.surveys.psid.files import read_psid
from labor_llm.surveys.psid.waves import occupation_of_wave, psid_variable
from labor_llm.surveys.rules import SurveyInterviews
from labor_llm.surveys.variables import RawSurvey, variables_of

OUT = "out of the labor force"
Answers = dict[tuple[str, str, int], int]


def at(year: int, relation: int = 0, sequence: int = 1, interview: int = 0, **given: int) -> Answers:
    """One person's columns of a wave; `given` are the answers of the person's role, `own_...` the person's own."""
    relation = relation or (1 if year <= 1982 else 10)
    role = "spouse" if relation in (2, 20, 22) else "head"
    answers = {variable.key: 0 for variable in variables_of("psid") if variable.year == year}
    answers |= {("relation_to_head", "person", year): relation, ("sequence_number", "person", year): sequence}
    for name, value in given.items():
        concept = name.removeprefix("own_").replace("status", "employment_status")
        concept = occupation_of_wave(year)[0] if concept == "occupation" else concept
        person = name.startswith("own_") or name in ("age", "birth_year")
        key = (concept, "person" if person else "family" if name == "region" else role, year)
        assert key in answers, key
        answers[key] = value
    return answers | family(year, interview)


def family(year: int, number: int) -> Answers:
    return {
        ("ind_interview_number", "person", year): number,
        ("fam_interview_number", "family", year): number,
    }


def raw_survey(people: Mapping[int, list[Answers]]) -> RawSurvey:
    """Men with their waves; each is a family alone unless an interview number is given."""
    rows = {}
    for number, (person, waves) in enumerate(people.items(), start=1):
        rows[person] = {("sex", "person", 0): 1}
        for answers in waves:
            year = next(iter(answers))[2]
            alone = {} if answers["ind_interview_number", "person", year] else family(year, number)
            rows[person] |= answers | alone
    return raw_of(pd.DataFrame.from_dict(rows, orient="index").astype("Int32").sort_index())


def raw_of(values: pd.DataFrame) -> RawSurvey:
    values.columns = pd.MultiIndex.from_tuples(values.columns, names=["concept", "role", "year"])
    return RawSurvey(values.rename_axis("person"), {}, (), ())


def numbered(*people: list[Answers]) -> RawSurvey:
    """Persons 1001, 2001, ... with these waves."""
    return raw_survey({1000 * number + 1: waves for number, waves in enumerate(people, start=1)})


def read(*people: list[Answers], **options: str) -> SurveyInterviews:
    return psid_interviews(numbered(*people), PsidOptions(**options))


def cells(table: pd.DataFrame, *columns: str) -> list[tuple[object, ...]]:
    """Rows of a table, missing values as None."""
    table = table[list(columns)].astype(object)
    return [tuple(row) for row in table.where(table.notna(), None).itertuples(index=False, name=None)]


def test_a_couple_worked_by_hand() -> None:
    """A couple in 1983; in 1985 she is alone, heads her own family and has become a student."""
    his = {"status": 1, "occupation": 245, "schooling": 12, "race": 1, "region": 6, "birth_year": 1950}
    hers = {"status": 3, "schooling": 99, "own_schooling": 11, "region": 6, "birth_year": 9999, "age": 30}
    later = {"status": 7, "own_schooling": 12, "race": 2, "region": 3, "birth_year": 1954, "age": 31}
    raw = raw_survey(
        {
            4003: [at(1983, 10, 1, 7, **his), at(1985, 10, 71, 9, status=7, own_status=1, birth_year=1950)],
            4170: [at(1983, 20, 2, 7, **hers), at(1985, 10, 1, 9, **later)],
        }
    )
    # Family variables stand beside every member of a family.
    raw.values.loc[4170, ("race", "head", 1983)] = 1

    got = psid_interviews(raw)

    assert got.survey == "PSID"
    assert cells(got.interviews, *got.interviews) == [
        (4003, 1983, "working", False, "census1970", 245, 12),
        (4170, 1983, "unemployed", False, None, None, 11),
        (4170, 1985, OUT, True, None, None, 12),
    ]
    kinds = {name: str(kind) for name, kind in got.interviews.dtypes.items() if str(kind) != "object"}
    assert kinds == {
        "person": "int64", "year": "int64", "enrolled": "boolean", "code": "Int64", "schooling": "Int64"
    }  # fmt: skip
    assert got.persons.reset_index().to_numpy().tolist() == [
        [4003, "male", "white", "unknown", 1950, "4"],
        [4170, "male", "black or african american", "south", 1954, "4"],
    ]


def test_heads_and_spouses_in_the_family_have_records() -> None:
    cases = [
        (1982, 1, 1, "head"), (1982, 1, 20, "head"), (1982, 2, 2, "spouse"), (1982, 10, 1, ""), (1982, 3, 3, ""),
        (1982, 9, 2, ""), (1983, 10, 1, "head"), (1983, 1, 1, ""), (1983, 20, 2, "spouse"),
        (1983, 22, 2, "spouse"), (1983, 88, 2, ""), (1983, 90, 2, ""), (1983, 92, 2, ""), (1983, 30, 2, ""),
        (1983, 10, 0, ""), (1983, 10, 21, ""), (1983, 10, 51, ""), (2023, 20, 71, ""), (2023, 10, 81, ""),
    ]  # fmt: skip
    people = [[at(*case)] for *case, _ in cases]
    for members, roles in (("heads and spouses", ("head", "spouse")), ("heads only", ("head",))):
        taken = [1000 * number + 1 for number, (*_, role) in enumerate(cases, start=1) if role in roles]
        assert read(*people, members=members).interviews["person"].tolist() == taken


@pytest.mark.parametrize(
    ("options", "cases"),
    [
        ({}, [(1, "working", False), (2, "working", False), (3, "unemployed", False), (7, OUT, True),
              *((status, OUT, False) for status in (4, 5, 6, 8)),
              *((status, "unknown", None) for status in (0, 9, 22, 98, 99))]),
        ({"laid_off": "unemployed", "other_status": "unknown"}, [(2, "unemployed", False), (8, "unknown", False)]),
        ({"laid_off": OUT}, [(2, OUT, False)]),
    ],
)  # fmt: skip
def test_a_status_is_an_employment(
    options: dict[str, str], cases: list[tuple[int, str, bool | None]]
) -> None:
    people = [[at(1990, status=status, own_status=1, occupation=10)] for status, _, _ in cases]
    got = cells(read(*people, **options).interviews, "employment", "enrolled", "frame", "code")
    works = {True: ("census1970", 10), False: (None, None)}
    assert got == [
        (employment, enrolled, *works[employment == "working"]) for _, employment, enrolled in cases
    ]


def test_the_individual_file_stands_in_for_a_spouses_status() -> None:
    answers = [(0, 3), (35, 1), (3, 1)]
    people = [[at(1990, 20, 2, status=status, own_status=own, occupation=10)] for status, own in answers]
    raw = numbered(*people)
    expected = ["unemployed", "working", "unemployed"]
    assert psid_interviews(raw).interviews["employment"].tolist() == expected
    del raw.values["employment_status", "spouse", 1990]
    assert psid_interviews(raw).interviews["employment"].tolist() == ["unemployed", "working", "working"]


def test_an_occupation_counts_in_its_frame_and_of_those_who_work() -> None:
    cases = [
        (1981, 1, 984, "working", "census1970", 984), (2001, 1, 1, "working", "census1970", 1),
        *((1997, 1, none, "working", "census1970", None) for none in (0, 810, 997, 998, 999)),
        (1997, 1, 600, "military", None, None), (1997, 1, 580, "military", None, None),
        (1997, 3, 600, "unemployed", None, None), (1997, 2, 600, "military", None, None),
        (2003, 1, 600, "working", "census2000", 600), (2003, 1, 810, "working", "census2000", 810),
        (2015, 3, 600, "unemployed", None, None), (2015, 4, 981, OUT, None, None),
        (2015, 2, 402, "working", "census2000", 402), (2015, 1, 983, "military", None, None),
        *((2015, 1, none, "working", "census2000", None) for none in (0, 615, 999)),
        (2017, 1, 4020, "working", "census2010", 4020), (2017, 1, 999, "working", "census2010", 999),
        *((2023, 1, none, "working", "census2010", None) for none in (0, 9999)),
        (2023, 1, 9830, "military", None, None),
    ]  # fmt: skip
    got = read(*([at(year, status=status, occupation=code)] for year, status, code, *_ in cases)).interviews
    assert cells(got, "employment", "frame", "code") == [tuple(expected) for _, _, _, *expected in cases]


@pytest.mark.parametrize("role", [{}, {"relation": 20, "sequence": 2}])
def test_schooling_is_the_roles_and_otherwise_ones_own(role: dict[str, int]) -> None:
    cases = [(16, 12, 16), (0, 12, 12), (99, 17, 17), (98, 98, None), (0, 0, None), (18, 0, None)]
    people = [[at(1991, **role, status=1, schooling=of_role, own_schooling=own)] for of_role, own, _ in cases]
    assert cells(read(*people).interviews, "schooling") == [(expected,) for *_, expected in cases]


def test_race_and_origin_are_read_by_the_list_of_their_wave() -> None:
    cases = [
        (1984, 1, None, "white"), (1984, 2, None, "black or african american"), (1984, 3, None, "hispanic"),
        (1984, 4, None, "unknown"), (1984, 7, None, "other"), (1984, 9, None, "unknown"),
        (1985, 3, 0, "american indian"), (1985, 4, 0, "asian"), (1990, 5, 0, "hispanic"), (1990, 6, 0, "other"),
        (1985, 8, 0, "other"), (1999, 5, None, "hispanic"), (1999, 8, None, "unknown"), (2005, 5, 0, "asian"),
        (2005, 6, 0, "unknown"), (2005, 7, 0, "other"), (2005, 1, 1, "hispanic"), (2005, 2, 7, "hispanic"),
        (2005, 9, 3, "hispanic"), (2005, 1, 9, "white"), (2005, 1, 8, "white"), (2005, 0, 0, "unknown"),
    ]  # fmt: skip
    origins = [{} if hispanic is None else {"hispanic": hispanic} for _, _, hispanic, _ in cases]
    people = [
        [at(year, race=race, **origin)] for (year, race, *_), origin in zip(cases, origins, strict=True)
    ]
    assert read(*people).persons["ethnicity"].tolist() == [expected for *_, expected in cases]


def test_the_most_frequent_ethnicity_counts_and_of_equals_the_earliest() -> None:
    black, white = ({"race": 2, "hispanic": 0}, {"race": 1, "hispanic": 0})
    cases = [
        ([at(1985, **black), at(1986, **white), at(1987, **white)], "white"),
        ([at(1985, **black), at(1986, **white)], "black or african american"),
        # As a child of the family in 1985 the head's race is not the person's own.
        ([at(1985, 30, 2, **black), at(1987, **white)], "white"),
        # Nobody asked for a spouse's race before 1985.
        ([at(1984, 20, 2)], "unknown"),
        ([at(1984, 20, 2), at(1985, 20, 2, **black)], "black or african american"),
    ]
    assert read(*(waves for waves, _ in cases)).persons["ethnicity"].tolist() == [word for _, word in cases]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 3), st.sampled_from("abc")), max_size=30))
def test_most_frequent_agrees_with_counting(answers: list[tuple[int, str]]) -> None:
    frame = pd.DataFrame(answers, columns=["person", "value"]).assign(year=range(len(answers)))
    got = most_frequent(frame["person"], frame["year"], frame["value"].mask(frame["value"] == "c"))
    expected = {}
    for person in sorted({person for person, value in answers if value != "c"}):
        # Counter keeps the order of first appearance, and max takes the first of equals.
        counts = Counter(value for who, value in answers if who == person and value != "c")
        expected[person] = max(counts, key=counts.__getitem__)
    assert got.to_dict() == expected


def test_the_region_is_the_first_known() -> None:
    regions = [[1], [5], [6, 9, 0, 4, 1], [6], [2, 3]]
    people = [[at(year, region=region) for year, region in enumerate(asked, start=1981)] for asked in regions]
    expected = ["northeast", "alaska or hawaii", "west", "unknown", "northcentral"]
    assert read(*people).persons["region"].tolist() == expected


def test_the_year_of_birth_is_the_most_frequent_or_follows_from_age() -> None:
    cases = [
        ([at(1983, birth_year=1950), at(1984, birth_year=1951), at(1985, birth_year=1951)], 1951),
        ([at(1983, birth_year=1950), at(1984, birth_year=1951)], 1950),
        ([at(1981, age=40), at(1983, birth_year=1950)], 1950),
        ([at(1983, birth_year=1950), *(at(year, 30, 3, birth_year=1952) for year in (1985, 1987))], 1952),
        ([at(1981, age=999), at(1982, age=30), at(1983, birth_year=9999, age=32)], 1952),
        ([at(1981, age=0), at(1982, age=1), at(1983, birth_year=0, age=30)], 1953),
        ([at(1983, birth_year=1984, age=25)], 1958),
        ([at(1981, age=999)], None),
    ]
    got = read(*(waves for waves, _ in cases)).persons
    assert cells(got, "birth_year") == [(expected,) for _, expected in cases]


def test_gender_is_sex() -> None:
    raw = numbered(*[[at(1981)]] * 3)
    raw.values["sex", "person", 0] = pd.array([1, 2, 9], dtype="Int32")
    assert psid_interviews(raw).persons["gender"].tolist() == ["male", "female", "unknown"]


def test_variables_that_one_wave_lacks_are_taken_from_the_others() -> None:
    described = {"race": 1, "region": 3, "own_schooling": 12, "birth_year": 1950}
    raw = numbered([at(1985, status=1), at(1986, status=1, **described)])
    gone = ("race", "hispanic", "region", "schooling", "birth_year", "age")
    kept = [key for key in raw.values if key[0] not in gone or key[2] == 1986]
    got = psid_interviews(raw_of(raw.values[kept]))
    assert got.persons.iloc[0, :4].tolist() == ["male", "white", "south", 1950]
    assert got.interviews["schooling"].fillna(-1).tolist() == [-1, 12]


def test_files_that_contradict_each_other_are_read_if_that_is_wanted() -> None:
    """Sixty heads: the individual file has all of them at work, the family file all of them retired."""
    people = [[at(1990, status=4, own_status=1)]] * 60
    with pytest.raises(InputError, match=r"^PSID 1990: ER30653 .* are the same for 0 of 60 heads only"):
        read(*people)
    assert set(read(*people, consistency="ignore").interviews["employment"]) == {OUT}


def test_no_head_in_any_wave_is_refused() -> None:
    with pytest.raises(InputError, match=r"^PSID: no head or spouse in any of the waves read\."):
        read([at(1990, 20, 2)], members="heads only")


COUPLES = 60


def key(concept: str, role: str, year: int = 1990) -> tuple[str, str, int]:
    return psid_variable(concept, role, year).key


def couples(of_head: list[int], of_spouse: list[int], year: int = 1990) -> RawSurvey:
    """Couples in one wave with the same status in both files; who works has an occupation."""
    spouse = np.repeat([False, True], len(of_head))
    statuses = {"head": np.tile(of_head, 2), "spouse": np.tile(of_spouse, 2)}
    columns = {
        key("relation_to_head", "person", year): np.where(spouse, 20, 10),
        key("sequence_number", "person", year): 1 + spouse,
        key("employment_status", "person", year): np.where(spouse, statuses["spouse"], statuses["head"]),
    }
    for role, status in statuses.items():
        columns[key("employment_status", role, year)] = status
        columns[key("occupation_1970", role, year)] = np.where(status == 1, 245, 0)
    return raw_of(pd.DataFrame(columns).astype("Int32"))


# Of so many, how many are amiss, and whether that is refused: a fifth of fifty or more.
SHARES = [(60, 12, False), (60, 13, True), (50, 11, True), (49, 49, False)]


def amiss(raw: RawSurvey, role: str, column: tuple[str, str, int], members: int, code: int) -> None:
    """Give some heads or spouses another code."""
    of_role = raw.values["relation_to_head", "person", 1990] == (10 if role == "head" else 20)
    raw.values.loc[of_role[of_role].index[:members], [column]] = code


def agreement(raw: RawSurvey, spouses: bool = True) -> str:
    """What `check_agreement` says, empty if it is content."""
    try:
        check_agreement(raw, [1990], spouses)
    except InputError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(("role", "family"), [("head", "V18093"), ("spouse", "V18395")])
@pytest.mark.parametrize(("members", "differing", "refused"), SHARES)
def test_statuses_that_differ_in_a_fifth_of_enough_members_are_refused(
    role: str, family: str, members: int, differing: int, refused: bool
) -> None:
    raw = couples([4] * members, [4] * members)
    amiss(raw, role, key("employment_status", "person"), differing, 6)
    assert agreement(raw) == refused * (
        f"PSID 1990: ER30653 (employment status, IND2023ER) and {family} (employment status of the {role}, FAM1990) "
        f"are the same for {members - differing} of {members} {role}s only, though both come from one interview. "
        "Layouts or releases are mixed up, or head and spouse are swapped: take IND2023ER and FAM1990 of one release, "
        "with the .sas, .sps or .do file of each, as downloaded. If they are, the option consistency=ignore reads them "
        "as they are."
    )
    assert role == "head" or not agreement(raw, spouses=False)


def test_a_status_that_one_file_does_not_have_and_an_unknown_occupation_are_no_difference() -> None:
    raw = couples([4] * COUPLES, [6] * COUPLES)
    raw.values[key("employment_status", "person")] = 0
    assert not agreement(raw)
    for missing in (0, 9, 98, pd.NA):
        raw = couples([4] * COUPLES, [6] * COUPLES)
        raw.values[key("employment_status", "spouse")] = pd.array([missing] * 2 * COUPLES, dtype="Int32")
        assert not agreement(raw)
    unknown = couples([1] * COUPLES, [1] * COUPLES)
    unknown.values[key("occupation_1970", "head")] = 999
    assert not agreement(unknown)
    # Persons who moved out keep a relation and a status of their own.
    raw.values[key("sequence_number", "person")] = 71
    raw.values[key("employment_status", "person")] = 1
    assert not agreement(raw)


@pytest.mark.parametrize(
    ("role", "occupation", "status"), [("head", "V18101", "V18093"), ("spouse", "V18403", "V18395")]
)
@pytest.mark.parametrize(("working", "without", "refused"), SHARES)
def test_workers_without_an_occupation_are_refused(
    role: str, occupation: str, status: str, working: int, without: int, refused: bool
) -> None:
    statuses = [1] * working + [3] * 20
    raw = couples(*([statuses, [6] * len(statuses)] if role == "head" else [[4] * len(statuses), statuses]))
    amiss(raw, role, key("occupation_1970", role), without, 0)
    assert agreement(raw).partition(" Layouts")[0] == refused * (
        f"PSID 1990: {occupation} (occupation 1970 of the {role}, FAM1990) is 0, inapplicable, for {without} of the "
        f"{working} {role}s who work by {status} (employment status of the {role}, FAM1990)."
    )
    # Without the family's status that of the individual file tells who works.
    if role == "spouse":
        del raw.values[key("employment_status", "spouse")]
        assert ("who work by ER30653 (employment status, IND2023ER)" in agreement(raw)) == refused


@cache
def simulated() -> pd.DataFrame:
    """The answers of some hundred families in each wave."""
    careers = expressible_in_psid(simulate_careers(Market(1), 700, PSID81, seed=3))
    return psid_answers(careers, simulated_codes(), seed=3)[0]


SWAPS = [
    [(("employment_status", "head", 1990), ("employment_status", "spouse", 1990))],
    [(("occupation_1970", "head", 1990), ("occupation_1970", "spouse", 1990))],
    [(("occupation_2000", "head", 2005), ("occupation_2000", "spouse", 2005))],
    [(("ind_interview_number", "person", 1990), ("ind_interview_number", "person", 1991))],
    [(variable.key, (*variable.key[:2], 1991)) for variable in variables_of("psid")
     if variable.year == 1990 and variable.role != "person"],
]  # fmt: skip


@pytest.mark.parametrize("swaps", SWAPS, ids=lambda swaps: f"{swaps[0][0]}-{swaps[0][1]}")
def test_names_swapped_in_a_layout_are_refused(tmp_path: Path, swaps: list) -> None:
    """Each file is written under its own names, then the layouts of the two waves exchange them."""
    years = {year for swap in swaps for _, _, year in swap}
    values = simulated().loc[:, [year in years | {0} for _, _, year in simulated().columns]]
    write_psid(tmp_path, values, variables_of("psid"))
    names = {}
    for one, other in swaps:
        names |= {psid_variable(*one).name: psid_variable(*other).name}
        names |= {psid_variable(*other).name: psid_variable(*one).name}
    psid_interviews(read_psid(tmp_path, variables_of("psid")))
    for layout in tmp_path.glob("*.sas"):
        words = layout.read_text().split(" ")
        layout.write_text(" ".join(names.get(word, word) for word in words))
    with pytest.raises(InputError, match=r"^PSID (1990|2005): .*\.txt\).* (heads|spouses) "):
        psid_interviews(read_psid(tmp_path, variables_of("psid")))
