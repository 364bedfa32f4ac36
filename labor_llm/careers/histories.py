"""Histories that did not happen as such, asked of any model: cut to their end, or continued by drawn records.

Each record that is to be predicted becomes a made-up worker, whose last record it is; its own title is never seen by a
model that predicts a record from those before it.

- A window is the k records before a record, or those of the k calendar years before it, which are half as many where
  interviews are biennial. The model is not told that something was left out: to it, the career begins there. The
  prediction is put back under the worker and year it belongs to, so that it is compared, and workers are resampled,
  as ever.
- Years ahead, the known records are followed by drawn ones, one made-up worker for each path. Their education is that
  of the last known record; the record that is asked for in the end has its own, as in any prediction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, Protocol

import numpy as np
import pandas as pd

from labor_llm.careers.panel import CareerPanel, transitions
from labor_llm.careers.predictions import Predictions, normalised_blocks
from labor_llm.errors import InputError, MismatchError

# Records given to the model at a time: bounds its matrix of probabilities.
_RECORDS = 20_000
_KEYS = ["worker_id", "year"]


class NextJobModel(Protocol):
    """A model that gives the probability of every title for every record of any panel, from its history."""

    def predict(self, panel: CareerPanel) -> Predictions:
        """Return predictions with the scores of all titles for all records of the panel, in its order."""


class HistoryLength(NamedTuple):
    """How much of a history is shown: its last `number` records, or the records of its last `number` calendar years."""

    unit: Literal["records", "years"]
    number: int

    def __str__(self) -> str:
        return f"{self.number} {self.unit[:-1] if self.number == 1 else self.unit}"

    def exceeded(self, table: pd.DataFrame) -> pd.Series:
        """Tell which rows with `records_before` and `years_before` have a longer history, so that some is left out."""
        return table[f"{self.unit}_before"] > self.number


def lengths_of(records: Sequence[int], years: Sequence[int] = ()) -> list[HistoryLength]:
    """Return lengths by records and then by years, each once and the shorter ones first."""
    by_records = [HistoryLength("records", number) for number in sorted(set(records))]
    return by_records + [HistoryLength("years", number) for number in sorted(set(years))]


@dataclass(frozen=True)
class HistoryWindows:
    """Careers that end with the record to be predicted.

    Attributes:
        length: how much of the history before that one each has.
        panel: one made-up worker for each record to be predicted.
        targets: by the made-up worker's id, `worker_id`, `year` and `transition_type` of the record itself.
    """

    length: HistoryLength
    panel: CareerPanel
    targets: pd.DataFrame

    def of_targets(self, predictions: Predictions) -> Predictions:
        """Return the predictions of the windows' last records alone, under the workers that they belong to.

        Raises:
            MismatchError: if the predictions lack a window's last record, or are of other careers.
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


def history_windows(panel: CareerPanel, length: HistoryLength) -> HistoryWindows:
    """Return a window for every record with more history than that; any other window is the whole history.

    Without records in it, the covariates alone are shown: of length 0, or after a longer gap than so many years.

    Raises:
        InputError: if the length is negative, or no worker has so long a history.
    """
    if length.number < 0:
        raise InputError(f"history of {length}: give 0 or more.")
    table = transitions(panel)
    last = np.flatnonzero(length.exceeded(table))
    if not len(last):
        raise InputError(
            f"{panel.dataset}: no record has more than {length} before it. Give a shorter length."
        )
    first = last - length.number
    if length.unit == "years":
        # Rows ascend by worker and, within a worker, by year, so that one number tells the place of both.
        moment = 10_000 * pd.factorize(table["worker_id"])[0] + table["year"].to_numpy()
        first = np.searchsorted(moment, moment[last] - length.number)
    sizes = last - first + 1
    rows = np.arange(sizes.sum()) + np.repeat(last + 1 - np.cumsum(sizes), sizes)
    names = np.array([f"window-{number:08d}" for number in range(len(last))], dtype=object)
    frame = panel.frame.take(rows).reset_index(drop=True)
    frame["worker_id"] = np.repeat(names, sizes)
    targets = table.iloc[last][["worker_id", "year", "transition_type"]].set_index(pd.Index(names))
    return HistoryWindows(length, CareerPanel(frame, panel.outcomes, panel.survey), targets)


def predict_windows(
    predict: Callable[[CareerPanel], Predictions], panel: CareerPanel, lengths: Sequence[HistoryLength]
) -> dict[HistoryLength | None, Predictions]:
    """Return what a model says with each length of history shown, and with the whole one.

    Returns:
        By length, predictions of all records with more history than that; under None, those of all records from
        their whole history. Nothing without lengths.

    Raises:
        InputError: as `history_windows`.
    """
    if not lengths:
        return {}
    found: dict[HistoryLength | None, Predictions] = {}
    for length in lengths:
        windows = history_windows(panel, length)
        found[length] = windows.of_targets(predict(windows.panel))
    return {**found, None: predict(panel)}


