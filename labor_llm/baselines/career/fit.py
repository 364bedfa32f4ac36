"""Fit CAREER and store it; fit it on one population and go on from there on another (transfer).

The transfer is the paper's: weights that were trained on other careers over the same occupations are the start of
the training. Covariates that those careers lack are not known there; their embeddings begin afresh.

CAREER in the form of a baseline: `fit(train, validation)` and `predict(panel)`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

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
from labor_llm.baselines.panels import check_fitting_panels, check_outcomes
from labor_llm.careers.occupations import OutcomeSpace, read_titles
from labor_llm.careers.panel import CareerPanel, transitions
from labor_llm.careers.predictions import Predictions, from_matrix
from labor_llm.errors import InputError, MismatchError
from labor_llm.store.artefacts import (
    check_replaceable,
    checksum_of,
    environment,
    is_current,
    verify,
    writing,
)
from labor_llm.store.results import only_run_into
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

    def predict(self, panel: CareerPanel, name: str = NAME) -> Predictions:
        """Return the log-probability of every occupation for every record of a panel.

        Args:
            panel: over the model's outcome space.
            name: the model's name in the predictions.

        Raises:
            MismatchError: if the panel's outcome space is another.
        """
        check_outcomes(name, self.outcomes, panel)
        return from_matrix(name, transitions(panel), self.outcomes, self.log_probabilities(panel))

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
    inputs: dict[str, Path] | None = None,
) -> Path:
    """Train CAREER on the training workers, keep the weights that are best for the validation workers, and store it.

    Args:
        train: one panel, or several of different populations over the same outcome space.
        validation: as many, in the same order.
        settings: size and training.
        folder: where the artefact will stand: `weights.safetensors`, `model.json`, `titles.csv` and
            `learning_curve.csv`. Beside it a hidden folder holds the state of an unfinished run.
        pretrained: such an artefact to start from, of the same size and occupations.
        inputs: artefacts that the panels come from, for the manifest.

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
    training, held_out = _panels(train), _panels(validation)
    _check(training, held_out)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    start = load_career(pretrained, device) if pretrained else None
    levels = levels_of(training, settings.covariates)
    outcomes = training[0].outcomes
    if start is not None:
        levels = _check_start(start, levels, outcomes, settings, pretrained)
    careers, held_careers = (
        [career for panel in panels for career in encode(panel, levels)] for panels in (training, held_out)
    )
    identity = _identity(careers, held_careers, levels, outcomes, settings, pretrained, device)
    if is_current(folder, identity):
        return folder
    check_replaceable(folder)
    torch.manual_seed(settings.seed)
    model = CareerTransformer(len(outcomes), levels, settings).to(device)
    if start is not None:
        transfer_weights(start, model, levels)
    with only_run_into(folder, identity, "other careers, settings, start, thread count or code") as working:
        run = CareerRun(model, careers, held_careers, settings, working)
        run.train()
        parameters = {"identity": identity, **dataclasses.asdict(settings)}
        made_from = (inputs or {}) | ({"pretrained": pretrained} if pretrained else {})
        with writing(folder, parameters, made_from) as aside:
            save_file(
                {name: weight.cpu().contiguous() for name, weight in model.state_dict().items()},
                aside / _WEIGHTS,
            )
            described = {"levels": levels.to_json(), "settings": dataclasses.asdict(settings)}
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
    levels = Levels.from_json(described["levels"])
    stored = described["settings"]
    settings = CareerSettings(**{**stored, "covariates": tuple(stored["covariates"])})
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


def _panels(panels: CareerPanel | Sequence[CareerPanel]) -> list[CareerPanel]:
    return [panels] if isinstance(panels, CareerPanel) else list(panels)


def _check(training: list[CareerPanel], held_out: list[CareerPanel]) -> None:
    if not training or len(training) != len(held_out):
        raise InputError(
            f"{NAME}: {len(training)} training and {len(held_out)} validation panels; give one of each a population."
        )
    for panel, validation in zip(training, held_out, strict=True):
        check_fitting_panels(NAME, panel, validation)
        check_outcomes(NAME, training[0].outcomes, panel)


def _check_start(
    start: FittedCareer, levels: Levels, outcomes: OutcomeSpace, settings: CareerSettings, folder: Path
) -> Levels:
    """Check that a model can begin from a fitted one, and return the levels that either knows."""
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
    texts = {
        name: sorted({*found, *start.levels.texts.get(name, [])}) for name, found in levels.texts.items()
    }
    spans = {
        name: (min(first, known[0]), max(last, known[1]))
        for name, (first, last) in levels.spans.items()
        for known in [start.levels.spans.get(name, (first, last))]
    }
    return Levels(texts, spans)


def _identity(
    careers: Sequence[EncodedCareer],
    held_careers: Sequence[EncodedCareer],
    levels: Levels,
    outcomes: OutcomeSpace,
    settings: CareerSettings,
    pretrained: Path | None,
    device: torch.device,
) -> str:
    """Return a hash of all that the weights at the end depend on."""
    digest = hashlib.sha256()
    start = checksum_of(pretrained) if pretrained else ""
    versions = environment()["versions"]
    threads = torch.get_num_threads()
    described = [dataclasses.asdict(settings), levels.to_json(), outcomes.codes, start, versions, device.type]
    digest.update(json.dumps(described).encode())
    digest.update(f"{threads} {code_checksum(__file__)} {len(careers)}".encode())
    for career in (*careers, *held_careers):
        for values in (career.covariates, career.realised):
            digest.update(values.numpy().tobytes() + b"|")
    return digest.hexdigest()


class Career:
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

    def __init__(
        self,
        settings: CareerSettings | None = None,
        folder: Path | None = None,
        pretrained: Path | None = None,
        name: str = NAME,
    ) -> None:
        self.settings = settings or CareerSettings()
        self.folder, self.pretrained, self.name = folder, pretrained, name

    def fit(self, train: CareerPanel, validation: CareerPanel) -> Career:
        """Train, or load what is stored in the folder of the same careers and settings.

        Raises:
            As `fit_career`.
        """
        with tempfile.TemporaryDirectory() as passing:
            folder = self.folder or Path(passing) / "career"
            fit_career(train, validation, self.settings, folder, self.pretrained)
            self.fitted_: FittedCareer = load_career(folder)
        return self

    @property
    def validation_perplexity_(self) -> pd.DataFrame:
        """The learning curve, one row an evaluation."""
        return self.fitted_.curve

    @property
    def chosen(self) -> str:
        """What the validation workers chose, in words."""
        curve = self.fitted_.curve
        kept = curve[curve["kept"]].iloc[0]
        size = f"{self.settings.layers} layers of width {self.settings.width}"
        return f"{size}, epoch {kept['epoch']:.3g}" + (", pre-trained" if self.pretrained else "")

    def predict(self, panel: CareerPanel) -> Predictions:
        """Return the log-probability of every occupation for every record of a panel.

        Raises:
            MismatchError: if the panel's outcome space is not the fitted one.
        """
        return self.fitted_.predict(panel, self.name)
