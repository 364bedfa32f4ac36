"""Gradient-boosted trees in the two-stage form of `labor_llm.baselines.two_stage`, by LightGBM.

One booster says whether a worker stays, another where one who leaves goes. They read the features of the two-stage
logit as they are: codes of levels, which LightGBM splits as sets, and numbers.

A booster of destinations grows one tree a class in each round, which for hundreds of titles is slow, and those of rare
titles learn nothing. So a title with few training moves to it is pooled with the others of its kind into the major
group (codes of occ1990dd; others into one pool). Within a pool titles are as frequent as among training moves from the
previous title, shrunk towards their shares of all moves to the pool, one move added to each title, so that those unseen
in training keep a probability. The previous title is taken out, and the rest scaled to add up to one.

References: G. Ke, Q. Meng, T. Finley, T. Wang, W. Chen, W. Ma, Q. Ye and T.-Y. Liu (2017), "LightGBM: A Highly
Efficient Gradient Boosting Decision Tree", Advances in Neural Information Processing Systems 30.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
import torch  # before LightGBM, which finds the OpenMP library that PyTorch brings where the system has none
from scipy.special import log_softmax

from labor_llm.baselines.form import (
    COVARIATES,
    FIRST,
    Baseline,
    LastKnownYear,
    occupation_columns,
    record_features,
)
from labor_llm.baselines.two_stage import NUMBERS, two_stage_log_probs
from labor_llm.careers.occupations import OutcomeSpace, major_groups
from labor_llm.careers.panel import CareerPanel, transitions

if TYPE_CHECKING:
    from lightgbm import Booster

_LEVELS = ["previous", "before_previous", *(name for name in COVARIATES if name != "calendar_year")]
# Large sets of titles in a split overfit where there are hundreds, and of destinations all features in every tree.
_FIXED = {
    "max_cat_threshold": 4, "learning_rate": 0.1, "seed": 1, "deterministic": True, "force_row_wise": True,
    "verbosity": -1,
}  # fmt: skip


class BoostedTrees(Baseline):
    """Two boosters, their size and number of rounds chosen on the validation workers.

    Attributes:
        stay_leaves: of a tree of the first stage, to try.
        destination_leaves: of one of the second.
        moves_of_a_class: to try: a title with fewer training moves to it is pooled.
        pool_strength: pseudo-moves by which a title's frequency within its pool is shrunk.
        most_rounds: of boosting.
        patience: a booster stops after so many rounds without gain for the validation workers.
        validation_perplexity_: columns `stay_leaves`, `stay_rounds`, `destination_leaves`, `moves_of_a_class`,
            `destination_rounds`, `validation_perplexity`.
    """

    name = "boosted_trees"
    stay_leaves: Sequence[int] = (7, 31)
    destination_leaves: Sequence[int] = (4, 8)
    moves_of_a_class: Sequence[int] = (50, 100, 400)
    searched: ClassVar = {name: name for name in ("stay_leaves", "destination_leaves", "moves_of_a_class")}
    pool_strength = 30.0
    most_rounds = 1000
    patience = 10

    def _estimate(self, train: CareerPanel, validation: CareerPanel) -> None:
        self._prepare(train)
        known, held = self._table(train), self._table(validation)
        stays, moves = self._fit_stay(known, held), self._fit_destinations(known, held)
        tried = [
            (*stay[:2], *move[:3], np.exp(-(stay[2] + move[3]) / len(held)), stay[-1], move[-1])
            for stay, move in itertools.product(stays, moves)
        ]
        columns = (
            "stay_leaves", "stay_rounds", "destination_leaves", "moves_of_a_class", "destination_rounds",
        )  # fmt: skip
        best = self._best(tried, *columns)
        self._stay, self._destination = best[-2:]
        stay, move = (
            f"{best[1]} rounds of {best[0]} leaves of staying",
            f"{best[4]} of {best[2]} of destinations",
        )
        self.chosen = f"{stay}, {move}, titles apart from {best[3]} moves on"

    def _log_probs(self, panel: CareerPanel, table: pd.DataFrame) -> np.ndarray:
        features = self._table(panel)
        stay = _raw(self._stay, features[self._columns])
        previous = features["from"].to_numpy(copy=True)  # PyTorch wants it writable
        destinations = self._destination.utilities(features[self._columns], previous)
        return two_stage_log_probs(*map(torch.from_numpy, (destinations, stay, previous))).numpy()

    def _prepare(self, train: CareerPanel) -> None:
        """Note the levels and years that the training workers show."""
        features = record_features(train)
        self._year = LastKnownYear().fit(features)
        self._categories = {name: pd.CategoricalDtype(sorted(features[name].unique())) for name in _LEVELS}
        self._columns = [*_LEVELS, *NUMBERS, "calendar_year"]

    def _table(self, panel: CareerPanel) -> pd.DataFrame:
        """Return the features (levels that training lacks are missing), and the columns `from` and `to` of titles."""
        features, table = self._year.transform(record_features(panel)), transitions(panel)
        known = {
            name: features[name].where(features[name].isin(kind.categories)).astype(kind)
            for name, kind in self._categories.items()
        }
        known["calendar_year"] = features["calendar_year"].astype(float)
        titles = {"from": occupation_columns(table, self.outcomes_, "previous")}
        titles["to"] = occupation_columns(table, self.outcomes_)
        return features.assign(**known)[self._columns].assign(**titles)

    def _fit_stay(self, known: pd.DataFrame, held: pd.DataFrame) -> list[tuple[int, int, float, Booster]]:
        """Return leaves, rounds, log-likelihood of the validation workers (nats), and the booster."""
        known, held = known[known["from"] != FIRST], held[held["from"] != FIRST]
        stayed, held_stayed = (rows["to"].eq(rows["from"]).to_numpy(int) for rows in (known, held))
        fits = []
        for leaves in self.stay_leaves:
            settings = {"objective": "binary", "num_leaves": leaves}
            booster = self._boosted(known, stayed, held, held_stayed, [0, 1], settings)
            odds = _raw(booster, held[self._columns])
            log_likelihood = -np.logaddexp(0.0, np.where(held_stayed, -odds, odds)).sum()
            fits.append((leaves, booster.current_iteration(), log_likelihood, booster))
        return fits

    def _fit_destinations(
        self, known: pd.DataFrame, held: pd.DataFrame
    ) -> list[tuple[int, int, int, float, _Destinations]]:
        """Return leaves, moves of a class, rounds, log-likelihood (nats), and the destinations."""
        moves, held_moves = (rows[rows["to"] != rows["from"]] for rows in (known, held))
        counts = np.zeros((len(self.outcomes_) + 1, len(self.outcomes_)))
        np.add.at(counts, (moves["from"], moves["to"]), 1)
        held_from = held_moves["from"].to_numpy()
        fits = []
        for leaves, least in itertools.product(self.destination_leaves, self.moves_of_a_class):
            classes = pooled_titles(self.outcomes_, counts.sum(axis=0), least)
            number = int(classes.max()) + 1
            settings = {
                "objective": "multiclass", "num_class": number, "num_leaves": leaves, "feature_fraction": 0.5
            }  # fmt: skip
            booster = self._boosted(
                moves, classes[moves["to"]], held_moves, classes[held_moves["to"]], range(number), settings
            )
            destinations = _Destinations(booster, classes, self._log_shares(counts, classes))
            utilities = destinations.utilities(held_moves[self._columns], held_from)
            later = np.flatnonzero(held_from != FIRST)
            utilities[later, held_from[later]] = -np.inf
            cells = np.arange(len(held_moves)), held_moves["to"]
            log_likelihood = log_softmax(utilities, axis=1)[cells].sum()
            fits.append((leaves, least, booster.current_iteration(), log_likelihood, destinations))
        return fits

    def _log_shares(self, counts: np.ndarray, classes: np.ndarray) -> np.ndarray:
        """Return the log of each title's share of its class given the previous title, [K + 1, K]."""
        pooled = counts.sum(axis=0) + 1.0
        membership = (classes[:, None] == classes).astype(float)
        shares = pooled / (membership @ pooled)
        return np.log((counts + self.pool_strength * shares) / (counts @ membership + self.pool_strength))

    def _boosted(
        self, known: pd.DataFrame, classes: np.ndarray, held: pd.DataFrame, held_classes: np.ndarray,
        possible: Sequence[int], settings: dict[str, Any],
    ) -> Booster:  # fmt: skip
        """Return a booster with as many rounds as serve the validation workers best."""
        import lightgbm

        # A made-up record without features in each class that training lacks, as a prior.
        lacking = np.setdiff1d(possible, classes)
        made_up = known[self._columns].iloc[:0].reindex(range(len(lacking)))
        X = pd.concat([known[self._columns], made_up], ignore_index=True).astype(self._categories)
        data = lightgbm.Dataset(X, np.append(classes, lacking), params=_FIXED)
        if len(held):
            watched = [lightgbm.Dataset(held[self._columns], held_classes, reference=data)]
            rounds = self.most_rounds
            stop = [lightgbm.early_stopping(self.patience, verbose=False)]
        else:  # Nothing tells when to stop.
            watched, rounds, stop = [], self.patience, []
        return lightgbm.train({**_FIXED, **settings}, data, rounds, watched, callbacks=stop)