class Histories:
    """The records known to each question (row of `labor_llm.careers.horizons.horizon_questions`), as rows of one frame.

    Raises:
        InputError: if there are no questions.
        MismatchError: if the panel lacks a question's records.
    """

    def __init__(self, panel: CareerPanel, questions: pd.DataFrame) -> None:
        if questions.empty:
            raise InputError(f"{panel.dataset}: no questions. Make some with horizon_questions.")
        self.panel, self.questions = panel, questions
        self.origin_year = questions["origin_year"].to_numpy()
        rows = pd.MultiIndex.from_frame(panel.frame[_KEYS])
        self._target, self._origin = (
            rows.get_indexer(pd.MultiIndex.from_frame(questions[["worker_id", key]]))
            for key in ("year", "origin_year")
        )
        if unknown := int(((self._target < 0) | (self._origin < 0)).sum()):
            raise MismatchError(
                f"{panel.dataset}: {unknown:,} of {len(questions):,} questions are of records that the "
                "panel does not have. Make them from this panel."
            )
        workers = pd.factorize(panel.frame["worker_id"])[0]
        self._start = np.searchsorted(workers, workers[self._origin])

    def blocks(self, copies: int, between: int) -> Iterator[np.ndarray]:
        """Yield the numbers of the questions, so many at a time that the copies of their histories fit."""
        lengths = (self._origin - self._start + 2 + between) * copies
        block = np.cumsum(lengths) // _RECORDS
        for number in np.unique(block):
            yield np.flatnonzero(block == number)

    def distributions(
        self, model: NextJobModel, block: np.ndarray, years: np.ndarray, paths: np.ndarray | None = None
    ) -> np.ndarray:
        """Return the distribution of the record after each path, float64 [questions, paths, titles].

        Args:
            model: that is asked.
            block: numbers of the questions.
            years: of the records between and of the one that is asked for, int [questions, records + 1].
            paths: titles of the records between, int [questions, paths, records]; None for one path without any.

        Raises:
            MismatchError: if the model has other titles than the panel, or did not score every title.
        """
        paths = np.empty((len(block), 1, 0), dtype=int) if paths is None else paths
        frame, last = self._made_up(block, years, paths)
        predictions = model.predict(CareerPanel(frame, self.panel.outcomes, self.panel.survey))
        if predictions.outcomes.codes != self.panel.outcomes.codes:
            raise MismatchError(
                f"{predictions.model}: its titles are not those of the panel. Give a model of the panel."
            )
        wanted = pd.MultiIndex.from_frame(frame.loc[last, _KEYS])
        kept = predictions.select(pd.MultiIndex.from_frame(predictions.table[_KEYS]).isin(wanted))
        in_order = pd.MultiIndex.from_frame(kept.table[_KEYS]).equals(wanted)
        if not in_order or kept.log_probs is None or len(kept.log_probs) < len(wanted):
            raise MismatchError(
                f"{predictions.model}: it did not score every title of the records after {len(wanted):,} histories. "
                "Several years ahead need the whole distribution after every history."
            )
        found = np.exp(np.concatenate([log_probs for _, log_probs in normalised_blocks(kept)]))
        return found.reshape(*paths.shape[:2], -1)

    def _made_up(
        self, block: np.ndarray, years: np.ndarray, paths: np.ndarray
    ) -> tuple[pd.DataFrame, np.ndarray]:
        """Return the records of the made-up workers, and which rows are asked for."""
        copies, between = paths.shape[1:]
        known = self._origin[block] - self._start[block] + 1
        lengths = np.repeat(known + between + 1, copies)
        ends = np.cumsum(lengths)
        worker = np.repeat(np.arange(len(lengths)), lengths)
        question, copy = np.divmod(worker, copies)
        place = np.arange(len(worker)) - (ends - lengths)[worker]
        # Number of the record among those after the known ones; negative before.
        added = place - known[question]
        # Whatever stands in the record to be predicted must not matter; the last known title is at hand.
        rows = np.minimum(self._start[block][question] + place, self._origin[block][question])
        frame = self.panel.frame.take(rows).reset_index(drop=True)
        names = [f"{number:08d}-{path:06d}" for number in block for path in range(copies)]
        frame["worker_id"] = np.array(names, dtype=object)[worker]
        later = added >= 0
        year = frame["year"].to_numpy(copy=True)
        year[later] = years[question[later], added[later]]
        frame["year"] = year
        # Of the record that is asked for in the end education is known; of those between only the last known one is.
        asked = self.questions["year"].to_numpy()[block][question] == year
        education = np.where(later & asked, self._target[block][question], rows)
        frame["education"] = self.panel.frame["education"].take(education).array
        drawn = later & (added < between)
        codes = np.array(self.panel.outcomes.codes, dtype=object)
        frame.loc[drawn, "occupation"] = codes[paths[question[drawn], copy[drawn], added[drawn]]]
        return frame, ends - 1
