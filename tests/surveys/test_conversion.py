"""Surveys by name: the variables to download, options as text or values, from their files to a panel."""

import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

from labor_llm.errors import InputError
from labor_llm.simulation.files.writing import CROSSWALKS, RAW, write_simulated_survey
from labor_llm.surveys.conversion import (
    SURVEYS,
    convert_survey,
    questions,
    survey_options,
    tagset,
    variable_list,
    write_variable_lists,
)
from labor_llm.surveys.nls.codebooks import parse_sdf
from labor_llm.surveys.nls.nlsy79 import Nlsy79Options
from labor_llm.surveys.rules import RecordOptions
from labor_llm.surveys.variables import variables_of


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulated") / "nlsy79"
    write_simulated_survey(folder, "nlsy79", workers=130, seed=2)
    return folder


def convert(folder: Path, raw: Path, **further):
    return convert_survey("nlsy79", raw, folder / CROSSWALKS, "sim", other_crosswalks=True, **further)


def test_options_change_what_is_kept_and_counts_of_few_are_left_out(simulated):
    panel, conversion = convert(simulated, simulated / RAW, settings=["first_age=30", "last_age=40"])
    age = panel.frame["year"] - panel.frame["birth_year"]
    assert (age.min(), age.max()) == (30, 40)
    assert conversion.options["first_age"] == 30
    assert conversion.steps[0].records > conversion.steps[-1].records
    counts = [count for row in conversion.coverage for count in (row.interviewed, row.kept)]
    assert min(count for count in counts if count) >= 11


def test_a_wave_that_is_not_in_the_files_gives_no_records(simulated, tmp_path):
    described = simulated / RAW / "simulated.sdf"
    shutil.copy(described, tmp_path)
    entries = parse_sdf(described.read_text().splitlines())
    of_1990 = [reference for reference, entry in entries.items() if entry.year == 1990]
    table = pd.read_csv(simulated / RAW / "simulated.csv", dtype=str).drop(columns=of_1990)
    table.to_csv(tmp_path / "simulated.csv", index=False)
    panel, conversion = convert(simulated, tmp_path)
    assert {1990, 1991} & set(panel.frame["year"]) == {1991}
    assert 1990 not in {row.year for row in conversion.coverage}
    (missing,) = conversion.missing_waves
    assert missing.startswith("NLSY79 1990: no occupation")
    assert "labor-llm variables nlsy79" in missing
    # What a survey's reader refuses is refused by name.
    table.drop(columns="R0214700").to_csv(tmp_path / "simulated.csv", index=False)
    with pytest.raises(InputError, match=r"R0214700 SAMPLE_RACE.*labor-llm variables nlsy79"):
        convert(simulated, tmp_path)


def test_a_conversion_that_cannot_be_is_refused(simulated, tmp_path):
    with pytest.raises(InputError, match=r"no interview becomes a record \(read [\d,]+, in range 0"):
        convert(simulated, simulated / RAW, settings=["first_age=99", "last_age=99"])
    with pytest.raises(InputError, match="occ1970_occ1990dd"):  # simulated crosswalks are no known version
        convert_survey("nlsy79", simulated / RAW, simulated / CROSSWALKS, "sim")
    crosswalks = simulated / CROSSWALKS
    with pytest.raises(InputError, match="column map is for NLS extracts"):
        convert_survey("psid", tmp_path, crosswalks, "sim", column_map=tmp_path, other_crosswalks=True)


def test_options_have_names_of_their_own_and_are_read_as_their_type():
    for survey in SURVEYS:
        records, own = survey_options(survey, [])
        assert not set(vars(records)) & set(vars(own))
    records, own = survey_options("nlsy79", ["first_age=16", "frame_1982_2000 = census1970"])
    assert records == RecordOptions(first_age=16)
    assert own == Nlsy79Options(frame_1982_2000="census1970")
    assert survey_options("nlsy79", {"last_age": 65})[0].last_age == 65


