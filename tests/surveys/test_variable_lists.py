"""The lists of variables: the form that the download tools take, and that no variable is left out of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from labor_llm.errors import InputError
from labor_llm.surveys.nls.nlsy79 import nlsy79_variables
from labor_llm.surveys.nls.nlsy97 import nlsy97_variables
from labor_llm.surveys.registry import SURVEYS
from labor_llm.surveys.variable_lists import (
    psid_files,
    questions,
    tagset,
    variable_list,
    write_variable_lists,
)
from labor_llm.surveys.variables import Variable, variables_of


@pytest.mark.parametrize("survey", ["nlsy79", "nlsy97"])
def test_a_tagset_holds_one_reference_number_a_line(tmp_path: Path, survey: str) -> None:
    written = write_variable_lists(survey, tmp_path / "lists")

    assert [path.name for path in written] == [f"{survey}.{survey.upper()}", f"{survey}_questions.csv"]
    text = written[0].read_bytes().decode()
    lines = text.removesuffix("\n").split("\n")
    assert all(re.fullmatch(r"[A-Z]\d{7}", line) for line in lines)
    assert text.endswith("\n")
    assert lines == sorted(set(lines)) == tagset(survey)
    # The respondent's number is no variable of the table, and no extract is read without it.
    assert "R0000100" in lines


@pytest.mark.parametrize(
    ("survey", "variables"), [("nlsy79", nlsy79_variables), ("nlsy97", nlsy97_variables)]
)
def test_every_variable_has_a_number_or_is_searched(survey: str, variables: object) -> None:
    known, rows = set(tagset(survey)), questions(survey)
    searched = {(row["question"], year) for row in rows for year in _years(row["survey_year"])}
    arrays = [(row["question"], row["last_question"]) for row in rows if row["last_question"]]

    for variable in variables():
        if variable.name:
            assert variable.name in known
        elif variable.concept == "weekly_status":
            width = len(variable.question)
            assert any(first <= variable.question <= last and len(first) == width for first, last in arrays)
        else:
            assert (variable.question, variable.year) in searched


def _years(text: str) -> list[int]:
    spans = [[int(year) for year in span.split("-")] for span in text.split() if span not in ("XRND", "any")]
    return [year for span in spans for year in range(span[0], span[-1] + 1)]


def test_questions_of_many_years_and_weeks_are_ranges() -> None:
    rows = {row["question"]: row for row in questions("nlsy97")}

    assert (
        rows["YEMP_OCCODE-2002.02"]["survey_year"]
        == "1997-2001 2003-2007 2009-2011 2013 2015 2017 2019 2021 2023"
    )
    assert rows["EMP_STATUS_2022.01"] == {
        "question": "EMP_STATUS_2022.01", "last_question": "EMP_STATUS_2022.53", "survey_year": "XRND",
        "measures": "weekly_status",
    }  # fmt: skip
    assert questions("psid") == []


def test_the_cart_names_each_psid_variable_in_its_file(tmp_path: Path) -> None:
    names, files = write_variable_lists("psid", tmp_path)

    assert (names.name, files.name) == ("psid_variables.txt", "psid_files.txt")
    assert names.read_text().split("\n")[:-1] == tagset("psid")
    lines = files.read_text().splitlines()
    assert lines[0] == "# FAM1981, packaged as fam1981.zip"
    assert lines[-2] == "# IND2023ER, packaged as ind2023er.zip"
    assert sorted(name for line in lines[1::2] for name in line.split(" ")) == sorted(tagset("psid"))
    assert {variable.name for variable in variables_of("psid")} == set(tagset("psid"))


def test_a_psid_variable_belongs_to_the_family_file_of_its_wave() -> None:
    variables = [
        Variable("region", 1993, "V1", role="family"),
        Variable("occupation_1970", 1994, "ER1", role="spouse"),
        Variable("age", 1994, "ER3", role="person"),
        Variable("age", 1994, "ER3", role="person"),
    ]

    assert psid_files(variables) == {"FAM1993": ["V1"], "FAM1994ER": ["ER1"], "IND2023ER": ["ER3"]}


@pytest.mark.parametrize("survey", SURVEYS)
def test_the_printed_list_holds_every_name(survey: str) -> None:
    text = variable_list(survey)
    uncommented = " ".join(line for line in text.splitlines() if not line.startswith("#"))

    assert sorted(uncommented.split()) == sorted(tagset(survey))
    assert all(row["question"] in text for row in questions(survey))


def test_an_unknown_survey_is_refused() -> None:
    for function in (tagset, questions, variable_list):
        with pytest.raises(InputError, match="'cps' is no survey; known are psid, nlsy79, nlsy97"):
            function("cps")
