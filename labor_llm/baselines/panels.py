"""What a baseline asks of the panels that it is given, before anything is estimated."""

from __future__ import annotations

from labor_llm.careers.occupations import OutcomeSpace
from labor_llm.careers.panel import CareerPanel
from labor_llm.errors import InputError, MismatchError


def check_fitting_panels(model: str, train: CareerPanel, validation: CareerPanel) -> None:
    """Check that a model can be fitted on one panel and tuned on the other.

    Raises:
        InputError: if one of them holds no records, or a worker is in both (the choice of the
            smoothing would then reward memorising).
        MismatchError: if they have different outcome spaces.
    """
    for name, panel in (("training", train), ("validation", validation)):
        if panel.frame.empty:
            raise InputError(f"{model}: the {name} panel holds no records. Give it at least one worker.")
    shared = set(train.workers) & set(validation.workers)
    if shared:
        raise InputError(
            f"{model}: {len(shared):,} workers are in the training and in the validation panel. "
            "Split the panel by worker (labor_llm.careers.panel.split_workers)."
        )
    check_outcomes(model, train.outcomes, validation)


def check_outcomes(model: str, outcomes: OutcomeSpace, panel: CareerPanel) -> None:
    """Check that a panel has the outcome space that a model was fitted for.

    Raises:
        MismatchError: if codes or their order differ.
    """
    if panel.outcomes.codes != outcomes.codes:
        raise MismatchError(
            f"{model}: fitted for {len(outcomes)} occupations, but the panel has an outcome space of "
            f"{len(panel.outcomes)} (or the same in another order). Give all panels the same titles."
        )
