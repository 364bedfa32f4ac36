"""Models side by side: the transitions on which they are compared, the same for all of them.

Perplexities of different transitions are not comparable and are refused. Normalised log-probabilities need the score
of every title, which a language model may have been asked for on some transitions only; models are then compared on
those for which every one of them that has such scores has them. What cannot be compared at all is left out with the
reason, so that a table can say so.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from labor_llm.careers.predictions import TRANSITION_COLUMNS, Predictions
from labor_llm.errors import InputError, MismatchError

KEYS = ["worker_id", "year"]

NOT_SCORED = "realised titles alone were scored"
LEFT_OPEN = "bounded scoring left titles open"


@dataclass(frozen=True)
class LeftOut:
    """Something that is not evaluated, and why: a task, one model's answer to it, or a characteristic of workers.

    Attributes:
        dataset: short name of the data set.
        what: label of the task, or name of the characteristic; empty where it is everything.
        model: name of the model; empty for all.
        reason: in words.
    """

    dataset: str
    what: str
    model: str
    reason: str


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

    @functools.cached_property
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

    def units(self, column: str) -> tuple[np.ndarray, int]:
        """Return the number of each transition's worker (or family) in the order of the ids, and how many there are.

        Raises:
            InputError: if a transition has none.
        """
        codes, ids = pd.factorize(self.transitions[column], sort=True)
        if (codes < 0).any():
            raise InputError(
                f"{self.dataset}: {column!r} is missing for {int((codes < 0).sum()):,} transitions; every worker "
                "needs a value, the worker's own id if there is no other."
            )
        return codes, len(ids)

    def cells(
        self, by: str | None = None, normalised: bool = False
    ) -> list[tuple[dict, np.ndarray, np.ndarray]]:
        """Return key, rows and log-probabilities of each model, or of each of its groups by the column `by`.

        Args:
            by: as for `groups`.
            normalised: whether the log-probabilities are those among the valid titles, on the transitions that
                have them.
        """
        cells = []
        found = groups(self.transitions, by, self.dataset)
        for position, model in enumerate(self.models):
            for group, rows in found:
                kept = rows[self.compared_in_full[rows, position]] if normalised else rows
                values = self.log_probs[kept, position]
                if normalised:
                    values = values - self.log_valid_masses[kept, position]
                cells.append(({"dataset": self.dataset, "model": model} | group, kept, values))
        return cells


def groups(table: pd.DataFrame, by: str | None, where: str) -> list[tuple[dict, np.ndarray]]:
    """Return each value of the column `by`, as a key, with its rows (int); all rows under no key if None.

    Raises:
        InputError: if a transition has no value of it: the groups would not add up to all transitions.
    """
    if by is None:
        return [({}, np.arange(len(table)))]
    if missing := int(table[by].isna().sum()):
        raise InputError(
            f"{where}: {missing:,} of {len(table):,} transitions have no value of {by!r} and would be in no group. "
            "Fill the gaps first, for instance with 'unknown'."
        )
    codes, values = pd.factorize(table[by], sort=True)
    return [({by: value}, np.flatnonzero(codes == position)) for position, value in enumerate(values)]


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
        if lacking := [column for column in wanted if column not in prediction.table]:
            raise InputError(
                f"by: {lacking[0]!r} is no column of the predictions; found {', '.join(prediction.table)}. Add it with "
                "labor_llm.careers.predictions.panel_columns."
            )
    return [_compared(dataset, models, wanted) for dataset, models in by_dataset(predictions).items()]


def by_dataset(predictions: Sequence[Predictions]) -> dict[str, list[Predictions]]:
    """Return the predictions of each data set, in the order in which the data sets first occur."""
    datasets = dict.fromkeys(each.dataset for each in predictions)
    return {dataset: [each for each in predictions if each.dataset == dataset] for dataset in datasets}


def _compared(dataset: str, models: list[Predictions], wanted: list[str]) -> Comparison:
    names, first = [one.model for one in models], models[0].table
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(_repeated(twice[0], len(first)))
    shared = first.iloc[sorted_rows(names[0], first)][[*TRANSITION_COLUMNS, *wanted]].reset_index(drop=True)
    log_probs, masses = np.empty((2, len(shared), len(models)))
    for position, one in enumerate(models):
        table = one.table.iloc[sorted_rows(one.model, one.table)]
        if not all(np.array_equal(shared[key].to_numpy(), table[key].to_numpy()) for key in KEYS):
            common = functools.reduce(pd.MultiIndex.intersection, [keys_of(other.table) for other in models])
            counts = ", ".join(f"{other.model!r} {len(other.table):,}" for other in models)
            raise MismatchError(
                f"{dataset}: the models predict different transitions ({counts}; "
                f"{len(common):,} in common). Score all models on the same split."
            )
        for column in ("occupation", *wanted):
            _check_column(dataset, column, shared[column], table[column])
        log_probs[:, position] = table["log_prob"]
        masses[:, position] = table["log_valid_mass"]
    return Comparison(dataset, shared, tuple(names), log_probs, masses)


def sorted_rows(model: str, table: pd.DataFrame) -> np.ndarray:
    """Return the rows in the order of worker and year, after checking that none stands twice.

    Raises:
        InputError: if one does.
    """
    workers, _ = pd.factorize(table["worker_id"], sort=True)
    years = table["year"].to_numpy()
    rows = np.lexsort((years, workers))
    repeated = (np.diff(workers[rows]) == 0) & (np.diff(years[rows]) == 0)
    if repeated.any():
        raise InputError(_repeated(model, int(repeated.sum())))
    return rows


def _repeated(model: str, count: int) -> str:
    return (
        f"model {model!r} has {count:,} transitions twice. "
        "Give each model once per data set, and models different names."
    )


def _check_column(dataset: str, column: str, expected: pd.Series, found: pd.Series) -> None:
    left, right = expected.to_numpy(), found.to_numpy()
    there, other = ~pd.isna(left), ~pd.isna(right)
    both = there & other
    if differing := int((there != other).sum() + (left[both] != right[both]).sum()):
        name = "realised occupations" if column == "occupation" else f"values of {column!r}"
        raise MismatchError(
            f"{dataset}: the models' {name} differ in {differing:,} of {len(expected):,} transitions. "
            "Score all models on the same panel."
        )


def keys_of(table: pd.DataFrame) -> pd.MultiIndex:
    """Return worker and year of each row."""
    return pd.MultiIndex.from_frame(table[KEYS])


def realised(predictions: Predictions, name: str) -> Predictions:
    """Return the realised titles' log-probabilities under another name, without those of all titles."""
    return Predictions(name, predictions.table.assign(log_valid_mass=np.nan), predictions.outcomes)


