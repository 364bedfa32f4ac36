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
from typing import Any

import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import set_seed
from torch.nn.utils.rnn import pad_sequence
from transformers import get_linear_schedule_with_warmup

from labor_llm.artefacts import atomic_path, check_replaceable, environment, is_current, writing
from labor_llm.careers import CareerPanel
from labor_llm.errors import InputError, MismatchError, NumericalError, ResourceError
from labor_llm.finetuning_settings import FineTuningSettings
from labor_llm.language_models import (
    BASE_FILE,
    LanguageModel,
    load_language_model,
    load_tokenizer,
    weights_checksum,
)
from labor_llm.locks import only_run_into
from labor_llm.progress import progress
from labor_llm.sources import code_checksum
from labor_llm.templates import resumes
from labor_llm.tokenization import EncodedResume, encode_resume
from labor_llm.training_state import newest_state, save_state

CURVE_FILE = "learning_curve.csv"
_IGNORED = -100
_MOMENTS = 2  # AdamW keeps two numbers a weight
_BATCHES_SORTED_TOGETHER = 16


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
        'validation'), `loss` (nats per token) and `kept` (whether that checkpoint is the one stored).

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
    run = _Run(language_model, settings, train, validation, working)
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


def batches(lengths: Sequence[int], batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
    """Return one epoch's batches of career numbers, careers of similar length together.

    Careers are shuffled, sorted by length within blocks of sixteen batches (little padding, yet no
    fixed order), and the batches shuffled. The result depends on the arguments alone.
    """
    generator = np.random.default_rng([seed, epoch])
    order = generator.permutation(len(lengths))
    block = batch_size * _BATCHES_SORTED_TOGETHER
    sorted_blocks = [
        sorted(order[start : start + block], key=lambda career: lengths[career])
        for start in range(0, len(order), block)
    ]
    careers = np.concatenate([np.asarray(block, dtype=np.int64) for block in sorted_blocks])
    groups = [careers[start : start + batch_size] for start in range(0, len(careers), batch_size)]
    return [groups[number] for number in generator.permutation(len(groups))]


def evaluation_steps(settings: FineTuningSettings, steps_per_epoch: int) -> list[int]:
    """Return after which steps the validation loss is computed: evenly spaced, the last step included."""
    total = settings.epochs * steps_per_epoch
    count = min(total, settings.epochs * settings.evaluations_per_epoch)
    return sorted({round(total * number / count) for number in range(1, count + 1)})


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


class _Run:
    """The state of one fine-tuning: model, optimizer, schedule, learning curve and where it stands."""

    def __init__(
        self,
        language_model: LanguageModel,
        settings: FineTuningSettings,
        train: Sequence[EncodedResume],
        validation: Sequence[EncodedResume],
        folder: Path,
    ) -> None:
        self.settings, self.folder = settings, folder
        self.train_ids = [torch.as_tensor(resume.ids) for resume in train]
        self.validation_ids = [torch.as_tensor(resume.ids) for resume in validation]
        self.steps_per_epoch = -(-len(train) // settings.batch_size)
        self.total = settings.epochs * self.steps_per_epoch
        set_seed(settings.seed)
        # A second run in one process may ask for another precision, which accelerate keeps for the process.
        AcceleratorState._reset_state()
        precision = {"bfloat16": "bf16", "float32": "no"}[settings.precision]
        self.accelerator = Accelerator(mixed_precision=precision)
        trained = [parameter for parameter in language_model.model.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW(
            trained, lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
        )
        self.schedule = get_linear_schedule_with_warmup(
            optimizer, round(settings.warmup_share * self.total), self.total
        )
        self.model, self.optimizer = self.accelerator.prepare(language_model.model, optimizer)
        self.step, self.best = 0, float("inf")
        self.curve: list[dict[str, Any]] = []

    def check_identity(self, identity: str) -> None:
        """Refuse to go on from the state of another base model, other settings, careers or code."""
        path = self.folder / "identity.txt"
        if path.is_file() and path.read_text(encoding="utf-8") != identity:
            raise MismatchError(
                f"{self.folder}: holds an unfinished run with another base model, other settings, careers, thread "
                "count or code. Finish it as it was begun, or remove that folder to start anew."
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as aside:
            aside.write_text(identity, encoding="utf-8")

    def train(self) -> None:
        """Run to the end of the schedule, from the newest sound state if there is one."""
        self._resume()
        evaluate_after = evaluation_steps(self.settings, self.steps_per_epoch)
        self.model.train()
        with progress("fine-tuning", self.total, "step", done=self.step) as advance:
            losses: list[float] = []
            while self.step < self.total:
                losses.append(self._one_step())
                if self.step in evaluate_after:
                    self._evaluate(float(np.mean(losses)))
                    losses = []
                advance(1, f"loss {self.curve[-1]['loss']:.3f}" if self.curve else "")

    def _one_step(self) -> float:
        # Dropout then depends on the step alone, also after an interruption.
        set_seed(self.settings.seed + self.step)
        epoch, position = divmod(self.step, self.steps_per_epoch)
        order = batches(
            [len(ids) for ids in self.train_ids], self.settings.batch_size, self.settings.seed, epoch
        )
        loss = self._loss([self.train_ids[career] for career in order[position]])
        if not torch.isfinite(loss):
            raise NumericalError(
                f"Fine-tuning stopped: the loss is {loss.item()} at step {self.step + 1} of {self.total} "
                f"(epoch {epoch + 1}, batch {position + 1}). Lower the learning rate, or use float32."
            )
        self.accelerator.backward(loss)
        self.accelerator.clip_grad_norm_(self.model.parameters(), self.settings.max_gradient_norm)
        self.optimizer.step()
        self.schedule.step()
        self.optimizer.zero_grad()
        self.step += 1
        return loss.item()

    def _loss(self, careers: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return the mean loss per token; padding on the right needs no mask, as a token sees only what precedes it."""
        ids = pad_sequence(list(careers), batch_first=True).to(self.accelerator.device)
        labels = pad_sequence(list(careers), batch_first=True, padding_value=_IGNORED).to(ids.device)
        return self.model(input_ids=ids, labels=labels, use_cache=False).loss

    @torch.no_grad()
    def _evaluate(self, train_loss: float) -> None:
        self.model.eval()
        total, tokens = 0.0, 0
        by_length = sorted(self.validation_ids, key=len)
        for start in range(0, len(by_length), self.settings.batch_size):
            careers = by_length[start : start + self.settings.batch_size]
            predicted = sum(len(ids) - 1 for ids in careers)
            total += self._loss(careers).item() * predicted
            tokens += predicted
        self.model.train()
        self._record(train_loss, total / tokens)

    def _record(self, train_loss: float, validation_loss: float) -> None:
        epoch = self.step / self.steps_per_epoch
        for split, loss in (("train", train_loss), ("validation", validation_loss)):
            self.curve.append({"step": self.step, "epoch": epoch, "split": split, "loss": loss})
        improved = validation_loss < self.best
        self.best = min(self.best, validation_loss)
        save_state(
            self.folder,
            self.step,
            self._trained_weights(),
            self.optimizer.state_dict(),
            {"schedule": self.schedule.state_dict(), "best": self.best, "curve": self.curve},
            is_best=improved,
        )

    def _resume(self) -> None:
        state = newest_state(self.folder)
        if state is None:
            return
        self._load_trained_weights(state.weights)
        self.optimizer.load_state_dict(state.optimizer)
        self.schedule.load_state_dict(state.notes["schedule"])
        self.step, self.best, self.curve = state.step, state.notes["best"], state.notes["curve"]

    def restore_best(self) -> None:
        """Put the weights with the lowest validation loss back into the model."""
        state = newest_state(self.folder, best=True)
        if state is None:
            raise NumericalError(
                "Fine-tuning ended without a finite validation loss. Lower the learning rate."
            )
        self._load_trained_weights(state.weights)

    def curve_frame(self) -> pd.DataFrame:
        """Return the learning curve with the kept checkpoint marked."""
        frame = pd.DataFrame(self.curve)
        kept = frame.loc[frame["loss"].where(frame["split"] == "validation").idxmin(), "step"]
        return frame.assign(kept=frame["step"] == kept)

    def _trained_weights(self) -> dict[str, torch.Tensor]:
        model = self.accelerator.unwrap_model(self.model, keep_fp32_wrapper=False)
        return {name: weight.detach() for name, weight in model.named_parameters() if weight.requires_grad}

    def _load_trained_weights(self, weights: dict[str, torch.Tensor]) -> None:
        for name, weight in self._trained_weights().items():
            weight.copy_(weights[name])


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
