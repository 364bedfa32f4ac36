"""Whether the files of the PSID agree: families joined to the wrong persons are found by what both files say.

Interview numbers run from 1 in every wave, so that families join to persons even if the files, layouts or numbers of
two waves are mixed up. But the employment status is there twice: in the family file, of head and spouse, and in
the individual file, of everybody. And the main job's occupation is asked of whoever works.

Assumed, from the PSID's documentation: both statuses come from the same interview and have the same codes, 1 to 8.
They may still differ where several were mentioned or one was edited later. Mixed-up files agree by chance, for half to
two thirds of their heads. The thresholds lie between; they were set without genuine files, and can be switched
off (`PsidOptions.consistency`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from labor_llm.errors import InputError
from labor_llm.surveys.psid_waves import (
    SURVEY,
    codes,
    file_of,
    heads_and_spouses,
    in_words,
    occupation_of_wave,
    psid_variable,
)
from labor_llm.surveys.variables import RawSurvey, Variable

# Below this share of equal statuses, or above this one of workers without an occupation, files are mixed up; fewer
# heads (or spouses) than these prove nothing.
LOWEST_AGREEMENT, MOST_WITHOUT_OCCUPATION, FEWEST = 0.80, 0.20, 50
_STATUS, _KNOWN, _WORKING = "employment_status", range(1, 9), 1


def check_agreement(raw: RawSurvey, waves: Sequence[int], spouses: bool = True) -> None:
    """Check that in each wave the family file fits the individual file, and occupations fit statuses.

    Args:
        raw: the files' variables.
        waves: those to be checked, which have what `present_waves` asks for.
        spouses: whether those of spouses are checked too.

    Raises:
        InputError: naming wave, variables and files, if of at least 50 heads or spouses whose status both files
            have less than 80 percent have the same, or if of at least 50 who work more than 20 percent have no
            occupation (0, inapplicable).
    """
    for year in waves:
        of_role = dict(zip(("head", "spouse"), heads_and_spouses(raw, year), strict=True))
        for role in ("head", "spouse") if spouses else ("head",):
            _check_status(raw, year, role, of_role[role])
            _check_occupation(raw, year, role, of_role[role])


def _check_status(raw: RawSurvey, year: int, role: str, members: np.ndarray) -> None:
    own, of_family = (codes(raw, _STATUS, of, year)[members] for of in ("person", role))
    both = np.isin(own, _KNOWN) & np.isin(of_family, _KNOWN)
    stated, equal = int(both.sum()), int((both & (own == of_family)).sum())
    if stated >= FEWEST and equal < LOWEST_AGREEMENT * stated:
        person, family = psid_variable(_STATUS, "person", year), psid_variable(_STATUS, role, year)
        raise InputError(
            f"{SURVEY} {year}: {_named(raw, person)} and {_named(raw, family)} are the same for {equal:,} of "
            f"{stated:,} {role}s only, though both come from one interview. {_remedy(person, family)}"
        )


def _check_occupation(raw: RawSurvey, year: int, role: str, members: np.ndarray) -> None:
    # The individual file stands in where the status of spouses is not there.
    stated_by = role if (_STATUS, role, year) in raw.values.columns else "person"
    concept, _ = occupation_of_wave(year)
    works = codes(raw, _STATUS, stated_by, year)[members] == _WORKING
    without = int((codes(raw, concept, role, year)[members][works] <= 0).sum())
    if works.sum() >= FEWEST and without > MOST_WITHOUT_OCCUPATION * works.sum():
        occupation, status = psid_variable(concept, role, year), psid_variable(_STATUS, stated_by, year)
        raise InputError(
            f"{SURVEY} {year}: {_named(raw, occupation)} is 0, inapplicable, for {without:,} of the {works.sum():,} "
            f"{role}s who work by {_named(raw, status)}. {_remedy(status, occupation)}"
        )


def _named(raw: RawSurvey, variable: Variable) -> str:
    found = raw.found.get(variable.key)
    return f"{variable.name} ({in_words(variable)}, {found.name if found else file_of(variable)})"


def _remedy(*variables: Variable) -> str:
    files = " and ".join(dict.fromkeys(file_of(variable) for variable in variables))
    return (
        "Layouts or releases are mixed up, or head and spouse are swapped: take "
        f"{files} of one release, with the .sas, .sps or .do file of each, as downloaded. If they are, the option "
        "consistency=ignore reads them as they are."
    )