def in_common(predictions: Sequence[Predictions], all_titles: bool = False) -> list[Predictions]:
    """Return the predictions on the transitions that every model of a data set predicts, or scored all titles for.

    For models of which some were asked for a random part of the test workers only.

    Raises:
        MismatchError: if a data set has no such transition.
    """
    did, remedy = "predict", "Draw the workers with the same seed."
    if all_titles:
        did, remedy = "scored every title for", "Score all titles of the same workers."
    shared: dict[str, pd.MultiIndex] = {}
    for each in predictions:
        keys = keys_of(each.table[each.scored_in_full] if all_titles else each.table)
        shared[each.dataset] = shared.get(each.dataset, keys).intersection(keys)
    for dataset, keys in shared.items():
        if keys.empty:
            raise MismatchError(f"{dataset}: the models {did} no transition in common. {remedy}")
    return [each.select(keys_of(each.table).isin(shared[each.dataset])) for each in predictions]


def with_all_titles(predictions: Sequence[Predictions]) -> tuple[list[Predictions], list[LeftOut]]:
    """Return the predictions that hold exact scores of every title, each data set's on shared transitions.

    And the models left out, with the reason.

    Raises:
        MismatchError: if models scored every title for no transition in common.
    """
    kept, left_out = [], []
    for models in by_dataset(predictions).values():
        found, without = answering(models)
        kept += found
        left_out += without
    return kept, left_out


def answering(
    predictions: Sequence[Predictions], named: str | None = None, what: str = ""
) -> tuple[list[Predictions], list[LeftOut]]:
    """Return the models that scored every title, on their shared transitions, and why others cannot be used.

    Args:
        predictions: of one data set.
        named: column of a named title's log-probability, which stands for the scores of every title.
        what: they are to answer.

    Raises:
        MismatchError: if they have no such transition in common.
    """
    found, partial, without = [], [], []
    for model in predictions:
        reason = ""
        if named not in model.table.columns:
            if model.log_probs is None or not len(model.log_probs):
                reason = NOT_SCORED
            elif model.upper is not None and not np.array_equal(model.upper, model.log_probs):
                reason = LEFT_OPEN
            else:
                partial.append(model)
        if reason:
            without.append(LeftOut(model.dataset, what, model.model, reason))
        else:
            found.append(model)
    if not partial:
        return found, without
    shared = keys_of(in_common(partial, all_titles=True)[0].table)
    for position, model in enumerate(found):
        rows = keys_of(model.table).isin(shared)
        if rows.sum() != len(shared):
            raise MismatchError(
                f"{model.model}: it lacks {len(shared) - int(rows.sum()):,} of the {len(shared):,} transitions that "
                "other models scored. Score the same split with all of them."
            )
        found[position] = model.select(rows)
    return found, without
