"""Baselines: models of the next occupation that know nothing of the words in a title.

All have `fit(train, validation)`, which reads no other worker and chooses its smoothing or
regularisation by the perplexity of the validation workers, and `predict(panel)`, which returns the
common form of `labor_llm.predictions`.
"""

from collections.abc import Mapping, Sequence

from labor_llm.baselines.empirical import EmpiricalTransitions
from labor_llm.baselines.logit import MultinomialLogit
from labor_llm.careers import CareerPanel
from labor_llm.errors import InputError

__all__ = ["BASELINES", "EmpiricalTransitions", "MultinomialLogit", "fit_baselines"]

Baseline = EmpiricalTransitions | MultinomialLogit

# Short name in profiles and folders: class and the name that tables show.
BASELINES = {
    "empirical-transitions": (EmpiricalTransitions, "Empirical transitions"),
    "multinomial-logit": (MultinomialLogit, "Multinomial logit"),
}


def fit_baselines(names: Sequence[str], panel: CareerPanel, splits: Mapping[str, str]) -> dict[str, Baseline]:
    """Fit baselines on the training workers of a panel, tuned on its validation workers.

    Args:
        names: keys of `BASELINES`.
        panel: all workers.
        splits: the split of each worker.

    Returns:
        The fitted baselines by name.

    Raises:
        InputError: if a name is unknown.
    """
    fitted: dict[str, Baseline] = {}
    train, validation = panel.split(splits, "train"), panel.split(splits, "validation")
    for name in names:
        if name not in BASELINES:
            raise InputError(f"{name!r} is no baseline; known are {', '.join(BASELINES)}.")
        kind, label = BASELINES[name]
        fitted[name] = kind(name=label).fit(train, validation)
    return fitted
