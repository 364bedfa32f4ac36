"""Models side by side: the transitions on which they are compared, the same for all of them.

Perplexities of different transitions are not comparable, so this module refuses to put them beside
each other. Normalised log-probabilities need the score of every title, which a language model may
have been asked for on some transitions only; models are then compared on the transitions for which
every one of them that has such scores has them, and the tables state how many these are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from labor_llm.careers.predictions import TRANSITION_COLUMNS, Predictions
from labor_llm.errors import InputError, MismatchError

TRANSITION = ["dataset", "worker_id", "year"]


@dataclass(frozen=True)
class Comparison:
    """The models of one data set on the same transitions, which are held once and not once a model.

    Attributes:
        dataset: short name of the data set.
        transitions: `TRANSITION_COLUMNS` and the further columns that were asked for, sorted by worker and year.
        models: names, in the order given.
        log_probs: float64 [transitions, models], nats, of the realised titles.
        log_valid_masses: float64 [transitions, models], nats; NaN where a model did not score every title.
    """

    dataset: str
    transitions: pd.DataFrame
    models: tuple[str, ...]
    log_probs: np.ndarray
    log_valid_masses: np.ndarray

    @cached_property
    def compared_in_full(self) -> np.ndarray:
        """True where a model, and all others that ever scored every title, did so: bool [transitions, models].

        Raises:
            MismatchError: if there are models with scores of all titles, but no transition that all of them scored.
        """
        scored = ~np.isnan(self.log_valid_masses)
        scoring_models = int(scored.any(axis=0).sum())
        common = scored & (scored.sum(axis=1) == scoring_models)[:, None]
        if scoring_models and not common.any():
            raise MismatchError(
                f"{self.dataset}: no transition has the scores of all titles from each of the {scoring_models} models "
                "that have such scores. Score the same transitions for all of them."
            )
        return common

    def units(self, column: str) -> tuple[np.ndarray, pd.Index]:
        """Return the position of each transition's worker (or family) in the sorted ids, and these ids."""
        codes, ids = pd.factorize(self.transitions[column], sort=True)
        return codes, pd.Index(ids)

    def groups(self, by: str | None) -> Iterator[tuple[dict[str, object], np.ndarray]]:
        """Yield each value of the column `by`, as a key, with its rows (int); all rows under no key if None.

        Raises:
            InputError: if a transition has no value of it.
        """
        if by is None:
            yield {}, np.arange(len(self.transitions))
            return
        require_values(self.transitions, by, self.dataset)
        codes, values = pd.factorize(self.transitions[by], sort=True)
        order = np.argsort(codes, kind="stable")
        bounds = np.searchsorted(codes[order], np.arange(len(values) + 1))
        for position, value in enumerate(values):
            yield {by: value}, order[bounds[position] : bounds[position + 1]]


def require_values(table: pd.DataFrame, by: str, where: str) -> None:
    """Refuse a column to group by that has gaps: its groups would not add up to all transitions.

    Raises:
        InputError: naming the column and how many transitions lack a value.
    """
    if missing := int(table[by].isna().sum()):
        raise InputError(
            f"{where}: {missing:,} of {len(table):,} transitions have no value of {by!r} and would be in no group. "
            "Fill the gaps first, for instance with 'unknown'."
        )


def compare(predictions: Sequence[Predictions], columns: Sequence[str | None] = ()) -> list[Comparison]:
    """Put models side by side, data set by data set in the order given.

    Args:
        predictions: of one or more models and data sets.
        columns: further columns that every table must have, with the same values; None is left out.

    Raises:
        InputError: if there are no predictions, a column is missing, or a model predicts a transition twice.
        MismatchError: if, within a data set, two models predict different transitions or disagree on
            the realised occupation or a further column.
    """
    if not predictions:
        raise InputError("no predictions to compare. Give those of at least one model.")
    wanted = [column for column in dict.fromkeys(columns) if column and column not in TRANSITION_COLUMNS]
    for prediction in predictions:
        for column in wanted:
            if column not in prediction.table.columns:
                found = ", ".join(prediction.table.columns)
                raise InputError(
                    f"by: {column!r} is no column of the predictions; found {found}. Add it with "
                    "labor_llm.careers.predictions.described."
                )
    parts: dict[str, dict[str, pd.DataFrame]] = {}
    for prediction in predictions:
        for dataset, table in _by_dataset(prediction.table):
            models = parts.setdefault(dataset, {})
            if prediction.model in models:
                raise InputError(_repeated(prediction.model, len(table)))
            models[prediction.model] = table
    return [_compared(dataset, tables, wanted) for dataset, tables in parts.items()]


