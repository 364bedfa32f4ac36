"""The waves of the PSID: which file each needs, which are at hand, and whether their columns are what they should be.

The PSID was asked every year to 1997 and every second year since. A wave needs its family file (FAM1981 ...
FAM2023ER) and its variables in the one cross-year individual file; a Data Center job holds both. From 1981 the
family file has the three-digit occupation of head and spouse in every wave.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd

from labor_llm.errors import InputError
from labor_llm.surveys.variables import CROSS_ROUND, Key, RawSurvey, Variable, variables_of

SURVEY = "PSID"
WAVES = (*range(1981, 1998), *range(1999, 2024, 2))
INDIVIDUAL_FILE = "IND2023ER"
_DATA_CENTER = "or add the variable to the cart of a Data Center job"

# "Head" and "wife" to 2015, "reference person" and "spouse" or "partner" since; one digit to 1982. First-year
# cohabitors (88) and spouses who do not cooperate (9, 90, 92) are left out: nobody was asked about their job.
LAST_ONE_DIGIT_WAVE = 1982
HEAD, SPOUSES = {True: 1, False: 10}, {True: (2,), False: (20, 22)}
_RELATIONS = {
    True: range(1, 10),
    False: (10, 20, 22, 30, 33, 35, 37, 38, 40, 47, 48, 50, 57, 58, 60, *range(65, 76), 83, 88, 90, 92,
            *range(95, 99)),
}  # fmt: skip
# Sequence numbers of members of the family at the interview; higher ones are in institutions, moved out or died.
_IN_FAMILY = range(1, 21)
_DOCUMENTED: dict[str, tuple[int, ...]] = {
    "sequence_number": (*_IN_FAMILY, *range(51, 60), *range(71, 90)),
    "age": (*range(1, 126), 999),
    "birth_year": (*range(1850, 2025), 9999),
    "employment_status": (*range(1, 10), 22, 32, 35, 98, 99),
    "schooling": (*range(1, 21), 98, 99),
    "race": tuple(range(1, 10)),
    "hispanic": tuple(range(1, 10)),
    "region": (*range(1, 7), 9),
    "occupation_1970": tuple(range(1, 1000)),
    "occupation_2000": tuple(range(1, 1000)),
    "occupation_2010": tuple(range(1, 10000)),
    "sex": (1, 2, 9),
}
# Wild codes occur in every wave; more than this share, in at least this many rows, is another column.
_TOLERATED_SHARE, _TOLERATED_ROWS = 0.05, 20


# What a resume says of a person, and the variables of which any, in any wave, is enough to know it.
_DESCRIPTIONS = {
    "race of the head": [("race", "head")],
    "race of the spouse": [("race", "spouse")],
    "schooling of the head": [("schooling", "head"), ("schooling", "person")],
    "schooling of the spouse": [("schooling", "spouse"), ("schooling", "person")],
    "region": [("region", "family")],
    "year of birth": [("birth_year", "person"), ("age", "person")],
}


def family_file(year: int) -> str:
    """Return the name of a wave's family file, such as FAM1981 or FAM1994ER."""
    return f"FAM{year}{'ER' if year >= 1994 else ''}"


def occupation_of_wave(year: int) -> tuple[str, str]:
    """Return concept and Census frame of a wave's occupations, such as `occupation_1970` and `census1970`."""
    frame = 1970 if year <= 2001 else 2000 if year <= 2015 else 2010
    return f"occupation_{frame}", f"census{frame}"


def psid_variable(concept: str, role: str, year: int = CROSS_ROUND) -> Variable:
    """Return a variable of the PSID's table.

    Raises:
        KeyError: if the survey has no such variable in that year.
    """
    return _by_key()[concept, role, year]


def missing_waves(raw: RawSurvey) -> list[str]:
    """Say which waves the files at hand lack in whole or in part, and which file to download.

    A wave lacks its family file if no variable of it was found, and the individual file (or a later release of
    it) if the person's interview number of the wave was not found.
    """
    numbers = (("fam_interview_number", "family"), ("ind_interview_number", "person"))
    absent = [
        psid_variable(*number, year)
        for year, present in _presence(raw).items()
        for number, is_there in zip(numbers, present, strict=True)
        if not is_there
    ]
    return [
        f"{SURVEY} {variable.year}: {variable.name} is in no file; download {file_of(variable)} ({_DATA_CENTER})"
        for variable in absent
    ]


def present_waves(raw: RawSurvey, spouses: bool = True) -> list[int]:
    """Return the waves that can be read.

    Args:
        raw: the files' variables.
        spouses: whether the variables of spouses are needed.

    Raises:
        InputError: if no wave is there, or one is there without its sequence number, relation, employment
            status or occupation, or sex is not there, or all of the waves are without race, schooling, region
            or both age and year of birth; names variable, wave and file.
    """
    waves = [year for year, present in _presence(raw).items() if all(present)]
    if not waves:
        raise InputError(
            f"{SURVEY}: the files hold no wave since {WAVES[0]} in full. Put family files ({family_file(WAVES[0])} "
            f"to {family_file(WAVES[-1])}) and the individual file {INDIVIDUAL_FILE} into the folder, or a Data "
            "Center job with all individuals."
        )
    roles = ("head", "spouse") if spouses else ("head",)
    needed = [("sex", "person", 0)]
    for year in waves:
        needed += [(concept, "person", year) for concept in ("sequence_number", "relation_to_head")]
        for role in roles:
            needed.append((occupation_of_wave(year)[0], role, year))
            # The individual file has a status of its own for every person, which can stand in for the spouse's.
            if role == "head" or not raw.has("employment_status", year, "person"):
                needed.append(("employment_status", role, year))
    for variable in (psid_variable(*key) for key in needed):
        if variable.key not in raw.values.columns:
            raise InputError(
                f"{SURVEY}: {variable} ({in_words(variable)}) is not in the files, though its wave is. Take "
                f"{file_of(variable)} with all its variables, {_DATA_CENTER}."
            )
    for what, enough in _DESCRIPTIONS.items():
        if spouses or not what.endswith("spouse"):
            _require_any(raw, what, [(*key, year) for year in waves for key in enough])
    return waves