@dataclass(frozen=True)
class _Destinations:
    """A booster of classes, the class of each title, int [K], and logs of shares of a class by previous, [K + 1, K]."""

    booster: Booster
    classes: np.ndarray
    log_shares: np.ndarray

    def utilities(self, features: pd.DataFrame, previous: np.ndarray) -> np.ndarray:
        """Return the log-probability of each title, nats [records, K], as if the previous one were open."""
        # The last row is that of first records, to which FIRST points.
        return log_softmax(_raw(self.booster, features), axis=1)[:, self.classes] + self.log_shares[previous]


def pooled_titles(outcomes: OutcomeSpace, counts: np.ndarray, least: int) -> np.ndarray:
    """Return the class of each title, int [titles], numbered from zero: its own, or that of the rare of its group.

    A title with fewer moves (`counts`, by title) than `least` is pooled, unless it is the most frequent one.
    """
    groups, least = major_groups(), min(least, counts.max())
    labels = [
        f"title {code}" if count >= least else f"group {groups.get(code, '')}"
        for code, count in zip(outcomes.codes, counts, strict=True)
    ]
    return np.unique(labels, return_inverse=True)[1]


def _raw(booster: Booster, features: pd.DataFrame) -> np.ndarray:
    """Return the scores before the link, of the rounds that are kept; LightGBM refuses to predict for no rows."""
    if not len(features):
        return np.zeros((0, booster.num_model_per_iteration()))
    return booster.predict(features, raw_score=True)
