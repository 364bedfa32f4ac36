"""Random parts of the workers of a panel: the same for the same seed, and nested.

Training data of a model: which careers it is fine-tuned on, and how much each of them counts.

Asked with it: how a model improves with its data (a random part of the training workers), whether careers of another
population help or hurt (pooled data; the paper adds shares of the other surveys' training workers), how much weight
the own, representative careers need among them, and what becomes of a model whose world ends with a year.

Whatever is chosen, no test or validation worker of any data set is trained on, and the checkpoint is chosen on the
validation workers of the own data set.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from labor_llm.careers.panel import SPLITS, CareerPanel
from labor_llm.disclosure import MINIMUM_PERSONS
from labor_llm.errors import InputError
from labor_llm.store.artefacts import verify


def random_workers(panel: CareerPanel, number: int, seed: int) -> list[str]:
    """Return workers drawn at random; with one seed, fewer of them are a part of more.

    Their ids follow a survey's sampling, so the first ones would be no random sample.

    Args:
        panel: the workers.
        number: how many; all if there are no more.
        seed: of the draw, which depends on the set of ids alone.
    """
    workers = sorted(panel.workers)
    order = np.random.default_rng(seed).permutation(len(workers))
    return sorted(workers[place] for place in order[:number])


def sampled(panel: CareerPanel, number: int, seed: int) -> CareerPanel:
    """Return the panel of workers drawn at random, in the order of the panel.

    Args:
        panel: the workers.
        number: how many, at least 11; -1 for all. All, too, if there are no more.
        seed: of the draw.

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


Splits = Mapping[str, str]
# The name in the manifest of a fine-tuned model under which its training data are described.
MANIFEST_ENTRY = "training_data"


@dataclass(frozen=True)
class TrainingData:
    """Which careers a model is fine-tuned on.

    Attributes:
        workers: so many of the own training workers, drawn at random; 0 for all. With one seed a smaller
            number is a part of a larger one, so that models differ by what is added.
        others: data sets whose careers are added, each with the share (0 to 1) of its training workers.
        own_repeats: how often each own career occurs in an epoch; each of the others occurs once. In the mean
            loss an own career so has `own_repeats` times the weight of another one. An epoch grows with it.
        last_year: records up to this year alone, of training and validation workers; 0 for all years. Workers are
            drawn as for all years, and of those drawn the ones without a record up to it are left out.
        seed: of the draws of workers.

    Raises:
        InputError: if a number is out of its range.
    """

    workers: int = 0
    others: Mapping[str, float] = field(default_factory=dict)
    own_repeats: int = 1
    last_year: int = 0
    seed: int = 1

    def __post_init__(self) -> None:
        if self.workers and self.workers < MINIMUM_PERSONS:
            raise InputError(
                f"train_workers is {self.workers}; give at least {MINIMUM_PERSONS}, as every published number rests "
                "on so many persons, or 0 for all."
            )
        for dataset, share in self.others.items():
            if not 0 <= share <= 1:
                raise InputError(f"The share of {dataset} is {share:g}; it must lie between 0 and 1.")
        if self.own_repeats < 1:
            raise InputError(f"own_repeats is {self.own_repeats}; it must be at least 1.")
        if min(self.last_year, self.seed) < 0:
            raise InputError("last_year and data_seed must be at least 0.")


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
            "others": {panel.dataset: self.data.others[panel.dataset] for panel in self.added},
            "other_workers": {panel.dataset: len(panel.workers) for panel in self.added},
            "other_records": {panel.dataset: len(panel.frame) for panel in self.added},
            "validation_workers": len(self.validation.workers),
            "last_year": self.data.last_year,
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
    """Return the careers that a model of a data set is fine-tuned on.

    Args:
        panel: the data set.
        splits: the split of each of its workers.
        data: what is chosen; all training workers if not given.
        others: the panels of the data sets in `data.others`, each with the split of its workers.

    Raises:
        InputError: if a data set is missing or given without a share, an added one has the survey of the panel or of
            another one (the same persons may be in both, and be tested in one and trained on in the other), more
            workers are asked for than there are, or too few are left.
    """
    data = data or TrainingData()
    pool = list(others)
    _check_others(panel, data, [other for other, _ in pool])
    own = panel.split(splits, "train")
    if data.workers > len(own.workers):
        raise InputError(
            f"{panel.dataset}: {data.workers:,} training workers are asked for, it has {len(own.workers):,}. Give a "
            "smaller number, or 0 for all."
        )
    # Drawn before the later records go, so that models until different years differ by the years and not by the draw.
    own = own.restrict(random_workers(own, data.workers, data.seed)) if data.workers else own
    own = _until(own, data.last_year)
    added = [_share(other, assigned, data) for other, assigned in pool]
    validation = _until(panel.split(splits, "validation"), data.last_year)
    for name, left in (("training", own), ("validation", validation)):
        if data.last_year and len(left.workers) < MINIMUM_PERSONS:
            raise InputError(
                f"{panel.dataset}: fewer than {MINIMUM_PERSONS} {name} workers have records up to {data.last_year}. "
                "Give a later last_year."
            )
    return TrainingCareers(own, tuple(part for part in added if part.workers), validation, data)


