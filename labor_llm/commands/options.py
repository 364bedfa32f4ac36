"""Options that several commands take, and the options that a group of settings becomes."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_origin

import typer

from labor_llm.errors import InputError

if TYPE_CHECKING:
    from labor_llm.careers.panel import CareerPanel
    from labor_llm.settings import Settings

PanelOption = Annotated[
    str,
    typer.Option(
        "--panel",
        help="Careers: a packaged data set, a folder made by notebook 01 (or one that holds panel.parquet and "
        "titles.csv), or a CSV.",
    ),
]
TitleFileOption = Annotated[
    str,
    typer.Option(
        help="CSV of occupation and title, for a panel given as CSV; if empty, titles.csv beside it."
    ),
]
SurveyOption = Annotated[
    str, typer.Option(help="The survey's name in the resume's first line; if empty, the name of the panel.")
]
SplitSeedOption = Annotated[
    int,
    typer.Option(
        min=0, max=2**32 - 1, help="Seed of the split by worker, for a panel that is not split yet."
    ),
]
ModelOption = Annotated[
    str, typer.Option(help="A packaged model, a folder with a model or adapter, or a hub id.")
]
ReplaceOption = Annotated[
    bool, typer.Option("--replace", help="Replace a finished result of other options, careers or weights.")
]
ProfileOption = Annotated[str, typer.Option(help="Name of a packaged profile, or path of a YAML file.")]
DEFAULT_PANEL, DEFAULT_MODEL = "wage_panel", "smollm2-135m-instruct"


def with_settings(
    model: type[Settings], **defaults: Any
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that gives a command an option for each field of a group of settings.

    Args:
        model: the group; type, default, range and help of each option are the field's.
        **defaults: defaults of the command where they are not the group's.

    The command's function takes the group as its argument `settings`.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def wrapped(**values: Any) -> None:
            # An option that may be repeated is None where it is not given.
            given = {name: values.pop(name) for name in model.model_fields}
            command(settings=model(**{k: v for k, v in given.items() if v is not None}), **values)

        own = [
            p for p in inspect.signature(command, eval_str=True).parameters.values() if p.name != "settings"
        ]
        options = [_option(model, name, defaults) for name in model.model_fields]
        parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in (*own, *options)]
        wrapped.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        wrapped.__annotations__ = {p.name: p.annotation for p in parameters}
        return wrapped

    return decorate


def _option(model: type[Settings], name: str, defaults: dict[str, Any]) -> inspect.Parameter:
    field = model.model_fields[name]
    limits = {ours: getattr(rule, theirs) for rule in field.metadata for ours, theirs in (("min", "ge"), ("max", "le"))
              if hasattr(rule, theirs)}  # fmt: skip
    help_text = " ".join((field.description or "").split())
    kind, default = field.annotation, defaults.get(name, field.get_default(call_default_factory=True))
    if get_origin(kind) is list:
        # The group checks the elements; left out where it is not given, so that the command can tell.
        kind, default = list[str] | None, None
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        annotation=Annotated[kind, typer.Option(help=help_text, **limits)],
        default=default,
    )


def check_out(out: Path, *inputs: str | Path) -> None:
    """Refuse to write over what is read.

    Raises:
        InputError: if `out` is, or holds, one of the inputs.
    """
    for name in inputs:
        if (read := Path(name)).exists() and read.resolve().is_relative_to(out.resolve()):
            raise InputError(f"--out {out} is, or holds, {name}, which is read. Name another folder.")


def open_panel(
    name: str, title_file: str, survey: str, split_seed: int | None
) -> tuple[CareerPanel, dict[str, str]]:
    """Return a panel and its splits: packaged, from an artefact or another folder, or from a CSV with its titles.

    There are no splits if `split_seed` is None and the panel has none.
    """
    from labor_llm.careers.panel import read_careers, read_panel, split_workers
    from labor_llm.workflow.datasets import PACKAGED_DATASETS, packaged_careers

    panel = Path(name)
    if (panel / "splits.csv").is_file():
        if title_file or survey or split_seed not in (1, None):
            raise InputError(
                f"{name}: holds titles, survey and split already; leave out --title-file, --survey and --split-seed."
            )
        return read_panel(panel)
    if name in PACKAGED_DATASETS and not panel.exists():
        careers = packaged_careers(name, survey)
    else:
        file = panel / "panel.parquet" if panel.is_dir() else panel
        titles = Path(title_file) if title_file else file.with_name("titles.csv")
        careers = read_careers(file, titles, dataset=panel.stem, survey=survey)
    return careers, {} if split_seed is None else split_workers(careers, split_seed)
