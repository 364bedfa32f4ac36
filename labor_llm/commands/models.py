"""The commands about language models: fine-tuning one on careers, and scoring careers with one."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated, Literal

import typer

from labor_llm.commands.options import (
    DEFAULT_MODEL,
    DEFAULT_PANEL,
    ModelOption,
    PanelOption,
    ReplaceOption,
    SplitSeedOption,
    SurveyOption,
    TitleFileOption,
    check_out,
    open_panel,
    with_settings,
)
from labor_llm.errors import InputError
from labor_llm.finetuning.settings import FineTuningSettings
from labor_llm.scoring.settings import ScoringSettings


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

    check_out(out, model, panel)
    careers, splits = open_panel(panel, title_file, survey, split_seed)
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
    from labor_llm.evaluation.perplexity import perplexity
    from labor_llm.models.loading import load_language_model
    from labor_llm.scoring.careers import score_panel
    from labor_llm.scoring.reference import error_sentence

    if "named" in settings.model_fields_set and settings.titles != "named":
        raise InputError("--named goes with --titles named.")
    check_out(out, model, panel)
    careers, splits = open_panel(panel, title_file, survey, None if split == "everyone" else split_seed)
    chosen = careers if split == "everyone" else careers.split(splits, split)
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
