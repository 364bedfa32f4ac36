"""The value of what the resume says of a worker: the covariates of test workers, exchanged among them.

A model that uses gender, ethnicity or region predicts worse when each worker is given those of another. The
permutation leaves how often each value occurs as it is, is the same for all covariates of a seed, and exchanges several
together as one, so that only combinations that occur are made. The effect is the mean over seeds, and its scatter over
seeds stands beside it. Only what never changes in a career can be exchanged: `gender`, `ethnicity`, `region`,
`birth_year` (a year of birth of another worker can make careers begin before birth).

A covariate has few values, so permutations give a worker the same few resumes over and over, and often its own. Only
those that differ from the worker's own and from each other are scored, in one panel, and every permutation is put
together from them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from labor_llm.baselines.registry import fit_baselines_again
from labor_llm.careers.panel import STATIC, CareerPanel
from labor_llm.careers.predictions import TRANSITION_COLUMNS, Predictions
from labor_llm.disclosure import MINIMUM_PERSONS
from labor_llm.errors import InputError, MismatchError
from labor_llm.evaluation.comparison import LeftOut, compare, realised
from labor_llm.evaluation.perplexity import bootstrap_differences
from labor_llm.store.results import Results

TOGETHER = "all together"
NO_VARIATION = "the same for all workers, so there is nothing to exchange"
# Name of what was exchanged, and seed.
Permutation = tuple[str, int]


def random_workers(panel: CareerPanel, number: int, seed: int) -> CareerPanel:
    """Return the panel of some of its workers, drawn at random; of all if there are no more, or `number` is -1.

    Raises:
        InputError: if fewer than eleven are asked for, on which no number could be shown.
    """
    if number != -1 and number < MINIMUM_PERSONS:
        raise InputError(f"workers: {number} found; give at least {MINIMUM_PERSONS}, or -1 for all.")
    workers = sorted(panel.workers)
    if not 0 <= number < len(workers):
        return panel
    return panel.restrict(np.random.default_rng((seed, 7)).choice(workers, number, replace=False).tolist())


def varying_covariates(panel: CareerPanel, columns: Sequence[str]) -> tuple[list[str], list[LeftOut]]:
    """Return the covariates that differ between workers, and those that do not with the reason."""
    static = panel.frame.drop_duplicates("worker_id")
    constant = [column for column in columns if static[column].nunique(dropna=False) < 2]
    varying = [column for column in columns if column not in constant]
    return varying, [LeftOut(panel.dataset, column, "", NO_VARIATION) for column in constant]


def permuted_panels(
    panel: CareerPanel, columns: Sequence[str], seeds: Sequence[int]
) -> dict[Permutation, CareerPanel]:
    """Return the panels to be scored: each covariate exchanged alone, and all together, for every seed.

    Args:
        panel: the workers to be scored; they keep their careers, in the same order.
        columns: static ones.
        seeds: of the permutations, which depend on them and the sorted worker ids alone.

    Returns:
        By (column, seed), and (`TOGETHER`, seed) where there is more than one column; nothing without columns.

    Raises:
        InputError: if a column is not static, there are fewer than two workers, or a seed or column stands twice.
    """
    if len(set(seeds)) < len(seeds) or len(set(columns)) < len(columns):
        raise InputError("permuted covariates: give each seed and each column once.")
    if unknown := [column for column in columns if column not in STATIC]:
        raise InputError(
            f"{unknown[0]!r} cannot be exchanged among workers; give some of {', '.join(STATIC)}."
        )
    if len(panel.workers) < 2:
        raise InputError(
            f"{panel.dataset}: {len(panel.workers)} workers, among whom nothing can be exchanged."
        )
    sets = {column: [column] for column in columns}
    if len(columns) > 1:
        sets[TOGETHER] = list(columns)
    return {(name, seed): _permuted(panel, chosen, seed) for name, chosen in sets.items() for seed in seeds}


def _permuted(panel: CareerPanel, columns: list[str], seed: int) -> CareerPanel:
    workers = np.array(sorted(panel.workers), dtype=object)
    order = np.random.default_rng((seed, 3)).permutation(len(workers))
    donor = dict(zip(workers, workers[order], strict=True))
    given = panel.frame.drop_duplicates("worker_id").set_index("worker_id")[columns]
    given = given.loc[panel.frame["worker_id"].map(donor)].set_index(panel.frame.index)
    return CareerPanel(panel.frame.assign(**given), panel.outcomes, panel.survey)


def careers_to_score(panel: CareerPanel, permuted: Mapping[Permutation, CareerPanel]) -> CareerPanel:
    """Return every career of the permuted panels that differs from the worker's own, once.

    Returns:
        A panel whose `worker_id` is the worker's with the number of the variant behind it; no rows if none differs.
    """
    ids = _variants(panel, permuted)
    parts = [
        other.frame.assign(worker_id=other.frame["worker_id"].map(_named(other, ids)))
        for other in permuted.values()
    ]
    frame = pd.concat(parts).dropna(subset="worker_id").drop_duplicates(["worker_id", "year"])
    frame = frame.sort_values(["worker_id", "year"], ignore_index=True)
    return CareerPanel(frame, panel.outcomes, panel.survey)


def by_permutation(
    true: Predictions,
    panel: CareerPanel,
    permuted: Mapping[Permutation, CareerPanel],
    scored: Predictions | None,
) -> dict[Permutation, Predictions]:
    """Return the predictions of each permuted panel, put together from careers that were scored once.

    Args:
        true: of the panel as it is; further workers are left out.
        panel: as for `careers_to_score`, like `permuted`.
        permuted: the panels.
        scored: of the careers that it returned; None if there were none.

    Returns:
        Predictions of the realised titles by the keys of `permuted`, on the transitions of the panel.

    Raises:
        MismatchError: if `scored` lacks a career or record.
    """
    ids = _variants(panel, permuted)
    own = of_workers(true, panel).table[[*TRANSITION_COLUMNS, "log_prob"]].assign(log_valid_mass=np.nan)
    known = (own if scored is None else scored.table).set_index(["worker_id", "year"])["log_prob"]
    found = {}
    for key, other in permuted.items():
        variants = own["worker_id"].map(_named(other, ids))
        changed = variants.notna().to_numpy()
        wanted = pd.MultiIndex.from_arrays([variants[changed], own.loc[changed, "year"]])
        values = known.reindex(wanted).to_numpy()
        if lacking := int(np.isnan(values).sum()):
            raise MismatchError(
                f"{true.model}: {lacking:,} records of exchanged careers were not scored. Score the panel of "
                "careers_to_score."
            )
        table = own.copy()
        table.loc[changed, "log_prob"] = values
        found[key] = Predictions(true.model, table, true.outcomes)
    return found


def of_workers(predictions: Predictions, panel: CareerPanel) -> Predictions:
    """Return the predictions of a panel's workers.

    Raises:
        MismatchError: if some of its records have none.
    """
    kept = predictions.select(predictions.table["worker_id"].isin(panel.workers).to_numpy())
    if len(kept.table) != len(panel.frame):
        raise MismatchError(
            f"{predictions.model}: predictions of {len(kept.table):,} of the panel's {len(panel.frame):,} records. "
            "Give those of the whole test split."
        )
    return kept


def _variants(
    panel: CareerPanel, permuted: Mapping[Permutation, CareerPanel]
) -> dict[tuple[str, tuple[str, ...]], str]:
    """Return the id of each worker with each set of covariates that is not its own, whatever the order of the keys."""
    told = {career for other in permuted.values() for career in _values(other).items()}
    numbers: Counter[str] = Counter()
    ids = {}
    for worker, values in sorted(told - set(_values(panel).items())):
        numbers[worker] += 1
        ids[worker, values] = f"{worker}-{numbers[worker]}"
    return ids


def _named(panel: CareerPanel, ids: Mapping[tuple[str, tuple[str, ...]], str]) -> dict[str, str | None]:
    """Return the id of each worker of a permuted panel as a variant; None with the covariates of its own."""
    return {worker: ids.get((worker, values)) for worker, values in _values(panel).items()}


def _values(panel: CareerPanel) -> dict[str, tuple[str, ...]]:
    static = panel.frame.drop_duplicates("worker_id")
    columns = [static[column].astype("string").fillna("") for column in STATIC]
    return dict(zip(static["worker_id"], zip(*columns, strict=True), strict=True))


def value_of_covariates(
    true: Predictions, permuted: Mapping[Permutation, Predictions], draws: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Return how much worse a model predicts with covariates exchanged among workers.

    Args:
        true: of the panel as it is.
        permuted: of the same model on the panels of `permuted_panels`, by the same keys.
        draws: bootstrap samples of workers.
        seed: of the samples.

    Returns:
        The columns of `bootstrap_differences` with `covariate` for `model` and without `reference` (`model` is the
        model's name): `difference` is the perplexity with the covariate exchanged (log-probabilities averaged over
        seeds) minus the true one; further `seeds` (how many) and `seed_sd` (standard deviation over seeds of the
        difference in perplexity; NaN with one seed). Without rows if nothing was permuted.

    Raises:
        MismatchError: if the transitions differ, or a covariate has other seeds than another.
    """
    if not permuted:
        return pd.DataFrame(columns=["covariate", "model"])
    names = list(dict.fromkeys(name for name, _ in permuted))
    seeds = {name: sorted(seed for other, seed in permuted if other == name) for name in names}
    if len({tuple(found) for found in seeds.values()}) > 1:
        raise MismatchError(
            f"permuted covariates: not the same seeds for each of {', '.join(names)}. Score all."
        )
    own = "as it is"
    averaged, spreads = [realised(true, own)], []
    for name in names:
        numbered = [realised(permuted[name, number], f"seed {number}") for number in seeds[name]]
        (comparison,) = compare([averaged[0], *numbered])
        values = comparison.log_probs[:, 1:]
        perplexities = np.exp(-values.mean(axis=0))
        spreads.append(float(perplexities.std(ddof=1)) if len(numbered) > 1 else np.nan)
        table = comparison.transitions.assign(log_prob=values.mean(axis=1), log_valid_mass=np.nan)
        averaged.append(Predictions(name, table, true.outcomes))
    result = bootstrap_differences(averaged, own, draws, seed)
    result = result.rename(columns={"model": "covariate"}).drop(columns="reference")
    result.insert(1, "model", true.model)
    return result.assign(seeds=len(seeds[names[0]]), seed_sd=spreads)


