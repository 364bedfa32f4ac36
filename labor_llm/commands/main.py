"""The command `labor-llm`: the notebooks' functions for the shell.

Exit status: 0 done, 1 a job failed, 2 wrong usage, 3 bad input, 4 a damaged or missing artefact, 5 another
run is busy, 6 no space or memory, 7 a number is not finite, 8 parts do not belong together.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from labor_llm import __version__
from labor_llm.careers.panel import CareerPanel
from labor_llm.commands import surveys as cli_surveys
from labor_llm.errors import InputError, LaborLLMError

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help=__doc__.split("\n\n")[0],
    rich_markup_mode=None,
    # A traceback with local variables would show records.
    pretty_exceptions_show_locals=False,
)

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
QuantizationOption = Annotated[
    Literal["none", "8bit", "4bit"], typer.Option(help="Of the (base) weights, by bitsandbytes.")
]
ReplaceOption = Annotated[
    bool, typer.Option("--replace", help="Replace a finished result of other options, careers or weights.")
]
DEFAULT_PANEL, DEFAULT_MODEL = "wage_panel", "smollm2-135m-instruct"


for command in (cli_surveys.variables, cli_surveys.fetch, cli_surveys.convert):
    app.command()(command)


@app.command()
def replicate(
    profile: Annotated[
        str, typer.Option(help="Name of a packaged profile, or path of a YAML file.")
    ] = "demo",
    cores: Annotated[int, typer.Option(min=1, help="CPU cores and threads to use.")] = 2,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would run.")] = False,
) -> None:
    """Run a profile to the end: notebooks, exhibits and book; only what is missing or changed."""
    from labor_llm.workflow.profile import load_profile
    from labor_llm.workflow.replication import replicate as run

    run(load_profile(profile), profile, cores, dry_run)


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

    title_file = Path(titles) if titles else panel.with_name("titles.csv")
    careers = read_careers(panel, title_file, dataset=panel.stem)
    table = transitions(careers)
    typer.echo(
        f"{panel}: {len(careers.workers):,} workers, {len(table):,} records "
        f"from {table['year'].min()} to {table['year'].max()}, "
        f"{table['occupation'].nunique():,} of {len(careers.outcomes):,} occupations, "
        f"{(table['transition_type'] == 'moving').sum():,} moves. The panel is valid."
    )


@app.command()
def finetune(
    panel: PanelOption = DEFAULT_PANEL,
    model: ModelOption = DEFAULT_MODEL,
    out: Annotated[Path, typer.Option(help="Folder for the fine-tuned model.")] = Path("results/fine-tuned"),
    title_file: TitleFileOption = "",
    survey: SurveyOption = "",
    split_seed: SplitSeedOption = 1,
    method: Annotated[
        Literal["full", "lora"], typer.Option(help="All weights, or a low-rank adapter.")
    ] = "full",
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the training careers.")] = 3,
    learning_rate: Annotated[float, typer.Option(min=0, max=1, help="Peak learning rate.")] = 1e-5,
    batch_size: Annotated[int, typer.Option(min=1, help="Careers a step.")] = 32,
    precision: Annotated[
        Literal["bfloat16", "float32"], typer.Option(help="Mixed with float32 master weights, or float32.")
    ] = "bfloat16",
    quantization: QuantizationOption = "none",
    lora_rank: Annotated[int, typer.Option(min=1, help="Rank of the adapter.")] = 16,
    evaluations_per_epoch: Annotated[
        int, typer.Option(min=1, help="Validations and checkpoints an epoch.")
    ] = 1,
    seed: Annotated[
        int, typer.Option(min=0, max=2**32 - 1, help="Seed of order, adapter start and dropout.")
    ] = 1,
    loss: Annotated[
        Literal["all tokens", "titles"], typer.Option(help="What is learnt: every token, or titles alone.")
    ] = "all tokens",
    layout: Annotated[
        Literal["packed", "padded"],
        typer.Option(
            help="Careers without padding; or padded, for models whose attention cannot be exchanged."
        ),
    ] = "packed",
    tokens_at_once: Annotated[
        int, typer.Option(min=1, help="Most tokens in one pass; less needs less memory.")
    ] = 2048,
    replace: ReplaceOption = False,
) -> None:
    """Fine-tune a model on the training workers of a panel; the best validation checkpoint is kept."""
    from accelerate import PartialState

    from labor_llm.finetuning.fit import fine_tune_panel
    from labor_llm.finetuning.settings import FineTuningSettings

    settings = FineTuningSettings(
        method=method, epochs=epochs, learning_rate=learning_rate, batch_size=batch_size, precision=precision,
        quantization=quantization, lora_rank=lora_rank, evaluations_per_epoch=evaluations_per_epoch, seed=seed,
        loss=loss, layout=layout, tokens_at_once=tokens_at_once,
    )  # fmt: skip
    _check_out(out, model, panel)
    careers, splits = _open_panel(panel, title_file, survey, split_seed)
    folder = fine_tune_panel(model, careers, splits, settings, out, replace=replace)
    # `accelerate launch` runs this command in several processes.
    if PartialState().is_main_process:
        typer.echo(f"{folder}: fine-tuned model stored.")


@app.command()
def score(
    panel: PanelOption = DEFAULT_PANEL,
    model: ModelOption = DEFAULT_MODEL,
    out: Annotated[Path, typer.Option(help="Folder for the predictions.")] = Path("results/scored"),
    titles: Annotated[
        Literal["realised", "named", "all"],
        typer.Option(help="Beside the title that occurred: none, those of --named, or every title."),
    ] = "realised",
    named: Annotated[
        list[str] | None,
        typer.Option(help="With --titles named: 'stay' or an occupation code; repeat for several."),
    ] = None,
    tolerance: Annotated[
        float,
        typer.Option(
            min=0,
            max=0.999999,
            help="With --titles all: probability that may remain unresolved in a record; 0 is exact.",
        ),
    ] = 0.0,
    too_long: Annotated[
        Literal["shorten", "refuse"],
        typer.Option(help="Careers longer than the model can read: shorten by whole records, or refuse."),
    ] = "shorten",
    line_ends: Annotated[
        Literal["all", "needed"],
        typer.Option(help="Score the end of the line with all titles, or where one title begins another."),
    ] = "all",
    memory_mib: Annotated[
        int, typer.Option(min=1, help="Memory in MiB that scoring titles may take beside the model.")
    ] = 1024,
    split: Annotated[
        Literal["test", "validation", "train", "everyone"], typer.Option(help="Which workers.")
    ] = "test",
    title_file: TitleFileOption = "",
    survey: SurveyOption = "",
    split_seed: SplitSeedOption = 1,
    dtype: Annotated[Literal["float32", "bfloat16"], typer.Option(help="Arithmetic.")] = "float32",
    quantization: QuantizationOption = "none",
    replace: ReplaceOption = False,
) -> None:
    """Compute the log-probability of each next job, by the chain rule over its title's tokens."""
    import numpy as np

    from labor_llm.careers.predictions import named_column
    from labor_llm.evaluation.perplexity import perplexity
    from labor_llm.models.loading import load_language_model
    from labor_llm.scoring.careers import score_panel
    from labor_llm.scoring.checks import measured_error

    if named and titles != "named":
        raise InputError("--named goes with --titles named.")
    _check_out(out, model, panel)
    careers, splits = _open_panel(panel, title_file, survey, None if split == "everyone" else split_seed)
    chosen = careers if split == "everyone" else careers.split(splits, split)
    predictions = score_panel(
        chosen, model, Path(model).name, out, dtype=dtype, quantization=quantization, ask=titles,
        named=named or ["stay"], too_long=too_long, tolerance=tolerance, line_ends=line_ends,
        memory_mib=memory_mib, replace=replace,
    )  # fmt: skip
    typer.echo(
        f"{out}: {len(predictions.table):,} transitions of {len(chosen.workers):,} workers, "
        f"perplexity {perplexity(predictions.table['log_prob']):.3f}."
    )
    for name in (named or ["stay"]) if titles == "named" else []:
        mean = np.exp(predictions.table[named_column(name)]).mean()
        typer.echo(f"{name}: mean probability {mean:.3f}.")
    if (dtype, quantization) != ("float32", "none"):
        typer.echo(measured_error(load_language_model(model, dtype, quantization), careers).sentence())


