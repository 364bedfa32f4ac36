"""Baselines by name: models of the next occupation that know nothing of the words in a title.

All have `fit(train, validation)`, which reads no other worker and chooses its smoothing, regularisation
or stopping by the perplexity of the validation workers, and `predict(panel)`, which returns the common
form of `labor_llm.careers.predictions`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from labor_llm.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from labor_llm.careers.panel import CareerPanel
    from labor_llm.careers.predictions import Predictions

# Short name in profiles and folders, and the name that tables show.
BASELINES = {
    "empirical-transitions": "Empirical transitions",
    "second-order-transitions": "Second-order transitions",
    "multinomial-logit": "Multinomial logit",
    "two-stage-logit": "Two-stage logit",
    "bag-of-jobs": "Bag of jobs",
    "career": "CAREER",
}


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


def new_baseline(name: str, **options: Any) -> Baseline:
    """Return a baseline that is not fitted yet.

    Args:
        name: a key of `BASELINES`.
        options: further arguments of its class.

    Raises:
        InputError: if the name is unknown.
    """
    check_names([name])
    # These rest on scikit-learn and PyTorch, which take seconds to import; most who come here want the names alone.
    from labor_llm.baselines.career.fit import Career
    from labor_llm.baselines.frequencies import EmpiricalTransitions, SecondOrderTransitions
    from labor_llm.baselines.logit import MultinomialLogit
    from labor_llm.baselines.two_stage import BagOfJobs, TwoStageLogit

    kinds = (
        EmpiricalTransitions, SecondOrderTransitions, MultinomialLogit, TwoStageLogit, BagOfJobs, Career,
    )  # fmt: skip
    kind: Any = dict(zip(BASELINES, kinds, strict=True))[name]
    return kind(**{"name": BASELINES[name], **options})


def check_names(names: Iterable[str]) -> None:
    """Raise InputError if one of the names is no key of `BASELINES`."""
    for name in names:
        if name not in BASELINES:
            raise InputError(f"{name!r} is no baseline; known are {', '.join(BASELINES)}.")


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
    check_names([*names, *options])
    train, validation = panel.split(splits, "train"), panel.split(splits, "validation")
    return {name: new_baseline(name, **options.get(name, {})).fit(train, validation) for name in names}
