"""The value of what the resume says of a worker: the covariates of test workers, exchanged among them.

A model that uses gender, ethnicity or region predicts worse when each worker is given those of another. The
permutation leaves how often each value occurs as it is. Several covariates together are exchanged as one, so that
only combinations that occur are made; and a permutation is the same for all covariates of a seed. As
several permutations differ, the effect is the mean over seeds, and its scatter over seeds stands beside it.

Only what never changes in a career can be exchanged: `gender`, `ethnicity`, `region`, `birth_year`. A year of birth
of another worker can make careers begin before birth, so it is not among the defaults.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from labor_llm.career_schema import STATIC
from labor_llm.careers import CareerPanel
from labor_llm.errors import InputError, MismatchError
from labor_llm.evaluation.bootstrap import bootstrap_differences
from labor_llm.evaluation.comparison import compare
from labor_llm.evaluation.shared_events import LeftOut
from labor_llm.predictions import Predictions

COVARIATES = ("gender", "ethnicity", "region")
TOGETHER = "all together"
NO_VARIATION = "the same for all workers, so there is nothing to exchange"


def permuted_panel(panel: CareerPanel, columns: Sequence[str], seed: int) -> CareerPanel:
    """Return the panel with some static covariates exchanged among its workers.

    Args:
        panel: the workers to be scored; they keep their careers, in the same order.
        columns: exchanged as one.
        seed: of the permutation, which depends on it and the sorted worker ids alone.

    Raises:
        InputError: if a column is not static, or there are fewer than two workers.
    """
    if unknown := [column for column in columns if column not in STATIC]:
        raise InputError(
            f"{unknown[0]!r} cannot be exchanged among workers; give some of {', '.join(STATIC)}."
        )
    workers = np.array(sorted(panel.workers), dtype=object)
    if len(workers) < 2 or not columns:
        raise InputError(
            f"{panel.dataset}: {len(workers)} workers and {len(columns)} covariates; nothing to exchange."
        )
    order = np.random.default_rng((seed, 3)).permutation(len(workers))
    donor = dict(zip(workers, workers[order], strict=True))
    by_worker = panel.frame.drop_duplicates("worker_id").set_index("worker_id")[list(columns)]
    given = by_worker.loc[panel.frame["worker_id"].map(donor)]
    frame = panel.frame.assign(**{column: given[column].array for column in columns})
    return CareerPanel(frame, panel.outcomes, panel.survey)


def permuted_panels(
    panel: CareerPanel, columns: Sequence[str] = COVARIATES, seeds: Sequence[int] = (0, 1, 2)
) -> dict[tuple[str, int], CareerPanel]:
    """Return the panels to be scored: each covariate exchanged alone, and all together, for every seed.

    Returns:
        By (column, seed), and (`TOGETHER`, seed) where there is more than one column.

    Raises:
        InputError: as `permuted_panel`; or if a seed or column stands twice.
    """
    if len(set(seeds)) < len(seeds) or len(set(columns)) < len(columns):
        raise InputError("permuted covariates: give each seed and each column once.")
    sets = {column: [column] for column in columns}
    if len(columns) > 1:
        sets[TOGETHER] = list(columns)
    return {
        (name, seed): permuted_panel(panel, chosen, seed) for name, chosen in sets.items() for seed in seeds
    }


def varying_covariates(
    panel: CareerPanel, columns: Sequence[str] = COVARIATES
) -> tuple[list[str], list[LeftOut]]:
    """Return the covariates that differ between workers, and those that do not with the reason.

    Raises:
        InputError: if none differs.
    """
    static = panel.frame.drop_duplicates("worker_id")
    constant = [column for column in columns if static[column].nunique(dropna=False) < 2]
    varying = [column for column in columns if column not in constant]
    if not varying:
        raise InputError(f"{panel.dataset}: no covariate of {', '.join(columns)} differs between workers.")
    return varying, [LeftOut(panel.dataset, column, "", NO_VARIATION) for column in constant]


def value_of_covariates(
    true: Predictions,
    permuted: Mapping[tuple[str, int], Predictions],
    by: str | None = None,
    draws: int = 1000,
    seed: int = 0,
    normalised: bool = False,
) -> pd.DataFrame:
    """Return how much worse a model predicts with covariates exchanged among workers.

    Args:
        true: of the panel as it is.
        permuted: of the same model on the panels of `permuted_panels`, by the same keys.
        by: a column for one row per value.
        draws: bootstrap samples of workers.
        seed: of the samples.
        normalised: of probabilities among the valid titles.

    Returns:
        The columns of `bootstrap_differences` with `covariate` for `model` and without `reference` (`model` is the
        model's name): `difference` is the perplexity with the covariate exchanged (log-probabilities averaged over
        seeds) minus the true one; further `seeds` (how many) and `seed_sd` (standard deviation over seeds of the
        difference in perplexity over all transitions; NaN with one seed, and with `by`).

    Raises:
        InputError: if there is nothing to compare.
        MismatchError: if the transitions differ, or a covariate has other seeds than another.
    """
    if not permuted:
        raise InputError("permuted covariates: no predictions of permuted panels given.")
    names = list(dict.fromkeys(name for name, _ in permuted))
    seeds = {name: sorted(seed for other, seed in permuted if other == name) for name in names}
    if len({tuple(found) for found in seeds.values()}) > 1:
        raise MismatchError(
            f"permuted covariates: not the same seeds for each of {', '.join(names)}. Score all."
        )
    own = "as it is"
    averaged, spreads = [_renamed(true, own)], {}
    for name in names:
        numbered = [_renamed(permuted[name, number], f"seed {number}") for number in seeds[name]]
        (comparison,) = compare([averaged[0], *numbered], [by])
        values, masses = comparison.log_probs[:, 1:], comparison.log_valid_masses[:, 1:]
        with np.errstate(invalid="ignore"):
            scored = values - masses if normalised else values
            perplexities = np.exp(-scored[~np.isnan(scored).any(axis=1)].mean(axis=0))
        spreads[name] = float(perplexities.std(ddof=1)) if len(numbered) > 1 and by is None else np.nan
        table = comparison.transitions.assign(
            log_prob=values.mean(axis=1), log_valid_mass=masses.mean(axis=1)
        )
        averaged.append(Predictions(name, table, true.outcomes))
    result = bootstrap_differences(averaged, own, draws, seed, by, normalised)
    result = result.rename(columns={"model": "covariate"}).drop(columns="reference")
    result.insert(1, "model", true.model)
    return result.assign(seeds=len(seeds[names[0]]), seed_sd=[spreads[name] for name in result["covariate"]])


def _renamed(predictions: Predictions, name: str) -> Predictions:
    return Predictions(name, predictions.table, predictions.outcomes)
