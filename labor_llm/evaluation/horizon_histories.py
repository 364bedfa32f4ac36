"""What a model says after histories that did not all happen: the known records, and drawn ones after them.

Each question (a worker's record to be predicted from an earlier one) becomes one made-up worker for each path of
the records between. The last record of a made-up worker is the one that is asked for; its own title is never
seen by a model that predicts a record from those before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, Protocol

import numpy as np
import pandas as pd

from labor_llm.careers import CareerPanel
from labor_llm.errors import InputError, MismatchError
from labor_llm.evaluation.distribution_calibration import normalised_blocks
from labor_llm.predictions import Predictions

Education = Literal["observed", "carried"]
# One path on which no record lies between.
NOTHING_BETWEEN = np.empty((1, 0), dtype=int)
# Records given to the model at a time: bounds its matrix of probabilities.
_RECORDS = 20_000


class NextJobModel(Protocol):
    """A model that gives the probability of every title for every record of any panel, from its history."""

    def predict(self, panel: CareerPanel) -> Predictions:
        """Return predictions with the scores of all titles for all records of the panel."""


class Histories:
    """The records known to each question, as rows of one frame, and education by worker and year."""

    def __init__(self, panel: CareerPanel, questions: pd.DataFrame) -> None:
        if questions.empty:
            raise InputError(f"{panel.dataset}: no questions. Make some with horizon_questions.")
        self.panel, self.questions = panel, questions
        frame = panel.frame
        self.rows = pd.MultiIndex.from_frame(frame[["worker_id", "year"]])
        keys = ("year", "origin_year")
        self.target, self.origin = (
            self.rows.get_indexer(pd.MultiIndex.from_arrays([questions["worker_id"], questions[key]]))
            for key in keys
        )
        unknown = (self.target < 0) | (self.origin < 0)
        if unknown.any():
            raise MismatchError(
                f"{panel.dataset}: {int(unknown.sum()):,} of {len(questions):,} questions are of records that the "
                "panel does not have. Make them from this panel."
            )
        workers = pd.factorize(frame["worker_id"])[0]
        self.start = np.searchsorted(workers, workers[self.origin])
        self.codes = np.array(panel.outcomes.codes, dtype=object)
        self.columns = {name: frame[name].to_numpy() for name in ("year", "occupation", "education")}

    def education(self, block: np.ndarray, years: np.ndarray, source: Education) -> np.ndarray:
        """Return education in some years of each question, object [questions, years].

        With 'observed', that of the panel's record in the year where there is one, else the origin's.
        """
        rows = np.repeat(self.origin[block][:, None], years.shape[1], axis=1)
        if source == "observed":
            workers = np.repeat(self.questions["worker_id"].to_numpy()[block], years.shape[1])
            found = self.rows.get_indexer(pd.MultiIndex.from_arrays([workers, years.ravel()]))
            found = found.reshape(years.shape)
            rows = np.where(found >= 0, found, rows)
        return self.columns["education"][rows]

    def asked(
        self,
        block: np.ndarray,
        offsets: np.ndarray,
        source: Education,
        paths: Sequence[np.ndarray],
        last_offset: int | None,
    ) -> tuple[pd.DataFrame, np.ndarray]:
        """Return the records of the made-up workers, and which rows are asked for; arguments as below."""
        origin_year = self.columns["year"][self.origin[block]]
        records = paths[0].shape[1]
        last = self.columns["year"][self.target[block]] if last_offset is None else origin_year + last_offset
        years = np.column_stack([origin_year[:, None] + offsets[:records], last])
        levels = self.education(block, years, source)
        if last_offset is None:
            levels[:, -1] = self.columns["education"][self.target[block]]
        rows, changed, names, lengths = [], {"year": [], "education": [], "occupation": []}, [], []
        for position, (question, titles) in enumerate(zip(block, paths, strict=True)):
            known = np.arange(self.start[question], self.origin[question] + 1)
            size, copies = len(known) + records + 1, len(titles)
            rows.append(np.tile([*known, *[known[-1]] * (records + 1)], copies))
            for name, values in (("year", years), ("education", levels)):
                changed[name].append(np.tile([*self.columns[name][known], *values[position]], copies))
            # Whatever stands in the record to be predicted must not matter; the last known title is at hand.
            happened = np.tile(
                self.columns["occupation"][[*known, *[known[-1]] * (records + 1)]], (copies, 1)
            )
            happened[:, len(known) : size - 1] = self.codes[titles]
            changed["occupation"].append(happened.ravel())
            names += [f"{question:08d}-{path:06d}" for path in range(copies)]
            lengths += [size] * copies
        frame = self.panel.frame.take(np.concatenate(rows)).reset_index(drop=True)
        frame["worker_id"] = np.repeat(np.array(names, dtype=object), lengths)
        for name, values in changed.items():
            frame[name] = np.concatenate(values)
        return frame, np.cumsum(lengths) - 1


def blocks(histories: Histories, copies: int, between: int) -> Iterator[np.ndarray]:
    """Yield the numbers of the questions, so many at a time that the copies of their histories fit."""
    lengths = (histories.origin - histories.start + 2 + between) * copies
    block = np.cumsum(lengths) // _RECORDS
    for number in np.unique(block):
        yield np.flatnonzero(block == number)


def last_distributions(
    model: NextJobModel,
    histories: Histories,
    block: np.ndarray,
    offsets: np.ndarray,
    source: Education,
    paths: Sequence[np.ndarray],
    last_offset: int | None = None,
) -> np.ndarray:
    """Return the distribution of the record after each path, float64 [paths of all questions, titles].

    Args:
        model: that is asked.
        histories: of all questions.
        block: numbers of the questions.
        offsets: years after the origin at which the records between lie, int [records or more].
        source: of the education of the records after the origin.
        paths: titles of the records between for each question, int [paths, records].
        last_offset: years after the origin of the record that is predicted; the question's own year and education
            if None.

    Raises:
        MismatchError: if the model has other titles than the panel, or did not score every title.
    """
    frame, last = histories.asked(block, offsets, source, paths, last_offset)
    panel = histories.panel
    predictions = model.predict(CareerPanel(frame, panel.outcomes, panel.survey))
    if predictions.outcomes.codes != panel.outcomes.codes:
        raise MismatchError(
            f"{predictions.model}: its titles are not those of the panel. Give a model of the panel."
        )
    keys = ["worker_id", "year"]
    scored = predictions.table[predictions.scored_in_full].reset_index(drop=True)
    rows = pd.MultiIndex.from_frame(scored[keys]).get_indexer(
        pd.MultiIndex.from_frame(frame[keys].iloc[last])
    )
    if (rows < 0).any() or predictions.log_probs is None:
        raise MismatchError(
            f"{predictions.model}: it did not score every title of the records after {len(rows):,} histories. Several "
            "years ahead need the whole distribution after every history."
        )
    kept = Predictions(
        predictions.model,
        scored.iloc[rows],
        predictions.outcomes,
        predictions.log_probs[rows],
        None if predictions.upper is None else predictions.upper[rows],
    )
    return np.exp(np.concatenate([log_probs for _, log_probs in normalised_blocks(kept)]))
