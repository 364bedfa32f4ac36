"""The variables as users ask for them: tagsets for the NLS Investigator, names for the cart of the PSID Data Center.

A tagset holds one reference number a line and is uploaded in the Investigator ("Choose Tagsets"). A variable
whose number is not known is searched there by question name and survey year; those are listed beside it.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from pathlib import Path

from labor_llm.store.artefacts import atomic_path
from labor_llm.surveys.nls.codebooks import RESPONDENT
from labor_llm.surveys.psid.waves import file_of
from labor_llm.surveys.registry import survey_named
from labor_llm.surveys.variables import CROSS_ROUND, Variable, variables_of

QUESTION_COLUMNS = ("question", "last_question", "survey_year", "measures")
_NUMBERED = re.compile(r"^(.*?)(\d+)$")


def tagset(survey: str) -> list[str]:
    """Return the names to paste or upload, each once: reference numbers (NLS), ascending, or PSID names by file.

    Raises:
        InputError: if there is no such survey.
    """
    names = [variable.name for variable in survey_named(survey).variables() if variable.name]
    if survey == "psid":
        return list(dict.fromkeys(names))
    return sorted({RESPONDENT, *names})


def questions(survey: str) -> list[dict[str, str]]:
    """Return what is to be searched in the NLS Investigator, where the reference number is not known.

    Returns:
        One row a question, in the order of the survey's table: `question`, `last_question` (the last one of a
        weekly array, otherwise empty), `survey_year` (such as 2010-2011 2013; XRND for a weekly array) and
        `measures` (the concept). Empty for the PSID.

    Raises:
        InputError: if there is no such survey.
    """
    variables = [variable for variable in survey_named(survey).variables() if not variable.name]
    years: dict[tuple[str, str], list[int]] = {}
    for variable in variables:
        if variable.concept != "weekly_status":
            years.setdefault((variable.question, variable.concept), []).append(variable.year)
    rows = [_question(question, "", _ranges(found), concept) for (question, concept), found in years.items()]
    weekly = [variable.question for variable in variables if variable.concept == "weekly_status"]
    return rows + [_question(first, last, "XRND", "weekly_status") for first, last in _arrays(weekly)]


def psid_files(variables: Iterable[Variable] | None = None) -> dict[str, list[str]]:
    """Return the names of the variables by the file that holds them: FAM1981 ... FAM2023ER, IND2023ER.

    Packaged files are the zips of the same name in lower case (`fam1981.zip`).

    Args:
        variables: those of the PSID's table if not given.
    """
    files: dict[str, list[str]] = {}
    for variable in variables if variables is not None else variables_of("psid"):
        files.setdefault(file_of(variable), []).append(variable.name)
    return {file: list(dict.fromkeys(files[file])) for file in sorted(files)}


def variable_list(survey: str) -> str:
    """Return the text that tells which variables to download and how.

    Raises:
        InputError: if there is no such survey.
    """
    names = tagset(survey)
    if survey == "psid":
        packaged = " ".join(f"{file.lower()}.zip" for file in psid_files())
        return (
            f"# PSID: either the packaged files ({packaged}), each as downloaded,\n"
            f"# or one Data Center job with these {len(names):,} variables, file by file.\n" + _cart()
        )
    searched = questions(survey)
    lines = [
        f"# {survey.upper()}: a tagset of {len(names):,} reference numbers for the NLS Investigator, one a line.",
        *names,
        *(
            [f"# To be searched there by question name and survey year ({len(searched)} questions):"]
            * bool(searched)
        ),
        *(
            f"# {row['question']}{' to ' * bool(row['last_question'])}{row['last_question']}: {row['survey_year']}"
            for row in searched
        ),
    ]
    return "\n".join(lines) + "\n"


def write_variable_lists(survey: str, out: Path) -> list[Path]:
    """Write the lists of a survey into a folder and return their paths.

    For the NLS `nlsy97.NLSY97` (the tagset, reference numbers alone) and `nlsy97_questions.csv` (what is to be
    searched); for the PSID `psid_variables.txt` (one name a line) and `psid_files.txt` (the names of each file
    in one line, below a comment that names the file and its zip).

    Raises:
        InputError: if there is no such survey.
    """
    names = "".join(f"{name}\n" for name in tagset(survey))
    if survey == "psid":
        texts = {"psid_variables.txt": names, "psid_files.txt": _cart()}
    else:
        table = io.StringIO(newline="")
        writer = csv.DictWriter(table, QUESTION_COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(questions(survey))
        texts = {f"{survey}.{survey.upper()}": names, f"{survey}_questions.csv": table.getvalue()}
    for name, text in texts.items():
        with atomic_path(out / name) as aside:
            aside.write_text(text, encoding="utf-8", newline="\n")
    return [out / name for name in texts]


def _question(question: str, last: str, year: str, concept: str) -> dict[str, str]:
    return dict(zip(QUESTION_COLUMNS, (question, last, year, concept), strict=True))


def _ranges(years: list[int]) -> str:
    """Return years as 1997-2011 2013 2015; any year for a variable that belongs to no survey year."""
    if years == [CROSS_ROUND]:
        return "any"
    runs: list[list[int]] = []
    for year in sorted(set(years)):
        if runs and year == runs[-1][-1] + 1:
            runs[-1].append(year)
        else:
            runs.append([year])
    return " ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def _arrays(names: list[str]) -> list[tuple[str, str]]:
    """Return the first and the last name of each run of consecutively numbered questions."""
    runs: list[list[str]] = []
    for name in names:
        stem, number = _parts(name)
        if runs and _parts(runs[-1][1]) == (stem, number - 1):
            runs[-1][1] = name
        else:
            runs.append([name, name])
    return [(first, last) for first, last in runs]


def _parts(name: str) -> tuple[str, int]:
    matched = _NUMBERED.match(name)
    return (matched[1], int(matched[2])) if matched else (name, 0)


def _cart() -> str:
    return "".join(
        f"# {file}, packaged as {file.lower()}.zip\n{' '.join(names)}\n"
        for file, names in psid_files().items()
    )
