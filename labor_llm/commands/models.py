"""The commands about language models: fine-tuning one on careers, and scoring careers with one."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_origin

import typer

from labor_llm.errors import InputError
from labor_llm.finetuning.settings import FineTuningSettings
from labor_llm.scoring.settings import ScoringSettings

if TYPE_CHECKING:
    from labor_llm.careers.panel import CareerPanel
    from labor_llm.settings import Settings

PanelOption = Annotated[
    str,
    typer.Option(
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
DEFAULT_PANEL, DEFAULT_MODEL = "wage_panel", "smollm2-135m-instruct"


def with_settings(
    model: type[Settings], **defaults: Any
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that gives a command an option for each field of a group of settings.

    Type, default, range and help of each option are the field's; the command's function takes the group as its argument
    `settings`.

    Args:
        model: the group.
        **defaults: defaults of the command where they are not the group's.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def wrapped(**values: Any) -> None:
            # An option that may be repeated is None where it is not given.
            given = {name: values.pop(name) for name in model.model_fields}
            command(settings=model(**{k: v for k, v in given.items() if v is not None}), **values)

        own = dict(inspect.signature(command, eval_str=True).parameters)
        del own["settings"]
        options = [_option(model, name, defaults) for name in model.model_fields]
        parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in (*own.values(), *options)]
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


@with_settings(FineTuningSettings)
def finetune(
    settings: FineTuningSettings,
    panel: PanelOption = DEFAULT_PANEL,
    model: ModelOption = DEFAULT_MODEL,
    out: Annotated[Path, typer.Option(help="Folder for the fine-tuned model.")] = Path("results/fine-tuned"),
    title_file: TitleFileOption = "",
    survey: SurveyOption = "",
    split_seed: SplitSeedOption = 1,
    replace: ReplaceOption = False,
) -> None:
    """Fine-tune a model on the training workers of a panel; the best validation checkpoint is kept."""
    from accelerate import PartialState

    from labor_llm.careers.samples import training_careers
    from labor_llm.finetuning.fit import fine_tune

    _check_out(out, model, panel)
    careers, splits = _open_panel(panel, title_file, survey, split_seed)
    folder = fine_tune(model, training_careers(careers, splits), settings, out, replace=replace)
    # `accelerate launch` runs this command in several processes.
    if PartialState().is_main_process:
        typer.echo(f"{folder}: fine-tuned model stored.")


@with_settings(ScoringSettings, titles="realised")
def score(
    settings: ScoringSettings,
    panel: PanelOption = DEFAULT_PANEL,
    model: ModelOption = DEFAULT_MODEL,
    out: Annotated[Path, typer.Option(help="Folder for the predictions.")] = Path("results/scored"),
    split: Annotated[
        Literal["test", "validation", "train", "everyone"], typer.Option(help="Which workers.")
    ] = "test",
    title_file: TitleFileOption = "",
    survey: SurveyOption = "",
    split_seed: SplitSeedOption = 1,
    replace: ReplaceOption = False,
) -> None:
    """Compute the log-probability of each next job, by the chain rule over its title's tokens."""
    import numpy as np

    from labor_llm.careers.predictions import named_column
    from labor_llm.careers.samples import sampled
    from labor_llm.evaluation.perplexity import perplexity
    from labor_llm.models.loading import load_language_model
    from labor_llm.scoring.careers import score_panel
    from labor_llm.scoring.trials import error_sentence

    if "named" in settings.model_fields_set and settings.titles != "named":
        raise InputError("--named goes with --titles named.")
    _check_out(out, model, panel)
    careers, splits = _open_panel(panel, title_file, survey, None if split == "everyone" else split_seed)
    chosen = careers if split == "everyone" else careers.split(splits, split)
    chosen = sampled(chosen, settings.test_workers, seed=1)
    load = functools.cache(load_language_model)
    predictions = score_panel(chosen, model, Path(model).name, out, settings, replace=replace, load=load)
    typer.echo(
        f"{out}: {len(predictions.table):,} transitions of {predictions.table['worker_id'].nunique():,} workers, "
        f"perplexity {perplexity(predictions.table['log_prob']):.3f}."
    )
    for name in settings.named if settings.titles == "named" else []:
        mean = np.exp(predictions.table[named_column(name)]).mean()
        typer.echo(f"{name}: mean probability {mean:.3f}.")
    if (settings.dtype, settings.quantization) != ("float32", "none"):
        typer.echo(error_sentence(load(model, settings.dtype, settings.quantization), careers))


def _check_out(out: Path, *inputs: str | Path) -> None:
    """Refuse to write over what is read."""
    for name in inputs:
        if (read := Path(name)).exists() and read.resolve().is_relative_to(out.resolve()):
            raise InputError(f"--out {out} is, or holds, {name}, which is read. Name another folder.")


def _open_panel(
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
