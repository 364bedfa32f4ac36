"""The command `labor-llm`: the notebooks' functions for the shell.

Exit status: 0 done, 1 a job failed, 2 wrong usage, 3 bad input, 4 a damaged or missing artefact, 5 another
run is busy, 6 no space or memory, 7 a number is not finite, 8 parts do not belong together, 129 ended by a closed
terminal, 143 by SIGTERM.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from labor_llm import __version__
from labor_llm.commands.models import finetune, score
from labor_llm.commands.predict import predict
from labor_llm.errors import InputError, LaborLLMError, explained
from labor_llm.store.places import check_replaceable
from labor_llm.workflow.stopping import end_in_order

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help=__doc__.split("\n\n")[0],
    rich_markup_mode=None,
    # A traceback with local variables would show records.
    pretty_exceptions_show_locals=False,
)
ProfileOption = Annotated[str, typer.Option(help="Name of a packaged profile, or path of a YAML file.")]
SayOption = Annotated[str, typer.Option(help="A line to print before it begins.")]
SurveyArgument = Annotated[Literal["psid", "nlsy79", "nlsy97"], typer.Argument(help="Which survey.")]
OtherVersionsOption = Annotated[
    bool,
    typer.Option(
        "--other-versions", help="Accept crosswalks whose content is not that of the known versions."
    ),
]


@app.command()
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


@app.command()
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


@app.command()
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


@app.command()
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


app.command()(finetune)
app.command()(score)
app.command()(predict)


@app.command()
def replicate(
    profile: ProfileOption = "demo",
    cores: Annotated[int, typer.Option(min=1, help="CPU cores and threads to use.")] = 2,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would run.")] = False,
) -> None:
    """Run a profile to the end: notebooks, exhibits and book; only what is missing or changed."""
    from labor_llm.workflow.profile import load_profile
    from labor_llm.workflow.replication import replicate as run

    run(load_profile(profile), profile, cores, dry_run)


@app.command()
def notebook(
    source: Annotated[Path, typer.Argument(help="The notebook.")],
    executed: Annotated[Path, typer.Argument(help="Where the executed notebook goes.")],
    parameters: Annotated[str, typer.Option(help="Its parameters, as a JSON object.")] = "{}",
    files: Annotated[
        str,
        typer.Option(
            help='What it reads and makes, as JSON {"needs": [...], "makes": [...]}; it is run only if need be.'
        ),
    ] = "",
    say: SayOption = "",
    minutes: Annotated[
        float, typer.Option(min=0, help="End it as one that hangs after so many minutes; 0 for never.")
    ] = 0,
) -> None:
    """Execute one notebook by papermill, into place only if every cell ran."""
    from labor_llm.workflow.execution import execute_notebook

    values = _json_object("--parameters", parameters)
    if say:
        typer.echo(say, err=True)
    named = _json_object("--files", files) if files else {}
    named = {name: [Path(path) for path in paths] for name, paths in named.items()}
    if not execute_notebook(source, executed, values, **named, longest_minutes=minutes):
        typer.echo(f"{executed.stem}: nothing that it rests on has changed.", err=True)


@app.command()
def book(profile: ProfileOption = "demo", say: SayOption = "") -> None:
    """Build the book of a profile that has been run, into book/_build/html, warnings as errors."""
    from labor_llm.exhibits.stored_runs import read_stored
    from labor_llm.store.artefacts import MANIFEST
    from labor_llm.store.results import open_results, project_root, stored_beside
    from labor_llm.workflow.book import build_book, stage_book
    from labor_llm.workflow.pages import run_titles
    from labor_llm.workflow.profile import load_profile
    from labor_llm.workflow.records import book_identity, record_of, write_record
    from labor_llm.workflow.reference import reference_pages

    if say:
        typer.echo(say, err=True)
    chosen = load_profile(profile)
    results = open_results(chosen.results)
    required = run_titles(chosen)
    identity = book_identity(results, chosen.name, required)
    pages = reference_pages(chosen, typer.main.get_command(app), about=__doc__.split("\n\n")[1])
    stored = read_stored(stored_beside(chosen.name))
    source, out = project_root() / "book", results.root / "book"
    staged = stage_book(source, results, chosen.name, out, required, pages, stored)
    first_page = build_book(staged, source / "_build" / "html")
    write_record(record_of(results.notebooks / "book"), identity, [first_page.with_name(MANIFEST)])
    typer.echo(f"{first_page}: open it in a browser.")


@app.command()
def store(
    profile: ProfileOption = "demo",
    out: Annotated[
        Path | None, typer.Option(help="Folder of the stored run; data/stored/PROFILE if not given.")
    ] = None,
) -> None:
    """Store the tables of a finished run, none of them of a single person, with the files, settings and code behind."""
    from labor_llm.store.results import STORED, project_root
    from labor_llm.workflow.profile import load_profile
    from labor_llm.workflow.storing import store_run

    chosen = load_profile(profile)
    folder = store_run(chosen, profile, out or project_root() / STORED / chosen.name)
    typer.echo(f"{folder}: stored.")


@app.command()
def check(
    profile: ProfileOption = "demo",
    results: Annotated[str, typer.Option(help="Folder of the run; that of the profile if empty.")] = "",
    expected: Annotated[
        str,
        typer.Option(help="Folder of a stored run; data/expected/PROFILE or data/stored/PROFILE if empty."),
    ] = "",
) -> None:
    """Scan the files for faults, and compare the tables of a run with stored ones, one line each.

    The exit status is 1 if there is a finding, or a table differs or is missing.
    """
    from labor_llm.exhibits.expected import DIFFERENT, MISSING, compare_with_expected
    from labor_llm.store.artefacts import atomic_path
    from labor_llm.store.results import EXPECTED, STORED, open_results, project_root
    from labor_llm.workflow.profile import load_profile
    from labor_llm.workflow.scans import FINDING, scan

    chosen = load_profile(profile)
    folders = open_results(results or chosen.results)
    usual = [project_root() / place / chosen.name for place in (EXPECTED, STORED)]
    folder = Path(expected) if expected else next(filter(Path.is_dir, usual), usual[0])
    scanned = scan(project_root(), folders)
    for row in scanned:
        typer.echo(f"{row.verdict:17} {row.scan:62} {row.where} {row.remedy}".rstrip())
    found = compare_with_expected(folders, folder)
    for row in found.itertuples():
        largest = f"{row.largest:.1e}" if row.largest > 0 else ""
        typer.echo(f"{row.verdict:17} {row.exhibit:62} {largest:8} {row.where}".rstrip())
    counts = found["verdict"].value_counts().sort_index().to_dict()
    with atomic_path(folders.root / "check.json") as aside:
        aside.write_text(
            json.dumps({"counts": counts, "tables": json.loads(found.to_json(orient="records"))}, indent=1)
        )
    typer.echo(", ".join(f"{number} {verdict}" for verdict, number in counts.items()))
    if counts.keys() & {DIFFERENT, MISSING} or any(row.verdict == FINDING for row in scanned):
        raise typer.Exit(1)


@app.command()
def archive(
    out: Annotated[Path, typer.Option(help="The zip file.")], profile: ProfileOption = "demo"
) -> None:
    """Pack code, executed notebooks, exhibits and book of a finished run into one zip file, for a deposit."""
    from labor_llm.workflow.archive import write_archive
    from labor_llm.workflow.profile import load_profile

    files = write_archive(load_profile(profile), profile, out)
    typer.echo(
        f"{out}: {files:,} files, {out.stat().st_size / 1e6:.1f} MB. Records of persons and models are not in it."
    )


def _json_object(option: str, text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise InputError(f"{option} is no JSON ({error}).") from None
    if not isinstance(value, dict):
        raise InputError(f'{option} must be a JSON object, such as {{"seed": 1}}.')
    return value


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"labor-llm {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command; an error that the user can mend is one message without a traceback."""
    try:
        end_in_order()
        try:
            os.getcwd()
        except FileNotFoundError:
            raise InputError("The folder in which you are has been removed. Change to another one.") from None
        app()
    except Exception as error:
        said = error if isinstance(error, LaborLLMError) else explained(error)
        if said is None:
            raise
        # Where it goes may be full too.
        with contextlib.suppress(OSError):
            if not said.said_elsewhere:
                typer.echo(f"labor-llm: {said}", err=True)
        sys.exit(said.exit_code)


if __name__ == "__main__":
    main()
