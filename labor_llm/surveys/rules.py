"""Interviews, one form for all surveys, and the rules that make career records of them.

A survey's reader ends with `SurveyInterviews`; the rules (age window, precedence of states, crosswalks) are the same
for every survey, and what each step leaves is counted.

A record's occupation is, in this order unless an option says otherwise: the occupation of the main job for who
works; in education for who is enrolled; unemployed; out of the labor force. Interviews that give none of these
are left out. The paper's own rules are not known in full; the defaults follow what is believed of them (ages 18 to
80, students without a job in education).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from labor_llm.careers.panel import HOUSEHOLD
from labor_llm.crosswalks.mapping import Crosswalks
from labor_llm.errors import InputError


@dataclass(frozen=True)
class SurveyInterviews:
    """The interviews of a survey.

    Attributes:
        survey: the survey's name as the resume states it: PSID, NLSY79 or NLSY97.
        persons: index `person` (int64, unique, ascending); columns `gender`, `ethnicity`, `region` (text, 'unknown'
            where the survey does not say) and `birth_year` (Int64, NA where not known); where the files tell it
            `household` (text), the sampling unit above the person.
        interviews: one row a person and survey year in which the person was interviewed, sorted by both: `person`
            (int64), `year` (int64), `employment` ('working', 'unemployed', 'out of the labor force', 'military',
            'unknown', or 'not working': unemployed or not, which the files at hand cannot tell), `enrolled` (boolean,
            NA where not known), `frame` (of `FRAME_FILES`, NA where no occupation question applies), `code` (Int64,
            occupation code of the main job as the file has it, NA where it is no occupation: missing, not reported),
            `schooling` (Int64, completed years of schooling, NA where not known).

    Raises:
        InputError: if there is no interview.
    """

    survey: str
    persons: pd.DataFrame
    interviews: pd.DataFrame

    def __post_init__(self) -> None:
        if self.interviews.empty:
            raise InputError(
                f"{self.survey}: the files hold no interview. Check that the files are those of this survey."
            )


STEPS = {
    "read": "Interviews in the files",
    "in range": "Year and age within the window, year of birth known",
    "coded": "Working with an occupation code, or in one of the three other states",
    "mapped": "Occupation code has an occ1990dd occupation",
    "kept": "Worker has enough records",
}
# Completed years of schooling above which each of the template's levels lies.
_LEVELS = {
    "less than high school": -1,
    "high school": 11,
    "some college": 12,
    "college": 15,
    "graduate degree": 16,
}


@dataclass(frozen=True)
class RecordOptions:
    """How an interview becomes a record.

    Attributes:
        first_age: youngest age, in years, in the survey year (survey year minus year of birth).
        last_age: oldest age.
        first_year: first survey year; 0 for all.
        last_year: last survey year; 0 for all.
        education: where "in education" stands among the states: `after work` (enrolled and not working),
            `before work` (enrolled, working or not), `after unemployment` (enrolled, neither working nor unemployed).
        undetermined: the state of who does not work where the files cannot tell unemployed from out of the
            labor force: `out of the labor force`, `unemployed`, or `exclude`.
        military: what becomes of records in the armed forces, which occ1990dd does not hold: `exclude`, or
            `out of the labor force` (the civilian one).
        fewest_records: workers with fewer records are left out.
    """

    first_age: int = 18
    last_age: int = 80
    first_year: int = 0
    last_year: int = 0
    education: Literal["after work", "before work", "after unemployment"] = "after work"
    undetermined: Literal["out of the labor force", "unemployed", "exclude"] = "out of the labor force"
    military: Literal["exclude", "out of the labor force"] = "exclude"
    fewest_records: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.first_age <= self.last_age:
            raise InputError(f"first_age {self.first_age} is above last_age {self.last_age}, or negative.")
        if self.first_year < 0 or self.last_year < 0 or self.fewest_records < 1:
            raise InputError("first_year and last_year must be 0 or a year, and fewest_records at least 1.")
        if self.last_year and self.first_year > self.last_year:
            raise InputError(f"first_year {self.first_year} is after last_year {self.last_year}.")


def coded_records(
    interviews: SurveyInterviews, crosswalks: Crosswalks, options: RecordOptions
) -> pd.DataFrame:
    """Return every interview with its occupation and the step that it reaches.

    Returns:
        The columns of `SurveyInterviews.interviews` and `occupation` (code of the outcome space, None if
        none), `step` (the last of `STEPS` that the interview reaches), `works` (whether an occupation is asked of it)
        and `undetermined` (whether the option of that name decided the state).

    Raises:
        InputError: if a Census frame's codes are those of another frame, or its crosswalk is missing.
    """
    table = interviews.interviews.reset_index(drop=True)
    _check_frames(interviews.survey, table, crosswalks)
    mapped, military = _mapped(table, crosswalks)
    employment = table["employment"].mask(military & (table["employment"] == "working"), "military")
    state = _states(employment, table["enrolled"], options)
    works = (state == "work").to_numpy()
    has_code = table["code"].notna().to_numpy()
    occupation = state.where(~works, mapped)
    in_range = _in_range(table, interviews.persons, options)
    coded = in_range & np.where(works, has_code, state.notna())
    reached = coded & occupation.notna().to_numpy()
    records = pd.Series(reached).groupby(table["person"]).transform("sum").to_numpy()
    kept = reached & (records >= options.fewest_records)
    steps = list(STEPS)
    step = np.select([kept, reached, coded, in_range], steps[:0:-1], default=steps[0])
    undetermined = (employment == "not working") & (state != "education") & state.notna()
    return table.assign(
        occupation=occupation.where(reached, None).astype(object),
        step=step,
        works=works,
        undetermined=undetermined,
    )


def records_at(coded: pd.DataFrame, step: str) -> pd.DataFrame:
    """Return the interviews that reach a step or go beyond it."""
    steps = list(STEPS)
    return coded[coded["step"].isin(steps[steps.index(step) :])]


def career_frame(coded: pd.DataFrame, persons: pd.DataFrame) -> pd.DataFrame:
    """Return the kept records with the columns of a career panel, sorted by worker and year, and `HOUSEHOLD` if known.

    Years of schooling become the template's levels; a year without an answer takes the worker's last earlier one.
    """
    # Schooling is carried forward over all interviews, also those that give no record.
    schooling = coded.groupby("person")["schooling"].ffill()
    kept = coded.assign(schooling=schooling)[coded["step"] == "kept"]
    frame = pd.DataFrame(
        {
            "worker_id": kept["person"].astype(str),
            "year": kept["year"],
            "occupation": kept["occupation"],
            "education": education_levels(kept["schooling"]),
        }
    )
    static = persons.loc[kept["person"], ["gender", "ethnicity", "region", "birth_year"]]
    frame[static.columns] = static.to_numpy()
    if "household" in persons:
        frame[HOUSEHOLD] = persons.loc[kept["person"], "household"].to_numpy()
    return frame.sort_values(["worker_id", "year"], ignore_index=True)


def education_levels(schooling: pd.Series) -> pd.Series:
    """Return the template's level for completed years of schooling, 'unknown' where they are."""
    level = pd.cut(schooling.astype("float64"), [*_LEVELS.values(), 99], labels=list(_LEVELS))
    return level.astype(object).where(level.notna(), "unknown")


