"""How far direct and compounded predictions agree, and which of them is nearer the truth.

The paper reports one correlation of the two (0.93); what it was taken over is not known to us, so three are
given. A correlation says nothing of how far apart two distributions are, so total variation and the
Kullback-Leibler divergences stand beside it, and the difference in log-probability of what happened, paired by
worker.

That difference is of no use where compounded predictions are averages over a few drawn paths: the logarithm of such
an average is too low on average, so that direct predictions win even where the two are the same.

Several models over several horizons: direct and compounded predictions of each, and tables of how they compare.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

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
)
from labor_llm.careers.panel import CareerPanel
from labor_llm.careers.predictions import Predictions
from labor_llm.disclosure import MINIMUM_PERSONS
from labor_llm.errors import InputError
from labor_llm.evaluation.comparison import compare, sorted_rows
from labor_llm.evaluation.resampling import check_draws, resampled_sums, spread
from labor_llm.store.results import Results


def horizon_agreement(
    direct: Predictions, compounded: Predictions, draws: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Return how two sets of predictions of the same transitions agree.

    Args:
        direct: with the scores of all titles.
        compounded: the same transitions and titles.
        draws: bootstrap samples of workers.
        seed: of the samples.

    Returns:
        One row: `dataset`, `direct`, `compounded` (names); `correlation` of the probabilities of what happened,
        `log_correlation` of their logarithms, `entry_correlation` of the probabilities of all titles;
        `total_variation` (mean over transitions, 0 to 1) with `total_variation_se`; `kl_direct_compounded` and
        `kl_compounded_direct` (mean, nats; infinite where one says zero and the other does not);
        `direct_perplexity`, `compounded_perplexity`; `log_prob_difference` (mean of direct minus compounded, nats)
        with `test_se`, `ci_low`, `ci_high`; `transitions`, `workers`. A correlation of constants is NaN.

    Raises:
        InputError: if every title was not scored, or below two draws.
        MismatchError: if the transitions differ.
    """
    check_draws(draws)
    comparison, first, second = _side_by_side(direct, compounded)
    log_probs = comparison.log_probs
    with np.errstate(invalid="ignore"):
        differences = log_probs[:, 0] - log_probs[:, 1]
    variation = 0.5 * np.abs(np.exp(first) - np.exp(second)).sum(axis=1)
    codes, ids = comparison.units("worker_id")
    drawn = resampled_sums(
        np.column_stack(
            [np.bincount(codes, np.where(np.isfinite(v), v, 0.0)) for v in (differences, variation)]
            + [np.bincount(codes)]
        ),
        draws,
        seed,
    )
    error, low, high = spread(drawn[:, 0] / drawn[:, 2], len(ids))
    if not np.isfinite(differences).all():
        error, low, high = np.nan, np.nan, np.nan
    variation_error, _, _ = spread(drawn[:, 1] / drawn[:, 2], len(ids))
    perplexities = np.exp(-log_probs.mean(axis=0))
    row: dict[str, Any] = {
        "dataset": comparison.dataset,
        "direct": direct.model,
        "compounded": compounded.model,
        "correlation": _correlation(*np.exp(log_probs).T),
        "log_correlation": _correlation(*log_probs.T),
        "entry_correlation": _correlation(np.exp(first).ravel(), np.exp(second).ravel()),
        "total_variation": variation.mean(),
        "total_variation_se": variation_error,
        "kl_direct_compounded": _divergence(first, second).mean(),
        "kl_compounded_direct": _divergence(second, first).mean(),
        "direct_perplexity": perplexities[0],
        "compounded_perplexity": perplexities[1],
        "log_prob_difference": differences.mean(),
        "test_se": error,
        "ci_low": low,
        "ci_high": high,
        "transitions": len(log_probs),
        "workers": len(ids),
    }
    return pd.DataFrame([row])


