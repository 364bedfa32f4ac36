"""How far direct and compounded predictions agree, and which of them is nearer the truth.

The paper reports one correlation of the two (0.93); what it was taken over is not known to us, so three are
given. A correlation says nothing of how far apart two distributions are, so total variation and the
Kullback-Leibler divergences stand beside it, and the difference in log-probability of what happened, paired by
worker.

That difference is of no use where compounded predictions are averages over a few drawn paths: the logarithm of such
an average is too low on average, so that direct predictions win even where the two are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import scipy.special

from labor_llm.errors import InputError
from labor_llm.evaluation.comparison import compare, sorted_rows
from labor_llm.evaluation.resampling import check_draws, resampled_sums, spread
from labor_llm.predictions import Predictions


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
