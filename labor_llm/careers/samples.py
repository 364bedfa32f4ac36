"""Which workers: random parts of a panel, and the careers that a model is fine-tuned on.

A model can be fine-tuned on a random part of the training workers (how it improves with its data), on careers of
other populations too (the paper adds shares of the other surveys' training workers), with more weight for the own,
representative ones, or on records up to a year alone. Whatever is chosen, no test or validation worker of any data
set is trained on, and the checkpoint is chosen on the validation workers of the own data set.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from labor_llm.careers.panel import CareerPanel
from labor_llm.careers.settings import TrainingData
from labor_llm.disclosure import MINIMUM_PERSONS, supported_years
from labor_llm.errors import InputError
from labor_llm.store.artefacts import verify

Splits = Mapping[str, str]
# The name in the manifest of a fine-tuned model under which its training data are described.
MANIFEST_ENTRY = "training_data"
# What a model was trained on.
ALL_YEARS, UP_TO, AS_MANY = "all years", "up to the last year", "all years, as many records"


def random_places(size: int, number: int, seed: int) -> np.ndarray:
    """Return `number` places below `size` drawn at random without replacement, ascending; -1 for all.

    All, too, if there are no more. With one seed, fewer are a part of more.
    """
    order = np.random.default_rng(seed).permutation(size)
    return np.sort(order if number < 0 else order[:number])


def random_workers(panel: CareerPanel, number: int, seed: int) -> list[str]:
    """Return workers drawn as `random_places`, which depend on the set of ids alone, in ascending order.

    Ids follow a survey's sampling, so the first ones would be no random sample.
    """
    workers = sorted(panel.workers)
    return [workers[place] for place in random_places(len(workers), number, seed)]


def sampled(panel: CareerPanel, number: int, seed: int) -> CareerPanel:
    """Return the panel of workers drawn as `random_workers`, in the order of the panel; -1 for all.

    Raises:
        InputError: if fewer are asked for than any published number may rest on.
    """
    if number == -1:
        return panel
    if number < MINIMUM_PERSONS:
        raise InputError(
            f"{number} workers are asked for; give at least {MINIMUM_PERSONS}, as every published number rests on so "
            "many persons, or -1 for all."
        )
    return panel.restrict(random_workers(panel, number, seed))


@dataclass(frozen=True)
class TrainingCareers:
    """The careers that a model is fine-tuned on.

    Attributes:
        own: of the data set itself.
        added: of other data sets.
        validation: those that choose the checkpoint.
        data: how they were chosen.
    """

    own: CareerPanel
    added: tuple[CareerPanel, ...]
    validation: CareerPanel
    data: TrainingData

    @property
    def panels(self) -> tuple[CareerPanel, ...]:
        """The panels whose careers make one epoch, the own one as often as it counts."""
        return (self.own,) * self.data.own_repeats + self.added

    @property
    def workers(self) -> int:
        """The number of persons that are trained on, each counted once."""
        return sum(len(panel.workers) for panel in (self.own, *self.added))

    def described(self) -> dict[str, Any]:
        """Return what the model's manifest says of them: counts and choices, nothing of a person."""
        return {
            "dataset": self.own.dataset,
            "own_workers": len(self.own.workers),
            "own_records": len(self.own.frame),
            "own_repeats": self.data.own_repeats,
            "others": {panel.dataset: self.data.share for panel in self.added},
            "other_workers": {panel.dataset: len(panel.workers) for panel in self.added},
            "other_records": {panel.dataset: len(panel.frame) for panel in self.added},
            "validation_workers": len(self.validation.workers),
            "last_year": self.data.last_year,
            "as_many_as_until": self.data.as_many_as_until,
            "seed": self.data.seed,
        }

    def sentence(self) -> str:
        """Return in words what the model is trained on."""
        text = f"It is trained on the careers of {len(self.own.workers):,} workers of {self.own.dataset}"
        if self.data.own_repeats > 1:
            text += f" ({self.data.own_repeats} times an epoch)"
        for panel in self.added:
            text += f", and of {len(panel.workers):,} of {panel.dataset}"
        until = f" Records after {self.data.last_year} are left out." if self.data.last_year else ""
        chosen = f"the checkpoint is chosen on {len(self.validation.workers):,} validation workers"
        return f"{text}; {chosen}.{until}"


