"""PSID: the Panel Study of Income Dynamics from 1981, from its variables to interviews.

Heads of families (reference persons) and their spouses or partners, asked every year to 1997 and every second
year since; no other member of a family is asked for an occupation.

* **Who**: relation 1 or 10 (head), 2, 20 or 22 (spouse, partner), with a sequence number from 1 to 20 in that
  wave: in the family at the interview. Who moved out or died since the last wave keeps an interview number
  and the old relation, but the variables of head and spouse describe whoever is that now.
* **Employment**: the status of head or spouse, from 1994 the first of its mentions. Where the spouse's is
  missing, the status that the individual file has of every person. A student (7) is enrolled.
* **Occupation**: the main job's, by the Census of 1970 to 2001, of 2000 (three digits) from 2003 to 2015 and of
  2010 (four digits) since. From 2003 one question holds the present or last job, so that a code counts only
  of persons who work. Codes of the armed forces, in 1970 the PSID's own 600, are the state `military`.
* **Schooling**: grades completed, of head or spouse (1981 to 1984, since 1991) or, where that is missing, of the
  individual file; 17 is any graduate work. 0 is missing: it is also the code of persons not asked.

Sources: PSID cross-year index; the recodes of PSID-SHELF, for race codes of each period and non-codes.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal, get_args, get_type_hints

import numpy as np
import pandas as pd

from labor_llm.errors import InputError
from labor_llm.surveys.interviews import SurveyInterviews
from labor_llm.surveys.psid_agreement import check_agreement
from labor_llm.surveys.psid_persons import psid_persons
from labor_llm.surveys.psid_waves import (
    SURVEY,
    check_psid,
    codes,
    heads_and_spouses,
    missing_waves,
    occupation_of_wave,
    present_waves,
)
from labor_llm.surveys.variables import RawSurvey

__all__ = ["PsidOptions", "check_psid", "is_occupation", "missing_waves", "psid_interviews"]

_OUT = "out of the labor force"
# Retired, permanently disabled, keeping house, student; 2 and 8 are options.
_EMPLOYMENT = {1: "working", 3: "unemployed", 4: _OUT, 5: _OUT, 6: _OUT, 7: _OUT}
_LAID_OFF, _STUDENT, _OTHER = 2, 7, 8
# Inapplicable, not known, refused, and one wild code a frame.
NO_OCCUPATION = {
    "census1970": (0, 810, 997, 998, 999),
    "census2000": (0, 615, 999),
    "census2010": (0, 9999),
}
# 600 is the PSID's own code, 580 the Census's; the later frames tell four ranks apart.
MILITARY = {
    "census1970": (580, 600),
    "census2000": (980, 981, 982, 983),
    "census2010": (9800, 9810, 9820, 9830),
}
_GRADES = (1, 17)


@dataclass(frozen=True)
class PsidOptions:
    """Choices of the PSID reader.

    Attributes:
        members: whose records are taken; the spouse's answers are mostly given by the head.
        laid_off: what status 2 counts as (temporarily laid off, or on sick or maternity leave: the job is held,
            and its occupation is asked for).
        other_status: what status 8 counts as (other: prison, workfare, and the like).
        consistency: what becomes of files that contradict each other, as if those of two waves were mixed up
            (`check_agreement`).

    Raises:
        InputError: if a choice is none of these.
    """

    members: Literal["heads and spouses", "heads only"] = "heads and spouses"
    laid_off: Literal["working", "unemployed", "out of the labor force"] = "working"
    other_status: Literal["out of the labor force", "unemployed", "unknown"] = "out of the labor force"
    consistency: Literal["refuse", "ignore"] = "refuse"

    def __post_init__(self) -> None:
        choices = get_type_hints(type(self))
        for field in fields(self):
            chosen, allowed = getattr(self, field.name), get_args(choices[field.name])
            if chosen not in allowed:
                raise InputError(
                    f"{SURVEY}: {field.name} is {chosen!r}; choose one of {', '.join(map(repr, allowed))}."
                )


def psid_interviews(raw: RawSurvey, options: PsidOptions | None = None) -> SurveyInterviews:
    """Return the interviews of heads and spouses since 1981.

    Waves that the files lack have no interviews: see `missing_waves`. `code` and `frame` are given where
    `employment` is 'working'. `enrolled` is True of students, False of any other known status (the question takes
    a person's main status: a student who works counts as working).

    Args:
        raw: the variables of `variables_of("psid")` that the files have, family variables beside each person.
        options: the rules that can be chosen.

    Raises:
        InputError: naming variable, wave and file, if a wave lacks a variable without which it has no records, if
            none is there in full, if all waves lack what a resume says of a person (`present_waves`), if the codes
            show that a column was renamed or shifted (`check_psid`), or if the files contradict each other.
    """
    options = options or PsidOptions()
    spouses = options.members == "heads and spouses"
    waves = present_waves(raw, spouses)
    check_psid(raw)
    if options.consistency == "refuse":
        check_agreement(raw, waves, spouses)
    records = pd.concat([_records(raw, wave, spouses) for wave in waves], ignore_index=True)
    records = records.sort_values(["row", "year"], ignore_index=True)
    if records.empty:
        raise InputError(
            f"{SURVEY}: no head or spouse in any of the waves read. Take a Data Center job with all individuals, "
            "or the individual file as downloaded."
        )
    return SurveyInterviews(SURVEY, psid_persons(raw, records), _interviews(records, options))


def is_occupation(frame: str, occupation: np.ndarray) -> np.ndarray:
    """Tell which codes of a frame are civilian occupations in the PSID: not missing, wild or the armed forces."""
    return (occupation > 0) & ~np.isin(occupation, (*NO_OCCUPATION[frame], *MILITARY[frame]))


def _records(raw: RawSurvey, wave: int, spouses: bool) -> pd.DataFrame:
    """Return a wave's heads and spouses with their codes, int64 and -1 where there is none; plus `frame`."""
    head, spouse = heads_and_spouses(raw, wave)
    rows = np.flatnonzero(head | spouse if spouses else head)
    is_head = head[rows]

    def own(concept: str) -> np.ndarray:
        of_head, of_spouse = (codes(raw, concept, role, wave)[rows] for role in ("head", "spouse"))
        return np.where(is_head, of_head, of_spouse)

    occupation, frame = occupation_of_wave(wave)
    status = own("employment_status")
    stand_in = codes(raw, "employment_status", "person", wave)[rows]
    status = np.where(~is_head & ~np.isin(status, range(1, 9)), stand_in, status)
    grades = own("schooling")
    stand_in = codes(raw, "schooling", "person", wave)[rows]
    return pd.DataFrame(
        {
            "row": rows,
            "person": raw.values.index.to_numpy("int64")[rows],
            "year": np.int64(wave),
            "status": status,
            "frame": frame,
            "occupation": own(occupation),
            "schooling": np.where(_is_grade(grades), grades, stand_in),
            "race": own("race"),
            "hispanic": own("hispanic"),
            "region": codes(raw, "region", "family", wave)[rows],
        }
    )


def _interviews(records: pd.DataFrame, options: PsidOptions) -> pd.DataFrame:
    meaning = _EMPLOYMENT | {_LAID_OFF: options.laid_off, _OTHER: options.other_status}
    employment = records["status"].map(meaning).astype(object).fillna("unknown")
    occupation = records["occupation"].to_numpy()
    coded, military = np.zeros(len(records), bool), np.zeros(len(records), bool)
    for frame in NO_OCCUPATION:
        inside = (records["frame"] == frame).to_numpy()
        coded |= inside & is_occupation(frame, occupation)
        military |= inside & np.isin(occupation, MILITARY[frame])
    employment = employment.mask((employment == "working") & military, "military")
    working = employment == "working"
    known = records["status"].isin(meaning)
    grades = records["schooling"]
    return pd.DataFrame(
        {
            "person": records["person"],
            "year": records["year"],
            "employment": employment,
            "enrolled": (records["status"] == _STUDENT).astype("boolean").mask(~known),
            "frame": records["frame"].astype(object).where(working, None),
            "code": records["occupation"].astype("Int64").where(working & coded),
            "schooling": grades.astype("Int64").where(_is_grade(grades)),
        }
    )


def _is_grade(grades: np.ndarray | pd.Series) -> np.ndarray | pd.Series:
    return (grades >= _GRADES[0]) & (grades <= _GRADES[1])
