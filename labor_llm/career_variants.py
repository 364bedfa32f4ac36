"""Variants of careers as text: other titles for the same occupations, and no year of birth.

A variant is applied to a panel before a model is fine-tuned on it and before it is scored. Codes and records never
change, so the predictions of a model of any variant are compared with those of every other model. The paper replaces
titles by numbers and leaves the year of birth out; rewording and shuffling titles tell further whether it is the
meaning of the words or the words themselves that a model uses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd

from labor_llm.careers import CareerPanel
from labor_llm.errors import InputError, MismatchError
from labor_llm.occupations import OutcomeSpace
from labor_llm.title_forms import numeric_titles, perturbed_titles, shuffled_titles

_FORMS: dict[str, Callable[[OutcomeSpace, int], tuple[str, ...]]] = {
    "numeric": numeric_titles,
    "perturbed": perturbed_titles,
    "shuffled": shuffled_titles,
}
TITLE_FORMS = ("literal", *_FORMS)


@dataclass(frozen=True)
class CareerVariant:
    """How careers are put into words; the defaults are the paper's main model.

    Attributes:
        titles: 'literal', or 'numeric' (`job_000`, assigned at random), 'perturbed' (abbreviated, by synonyms, in
            another word order) or 'shuffled' (each title at another occupation).
        seed: of numbers, wordings and places; a code has the same title wherever the same codes are used.
        birth_year: whether the header states the year of birth.

    Raises:
        InputError: if the form of titles is not known or the seed below zero.
    """

    titles: str = "literal"
    seed: int = 1
    birth_year: bool = True

    def __post_init__(self) -> None:
        if self.titles not in TITLE_FORMS:
            raise InputError(f"titles is {self.titles!r}; choose one of {', '.join(TITLE_FORMS)}.")
        if self.seed < 0:
            raise InputError(f"seed is {self.seed}; it must be at least 0.")

    def of(self, panel: CareerPanel) -> CareerPanel:
        """Return the panel in this variant: the same workers, years and codes."""
        frame, outcomes = panel.frame, panel.outcomes
        if self.titles in _FORMS:
            source = f"{outcomes.source}, {self.titles}"
            outcomes = OutcomeSpace(outcomes.codes, _FORMS[self.titles](outcomes, self.seed), source)
        if not self.birth_year:
            unknown = pd.array([pd.NA] * len(frame), dtype="Int64")
            frame = frame.assign(birth_year=unknown)
        return CareerPanel(frame, outcomes, panel.survey)

    def of_all(self, panels: Sequence[CareerPanel]) -> list[CareerPanel]:
        """Return panels of several data sets in this variant.

        Raises:
            MismatchError: if their codes differ and titles depend on all codes, so that one occupation would have
                two titles.
        """
        if self.titles in _FORMS and len({frozenset(panel.outcomes.codes) for panel in panels}) > 1:
            raise MismatchError(
                f"The data sets {', '.join(panel.dataset for panel in panels)} have different occupations, and "
                f"{self.titles} titles are assigned over all of them. Use data sets with the same occupations, or "
                "literal titles."
            )
        return [self.of(panel) for panel in panels]
