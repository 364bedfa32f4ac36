"""The surveys by name: which variables to download, which options there are, and from their files to a panel.

`convert_survey` is what `labor-llm convert` and the workflow call. `labor-llm variables` gives tagsets for the NLS
Investigator (one reference number a line, uploaded under "Choose Tagsets") and names for the cart of the PSID Data
Center; a variable whose number is not known is searched in the Investigator by question name and survey year.
"""

from __future__ import annotations

import dataclasses
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import TypeAdapter, ValidationError

from labor_llm.careers.occupations import outcome_space
from labor_llm.careers.panel import CareerPanel, career_panel
from labor_llm.crosswalks.mapping import load_crosswalks
from labor_llm.errors import InputError
from labor_llm.store.artefacts import atomic_path
from labor_llm.surveys.nls.codebooks import RESPONDENT
from labor_llm.surveys.nls.extracts import COHORT_SIZES, read_nls
from labor_llm.surveys.nls.nlsy79 import Nlsy79Options, missing_years, nlsy79_interviews, nlsy79_variables
from labor_llm.surveys.nls.nlsy97 import Nlsy97Options, missing_rounds, nlsy97_interviews, nlsy97_variables
from labor_llm.surveys.psid.careers import PsidOptions, psid_interviews
from labor_llm.surveys.psid.files import read_psid
from labor_llm.surveys.psid.waves import file_of, missing_waves
from labor_llm.surveys.report import Conversion, count_conversion
from labor_llm.surveys.rules import (
    STEPS,
    RecordOptions,
    SurveyInterviews,
    career_frame,
    coded_records,
    records_at,
)
from labor_llm.surveys.variables import CROSS_ROUND, WEEKLY, RawSurvey, Variable, variables_of

_QUESTION_COLUMNS = ["question", "last_question", "survey_year", "measures"]


@dataclass(frozen=True)
class Survey:
    """How one survey is read.

    Attributes:
        name: as the resume states it.
        variables: those that the reader looks for.
        interviews: (values, options) to interviews.
        options: the class of the survey's own options.
        missing: the years of which the files lack the occupation (NLS), or what they lack of which wave (PSID).
    """

    name: str
    variables: Callable[[], Sequence[Variable]]
    interviews: Callable[[RawSurvey, Any], SurveyInterviews]
    options: type
    missing: Callable[[RawSurvey], Sequence[Any]]


SURVEYS = {
    "psid": Survey("PSID", lambda: variables_of("psid"), psid_interviews, PsidOptions, missing_waves),
    "nlsy79": Survey("NLSY79", nlsy79_variables, nlsy79_interviews, Nlsy79Options, missing_years),
    "nlsy97": Survey("NLSY97", nlsy97_variables, nlsy97_interviews, Nlsy97Options, missing_rounds),
}


def survey_named(survey: str) -> Survey:
    """Return a survey by its key in `SURVEYS`, as every function here does; an InputError lists those there are."""
    if survey not in SURVEYS:
        raise InputError(f"{survey!r} is no survey; known are {', '.join(SURVEYS)}.")
    return SURVEYS[survey]


