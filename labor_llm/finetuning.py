"""Fine-tuning: next-token loss on all tokens of the training workers' resumes.

One sequence a career, never one a transition. The checkpoint with the lowest validation loss is kept
(paper, fine-tuning). A killed run continues from its newest sound checkpoint: the order of the batches
is a function of the seed and the epoch alone, so that the end is the same as without the interruption.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import torch
from accelerate.utils import set_seed

from labor_llm.artefacts import check_replaceable, environment, is_current, writing
from labor_llm.careers import CareerPanel
from labor_llm.errors import InputError, ResourceError
from labor_llm.finetuning_run import FineTuningRun
from labor_llm.finetuning_settings import FineTuningSettings
from labor_llm.language_models import (
    BASE_FILE,
    LanguageModel,
    load_language_model,
    load_tokenizer,
    weights_checksum,
)
from labor_llm.locks import only_run_into
from labor_llm.sources import code_checksum
from labor_llm.templates import resumes
from labor_llm.tokenization import EncodedResume, encode_resume

CURVE_FILE = "learning_curve.csv"
_MOMENTS = 2  # AdamW keeps two numbers a weight


def fine_tune(
    base: str,
    train: Sequence[EncodedResume],
    validation: Sequence[EncodedResume],
    settings: FineTuningSettings,
    folder: Path,
    inputs: dict[str, Path] | None = None,
) -> Path:
    """Fine-tune a language model on resumes and store it as the artefact `folder`.

    Args:
        base: the base model, as in `load_language_model`.
        train: encoded resumes of the training workers, one career each.
        validation: those of the validation workers.
        settings: method, schedule and precision.
        folder: where the model, its tokenizer and `learning_curve.csv` will stand. Beside it a hidden folder
            holds the state of an unfinished run.
        inputs: artefacts that the resumes come from, for the manifest.

    Returns:
        The folder; at once, if it holds the result of the same weights, settings, careers, thread count and
        code already. `learning_curve.csv` has the columns `step`, `epoch`, `split` ('train' or
        'validation'), `loss` (nats per token; in training the mean since the point before) and `kept` (whether
        that checkpoint is the one stored).

    Raises:
        InputError: if a split has no career, a career is longer than the model can read, or something else
            than a stored result stands at `folder`.
        BusyError: if another run fine-tunes into the folder.
        NumericalError: if a loss is not finite; names the step; checkpoints before it stay.
        ResourceError: if there is no space for a checkpoint.
    """
    identity = _identity(base, settings, train, validation)
    if is_current(folder, identity):
        return folder
    check_replaceable(folder)
    with only_run_into(folder) as working:
        return _fine_tune(base, train, validation, settings, folder, inputs, identity, working)


def _fine_tune(
    base: str,
    train: Sequence[EncodedResume],
    validation: Sequence[EncodedResume],
    settings: FineTuningSettings,
    folder: Path,
    inputs: dict[str, Path] | None,
    identity: str,
    working: Path,
) -> Path:
    language_model = _prepared_model(base, settings)
    for name, careers in (("training", train), ("validation", validation)):
        _check_careers(name, careers, language_model)
    check_space(working, language_model.model)
    run = FineTuningRun(language_model, settings, train, validation, working)
    run.check_identity(identity)
    run.train()
    parameters = {"base": base, "identity": identity, **dataclasses.asdict(settings)}
    with writing(folder, parameters, inputs) as aside:
        run.restore_best()
        _save_model(run.model, language_model, base, settings, aside)
        run.curve_frame().to_csv(aside / CURVE_FILE, index=False)
    shutil.rmtree(run.folder)
    return folder


def fine_tune_panel(
    base: str,
    panel: CareerPanel,
    splits: Mapping[str, str],
    settings: FineTuningSettings,
    folder: Path,
    inputs: dict[str, Path] | None = None,
) -> Path:
    """Fine-tune on the training workers of a panel, choose the checkpoint on its validation workers.

    Returns, raises: as `fine_tune`.
    """
    tokenizer = load_tokenizer(base)
    train, validation = (
        [encode_resume(tokenizer, resume) for resume in resumes(panel.split(splits, name))]
        for name in ("train", "validation")
    )
    return fine_tune(base, train, validation, settings, folder, inputs)


def read_learning_curve(folder: Path) -> pd.DataFrame:
    """Return the learning curve of a fine-tuned model (columns as in `fine_tune`)."""
    return pd.read_csv(folder / CURVE_FILE)


def check_space(folder: Path, model: torch.nn.Module) -> None:
    """Refuse to begin where the checkpoints would not fit: three of weights and optimizer, and the model.

    Raises:
        ResourceError: naming the folder, the space needed and the space that is free.
    """
    trained = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    needed = 4 * trained * (3 * (1 + _MOMENTS) + 1)
    existing = next(parent for parent in folder.absolute().parents if parent.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise ResourceError(
            f"{folder.parent}: fine-tuning needs about {needed / 2**30:.1f} GiB for checkpoints and the model, "
            f"{free / 2**30:.1f} GiB are free. Free some space, or put the results on another disk."
        )


def _identity(
    base: str,
    settings: FineTuningSettings,
    train: Sequence[EncodedResume],
    validation: Sequence[EncodedResume],
) -> str:
    """Return a hash of all that the weights at the end depend on."""
    digest = hashlib.sha256()
    digest.update(
        json.dumps([weights_checksum(base), dataclasses.asdict(settings), environment()["versions"]]).encode()
    )
    digest.update(f"{torch.get_num_threads()} {code_checksum(__file__)} {len(train)}".encode())
    for resume in (*train, *validation):
        digest.update(resume.ids.tobytes() + b"|")
    return digest.hexdigest()


def _prepared_model(base: str, settings: FineTuningSettings) -> LanguageModel:
    """Load the base model with all weights trainable, or with a LoRA adapter on frozen weights."""
    dtype = "bfloat16" if settings.quantization != "none" and settings.precision == "bfloat16" else "float32"
    language_model = load_language_model(base, dtype, settings.quantization)
    if settings.method == "full":
        return language_model
    from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training

    model = language_model.model
    if settings.quantization != "none":
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    set_seed(settings.seed)
    config = LoraConfig(
        r=settings.lora_rank,
        lora_alpha=settings.lora_alpha,
        lora_dropout=settings.lora_dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    return dataclasses.replace(language_model, model=get_peft_model(model, config))


def _save_model(
    model: torch.nn.Module,
    language_model: LanguageModel,
    base: str,
    settings: FineTuningSettings,
    folder: Path,
) -> None:
    if hasattr(model, "module"):
        model = model.module
    model.save_pretrained(folder)
    language_model.tokenizer.save_pretrained(folder)
    if settings.method == "lora":
        made_on = {"name": base, "checksum": weights_checksum(base)}
        (folder / BASE_FILE).write_text(json.dumps(made_on) + "\n", encoding="utf-8")


def _check_careers(name: str, careers: Sequence[EncodedResume], language_model: LanguageModel) -> None:
    if not careers:
        raise InputError(f"Fine-tuning: the {name} split has no worker. Give a panel with more workers.")
    longest = max(len(resume.ids) for resume in careers)
    if longest > language_model.context:
        raise InputError(
            f"Fine-tuning: the longest {name} career has {longest:,} tokens, {language_model.name} reads "
            f"{language_model.context:,}. Shorten the history, or use a model with a longer context."
        )
