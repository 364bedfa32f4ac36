"""Which cohort an NLS extract is of: the NLSY79 and the NLSY97 share reference numbers, R0000100 first of all."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

import numpy as np

from labor_llm.errors import InputError
from labor_llm.surveys.nls_codebooks import RESPONDENT, RESPONDENT_QUESTIONS, comparable
from labor_llm.surveys.nls_columns import Extract
from labor_llm.surveys.variables import Variable, variables_of

COHORTS = {"nlsy79": "NLSY79", "nlsy97": "NLSY97"}
# Respondents of each cohort and the highest of their numbers.
COHORT_SIZES = {"nlsy79": (12_686, 12_686), "nlsy97": (8_984, 9_022)}
_QUESTIONS = {cohort: question for question, cohort in RESPONDENT_QUESTIONS.items()}


def check_cohort(extract: Extract, cohort: str, variables: Iterable[Variable]) -> None:
    """Refuse an extract whose columns, or the files beside it, say that it is of the other cohort.

    The evidence, strongest first: the question name of R0000100 (CASEID or PUBID), a tagset of the same name,
    reference numbers that only the other cohort's list of variables has.

    Raises:
        InputError: if it is of the other cohort.
    """
    found, reason = _evidence(extract, cohort, variables)
    if found and found != cohort:
        raise InputError(_refusal(extract, found, cohort, reason))


def check_respondents(extract: Extract, cohort: str, persons: np.ndarray) -> None:
    """Refuse an extract whose respondents are not of the cohort: those of the other one, or numbers that it has not.

    Args:
        extract: the extract.
        cohort: `nlsy79` or `nlsy97`.
        persons: the respondents' numbers, ascending.

    Raises:
        InputError: if number of rows and highest number are the other cohort's and no codebook says otherwise, or
            a number is above the cohort's highest.
    """
    size = (len(persons), int(persons[-1]))
    other = next(name for name in COHORTS if name != cohort)
    if size == COHORT_SIZES[other] and _evidence(extract, cohort, ())[0] != cohort:
        raise InputError(
            _refusal(extract, other, cohort, f"it has the {size[0]:,} respondents of that cohort")
        )
    highest = COHORT_SIZES[cohort][1]
    if above := int((persons > highest).sum()):
        raise InputError(
            f"{extract.path}, column {extract.columns[extract.respondent]}: {above:,} of {size[0]:,} respondents have "
            f"a number above {highest:,}, the highest of the {COHORTS[cohort]}. Check that the column is its "
            f"{_QUESTIONS[cohort]} and the file as it was downloaded."
        )


def _evidence(extract: Extract, cohort: str, variables: Iterable[Variable]) -> tuple[str, str]:
    """Return the cohort that an extract is of, and why; empty where nothing tells."""
    for question, found in RESPONDENT_QUESTIONS.items():
        if extract.stated.get(extract.respondent, ("",))[0] == question:
            return found, f"its column of respondents is {question}"
        entry = extract.codebook.get(RESPONDENT)
        # A codebook of another name may be of another file; it must describe every column to count.
        theirs = extract.own_codebooks or extract.references.keys() <= extract.codebook.keys()
        if entry and theirs and comparable(entry.question) == question:
            return found, f"{extract.codebooks[0].path.name} calls {RESPONDENT} {question}"
    if extract.tagset:
        return extract.tagset, "the tagset of the same name ends so"
    own = _numbers(cohort) | {variable.name for variable in variables}
    other = next(name for name in COHORTS if name != cohort)
    only_theirs = (_numbers(other) - own) & extract.references.keys()
    if len(only_theirs) > 1 and not (own - {RESPONDENT}) & extract.references.keys():
        return other, f"it has {len(only_theirs)} variables of that cohort and none of this"
    return "", ""


def _numbers(cohort: str) -> set[str]:
    """Return the reference numbers in a cohort's list of variables, but for the respondent's own."""
    with contextlib.suppress(InputError):
        return {variable.name for variable in variables_of(cohort) if variable.name} - {RESPONDENT}
    return set()


def _refusal(extract: Extract, found: str, cohort: str, reason: str) -> str:
    return (
        f"{extract.path}: an extract of the {COHORTS[found]}, not of the {COHORTS[cohort]} ({reason}). "
        f"Give {COHORTS[cohort]} files, or convert it as {found}; keep the cohorts in folders of their own."
    )
