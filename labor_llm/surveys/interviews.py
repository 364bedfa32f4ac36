"""Interviews: what a survey says of each person in each year, in one form for all surveys.

A survey's reader ends here; `labor_llm.surveys.conversion` makes the career panel of it. The two are apart
because the rules that turn interviews into records (age window, precedence of states, crosswalks) are the
same for every survey, and each of them is counted.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from labor_llm.errors import InputError

# 'not working': the files at hand cannot tell unemployed from out of the labor force.
EMPLOYMENT = (
    "working",
    "unemployed",
    "out of the labor force",
    "not working",
    "military",
    "unknown",
)
# Occupation codes by Census frame; those of 2002 on have four digits, of which Dorn's crosswalks use three.
FRAMES = ("census1970", "census1980", "census1990", "census2000", "census2002", "census2010")
PERSON_COLUMNS = ("gender", "ethnicity", "region", "birth_year")
INTERVIEW_COLUMNS = ("person", "year", "employment", "enrolled", "frame", "code", "schooling")


@dataclass(frozen=True)
class SurveyInterviews:
    """The interviews of a survey.

    Attributes:
        survey: the survey's name as the resume states it: PSID, NLSY79 or NLSY97.
        persons: index `person` (int64, unique, ascending); columns `gender`, `ethnicity`, `region` (text, 'unknown'
            where the survey does not say) and `birth_year` (Int64, NA where not known); optionally
            `family` (int64), the sampling unit above the person.
        interviews: one row a person and survey year in which the person was interviewed, sorted by both: `person`
            (int64), `year` (int64), `employment` (one of `EMPLOYMENT`), `enrolled` (boolean, NA where not known),
            `frame` (one of `FRAMES`, NA where no occupation question applies), `code` (Int64, occupation code of
            the main job as the file has it, NA where it is no occupation: missing, not reported), `schooling`
            (Int64, completed years of schooling, NA where not known).

    Raises:
        InputError: if the two tables do not have this form (a reader's fault, or files of another survey).
    """

    survey: str
    persons: pd.DataFrame
    interviews: pd.DataFrame

    def __post_init__(self) -> None:
        problem = self._problem()
        if problem:
            raise InputError(f"{self.survey}: {problem}. Check that the files are those of this survey.")

    def _problem(self) -> str | None:
        for table, columns in ((self.persons, PERSON_COLUMNS), (self.interviews, INTERVIEW_COLUMNS)):
            if missing := [column for column in columns if column not in table.columns]:
                return f"the readers gave no {missing[0]}"
        if self.interviews.empty:
            return "the files hold no interview"
        if self.interviews.duplicated(["person", "year"]).any():
            return "a person was interviewed twice in a year"
        if not self.interviews["person"].isin(self.persons.index).all():
            return "an interview belongs to no person"
        if unknown := set(self.interviews["employment"].unique()) - set(EMPLOYMENT):
            return f"employment holds {sorted(unknown)[0]!r}"
        if unknown := set(self.interviews["frame"].dropna().unique()) - set(FRAMES):
            return f"frame holds {sorted(unknown)[0]!r}"
        return None
