"""Second-order empirical transitions: frequencies given the last two occupations.

With n_ijk workers' records in which k followed j, and i came before j, and n_ij their number,

    P(k | i, j) = (n_ijk + w P(k | j)) / (n_ij + w),

a frequency shrunk by w pseudo-transitions towards the first-order probability P(k | j), smoothed as in
`labor_llm.baselines.empirical`. A second record, before whose previous occupation there is none, has
contexts of its own (none, j). A first record has the start distribution, as in the first-order model.

How strongly to back off and how the first-order probabilities are smoothed are chosen together on the
validation workers: what serves best as a prior for pairs need not be the best model by itself.

Reference: D. J. C. MacKay and L. C. Bauman Peto (1995), "A hierarchical Dirichlet language model",
Natural Language Engineering 1, 289-308.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from labor_llm.baselines.empirical import (
    PSEUDO_COUNTS,
    smoothed_probabilities,
    smoothing_candidates,
    transition_cells,
    transition_counts,
)
from labor_llm.baselines.fitting_panels import check_fitting_panels, check_outcomes
from labor_llm.careers import CareerPanel, transitions
from labor_llm.occupations import OutcomeSpace
from labor_llm.predictions import Predictions, from_matrix


class SecondOrderTransitions:
    """Transition frequencies given two occupations, backed off to those given one.

    Args:
        name: the model's name in its predictions.

    Attributes:
        contexts_: the pairs that training shows, in ascending order, as numbers i (K + 1) + j of the columns
            i and j in the outcome space; i = K where there is no occupation before the previous one.
        counts_: sparse [contexts, K], how often each occupation followed each pair.
        first_order_: [K + 1, K], the smoothed probabilities given one occupation; the last row is the start.
        smoothing_, first_strength_: the smoothing kept for them, and its strength.
        strength_: the pseudo-transitions w kept.
        validation_perplexity_: the whole grid, columns `smoothing`, `first_strength`, `strength`,
            `validation_perplexity`.
    """

    def __init__(self, name: str = "second_order_transitions") -> None:
        self.name = name

    def fit(self, train: CareerPanel, validation: CareerPanel) -> SecondOrderTransitions:
        """Count pairs in the training workers' careers and choose both smoothings on the validation workers.

        Raises:
            InputError: if a panel is empty or a worker is in both.
            MismatchError: if the outcome spaces differ.
        """
        check_fitting_panels(self.name, train, validation)
        self.outcomes_ = train.outcomes
        first_order = transition_counts(train).to_numpy(dtype=np.float64)
        self.contexts_, self.counts_ = pair_counts(train)
        rows, columns = transition_cells(transitions(validation), self.outcomes_)
        followed = self._followed(validation)
        given = followed.sum(axis=1)
        realised = followed[np.arange(len(rows)), columns]
        grid = []
        for smoothing, first_strength in smoothing_candidates():
            prior = smoothed_probabilities(first_order, smoothing, first_strength)[rows, columns]
            for strength in PSEUDO_COUNTS:
                chances = (realised + strength * prior) / (given + strength)
                grid.append((smoothing, first_strength, strength, np.exp(-np.log(chances).mean())))
        columns_of_grid = ["smoothing", "first_strength", "strength", "validation_perplexity"]
        self.validation_perplexity_ = pd.DataFrame(grid, columns=columns_of_grid)
        best = min(grid, key=lambda candidate: candidate[3])
        self.smoothing_, self.first_strength_, self.strength_, _ = best
        self.first_order_ = smoothed_probabilities(first_order, self.smoothing_, self.first_strength_)
        return self

    @property
    def chosen(self) -> str:
        """What the validation workers chose, in words."""
        first_order = f"{self.smoothing_.replace('_', ' ')}, strength {self.first_strength_:g}"
        return f"strength {self.strength_:g} on first order ({first_order})"

    def predict(self, panel: CareerPanel) -> Predictions:
        """Return the log-probability of every occupation for every record of a panel.

        Raises:
            MismatchError: if the panel's outcome space is not the fitted one.
        """
        check_outcomes(self.name, self.outcomes_, panel)
        table = transitions(panel)
        rows, _ = transition_cells(table, self.outcomes_)
        followed = self._followed(panel)
        prior = self.strength_ * self.first_order_[rows]
        chances = (followed + prior) / (followed.sum(axis=1, keepdims=True) + self.strength_)
        return from_matrix(self.name, table, self.outcomes_, np.log(chances))

    def _followed(self, panel: CareerPanel) -> np.ndarray:
        """Return how often each occupation followed the pair before each record, [records, K]; zero at first ones."""
        pairs = _pairs(transitions(panel), self.outcomes_)
        places = np.searchsorted(self.contexts_, pairs).clip(max=len(self.contexts_) - 1)
        followed = np.zeros((len(pairs), len(self.outcomes_)))
        if len(self.contexts_):
            known = self.contexts_[places] == pairs
            followed[known] = self.counts_[places[known]].toarray()
        return followed


def pair_counts(panel: CareerPanel) -> tuple[np.ndarray, csr_matrix]:
    """Return the pairs of occupations that precede a record, and how often each occupation followed.

    Returns:
        The distinct pairs, as in `SecondOrderTransitions.contexts_`, and the counts [pairs, K].
    """
    table = transitions(panel)
    pairs = _pairs(table, panel.outcomes)
    later = pairs >= 0
    contexts, rows = np.unique(pairs[later], return_inverse=True)
    columns = np.asarray(panel.outcomes.indices(table["occupation"]))[later]
    shape = (len(contexts), len(panel.outcomes))
    return contexts, csr_matrix((np.ones(len(rows)), (rows, columns)), shape=shape)


def _pairs(table: pd.DataFrame, outcomes: OutcomeSpace) -> np.ndarray:
    """Return the number of the pair before each record, -1 before a first record, which has none."""
    previous, _ = transition_cells(table, outcomes)
    before, _ = transition_cells(table.assign(previous=table["before_previous"]), outcomes)
    none = len(outcomes)
    return np.where(previous == none, -1, before * (none + 1) + previous)
