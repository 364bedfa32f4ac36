"""The surveys by name: how each is read, interpreted and chosen about."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from labor_llm.errors import InputError
from labor_llm.surveys.nls.extracts import COHORT_SIZES, read_nls
from labor_llm.surveys.nls.nlsy79 import Nlsy79Options, missing_years, nlsy79_interviews, nlsy79_variables
from labor_llm.surveys.nls.nlsy97 import Nlsy97Options, missing_rounds, nlsy97_interviews, nlsy97_variables
from labor_llm.surveys.psid.careers import PsidOptions, psid_interviews
from labor_llm.surveys.psid.files import read_psid
from labor_llm.surveys.psid.waves import missing_waves
from labor_llm.surveys.rules import RecordOptions, SurveyInterviews
from labor_llm.surveys.variables import RawSurvey, Variable, variables_of


@dataclass(frozen=True)
class Survey:
    """How one survey is read.

    Attributes:
        name: as the resume states it.
        variables: those that the reader looks for.
        read: (folder, variables, column map) to the values of the files.
        interviews: (values, options) to interviews.
        options: the class of the survey's own options.
        missing: says, for each wave that the files lack, which it is and what to download.
        cohort: number of respondents of the cohort; None for the PSID, which grows.
    """

    name: str
    variables: Callable[[], list[Variable]]
    read: Callable[[Path, Sequence[Variable], Path | None], RawSurvey]
    interviews: Callable[[RawSurvey, Any], SurveyInterviews]
    options: type
    missing: Callable[[RawSurvey], list[str]]
    cohort: int | None = None


def _read_psid(raw: Path, variables: Sequence[Variable], column_map: Path | None) -> RawSurvey:
    if column_map is not None:
        raise InputError(
            "A column map is for NLS extracts; PSID files bear their variables' names. Leave it out."
        )
    return read_psid(raw, variables)


def _nls_survey(
    name: str,
    variables: Callable[[], list[Variable]],
    interviews: Callable[[RawSurvey, Any], SurveyInterviews],
    options: type,
    missing: Callable[[RawSurvey], Sequence[int]],
) -> Survey:
    """Return a cohort of the NLS, which are all read alike; `missing` gives the years without an occupation."""
    cohort = name.lower()

    def read(raw: Path, wanted: Sequence[Variable], column_map: Path | None) -> RawSurvey:
        return read_nls(raw, cohort, wanted, column_map)

    def missing_waves_of(raw: RawSurvey) -> list[str]:
        return [
            f"{name} {year}: no occupation of the main job is in the files; add this wave to the extract "
            f"(`labor-llm variables {cohort}`), with its .sdf or .cdb codebook beside it"
            for year in missing(raw)
        ]

    return Survey(name, variables, read, interviews, options, missing_waves_of, COHORT_SIZES[cohort][0])


SURVEYS = {
    "psid": Survey(
        "PSID",
        lambda: list(variables_of("psid")),
        _read_psid,
        psid_interviews,
        PsidOptions,
        lambda raw: [str(wave) for wave in missing_waves(raw)],
    ),
    "nlsy79": _nls_survey("NLSY79", nlsy79_variables, nlsy79_interviews, Nlsy79Options, missing_years),
    "nlsy97": _nls_survey("NLSY97", nlsy97_variables, nlsy97_interviews, Nlsy97Options, missing_rounds),
}


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
    names = [{field.name for field in dataclasses.fields(kind)} for kind in kinds]
    if unknown := sorted(set(values) - set.union(*names)):
        raise InputError(
            f"{unknown[0]!r} is no option of {survey}; there are {', '.join(sorted(set.union(*names)))}."
        )
    made = []
    for kind, own in zip(kinds, names, strict=True):
        checked = _checked(kind, {name: value for name, value in values.items() if name in own})
        made.append(checked)
    return made[0], made[1]


def _checked(kind: type, values: Mapping[str, Any]) -> Any:
    """Return an instance of a dataclass after checking the types of its values; text is read as its type.

    Raises:
        InputError: if a value is not allowed.
    """
    try:
        return TypeAdapter(kind).validate_python(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        message = first["msg"].removeprefix("Value error, ").rstrip(".")
        if not first["loc"]:
            raise InputError(f"{message}.") from None
        name = ".".join(str(part) for part in first["loc"])
        raise InputError(f"option {name}: {message}; given {first['input']!r}.") from None


def _pairs(settings: Sequence[str]) -> dict[str, str]:
    values: dict[str, str] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or not name.strip():
            raise InputError(f"{setting!r} is no option; write NAME=VALUE, such as first_age=16.")
        if name.strip() in values:
            raise InputError(f"the option {name.strip()!r} stands twice.")
        values[name.strip()] = value.strip()
    return values


def survey_named(survey: str) -> Survey:
    """Return a survey by its key in `SURVEYS`.

    Raises:
        InputError: if there is none of that name.
    """
    if survey not in SURVEYS:
        raise InputError(f"{survey!r} is no survey; known are {', '.join(SURVEYS)}.")
    return SURVEYS[survey]
