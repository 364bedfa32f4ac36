"""Where one model is ahead of another: the log-likelihood of the next job taken apart by the chain rule.

With y' the last job, g the major group of y and all probabilities given the history,

    log P(y) = log P(some valid title)
             + log P(staying, or else moving | valid)
             + log P(group of y | moving)             of one who moves, or has no job before,
             + log P(y | group of y, moving)          likewise.

The first part is what a language model loses on text that is no title, zero for a model that is normalised. One who
stays has no third and fourth part, a first record no second one: they are zero there, so that the means over all
transitions add up to the mean log-likelihood, for each model and for the difference of two.

Occupations that surveys code anew in each interview are coded with error, and an error makes two moves of none: out
and back. What models lose there is told by the moves that return to the job before, and by the perplexity at the level
of major groups, across which fewer errors reach.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from labor_llm.careers.occupations import STATES
from labor_llm.careers.panel import CareerPanel
from labor_llm.careers.predictions import Predictions, panel_columns
from labor_llm.disclosure import MINIMUM_PERSONS
from labor_llm.evaluation.comparison import in_common, realised, with_all_titles
from labor_llm.evaluation.perplexity import bootstrap_differences, bootstrap_perplexity, perplexity

VALID, STAYING, GROUP, OCCUPATION = (
    "A valid title", "Staying or moving", "Major group of a move", "Occupation within the group",
)  # fmt: skip
PARTS = (VALID, STAYING, GROUP, OCCUPATION)
WHOLE = "Next job"
_KIND = "kind_of_move"


def likelihood_parts(
    predictions: Predictions, panel: CareerPanel, groups: Mapping[str, str]
) -> dict[str, Predictions]:
    """Return the parts of the log-probability of what happened, as predictions of the same transitions.

    Args:
        predictions: with exact scores of all titles (`labor_llm.evaluation.comparison.with_all_titles`).
        panel: the careers that were scored.
        groups: the major group of each occupation code.

    Returns:
        By `PARTS`, and by `WHOLE` their sum: `log_prob` (nats) of the transitions that were scored in full, with the
        column `applies` (boolean): where it is false, the part is zero because there is none.
    """
    full, scores, codes, titles = _scored(predictions, groups)
    rows, outcomes = np.arange(len(full)), predictions.outcomes
    before = panel_columns(full, panel, ["previous"])["previous"]
    first = before.isna().to_numpy()
    previous = np.array([0 if code is None else outcomes.index(code) for code in before.where(~first, None)])
    stays = ~first & (previous == titles)

    moves = scores.copy()
    moves[rows[~first], previous[~first]] = -np.inf
    within = np.where(codes == codes[titles][:, None], moves, -np.inf)
    valid, move, group = (_log_sum(values) for values in (scores, moves, within))
    happened, every = scores[rows, titles], np.ones(len(full), dtype=bool)
    parts = {
        VALID: (valid, every),
        STAYING: (np.where(stays, happened, move) - valid, ~first),
        GROUP: (group - move, ~stays),
        OCCUPATION: (happened - group, ~stays),
        WHOLE: (happened, every),
    }
    return {
        # Below a part that is impossible there is nothing to be divided by.
        name: _of_transitions(
            predictions,
            full.assign(applies=applies),
            np.where(applies, np.nan_to_num(values, neginf=-np.inf), 0.0),
        )
        for name, (values, applies) in parts.items()
    }


def _scored(
    predictions: Predictions, groups: Mapping[str, str]
) -> tuple[pd.DataFrame, np.ndarray, np.ndarray, np.ndarray]:
    """Return the transitions scored in full, their scores, the group of each title, and the title that happened."""
    full = predictions.table[predictions.scored_in_full].reset_index(drop=True)
    codes, _ = pd.factorize(pd.Series([groups[code] for code in predictions.outcomes.codes]))
    titles = np.asarray(predictions.outcomes.indices(full["occupation"]))
    return full, predictions.log_probs.astype(np.float64), codes, titles


def _of_transitions(predictions: Predictions, full: pd.DataFrame, log_probs: np.ndarray) -> Predictions:
    table = full.assign(log_prob=log_probs, log_valid_mass=np.nan)
    return Predictions(predictions.model, table, predictions.outcomes)


def best_of(predictions: Sequence[Predictions]) -> Predictions:
    """Return the one with the lowest perplexity of what happened."""
    return min(predictions, key=lambda each: perplexity(each.table["log_prob"]))


def _log_sum(scores: np.ndarray) -> np.ndarray:
    return np.logaddexp.reduce(scores, axis=1)


def gain_by_part(
    model: Predictions,
    reference: Predictions,
    panel: CareerPanel,
    groups: Mapping[str, str],
    draws: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Return what a model loses on each part of a next job, beside what a reference model loses.

    Both are compared on the transitions that both scored in full, by the same bootstrap samples of workers.

    Args:
        model: the model.
        reference: the other one.
        panel: the careers that were scored.
        groups: as for `likelihood_parts`.
        draws: bootstrap samples.
        seed: of the samples.

    Returns:
        A row each of `PARTS`, and `WHOLE`: `dataset`, `part`, `model`, `reference`; `loss` and `reference_loss`, mean
        negative log-likelihoods per transition (nats), of all transitions; `difference` of the two (below zero the
        model is better) with `test_se`, `ci_low`, `ci_high`; `transitions` and `workers` that the part is of. The rows
        but the last add up to it.

    Without rows where one of the two has no scores of all titles, or a part is of fewer than eleven workers; how many
    transitions the parts are of is missing where so few stay.

    Raises:
        MismatchError: if the two scored all titles for no transition in common.
    """
    shared, _ = with_all_titles([model, reference])
    if len(shared) < 2:
        return pd.DataFrame(columns=["dataset", "part", "difference"])
    own, other = (likelihood_parts(each, panel, groups) for each in shared)
    rows = []
    for part in (*PARTS, WHOLE):
        pair = [own[part], other[part]]
        (found,) = bootstrap_differences(pair, reference.model, draws, seed).to_dict("records")
        losses = [-each.table["log_prob"].mean() for each in pair]
        of_part = own[part].table.loc[own[part].table["applies"], "worker_id"]
        rows.append(
            {
                "dataset": model.dataset, "part": part, "model": model.model, "reference": reference.model,
                "loss": losses[0], "reference_loss": losses[1],
                "difference": -found["log_prob_difference"], "test_se": found["log_prob_test_se"],
                "ci_low": -found["log_prob_ci_high"], "ci_high": -found["log_prob_ci_low"],
                "transitions": len(of_part), "workers": of_part.nunique(),
            }
        )  # fmt: skip
    table, later = pd.DataFrame(rows), own[STAYING].table["applies"]
    stayers = own[WHOLE].table.loc[later & ~own[GROUP].table["applies"], "worker_id"].nunique()
    if stayers < MINIMUM_PERSONS:  # Their number would be a difference of two others.
        table["transitions"] = table["transitions"].astype("Int64").where(table["part"] == WHOLE)
    return table if table["workers"].min() >= MINIMUM_PERSONS else table.iloc[:0]


