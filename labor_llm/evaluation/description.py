"""What else is known of the scored transitions: columns of the panel put beside the predictions.

Predictions hold no covariate of a worker, so that they stay the same for every kind of model. Tables by
gender, by family or by anything else ask for them here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd

from labor_llm.careers import CareerPanel, transitions
from labor_llm.errors import InputError, MismatchError
from labor_llm.predictions import Predictions

_KEYS = ["worker_id", "year"]
# ER30001 * 1000 + ER30002: the family of 1968 times a thousand, and the person's number in it.
_PSID_PERSONS = 1000


def described(predictions: Predictions, panel: CareerPanel, columns: Sequence[str]) -> Predictions:
    """Return predictions whose table has further columns of the panel.

    Args:
        predictions: of transitions of the panel.
        panel: of the same data set, with at least the scored workers.
        columns: of `labor_llm.careers.transitions` ('gender', 'ethnicity', 'region', 'education', 'birth_year',
            'previous', 'records_before', ...) or of the panel's frame.

    Raises:
        InputError: if the panel has no such column.
        MismatchError: if a scored transition is not in the panel, or the panel has another occupation there.
    """
    found = panel_columns(predictions.table, panel, columns)
    table = predictions.table.assign(**{column: found[column].to_numpy() for column in columns})
    return Predictions(
        predictions.model, table, predictions.outcomes, predictions.log_probs, predictions.upper
    )


def with_worker_column(predictions: Predictions, name: str, values: Mapping[str, str]) -> Predictions:
    """Return predictions whose table has a further column with a value for each worker, such as the family.

    Raises:
        InputError: if a worker has no value.
    """
    column = predictions.table["worker_id"].map(dict(values))
    if column.isna().any():
        lacking = predictions.table.loc[column.isna(), "worker_id"].nunique()
        raise InputError(f"{name}: {lacking:,} of the scored workers have no value. Give one for each.")
    return Predictions(
        predictions.model,
        predictions.table.assign(**{name: column}),
        predictions.outcomes,
        predictions.log_probs,
        predictions.upper,
    )


def psid_families(workers: Collection[str]) -> dict[str, str]:
    """Return the sampled family of 1968 (ER30001) of each of the PSID's workers, by worker id.

    A worker's id in the PSID's panel is ER30001 * 1000 + ER30002, so the family can be read off it.

    Raises:
        InputError: if an id is no such number.
    """
    families = {}
    for worker in workers:
        if not worker.isdecimal() or int(worker) < _PSID_PERSONS:
            raise InputError(
                f"worker {worker!r}: no PSID id (ER30001 * 1000 + ER30002). Give the families of other data yourself."
            )
        families[worker] = str(int(worker) // _PSID_PERSONS)
    return families


def panel_columns(table: pd.DataFrame, panel: CareerPanel, columns: Sequence[str]) -> pd.DataFrame:
    """Return columns of the panel for each row of a predictions' table, in its order.

    Raises:
        InputError, MismatchError: as `described`.
    """
    records = transitions(panel)
    known = {*records.columns, *panel.frame.columns}
    if missing := [column for column in columns if column not in known]:
        raise InputError(
            f"{panel.dataset}: the panel has no column {missing[0]!r}; found {', '.join(sorted(known))}."
        )
    further = [column for column in columns if column not in records.columns]
    records = records.assign(**{column: panel.frame[column].to_numpy() for column in further})
    rows = pd.MultiIndex.from_frame(records[_KEYS]).get_indexer(pd.MultiIndex.from_frame(table[_KEYS]))
    if (rows < 0).any():
        raise MismatchError(
            f"{panel.dataset}: {int((rows < 0).sum()):,} of {len(table):,} scored transitions are not in the panel. "
            "Give the panel that was scored."
        )
    differing = records["occupation"].to_numpy()[rows] != table["occupation"].to_numpy()
    if np.any(differing):
        raise MismatchError(
            f"{panel.dataset}: the occupation differs from the panel's in {int(differing.sum()):,} of "
            f"{len(table):,} scored transitions. Give the panel that was scored."
        )
    return records[list(columns)].iloc[rows].reset_index(drop=True)
