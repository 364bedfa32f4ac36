"""Careers cut to their last records: what a model says that is shown only so much of a worker's history.

Each record that is to be predicted becomes a made-up worker, whose career is the k records before it and the record
itself. Every kind of model predicts such careers as it predicts any others, and the prediction of each one's last
record is put back under the worker and year it belongs to, so that it is compared, and workers are resampled, as
ever. The model is not told that something was left out: to it, the career begins k records before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from labor_llm.careers.panel import CareerPanel, transitions
from labor_llm.careers.predictions import Predictions
from labor_llm.disclosure import MINIMUM_PERSONS
from labor_llm.errors import InputError, MismatchError


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
        if int(last.sum()) != len(self.targets):
            raise MismatchError(
                f"{predictions.model}: predictions of {int(last.sum()):,} last records for {len(self.targets):,} "
                "windows. Predict the panel of the windows."
            )
        kept = predictions.select(last)
        targets = self.targets.loc[kept.table["worker_id"]]
        columns = {name: targets[name].to_numpy() for name in ("worker_id", "transition_type")}
        return Predictions(
            kept.model, kept.table.assign(**columns), kept.outcomes, kept.log_probs, kept.upper
        )


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
        number: of workers, drawn at random; all of them if -1 or if there are no more.
        seed: of the draw.

    Raises:
        InputError: if fewer than eleven workers are asked for or there.
    """
    lengths = panel.frame.groupby("worker_id")["year"].size()
    workers = sorted(lengths.index[lengths > records + 1])
    if 0 <= number < len(workers):
        workers = np.random.default_rng(seed).choice(workers, size=number, replace=False).tolist()
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