def training_careers(
    panel: CareerPanel,
    splits: Splits,
    data: TrainingData | None = None,
    others: Iterable[tuple[CareerPanel, Splits]] = (),
) -> TrainingCareers:
    """Return the careers that a model of a data set is fine-tuned on; all training workers without `data`.

    `others` are the panels of the data sets in `data.others`, each with the split of its workers.

    Raises:
        InputError: if a data set is missing or one too many, one has the survey of another (`refuse_same_persons`),
            more workers are asked for than there are, or too few are left.
    """
    data, pool = data or TrainingData(), list(others)
    names = [other.dataset for other, _ in pool]
    if sorted(names) != sorted(data.others):
        raise InputError(
            f"Careers of {', '.join(names) or 'no other data set'} are given, shares of "
            f"{', '.join(data.others) or 'none'}. Give each data set once, with its share."
        )
    refuse_same_persons((part.dataset, part.survey) for part in (panel, *(other for other, _ in pool)))
    own = panel.split(splits, "train")
    if data.workers > len(own.workers):
        raise InputError(
            f"{panel.dataset}: {data.workers:,} training workers are asked for, it has {len(own.workers):,}. Give a "
            "smaller number, or 0 for all."
        )
    # Drawn before the later records go, so that models until different years differ by the years and not by the draw.
    own = own.restrict(random_workers(own, data.workers, data.seed)) if data.workers else own
    if data.as_many_as_until:
        records = len(_until(own, data.as_many_as_until).frame)
        own = own.restrict(_with_records(own, records, data.seed))
    own = _until(own, data.last_year)
    added = tuple(_share(other, assigned, data) for other, assigned in pool)
    validation = _until(panel.split(splits, "validation"), data.last_year)
    for name, left in (("training", own), ("validation", validation)):
        if data.last_year and len(left.workers) < MINIMUM_PERSONS:
            raise InputError(
                f"{panel.dataset}: fewer than {MINIMUM_PERSONS} {name} workers have records up to {data.last_year}. "
                "Give a later last_year."
            )
    if data.as_many_as_until and len(own.workers) < MINIMUM_PERSONS:
        raise InputError(
            f"{panel.dataset}: whole careers with as many records as those up to {data.as_many_as_until} are of fewer "
            f"than {MINIMUM_PERSONS} training workers. Give a later year."
        )
    return TrainingCareers(own, added, validation, data)


def refuse_same_persons(surveys: Iterable[tuple[str, str]]) -> None:
    """Refuse to pool data sets, given as (name, survey), of one survey: a person could be trained on and tested.

    Names of surveys are compared by their letters and digits. What this can't see is one survey under two names:
    careers of one's own that were taken from it, or a part of it with a name of its own (PSID81 and PSID).

    Raises:
        InputError: naming two data sets and their survey.
    """
    seen: dict[str, tuple[str, str]] = {}
    for dataset, survey in surveys:
        letters = "".join(filter(str.isalnum, survey.casefold()))
        if letters in seen:
            first, name = seen[letters]
            raise InputError(
                f"{first} and {dataset} are both of the survey {name}, so a person can be tested in one and "
                "trained on in the other. Pool data sets of different surveys."
            )
        seen[letters] = (dataset, survey)


def stored_training_data(model: Path) -> dict[str, Any]:
    """Return what the manifest of a fine-tuned model says of its training data, as `TrainingCareers.described`.

    Raises:
        ArtefactError: if the model is missing or was changed.
        InputError: if it was made without such a description.
    """
    parameters = verify(model)["parameters"]
    if MANIFEST_ENTRY not in parameters:
        raise InputError(
            f"{model}: does not say what it was trained on. Fine-tune it again with notebooks/04_fine_tuning."
        )
    return parameters[MANIFEST_ENTRY]


def train_up_to(panel: CareerPanel, splits: Splits, last_year: int) -> CareerPanel:
    """Return the careers up to a year of those training and validation workers who have a record by then.

    Raises:
        InputError: if there are none of either, or no test worker has a record after the year; names the years that
            the panel has.
    """
    until = _until(panel, last_year)
    later = panel.frame.loc[panel.frame["year"] > last_year, "worker_id"]
    left = {name: until.split(splits, name) for name in ("train", "validation")}
    left["test"] = panel.restrict(later).split(splits, "test")
    for name, part in left.items():
        if part.frame.empty:
            years = "{} to {}".format(*supported_years(panel.frame))
            raise InputError(
                f"{panel.dataset}: with {last_year} as the last year of training the {name} workers have no records. "
                f"The panel has {years}: give a year between."
            )
    return until.restrict([*left["train"].workers, *left["validation"].workers])


def as_many_records(panel: CareerPanel, splits: Splits, records: int, seed: int = 0) -> CareerPanel:
    """Return whole careers of some training workers, drawn at random, with about so many records; others as they are.

    Raises:
        InputError: if the training workers have fewer records, or not one of them is drawn.
    """
    kept = _with_records(panel.split(splits, "train"), records, seed)
    others = [worker for worker, split in splits.items() if split != "train"]
    return panel.restrict([*kept, *others])


def _with_records(train: CareerPanel, records: int, seed: int) -> list[str]:
    """Return training workers, drawn at random, who have about so many records together."""
    lengths = train.frame.groupby("worker_id", sort=True).size()
    if lengths.sum() < records:
        raise InputError(
            f"{train.dataset}: {lengths.sum():,} records of training workers, {records:,} asked for."
        )
    shuffled = lengths.iloc[np.random.default_rng(seed).permutation(len(lengths))]
    return list(shuffled.index[: int(np.abs(shuffled.cumsum().to_numpy() - records).argmin()) + 1])


def _share(other: CareerPanel, splits: Splits, data: TrainingData) -> CareerPanel:
    train = other.split(splits, "train")
    drawn = train.restrict(random_workers(train, round(data.share * len(train.workers)), data.seed))
    kept = _until(drawn, data.last_year)
    if len(kept.workers) < MINIMUM_PERSONS:
        until = f" with records up to {data.last_year}" if data.last_year else ""
        raise InputError(
            f"{other.dataset}: the share {data.share:g} of its training workers{until} is fewer than {MINIMUM_PERSONS} "
            "persons. Give a larger share, or leave it out."
        )
    return kept


def _until(panel: CareerPanel, last_year: int) -> CareerPanel:
    if not last_year:
        return panel
    kept = panel.frame[panel.frame["year"] <= last_year].reset_index(drop=True)
    return CareerPanel(kept, panel.outcomes, panel.survey)
