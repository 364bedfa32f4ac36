"""One run of fine-tuning: its steps, its checkpoints, its learning curve, and how it goes on after a stop."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from accelerate.utils import set_seed
from transformers import get_linear_schedule_with_warmup

from labor_llm.errors import NumericalError
from labor_llm.finetuning.batches import IGNORED, TrainingCareer, batches, packed, padded, training_career
from labor_llm.finetuning.loss import NextTokenLoss, pack_careers
from labor_llm.finetuning.processes import Processes
from labor_llm.finetuning.settings import FineTuningSettings
from labor_llm.models.loading import LanguageModel, causal_model
from labor_llm.progress import progress
from labor_llm.store.checkpoints import TrainingState, newest_state, save_state, state_after
from labor_llm.text.tokenization import EncodedResume

CURVE_FILE = "learning_curve.csv"
_TRAIN_LOSSES = 20  # points of the learning curve between which the training loss is averaged
_SECONDS_BETWEEN_STATES = 1800.0  # the most work that a kill can cost, however rarely there is a validation


def evaluation_steps(settings: FineTuningSettings, steps_per_epoch: int) -> list[int]:
    """Return after which steps the validation loss is computed: evenly spaced, the last step included."""
    total = settings.steps or settings.epochs * steps_per_epoch
    count = min(total, settings.epochs * settings.evaluations_per_epoch)
    return sorted({round(total * number / count) for number in range(1, count + 1)})


def _optimizer(weights: Iterable[torch.nn.Parameter], settings: FineTuningSettings) -> torch.optim.Optimizer:
    if not settings.by_bitsandbytes:
        rate, decay = settings.learning_rate, settings.weight_decay
        return torch.optim.AdamW(weights, lr=rate, weight_decay=decay, fused=True)
    from labor_llm.finetuning.optimizers import bitsandbytes_optimizer  # rests on bitsandbytes

    return bitsandbytes_optimizer(weights, settings)


class FineTuningRun:
    """The state of one fine-tuning: model, optimizer, schedule, learning curve and where it stands."""

    def __init__(
        self,
        language_model: LanguageModel,
        settings: FineTuningSettings,
        train: Sequence[EncodedResume],
        validation: Sequence[EncodedResume],
        folder: Path,
        processes: Processes | None = None,
    ) -> None:
        self.settings, self.folder = settings, folder
        self.processes = processes or Processes(settings.precision)
        self.train_careers = [training_career(resume, settings.loss) for resume in train]
        self.validation_careers = [training_career(resume, settings.loss) for resume in validation]
        self.steps_per_epoch = -(-len(train) // settings.batch_size)
        self.total = settings.steps or settings.epochs * self.steps_per_epoch
        set_seed(settings.seed)
        self.model = language_model.model
        if settings.layout == "packed":
            with self.processes.together():
                pack_careers(self.model, self.train_careers[0])
        if settings.activation_checkpointing == "always":
            causal_model(self.model).activation_checkpointing_enable({"use_reentrant": False})
        self.loss = NextTokenLoss(self.model)
        self.processes.wrap(self.loss)
        self.optimizer = _optimizer(self._trained().values(), settings)
        warmup = round(settings.warmup_share * self.total)
        self.schedule = get_linear_schedule_with_warmup(self.optimizer, warmup, self.total)
        self.step, self.best = 0, float("inf")
        self.best_step: int | None = None  # of the lowest validation loss so far
        self.kept: int | None = None  # the step whose weights were put back at the end
        self.curve: list[dict[str, Any]] = []
        self._losses: list[float] = []  # of the steps since the last point of the curve
        self._stored = time.monotonic()
        self._batches: list[np.ndarray] = []  # of the epoch that the run is in

    def train(self) -> None:
        """Run to the end of the schedule, from the newest sound state if there is one."""
        self._resume()
        evaluate_after = evaluation_steps(self.settings, self.steps_per_epoch)
        every = max(1, self.total // _TRAIN_LOSSES)
        self.loss.train()
        self._settle()
        what = f"fine-tuning {self.folder.name.removeprefix('.').removesuffix('.unfinished')}"
        shown = progress(what, self.total, "step", self.step)
        with shown if self.processes.is_main else contextlib.nullcontext(lambda *_: None) as advance:
            while self.step < self.total:
                self._losses.append(self.take_step())
                if self.step in evaluate_after or self.step % every == 0:
                    self._note("train", float(np.mean(self._losses)))
                    self._losses = []
                if self.step in evaluate_after:
                    self._evaluate()
                elif self.processes.said_by_main(time.monotonic() - self._stored > _SECONDS_BETWEEN_STATES):
                    self._store()
                advance(1, f"loss {self.curve[-1]['loss']:.3f}" if self.curve else "")

    def _settle(self) -> None:
        """Let DDP lay out the gradients, which it does in its first pass and which decides about their last digits.

        A run that goes on would else begin with another layout than the run that was not stopped.
        """
        if self.processes.kind == "DDP":
            self.processes.backward(self._summed_loss([]))
            self.optimizer.zero_grad()

    def take_step(self) -> float:
        """Take the next step of the schedule and return its loss, nats per token that counts.

        Raises:
            NumericalError: if the loss or the gradient is not finite; the weights are left as they were.
        """
        # Dropout then depends on the step and the process alone, also after an interruption.
        set_seed((self.settings.seed + self.step + self.processes.number * self.total) % 2**32)
        epoch, position = divmod(self.step, self.steps_per_epoch)
        if position == 0 or not self._batches:
            lengths = [len(career.ids) for career in self.train_careers]
            self._batches = batches(lengths, self.settings.batch_size, self.settings.seed, epoch)
        numbers = self._batches[position]
        careers = [self.train_careers[number] for number in numbers]
        predicted, total = sum(career.predicted for career in careers), 0.0
        failed, parts = np.zeros(len(careers)), self._own_passes(careers)
        for number, part in enumerate(parts, start=1):
            with self.processes.passing(is_last=number == len(parts)):
                loss = self._summed_loss([careers[place] for place in part]) / predicted
                self.processes.backward(loss)
            total += loss.item()
            failed[part] = not torch.isfinite(loss)
        total, *failed = self.processes.summed([total, *failed])
        self._check_finite("loss", total, numbers[np.asarray(failed) > 0])
        norm = self.processes.clip(list(self._trained().values()), self.settings.max_gradient_norm)
        self._check_finite("norm of the gradient", norm.item(), numbers)
        self.optimizer.step()
        self.schedule.step()
        self.optimizer.zero_grad()
        self.step += 1
        return float(total)

    def _check_finite(self, what: str, value: float, numbers: np.ndarray) -> None:
        """Stop before a step that would spoil the weights; the message has no ids, which may be confidential."""
        if np.isfinite(value):
            return
        epoch, position = divmod(self.step, self.steps_per_epoch)
        places = ", ".join(str(number + 1) for number in sorted(numbers))
        message = (
            f"Fine-tuning stopped: the {what} is {value} at step {self.step + 1} of {self.total} (epoch {epoch + 1}, "
            f"batch {position + 1}; in the order of the training split, careers {places}). Lower the learning rate, or "
            "use float32."
        )
        raise self.processes.said_once(NumericalError(message))

    def _own_passes(self, careers: Sequence[TrainingCareer]) -> list[list[int]]:
        """Return the places of the careers in each pass of this process; an empty pass is only attended."""
        lengths = [len(career.ids) for career in careers]
        return self.processes.own_passes(lengths, self.settings.tokens_at_once, self.settings.layout)

    def _summed_loss(self, careers: Sequence[TrainingCareer]) -> torch.Tensor:
        layout = packed if self.settings.layout == "packed" else padded
        if not careers:
            # None of these tokens counts, yet the weights are gathered and their gradients, zero, added.
            ids = self.train_careers[0].ids[:2]
            careers = [TrainingCareer(ids, torch.full_like(ids, IGNORED))]
        return self.processes.compute(layout(careers, self.processes.device))

    @torch.no_grad()
    def _evaluate(self) -> None:
        self.loss.eval()
        careers, total = self.validation_careers, 0.0
        for part in self._own_passes(careers):
            total += self._summed_loss([careers[place] for place in part]).item()
        self.processes.reshard()
        self.loss.train()
        loss = float(self.processes.summed([total])[0]) / sum(career.predicted for career in careers)
        self._note("validation", loss)
        if loss < self.best:
            self.best, self.best_step = loss, self.step
        self._store()

    def _note(self, split: str, loss: float) -> None:
        epoch = self.step / self.steps_per_epoch
        self.curve.append({"step": self.step, "epoch": epoch, "split": split, "loss": loss})
        self._show(self.curve[-1:], "a")

    def _show(self, points: list[dict[str, Any]], mode: str) -> None:
        """Write points of the learning curve where they can be watched while the run goes on."""
        frame = pd.DataFrame(points, columns=["step", "epoch", "split", "loss"])
        with self.processes.together():
            if self.processes.is_main:
                frame.to_csv(self.folder / CURVE_FILE, mode=mode, header=mode == "w", index=False)

    def _store(self) -> None:
        notes = {
            "schedule": self.schedule.state_dict(),
            "best": self.best,
            "best_step": self.best_step,
            "curve": self.curve,
            "losses": self._losses,
        }
        whole, optimizer = self.processes.whole, self.optimizer.state_dict()
        weights = whole(self._trained())
        optimizer["state"] = {number: whole(values) for number, values in optimizer["state"].items()}
        with self.processes.together():
            if self.processes.is_main:
                save_state(self.folder, TrainingState(self.step, weights, optimizer, notes))
        self._stored = time.monotonic()

    def _stored_state(self, step: int | None = None) -> TrainingState | None:
        """Return the state after a step, or without a step the one to go on from; the main process reads it."""
        state = None
        with self.processes.together():
            if self.processes.is_main:
                state = newest_state(self.folder) if step is None else state_after(self.folder, step)
        return self.processes.spread_state(state, self._trained())

    def _resume(self) -> None:
        state = self._stored_state()
        if state is not None:
            self._load_trained_weights(state.weights)
            self.optimizer.load_state_dict(state.optimizer)
            self.schedule.load_state_dict(state.notes["schedule"])
            self.step, self.best, self.curve = state.step, state.notes["best"], state.notes["curve"]
            self.best_step, self._losses = state.notes["best_step"], state.notes["losses"]
        self._show(self.curve, "w")

    def restore_best(self) -> None:
        """Put the weights with the lowest validation loss back into the model.

        Raises:
            NumericalError: if no validation loss was finite.
            ArtefactError: if their checkpoint was damaged while the run went on.
        """
        state = None if self.best_step is None else self._stored_state(self.best_step)
        if state is None:
            message = "Fine-tuning ended without a finite validation loss. Lower the learning rate."
            raise self.processes.said_once(NumericalError(message))
        self._load_trained_weights(state.weights)
        self.kept = state.step

    def curve_frame(self) -> pd.DataFrame:
        """Return the learning curve with the checkpoint marked that `restore_best` has put back."""
        frame = pd.DataFrame(self.curve)
        return frame.assign(kept=frame["step"] == self.kept)

    def _trained(self) -> dict[str, torch.nn.Parameter]:
        return {name: weight for name, weight in self.model.named_parameters() if weight.requires_grad}

    @torch.no_grad()
    def _load_trained_weights(self, weights: dict[str, torch.Tensor]) -> None:
        for name, weight in self._trained().items():
            weight.copy_(weights[name])
