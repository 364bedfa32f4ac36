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
from typing import Annotated, Any

import typer

from labor_llm import __version__
from labor_llm.commands import models, surveys
from labor_llm.errors import InputError, LaborLLMError, explained
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

for command in (
    surveys.variables,
    surveys.fetch,
    surveys.convert,
    surveys.validate,
    models.finetune,
    models.score,
):
    app.command()(command)


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
    from labor_llm.store.artefacts import MANIFEST
    from labor_llm.store.results import open_results, project_root
    from labor_llm.workflow.book import build_book, stage_book
    from labor_llm.workflow.profile import load_profile
    from labor_llm.workflow.records import book_identity, record_of, write_record
    from labor_llm.workflow.reference import reference_pages
    from labor_llm.workflow.runs import notebook_runs

    if say:
        typer.echo(say, err=True)
    chosen = load_profile(profile)
    results = open_results(chosen.results)
    required = [run.name for run in notebook_runs(chosen)]
    identity = book_identity(results, chosen.name, required)
    pages = reference_pages(chosen, typer.main.get_command(app), about=__doc__.split("\n\n")[1])
    staged = stage_book(project_root() / "book", results, chosen.name, results.root / "book", required, pages)
    first_page = build_book(staged, project_root() / "book" / "_build" / "html")
    write_record(record_of(results.notebooks / "book"), identity, [first_page.with_name(MANIFEST)])
    typer.echo(f"{first_page}: open it in a browser.")


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
