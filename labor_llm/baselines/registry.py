"""Baselines: models of the next occupation that know nothing of the words in a title.

All have `fit(train, validation)`, which reads no other worker and chooses its smoothing, regularisation
or stopping by the perplexity of the validation workers, and `predict(panel)`, which returns the common
form of `labor_llm.careers.predictions`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import pandas as pd

from labor_llm.baselines.career.fit import Career
from labor_llm.baselines.frequencies import EmpiricalTransitions, SecondOrderTransitions
from labor_llm.baselines.logit import MultinomialLogit
from labor_llm.baselines.two_stage import BagOfJobs, TwoStageLogit
from labor_llm.careers.panel import CareerPanel
from labor_llm.careers.predictions import Predictions
from labor_llm.errors import InputError

__all__ = [
    "BASELINES", "BagOfJobs", "Baseline", "Career", "EmpiricalTransitions", "MultinomialLogit",
    "SecondOrderTransitions", "TwoStageLogit", "fit_baselines",
]  # fmt: skip


class Baseline(Protocol):
    """What every baseline has; its class takes the name that tables show as `name`."""

    name: str

    @property
    def validation_perplexity_(self) -> pd.DataFrame:
        """After the fit one row a candidate, with the column `validation_perplexity`."""

    @property
    def chosen(self) -> str:
        """After the fit, what the validation workers chose, in words."""

    def fit(self, train: CareerPanel, validation: CareerPanel) -> Baseline:
        """Estimate on the training workers, choose on the validation workers, and return the model itself."""

    def predict(self, panel: CareerPanel) -> Predictions:
        """Return the log-probability of every occupation for every record of a panel."""


# Short name in profiles and folders: class and the name that tables show.
BASELINES: dict[str, tuple[type, str]] = {
    "empirical-transitions": (EmpiricalTransitions, "Empirical transitions"),
    "second-order-transitions": (SecondOrderTransitions, "Second-order transitions"),
    "multinomial-logit": (MultinomialLogit, "Multinomial logit"),
    "two-stage-logit": (TwoStageLogit, "Two-stage logit"),
    "bag-of-jobs": (BagOfJobs, "Bag of jobs"),
    "career": (Career, "CAREER"),
}


def fit_baselines(
    names: Sequence[str],
    panel: CareerPanel,
    splits: Mapping[str, str],
    options: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Baseline]:
    """Fit baselines on the training workers of a panel, tuned on its validation workers.

    Args:
        names: keys of `BASELINES`.
        panel: all workers.
        splits: the split of each worker.
        options: further arguments of some of the classes by the baseline's name, such as
            `{"career": {"settings": CareerSettings(layers=2), "folder": results.model(dataset, "career")}}`.

    Returns:
        The fitted baselines by name.

    Raises:
        InputError: if a name is unknown.
    """
    options = options or {}
    for name in (*names, *options):
        if name not in BASELINES:
            raise InputError(f"{name!r} is no baseline; known are {', '.join(BASELINES)}.")
    train, validation = panel.split(splits, "train"), panel.split(splits, "validation")
    fitted: dict[str, Baseline] = {}
    for name in names:
        kind, label = BASELINES[name]
        fitted[name] = kind(**{"name": label, **options.get(name, {})}).fit(train, validation)
    return fitted