def convert_survey(
    survey: str,
    raw: Path,
    crosswalks: Path,
    dataset: str,
    settings: Mapping[str, Any] | Sequence[str] = (),
    column_map: Path | None = None,
    other_crosswalks: bool = False,
    survey_name: str = "",
) -> tuple[CareerPanel, Conversion]:
    """Convert the files of a survey to a career panel.

    Args:
        survey: `psid`, `nlsy79` or `nlsy97`.
        raw: folder, zip or file as downloaded.
        crosswalks: folder with Dorn's crosswalks (`labor-llm fetch` makes it).
        dataset: short name of the data set.
        settings: options by name, see `RecordOptions` and the survey's own.
        column_map: CSV that says which question and year the columns of a file are that bear no reference numbers.
        other_crosswalks: accept crosswalks whose content is not that of the known versions.
        survey_name: the survey's name in the resume's first line, if another than its own.

    Returns:
        The panel over occ1990dd's 330 occupations and three states, and the counts of every step.

    Raises:
        InputError: naming file, variable and year and what to download, if the files do not hold what is needed.
    """
    reader = survey_named(survey)
    record_options, own_options = survey_options(survey, settings)
    # Cheap, and a missing crosswalk is better known before large files are read.
    tables = load_crosswalks(Path(crosswalks), other_versions=other_crosswalks)
    if survey != "psid":
        values = read_nls(Path(raw), survey, reader.variables(), column_map)
    elif column_map is None:
        values = read_psid(Path(raw), reader.variables())
    else:
        raise InputError(
            "A column map is for NLS extracts; PSID files bear their variables' names. Leave it out."
        )
    interviews = reader.interviews(values, own_options)
    coded = coded_records(interviews, tables, record_options)
    frame = career_frame(coded, interviews.persons)
    if frame.empty:
        steps = ", ".join(f"{step} {len(records_at(coded, step)):,}" for step in STEPS)
        raise InputError(f"{raw}: no interview becomes a record ({steps}). Check the files and the options.")
    panel = career_panel(frame, outcome_space(), dataset, survey_name or reader.name, source=str(raw))
    missing = reader.missing(values)
    if survey != "psid":
        missing = [
            f"{reader.name} {year}: no occupation of the main job is in the files; add this wave to the extract "
            f"(`labor-llm variables {survey}`), with its .sdf or .cdb codebook beside it"
            for year in missing
        ]
    options = dataclasses.asdict(record_options) | dataclasses.asdict(own_options)
    cohort, _ = COHORT_SIZES.get(survey, (None, None))
    counts = count_conversion(reader.name, options, coded, values, tables, missing, cohort, column_map)
    return panel, counts


def survey_options(survey: str, settings: Mapping[str, Any] | Sequence[str]) -> tuple[RecordOptions, Any]:
    """Return the options of a conversion from their names and values.

    Args:
        survey: key of `SURVEYS`.
        settings: values by name, or `name=value` texts.

    Raises:
        InputError: if a name is unknown, stands twice or has a value that is not allowed.
    """
    values = dict(settings) if isinstance(settings, Mapping) else _pairs(settings)
    kinds = (RecordOptions, survey_named(survey).options)
    kind_of = {field.name: kind for kind in kinds for field in dataclasses.fields(kind)}
    if unknown := sorted(set(values) - kind_of.keys()):
        raise InputError(f"{unknown[0]!r} is no option of {survey}; there are {', '.join(sorted(kind_of))}.")
    try:
        records, own = (
            TypeAdapter(kind).validate_python(
                {name: values[name] for name in values if kind_of[name] is kind}
            )
            for kind in kinds
        )
    except ValidationError as error:
        first = error.errors()[0]
        message = first["msg"].removeprefix("Value error, ").rstrip(".")
        if not first["loc"]:
            raise InputError(f"{message}.") from None
        raise InputError(f"option {first['loc'][0]}: {message}; given {first['input']!r}.") from None
    return records, own


def _pairs(settings: Sequence[str]) -> dict[str, str]:
    values: dict[str, str] = {}
    for setting in settings:
        name, equals, value = map(str.strip, setting.partition("="))
        if not equals or not name:
            raise InputError(f"{setting!r} is no option; write NAME=VALUE, such as first_age=16.")
        if name in values:
            raise InputError(f"the option {name!r} stands twice.")
        values[name] = value
    return values


def tagset(survey: str) -> list[str]:
    """Return the names to paste or upload, each once: reference numbers (NLS), ascending, or PSID names by file."""
    names = [variable.name for variable in survey_named(survey).variables() if variable.name]
    return list(dict.fromkeys(names)) if survey == "psid" else sorted({RESPONDENT, *names})


