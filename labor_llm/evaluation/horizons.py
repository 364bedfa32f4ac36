"""Several years ahead: how far direct and compounded predictions agree, and which of them is nearer the truth.

The paper reports one correlation of the two (0.93); what it was taken over is not known to us, so it is of the
probabilities of what happened here. A correlation says nothing of how far apart two distributions are, so total
variation and the Kullback-Leibler divergence stand beside it, and the difference in log-probability of what happened,
paired by worker.

Where compounded predictions are not sums over all histories, each number has a Monte Carlo error beside it: the
jackknife over the independent runs (Efron and Tibshirani 1993, chapter 11), which says how far the number would scatter
with other runs. It doesn't tell of bias: two distributions of which one scatters seem further apart than they are, and
the logarithm of a mean is too low on average, so that direct predictions win even where the two are the same. The total
variation that the scatter of the runs makes alone stands beside for that reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import scipy.special

from labor_llm.baselines.oracle import LABEL, known_oracle
from labor_llm.baselines.registry import fit_baselines_again
from labor_llm.careers.horizons import (
    HorizonPair,
    NextJobModel,
    compounded_predictions,
    direct_predictions,
    draw_questions,
    horizon_questions,
)
from labor_llm.careers.panel import CareerPanel
from labor_llm.careers.predictions import Predictions, normalised_blocks
from labor_llm.disclosure import MINIMUM_PERSONS
from labor_llm.errors import InputError
from labor_llm.evaluation.comparison import Comparison, LeftOut, compare, keys_of, sorted_rows
from labor_llm.evaluation.resampling import resampled_sums, spread, spread_of_mean
from labor_llm.store.results import Results


def drawn_questions(
    panel: CareerPanel, horizons: Sequence[int], number: int, seed: int = 0, step: int = 0
) -> tuple[dict[int, pd.DataFrame], int, list[LeftOut]]:
    """Return drawn questions by horizon, the years from record to record, and the horizons that careers do not bear.

    Horizons are in years, two and three steps if none is given; a step, the years from one record to the next, is the
    most frequent distance in the panel if 0. Questions are drawn as `labor_llm.careers.horizons.draw_questions`.

    Raises:
        InputError: if a horizon is asked for twice.
    """
    between = panel.frame.groupby("worker_id")["year"].diff().dropna()
    step = step or (int(between.mode().min()) if len(between) else 1)
    horizons = list(horizons) or [2 * step, 3 * step]
    if len(set(horizons)) != len(horizons):
        raise InputError(f"horizons: {horizons} found; give different numbers of years.")
    asked, left_out = {}, []
    for years in horizons:
        if years % step == 0 and years > step:
            found = horizon_questions(panel, years)
            if found["worker_id"].nunique() >= MINIMUM_PERSONS:
                asked[years] = draw_questions(found, number, seed)
                continue
        reason = (
            f"it takes {MINIMUM_PERSONS} test workers with records so far apart, two steps or more; a step is {step} "
            "in years"
        )
        left_out.append(LeftOut(panel.dataset, f"{years} years ahead", "", reason))
    return asked, step, left_out


def horizon_pairs(
    models: Iterable[NextJobModel],
    panel: CareerPanel,
    questions: Mapping[int, pd.DataFrame],
    paths: int,
    seed: int = 0,
    step: int = 1,
) -> list[HorizonPair]:
    """Return direct and compounded predictions of each model over each horizon.

    Args:
        models: fitted baselines, or the oracle of a simulated data set.
        panel: that the questions are of.
        questions: by number of years, as `labor_llm.careers.horizons.horizon_questions` returns them.
        paths: histories that each run keeps, as for `compounded_predictions`.
        seed: of the runs.
        step: years from one record to the next.

    Raises:
        As `direct_predictions` and `compounded_predictions`.
    """
    pairs = []
    for years, asked in questions.items():
        for model in models:
            names = [f"{model.name}: {kind}" for kind in ("direct", "compounded")]
            direct = direct_predictions(model, panel, asked, names[0])
            compounded = compounded_predictions(model, panel, asked, paths, seed, step, names[1])
            pairs.append(HorizonPair(model.name, years, direct, compounded))
    return pairs


def baseline_pairs(
    baselines: Sequence[str],
    panel: CareerPanel,
    splits: Mapping[str, str],
    results: Results,
    questions: Mapping[int, pd.DataFrame],
    paths: int,
    seed: int = 0,
    step: int = 1,
) -> list[HorizonPair]:
    """Return `horizon_pairs` of baselines that are fitted again, and of the oracle of a simulated data set.

    Args:
        baselines: short names.
        panel: all workers; the questions are of the test workers.
        splits: the split of each worker.
        results: where CAREER and the market lie.
        questions: as for `horizon_pairs`, like what follows; without any there are no pairs.
        paths: histories that each run keeps.
        seed: of the runs.
        step: years from one record to the next.
    """
    if not questions:
        return []
    fitted = fit_baselines_again(baselines, panel, splits, results) | known_oracle(
        results.panel(panel.dataset)
    )
    return horizon_pairs(fitted.values(), panel.split(splits, "test"), questions, paths, seed, step)


def agreement_by_model(pairs: Sequence[HorizonPair], draws: int = 1000, seed: int = 0) -> pd.DataFrame:
    """Return `horizon_agreement` of each pair, with `model`, `years`, `exact` and the Monte Carlo errors.

    Those are `correlation_mc`, `total_variation_mc`, `kl_direct_compounded_mc`, `compounded_perplexity_mc`: standard
    errors of these numbers over the runs; and `scatter`: the mean total variation of the runs' mean from the exact sum,
    which their scatter makes alone. All are 0 where the sum is `exact`. Where it is not, the difference in
    log-probability is no evidence.
    """
    rows = []
    for pair in pairs:
        about = {"model": pair.model, "years": pair.years, "exact": pair.exact, "scatter": _scatter(pair)}
        found = horizon_agreement(pair.direct, pair.compounded, draws, seed)
        rows.append(found | about | {f"{name}_mc": error for name, error in _jackknife(pair).items()})
    return pd.DataFrame(rows)


def _jackknife(pair: HorizonPair) -> dict[str, float]:
    """Return the standard error of each number of `closeness` over the runs; 0 for an exact sum."""
    if pair.exact:
        return dict.fromkeys(_CLOSENESS, 0.0)
    runs = len(pair.runs)
    others = pd.DataFrame([closeness(pair.direct, other) for other in pair.leaving_out])
    return np.sqrt((runs - 1) ** 2 / runs * others.var(ddof=1)).fillna(0.0).to_dict()


def _scatter(pair: HorizonPair) -> float:
    """Return the mean total variation of the mean of runs from what it estimates: 0 for an exact sum.

    A run differs from the mean of the others by the square root of runs / (runs - 1) of its own scatter, and the mean
    of all scatters by the square root of 1 / runs of it.
    """
    if pair.exact:
        return 0.0
    apart = [
        _variation(_all_titles(run), _all_titles(others)).mean()
        for run, others in zip(pair.runs, pair.leaving_out, strict=True)
    ]
    return float(np.mean(apart) * np.sqrt(len(apart) - 1) / len(apart))


def horizon_agreement(
    direct: Predictions, compounded: Predictions, draws: int = 1000, seed: int = 0
) -> dict[str, Any]:
    """Return how two sets of predictions of the same transitions agree, both with the scores of all titles.

    Returns:
        `correlation` of the probabilities of what happened (NaN of constants) with `correlation_se`,
        `correlation_low`, `correlation_high`; `total_variation` (mean over
        transitions, 0 to 1) with `total_variation_se`; `kl_direct_compounded` (mean, nats; infinite where the
        second says zero and the first does not); `direct_perplexity`, `compounded_perplexity`;
        `log_prob_difference` (mean of direct minus compounded, nats) with `test_se`, `ci_low`, `ci_high`;
        `transitions`, `workers`.

    Raises:
        InputError: if every title was not scored, or below two draws.
        MismatchError: if the transitions differ.
    """
    comparison, first, second = _beside(direct, compounded)
    log_probs = comparison.log_probs
    workers, count = comparison.units("worker_id")
    with np.errstate(invalid="ignore"):
        differences = log_probs[:, 0] - log_probs[:, 1]
    variation = _variation(first, second)
    return {
        **_closeness(log_probs, first, second),
        **_correlation_spread(np.exp(log_probs), workers, draws, seed),
        "total_variation_se": spread_of_mean(variation, workers, draws, seed)["test_se"],
        "direct_perplexity": np.exp(-log_probs[:, 0].mean()),
        "log_prob_difference": differences.mean(),
        **spread_of_mean(differences, workers, draws, seed),
        "transitions": len(log_probs),
        "workers": count,
    }


def _correlation_spread(chances: np.ndarray, units: np.ndarray, draws: int, seed: int) -> dict[str, float]:
    """Return `spread` of the correlation of two columns over the samples that define it; NaN of constants."""
    # Centered, as sums of squares lose digits else.
    first, second = (chances - chances.mean(axis=0)).T
    columns = (np.ones_like(first), first, second, first**2, second**2, first * second)
    sums = np.column_stack([np.bincount(units, column) for column in columns])
    n, x, y, xx, yy, xy = resampled_sums(sums, draws, seed).T
    with np.errstate(invalid="ignore", divide="ignore"):
        drawn = (n * xy - x * y) / np.sqrt((n * xx - x**2) * (n * yy - y**2))
    defined = np.isfinite(drawn) & ~(np.ptp(chances, axis=0) == 0).any()
    found = spread(drawn[defined], len(sums)).values()
    return dict(zip(("correlation_se", "correlation_low", "correlation_high"), found, strict=True))


_CLOSENESS = ("correlation", "total_variation", "kl_direct_compounded", "compounded_perplexity")


def closeness(direct: Predictions, compounded: Predictions) -> dict[str, float]:
    """Return those numbers of `horizon_agreement` that rest on drawn paths where there are any, but for the difference.

    Raises:
        As `horizon_agreement`.
    """
    comparison, first, second = _beside(direct, compounded)
    return _closeness(comparison.log_probs, first, second)


def _beside(direct: Predictions, compounded: Predictions) -> tuple[Comparison, np.ndarray, np.ndarray]:
    """Return the comparison of two predictions, and of each the log-probabilities of all titles."""
    comparison, *others = compare([direct, compounded])
    if others or direct.outcomes.codes != compounded.outcomes.codes:
        raise InputError(
            "horizons: the two predictions are of different data sets or titles. Give two of one."
        )
    return comparison, _all_titles(direct), _all_titles(compounded)


def _closeness(log_probs: np.ndarray, first: np.ndarray, second: np.ndarray) -> dict[str, float]:
    chances = np.exp(log_probs)
    constant = (np.ptp(chances, axis=0) == 0).any()
    # A title of probability zero adds nothing.
    divergence = scipy.special.rel_entr(np.exp(first), np.exp(second)).sum(axis=1)
    numbers = (
        np.nan if constant else float(np.corrcoef(*chances.T)[0, 1]),
        _variation(first, second).mean(),
        divergence.mean(),
        np.exp(-log_probs[:, 1].mean()),
    )
    return dict(zip(_CLOSENESS, numbers, strict=True))


def _variation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the total variation of distributions that are given by log-probabilities, row by row."""
    return 0.5 * np.abs(np.exp(first) - np.exp(second)).sum(axis=1)


