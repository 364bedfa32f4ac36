"""One training run of CAREER: steps, early stopping, learning curve, and how it goes on after a stop.

Batches, weights and dropout depend on the seed and the step alone, so that a run which was stopped and went on
ends where it would have ended.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from labor_llm.baselines.career.model import PADDING, CareerTransformer, EncodedCareer, padded
from labor_llm.baselines.career.settings import CareerSettings
from labor_llm.errors import NumericalError
from labor_llm.finetuning.batches import batches
from labor_llm.progress import progress
from labor_llm.store.checkpoints import newest_state, save_state

_BETAS = (0.9, 0.98)
_BEST = "best."
_CAREERS_AT_ONCE = 64
_SECONDS_BETWEEN_STATES = 120.0


class CareerRun:
    """The state of one training: model, optimizer, learning curve and where it stands.

    Args:
        model: to be trained, on its device.
        train: careers of the training workers.
        validation: careers of the validation workers.
        settings: of the training.
        folder: where states are kept, to go on from.
        seconds_between_states: the most work that a stop can cost; states are written after evaluations.
    """

    def __init__(
        self,
        model: CareerTransformer,
        train: Sequence[EncodedCareer],
        validation: Sequence[EncodedCareer],
        settings: CareerSettings,
        folder: Path,
        seconds_between_states: float = _SECONDS_BETWEEN_STATES,
    ) -> None:
        self.model, self.train_careers, self.validation_careers = model, list(train), list(validation)
        self.settings, self.folder = settings, folder
        self.device = next(model.parameters()).device
        self.optimizer = torch.optim.AdamW(
            model.parameters(), lr=settings.learning_rate, betas=_BETAS, weight_decay=settings.weight_decay
        )
        self.steps_per_epoch = -(-len(self.train_careers) // settings.batch_size)
        self.total = settings.epochs * self.steps_per_epoch
        self.step, self.best, self.without_gain = 0, float("inf"), 0
        self.best_weights: dict[str, torch.Tensor] = {}
        self.curve: list[dict[str, Any]] = []
        self._losses: list[float] = []
        self._seconds_between_states, self._stored = seconds_between_states, time.monotonic()
        self._batches: list[np.ndarray] = []

    @property
    def finished(self) -> bool:
        """Whether the last epoch is done, or patience has run out."""
        return self.step >= self.total or self.without_gain >= self.settings.patience

    def train(self) -> None:
        """Run to the end from the newest sound state, if there is one, and put the best weights into the model.

        Raises:
            NumericalError: if a loss is not finite.
        """
        self.resume()
        # Patience decides when it ends, so that the total is the most that it can take.
        with progress("training CAREER", self.total, "step", done=self.step) as advance:
            while not self.finished:
                before = self.step
                self.train_to_evaluation()
                perplexity = self.curve[-1]["validation_perplexity"]
                advance(self.step - before, f"validation perplexity {perplexity:.3f}")
                if self.finished or time.monotonic() - self._stored > self._seconds_between_states:
                    self.store()
        self.model.load_state_dict(self.best_weights)

    def train_to_evaluation(self) -> None:
        """Take the steps up to the next evaluation, and evaluate."""
        number = self.settings.evaluations_per_epoch
        # Steps of the epoch after which there is an evaluation; 0 is the end of the epoch before.
        places = {
            round(self.steps_per_epoch * part / number) % self.steps_per_epoch for part in range(1, number)
        } | {0}
        self._take_step()
        while self.step % self.steps_per_epoch not in places:
            self._take_step()
        self._evaluate()

    def _take_step(self) -> None:
        settings = self.settings
        # Dropout then depends on the step alone, also after an interruption.
        torch.manual_seed(settings.seed + self.step)
        epoch, position = divmod(self.step, self.steps_per_epoch)
        if position == 0 or not self._batches:
            lengths = [len(career) for career in self.train_careers]
            self._batches = batches(lengths, settings.batch_size, settings.seed, epoch)
        careers = [self.train_careers[number] for number in self._batches[position]]
        self.model.train()
        loss = -self._log_prob(careers) / sum(map(len, careers))
        value = loss.item()
        if not np.isfinite(value):
            raise NumericalError(
                f"CAREER: the loss is {value} at step {self.step + 1} of epoch {epoch + 1}. Lower the learning "
                "rate, or use float32."
            )
        self.optimizer.zero_grad()
        loss.backward()
        share = learning_rate_share(self.step, settings.warmup_steps)
        for group in self.optimizer.param_groups:
            group["lr"] = settings.learning_rate * share
        self.optimizer.step()
        self._losses.append(value)
        self.step += 1

    def _log_prob(self, careers: Sequence[EncodedCareer]) -> torch.Tensor:
        """Return the summed log-probability of the realised occupations, nats."""
        together = padded(careers)
        realised = together.realised.to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.precision == "bfloat16"):
            log_probs = self.model(together.previous.to(self.device), together.covariates.to(self.device))
        counted = realised != PADDING
        return log_probs[counted].gather(1, realised[counted][:, None]).sum()

    @torch.no_grad()
    def _evaluate(self) -> None:
        self.model.eval()
        held = self.validation_careers
        groups = [[held[place] for place in group] for group in by_length(held)]
        total = sum(self._log_prob(careers).item() for careers in groups)
        perplexity = float(np.exp(-total / sum(map(len, held))))
        if not np.isfinite(perplexity):
            raise NumericalError(
                f"CAREER: the validation perplexity is {perplexity}. Lower the learning rate."
            )
        epoch, loss = self.step / self.steps_per_epoch, float(np.mean(self._losses))
        point = {"step": self.step, "epoch": epoch, "train_loss": loss, "validation_perplexity": perplexity}
        self.curve.append(point)
        self._losses = []
        if perplexity < self.best:
            self.best, self.without_gain = perplexity, 0
            self.best_weights = {name: w.detach().clone() for name, w in self.model.state_dict().items()}
        else:
            self.without_gain += 1

    def store(self) -> None:
        """Store where the run stands."""
        weights = self.model.state_dict() | {_BEST + name: w for name, w in self.best_weights.items()}
        # The best weights are in every state, so no earlier state is needed.
        notes = {"best": self.best, "without_gain": self.without_gain, "curve": self.curve, "best_step": None}
        save_state(self.folder, self.step, weights, self.optimizer.state_dict(), notes)
        self._stored = time.monotonic()

    def resume(self) -> None:
        """Go to the newest sound state, if there is one."""
        state = newest_state(self.folder)
        if state is None:
            return
        best = {name: weight for name, weight in state.weights.items() if name.startswith(_BEST)}
        self.best_weights = {name.removeprefix(_BEST): weight for name, weight in best.items()}
        self.model.load_state_dict({name: state.weights[name] for name in self.best_weights})
        self.optimizer.load_state_dict(state.optimizer)
        self.step, self.curve = state.step, state.notes["curve"]
        self.best, self.without_gain = state.notes["best"], state.notes["without_gain"]
        self._batches = []

    def curve_frame(self) -> pd.DataFrame:
        """Return the learning curve with the kept evaluation marked."""
        frame = pd.DataFrame(self.curve)
        return frame.assign(kept=frame.index == frame["validation_perplexity"].idxmin())


def learning_rate_share(step: int, warmup_steps: int) -> float:
    """Return the share of the peak learning rate at a step: it rises evenly, then falls with the step's square root."""
    return min((step + 1) / warmup_steps, math.sqrt(warmup_steps / (step + 1)))


def by_length(careers: Sequence[EncodedCareer]) -> list[list[int]]:
    """Return the places of careers in groups of similar length, shortest first; the order is fixed."""
    order = sorted(range(len(careers)), key=lambda place: len(careers[place]))
    return [order[start : start + _CAREERS_AT_ONCE] for start in range(0, len(order), _CAREERS_AT_ONCE)]
