"""One run of fine-tuning: its batches, its steps, its checkpoints, and how it goes on after a stop."""

from __future__ import annotations

from collections.abc import Sequence
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

from labor_llm.artefacts import atomic_path
from labor_llm.errors import MismatchError, NumericalError
from labor_llm.finetuning_settings import FineTuningSettings
from labor_llm.language_models import LanguageModel
from labor_llm.progress import progress
from labor_llm.tokenization import EncodedResume
from labor_llm.training_state import newest_state, save_state

_IGNORED = -100
_BATCHES_SORTED_TOGETHER = 16
_TRAIN_LOSSES = 20  # points of the learning curve between which the training loss is averaged


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


class FineTuningRun:
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
        self._batches: list[np.ndarray] = []  # of the epoch that the run is in

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
        every = max(1, self.total // _TRAIN_LOSSES)
        self.model.train()
        with progress("fine-tuning", self.total, "step", done=self.step) as advance:
            losses: list[float] = []
            while self.step < self.total:
                losses.append(self._one_step())
                if self.step in evaluate_after or self.step % every == 0:
                    self._note("train", float(np.mean(losses)))
                    losses = []
                if self.step in evaluate_after:
                    self._evaluate()
                advance(1, f"loss {self.curve[-1]['loss']:.3f}" if self.curve else "")

    def _one_step(self) -> float:
        # Dropout then depends on the step alone, also after an interruption.
        set_seed(self.settings.seed + self.step)
        epoch, position = divmod(self.step, self.steps_per_epoch)
        if position == 0 or not self._batches:
            lengths = [len(ids) for ids in self.train_ids]
            self._batches = batches(lengths, self.settings.batch_size, self.settings.seed, epoch)
        loss = self._loss([self.train_ids[career] for career in self._batches[position]])
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
    def _evaluate(self) -> None:
        self.model.eval()
        total, tokens = 0.0, 0
        by_length = sorted(self.validation_ids, key=len)
        for start in range(0, len(by_length), self.settings.batch_size):
            careers = by_length[start : start + self.settings.batch_size]
            predicted = sum(len(ids) - 1 for ids in careers)
            total += self._loss(careers).item() * predicted
            tokens += predicted
        self.model.train()
        self._record(total / tokens)

    def _note(self, split: str, loss: float) -> None:
        epoch = self.step / self.steps_per_epoch
        self.curve.append({"step": self.step, "epoch": epoch, "split": split, "loss": loss})

    def _record(self, validation_loss: float) -> None:
        self._note("validation", validation_loss)
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
