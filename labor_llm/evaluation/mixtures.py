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
from labor_llm.errors import InputError
from labor_llm.evaluation.comparison import in_common, realised, sorted_rows
from labor_llm.evaluation.perplexity import bootstrap_differences, bootstrap_perplexity
from labor_llm.store.results import Results

HALVES = 0.5


def best_weight(one: Predictions, other: Predictions) -> float:
    """Return the weight of the first of two models, between 0 and 1, at which their mixture is most likely.

    Both are of the same transitions, such as those of validation workers.

    Raises:
        MismatchError: if they predict no transition in common.
        InputError: if something happened that both give probability zero.
    """
    first, second = _log_probs(in_common([one, other]))
    if impossible := int((np.isneginf(first) & np.isneginf(second)).sum()):
        raise InputError(
            f"{one.model} and {other.model}: both give probability zero to {impossible:,} transitions that happened, "
            "so no mixture of them is possible."
        )

    def loss(weight: float) -> float:
        with np.errstate(divide="ignore"):
            return -np.logaddexp(np.log(weight) + first, np.log1p(-weight) + second).mean()

    inner = minimize_scalar(loss, bounds=(0.0, 1.0), method="bounded", options={"xatol": 1e-4})
    return float(min((0.0, 1.0, inner.x), key=loss))


def mixture(name: str, one: Predictions, other: Predictions, weight: float) -> Predictions:
    """Return the mixture of two models' predictions of the same realised titles, the first with the weight."""
    first, second = _log_probs([one, other])
    with np.errstate(divide="ignore"):
        pooled = np.logaddexp(np.log(weight) + first, np.log1p(-weight) + second)
    table = one.table.iloc[sorted_rows(one.model, one.table)].reset_index(drop=True)
    return realised(Predictions(one.model, table.assign(log_prob=pooled), one.outcomes), name)


def _log_probs(predictions: Sequence[Predictions]) -> list[np.ndarray]:
    tables = [each.table.iloc[sorted_rows(each.model, each.table)] for each in predictions]
    return [table["log_prob"].to_numpy(float) for table in tables]


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
) -> pd.DataFrame:
    """Return a model pooled with each of its partners, beside the two themselves.

    Args:
        validation: of the validation workers by whom weights are chosen.
        test: of the test workers, of the same model.
        partners: the same two of each other model.
        draws: bootstrap samples of test workers.
        seed: of the samples.

    Returns:
        For each partner two rows, the chosen weight and half and half: `dataset`, `partner`, `pool` (in words),
        `weight` of the model, `perplexity` with `test_se`, `partner_perplexity`, `model_perplexity`; `difference` to
        the model and `partner_difference` to the partner (below zero the pool is better), each with `_se`, `_low` and
        `_high`; `validation_workers`, `transitions`, `workers` of the test. Without rows where the weight would rest on
        fewer than eleven validation workers.

    Raises:
        As `best_weight` and `bootstrap_differences`.
    """
    rows: list[dict[str, object]] = []
    held = validation.table["worker_id"].nunique()
    for for_choice, other in partners:
        weights = {
            "weight of validation workers": best_weight(validation, for_choice),
            "half and half": HALVES,
        }
        own, beside = in_common([realised(test, test.model), realised(other, other.model)])
        pools = [mixture(name, own, beside, weight) for name, weight in weights.items()]
        everything = [own, beside, *pools]
        perplexities = bootstrap_perplexity(everything, draws, seed).set_index("model")
        paired = {
            prefix: bootstrap_differences(everything, reference.model, draws, seed).set_index("model")
            for prefix, reference in (("", own), ("partner_", beside))
        }
        for name, weight in weights.items():
            row = {"dataset": test.dataset, "partner": other.model, "pool": name, "weight": weight}
            row |= perplexities.loc[name, ["perplexity", "test_se", "transitions", "workers"]].to_dict()
            row |= {
                "model_perplexity": perplexities.at[own.model, "perplexity"],
                "partner_perplexity": perplexities.at[other.model, "perplexity"],
                "validation_workers": held,
            }
            for prefix, differences in paired.items():
                found = differences.loc[name]
                row |= {
                    f"{prefix}difference": found["difference"], f"{prefix}difference_se": found["test_se"],
                    f"{prefix}difference_low": found["ci_low"], f"{prefix}difference_high": found["ci_high"],
                }  # fmt: skip
            rows.append(row)
    return pd.DataFrame(rows if held >= MINIMUM_PERSONS else [])