@pytest.mark.parametrize(
    ("survey", "settings", "message"),
    [
        ("nlsy79", ["age=3"], "'age' is no option of nlsy79; there are .*first_age"),
        ("nlsy79", ["first_age"], "'first_age' is no option; write NAME=VALUE"),
        ("nlsy79", ["first_age=1", "first_age=2"], "'first_age' stands twice"),
        ("nlsy79", ["first_age=young"], "option first_age: .*; given 'young'"),
        ("nlsy79", ["undetermined=lazy"], "option undetermined: .*'out of the labor force'"),
        ("nlsy79", ["first_age=50", "last_age=20"], "^first_age 50 is above last_age 20"),
        ("nlsy79", {"first_age": -1}, "^first_age -1 is above last_age 80, or negative"),
        ("nlsy79", {"first_year": 2000, "last_year": 1990}, "^first_year 2000 is after last_year 1990"),
        ("nlsy79", {"first_year": -1}, "^first_year and last_year must be 0 or a year, and"),
        ("nlsy79", {"fewest_records": 0}, "fewest_records at least 1"),
        ("psid", {"consistency": "warn"}, r"option consistency: .*'refuse' or 'ignore'; given 'warn'"),
    ],
)
def test_options_that_are_none_are_named(survey, settings, message):
    with pytest.raises(InputError, match=message):
        survey_options(survey, settings)


@pytest.mark.parametrize("survey", SURVEYS)
def test_every_variable_has_one_key_and_one_name(survey: str) -> None:
    variables = SURVEYS[survey].variables()
    assert all(variable.name or variable.question for variable in variables)
    for names in (
        [variable.key for variable in variables],
        [found.name for found in variables if found.name],
    ):
        assert len(set(names)) == len(names)


@pytest.mark.parametrize("survey", ["nlsy79", "nlsy97"])
def test_every_variable_stands_in_the_tagset_or_is_searched(tmp_path: Path, survey: str) -> None:
    written = write_variable_lists(survey, tmp_path / "lists")
    assert [path.name for path in written] == [f"{survey}.{survey.upper()}", f"{survey}_questions.csv"]
    lines = written[0].read_bytes().decode().removesuffix("\n").split("\n")
    assert all(re.fullmatch(r"[A-Z]\d{7}", line) for line in lines)
    # The respondent's number is no variable of the table, and no extract is read without it.
    assert lines == sorted(set(lines)) == tagset(survey) and "R0000100" in lines

    rows = pd.read_csv(written[1], dtype=str, keep_default_na=False)
    assert rows.to_dict("records") == questions(survey)
    searched, arrays = set(), []
    for row in questions(survey):
        arrays.append((row["question"], row["last_question"]))
        for span in re.findall(r"\d{4}(?:-\d{4})?", row["survey_year"]):
            years = [int(year) for year in span.split("-")]
            searched |= {(row["question"], year) for year in range(years[0], years[-1] + 1)}
    for variable in SURVEYS[survey].variables():
        if variable.name:
            assert variable.name in lines
        elif variable.concept == "weekly_status":
            assert any(first <= variable.question <= last for first, last in arrays)
        else:
            assert (variable.question, variable.year) in searched


def test_questions_of_many_years_and_weeks_are_ranges() -> None:
    rows = {row["question"]: row for row in questions("nlsy97")}
    years = "1997-2001 2003-2007 2009-2011 2013 2015 2017 2019 2021 2023"
    assert rows["YEMP_OCCODE-2002.02"]["survey_year"] == years
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
    named = dict(zip(lines[::2], lines[1::2], strict=True))
    assert "V7712" in named[lines[0]].split() and "ER30343" in named[lines[-2]].split()
    assert sorted(" ".join(named.values()).split()) == sorted(v.name for v in variables_of("psid"))


@pytest.mark.parametrize("survey", SURVEYS)
def test_the_printed_list_holds_every_name(survey: str) -> None:
    text = variable_list(survey)
    uncommented = " ".join(line for line in text.splitlines() if not line.startswith("#"))
    assert sorted(uncommented.split()) == sorted(tagset(survey))
    assert all(row["question"] in text for row in questions(survey))


@pytest.mark.parametrize(
    "function", [tagset, questions, variable_list, lambda name: survey_options(name, [])]
)
def test_an_unknown_survey_is_refused(function) -> None:
    with pytest.raises(InputError, match="'cps' is no survey; known are psid, nlsy79, nlsy97"):
        function("cps")
