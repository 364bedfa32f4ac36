"""Two models pooled: p = w p_1 + (1 - w) p_2, the weight chosen on validation workers.

If two models err in different ways, their mixture can be better than either. What it gains on one of them is at most
what the other knows beyond it: that errors of estimation average out is in it too. Only the probabilities of what
happened are needed, as the mean log-likelihood is a concave function of w in these alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar

from labor_llm.baselines.registry import fit_baselines_again
from labor_llm.careers.panel import CareerPanel
from labor_llm.careers.predictions import Predictions
from labor_llm.disclosure import MINIMUM_PERSONS
from labor_llm.evaluation.comparison import LeftOut, compare, in_common, realised
from labor_llm.evaluation.perplexity import perplexity_beside_reference
from labor_llm.store.results import Results

CHOSEN, HALVES = "weight of validation workers", "half and half"
"""The two pools of each pair."""
IMPOSSIBLE = "no pool with it is possible, as both give probability zero to something that happened"


def best_weight(one: Predictions, other: Predictions) -> float | None:
    """Return the weight of the first of two models, between 0 and 1, at which their mixture is most likely.

    Both are of the same transitions, such as those of validation workers. None if something happened that both give
    probability zero, so that no mixture of them is possible.

    Raises:
        MismatchError: if they predict no transition in common.
    """
    (compared,) = compare(in_common([one, other]))
    first, second = compared.log_probs.T
    if (np.isneginf(first) & np.isneginf(second)).any():
        return None

    def loss(weight: float) -> float:
        return -_pooled(first, second, weight).mean()

    inner = minimize_scalar(loss, bounds=(0.0, 1.0), method="bounded", options={"xatol": 1e-4})
    return float(min((0.0, 1.0, inner.x), key=loss))


def mixture(name: str, one: Predictions, other: Predictions, weight: float) -> Predictions:
    """Return the mixture of two models' predictions of the same realised titles, the first with the weight."""
    (compared,) = compare([one, other])
    pooled = _pooled(*compared.log_probs.T, weight)
    table = compared.transitions.assign(log_prob=pooled, log_valid_mass=np.nan)
    return Predictions(name, table, one.outcomes)


def _pooled(first: np.ndarray, second: np.ndarray, weight: float) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.logaddexp(np.log(weight) + first, np.log1p(-weight) + second)


def validation_predictions(
    baselines: Sequence[str],
    panel: CareerPanel,
    splits: dict[str, str],
    results: Results,
    workers: CareerPanel,
) -> dict[str, Predictions]:
    """Return what baselines that are fitted again say of some validation workers, by their names in tables.

    Args:
        baselines: short names.
        panel: all workers of the data set.
        splits: the split of each worker.
        results: where CAREER and what was chosen lie.
        workers: the careers that are predicted.
    """
    fitted = fit_baselines_again(baselines, panel, splits, results)
    return {baseline.name: baseline.predict(workers) for baseline in fitted.values()}


def mixtures(
    validation: Predictions,
    test: Predictions,
    partners: Sequence[tuple[Predictions, Predictions]],
    draws: int = 1000,
    seed: int = 0,
) -> tuple[pd.DataFrame, list[LeftOut]]:
    """Return a model pooled with each of its partners, beside the two themselves, and partners that are left out.

    Args:
        validation: of the validation workers by whom weights are chosen.
        test: of the test workers, of the same model.
        partners: the same two of each other model.
        draws: bootstrap samples of test workers.
        seed: of the samples.

    Returns:
        For each partner two rows, the chosen weight and half and half: `dataset`, `partner`, `pool` (in words),
        `weight` of the model, `perplexity` with `test_se`; `difference` to the model and `partner_difference` to the
        partner (below zero the pool is better), each with `_se`, `_low` and `_high`; `validation_workers`,
        `transitions`, `workers` of the test. Without rows where the weight would rest on
        fewer than eleven validation workers.

    Raises:
        As `best_weight` and `perplexity_beside_reference`.
    """
    held, parts, left_out = validation.table["worker_id"].nunique(), [], []
    for for_choice, other in partners if held >= MINIMUM_PERSONS else ():
        if (best := best_weight(validation, for_choice)) is None:
            left_out.append(LeftOut(test.dataset, "", other.model, IMPOSSIBLE))
            continue
        weights = {CHOSEN: best, HALVES: 0.5}
        own, beside = in_common([realised(test, test.model), realised(other, other.model)])
        everything = [own, beside, *(mixture(name, own, beside, weight) for name, weight in weights.items())]
        to_own, to_beside = (
            perplexity_beside_reference(everything, each.model, draws, seed)
            .set_index("model")
            .loc[[*weights]]
            for each in (own, beside)
        )
        paired = to_beside.filter(like="difference").add_prefix("partner_")
        part = pd.concat([to_own, paired], axis=1).rename_axis("pool").reset_index()
        parts.append(part.assign(partner=other.model, weight=[*weights.values()], validation_workers=held))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(), left_out