def refuse_same_persons(surveys: Iterable[tuple[str, str]]) -> None:
    """Refuse to pool data sets of one survey.

    Names are compared by their letters and digits. What this can't see is one survey under two names: careers of one's
    own that were taken from it, or a part of it with a name of its own (PSID81 and PSID).

    Args:
        surveys: name and survey of each data set.

    Raises:
        InputError: naming two data sets and their survey.
    """
    seen: dict[str, tuple[str, str]] = {}
    for dataset, survey in surveys:
        letters = "".join(letter for letter in survey.casefold() if letter.isalnum())
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
    described = verify(model)["parameters"].get(MANIFEST_ENTRY)
    if described is None:
        raise InputError(
            f"{model}: does not say what it was trained on. Fine-tune it again with notebooks/04_fine_tuning."
        )
    return described


def _check_others(panel: CareerPanel, data: TrainingData, others: Sequence[CareerPanel]) -> None:
    names = [other.dataset for other in others]
    if sorted(names) != sorted(data.others):
        raise InputError(
            f"Careers of {', '.join(names) or 'no other data set'} are given, shares of "
            f"{', '.join(data.others) or 'none'}. Give each data set once, with its share."
        )
    refuse_same_persons([(part.dataset, part.survey) for part in (panel, *others)])


def _share(other: CareerPanel, splits: Splits, data: TrainingData) -> CareerPanel:
    train, share = other.split(splits, "train"), data.others[other.dataset]
    drawn = train.restrict(random_workers(train, round(share * len(train.workers)), data.seed))
    kept = _until(drawn, data.last_year)
    if share > 0 and len(kept.workers) < MINIMUM_PERSONS:
        until = f" with records up to {data.last_year}" if data.last_year else ""
        raise InputError(
            f"{other.dataset}: the share {share:g} of its training workers{until} is fewer than {MINIMUM_PERSONS} "
            "persons. Give a larger share, or 0."
        )
    return kept


def _until(panel: CareerPanel, last_year: int) -> CareerPanel:
    if not last_year:
        return panel
    kept = panel.frame[panel.frame["year"] <= last_year].reset_index(drop=True)
    return CareerPanel(kept, panel.outcomes, panel.survey)


# What a model was trained on.
ALL_YEARS, UP_TO, AS_MANY = "all years", "up to the last year", "all years, as many records"


@dataclass(frozen=True)
class SplitInTime:
    """Panels for a model that knows nothing after a year.

    Attributes:
        train: training workers' records up to `last_year`.
        validation: validation workers' records up to `last_year`.
        test: test workers who have a record after it, with their whole careers.
        last_year: the last year of training.
    """

    train: CareerPanel
    validation: CareerPanel
    test: CareerPanel
    last_year: int


def train_up_to(panel: CareerPanel, splits: Mapping[str, str], last_year: int) -> SplitInTime:
    """Return the panels for training up to a year and testing after it.

    Args:
        panel: all workers.
        splits: the split of each worker.
        last_year: of training.

    Raises:
        InputError: if one of the three would have no records; names the years that the panel has.
    """
    parts = {name: panel.split(splits, name) for name in SPLITS}
    kept = {name: _up_to(parts[name], last_year) for name in ("train", "validation")}
    later = parts["test"].frame
    later = later.loc[later["year"] > last_year, "worker_id"]
    kept["test"] = parts["test"].restrict(set(later))
    for name, part in kept.items():
        if part.frame.empty:
            years = f"{panel.frame['year'].min()} to {panel.frame['year'].max()}"
            raise InputError(
                f"{panel.dataset}: with {last_year} as the last year of training the {name} workers have no records. "
                f"The panel has {years}: give a year between."
            )
    return SplitInTime(kept["train"], kept["validation"], kept["test"], last_year)


def _up_to(panel: CareerPanel, last_year: int) -> CareerPanel:
    frame = panel.frame[panel.frame["year"] <= last_year].reset_index(drop=True)
    return CareerPanel(frame, panel.outcomes, panel.survey)