def _all_titles(prediction: Predictions) -> np.ndarray:
    """Return the normalised log-probabilities of all titles in the order of worker and year."""
    if prediction.log_probs is None or not prediction.scored_in_full.all() or prediction.upper is not None:
        raise InputError(
            f"{prediction.model}: not every title of every transition was scored. Score them all."
        )
    blocks = [block for _, block in normalised_blocks(prediction)]
    return np.concatenate(blocks)[sorted_rows(prediction.model, prediction.table)]


def truth_by_model(
    pairs: Sequence[HorizonPair], oracle: str = LABEL, draws: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Return how far direct and compounded predictions are from the truth of a simulated market.

    The truth is what the `oracle` of this name, one of the models, says directly: it sums out what lies between.
    Without an oracle nothing is known.

    Returns:
        One row a pair: `model`, `years`; `direct_variation`, `compounded_variation` (total variation, to which the
        scatter of drawn paths adds) with `direct_se`, `compounded_se`. Without an oracle no rows.
    """
    truths = {pair.years: pair.direct for pair in pairs if pair.model == oracle}
    rows = []
    for pair in [pair for pair in pairs if pair.years in truths]:
        truth = truths[pair.years]
        asked = truth.select(keys_of(truth.table).isin(keys_of(pair.direct.table)))
        row: list[object] = [pair.model, pair.years]
        for prediction in (pair.direct, pair.compounded):
            found = {} if prediction is truth else horizon_agreement(asked, prediction, draws, seed)
            row += [found.get("total_variation", 0.0), found.get("total_variation_se", 0.0)]
        rows.append(row)
    columns = ["model", "years", "direct_variation", "direct_se", "compounded_variation", "compounded_se"]
    return pd.DataFrame(rows, columns=columns)


def stay_bins(
    pairs: Sequence[HorizonPair], questions: Mapping[int, pd.DataFrame], bins: int = 10
) -> pd.DataFrame:
    """Return the mean probability of the occupation at the origin, direct and compounded, in bins of the direct one.

    The bins are of about equal numbers of `questions` (by number of years, at least those of the pairs), and fewer
    where one would hold fewer than eleven workers.

    Returns:
        Columns `model`, `years`, `direct`, `compounded` (mean probabilities), `compounded_mc` (Monte Carlo standard
        error of the second, 0 for exact sums), `questions`, `workers`.
    """
    parts = []
    for pair in pairs:
        table = pair.direct.table[["worker_id", "year"]].reset_index(drop=True)
        origins = questions[pair.years].set_index(["worker_id", "year"])["origin"].reindex(keys_of(table))
        places = np.array(pair.direct.outcomes.indices(origins))
        kinds = {"direct": pair.direct, "compounded": pair.compounded}
        runs = {f"run {number}": run for number, run in enumerate(pair.runs)}
        for kind, prediction in (kinds | runs).items():
            log_probs = prediction.log_probs[np.arange(len(table)), places]
            table[kind] = np.exp(log_probs.astype(np.float64))
        binned = _binned(table, bins)
        scatter = binned[list(runs)].std(axis=1, ddof=1) / np.sqrt(len(runs))
        parts.append(binned.assign(model=pair.model, years=pair.years, compounded_mc=scatter.fillna(0.0)))
    columns = ["model", "years", "direct", "compounded", "compounded_mc", "questions", "workers"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def _binned(columns: pd.DataFrame, bins: int) -> pd.DataFrame:
    rank = columns["direct"].rank(method="first")
    for number in range(bins, 0, -1):
        groups = columns.groupby(pd.qcut(rank, number, labels=False))
        if number == 1 or groups["worker_id"].nunique().min() >= MINIMUM_PERSONS:
            break
    counts = {"questions": ("year", "size"), "workers": ("worker_id", "nunique")}
    means = {kind: (kind, "mean") for kind in columns if kind not in ("worker_id", "year")}
    return groups.agg(**means, **counts).reset_index(drop=True)