def value_to_language_model(
    true: Predictions,
    test: CareerPanel,
    permuted: Mapping[Permutation, CareerPanel],
    score: Callable[[CareerPanel], Predictions],
    draws: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Return `value_of_covariates` of a language model, which scores the careers that differ once.

    Args:
        true: its stored predictions.
        test: the workers as they are.
        permuted: as `permuted_panels` returns them.
        score: scores a panel.
        draws: bootstrap samples of workers.
        seed: of the samples.
    """
    if not permuted:
        return pd.DataFrame(columns=["covariate", "model"])
    careers = careers_to_score(test, permuted)
    scored = None if careers.frame.empty else score(careers)
    exchanged = by_permutation(true, test, permuted, scored)
    return value_of_covariates(of_workers(true, test), exchanged, draws, seed)


def value_to_baseline(
    baseline: str,
    panel: CareerPanel,
    splits: Mapping[str, str],
    results: Results,
    test: CareerPanel,
    permuted: Mapping[Permutation, CareerPanel],
    draws: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Return `value_of_covariates` of a baseline that is fitted again, and predicts each permuted panel.

    Args:
        baseline: its short name.
        panel: all workers.
        splits: the split of each worker.
        results: where its predictions lie.
        test: the workers as they are.
        permuted: as `permuted_panels` returns them.
        draws: bootstrap samples of workers.
        seed: of the samples.
    """
    if not permuted:
        return pd.DataFrame(columns=["covariate", "model"])
    fitted = fit_baselines_again([baseline], panel, splits, results)[baseline]
    predicted = {key: fitted.predict(other) for key, other in permuted.items()}
    return value_of_covariates(fitted.predict(test), predicted, draws, seed)
