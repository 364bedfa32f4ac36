"""The commands about careers: what to download of a survey, the crosswalks, the conversion, the check of a panel."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from labor_llm.errors import InputError
from labor_llm.store.places import check_replaceable

SurveyArgument = Annotated[Literal["psid", "nlsy79", "nlsy97"], typer.Argument(help="Which survey.")]
OtherVersionsOption = Annotated[
    bool,
    typer.Option(
        "--other-versions", help="Accept crosswalks whose content is not that of the known versions."
    ),
]


def convert(
    survey: SurveyArgument,
    raw: Annotated[Path, typer.Option(help="The survey's files as downloaded: a folder, a zip or a file.")],
    crosswalks: Annotated[
        Path, typer.Option(help="Folder with the crosswalks to occ1990dd; `labor-llm fetch` makes it.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for panel.parquet, titles.csv and conversion.json.")],
    column_map: Annotated[
        Path | None,
        typer.Option(help="CSV (file, column, question, year) for NLS extracts without reference numbers."),
    ] = None,
    option: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE of a rule, such as first_age=16; may be repeated.")
    ] = None,
    dataset: Annotated[str, typer.Option(help="Short name of the data set; the survey's if empty.")] = "",
    other_versions: OtherVersionsOption = False,
    split_seed: Annotated[
        int, typer.Option(min=0, max=2**32 - 1, help="Seed of the split by worker, stored beside the panel.")
    ] = 1,
) -> None:
    """Convert the files of a survey to a career panel; say what every step leaves."""
    from labor_llm.surveys.conversion import SURVEYS, convert_survey
    from labor_llm.surveys.report import CONVERSION
    from labor_llm.workflow.datasets import store_careers

    for given in filter(None, (raw, crosswalks, column_map)):
        result, source = out.resolve(), given.resolve()
        if result.is_relative_to(source) or source.is_relative_to(result):
            raise InputError(
                f"--out {out} and {given} lie in one another. Name a folder apart for the result."
            )
    check_replaceable(out)
    careers, conversion = convert_survey(
        survey, raw, crosswalks, dataset or survey, option or (), column_map, other_versions
    )
    texts, of = {CONVERSION: conversion.to_json()}, SURVEYS[survey].name
    store_careers(out, careers, of, split_seed, texts=texts, persons=of)
    for line in conversion.lines():
        typer.echo(line)
    typer.echo(f"{out}: {len(careers.workers):,} workers, {len(careers.frame):,} records.")


def variables(
    survey: SurveyArgument,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the lists as files; they are printed if it is not given.")
    ] = None,
) -> None:
    """List the variables to download: a tagset for the NLS Investigator, the cart of the PSID Data Center."""
    from labor_llm.surveys.conversion import variable_list, write_variable_lists

    if out is None:
        typer.echo(variable_list(survey))
        return
    for path in write_variable_lists(survey, out):
        typer.echo(str(path))


def fetch(
    out: Annotated[Path, typer.Option(help="Folder for the crosswalks.")] = Path("data/raw/crosswalks"),
    source: Annotated[
        str, typer.Option(help="Address of the files, or a folder that holds them; Dorn's page if empty.")
    ] = "",
    other_versions: OtherVersionsOption = False,
) -> None:
    """Download Dorn's crosswalks to occ1990dd, or copy them from a folder, and verify their content."""
    from labor_llm.crosswalks.files import SOURCE, fetch_crosswalks

    for fetched in fetch_crosswalks(out, source or SOURCE, other_versions=other_versions):
        typer.echo(f"{fetched.file.path}: {fetched.action}, {len(fetched.file.targets):,} rows.")


def validate(
    panel: Annotated[
        Path, typer.Argument(help="CSV or parquet file of careers, one row per worker and year.")
    ],
    titles: Annotated[
        str,
        typer.Option(
            help="CSV with the columns occupation and title; if empty, titles.csv beside the panel."
        ),
    ] = "",
) -> None:
    """Check a career panel and its titles; say what they hold or which row is wrong."""
    from labor_llm.careers.panel import read_careers, transitions
    from labor_llm.disclosure import MINIMUM_PERSONS, supported_years

    title_file = Path(titles) if titles else panel.with_name("titles.csv")
    careers = read_careers(panel, title_file, dataset=panel.stem)
    table, years = transitions(careers), ""
    if len(careers.workers) >= MINIMUM_PERSONS:
        years = " from {} to {}".format(*supported_years(table))
    typer.echo(
        f"{panel}: {len(careers.workers):,} workers, {len(table):,} records"
        f"{years}, "
        f"{table['occupation'].nunique():,} of {len(careers.outcomes):,} occupations, "
        f"{(table['transition_type'] == 'moving').sum():,} moves. The panel is valid."
    )