def distance_to_truth(
    truth: Predictions, predictions: Sequence[Predictions], draws: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Return how far predictions are from true probabilities, such as the oracle's, compounded.

    Returns:
        One row a model: `dataset`, `model`, `total_variation` with `test_se`, `kl` (of the truth against the model,
        mean in nats: the log-probability that the model loses on average), `excess_log_prob` (mean log-probability
        of what happened under the truth minus under the model, which estimates `kl`), `transitions`, `workers`.

    Raises:
        InputError, MismatchError: as `horizon_agreement`.
    """
    rows = []
    for prediction in predictions:
        row = horizon_agreement(truth, prediction, draws, seed).iloc[0]
        rows.append(
            {
                "dataset": row["dataset"],
                "model": prediction.model,
                "total_variation": row["total_variation"],
                "test_se": row["total_variation_se"],
                "kl": row["kl_direct_compounded"],
                "excess_log_prob": row["log_prob_difference"],
                "transitions": row["transitions"],
                "workers": row["workers"],
            }
        )
    return pd.DataFrame(rows)


def _side_by_side(direct: Predictions, compounded: Predictions) -> tuple[Any, np.ndarray, np.ndarray]:
    """Return the comparison and both matrices of normalised log-probabilities in its order."""
    comparisons = compare([direct, compounded])
    if len(comparisons) != 1 or direct.outcomes.codes != compounded.outcomes.codes:
        raise InputError(
            "horizons: the two predictions are of different data sets or titles. Give two of one."
        )
    matrices = []
    for prediction in (direct, compounded):
        matrix = prediction.log_probs
        if matrix is None or not prediction.scored_in_full.all() or prediction.upper is not None:
            raise InputError(
                f"{prediction.model}: not every title of every transition was scored. Score them all."
            )
        ordered = matrix[sorted_rows(prediction.model, prediction.table)].astype(np.float64)
        matrices.append(ordered - scipy.special.logsumexp(ordered, axis=1, keepdims=True))
    return comparisons[0], *matrices


def _divergence(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the Kullback-Leibler divergence of each row, nats; a title of probability zero adds nothing."""
    return scipy.special.rel_entr(np.exp(first), np.exp(second)).sum(axis=1)


def _correlation(left: np.ndarray, right: np.ndarray) -> float:
    if not (np.isfinite(left).all() and np.isfinite(right).all()) or np.ptp(left) == 0 or np.ptp(right) == 0:
        return np.nan
    return float(np.corrcoef(left, right)[0, 1])


_KEYS = ["worker_id", "year"]


class NamedModel(NextJobModel, Protocol):
    """A next-job model that knows what tables call it."""

    name: str


def by_label(models: Mapping[str, NamedModel]) -> dict[str, NamedModel]:
    """Return models by the name that tables show instead of the short one."""
    return {model.name: model for model in models.values()}


def horizon_pairs(
    models: Mapping[str, NextJobModel],
    panel: CareerPanel,
    questions: Mapping[int, pd.DataFrame],
    paths: int,
    seed: int = 0,
    step: int = 1,
) -> list[HorizonPair]:
    """Return direct and compounded predictions of each model over each horizon.

    Args:
        models: by name in tables.
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
        for name, model in models.items():
            direct = direct_predictions(model, panel, asked, f"{name}: direct")
            compounded = compounded_predictions(model, panel, asked, drawn, seed, step, f"{name}: compounded")
            pairs.append(HorizonPair(name, years, direct, compounded))
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
        questions: as for `horizon_pairs`, and the others likewise.
        paths: likewise.
        seed: likewise.
        step: likewise.
    """
    fitted = fit_baselines_again(baselines, panel, splits, results) | known_oracle(
        results.panel(panel.dataset)
    )
    return horizon_pairs(by_label(fitted), panel.split(splits, "test"), questions, paths, seed, step)


def agreement_by_model(pairs: Sequence[HorizonPair], draws: int = 1000, seed: int = 0) -> pd.DataFrame:
    """Return `horizon_agreement` of each pair, with `model`, `years`, `path_error` and `exact`.

    `path_error` is the mean Monte Carlo standard error of the realised title's compounded probability; 0 for a sum
    over all paths, which is what `exact` says. Where it is not, the difference in log-probability favors direct
    predictions by construction (`labor_llm.evaluation.horizons`) and is no evidence for them.
    """
    parts = []
    for pair in pairs:
        row = horizon_agreement(pair.direct, pair.compounded, draws, seed)
        error = 0.0 if pair.exact else float(pair.compounded.table[PATH_ERROR].mean())
        parts.append(row.assign(model=pair.model, years=pair.years, path_error=error, exact=pair.exact))
    return pd.concat(parts, ignore_index=True)


def truth_by_model(
    pairs: Sequence[HorizonPair], oracle: str = LABEL, draws: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Return how far direct and compounded predictions are from the compounded truth of a simulated market.

    Args:
        pairs: of several models, the oracle among them; without it nothing is known.
        oracle: its name.
        draws: bootstrap samples of workers.
        seed: of the samples.

    Returns:
        One row a pair whose horizon has an exact truth (paths would add their scatter to the distance): `model`,
        `years`; `direct_variation`, `compounded_variation` (total variation) with `direct_se`, `compounded_se`;
        `direct_kl`, `compounded_kl` (nats); `transitions`, `workers`. The oracle's compounded ones are the truth.
        Without an oracle no rows.
    """
    truths = {pair.years: pair.compounded for pair in pairs if pair.model == oracle and pair.exact}
    columns = [
        "model", "years", "direct_variation", "direct_se", "direct_kl", "compounded_variation", "compounded_se",
        "compounded_kl", "transitions", "workers",
    ]  # fmt: skip
    rows = []
    for pair in pairs:
        if pair.years not in truths:
            continue
        truth = _of_transitions(truths[pair.years], pair.direct)
        row: dict[str, object] = {"model": pair.model, "years": pair.years}
        for kind, prediction in (("direct", pair.direct), ("compounded", pair.compounded)):
            if prediction is truths[pair.years]:
                row |= {f"{kind}_variation": 0.0, f"{kind}_se": 0.0, f"{kind}_kl": 0.0}
                continue
            found = distance_to_truth(truth, [prediction], draws, seed).iloc[0]
            row |= {
                f"{kind}_variation": found["total_variation"],
                f"{kind}_se": found["test_se"],
                f"{kind}_kl": found["kl"],
                "transitions": found["transitions"],
                "workers": found["workers"],
            }
        rows.append(row)
    return pd.DataFrame(rows, columns=columns)


def stay_bins(
    pairs: Sequence[HorizonPair], questions: Mapping[int, pd.DataFrame], bins: int = 10
) -> pd.DataFrame:
    """Return the mean probability of the occupation at the origin, direct and compounded, in bins of the direct one.

    Args:
        pairs: of several models.
        questions: by number of years, at least those of the pairs.
        bins: of about equal numbers of questions; fewer where one would hold fewer than eleven workers.

    Returns:
        Columns `model`, `years`, `direct`, `compounded` (mean probabilities), `questions`, `workers`.
    """
    parts = []
    for pair in pairs:
        origins = questions[pair.years].set_index(_KEYS)["origin"]
        table = pair.direct.table
        keys = pd.MultiIndex.from_frame(table[_KEYS])
        columns = table.assign(origin=origins.reindex(keys).to_numpy())
        places = np.array(pair.direct.outcomes.indices(columns["origin"]))
        rows = np.arange(len(columns))
        for kind in ("direct", "compounded"):
            columns[kind] = np.exp(getattr(pair, kind).log_probs[rows, places].astype(np.float64))
        binned = _binned(columns, bins)
        parts.append(binned.assign(model=pair.model, years=pair.years))
    return pd.concat(parts, ignore_index=True)[
        ["model", "years", "direct", "compounded", "questions", "workers"]
    ]


def _of_transitions(predictions: Predictions, others: Predictions) -> Predictions:
    """Return the predictions of those transitions that others have too."""
    wanted = pd.MultiIndex.from_frame(others.table[_KEYS])
    return predictions.select(pd.MultiIndex.from_frame(predictions.table[_KEYS]).isin(wanted))


def _binned(columns: pd.DataFrame, bins: int) -> pd.DataFrame:
    rank = columns["direct"].rank(method="first")
    for number in range(bins, 0, -1):
        groups = columns.groupby(pd.qcut(rank, number, labels=False))
        if number == 1 or groups["worker_id"].nunique().min() >= MINIMUM_PERSONS:
            break
    return groups.agg(
        direct=("direct", "mean"),
        compounded=("compounded", "mean"),
        questions=("year", "size"),
        workers=("worker_id", "nunique"),
    ).reset_index(drop=True)