def worded(codes: pd.Series | np.ndarray, words: Mapping[int, str]) -> np.ndarray:
    """Return the words for codes, 'unknown' for codes without one."""
    return pd.Series(codes).map(words).astype(object).fillna("unknown").to_numpy()


def sorted_interviews(parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Return the interviews of several years in one table, sorted by person and year."""
    return pd.concat(parts, ignore_index=True).sort_values(["person", "year"], ignore_index=True)


def _check_frames(survey: str, table: pd.DataFrame, crosswalks: Crosswalks) -> None:
    """Refuse codes of another Census frame, which would map to other occupations without a trace."""
    coded = table[table["code"].notna() & table["frame"].notna()]
    crosswalks.require(sorted(coded["frame"].unique()))
    for frame, part in coded.groupby("frame"):
        # A year alone first: in the pool of all years one wrong year would not show.
        for year, codes in [*part.groupby("year")["code"], (None, part["code"])]:
            if finding := crosswalks.wrong_frame(str(frame), codes):
                when = "all years" if year is None else str(year)
                raise InputError(
                    f"{survey}, {frame}, {when}: {finding} Check the variable that holds the occupation then, or the "
                    "column map."
                )


def _mapped(table: pd.DataFrame, crosswalks: Crosswalks) -> tuple[pd.Series, pd.Series]:
    """Return the occ1990dd code of each interview's occupation (None if none), and whether it is military."""
    mapped = pd.Series(None, index=table.index, dtype=object)
    military = pd.Series(False, index=table.index)
    coded = table["code"].notna()
    for frame, codes in table.loc[coded, "code"].groupby(table.loc[coded, "frame"]):
        targets = crosswalks.map(frame, codes).astype(object)
        mapped[codes.index] = targets.where(targets.notna(), None)
        military[codes.index] = crosswalks.military(frame, codes).to_numpy(bool)
    return mapped, military


def _states(employment: pd.Series, enrolled: pd.Series, options: RecordOptions) -> pd.Series:
    """Return 'work', a state's code, or None where the interview tells none."""
    before = {
        "before work": [],
        "after work": ["working", "unknown", "military"],
        "after unemployment": ["working", "unemployed", "unknown", "military"],
    }[options.education]
    out = "out_of_labor_force"
    codes = {
        "working": "work",
        "unemployed": "unemployed",
        "out of the labor force": out,
        "not working": {"out of the labor force": out, "unemployed": "unemployed"}.get(options.undetermined),
        "military": out if options.military == "out of the labor force" else None,
    }
    state = employment.map(codes).astype(object)
    studies = enrolled.fillna(False).astype(bool) & ~employment.isin(before)
    return state.where(state.notna(), None).mask(studies, "education")


def _in_range(table: pd.DataFrame, persons: pd.DataFrame, options: RecordOptions) -> np.ndarray:
    age = table["year"] - table["person"].map(persons["birth_year"]).astype("Float64")
    within = age.between(options.first_age, options.last_age).fillna(False)
    within &= table["year"].between(options.first_year, options.last_year or np.inf)
    return within.to_numpy(bool)
