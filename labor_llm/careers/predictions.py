"""Predictions: one row per scored transition and model, the same form for every kind of model.

Every exhibit is a function of predictions alone, so that a language model, a logit and an empirical frequency are
compared by the same code on the same transitions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from labor_llm.careers.occupations import OutcomeSpace, read_titles
from labor_llm.careers.panel import CareerPanel, transitions
from labor_llm.errors import ArtefactError, InputError, MismatchError, NumericalError
from labor_llm.store.artefacts import verify, writing
from labor_llm.store.results import Results

TRANSITION_COLUMNS = ("dataset", "worker_id", "year", "transition_type", "occupation")
COLUMNS = (*TRANSITION_COLUMNS, "log_prob", "log_valid_mass")
UNRESOLVED = "unresolved"
# The named title that stands for the previous record's occupation, whichever it is.
STAY = "stay"
_KEYS = ["worker_id", "year"]
_MATRIX, _UPPER = "log_probs.npy", "log_probs_upper.npy"
# Float32 sums over hundreds of titles may exceed one by rounding; more than this is a fault.
MASS_TOLERANCE = 1e-4
# Rows that are normalised at a time, which bounds memory.
_BLOCK = 32_768


@dataclass(frozen=True)
class Predictions:
    """What one model says of a set of transitions.

    Attributes:
        model: the model's short name.
        table: columns `dataset`, `worker_id`, `year`, `transition_type`, `occupation`, `log_prob` (nats, unnormalised
            log-probability of the realised title) and `log_valid_mass` (nats, log of the probability of all valid
            titles together; NaN where only the realised title was scored; 0 for models that are normalised by
            construction). Bounded scoring adds `unresolved` (probability): titles that are not known have no more than
            this between them, and `log_valid_mass` is that of the known ones.
        outcomes: the occupations, in the order of the columns of `log_probs`.
        log_probs: float32 [rows of `table` with a valid mass, occupations], or None; -inf for a title that bounded
            scoring left unresolved.
        upper: with bounded scoring, the most that each title's log-probability can be, of the same shape.

    Raises:
        NumericalError: if a log-probability is NaN or above zero, or a valid mass above one.
        MismatchError: if a matrix does not fit the table and the outcome space.
    """

    model: str
    table: pd.DataFrame
    outcomes: OutcomeSpace
    log_probs: np.ndarray | None = None
    upper: np.ndarray | None = None

    def __post_init__(self) -> None:
        if missing := int(self.table["log_prob"].isna().sum()):
            raise NumericalError(
                f"{self.model}: log_prob is not a number for {missing:,} of {len(self.table):,} transitions."
            )
        for column in ("log_prob", "log_valid_mass"):
            if above := int((self.table[column] > MASS_TOLERANCE).sum()):
                raise NumericalError(
                    f"{self.model}: {column} is above zero (a probability above one) for {above:,} transitions."
                )
        expected = (int(self.scored_in_full.sum()), len(self.outcomes))
        for matrix in (self.log_probs, self.upper):
            if matrix is None:
                continue
            if np.isnan(matrix).any() or (matrix > MASS_TOLERANCE).any():
                raise NumericalError(
                    f"{self.model}: the matrix holds values that are no log-probabilities (NaN or above zero)."
                )
            if matrix.shape != expected:
                raise MismatchError(
                    f"{self.model}: the matrix of log-probabilities is {matrix.shape}, the table and titles ask for "
                    f"{expected}."
                )

    @property
    def dataset(self) -> str:
        """Short name of the data set that the transitions are of."""
        return str(self.table["dataset"].iloc[0])

    @property
    def scored_in_full(self) -> pd.Series:
        """Boolean: the rows for which every title was scored."""
        return self.table["log_valid_mass"].notna()

    def select(self, rows: np.ndarray) -> Predictions:
        """Return the predictions of some transitions, bool [rows of `table`], with their rows of the matrices."""
        full = np.asarray(rows)[self.scored_in_full.to_numpy()]
        kept = [None if matrix is None else matrix[full] for matrix in (self.log_probs, self.upper)]
        return Predictions(self.model, self.table[rows].reset_index(drop=True), self.outcomes, *kept)


def named_column(name: str) -> str:
    """Return the column of a table that holds a named title's log-probability: of `STAY` or an occupation's code."""
    return f"log_prob_{name}"


def from_matrix(
    model: str, transitions: pd.DataFrame, outcomes: OutcomeSpace, log_probs: np.ndarray
) -> Predictions:
    """Return the predictions of a model that is normalised over the outcome space.

    `log_probs` are nats, [rows of `labor_llm.careers.panel.transitions`, occupations in the order of `outcomes`].

    Raises:
        NumericalError: if a row's probabilities do not add up to one.
    """
    mass = np.exp(log_probs.astype(np.float64)).sum(axis=1)
    if not np.allclose(mass, 1.0, atol=MASS_TOLERANCE):
        raise NumericalError(
            f"{model}: the probabilities of a transition add up to {mass[np.abs(mass - 1).argmax()]:.6f}, not 1."
        )
    columns = outcomes.indices(transitions["occupation"])
    table = transitions[list(TRANSITION_COLUMNS)].reset_index(drop=True)
    table["log_prob"] = log_probs[np.arange(len(table)), columns].astype(np.float64)
    table["log_valid_mass"] = 0.0
    return Predictions(model, table, outcomes, log_probs.astype(np.float32))


def write_predictions(
    folder: Path,
    predictions: Predictions,
    parameters: Mapping[str, Any] | None = None,
    inputs: Mapping[str, Path] | None = None,
) -> None:
    """Store predictions as an artefact: a parquet table, the titles and the matrices as .npy."""
    with writing(folder, {**(parameters or {}), "model": predictions.model}, inputs) as aside:
        predictions.table.to_parquet(aside / "predictions.parquet", index=False)
        predictions.outcomes.frame().to_csv(aside / "titles.csv", index=False)
        for name, matrix in ((_MATRIX, predictions.log_probs), (_UPPER, predictions.upper)):
            if matrix is not None:
                np.save(aside / name, matrix, allow_pickle=False)


def read_predictions(folder: Path) -> Predictions:
    """Return stored predictions, checksums verified; ArtefactError if they are missing or were changed."""
    model = verify(folder)["parameters"]["model"]
    table, outcomes = pd.read_parquet(folder / "predictions.parquet"), read_titles(folder / "titles.csv")
    paths = [folder / name for name in (_MATRIX, _UPPER)]
    matrices = [np.load(path, allow_pickle=False) if path.is_file() else None for path in paths]
    return Predictions(model, table, outcomes, *matrices)


def write_all_predictions(
    results: Results,
    dataset: str,
    predictions: Mapping[str, Predictions],
    parameters: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Store predictions of several models on one data set, and what else is told of a model, by their short names."""
    for name, prediction in predictions.items():
        inputs, told = {"panel": results.panel(dataset)}, (parameters or {}).get(name)
        write_predictions(results.predictions(dataset, name), prediction, told, inputs)


