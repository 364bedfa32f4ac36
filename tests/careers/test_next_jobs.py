"""The next job by hand: the record that is asked for, titles in order, and what is refused with the nearest names."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from labor_llm.careers.next_jobs import likely_next_jobs, next_job_questions, typed_records
from labor_llm.careers.panel import career_panel, transitions
from labor_llm.errors import InputError

ABOUT = ["education=college", "gender=female", "ethnicity=White", "region = west"]


def test_the_likely_jobs_after_cooks_are_those_of_the_chain(chain_panel, chain_model):
    records = typed_records(["1990: Bakers", " 1992 (high school) :COOKS "], ABOUT, chain_panel)
    asked = next_job_questions(records, chain_panel, "the typed career")
    expected = asked.frame.drop(columns=["dataset", "birth_year"]).astype(str).to_numpy().tolist()
    who = ["female", "white", "west"]
    assert expected == [
        ["typed", "1990", "11", "college", *who], ["typed", "1992", "10", "high school", *who],
        ["typed", "1993", "10", "high school", *who],
    ]  # fmt: skip
    (career,) = likely_next_jobs(chain_model().predict(asked), asked)
    assert (career["worker_id"], career["year"], career["birth_year"]) == ("typed", 1993, None)
    assert [job["title"] for job in career["jobs"]] == [
        "Cooks", "Unemployed", "Bakers", "Out of labor force", "Waiters",
    ]  # fmt: skip
    np.testing.assert_allclose(
        [job["probability"] for job in career["jobs"]], [0.7, 0.1, 0.08, 0.07, 0.05], 1e-6
    )


def test_every_worker_is_asked_after_the_own_last_record_and_codes_are_known(chain_panel):
    some = chain_panel.restrict(chain_panel.workers[:4]).frame.drop(columns="dataset")
    text = some.astype(str).sample(frac=1, random_state=1).sort_values(["worker_id", "year"])
    asked = next_job_questions(text.set_axis(range(len(text))), chain_panel, "some.csv")
    table = transitions(asked).groupby("worker_id").tail(1)
    last = some.groupby("worker_id").tail(1)
    assert table["year"].tolist() == (last["year"] + 1).tolist()
    assert table["previous"].tolist() == last["occupation"].tolist()
    with pytest.raises(InputError, match=f"--year {last['year'].max()} is not after {last['year'].max()}"):
        next_job_questions(text, chain_panel, "some.csv", int(last["year"].max()))


@pytest.mark.parametrize(
    ("jobs", "about", "message"),
    [
        ([], ABOUT, "The career is empty. Give each job by --job"),
        (["1990 Cooks"], ABOUT, "--job '1990 Cooks': write '1990: Cooks'"),
        (["90: Cooks"], ABOUT, "--job '90: Cooks': write"),
        (["1990: "], ABOUT, "--job '1990: ': write"),
        (["1990: Cooks\nBakers"], ABOUT, "--job "),
        (["1991: Cooks", "1990: Bakers"], ABOUT, "--job '1990: Bakers' is not after that of 1991."),
        (["1991: Cooks", "1991: Bakers"], ABOUT, "--job '1991: Bakers' is not after that of 1991."),
        (["1990: Cooks"], ABOUT[1:], "Add --about education=VALUE: one of college, high school."),
        (["1990: Cooks"], ["age=7"], "--about 'age=7': write NAME=VALUE, of education, gender,"),
        (["1990: Cooks"], ["gender"], "--about 'gender': write NAME=VALUE"),
        (["1990: Cook"], ABOUT, "'1990: Cook', column occupation: 'Cook' is not known. Write 'Cooks' or "),
        (["1990: Cooks"], [*ABOUT, "region=mars"], "column region: 'mars' is not known. Write 'west' or 'south'."),
        (["1890: Cooks"], ABOUT, "the typed career, row 2, column year: '1890' is not a calendar year"),
        (["1990: Cooks"], [*ABOUT, "birth_year=1995"], "column birth_year: '1995' is not before the year"),
        (["2100: Cooks"], ABOUT, "the typed career, with the year that is asked for, row 3, column year: '2101'"),
    ],
)  # fmt: skip
def test_a_career_that_cannot_be_asked_about_is_refused(chain_panel, jobs, about, message):
    with pytest.raises(InputError) as error:
        next_job_questions(typed_records(jobs, about, chain_panel), chain_panel, "the typed career")
    assert message in str(error.value) and "\n" not in str(error.value)


def test_what_is_the_same_for_everybody_need_not_be_said(chain_panel):
    of_men = chain_panel.frame.drop(columns="dataset").assign(gender="male")
    men = career_panel(of_men, chain_panel.outcomes, "men")
    records = typed_records(["1990: 10"], [each for each in ABOUT if "gender" not in each], men)
    pd.testing.assert_series_equal(records["gender"], pd.Series({"--job '1990: 10'": "male"}, name="gender"))