def check_psid(raw: RawSurvey) -> None:
    """Check that the columns are those that their names say.

    Raises:
        InputError: naming variable, wave and file, if more than 5 percent of a variable's codes are none that
            the PSID documents, if the interview numbers of person and family disagree, or if a wave has no head
            or families with several: a column was renamed or shifted, or a layout belongs to another file.
    """
    for variable in variables_of("psid"):
        allowed = _DOCUMENTED.get(variable.concept)
        if variable.concept == "relation_to_head":
            allowed = _RELATIONS[variable.year <= LAST_ONE_DIGIT_WAVE]
        if allowed is not None and variable.key in raw.values.columns:
            found = raw.codes(variable.concept, variable.year, variable.role)
            found = found[found > 0]
            _refuse(variable, "codes that the PSID does not document", ~np.isin(found, allowed))
    for year, present in _presence(raw).items():
        if all(present):
            _check_families(raw, year)


def _in_family(raw: RawSurvey, year: int) -> np.ndarray:
    return np.isin(raw.codes("sequence_number", year, "person"), _IN_FAMILY)


def heads_and_spouses(raw: RawSurvey, year: int) -> dict[str, np.ndarray]:
    """Tell which respondents the wave's interview found as `head`, and which as `spouse` (or partner)."""
    one_digit = year <= LAST_ONE_DIGIT_WAVE
    relation, inside = raw.codes("relation_to_head", year, "person"), _in_family(raw, year)
    return {
        "head": (relation == HEAD[one_digit]) & inside,
        "spouse": np.isin(relation, SPOUSES[one_digit]) & inside,
    }


def file_of(variable: Variable) -> str:
    """Return the name of the packaged file that holds a variable, such as FAM1981 or IND2023ER."""
    return INDIVIDUAL_FILE if variable.role == "person" else family_file(variable.year)


def in_words(variable: Variable) -> str:
    """Return what a variable measures and of whom, such as 'race of the head'."""
    whose = "" if variable.role in ("person", "family") else f" of the {variable.role}"
    return variable.concept.replace("_", " ") + whose


@cache
def _by_key() -> dict[Key, Variable]:
    return {variable.key: variable for variable in variables_of("psid")}


def _presence(raw: RawSurvey) -> dict[int, tuple[bool, bool]]:
    """Return by wave whether anything of its family file, and its part of the individual file, is there."""
    family = {year for _, role, year in raw.values.columns if role in ("head", "spouse", "family")}
    return {year: (year in family, raw.has("ind_interview_number", year, "person")) for year in WAVES}


def _require_any(raw: RawSurvey, what: str, enough: list[Key]) -> None:
    """Refuse files that have none of some variables in any wave: everybody's answer would be unknown."""
    wanted = [_by_key()[key] for key in enough if key in _by_key()]
    # None is wanted where no wave asked: the race of a spouse before 1985.
    if not wanted or any(variable.key in raw.values.columns for variable in wanted):
        return
    first = [variable for variable in wanted if variable.year == wanted[0].year]
    named = " nor ".join(f"{variable.name} ({in_words(variable)}, {file_of(variable)})" for variable in first)
    raise InputError(
        f"{SURVEY}: {what} is in none of the waves read ({enough[0][2]} to {enough[-1][2]}); of {first[0].year}, for "
        f"one, {'neither ' if len(first) > 1 else ''}{named} is {'' if len(first) > 1 else 'not '}there. Take the "
        f"files with all their variables, {_DATA_CENTER}."
    )


def _check_families(raw: RawSurvey, year: int) -> None:
    relation = psid_variable("relation_to_head", "person", year)
    of_family = psid_variable("fam_interview_number", "family", year)
    number = raw.codes("ind_interview_number", year, "person")
    family = raw.codes("fam_interview_number", year, "family")
    differing = (family != number)[family != -1]
    _refuse(of_family, "interview numbers that differ from the person's", differing)
    heads = number[heads_and_spouses(raw, year)["head"] & (number > 0)]
    if _in_family(raw, year).sum() >= _TOLERATED_ROWS and not heads.size:
        raise _shifted(relation, "holds no head of a family")
    _refuse(relation, "heads of a family that has another", pd.Series(heads).duplicated().to_numpy())


def _refuse(variable: Variable, what: str, wrong: np.ndarray) -> None:
    rows = int(wrong.sum())
    if rows >= _TOLERATED_ROWS and rows > _TOLERATED_SHARE * len(wrong):
        raise _shifted(variable, f"has {rows:,} {what}, of {len(wrong):,}")


def _shifted(variable: Variable, what: str) -> InputError:
    return InputError(
        f"{SURVEY}: {variable} ({in_words(variable)}) {what}. The column was renamed or shifted, or the layout "
        f"belongs to another file: take {file_of(variable)} and its own .sas, .sps or .do file as downloaded."
    )
