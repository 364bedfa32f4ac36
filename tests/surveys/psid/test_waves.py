"""The PSID's table of variables, which waves are at hand, and columns that are not what their names say."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pandas as pd
import pytest

from labor_llm.errors import InputError
from labor_llm.surveys.psid.waves import (
    WAVES,
    check_psid,
    family_file,
    missing_waves,
    occupation_of_wave,
    present_waves,
    psid_variable,
)
from labor_llm.surveys.variables import Key, RawSurvey, variables_of

FAMILIES = 60


@cache
def couples() -> pd.DataFrame:
    """Sixty couples in every wave, in the form of `RawSurvey.values`."""
    interview = np.tile(np.arange(1, FAMILIES + 1), 2)
    spouse = np.repeat([False, True], FAMILIES)
    codes = dict.fromkeys(
        ("ind_interview_number", "fam_interview_number", "interview_number_1968"), interview
    )
    codes |= {"sequence_number": 1 + spouse, "person_number": 1 + spouse, "age": 40, "schooling": 12}
    codes |= {"occupation_2010": 4020, "occupation_2000": 402, "occupation_1970": 912}
    columns = {}
    for variable in variables_of("psid"):
        of_year = {
            "relation_to_head": (1 + spouse) * (1 if variable.year <= 1982 else 10),
            "birth_year": variable.year - 40,
        }
        columns[variable.key] = (codes | of_year).get(variable.concept, 1)
    index = pd.Index(interview * 1000 + 1 + spouse, name="person")
    values = pd.DataFrame(columns, index=index).astype("Int32").sort_index()
    values.columns = pd.MultiIndex.from_tuples(values.columns, names=["concept", "role", "year"])
    return values


def without(raw: RawSurvey, gone: Callable[[str, str, int], bool]) -> RawSurvey:
    return RawSurvey(raw.values.loc[:, [not gone(*key) for key in raw.values.columns]], {}, (), ())


@pytest.fixture
def raw() -> RawSurvey:
    return RawSurvey(couples().copy(), {}, (), ())


def test_every_wave_is_complete() -> None:
    years: dict[tuple[str, str], set[int]] = {}
    for variable in variables_of("psid"):
        years.setdefault((variable.concept, variable.role), set()).add(variable.year)
    spans = {
        ("birth_year", "person"): [(1983, 2023)],
        ("race", "spouse"): [(1985, 2023)],
        **{(concept, role): spans for role in ("head", "spouse") for concept, spans in {
            "schooling": [(1981, 1984), (1991, 2023)], "hispanic": [(1985, 1996), (2005, 2023)],
            "occupation_1970": [(1981, 2001)], "occupation_2000": [(2003, 2015)], "occupation_2010": [(2017, 2023)],
        }.items()},
    }  # fmt: skip
    assert len(WAVES) == 30
    for key, found in years.items():
        asked = {
            year for year in WAVES for first, last in spans.get(key, [(1981, 2023)]) if first <= year <= last
        }
        assert found == ({0} if 0 in found else asked), key
    assert {concept for (concept, role), found in years.items() if found == {0}} == {
        "interview_number_1968", "person_number", "sex"
    }  # fmt: skip


def test_a_variable_has_its_official_name_and_a_wave_its_frame() -> None:
    names = {
        ("interview_number_1968", "person", 0): "ER30001", ("ind_interview_number", "person", 1981): "ER30343",
        ("sequence_number", "person", 1981): "ER30344", ("relation_to_head", "person", 1981): "ER30345",
        ("fam_interview_number", "family", 1994): "ER2002", ("occupation_1970", "head", 1981): "V7712",
        ("occupation_1970", "spouse", 2001): "ER17796", ("occupation_2000", "head", 2003): "ER21145",
        ("occupation_2010", "spouse", 2023): "ER82500", ("employment_status", "head", 1981): "V7706",
        ("employment_status", "head", 1994): "ER2069",
    }  # fmt: skip
    assert {key: psid_variable(*key).name for key in names} == names
    for year, frame in {1981: 1970, 2001: 1970, 2003: 2000, 2015: 2000, 2017: 2010, 2023: 2010}.items():
        assert occupation_of_wave(year) == (f"occupation_{frame}", f"census{frame}")


def test_a_missing_wave_is_named_with_the_file_to_download(raw: RawSurvey) -> None:
    def gone(concept: str, role: str, year: int) -> bool:
        no_family_file = role in ("head", "spouse", "family") and year in (1987, 2021)
        return no_family_file or (role == "person" and year == 2023)

    partial = without(raw, gone)
    assert (missing_waves(raw), present_waves(raw)) == ([], list(WAVES))
    assert missing_waves(partial) == [
        f"PSID {year}: {name} is in no file; download {file} (or add the variable to the cart of a Data Center job)"
        for year, name, file in (
            (1987, "V13702", "FAM1987"), (2021, "ER78002", "FAM2021ER"), (2023, "ER35101", "IND2023ER"),
        )
    ]  # fmt: skip
    assert present_waves(partial) == [year for year in WAVES if year not in (1987, 2021, 2023)]


@pytest.mark.parametrize(
    ("gone", "named"),
    [
        (("sequence_number", "person", 1981), r"ER30344 \(1981\) \(sequence number\).* Take IND2023ER "),
        (("relation_to_head", "person", 1981), r"ER30345 \(1981\) \(relation to head\).* Take IND2023ER "),
        (
            ("occupation_1970", "head", 1981),
            r"V7712 \(1981\) \(occupation 1970 of the head\).* Take FAM1981 ",
        ),
        (
            ("occupation_2010", "spouse", 2023),
            r"ER82500 \(2023\) \(occupation 2010 of the .* Take FAM2023ER ",
        ),
        (("employment_status", "head", 1994), r"ER2069 \(1994\) \(employment status of .* Take FAM1994ER "),
        (("sex", "person", 0), r"ER32000 \(sex\).* Take IND2023ER "),
    ],
)
def test_a_wave_without_a_variable_it_needs_is_refused(raw: RawSurvey, gone: Key, named: str) -> None:
    with pytest.raises(InputError, match=rf"^PSID: {named}"):
        present_waves(without(raw, lambda *key: key == gone))


def test_variables_that_can_be_done_without_are_not_asked_for(raw: RawSurvey) -> None:
    heads = without(raw, lambda concept, role, year: role == "spouse")
    assert present_waves(heads, spouses=False) == list(WAVES)
    own = without(raw, lambda concept, role, year: concept == "employment_status" and role == "spouse")
    assert present_waves(own) == list(WAVES)
    neither = without(own, lambda *key: key == ("employment_status", "person", 1990))
    with pytest.raises(InputError, match=r"^PSID: V18395 \(1990\) \(employment status of the spouse\)"):
        present_waves(neither)
    # Nobody was asked for a spouse's race before 1985.
    early = without(raw, lambda concept, role, year: year > 1984)
    assert present_waves(early) == [1981, 1982, 1983, 1984]


@pytest.mark.parametrize(
    ("gone", "enough", "message"),
    [
        ([("race", "head")], ("race", "head"),
         r"race of the head is in none of the waves read \(1981 to 2023\); of 1981, for one, V8099 "
         r"\(race of the head, FAM1981\) is not there\. Take the files with all their variables, or add the variable"),
        ([("race", "spouse")], ("race", "spouse"),
         r"race of the spouse is in none .* of 1985, for one, V12293 \(race of the spouse, FAM1985\)"),
        ([("schooling", "head"), ("schooling", "person"), ("schooling", "spouse")], ("schooling", "person"),
         r"schooling of the head is in none .* neither V8039 \(schooling of the head, FAM1981\) nor ER30356 "
         r"\(schooling, IND2023ER\) is there"),
        ([("schooling", "person"), ("schooling", "spouse")], ("schooling", "spouse"),
         r"schooling of the spouse is in none"),
        ([("region", "family")], ("region", "family"),
         r"region is in none .* V8071 \(region, FAM1981\) is not there"),
        ([("birth_year", "person"), ("age", "person")], ("age", "person"),
         r"year of birth is in none .* of 1981, for one, ER30346 \(age, IND2023ER\) is not there"),
    ],
)  # fmt: skip
def test_what_no_wave_says_of_a_person_is_refused(
    raw: RawSurvey, gone: list[tuple[str, str]], enough: tuple[str, str], message: str
) -> None:
    with pytest.raises(InputError, match=rf"^PSID: {message}"):
        present_waves(without(raw, lambda *key: key[:2] in gone))
    in_one_wave = without(raw, lambda *key: key[:2] in gone and key != (*enough, 1991))
    assert present_waves(in_one_wave) == list(WAVES)


def test_files_without_any_whole_wave_are_refused(raw: RawSurvey) -> None:
    only_persons = without(raw, lambda concept, role, year: role != "person")
    with pytest.raises(InputError, match=r"no wave since 1981 in full. Put .* \(FAM1981 to FAM2023ER\)"):
        present_waves(only_persons)
    files = [missing.partition("; download ")[2].split()[0] for missing in missing_waves(only_persons)]
    assert files == [family_file(year) for year in WAVES]


@pytest.mark.parametrize(
    ("target", "source", "message"),
    [
        # Columns in the place of their neighbours.
        (("relation_to_head", "person", 1990), ("sequence_number", "person", 1990),
         r"ER30644 \(1990\) \(relation to head\) has 120 codes that the PSID does not document, of 120\."),
        (("relation_to_head", "person", 1982), ("relation_to_head", "person", 1983), r"ER30375 \(1982\)"),
        (("sequence_number", "person", 1990), ("age", "person", 1990), r"ER30643 \(1990\) \(sequence number\)"),
        (("employment_status", "head", 1990), ("age", "person", 1990), r".* of the head\) has 120 codes"),
        (("region", "family", 2005), ("schooling", "head", 2005), r"ER28042 \(2005\) \(region\)"),
        (("occupation_2000", "head", 2003), ("occupation_2010", "head", 2017), r"ER21145 \(2003\)"),
        (("sex", "person", 0), ("age", "person", 1990), r"ER32000 \(sex\) has 120 .* take IND2023ER and its own"),
        (("birth_year", "person", 1990), ("age", "person", 1990), r"ER\d+ \(1990\) \(birth year\)"),
        (("fam_interview_number", "family", 1990), ("age", "person", 1990),
         r"V17702 \(1990\) \(fam interview number\) has 118 interview numbers that differ from the person's, of 120"),
    ],
)  # fmt: skip
def test_a_column_that_is_another_is_refused(raw: RawSurvey, target: Key, source: Key, message: str) -> None:
    raw.values[target] = raw.values[source]
    with pytest.raises(InputError, match=rf"^PSID: {message}"):
        check_psid(raw)


def test_families_with_several_heads_or_without_any_are_refused(raw: RawSurvey) -> None:
    problems = {
        10: r".* has 60 heads of a family that has another, of 120\.",
        20: r"\(.*\) holds no head of a family\.",
    }
    for code, problem in problems.items():
        raw.values["relation_to_head", "person", 1999] = code
        with pytest.raises(InputError, match=rf"ER33503 \(1999\) {problem}"):
            check_psid(raw)


def test_some_wild_codes_are_no_other_column() -> None:
    """Five percent of 600 rows are tolerated, and twenty rows are too few to prove anything; no code is told."""
    numbers = [key for key in couples() if "interview_number" in key[0]]
    copies = [couples().copy() for _ in range(5)]
    for copy, further in enumerate(copies):
        further[numbers] += copy * FAMILIES
    values = pd.concat(copies, ignore_index=True).rename_axis("person")
    status = values.columns.get_loc(("employment_status", "head", 1990))
    values.iloc[:30, status] = 777
    check_psid(RawSurvey(values, {}, (), ()))
    check_psid(RawSurvey(values.iloc[:19], {}, (), ()))
    values.iloc[:31, status] = 777
    wild = r"\(1990\) \(employment status of the head\) has 31 codes .*, of 600\."
    with pytest.raises(InputError, match=wild) as refused:
        check_psid(RawSurvey(values, {}, (), ()))
    assert "777" not in str(refused.value)
