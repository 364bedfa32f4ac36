"""The resume of an invented worker, letter by letter."""

import dataclasses

import pandas as pd
import pytest

from labor_llm.errors import InputError
from labor_llm.text.templates import career_resume, invented_resume, resumes

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
BORN = "The worker was born in 1963.\n"
GOLDEN = (
    "<A worker from the PSID dataset>\n"
    "The following information is available about the work history of a female black or african american "
    "US worker residing in the northcentral region.\n"
    f"{BORN}"
    "The worker has the following records of work experience, one entry per line, including year, "
    "education level, and the job title:\n"
    "1984 (high school): Cooks\n"
    "1985 (high school): Cooks, short order\n"
    "1988 (some college): Secretaries and stenographers\n"
    "<END OF DATA>\n"
)


def test_the_resume_is_the_golden_text_and_its_spans_and_prompts_are_where_its_titles_are():
    got = career_resume("PSID", CAREER, JOBS)
    assert (got.worker_id, got.text) == ("invented", GOLDEN)
    assert [got.text[start:end] for start, end in got.spans] == [f" {job}\n" for job in JOBS]
    # A prompt ends at the colon and does not depend on what comes later.
    for records, job in enumerate(JOBS, start=1):
        shorter = career_resume("PSID", CAREER.head(records), JOBS[:records])
        assert shorter.prompt(records - 1) == got.prompt(records - 1) == GOLDEN[: GOLDEN.index(f" {job}\n")]
    unknown = CAREER.assign(birth_year=pd.array([None] * 3, dtype="Int64"))
    assert career_resume("PSID", unknown, JOBS).text == GOLDEN.replace(BORN, "")


def test_a_panel_gives_one_resume_a_worker_in_its_order(panel):
    got = list(resumes(panel))
    assert [resume.worker_id for resume in got] == panel.workers
    example = invented_resume(panel)
    assert len(example.spans) == 4 and example.text not in {resume.text for resume in got}
    realised = [resume.text[start + 1 : end - 1] for resume in got for start, end in resume.spans]
    assert realised == [panel.outcomes.title(code) for code in panel.frame["occupation"]]
    assert got[0].text.startswith("<A worker from the invented dataset>\n")
    # The worker w000 has no year of birth, w001 was born in 1951.
    assert "born in" not in got[0].text
    assert "The worker was born in 1951.\n" in got[1].text


def test_what_makes_no_resume_is_refused(panel):
    with pytest.raises(InputError, match="A career without records has no resume"):
        career_resume("PSID", CAREER.head(0), [])
    with pytest.raises(InputError, match="must end with the end of a line"):
        next(resumes(panel, "no line end"))
    for survey in ("", " NLSY", "NLSY\n79", "NLSY <79>"):
        with pytest.raises(InputError, match=r"The survey's name .* give it as one line of plain text"):
            next(resumes(dataclasses.replace(panel, survey=survey)))
