"""Perplexity: the exponential of the mean negative log-probability, per transition.

With log P(y_it | history) in nats and T = sum_i T_i transitions of all workers i,

    perplexity = exp( -(1/T) sum_i sum_t log P(y_it | history) ),

as in the CAREER code (Vafa et al. 2024) and the paper: a long career counts more than a short one,
first records are included, and a uniform guess among K occupations has perplexity K. `log_prob` is
unnormalised (mass that a language model puts on text that is no valid title counts against it);
`normalised_perplexity` conditions on the title being valid.

An outcome of probability zero makes perplexity infinite. It is counted and shown, never clipped.

Test-set bootstrap: how much a perplexity would vary with another sample of test workers.

Workers are resampled with the fitted model held fixed (`labor_llm.evaluation.resampling`): this is the
paper's "test-set-bootstrap" standard error (TestSE). It says nothing of the variation from fitting on
another training sample, for which see `labor_llm.evaluation.training_error`.

A perplexity is a function of a ratio of sums over workers, so a draw needs only how often each worker
was drawn, w, and each worker's sum of log-probabilities S and number of transitions C:
exp(-(w'S) / (w'C)). All models are evaluated on the same draws, so differences are paired: what makes
a worker hard to predict for every model cancels out of them. Where workers depend on each other (the
members of a PSID family), `unit` names the column of what is resampled instead.

With few workers (say below 40) cluster methods, this one too, tend to give standard errors that are
too small. Standard errors that cannot be computed (one worker, or a probability of zero) are NaN,
never zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from labor_llm.careers.predictions import MASS_TOLERANCE, Predictions
from labor_llm.errors import InputError, NumericalError
from labor_llm.evaluation.comparison import Comparison, compare
from labor_llm.evaluation.resampling import check_draws, resampled_means, spread

# The realised title and the sum over all titles may come from different forward passes, whose
# float32 sums differ by rounding; a normalised probability may exceed one by that much.
NORMALISED_TOLERANCE = 1e-3


def perplexity(log_probs: np.ndarray | pd.Series, tolerance: float = 1e-6) -> float:
    """Return the perplexity of realised outcomes' log-probabilities (nats); infinite if one of them is -inf.

    Args:
        log_probs: one per transition.
        tolerance: how far above zero, by rounding, a log-probability may lie.

    Raises:
        InputError: if there are none.
        NumericalError: if one is NaN or above zero (a probability above one).
    """
    values = np.asarray(log_probs, dtype=np.float64)
    if values.size == 0:
        raise InputError("perplexity of no transitions is not defined. Give at least one log-probability.")
    missing, above, size = int(np.isnan(values).sum()), int((values > tolerance).sum()), values.size
    if missing or above:
        raise NumericalError(
            f"log-probabilities: {missing:,} of {size:,} are not a number and {above:,} are above zero "
            "(a probability above one). The model's scores are wrong; score it again."
        )
    with np.errstate(over="ignore"):
        return float(np.exp(-values.mean()))


def perplexity_table(predictions: Sequence[Predictions], by: str | None = None) -> pd.DataFrame:
    """Return the perplexity of each model on each data set, on identical transitions.

    Args:
        predictions: of one or more models and data sets.
        by: a column of the predictions' tables, such as 'transition_type', for one row per value.

    Returns:
        Columns `dataset`, `model`, (`by`), `perplexity`, `normalised_perplexity`, `mean_log_prob` (nats
        per transition, unnormalised), `transitions`, `workers`, `zero_probabilities` (transitions to
        which the model gives probability zero) and `normalised_transitions`: those on which the
        normalised perplexity rests, the same for all models that have scores of all titles; zero,
        and NaN as the perplexity, for a model that has none.

    Raises:
        InputError: if there are no predictions, a transition is there twice, or `by` is no column.
        MismatchError: if the models of a data set predict different transitions.
        NumericalError: if a log-probability is NaN or above zero.
    """
    rows = []
    for comparison in compare(predictions, [by]):
        workers, _ = comparison.units("worker_id")
        groups = list(comparison.groups(by))
        for position, model in enumerate(comparison.models):
            for group, members in groups:
                values = comparison.log_probs[members, position]
                full = members[comparison.compared_in_full[members, position]]
                among = comparison.log_probs[full, position] - comparison.log_valid_masses[full, position]
                rows.append(
                    {
                        "dataset": comparison.dataset,
                        "model": model,
                        **group,
                        "perplexity": perplexity(values, MASS_TOLERANCE),
                        "normalised_perplexity": perplexity(among, NORMALISED_TOLERANCE)
                        if len(among)
                        else np.nan,
                        "mean_log_prob": values.mean(),
                        "transitions": len(values),
                        "workers": len(np.unique(workers[members])),
                        "zero_probabilities": int(np.isneginf(values).sum()),
                        "normalised_transitions": len(full),
                    }
                )
    return pd.DataFrame(rows)


WORKER = "worker_id"


def bootstrap_perplexity(
    predictions: Sequence[Predictions],
    draws: int = 1000,
    seed: int = 0,
    by: str | None = None,
    normalised: bool = False,
    unit: str = WORKER,
) -> pd.DataFrame:
    """Return each model's perplexity with its test-set bootstrap standard error.

    Args:
        predictions: of one or more models and data sets, on identical transitions within a data set.
        draws: bootstrap samples.
        seed: of the samples.
        by: a column such as 'transition_type' for one row per value, on the same draws.
        normalised: of probabilities among the valid titles, on the transitions that have them.
        unit: column of what is resampled; 'family' for the PSID's families, where the tables have it (see
            `labor_llm.evaluation.groups`).

    Returns:
        Columns `dataset`, `model`, (`by`), `perplexity`, `test_se` (standard deviation over draws),
        `ci_low`, `ci_high` (2.5th and 97.5th percentile), `transitions`, `workers` (that have such
        transitions) and `draws` (that hold at least one of them, on which the three rest). `test_se`
        and the interval are NaN with one worker or a probability of zero.

    Raises:
        InputError, MismatchError, NumericalError: as `perplexity_table`; InputError below two draws.
    """
    rows = []
    for key, sample in _samples(predictions, draws, seed, by, normalised, unit):
        with np.errstate(over="ignore"):
            error, low, high = spread(np.exp(-sample["means"][sample["defined"]]), sample["units"])
        rows.append(
            {
                **key,
                "perplexity": sample["perplexity"],
                "test_se": error,
                "ci_low": low,
                "ci_high": high,
                "transitions": sample["transitions"],
                "workers": sample["workers"],
                "draws": int(sample["defined"].sum()),
            }
        )
    return pd.DataFrame(rows)


def bootstrap_differences(
    predictions: Sequence[Predictions],
    reference: str | Mapping[str, str],
    draws: int = 1000,
    seed: int = 0,
    by: str | None = None,
    normalised: bool = False,
    unit: str = WORKER,
) -> pd.DataFrame:
    """Return how every other model differs from a reference model, paired on the same draws.

    Differences are model minus reference: a better model has a negative difference in perplexity and
    a positive one in log-probability.

    Args:
        predictions: as in `bootstrap_perplexity`, the reference among them for every data set.
        reference: name of a model, or of one for each data set.
        draws: bootstrap samples.
        seed: of the samples.
        by: a column such as 'transition_type' for one row per value.
        normalised: of probabilities among the valid titles.
        unit: column of what is resampled.

    Returns:
        Columns `dataset`, `model`, `reference`, (`by`); `difference` in perplexity with `test_se`,
        `ci_low`, `ci_high` and `z` (difference / test_se); `log_prob_difference` (mean nats per
        transition) with `log_prob_test_se`, `log_prob_ci_low`, `log_prob_ci_high`, `log_prob_z`;
        `transitions`, `workers`, `draws`. `z` is NaN where the standard error is NaN or zero.

    Raises:
        InputError: if a data set lacks the reference; and as `bootstrap_perplexity`.
    """
    samples = list(_samples(predictions, draws, seed, by, normalised, unit))
    datasets = {key["dataset"] for key, _ in samples}
    named = dict.fromkeys(datasets, reference) if isinstance(reference, str) else dict(reference)
    if unnamed := sorted(datasets - set(named)):
        raise InputError(f"{unnamed[0]}: no reference is named for it.")
    references = {_cell(key): sample for key, sample in samples if key["model"] == named[key["dataset"]]}
    rows = []
    for key, sample in samples:
        chosen = named[key["dataset"]]
        if key["model"] == chosen:
            continue
        base = references.get(_cell(key))
        if base is None:
            raise InputError(f"{key['dataset']}: no predictions of the reference {chosen!r}. Give them too.")
        identity = {"dataset": key["dataset"], "model": key["model"], "reference": chosen}
        rows.append(identity | ({by: key[by]} if by else {}) | _difference(sample, base))
    return pd.DataFrame(rows)


def _samples(
    predictions: Sequence[Predictions], draws: int, seed: int, by: str | None, normalised: bool, unit: str
) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return the key of each row of a table and what it is computed from: point estimates and draws."""
    check_draws(draws)
    samples = []
    for comparison in compare(predictions, [by, unit]):
        cells = _cells(comparison, by, normalised)
        codes, ids = comparison.units(unit)
        if (codes < 0).any():
            raise InputError(
                f"{comparison.dataset}: {unit!r} is missing for {int((codes < 0).sum()):,} transitions; every worker "
                "needs a value, the worker's own id if there is no other."
            )
        sums = np.column_stack([np.bincount(codes[rows], values, len(ids)) for _, rows, values in cells])
        counts = np.column_stack([np.bincount(codes[rows], minlength=len(ids)) for _, rows, _ in cells])
        means = resampled_means(sums, counts, ids, draws, seed)
        workers, _ = comparison.units(WORKER)
        for column, (key, rows, values) in enumerate(cells):
            sample = _sample(values, means[:, column], normalised)
            sample["workers"] = len(np.unique(workers[rows]))
            sample["units"] = int((counts[:, column] > 0).sum())
            samples.append((key, sample))
    return samples


