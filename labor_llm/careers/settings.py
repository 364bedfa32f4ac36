"""What can be chosen about the careers that a model is fine-tuned on."""

from __future__ import annotations

from pydantic import Field, field_validator, model_validator

from labor_llm.disclosure import MINIMUM_PERSONS
from labor_llm.settings import Key, Seed, Settings

STATIC = ("gender", "ethnicity", "region", "birth_year")
"""The covariates of a worker that never change."""


class TrainingData(Settings):
    """Which careers a model is fine-tuned on."""

    workers: int = Field(0, ge=0)
    """A random part of so many of the own training workers; 0 for all. With one seed a smaller number is a part of a
    larger one, so that models differ by what is added."""
    others: list[Key] = Field(default_factory=list)
    """Further data sets, of whose training workers a share is added."""
    share: float = Field(1.0, gt=0, le=1)
    """That share, of each of them."""
    own_repeats: int = Field(1, ge=1)
    """How often each own career occurs in an epoch; each of the others occurs once. In the mean loss an own career so
    has this weight against another one's. An epoch grows with it."""
    last_year: int = Field(0, ge=0)
    """Records up to this year alone, of training and validation workers; 0 for all years. Workers are drawn as for all
    years, and of those drawn the ones without a record up to it are left out."""
    as_many_as_until: int = Field(0, ge=0)
    """Whole careers of fewer of these workers, with about as many records as all of them have up to this year; 0 for
    all. The control of `last_year`: a model that was given as much, of all years."""
    seed: Seed = 1
    """Of the draws of workers."""

    @model_validator(mode="after")
    def _one_of_two(self) -> TrainingData:
        if self.last_year and self.as_many_as_until:
            raise ValueError("as_many_as_until is the control of a model with last_year; give one of the two")
        return self

    @field_validator("workers")
    @classmethod
    def _enough_to_be_shown(cls, workers: int) -> int:
        if 0 < workers < MINIMUM_PERSONS:
            raise ValueError(
                f"{workers} workers; give at least {MINIMUM_PERSONS}, as every published number rests on so many "
                "persons, or 0 for all"
            )
        return workers
