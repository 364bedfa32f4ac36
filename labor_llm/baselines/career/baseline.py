"""CAREER in the form of a baseline: `fit(train, validation)` and `predict(panel)`."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pandas as pd

from labor_llm.baselines.career.fit import NAME, FittedCareer, fit_career, load_career
from labor_llm.baselines.career.settings import CareerSettings
from labor_llm.careers import CareerPanel
from labor_llm.predictions import Predictions


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