def model_labels(results: Results, datasets: Sequence[str], models: Sequence[str]) -> dict[str, str]:
    """Return what tables call each model, by its short name; a model that no data set has is left out."""
    labels = {}
    for model in models:
        folders = (results.predictions(dataset, model) for dataset in datasets)
        if folder := next(filter(Path.is_dir, folders), None):
            labels[model] = verify(folder)["parameters"]["model"]
    return labels


def read_all_predictions(
    results: Results, datasets: Sequence[str], models: Sequence[str], optional: Sequence[str] = ()
) -> list[Predictions]:
    """Return the stored predictions of several models on several data sets, data set by data set.

    A data set may lack the `optional` ones of the models, such as the oracle of a simulated one.

    Raises:
        ArtefactError: if some were not made yet or were changed; says which notebook makes them.
    """
    places = {
        results.predictions(dataset, model): model in optional for dataset in datasets for model in models
    }
    for folder, may_lack in places.items():
        if not folder.is_dir() and not may_lack:
            raise ArtefactError(
                f"{folder}: these predictions were not made yet. Run notebooks/05_next_job_scoring (language "
                "models) or notebooks/06_baselines first, or give as `results` the folder of a profile that "
                "`labor-llm replicate` has run."
            )
    return [read_predictions(folder) for folder in places if folder.is_dir()]


def panel_columns(table: pd.DataFrame, panel: CareerPanel, columns: Sequence[str]) -> pd.DataFrame:
    """Return columns of a panel for each row of a predictions' table, in its order.

    They are columns of `labor_llm.careers.panel.transitions` ('gender', 'previous', 'records_before', ...) or of the
    panel's frame. The panel is of the same data set, with at least the scored workers.

    Raises:
        InputError: if the panel has no such column.
        MismatchError: if a scored transition is not in the panel, or the panel has another occupation there.
    """
    records = transitions(panel)
    further = panel.frame.columns.difference(records.columns)
    records[further] = panel.frame[further]
    if missing := [column for column in columns if column not in records]:
        raise InputError(
            f"{panel.dataset}: the panel has no column {missing[0]!r}; found {', '.join(sorted(records))}."
        )
    rows = pd.MultiIndex.from_frame(records[_KEYS]).get_indexer(pd.MultiIndex.from_frame(table[_KEYS]))
    if lacking := (rows < 0).sum():
        raise MismatchError(
            f"{panel.dataset}: {lacking:,} of {len(table):,} scored transitions are not in the panel. Give the panel "
            "that was scored."
        )
    if differing := (records["occupation"].to_numpy()[rows] != table["occupation"].to_numpy()).sum():
        raise MismatchError(
            f"{panel.dataset}: the occupation differs from the panel's in {differing:,} of {len(table):,} scored "
            "transitions. Give the panel that was scored."
        )
    return records[list(columns)].iloc[rows].reset_index(drop=True)


def normalised_blocks(predictions: Predictions) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield the log-probabilities of all titles among the valid ones, float64 [block, titles], rows by rows.

    The rows are those of the table for which every title was scored, in its order.

    Raises:
        InputError: if there are none, or bounded scoring left titles open.
    """
    matrix = predictions.log_probs
    if matrix is None or not len(matrix):
        raise InputError(
            f"{predictions.model}: no transition has the score of every title. Score all titles."
        )
    if predictions.upper is not None and not np.array_equal(predictions.upper, matrix):
        raise InputError(
            f"{predictions.model}: bounded scoring left titles open. Score all titles with tolerance 0."
        )
    from scipy.special import logsumexp  # Most who read predictions want no more than the table.

    for start in range(0, len(matrix), _BLOCK):
        block = matrix[start : start + _BLOCK].astype(np.float64)
        yield slice(start, start + len(block)), block - logsumexp(block, axis=1, keepdims=True)
