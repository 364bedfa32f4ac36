"""Fine-tuning: next-token loss on the training workers' resumes, on all tokens or on the titles alone.

One sequence a career, never one a transition. The checkpoint with the lowest validation loss is kept (paper,
fine-tuning). A killed run continues from its newest sound checkpoint: the order of the batches is a function of the
seed and the epoch alone, so that the end is the same as without the interruption.

`accelerate launch` runs it in several processes (`labor_llm.finetuning.processes`); all call the same function.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import hashlib
import importlib.metadata
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch
from accelerate.utils import set_seed

from labor_llm.careers.samples import MANIFEST_ENTRY, TrainingCareers
from labor_llm.errors import InputError, ResourceError
from labor_llm.finetuning.processes import Processes
from labor_llm.finetuning.settings import CHOSEN, FineTuningSettings
from labor_llm.finetuning.steps import CURVE_FILE, FineTuningRun
from labor_llm.models.folders import model_config, weights_checksum, write_base
from labor_llm.models.loading import (
    LanguageModel,
    context_length,
    load_language_model,
    load_tokenizer,
    say_if_bfloat16_is_emulated,
)
from labor_llm.models.memory import BESIDE, GIB, Llama
from labor_llm.store.artefacts import environment, seal, verify, writing
from labor_llm.store.places import check_replaceable
from labor_llm.store.results import discard_finished, unfinished, work_into
from labor_llm.store.staleness import code_checksum, is_current
from labor_llm.text.shortening import learned_windows
from labor_llm.text.templates import resumes
from labor_llm.text.tokenization import EncodedResume

_TRIED = "validation_losses_by_epochs"
_COPIES = 13  # of the weights on disk: four checkpoints with AdamW's two numbers a weight, and the model
_DIFFERENCES = (
    "another base model, other settings, careers, thread count, number, kind or memory of processes, or code"
)


def fine_tune(
    base: str,
    careers: TrainingCareers,
    settings: FineTuningSettings,
    folder: Path,
    inputs: dict[str, Path] | None = None,
    replace: bool = True,
) -> Path:
    """Fine-tune a language model on careers and store it as the artefact `folder`.

    Args:
        base: the base model, as in `load_language_model`.
        careers: those to train on, of one data set or of several, and those to choose the checkpoint on. What they
            are, in numbers, stands in the manifest of the model.
        settings: method, schedule and precision.
        folder: where the model, its tokenizer and `learning_curve.csv` will stand. Beside it a hidden folder
            holds the state of an unfinished run, and its `learning_curve.csv` grows while it runs (`tail -f`). With
            `other_epochs` another one, `.NAME.schedules`, holds the runs until the best of them is stored.
        inputs: artefacts that the panels come from, for the manifest.
        replace: whether another stored result at `folder` may be replaced.

    Returns:
        The folder; at once, if it holds the result of the same weights, settings, careers, thread count and
        code already. `learning_curve.csv` has the columns `step`, `epoch`, `split` ('train' or
        'validation'), `loss` (nats per token; in training the mean since the point before) and `kept` (whether
        that checkpoint is the one stored).

    Raises:
        InputError: if a split has no career, the header and one record of a career are longer than the model can read,
            or something else than a stored result stands at `folder`, or one that may not be replaced.
        MismatchError: if careers cannot be packed for this model, or another run was left unfinished.
        BusyError: if another run fine-tunes into the folder.
        NumericalError: if a loss or gradient is not finite; names step, batch and careers; checkpoints stay.
        ArtefactError: if the best checkpoint was damaged while the run went on.
        ResourceError: if there is no space for a checkpoint.
    """
    if settings.other_epochs:
        return _best_of_schedules(base, careers, settings, folder, inputs, replace)
    tokenizer = load_tokenizer(base)
    # A panel that counts several times is encoded once.
    config, panels = model_config(base), (careers.own, *careers.added, careers.validation)
    context = context_length(config)
    encoded = {
        id(panel): [learned_windows(tokenizer, resume, context) for resume in resumes(panel)]
        for panel in panels
    }
    train = [window for panel in careers.panels for windows in encoded[id(panel)] for window in windows]
    validation = [window for windows in encoded[id(careers.validation)] for window in windows]
    in_windows = sum(len(windows) > 1 for panel in encoded.values() for windows in panel)
    processes = Processes(settings.precision)
    with processes.together():
        longest = max((len(window.ids) for window in (*train, *validation)), default=0)
        for name, some in (("training", train), ("validation", validation)):
            if not some:
                raise InputError(
                    f"Fine-tuning: the {name} split has no worker. Give a panel with more workers."
                )
    sizes = Llama.of(config)
    settings, said = _within_memory(sizes, settings, longest, processes)
    if in_windows:
        said.append(
            f"{in_windows:,} careers are longer than the {context:,} tokens that {base} reads; they are learned in "
            "windows of whole records, each with the header"
        )
    say_if_bfloat16_is_emulated(settings.precision)
    with processes.together():
        identity = _identity(base, settings, train, validation, processes)
        done = processes.is_main and is_current(folder, identity)
        if processes.is_main:
            discard_finished(folder)
    if processes.said_by_main(done):
        return folder
    for line in said if processes.is_main else ():
        sys.stderr.write(f"fine-tuning {folder.name}: {line}\n")
    with contextlib.ExitStack() as held:
        with processes.together():
            check_replaceable(folder, replace=replace)
            working = unfinished(folder)
            if processes.is_main:
                held.enter_context(work_into(folder, identity, _DIFFERENCES))
            _check_free(settings.memory(sizes, longest), processes)
            language_model = _prepared_model(base, settings)
            if processes.is_main:
                check_space(working, language_model.model)
        run = FineTuningRun(language_model, settings, train, validation, working, processes)
        run.train()
        run.restore_best()
        whole = processes.whole_model(run.model)
        with processes.together():
            if processes.is_main:
                parameters = {"base": base, "identity": identity, **settings.model_dump()}
                parameters[MANIFEST_ENTRY] = {
                    **careers.described(),
                    "careers_in_windows": in_windows,
                    "steps": run.total,
                }
                with writing(folder, parameters, inputs) as aside:
                    run.model.save_pretrained(aside, state_dict=whole)
                    language_model.tokenizer.save_pretrained(aside)
                    if settings.method == "lora":
                        write_base(aside, base, folder)
                    run.curve_frame().to_csv(aside / CURVE_FILE, index=False)
    return folder


def read_learning_curve(folder: Path) -> pd.DataFrame:
    """Return the learning curve of a fine-tuned model (columns as in `fine_tune`)."""
    return pd.read_csv(folder / CURVE_FILE)


def validation_losses(folder: Path) -> dict[str, float]:
    """Return by number of epochs the lowest validation loss of each schedule that was tried; empty if one was."""
    return dict(verify(folder)["parameters"].get(_TRIED, {}))


def _best_of_schedules(
    base: str,
    careers: TrainingCareers,
    settings: FineTuningSettings,
    folder: Path,
    inputs: dict[str, Path] | None,
    replace: bool,
) -> Path:
    """Fine-tune by each schedule, and make the one with the lowest validation loss, the first of equals, `folder`."""
    processes, aside = Processes(settings.precision), folder.with_name(f".{folder.name}.schedules")
    identity = _asked(base, careers, settings, processes)
    with processes.together():
        done = processes.is_main and is_current(folder, identity)
        if processes.is_main and not done:
            check_replaceable(folder, replace=replace)
    if processes.said_by_main(done):
        return folder
    losses, made = {}, {}
    for epochs, schedule in settings.schedules.items():
        made[epochs] = fine_tune(base, careers, schedule, aside / f"{folder.name}-{epochs}-epochs", inputs)
        curve = read_learning_curve(made[epochs])
        losses[epochs] = float(curve.loc[(curve["split"] == "validation") & curve["kept"], "loss"].iloc[0])
    best = min(losses, key=losses.__getitem__)
    with processes.together():
        if processes.is_main:
            manifest = verify(made[best])
            tried = {str(epochs): loss for epochs, loss in losses.items()}
            with writing(
                folder, manifest["parameters"] | {"identity": identity, _TRIED: tried}, inputs
            ) as written:
                for name in manifest["files"]:
                    (written / name).parent.mkdir(parents=True, exist_ok=True)
                    _linked(made[best] / name, written / name)
            shutil.rmtree(aside)
    return folder


def _asked(base: str, careers: TrainingCareers, settings: FineTuningSettings, processes: Processes) -> str:
    """Return a hash of what was asked for, before anything is read by a tokenizer."""
    panels = (*careers.panels, careers.validation)
    texts = [(panel.survey, panel.outcomes.titles, panel.frame.to_csv(index=False)) for panel in panels]
    return seal([*_circumstances(base, settings, processes), texts])


def _circumstances(base: str, settings: FineTuningSettings, processes: Processes) -> list[object]:
    """Return what the weights at the end depend on beside the careers."""
    versions = environment()["versions"] | {"accelerate": importlib.metadata.version("accelerate")}
    if settings.quantization != "none" or settings.by_bitsandbytes:
        versions["bitsandbytes"] = importlib.metadata.version("bitsandbytes")
    threads, code = torch.get_num_threads(), code_checksum(__file__)
    by = (processes.kind, processes.count, processes.device.type)
    return [weights_checksum(base), settings.model_dump(), versions, threads, code, *by]


def _linked(file: Path, place: Path) -> None:
    """Put a file at another place too, which takes no space and time where the file system has links."""
    try:
        place.hardlink_to(file)
    except OSError:
        shutil.copyfile(file, place)


def check_space(folder: Path, model: torch.nn.Module) -> None:
    """Refuse to begin where the checkpoints and the model would not fit.

    Raises:
        ResourceError: naming the folder, the space needed and the space that is free.
    """
    trained = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    needed = 4 * trained * _COPIES
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
    processes: Processes,
) -> str:
    """Return a hash of what the weights at the end depend on.

    Equal hashes give the same weights to the last digit on the same machine; another make of processor or GPU, which
    the hash leaves out so that a result can be used elsewhere, may differ in the last digits.
    """
    digest = hashlib.sha256(seal([*_circumstances(base, settings, processes), len(train)]).encode())
    for resume in (*train, *validation):
        digest.update(resume.ids.tobytes() + f"|{resume.learned_from}|".encode())
    return digest.hexdigest()


def _within_memory(
    sizes: Llama, settings: FineTuningSettings, longest: int, processes: Processes
) -> tuple[FineTuningSettings, list[str]]:
    """Return settings in which all is chosen, and what to say of them.

    They are chosen by the whole memory of the smallest GPU, so that all processes and another run choose the same.
    """
    if processes.kind == "FSDP" and settings.by_bitsandbytes:
        message = (
            "Fine-tuning: FSDP divides weights and moments that are in float32. Leave weights and optimizer at auto, "
            "or launch labor_llm/finetuning/launch/ddp.yaml."
        )
        raise processes.said_once(InputError(message))
    if processes.kind == "FSDP" or processes.device.type != "cuda":
        return settings.within_memory(sizes), []
    own = torch.cuda.mem_get_info(processes.device)[1]
    total = processes.summed([own * (number == processes.number) for number in range(processes.count)]).min()
    with processes.together():
        chosen = settings.within_memory(sizes, total - BESIDE, longest)
    need = chosen.memory(sizes, longest)
    what = ", ".join(f"{name} {getattr(chosen, name)}" for name in CHOSEN)
    return chosen, [f"{what}, which take about {need / GIB:.1f} of {total / GIB:.1f} GiB"]


def _check_free(need: float, processes: Processes) -> None:
    """Refuse to begin where other programs hold the GPU's memory."""
    if processes.device.type != "cuda" or processes.kind == "FSDP":
        return
    # What an earlier fine-tuning of this process has left is free.
    gc.collect()
    torch.cuda.empty_cache()
    free, total = torch.cuda.mem_get_info(processes.device)
    if need > free:
        raise ResourceError(
            f"Fine-tuning takes about {need / GIB:.1f} GiB and {free / GIB:.1f} of {total / GIB:.1f} GiB of the GPU "
            "are free. Wait for other programs to end, or set CUDA_VISIBLE_DEVICES to another GPU."
        )


def _prepared_model(base: str, settings: FineTuningSettings) -> LanguageModel:
    """Load the base model with all weights trainable, or with a LoRA adapter on frozen weights."""
    coarse = settings.quantization != "none" or settings.weights == "bfloat16"
    dtype = "bfloat16" if coarse and settings.precision == "bfloat16" else "float32"
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
    adapted = get_peft_model(model, config)
    for made in adapted.peft_config.values():
        # As a set its order, and so the stored file, would be another in every process.
        made.target_modules = sorted(made.target_modules)
    return dataclasses.replace(language_model, model=adapted)
