"""CAREER as a baseline: trained, stored, and possibly the start of the training on another population (transfer).

The transfer is the paper's: weights that were trained on other careers over the same occupations are the start of
the training. Covariates that those careers lack are not known there; their embeddings begin afresh.

References: K. Vafa, E. Palikot, T. Du, A. Kanodia, S. Athey and D. Blei (2024), "CAREER: A Foundation Model for
Labor Sequence Data", Transactions on Machine Learning Research; their code, keyonvafa/career-code.
"""

from __future__ import annotations

import hashlib
import json
import math
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file, save_file

from labor_llm.baselines.career_model import (
    PADDING,
    CareerTransformer,
    EncodedCareer,
    Levels,
    encode,
    levels_of,
    padded,
)
from labor_llm.baselines.form import Baseline, check_fitting_panels, check_outcomes
from labor_llm.baselines.settings import BASELINES, CAREER, CareerSettings
from labor_llm.careers.occupations import OutcomeSpace, read_titles
from labor_llm.careers.panel import CareerPanel
from labor_llm.errors import InputError, MismatchError, NumericalError
from labor_llm.finetuning.batches import batches
from labor_llm.progress import progress
from labor_llm.store.artefacts import (
    checksum_of,
    environment,
    verify,
    writing,
)
from labor_llm.store.checkpoints import TrainingState, newest_state, save_state
from labor_llm.store.places import check_replaceable
from labor_llm.store.results import work_into
from labor_llm.store.staleness import code_checksum, is_current

_WEIGHTS, _MODEL, _TITLES, _CURVE = "weights.safetensors", "model.json", "titles.csv", "learning_curve.csv"
_SIZES = ("layers", "width", "heads", "inner_width")
_BETAS = (0.9, 0.98)
# Before the names of the best weights in a state of an unfinished training.
_BEST = "best."
_CAREERS_AT_ONCE = 64
# The most work that a stop can cost; states are written after evaluations.
_SECONDS_BETWEEN_STATES = 120.0