@app.command()
def notebook(
    source: Annotated[Path, typer.Argument(help="The notebook.")],
    executed: Annotated[Path, typer.Argument(help="Where the executed notebook goes.")],
    parameters: Annotated[str, typer.Option(help="Its parameters, as JSON.")] = "{}",
) -> None:
    """Execute one notebook by papermill, into place only if every cell ran."""
    from labor_llm.workflow.replication import execute_notebook

    execute_notebook(source, executed, _json_object(parameters))


@app.command()
def book(
    profile: Annotated[str, typer.Option(help="Name of a profile, or path of a YAML file.")] = "demo",
) -> None:
    """Build the book of a profile that has been run, into book/_build/html, warnings as errors."""
    from labor_llm.store.results import open_results, project_root
    from labor_llm.workflow.book import build_book, stage_book
    from labor_llm.workflow.profile import load_profile
    from labor_llm.workflow.reference import reference_pages
    from labor_llm.workflow.runs import notebook_runs

    chosen = load_profile(profile)
    results = open_results(chosen.results)
    required = [run.name for run in notebook_runs(chosen)]
    pages = reference_pages(chosen, typer.main.get_command(app), about=__doc__.split("\n\n")[1])
    staged = stage_book(project_root() / "book", results, chosen.name, results.root / "book", required, pages)
    typer.echo(f"{build_book(staged, project_root() / 'book' / '_build' / 'html')}: open it in a browser.")


def _check_out(out: Path, *inputs: str) -> None:
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


def _json_object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise InputError(f"--parameters is no JSON ({error}).") from None
    if not isinstance(value, dict):
        raise InputError('--parameters must be a JSON object, such as {"seed": 1}.')
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
        app()
    except LaborLLMError as error:
        if not error.said_elsewhere:
            typer.echo(f"labor-llm: {error}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