def at_group_level(predictions: Predictions, groups: Mapping[str, str]) -> Predictions:
    """Return the log-probability (nats) of the realised occupation's major group, where all titles were scored.

    `groups` is the major group of each occupation code.
    """
    full, scores, codes, titles = _scored(predictions, groups)
    within = np.where(codes == codes[titles][:, None], scores, -np.inf)
    return _of_transitions(predictions, full, _log_sum(within))


def group_level_perplexity(
    predictions: Sequence[Predictions], groups: Mapping[str, str], draws: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Return the perplexity of each model over occupations and over their major groups, on the same transitions.

    Args:
        predictions: of one data set, as `labor_llm.evaluation.comparison.with_all_titles` returns them.
        groups: the major group of each occupation code.
        draws: bootstrap samples.
        seed: of the samples.

    Returns:
        As `bootstrap_perplexity`, with `group_perplexity` and `group_test_se`. Without rows for fewer than eleven
        workers.
    """
    if not predictions or predictions[0].table["worker_id"].nunique() < MINIMUM_PERSONS:
        return pd.DataFrame(columns=["dataset", "model"])
    table = bootstrap_perplexity(predictions, draws, seed)
    grouped = bootstrap_perplexity([at_group_level(each, groups) for each in predictions], draws, seed)
    return table.assign(group_perplexity=grouped["perplexity"], group_test_se=grouped["test_se"])


def returns(
    predictions: Sequence[Predictions], panel: CareerPanel, draws: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Return the perplexity of each model on moves back to the job before the last one, and on moves to a third job.

    Only moves between jobs count, of those who had another job before the last: a spell without work is no error of
    coding, and who had one job cannot return to another.

    Args:
        predictions: of the realised titles of one data set; compared are the transitions that all of them have.
        panel: the careers that were scored.
        draws: bootstrap samples.
        seed: of the samples.

    Returns:
        One row a model: `dataset`, `model`; `return` and `other` (perplexities) with `return_se` and `other_se`;
        `share` of these moves that return (percent), their number `moves`, and `workers`, of the smaller kind. Without
        rows where one kind is of fewer than eleven workers.
    """
    predictions = in_common(predictions)
    before = panel_columns(predictions[0].table, panel, ["occupation", "previous", "before_previous"])
    jobs = (before.notna() & ~before.isin([*STATES])).all(axis=1)
    apart = (before["previous"] != before["occupation"]) & (before["before_previous"] != before["previous"])
    moves = (jobs & apart).to_numpy(bool)
    back = (before["before_previous"] == before["occupation"]).to_numpy(bool)
    workers = predictions[0].table["worker_id"]
    if min(workers[moves & kind].nunique() for kind in (back, ~back)) < MINIMUM_PERSONS:
        return pd.DataFrame(columns=["dataset", "model"])
    kinds = np.where(back, "return", "other")[moves]
    shown = [realised(each.select(moves), each.model) for each in predictions]
    shown = [replace(each, table=each.table.assign(**{_KIND: kinds})) for each in shown]
    found = bootstrap_perplexity(shown, draws, seed, by=_KIND)
    one, other = (found[found[_KIND] == kind].reset_index(drop=True) for kind in ("return", "other"))
    return pd.DataFrame(
        {
            "dataset": one["dataset"], "model": one["model"],
            "return": one["perplexity"], "return_se": one["test_se"],
            "other": other["perplexity"], "other_se": other["test_se"],
            "share": 100.0 * one["transitions"] / int(moves.sum()), "moves": int(moves.sum()),
            "workers": np.minimum(one["workers"], other["workers"]),
        }
    )  # fmt: skip
