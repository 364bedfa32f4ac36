"""CAREER as a baseline, stored; fitted on one population, it can be the start of the training on another (transfer).

The transfer is the paper's: weights that were trained on other careers over the same occupations are the start of
the training. Covariates that those careers lack are not known there; their embeddings begin afresh.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file, save_file

from labor_llm.baselines.career.model import (
    CareerTransformer,
    EncodedCareer,
    Levels,
    encode,
    levels_of,
    padded,
)
from labor_llm.baselines.career.settings import CareerSettings
from labor_llm.baselines.career.training import CareerRun, by_length
from labor_llm.baselines.form import Baseline, check_fitting_panels, check_outcomes
from labor_llm.careers.occupations import OutcomeSpace, read_titles
from labor_llm.careers.panel import CareerPanel
from labor_llm.errors import InputError, MismatchError
from labor_llm.store.artefacts import (
    check_replaceable,
    checksum_of,
    environment,
    is_current,
    verify,
    writing,
)
from labor_llm.store.results import work_into
from labor_llm.store.staleness import code_checksum

CURVE_FILE = "learning_curve.csv"
_WEIGHTS, _MODEL, _TITLES = "weights.safetensors", "model.json", "titles.csv"
_SIZES = ("layers", "width", "heads", "inner_width")
NAME = "CAREER"


@dataclass(frozen=True)
class FittedCareer:
    """A fitted CAREER.

    Attributes:
        model: in evaluation mode, on its device.
        levels: of year and covariates that it knows.
        outcomes: the occupations.
        settings: it was fitted with.
        curve: learning curve, columns `step`, `epoch`, `train_loss` (nats per record, mean since the point
            before), `validation_perplexity`, `kept`.
    """

    model: CareerTransformer
    levels: Levels
    outcomes: OutcomeSpace
    settings: CareerSettings
    curve: pd.DataFrame

    @torch.no_grad()
    def log_probabilities(self, panel: CareerPanel) -> np.ndarray:
        """Return the log-probability of every occupation at every record, nats, float32 [records, occupations]."""
        careers = encode(panel, self.levels)
        device = next(self.model.parameters()).device
        starts = np.cumsum([0, *map(len, careers)])
        result = np.empty((starts[-1], len(self.outcomes)), dtype=np.float32)
        for group in by_length(careers):
            together = padded([careers[place] for place in group])
            log_probs = self.model(together.previous.to(device), together.covariates.to(device)).cpu().numpy()
            for row, place in enumerate(group):
                result[starts[place] : starts[place + 1]] = log_probs[row, : len(careers[place])]
        return result


def fit_career(
    train: CareerPanel | Sequence[CareerPanel],
    validation: CareerPanel | Sequence[CareerPanel],
    settings: CareerSettings,
    folder: Path,
    pretrained: Path | None = None,
) -> Path:
    """Train CAREER on the training workers, keep the weights that are best for the validation workers, and store it.

    Args:
        train: one panel, or several of different populations over the same outcome space.
        validation: as many, in the same order.
        settings: size and training.
        folder: where the artefact will stand: `weights.safetensors`, `model.json`, `titles.csv` and
            `learning_curve.csv`. Beside it a hidden folder holds the state of an unfinished run.
        pretrained: such an artefact to start from, of the same size and occupations.

    Returns:
        The folder; at once, if it holds the result of the same careers, settings, code and start already.

    Raises:
        InputError: if a panel is empty, a worker is in both panels of a population, or something else than a stored
            result stands at `folder`.
        MismatchError: if outcome spaces differ, the pre-trained model has another size, or another run was left
            unfinished.
        BusyError: if another run trains into the folder.
        NumericalError: if a loss is not finite.
    """
    training, held_out = (
        [panels] if isinstance(panels, CareerPanel) else list(panels) for panels in (train, validation)
    )
    if not training or len(training) != len(held_out):
        raise InputError(
            f"{NAME}: {len(training)} training and {len(held_out)} validation panels; give one of each a population."
        )
    for own_train, own_validation in zip(training, held_out, strict=True):
        check_fitting_panels(NAME, own_train, own_validation)
        check_outcomes(NAME, training[0].outcomes, own_train)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    start = load_career(pretrained, device) if pretrained else None
    levels = levels_of(training, settings.covariates)
    outcomes = training[0].outcomes
    if start is not None:
        _check_start(start, outcomes, settings, pretrained)
        levels = levels.joined(start.levels)
    careers, held_careers = (
        [career for panel in panels for career in encode(panel, levels)] for panels in (training, held_out)
    )
    begun = checksum_of(pretrained) if pretrained else ""
    sizes = len(careers), len(held_careers)
    described = [settings.model_dump(), levels.model_dump(), outcomes.codes, begun, device.type, sizes]
    identity = _identity([*careers, *held_careers], described)
    if is_current(folder, identity):
        return folder
    check_replaceable(folder)
    torch.manual_seed(settings.seed)
    model = CareerTransformer(len(outcomes), levels, settings).to(device)
    if start is not None:
        transfer_weights(start, model, levels)
    with work_into(folder, identity, "other careers, settings, start, thread count or code") as working:
        run = CareerRun(model, careers, held_careers, settings, working)
        run.train()
        parameters = {"identity": identity, **settings.model_dump()}
        with writing(folder, parameters, {"pretrained": pretrained} if pretrained else {}) as aside:
            save_file(
                {name: weight.cpu().contiguous() for name, weight in model.state_dict().items()},
                aside / _WEIGHTS,
            )
            described = {"levels": levels.model_dump(), "settings": settings.model_dump()}
            (aside / _MODEL).write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")
            outcomes.frame().to_csv(aside / _TITLES, index=False)
            run.curve_frame().to_csv(aside / CURVE_FILE, index=False)
    return folder


def load_career(folder: Path, device: torch.device | str | None = None) -> FittedCareer:
    """Return a stored CAREER, checksums verified.

    Args:
        folder: artefact of `fit_career`.
        device: of the model; a GPU if there is one and none is given.

    Raises:
        ArtefactError: if the artefact is missing or was changed.
    """
    verify(folder)
    described = json.loads((folder / _MODEL).read_text(encoding="utf-8"))
    levels = Levels(**described["levels"])
    settings = CareerSettings(**described["settings"])
    outcomes = read_titles(folder / _TITLES)
    model = CareerTransformer(len(outcomes), levels, settings)
    model.load_state_dict(load_file(folder / _WEIGHTS))
    model.to(device or ("cuda" if torch.cuda.is_available() else "cpu")).eval()
    return FittedCareer(model, levels, outcomes, settings, pd.read_csv(folder / CURVE_FILE))


@torch.no_grad()
def transfer_weights(start: FittedCareer, model: CareerTransformer, levels: Levels) -> None:
    """Put the weights of a fitted model into another of the same size, embeddings level by level.

    A level that the fitted model does not know keeps the weights it has. A year or an age outside of those that it
    knows begins as the nearest.
    """
    known = start.model.state_dict()
    kept = {name: weight for name, weight in known.items() if not name.startswith("covariates.")}
    model.load_state_dict(model.state_dict() | kept)
    for name, embedding in model.covariates.items():
        if name not in start.levels.names:
            continue
        weights = start.model.covariates[name].weight
        if name in levels.spans:
            (first, last), (known_first, known_last) = levels.spans[name], start.levels.spans[name]
            places = np.clip(np.arange(first, last + 1), known_first, known_last) - known_first + 1
            embedding.weight[1:] = weights[torch.from_numpy(places).to(weights.device)]
        else:
            for place, text in enumerate(levels.texts[name], start=1):
                if text in start.levels.texts[name]:
                    embedding.weight[place] = weights[start.levels.texts[name].index(text) + 1]


def _check_start(start: FittedCareer, outcomes: OutcomeSpace, settings: CareerSettings, folder: Path) -> None:
    """Check that a model can begin from a fitted one."""
    for name in _SIZES:
        if getattr(start.settings, name) != getattr(settings, name):
            raise MismatchError(
                f"{folder}: pre-trained with {name} {getattr(start.settings, name)}, the settings say "
                f"{getattr(settings, name)}. Give both the same size."
            )
    if start.outcomes.codes != outcomes.codes:
        raise MismatchError(
            f"{folder}: pre-trained for {len(start.outcomes)} occupations, the panel has {len(outcomes)} (or the same "
            "in another order). Give both populations the same titles."
        )


def _identity(careers: Sequence[EncodedCareer], described: Sequence[Any]) -> str:
    """Return a hash of all that the weights at the end depend on: careers, what else describes the run, and code."""
    digest = hashlib.sha256()
    circumstances = [environment()["versions"], torch.get_num_threads(), code_checksum(__file__)]
    digest.update(json.dumps([*described, *circumstances]).encode())
    for career in careers:
        for values in (career.covariates, career.realised):
            digest.update(values.numpy().tobytes() + b"|")
    return digest.hexdigest()


class Career(Baseline):
    """CAREER, trained on the training workers and stopped by the validation workers.

    Args:
        settings: size and training; the authors' size if None.
        folder: where the fitted model will stand, and from where an unfinished training goes on; if None it is
            kept in memory alone, and nothing is left of an unfinished training.
        pretrained: a stored CAREER to start from.
        name: the model's name in its predictions.

    Attributes:
        fitted_: the fitted model.
        validation_perplexity_: the learning curve, see `FittedCareer.curve`.
    """

    name = NAME

    def __init__(
        self,
        settings: CareerSettings | None = None,
        folder: Path | None = None,
        pretrained: Path | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self.settings, self.folder, self.pretrained = settings or CareerSettings(), folder, pretrained

    def _estimate(self, train: CareerPanel, validation: CareerPanel) -> None:
        with tempfile.TemporaryDirectory() as passing:
            folder = self.folder or Path(passing) / "career"
            fit_career(train, validation, self.settings, folder, self.pretrained)
            self.fitted_ = load_career(folder)
        self.validation_perplexity_ = self.fitted_.curve
        kept = self.fitted_.curve[self.fitted_.curve["kept"]].iloc[0]
        size = f"{self.settings.layers} layers of width {self.settings.width}"
        self.chosen = f"{size}, epoch {kept['epoch']:.3g}" + (", pre-trained" if self.pretrained else "")

    def _log_probs(self, panel: CareerPanel, table: pd.DataFrame) -> np.ndarray:
        return self.fitted_.log_probabilities(panel)
