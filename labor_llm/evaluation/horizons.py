"""Several years ahead: how far direct and compounded predictions agree, and which of them is nearer the truth.

The paper reports one correlation of the two (0.93); what it was taken over is not known to us, so it is of the
probabilities of what happened here. A correlation says nothing of how far apart two distributions are, so total
variation and the Kullback-Leibler divergence stand beside it, and the difference in log-probability of what happened,
paired by worker.

That difference is of no use where compounded predictions are averages over a few drawn paths: the logarithm of such
an average is too low on average, so that direct predictions win even where the two are the same.
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
    PATH_ERROR,
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
from labor_llm.evaluation.comparison import LeftOut, compare, keys_of, sorted_rows
from labor_llm.evaluation.resampling import spread_of_mean
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
            found = horizon_questions(panel, years, step)
            if found["worker_id"].nunique() >= MINIMUM_PERSONS:
                asked[years] = draw_questions(found, number, seed)
                continue
        reason = (
            f"it takes {MINIMUM_PERSONS} test workers with records so far apart, two steps or more, and at each step "
            f"between; a step is {step} in years"
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
        paths: drawn where more than one record lies between; with one, all are summed over.
        seed: of the paths.
        step: years from one record to the next.

    Raises:
        As `direct_predictions` and `compounded_predictions`.
    """
    pairs = []
    for years, asked in questions.items():
        drawn = None if years == 2 * step else paths
        for model in models:
            names = [f"{model.name}: {kind}" for kind in ("direct", "compounded")]
            direct = direct_predictions(model, panel, asked, names[0])
            compounded = compounded_predictions(model, panel, asked, drawn, seed, step, names[1])
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
        paths: drawn.
        seed: of the paths.
        step: years from one record to the next.
    """
    if not questions:
        return []
    fitted = fit_baselines_again(baselines, panel, splits, results) | known_oracle(
        results.panel(panel.dataset)
    )
    return horizon_pairs(fitted.values(), panel.split(splits, "test"), questions, paths, seed, step)


def agreement_by_model(pairs: Sequence[HorizonPair], draws: int = 1000, seed: int = 0) -> pd.DataFrame:
    """Return `horizon_agreement` of each pair, with `model`, `years`, `path_error` and `exact`.

    `path_error` is the mean Monte Carlo standard error of the realised title's compounded probability; 0 for a sum
    over all paths, which is what `exact` says. Where it is not, the difference in log-probability is no evidence.
    """
    rows = []
    for pair in pairs:
        error = 0.0 if pair.exact else float(pair.compounded.table[PATH_ERROR].mean())
        about = {"model": pair.model, "years": pair.years, "path_error": error, "exact": pair.exact}
        rows.append(horizon_agreement(pair.direct, pair.compounded, draws, seed) | about)
    return pd.DataFrame(rows)


def horizon_agreement(
    direct: Predictions, compounded: Predictions, draws: int = 1000, seed: int = 0
) -> dict[str, Any]:
    """Return how two sets of predictions of the same transitions agree, both with the scores of all titles.

    Returns:
        `correlation` of the probabilities of what happened (NaN of constants); `total_variation` (mean over
        transitions, 0 to 1) with `total_variation_se`; `kl_direct_compounded` (mean, nats; infinite where the
        second says zero and the first does not); `direct_perplexity`, `compounded_perplexity`;
        `log_prob_difference` (mean of direct minus compounded, nats) with `test_se`, `ci_low`, `ci_high`;
        `transitions`, `workers`.

    Raises:
        InputError: if every title was not scored, or below two draws.
        MismatchError: if the transitions differ.
    """
    comparison, *others = compare([direct, compounded])
    if others or direct.outcomes.codes != compounded.outcomes.codes:
        raise InputError(
            "horizons: the two predictions are of different data sets or titles. Give two of one."
        )
    log_probs = comparison.log_probs
    workers, count = comparison.units("worker_id")
    first, second = (_all_titles(prediction) for prediction in (direct, compounded))
    with np.errstate(invalid="ignore"):
        differences = log_probs[:, 0] - log_probs[:, 1]
    variation = 0.5 * np.abs(np.exp(first) - np.exp(second)).sum(axis=1)
    chances, perplexities = np.exp(log_probs), np.exp(-log_probs.mean(axis=0))
    constant = (np.ptp(chances, axis=0) == 0).any()
    return {
        "correlation": np.nan if constant else float(np.corrcoef(*chances.T)[0, 1]),
        "total_variation": variation.mean(),
        "total_variation_se": spread_of_mean(variation, workers, draws, seed)["test_se"],
        # A title of probability zero adds nothing.
        "kl_direct_compounded": scipy.special.rel_entr(np.exp(first), np.exp(second)).sum(axis=1).mean(),
        "direct_perplexity": perplexities[0],
        "compounded_perplexity": perplexities[1],
        "log_prob_difference": differences.mean(),
        **spread_of_mean(differences, workers, draws, seed),
        "transitions": len(log_probs),
        "workers": count,
    }


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
    """Return how far direct and compounded predictions are from the compounded truth of a simulated market.

    The pairs are of several models, the `oracle` of this name among them; without it nothing is known.

    Returns:
        One row a pair whose horizon has an exact truth (paths would add their scatter to the distance): `model`,
        `years`; `direct_variation`, `compounded_variation` (total variation) with `direct_se`, `compounded_se`.
        The oracle's compounded ones are the truth. Without an oracle no rows.
    """
    truths = {pair.years: pair.compounded for pair in pairs if pair.model == oracle and pair.exact}
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
        Columns `model`, `years`, `direct`, `compounded` (mean probabilities), `questions`, `workers`.
    """
    parts = []
    for pair in pairs:
        table = pair.direct.table[["worker_id", "year"]].reset_index(drop=True)
        origins = questions[pair.years].set_index(["worker_id", "year"])["origin"].reindex(keys_of(table))
        places = np.array(pair.direct.outcomes.indices(origins))
        for kind in ("direct", "compounded"):
            log_probs = getattr(pair, kind).log_probs[np.arange(len(table)), places]
            table[kind] = np.exp(log_probs.astype(np.float64))
        parts.append(_binned(table, bins).assign(model=pair.model, years=pair.years))
    columns = ["model", "years", "direct", "compounded", "questions", "workers"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def _binned(columns: pd.DataFrame, bins: int) -> pd.DataFrame:
    rank = columns["direct"].rank(method="first")
    for number in range(bins, 0, -1):
        groups = columns.groupby(pd.qcut(rank, number, labels=False))
        if number == 1 or groups["worker_id"].nunique().min() >= MINIMUM_PERSONS:
            break
    counts = {"questions": ("year", "size"), "workers": ("worker_id", "nunique")}
    means = {kind: (kind, "mean") for kind in ("direct", "compounded")}
    return groups.agg(**means, **counts).reset_index(drop=True)