class Career(Baseline):
    """CAREER, trained on the training workers and stopped by the validation workers.

    Args:
        settings: size and training; the authors' size if None.
        folder: where the fitted model will stand, and from where an unfinished training goes on; if None it is kept in
            memory alone, and nothing is left of an unfinished training.
        pretrained: a stored CAREER to start from.
        name: the model's name in its predictions.

    Attributes:
        model_: the fitted model, in evaluation mode.
        validation_perplexity_: the learning curve, columns `step`, `epoch`, `train_loss` (nats per record, mean since
            the point before), `validation_perplexity`, `kept`.
    """

    name = BASELINES[CAREER]

    def __init__(
        self,
        settings: CareerSettings | None = None,
        folder: Path | None = None,
        pretrained: Path | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self.settings, self.folder, self.pretrained = settings or CareerSettings(), folder, pretrained

    def load(self, folder: Path) -> Self:
        """Become the model that `fit_career` has stored at a folder, checksums verified; on a GPU if there is one.

        Raises:
            ArtefactError: if the artefact is missing or was changed.
        """
        verify(folder)
        described = json.loads((folder / _MODEL).read_text(encoding="utf-8"))
        self.settings, self.outcomes_ = CareerSettings(**described["settings"]), read_titles(folder / _TITLES)
        self.model_ = CareerTransformer(len(self.outcomes_), Levels(**described["levels"]), self.settings)
        self.model_.load_state_dict(load_file(folder / _WEIGHTS))
        self.model_.to(_device()).eval()
        self.validation_perplexity_ = pd.read_csv(folder / _CURVE)
        return self

    def _estimate(self, train: CareerPanel, validation: CareerPanel) -> None:
        with tempfile.TemporaryDirectory() as passing:
            folder = self.folder or Path(passing) / "career"
            self.load(fit_career([train], [validation], self.settings, folder, self.pretrained))
        kept = self.validation_perplexity_[self.validation_perplexity_["kept"]].iloc[0]
        size = f"{self.settings.layers} layers of width {self.settings.width}"
        self.chosen = f"{size}, epoch {kept['epoch']:.3g}" + (", pre-trained" if self.pretrained else "")

    @torch.no_grad()
    def _log_probs(self, panel: CareerPanel, table: pd.DataFrame) -> np.ndarray:
        careers, device = encode(panel, self.model_.levels), _device()
        starts = np.cumsum([0, *map(len, careers)])
        result = np.empty((starts[-1], len(self.outcomes_)), dtype=np.float32)
        for group in _by_length(careers):
            together = padded([careers[place] for place in group])
            log_probs = (
                self.model_(together.previous.to(device), together.covariates.to(device)).cpu().numpy()
            )
            for row, place in enumerate(group):
                result[starts[place] : starts[place + 1]] = log_probs[row, : len(careers[place])]
        return result


def fit_career(
    train: Sequence[CareerPanel],
    validation: Sequence[CareerPanel],
    settings: CareerSettings,
    folder: Path,
    pretrained: Path | None = None,
) -> Path:
    """Train CAREER, keep the weights that are best for the validation workers, and store it at `folder`.

    The artefact holds `weights.safetensors`, `model.json`, `titles.csv` and `learning_curve.csv`. Beside it a hidden
    folder holds the state of an unfinished run.

    Args:
        train: one panel, or several of different populations over the same outcome space.
        validation: as many, in the same order.
        settings: size and training.
        folder: returned at once, if it holds the result of the same careers, settings, code and start already.
        pretrained: such an artefact to start from, of the same size and occupations.

    Raises:
        InputError: if a panel is empty, a worker is in both panels of a population, or something else than a stored
            result stands at `folder`.
        MismatchError: if outcome spaces differ, the pre-trained model has another size, or another run was left
            unfinished.
        BusyError: if another run trains into the folder.
        NumericalError: if a loss is not finite.
    """
    if not train or len(train) != len(validation):
        raise InputError(
            f"{Career.name}: {len(train)} training and {len(validation)} validation panels; give one of each a "
            "population."
        )
    outcomes = train[0].outcomes
    for own_train, own_validation in zip(train, validation, strict=True):
        check_fitting_panels(Career.name, own_train, own_validation)
        check_outcomes(Career.name, outcomes, own_train)
    device = _device()
    start = Career().load(pretrained) if pretrained else None
    levels = levels_of(train, settings.covariates)
    if start is not None:
        _check_start(start, outcomes, settings, pretrained)
        levels = levels.joined(start.model_.levels)
    described = {
        "careers": [panel.checksum() for panel in (*train, *validation)], "settings": settings.model_dump(),
        "levels": levels.model_dump(), "start": checksum_of(pretrained) if pretrained else None,
        "circumstances": [device.type, environment()["versions"], torch.get_num_threads(), code_checksum(__file__)],
    }  # fmt: skip
    identity = hashlib.sha256(json.dumps(described).encode()).hexdigest()
    if is_current(folder, identity):
        return folder
    check_replaceable(folder)
    careers, held_careers = (
        [career for panel in panels for career in encode(panel, levels)] for panels in (train, validation)
    )
    torch.manual_seed(settings.seed)
    model = CareerTransformer(len(outcomes), levels, settings).to(device)
    if start is not None:
        model.begin_from(start.model_)
    with work_into(folder, identity, "other careers, settings, start, thread count or code") as working:
        curve = _Training(model, careers, held_careers, settings, working).run()
        parameters = {"identity": identity, **settings.model_dump()}
        with writing(folder, parameters, {"pretrained": pretrained} if pretrained else {}) as aside:
            weights = {name: weight.cpu().contiguous() for name, weight in model.state_dict().items()}
            save_file(weights, aside / _WEIGHTS)
            about = {name: described[name] for name in ("levels", "settings")}
            (aside / _MODEL).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
            outcomes.frame().to_csv(aside / _TITLES, index=False)
            curve.to_csv(aside / _CURVE, index=False)
    return folder


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _check_start(start: Career, outcomes: OutcomeSpace, settings: CareerSettings, folder: Path) -> None:
    """Check that a model can begin from a fitted one."""
    for name in _SIZES:
        if getattr(start.settings, name) != getattr(settings, name):
            raise MismatchError(
                f"{folder}: pre-trained with {name} {getattr(start.settings, name)}, the settings say "
                f"{getattr(settings, name)}. Give both the same size."
            )
    if start.outcomes_.codes != outcomes.codes:
        raise MismatchError(
            f"{folder}: pre-trained for {len(start.outcomes_)} occupations, the panel has {len(outcomes)} (or the same "
            "in another order). Give both populations the same titles."
        )


class _Training:
    """One training: steps, early stopping, learning curve, and how it goes on after a stop.

    Batches, weights and dropout depend on the seed and the step alone, so that a run which was stopped and went on
    ends where it would have ended.
    """

    def __init__(
        self,
        model: CareerTransformer,
        train: Sequence[EncodedCareer],
        validation: Sequence[EncodedCareer],
        settings: CareerSettings,
        folder: Path,
    ) -> None:
        self.model, self.train, self.validation = model, train, validation
        self.settings, self.folder, self.device = settings, folder, _device()
        self.optimizer = torch.optim.AdamW(
            model.parameters(), lr=settings.learning_rate, betas=_BETAS, weight_decay=settings.weight_decay
        )
        self.steps_per_epoch = -(-len(train) // settings.batch_size)
        self.step, self.best, self.without_gain = 0, float("inf"), 0
        self.best_weights: dict[str, torch.Tensor] = {}
        self.curve: list[dict[str, Any]] = []
        self._losses: list[float] = []
        self._batches: list[np.ndarray] = []

    def run(self) -> pd.DataFrame:
        """Train from the newest sound state, put the best weights into the model, and return the learning curve.

        Raises:
            NumericalError: if a loss is not finite.
        """
        self._resume()
        parts, patience = self.settings.evaluations_per_epoch, self.settings.patience
        # Steps of an epoch after which there is an evaluation; 0 is its end.
        evaluated = {
            round(self.steps_per_epoch * part / parts) % self.steps_per_epoch for part in range(parts)
        }
        total, stored = self.settings.epochs * self.steps_per_epoch, time.monotonic()
        # Patience decides when it ends, so that the total is the most that it can take.
        with progress("training CAREER", total, "step", done=self.step) as advance:
            while self.step < total and self.without_gain < patience:
                self._take_step()
                if self.step % self.steps_per_epoch in evaluated:
                    self._evaluate()
                    if time.monotonic() - stored > _SECONDS_BETWEEN_STATES:
                        self._store()
                        stored = time.monotonic()
                reached = (
                    f"validation perplexity {self.curve[-1]['validation_perplexity']:.3f}"
                    if self.curve
                    else ""
                )
                advance(1, reached)
        self.model.load_state_dict(self.best_weights)
        frame = pd.DataFrame(self.curve)
        return frame.assign(kept=frame.index == frame["validation_perplexity"].idxmin())

    def _take_step(self) -> None:
        settings = self.settings
        # Dropout then depends on the step alone, also after an interruption.
        torch.manual_seed(settings.seed + self.step)
        epoch, position = divmod(self.step, self.steps_per_epoch)
        if position == 0 or not self._batches:
            lengths = [len(career) for career in self.train]
            self._batches = batches(lengths, settings.batch_size, settings.seed, epoch)
        careers = [self.train[number] for number in self._batches[position]]
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
        for group in self.optimizer.param_groups:
            group["lr"] = settings.learning_rate * learning_rate_share(self.step, settings.warmup_steps)
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
        groups = [[self.validation[place] for place in group] for group in _by_length(self.validation)]
        total = sum(self._log_prob(careers).item() for careers in groups)
        perplexity = float(np.exp(-total / sum(map(len, self.validation))))
        if not np.isfinite(perplexity):
            raise NumericalError(
                f"CAREER: the validation perplexity is {perplexity}. Lower the learning rate."
            )
        epoch, loss = self.step / self.steps_per_epoch, float(np.mean(self._losses))
        point = {"step": self.step, "epoch": epoch, "train_loss": loss, "validation_perplexity": perplexity}
        self.curve.append(point)
        self._losses, self.without_gain = [], self.without_gain + 1
        if perplexity < self.best:
            self.best, self.without_gain = perplexity, 0
            self.best_weights = {name: w.detach().clone() for name, w in self.model.state_dict().items()}

    def _store(self) -> None:
        weights = self.model.state_dict() | {_BEST + name: w for name, w in self.best_weights.items()}
        # The best weights are in every state, so no earlier state is needed.
        notes = {"best": self.best, "without_gain": self.without_gain, "curve": self.curve, "best_step": None}
        save_state(self.folder, TrainingState(self.step, weights, self.optimizer.state_dict(), notes))

    def _resume(self) -> None:
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


def learning_rate_share(step: int, warmup_steps: int) -> float:
    """Return the share of the peak learning rate at a step: it rises evenly, then falls with the step's square root."""
    return min((step + 1) / warmup_steps, math.sqrt(warmup_steps / (step + 1)))


def _by_length(careers: Sequence[EncodedCareer]) -> list[list[int]]:
    """Return the places of careers in groups of similar length, shortest first; the order is fixed."""
    order = sorted(range(len(careers)), key=lambda place: len(careers[place]))
    return [order[start : start + _CAREERS_AT_ONCE] for start in range(0, len(order), _CAREERS_AT_ONCE)]
