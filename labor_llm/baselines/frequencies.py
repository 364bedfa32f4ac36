"""Empirical transition frequencies: the share of workers who went from one occupation to another, or from two.

*No change* (`NoChange`) is the simplest of them: one share of stayers for all occupations.

First order and without covariates, as in the paper's baseline, which "estimates the probability of transitioning from
one occupation to another based on training data frequencies". A first record, which has no previous occupation, has a
row of its own: the start distribution.

With n_ij transitions from i to j in the training data, every estimate here has the form

    P(j | i) = (n_ij + w q_ij) / (n_i + w),

a frequency shrunk towards a prior row q_i by w pseudo-transitions, and the prior is one of three:

- `additive`: uniform, q_ij = 1/K. The strength reported is alpha = w / K, pseudo-transitions per cell.
- `back_off`: the marginal distribution of occupations. The strength is w.
- `stayer_back_off`: with the pooled share of stayers q_ii, and otherwise the destinations of all movers.
  The strength is w.

The unsmoothed frequency is no candidate: a transition that the training data do not show would have probability zero,
and perplexity would be infinite.

Of second order, with n_ijk workers' records in which k followed j, and i came before j, and n_ij their number,

    P(k | i, j) = (n_ijk + w P(k | j)) / (n_ij + w),

a frequency shrunk towards the smoothed first-order probability. A second record, before whose previous occupation there
is none, has contexts of its own (none, j). A first record has the start distribution. How strongly to back off and how
the first-order probabilities are smoothed are chosen together: what serves best as a prior for pairs need not be the
best model by itself.

References: S. F. Chen and J. Goodman (1999), "An empirical study of smoothing techniques for language modeling",
Computer Speech & Language 13, 359-394 (additive smoothing and its weakness); D. J. C. MacKay and L. C. Bauman Peto
(1995), "A hierarchical Dirichlet language model", Natural Language Engineering 1, 289-308 (pseudo-counts proportional
to a pooled distribution).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import pandas as pd

from labor_llm.baselines.form import Baseline, occupation_columns
from labor_llm.careers.occupations import OutcomeSpace
from labor_llm.careers.panel import CareerPanel, transitions

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Smoothing = Literal["additive", "back_off", "stayer_back_off"]
SMOOTHINGS: tuple[Smoothing, ...] = get_args(Smoothing)

# Pseudo-transitions per cell (additive) and per row (the two back-offs), from nearly none to many.
ALPHAS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
PSEUDO_COUNTS = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0)


class EmpiricalTransitions(Baseline):
    """First-order transition frequencies, smoothed as the validation workers ask for.

    Attributes:
        smoothings: that are tried, each with all its strengths.
        counts_: `transition_counts` of the training data.
        probabilities_: P(next | previous), [K + 1, K] like the counts; rows add up to one.
        smoothing_, strength_: those kept (alpha per cell for 'additive', pseudo-transitions per row otherwise).
        validation_perplexity_: the whole grid, columns `smoothing`, `strength`, `validation_perplexity`.
    """

    name = "empirical_transitions"
    smoothings: Sequence[Smoothing] = SMOOTHINGS

    def _estimate(self, train: CareerPanel, validation: CareerPanel) -> None:
        self.counts_ = transition_counts(train)
        cells = transition_cells(transitions(validation), self.outcomes_)
        tried = []
        for smoothing, strength in _candidates(self.smoothings):
            chances = smoothed_probabilities(self.counts_, smoothing, strength)
            tried.append((smoothing, strength, np.exp(-np.log(chances[cells]).mean()), chances))
        best = self._best(tried, "smoothing", "strength")
        self.smoothing_, self.strength_, _, self.probabilities_ = best
        self.chosen = _in_words(self.smoothing_, self.strength_)

    def _log_probs(self, panel: CareerPanel, table: pd.DataFrame) -> np.ndarray:
        rows, _ = transition_cells(table, self.outcomes_)
        return np.log(self.probabilities_)[rows]


class NoChange(EmpiricalTransitions):
    """Everybody stays, but for one probability of moving: the forecast that there is no change.

    The probability of staying is (stayers + 1) / (later records + 2) of training. One who moves goes to another
    occupation in proportion to its training records, and a first record is drawn by the frequencies of first records,
    one added to each occupation. Nothing is tuned.

    Attributes:
        stayed_: the probability of staying.
        validation_perplexity_: one row, column `validation_perplexity`.
    """

    name = "no_change"

    def _estimate(self, train: CareerPanel, validation: CareerPanel) -> None:
        counts = transition_counts(train)
        self.stayed_ = _share_of_stayers(counts)
        rows = _staying_rows(self.stayed_, _add_one(counts.sum(axis=0)))
        self.probabilities_ = np.vstack([rows, _add_one(counts[-1])])
        chances = self.probabilities_[transition_cells(transitions(validation), self.outcomes_)]
        self._best([(np.exp(-np.log(chances).mean()),)])
        self.chosen = f"share of stayers {self.stayed_:.3f}"


class SecondOrderTransitions(Baseline):
    """Transition frequencies given two occupations, backed off to those given one.

    Attributes:
        counts_: `pair_counts` of the training data.
        first_order_: [K + 1, K], the smoothed probabilities given one occupation; the last row is the start.
        strength_: the pseudo-transitions w kept.
        validation_perplexity_: columns `smoothing`, `first_strength`, `strength`, `validation_perplexity`.
    """

    name = "second_order_transitions"

    def _estimate(self, train: CareerPanel, validation: CareerPanel) -> None:
        first_order = transition_counts(train)
        self.counts_ = pair_counts(train)
        table = transitions(validation)
        rows, columns = transition_cells(table, self.outcomes_)
        followed = self._followed(table)
        given = followed.sum(axis=1)
        realised = followed[np.arange(len(rows)), columns]
        tried = []
        for smoothing, first_strength in _candidates(SMOOTHINGS):
            first = smoothed_probabilities(first_order, smoothing, first_strength)
            prior = first[rows, columns]
            for strength in PSEUDO_COUNTS:
                chances = (realised + strength * prior) / (given + strength)
                tried.append((smoothing, first_strength, strength, np.exp(-np.log(chances).mean()), first))
        best = self._best(tried, "smoothing", "first_strength", "strength")
        smoothing, first_strength, self.strength_, _, self.first_order_ = best
        first = _in_words(smoothing, first_strength)
        self.chosen = f"strength {self.strength_:g} on first order ({first})"

    def _log_probs(self, panel: CareerPanel, table: pd.DataFrame) -> np.ndarray:
        rows, _ = transition_cells(table, self.outcomes_)
        followed = self._followed(table)
        prior = self.strength_ * self.first_order_[rows]
        return np.log((followed + prior) / (followed.sum(axis=1, keepdims=True) + self.strength_))

    def _followed(self, table: pd.DataFrame) -> np.ndarray:
        """Return how often each occupation followed the pair before each record, [records, K]; zero at first ones."""
        return self.counts_[_pairs(table, self.outcomes_)].toarray()


def transition_counts(panel: CareerPanel) -> np.ndarray:
    """Return how often each occupation (column) followed each (row), [K + 1, K]; the last row is first records."""
    counts = np.zeros((len(panel.outcomes) + 1, len(panel.outcomes)))
    np.add.at(counts, transition_cells(transitions(panel), panel.outcomes), 1)
    return counts


def transition_cells(table: pd.DataFrame, outcomes: OutcomeSpace) -> tuple[np.ndarray, np.ndarray]:
    """Return the row and the column of each transition in `transition_counts`, both int [transitions]."""
    previous = occupation_columns(table, outcomes, "previous", first=len(outcomes))
    return previous, occupation_columns(table, outcomes)


def pair_counts(panel: CareerPanel) -> csr_matrix:
    """Return how often each occupation followed each pair of occupations, sparse [(K + 1)^2, K].

    The pair (i, j) of columns in the outcome space has the row i (K + 1) + j, with i = K where there is no occupation
    before the previous one. The last row is that of first records, and zero.
    """
    from scipy.sparse import csr_matrix

    table, occupations = transitions(panel), len(panel.outcomes)
    later = (table["transition_type"] != "first").to_numpy()
    cells = _pairs(table, panel.outcomes)[later], occupation_columns(table, panel.outcomes)[later]
    return csr_matrix((np.ones(later.sum()), cells), shape=((occupations + 1) ** 2, occupations))


def _pairs(table: pd.DataFrame, outcomes: OutcomeSpace) -> np.ndarray:
    """Return the row of `pair_counts` of the pair before each record."""
    none = len(outcomes)
    before, previous = (
        occupation_columns(table, outcomes, name, first=none) for name in ("before_previous", "previous")
    )
    return before * (none + 1) + previous


def _candidates(smoothings: Sequence[Smoothing]) -> list[tuple[Smoothing, float]]:
    """Return each smoothing with each strength to try."""
    return [
        (smoothing, strength)
        for smoothing in smoothings
        for strength in (ALPHAS if smoothing == "additive" else PSEUDO_COUNTS)
    ]


def _in_words(smoothing: Smoothing, strength: float) -> str:
    return f"{smoothing.replace('_', ' ')}, strength {strength:g}"


def smoothed_probabilities(counts: np.ndarray, smoothing: Smoothing, strength: float) -> np.ndarray:
    """Return the smoothed transition probabilities of the module's formula, [K + 1, K], every cell positive.

    Args:
        counts: [K + 1, K], the last row counting first records.
        smoothing: which prior.
        strength: alpha per cell for 'additive', pseudo-transitions per row otherwise; above zero.
    """
    occupations = counts.shape[1]
    weight = strength * occupations if smoothing == "additive" else strength
    return (counts + weight * _prior(counts, smoothing)) / (counts.sum(axis=1, keepdims=True) + weight)


def _prior(counts: np.ndarray, smoothing: Smoothing) -> np.ndarray:
    """Return the rows q_i towards which `counts` [K + 1, K] are shrunk."""
    if smoothing == "additive":
        return np.full(counts.shape, 1.0 / counts.shape[1])
    marginal = _add_one(counts.sum(axis=0))
    if smoothing == "back_off":
        return np.tile(marginal, (len(counts), 1))
    moves = counts[:-1].copy()
    np.fill_diagonal(moves, 0.0)
    return np.vstack([_staying_rows(_share_of_stayers(counts), _add_one(moves.sum(axis=0))), marginal])


def _share_of_stayers(counts: np.ndarray) -> float:
    return float((np.trace(counts[:-1]) + 1.0) / (counts[:-1].sum() + 2.0))


def _staying_rows(stayed: float, destinations: np.ndarray) -> np.ndarray:
    """Return rows [K, K] with one probability of staying, and the rest by the frequencies of other destinations."""
    rows = np.tile(destinations, (len(destinations), 1))
    np.fill_diagonal(rows, 0.0)
    rows *= (1.0 - stayed) / rows.sum(axis=1, keepdims=True)
    np.fill_diagonal(rows, stayed)
    return rows


def _add_one(totals: np.ndarray) -> np.ndarray:
    # An occupation that the training data lack must keep a positive probability in the prior too.
    return (totals + 1.0) / (totals.sum() + len(totals))
