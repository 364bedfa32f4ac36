"""Perplexity: the exponential of the mean negative log-probability, per transition.

With log P(y_it | history) in nats and T = sum_i T_i transitions of all workers i,

    perplexity = exp( -(1/T) sum_i sum_t log P(y_it | history) ),

as in the CAREER code (Vafa et al. 2024) and the paper: a long career counts more than a short one,
first records are included, and a uniform guess among K occupations has perplexity K. `log_prob` is
unnormalised (mass that a language model puts on text that is no valid title counts against it);
`normalised_perplexity` conditions on the title being valid.

An outcome of probability zero makes perplexity infinite. It is counted and shown, never clipped.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from labor_llm.errors import InputError, NumericalError
from labor_llm.evaluation.comparison import compare
from labor_llm.predictions import MASS_TOLERANCE, Predictions

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