def questions(survey: str) -> list[dict[str, str]]:
    """Return what is to be searched in the NLS Investigator, where the reference number is not known.

    Returns:
        One row a question, in the order of the survey's table: `question`, `last_question` (the last one of a
        weekly array, otherwise empty), `survey_year` (such as 2010-2011 2013; XRND for a weekly array) and
        `measures` (the concept). Empty for the PSID.
    """
    years: dict[tuple[str, str], list[int]] = {}
    arrays: dict[str, list[str]] = {}
    for variable in survey_named(survey).variables():
        if variable.concept == WEEKLY and not variable.name:
            arrays.setdefault(variable.question.rstrip(string.digits), []).append(variable.question)
        elif not variable.name:
            years.setdefault((variable.question, variable.concept), []).append(variable.year)
    rows = [(question, "", _ranges(found), concept) for (question, concept), found in years.items()]
    rows += [(array[0], array[-1], "XRND", WEEKLY) for array in arrays.values()]
    return [dict(zip(_QUESTION_COLUMNS, row, strict=True)) for row in rows]


def _psid_files() -> dict[str, list[str]]:
    """Return the names of the PSID's variables by the file that holds them: FAM1981 ... FAM2023ER, IND2023ER."""
    files: dict[str, dict[str, None]] = {}
    for variable in variables_of("psid"):
        files.setdefault(file_of(variable), {})[variable.name] = None
    return {file: list(files[file]) for file in sorted(files)}


def variable_list(survey: str) -> str:
    """Return the text that tells which variables to download and how."""
    names = tagset(survey)
    if survey == "psid":
        packaged = " ".join(f"{file.lower()}.zip" for file in _psid_files())
        return (
            f"# PSID: either the packaged files ({packaged}), each as downloaded,\n"
            f"# or one Data Center job with these {len(names):,} variables, file by file.\n" + _cart()
        )
    head = f"# {survey.upper()}: a tagset of {len(names):,} reference numbers for the NLS Investigator, one a line."
    lines, searched = [head, *names], questions(survey)
    if searched:
        lines.append(f"# To be searched there by question name and survey year ({len(searched)} questions):")
    for row in searched:
        last = f" to {row['last_question']}" if row["last_question"] else ""
        lines.append(f"# {row['question']}{last}: {row['survey_year']}")
    return "\n".join(lines) + "\n"


def write_variable_lists(survey: str, out: Path) -> list[Path]:
    """Write the lists of a survey into a folder and return their paths.

    For the NLS `nlsy97.NLSY97` (the tagset, reference numbers alone) and `nlsy97_questions.csv` (what is to be
    searched); for the PSID `psid_variables.txt` (one name a line) and `psid_files.txt` (the names of each file
    in one line, below a comment that names the file and its zip).
    """
    names = "".join(f"{name}\n" for name in tagset(survey))
    if survey == "psid":
        texts = {"psid_variables.txt": names, "psid_files.txt": _cart()}
    else:
        table = pd.DataFrame(questions(survey), columns=_QUESTION_COLUMNS)
        rows = table.to_csv(index=False, lineterminator="\n")
        texts = {f"{survey}.{survey.upper()}": names, f"{survey}_questions.csv": rows}
    for name, text in texts.items():
        with atomic_path(out / name) as aside:
            aside.write_text(text, encoding="utf-8", newline="\n")
    return [out / name for name in texts]


def _ranges(years: list[int]) -> str:
    """Return years as 1997-2011 2013 2015; any year for a variable that belongs to no survey year."""
    if years == [CROSS_ROUND]:
        return "any"
    runs: list[list[int]] = []
    for year in sorted(set(years)):
        if not runs or year > runs[-1][-1] + 1:
            runs.append([])
        runs[-1].append(year)
    return " ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def _cart() -> str:
    return "".join(
        f"# {file}, packaged as {file.lower()}.zip\n{' '.join(names)}\n"
        for file, names in _psid_files().items()
    )
