"""Random parts of the workers of a panel: the same for the same seed, and nested."""

from __future__ import annotations

import numpy as np

from labor_llm.careers import CareerPanel
from labor_llm.disclosure import MINIMUM_PERSONS
from labor_llm.errors import InputError


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
