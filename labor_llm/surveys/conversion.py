"""Survey files to a career panel: reader, rules, crosswalks and the counts of every step.

`convert_survey` is what `labor-llm convert` and the notebook of data conversion call.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from labor_llm.careers import CareerPanel, career_panel
from labor_llm.crosswalks import load_crosswalks
from labor_llm.errors import InputError
from labor_llm.occ1990dd import outcome_space
from labor_llm.surveys.conversion_counts import count_conversion
from labor_llm.surveys.conversion_report import Conversion
from labor_llm.surveys.conversion_rules import STEPS, career_frame, coded_records, records_at
from labor_llm.surveys.registry import survey_named, survey_options


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
    values = reader.read(Path(raw), reader.variables(), column_map)
    interviews = reader.interviews(values, own_options)
    coded = coded_records(interviews, tables, record_options)
    frame = career_frame(coded, interviews.persons)
    if frame.empty:
        steps = ", ".join(f"{step} {len(records_at(coded, step)):,}" for step in STEPS)
        raise InputError(f"{raw}: no interview becomes a record ({steps}). Check the files and the options.")
    panel = career_panel(frame, outcome_space(), dataset, survey_name or reader.name, source=str(raw))
    options = dataclasses.asdict(record_options) | dataclasses.asdict(own_options)
    counts = count_conversion(
        interviews.survey, options, coded, values, tables, reader.missing(values), reader.cohort, column_map
    )
    return panel, counts