def _by_dataset(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    names = table["dataset"].unique()
    if len(names) == 1:
        yield str(names[0]), table
    else:
        yield from ((str(name), part) for name, part in table.groupby("dataset", sort=False))


def _compared(dataset: str, tables: dict[str, pd.DataFrame], wanted: list[str]) -> Comparison:
    models = tuple(tables)
    first = tables[models[0]]
    order = sorted_rows(models[0], first)
    columns = [*TRANSITION_COLUMNS, *wanted]
    shared = first[columns].iloc[order].reset_index(drop=True)
    size = (len(shared), len(models))
    log_probs, masses = np.empty(size), np.empty(size)
    for position, (model, table) in enumerate(tables.items()):
        rows = order if _same_rows(first, table) else sorted_rows(model, table)
        if rows is not order:
            _check_transitions(dataset, shared, tables)
        for column in ("occupation", *wanted):
            _check_column(dataset, column, shared[column], table[column].iloc[rows])
        log_probs[:, position] = table["log_prob"].to_numpy(dtype=np.float64)[rows]
        masses[:, position] = table["log_valid_mass"].to_numpy(dtype=np.float64)[rows]
    return Comparison(dataset, shared, models, log_probs, masses)


def sorted_rows(model: str, table: pd.DataFrame) -> np.ndarray:
    """Return the rows in the order of worker and year, after checking that none stands twice."""
    workers, _ = pd.factorize(table["worker_id"], sort=True)
    years = table["year"].to_numpy()
    rows = np.lexsort((years, workers))
    repeated = (np.diff(workers[rows]) == 0) & (np.diff(years[rows]) == 0)
    if repeated.any():
        raise InputError(_repeated(model, int(repeated.sum())))
    return rows


def _same_rows(first: pd.DataFrame, table: pd.DataFrame) -> bool:
    """Tell whether two tables have the same transitions in the same order, as they mostly do."""
    if table is first:
        return True
    return len(first) == len(table) and all(
        np.array_equal(first[column].to_numpy(), table[column].to_numpy()) for column in ("year", "worker_id")
    )


def _check_transitions(dataset: str, shared: pd.DataFrame, tables: dict[str, pd.DataFrame]) -> None:
    keys = ["worker_id", "year"]
    wanted = pd.MultiIndex.from_frame(shared[keys])
    common = wanted
    for table in tables.values():
        common = common.intersection(pd.MultiIndex.from_frame(table[keys]))
    if any(len(common) < len(table) for table in tables.values()):
        counts = ", ".join(f"{model!r} {len(table):,}" for model, table in tables.items())
        raise MismatchError(
            f"{dataset}: the models predict different transitions ({counts}; "
            f"{len(common):,} in common). Score all models on the same split."
        )


def _check_column(dataset: str, column: str, expected: pd.Series, found: pd.Series) -> None:
    left, right = expected.to_numpy(), found.to_numpy()
    there, other = ~pd.isna(left), ~pd.isna(right)
    both = there & other
    differing = int((there != other).sum() + (left[both] != right[both]).sum())
    if differing:
        name = "realised occupations" if column == "occupation" else f"values of {column!r}"
        raise MismatchError(
            f"{dataset}: the models' {name} differ in {differing:,} of {len(expected):,} transitions. "
            "Score all models on the same panel."
        )


def _repeated(model: str, count: int) -> str:
    return (
        f"model {model!r} has {count:,} transitions twice. "
        "Give each model once per data set, and models different names."
    )


def scored_in_full(predictions: Sequence[Predictions]) -> list[Predictions]:
    """Return the predictions on the transitions for which every model of a data set scored every title.

    Raises:
        MismatchError: if a data set has no such transition.
    """
    full = [_transitions(prediction.table[prediction.scored_in_full]) for prediction in predictions]
    return _on_shared(predictions, full, "scored every title for", "Score all titles of the same workers.")


def in_common(predictions: Sequence[Predictions]) -> list[Predictions]:
    """Return the predictions on the transitions that every model of a data set predicts.

    For models of which some were asked for a random part of the test workers only.

    Raises:
        MismatchError: if a data set has no such transition.
    """
    found = [_transitions(prediction.table) for prediction in predictions]
    return _on_shared(predictions, found, "predict", "Draw the workers with the same seed.")


def _on_shared(
    predictions: Sequence[Predictions], found: Sequence[set[tuple[object, ...]]], did: str, remedy: str
) -> list[Predictions]:
    """Return the predictions on those of their transitions that all models of a data set have found."""
    datasets = [prediction.dataset for prediction in predictions]
    kept = []
    for prediction, dataset in zip(predictions, datasets, strict=True):
        shared = set.intersection(
            *(keys for keys, name in zip(found, datasets, strict=True) if name == dataset)
        )
        if not shared:
            raise MismatchError(f"{dataset}: the models {did} no transition in common. {remedy}")
        rows = prediction.table[TRANSITION].apply(tuple, axis=1).isin(shared)
        kept.append(prediction.select(rows.to_numpy()))
    return kept


def _transitions(table: pd.DataFrame) -> set[tuple[object, ...]]:
    return set(table[TRANSITION].itertuples(index=False, name=None))