def _cells(
    comparison: Comparison, by: str | None, normalised: bool
) -> list[tuple[dict[str, Any], np.ndarray, np.ndarray]]:
    """Return key, rows and log-probabilities of each model, or of each of its groups."""
    cells = []
    groups = list(comparison.groups(by))
    for position, model in enumerate(comparison.models):
        for group, rows in groups:
            kept = rows[comparison.compared_in_full[rows, position]] if normalised else rows
            values = comparison.log_probs[kept, position]
            if normalised:
                values = values - comparison.log_valid_masses[kept, position]
            cells.append(({"dataset": comparison.dataset, "model": model} | group, kept, values))
    return cells


def _sample(values: np.ndarray, means: np.ndarray, normalised: bool) -> dict[str, Any]:
    tolerance = NORMALISED_TOLERANCE if normalised else MASS_TOLERANCE
    return {
        "perplexity": perplexity(values, tolerance) if len(values) else np.nan,
        "mean_log_prob": float(values.mean()) if len(values) else np.nan,
        "transitions": len(values),
        "means": means,
        "defined": ~np.isnan(means),
    }


def _difference(sample: dict[str, Any], base: dict[str, Any]) -> dict[str, Any]:
    both = {
        "workers": min(sample["workers"], base["workers"]),
        "units": min(sample["units"], base["units"]),
        "transitions": min(sample["transitions"], base["transitions"]),
        "defined": sample["defined"] & base["defined"],
    }
    with np.errstate(invalid="ignore", over="ignore"):
        measures = {
            "": (
                np.subtract(sample["perplexity"], base["perplexity"]),
                np.exp(-sample["means"]) - np.exp(-base["means"]),
            ),
            "log_prob_": (
                np.subtract(sample["mean_log_prob"], base["mean_log_prob"]),
                sample["means"] - base["means"],
            ),
        }
    row: dict[str, Any] = {}
    for prefix, (difference, drawn) in measures.items():
        error, low, high = spread(drawn[both["defined"]], both["units"])
        row |= {
            f"{prefix}difference": float(difference),
            f"{prefix}test_se": error,
            f"{prefix}ci_low": low,
            f"{prefix}ci_high": high,
            f"{prefix}z": float(difference / error) if error > 0 else np.nan,
        }
    row |= {name: both[name] for name in ("transitions", "workers")}
    return row | {"draws": int(both["defined"].sum())}


def _cell(key: dict[str, Any]) -> tuple[Any, ...]:
    """Return what a row shares with its reference: data set and value of `by`."""
    return tuple(value for name, value in key.items() if name != "model")
