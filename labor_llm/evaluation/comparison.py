"""Models side by side: the transitions on which they are compared, the same for all of them.

Perplexities of different transitions are not comparable, so this module refuses to put them beside
each other. Normalised log-probabilities need the score of every title, which a language model may
have been asked for on some transitions only; models are then compared on the transitions for which
every one of them that has such scores has them, and the tables state how many these are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from labor_llm.errors import InputError, MismatchError
from labor_llm.predictions import Predictions

TRANSITION = ["dataset", "worker_id", "year"]


def compared_log_probs(predictions: Sequence[Predictions]) -> pd.DataFrame:
    """Return the log-probabilities of several models on identical transitions, stacked.

    Returns:
        Columns `dataset`, `model`, `worker_id`, `year`, `transition_type` and any further columns that
        all tables have, `log_prob` and `normalised_log_prob` (nats), and the boolean
        `compared_in_full`, true where the normalised one enters comparisons; data sets and models in
        the order given, within them sorted by worker and year.

    Raises:
        InputError: if there are no predictions, or a model predicts a transition twice.
        MismatchError: if, within a data set, two models predict different transitions or disagree on
            the realised occupation, or their fully scored transitions do not overlap.
    """
    if not predictions:
        raise InputError("no predictions to compare. Give those of at least one model.")
    tables = []
    for prediction in predictions:
        table = prediction.table.assign(normalised_log_prob=prediction.normalised_log_prob)
        table.insert(1, "model", prediction.model)
        tables.append(table)
    stacked = pd.concat(tables, ignore_index=True, join="inner")
    _check_no_repeats(stacked)
    stacked = stacked.sort_values(["worker_id", "year"], kind="stable")
    parts = [_aligned(dataset) for _, dataset in stacked.groupby("dataset", sort=False)]
    return _in_given_order(pd.concat(parts), tables)


def scored_in_full(predictions: Sequence[Predictions]) -> list[Predictions]:
    """Return the predictions on the transitions for which every model of a data set scored every title.

    Raises:
        MismatchError: if a data set has no such transition.
    """
    full = [_transitions(prediction.table[prediction.scored_in_full]) for prediction in predictions]
    datasets = [str(prediction.table["dataset"].iloc[0]) for prediction in predictions]
    kept = []
    for prediction, dataset in zip(predictions, datasets, strict=True):
        shared = set.intersection(
            *(keys for keys, name in zip(full, datasets, strict=True) if name == dataset)
        )
        if not shared:
            raise MismatchError(
                f"{dataset}: the models scored every title for no transition in common. Score all titles of the "
                "same workers."
            )
        rows = prediction.table[TRANSITION].apply(tuple, axis=1).isin(shared)
        matrix = prediction.log_probs
        if matrix is not None:
            matrix = matrix[rows[prediction.scored_in_full].to_numpy()]
        kept.append(
            Predictions(
                prediction.model, prediction.table[rows].reset_index(drop=True), prediction.outcomes, matrix
            )
        )
    return kept


def _transitions(table: pd.DataFrame) -> set[tuple[object, ...]]:
    return set(table[TRANSITION].itertuples(index=False, name=None))


def groups(stacked: pd.DataFrame, by: str | None) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """Yield key and rows of each data set and model, or of each value of the column `by` within them.

    Raises:
        InputError: if `by` is no column of the predictions.
    """
    if by is not None and by not in stacked.columns:
        raise InputError(f"by: {by!r} is no column of the predictions; found {', '.join(stacked.columns)}.")
    for (dataset, model), part in stacked.groupby(["dataset", "model"], sort=False):
        key = {"dataset": dataset, "model": model}
        if by is None:
            yield key, part
        else:
            yield from ((key | {by: value}, group) for value, group in part.groupby(by))


def _check_no_repeats(stacked: pd.DataFrame) -> None:
    repeated = stacked.duplicated(["model", *TRANSITION])
    if repeated.any():
        model = stacked.loc[repeated, "model"].iloc[0]
        raise InputError(
            f"model {model!r} has {int(repeated.sum()):,} transitions twice. "
            "Give each model once per data set, and models different names."
        )


def _aligned(dataset: pd.DataFrame) -> pd.DataFrame:
    """Check that the models of one data set have the same transitions, and restrict the normalised ones."""
    models = list(dataset["model"].unique())
    wide = dataset.pivot(index=TRANSITION, columns="model", values="occupation")[models]
    incomplete = wide.isna().any(axis=1)
    if incomplete.any():
        counts = ", ".join(f"{model!r} {int(wide[model].notna().sum()):,}" for model in models)
        raise MismatchError(
            f"{wide.index[0][0]}: the models predict different transitions ({counts}; "
            f"{int((~incomplete).sum()):,} in common). Score all models on the same split."
        )
    differing = wide.ne(wide[models[0]], axis=0).any(axis=1)
    if differing.any():
        raise MismatchError(
            f"{wide.index[0][0]}: the models' realised occupations differ in {int(differing.sum()):,} of "
            f"{len(wide):,} transitions. Score all models on the same panel."
        )
    return dataset.assign(compared_in_full=_compared_in_full(dataset))


def _compared_in_full(dataset: pd.DataFrame) -> pd.Series:
    """True where this model, and all others that ever scored every title, scored every title."""
    scored = dataset["log_valid_mass"].notna()
    scoring_models = scored.groupby(dataset["model"]).any().sum()
    by_transition = scored.groupby([dataset[column] for column in TRANSITION])
    common = scored & (by_transition.transform("sum") == scoring_models)
    if scoring_models and not common.any():
        raise MismatchError(
            f"{dataset['dataset'].iloc[0]}: no transition has the scores of all titles from each of the "
            f"{scoring_models} models that have such scores. Score the same transitions for all of them."
        )
    return common


def _in_given_order(stacked: pd.DataFrame, tables: list[pd.DataFrame]) -> pd.DataFrame:
    pair = ["dataset", "model"]
    order = pd.concat([table[pair] for table in tables]).drop_duplicates(ignore_index=True)
    rank = pd.MultiIndex.from_frame(order).get_indexer(pd.MultiIndex.from_frame(stacked[pair]))
    first = {dataset: position for position, dataset in enumerate(order["dataset"].unique())}
    keys = np.lexsort((rank, stacked["dataset"].map(first)))
    return stacked.iloc[keys].reset_index(drop=True)
