"""The resume of an invented worker, letter by letter."""

from __future__ import annotations

import dataclasses

import pandas as pd
import pytest

from labor_llm.careers.panel import CareerPanel
from labor_llm.errors import InputError
from labor_llm.text.templates import Resume, career_resume, continuation, invented_resume, resumes

CAREER = pd.DataFrame(
    {
        "worker_id": "invented",
        "year": [1984, 1985, 1988],
        "education": ["high school", "high school", "some college"],
        "gender": "female",
        "ethnicity": "black or african american",
        "region": "northcentral",
        "birth_year": pd.array([1963] * 3, dtype="Int64"),
    }
)
JOBS = ("Cooks", "Cooks, short order", "Secretaries and stenographers")

GOLDEN = (
    "<A worker from the PSID dataset>\n"
    "The following information is available about the work history of a female black or african american "
    "US worker residing in the northcentral region.\n"
    "The worker was born in 1963.\n"
    "The worker has the following records of work experience, one entry per line, including year, "
    "education level, and the job title:\n"
    "1984 (high school): Cooks\n"
    "1985 (high school): Cooks, short order\n"
    "1988 (some college): Secretaries and stenographers\n"
    "<END OF DATA>\n"
)


@pytest.fixture(scope="module")
def golden() -> Resume:
    return career_resume("PSID", CAREER, JOBS)


def test_the_resume_is_the_golden_text(golden: Resume) -> None:
    assert golden.text == GOLDEN
    assert golden.worker_id == "invented"


def test_the_spans_are_the_blank_the_title_and_the_end_of_the_line(golden: Resume) -> None:
    assert [golden.text[start:end] for start, end in golden.spans] == [
        " Cooks\n",
        " Cooks, short order\n",
        " Secretaries and stenographers\n",
    ]
    assert continuation("Cooks") == " Cooks\n"


def test_a_prompt_ends_at_the_colon_and_begins_the_next(golden: Resume) -> None:
    assert golden.prompt(0) == GOLDEN[: GOLDEN.index(" Cooks\n")]
    assert golden.prompt(0).endswith("the job title:\n1984 (high school):")
    assert golden.prompt(2).endswith("1985 (high school): Cooks, short order\n1988 (some college):")
    for record in range(2):
        line = golden.prompt(record) + continuation(JOBS[record])
        assert golden.prompt(record + 1).startswith(line)


@pytest.mark.parametrize("records", [1, 2])
def test_a_prompt_does_not_depend_on_what_comes_later(golden: Resume, records: int) -> None:
    shorter = career_resume("PSID", CAREER.head(records), JOBS[:records])
    assert shorter.prompt(records - 1) == golden.prompt(records - 1)
    assert golden.text.startswith(shorter.text.removesuffix("<END OF DATA>\n"))


LINE = "The worker was born in 1963.\n"


def test_an_unknown_birth_year_leaves_its_line_out() -> None:
    unknown = CAREER.assign(birth_year=pd.array([None] * 3, dtype="Int64"))
    assert career_resume("PSID", unknown, JOBS).text == GOLDEN.replace(LINE, "")


def test_a_career_without_records_has_no_resume() -> None:
    with pytest.raises(InputError, match="A career without records has no resume"):
        career_resume("PSID", CAREER.head(0), [])


def test_a_panel_gives_one_resume_a_worker_in_its_order(panel: CareerPanel) -> None:
    got = list(resumes(panel))

    assert [resume.worker_id for resume in got] == panel.workers
    assert sum(len(resume.spans) for resume in got) == len(panel.frame)
    realised = [resume.text[start + 1 : end - 1] for resume in got for start, end in resume.spans]
    assert realised == [panel.outcomes.title(code) for code in panel.frame["occupation"]]
    assert got[0].text.startswith("<A worker from the invented dataset>\n")
    # The worker w000 has no year of birth, w001 was born in 1951.
    assert ["born in" in resume.text for resume in got[:2]] == [False, True]
    assert "The worker was born in 1951.\n" in got[1].text


@pytest.mark.parametrize("survey", ["", " NLSY", "NLSY\n79", "NLSY <79>"])
def test_a_surveys_name_that_does_not_fit_one_line_is_refused(panel: CareerPanel, survey: str) -> None:
    with pytest.raises(InputError, match=r"The survey's name .* give it as one line of plain text"):
        next(resumes(dataclasses.replace(panel, survey=survey)))


def test_the_example_holds_no_career_of_the_panel(panel: CareerPanel) -> None:
    example = invented_resume(panel)
    assert example.worker_id == "invented"
    assert example.text.startswith("<A worker from the invented dataset>\n")
    assert len(example.spans) == 4
    assert example.text not in {resume.text for resume in resumes(panel)}
