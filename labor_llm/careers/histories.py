"""Histories that did not happen as such, asked of any model: cut to the last records, or continued by drawn ones.

Each record that is to be predicted becomes a made-up worker, whose last record it is; its own title is never seen by a
model that predicts a record from those before it.

- A window is the k records before a record. The model is not told that something was left out: to it, the career
  begins k records before. The prediction is put back under the worker and year it belongs to, so that it is compared,
  and workers are resampled, as ever.
- Years ahead, the known records are followed by drawn ones, one made-up worker for each path. The education of a
  record after the known ones is the panel's where the panel has a record in that year, otherwise the last known one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import pandas as pd

from labor_llm.careers.panel import CareerPanel, transitions
from labor_llm.careers.predictions import Predictions, normalised_blocks
from labor_llm.careers.samples import random_workers
from labor_llm.disclosure import MINIMUM_PERSONS
from labor_llm.errors import InputError, MismatchError

# One path on which no record lies between.
NOTHING_BETWEEN = np.empty((1, 0), dtype=int)
# Records given to the model at a time: bounds its matrix of probabilities.
_RECORDS = 20_000


class NextJobModel(Protocol):
    """A model that gives the probability of every title for every record of any panel, from its history."""

    def predict(self, panel: CareerPanel) -> Predictions:
        """Return predictions with the scores of all titles for all records of the panel."""


@dataclass(frozen=True)
class HistoryWindows:
    """Careers that end with the record to be predicted.

    Attributes:
        records: how many records before that one each has.
        panel: one made-up worker for each record to be predicted.
        targets: by the made-up worker's id, `worker_id`, `year` and `transition_type` of the record in the panel that
            the windows were cut from.
    """

    records: int
    panel: CareerPanel
    targets: pd.DataFrame

    def of_targets(self, predictions: Predictions) -> Predictions:
        """Return the predictions of the windows' last records alone, under the workers that they belong to.

        Args:
            predictions: of all records of `panel`, or at least of the last of each window.

        Raises:
            MismatchError: if they lack a window's last record, or are of other careers.
        """
        window = predictions.table["worker_id"]
        last = (predictions.table["year"] == window.map(self.targets["year"])).to_numpy()
        if last.sum() != len(self.targets):
            raise MismatchError(
                f"{predictions.model}: predictions of {last.sum():,} last records for {len(self.targets):,} windows. "
                "Predict the panel of the windows."
            )
        kept = predictions.select(last)
        targets = self.targets.loc[kept.table["worker_id"]]
        columns = {name: targets[name].to_numpy() for name in ("worker_id", "transition_type")}
        return replace(kept, table=kept.table.assign(**columns))


def history_windows(panel: CareerPanel, records: int) -> HistoryWindows:
    """Return a window for every record that has more than so many records before it.

    A record with as many or fewer is left out: its window would be its whole history.

    Args:
        panel: careers.
        records: shown before each record; 0 shows the covariates alone.

    Raises:
        InputError: if the number is negative, or no worker has so long a history.
    """
    if records < 0:
        raise InputError(f"history of {records} records: give 0 or more.")
    table = transitions(panel)
    last = np.flatnonzero(table["records_before"] > records)
    if not len(last):
        raise InputError(
            f"{panel.dataset}: no record has more than {records} before it. Give a smaller number."
        )
    rows = last[:, None] + np.arange(-records, 1)
    names = np.array([f"window-{number:08d}" for number in range(len(last))], dtype=object)
    frame = panel.frame.take(rows.ravel()).reset_index(drop=True)
    frame["worker_id"] = np.repeat(names, records + 1)
    targets = table.iloc[last][["worker_id", "year", "transition_type"]].set_index(pd.Index(names))
    return HistoryWindows(records, CareerPanel(frame, panel.outcomes, panel.survey), targets)


def workers_with_history(panel: CareerPanel, records: int, number: int = -1, seed: int = 0) -> CareerPanel:
    """Return the careers of workers who have at least one record with more than so many before it.

    Args:
        panel: careers.
        records: before the record.
        number: of workers, drawn as `labor_llm.careers.samples.random_workers`; -1 for all.
        seed: of the draw.

    Raises:
        InputError: if fewer than eleven workers are asked for or there.
    """
    lengths = panel.frame["worker_id"].value_counts()
    workers = random_workers(panel.restrict(lengths.index[lengths > records + 1]), number, seed)
    if len(workers) < MINIMUM_PERSONS:
        raise InputError(
            f"{panel.dataset}: fewer than {MINIMUM_PERSONS} workers with more than {records} records before another; "
            "no number may rest on so few. Show fewer records, or ask for more workers."
        )
    return panel.restrict(workers)


def predict_windows(
    predict: Callable[[CareerPanel], Predictions], panel: CareerPanel, lengths: Sequence[int]
) -> dict[int | None, Predictions]:
    """Return what a model says with each length of history, and with the whole one.

    Args:
        predict: such as the method of a baseline.
        panel: careers whose records are predicted.
        lengths: numbers of records shown.

    Returns:
        By length, predictions of all records with more than so many before them; under None, those of all records
        from their whole history.

    Raises:
        InputError: as `history_windows`, or if there is no length.
    """
    if not lengths:
        raise InputError("history: no number of records is given. Give at least one.")
    found: dict[int | None, Predictions] = {}
    for records in sorted(set(lengths)):
        windows = history_windows(panel, records)
        found[records] = windows.of_targets(predict(windows.panel))
    found[None] = predict(panel)
    return found


class Histories:
    """The records known to each question, as rows of one frame.

    Args:
        panel: that the questions are of.
        questions: rows of `labor_llm.careers.horizons.horizon_questions`.

    Attributes:
        origin_year: last known year of each question, int [questions].

    Raises:
        InputError: if there are no questions.
        MismatchError: if the panel lacks a question's records.
    """

    def __init__(self, panel: CareerPanel, questions: pd.DataFrame) -> None:
        if questions.empty:
            raise InputError(f"{panel.dataset}: no questions. Make some with horizon_questions.")
        self.panel, self.questions = panel, questions
        self._rows = pd.MultiIndex.from_frame(panel.frame[["worker_id", "year"]])
        target, self._origin = (
            self._rows.get_indexer(pd.MultiIndex.from_frame(questions[["worker_id", key]]))
            for key in ("year", "origin_year")
        )
        unknown = (target < 0) | (self._origin < 0)
        if unknown.any():
            raise MismatchError(
                f"{panel.dataset}: {int(unknown.sum()):,} of {len(questions):,} questions are of records that the "
                "panel does not have. Make them from this panel."
            )
        workers = pd.factorize(panel.frame["worker_id"])[0]
        self._start = np.searchsorted(workers, workers[self._origin])
        self._codes = np.array(panel.outcomes.codes, dtype=object)
        self._columns = {name: panel.frame[name].to_numpy() for name in ("year", "occupation", "education")}
        self.origin_year = self._columns["year"][self._origin]

    def blocks(self, copies: int, between: int) -> Iterator[np.ndarray]:
        """Yield the numbers of the questions, so many at a time that the copies of their histories fit."""
        lengths = (self._origin - self._start + 2 + between) * copies
        block = np.cumsum(lengths) // _RECORDS
        for number in np.unique(block):
            yield np.flatnonzero(block == number)

    def distributions(
        self, model: NextJobModel, block: np.ndarray, years: np.ndarray, paths: Sequence[np.ndarray]
    ) -> np.ndarray:
        """Return the distribution of the record after each path, float64 [paths of all questions, titles].

        Args:
            model: that is asked.
            block: numbers of the questions.
            years: of the records between and of the one that is asked for, int [questions, records + 1].
            paths: titles of the records between for each question, int [paths, records].

        Raises:
            MismatchError: if the model has other titles than the panel, or did not score every title.
        """
        frame, last = self._made_up(block, years, paths)
        predictions = model.predict(CareerPanel(frame, self.panel.outcomes, self.panel.survey))
        if predictions.outcomes.codes != self.panel.outcomes.codes:
            raise MismatchError(
                f"{predictions.model}: its titles are not those of the panel. Give a model of the panel."
            )
        keys = ["worker_id", "year"]
        scored = predictions.table[predictions.scored_in_full].reset_index(drop=True)
        wanted = pd.MultiIndex.from_frame(frame[keys].iloc[last])
        rows = pd.MultiIndex.from_frame(scored[keys]).get_indexer(wanted)
        if (rows < 0).any() or predictions.log_probs is None:
            raise MismatchError(
                f"{predictions.model}: it did not score every title of the records after {len(rows):,} histories. "
                "Several years ahead need the whole distribution after every history."
            )
        upper = None if predictions.upper is None else predictions.upper[rows]
        kept = replace(
            predictions, table=scored.iloc[rows], log_probs=predictions.log_probs[rows], upper=upper
        )
        return np.exp(np.concatenate([log_probs for _, log_probs in normalised_blocks(kept)]))

    def _made_up(
        self, block: np.ndarray, years: np.ndarray, paths: Sequence[np.ndarray]
    ) -> tuple[pd.DataFrame, np.ndarray]:
        """Return the records of the made-up workers, and which rows are asked for."""
        added = years.shape[1]
        education = self._education(block, years)
        changed: dict[str, list[np.ndarray]] = {"year": [], "education": [], "occupation": []}
        rows, names, lengths = [], [], []
        for position, (question, titles) in enumerate(zip(block, paths, strict=True)):
            known = np.arange(self._start[question], self._origin[question] + 1)
            copies = len(titles)
            rows.append(np.tile([*known, *[known[-1]] * added], copies))
            for name, values in (("year", years), ("education", education)):
                changed[name].append(np.tile([*self._columns[name][known], *values[position]], copies))
            # Whatever stands in the record to be predicted must not matter; the last known title is at hand.
            happened = np.tile(self._columns["occupation"][[*known, *[known[-1]] * added]], (copies, 1))
            happened[:, len(known) : -1] = self._codes[titles]
            changed["occupation"].append(happened.ravel())
            names += [f"{question:08d}-{path:06d}" for path in range(copies)]
            lengths += [len(known) + added] * copies
        frame = self.panel.frame.take(np.concatenate(rows)).reset_index(drop=True)
        frame["worker_id"] = np.repeat(np.array(names, dtype=object), lengths)
        for name, parts in changed.items():
            frame[name] = np.concatenate(parts)
        return frame, np.cumsum(lengths) - 1

    def _education(self, block: np.ndarray, years: np.ndarray) -> np.ndarray:
        """Return education in some years of each question, object [questions, years]."""
        workers = np.repeat(self.questions["worker_id"].to_numpy()[block], years.shape[1])
        found = self._rows.get_indexer(pd.MultiIndex.from_arrays([workers, years.ravel()]))
        found = found.reshape(years.shape)
        return self._columns["education"][np.where(found >= 0, found, self._origin[block][:, None])]
