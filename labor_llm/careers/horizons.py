"""Predictions over two years or more: asked for directly, or compounded from predictions one year ahead.

A model that predicts the next record at a stated year can be asked for the year after next directly, by leaving the
year between out of the history. Or the year between is predicted first and summed over,

    P(y_{t+2} = k | h_t) = sum_j P(y_{t+1} = j | h_t) P(y_{t+2} = k | h_t, y_{t+1} = j),

where every possible history is given to the model again: multiplying one transition matrix by itself would be wrong for
a model that looks at more than the last record. The sum is exact with one year between. With more, paths of the years
between are drawn from the model itself, and the model's last distributions are averaged over paths (Rao-Blackwell):
counting where paths end would leave zeros and scatter more.

Probabilities are among the valid titles. Records between lie `step` years apart; their education is as
`labor_llm.careers.histories` says. The numbers that draw a path depend on the seed, worker, year and path alone.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
import pandas as pd

from labor_llm.careers.histories import Histories, NextJobModel
from labor_llm.careers.panel import CareerPanel
from labor_llm.careers.predictions import Predictions
from labor_llm.careers.samples import random_places
from labor_llm.disclosure import MINIMUM_PERSONS
from labor_llm.errors import InputError, NumericalError

# Column of the Monte Carlo error of predictions that were compounded over drawn paths.
PATH_ERROR = "probability_se"
_ASKED = ["dataset", "worker_id", "year", "transition_type", "occupation"]


@dataclass(frozen=True)
class HorizonPair:
    """What one model says of the same questions, asked directly and compounded.

    Attributes:
        model: name in tables.
        years: from the last known record to the predicted one.
        direct: the direct predictions.
        compounded: the compounded ones; their table has `PATH_ERROR` where paths were drawn.
    """

    model: str
    years: int
    direct: Predictions
    compounded: Predictions

    @property
    def exact(self) -> bool:
        """Whether the compounded predictions are sums over all paths."""
        return PATH_ERROR not in self.compounded.table.columns


def horizon_questions(panel: CareerPanel, years: int = 2, step: int | None = None) -> pd.DataFrame:
    """Return the pairs of a worker's records that lie two years or more apart.

    The later record is predicted from the earlier one and all before it; records between are not looked at. With
    `step`, only pairs between which there is a record every so many years: in a simulated market, whose careers go from
    record to record, what is compounded in such steps from its probabilities is then the truth.

    Returns:
        Columns `dataset`, `worker_id`, `year` (of the record to be predicted), `origin_year` (last year known),
        `transition_type` ('moving' or 'staying' since then), `occupation`, `origin` (occupation then).

    Raises:
        InputError: if fewer than two years are asked for.
    """
    if years < 2:
        raise InputError(
            f"horizon: {years} years; give two or more. One year ahead is the model's own prediction."
        )
    frame = panel.frame[["dataset", "worker_id", "year", "occupation"]]
    origin = frame.rename(columns={"year": "origin_year", "occupation": "origin"}).drop(columns="dataset")
    pairs = frame.assign(origin_year=frame["year"] - years).merge(origin, on=["worker_id", "origin_year"])
    for offset in range(step, years, step) if step else ():
        between = frame[["worker_id", "year"]].assign(year=frame["year"] + years - offset)
        pairs = pairs.merge(between, on=["worker_id", "year"])
    same = pairs["occupation"] == pairs["origin"]
    pairs["transition_type"] = np.where(same, "staying", "moving")
    columns = ["dataset", "worker_id", "year", "origin_year", "transition_type", "occupation", "origin"]
    return pairs[columns].sort_values(["worker_id", "year"], ignore_index=True)


def draw_questions(questions: pd.DataFrame, number: int, seed: int = 0) -> pd.DataFrame:
    """Return questions drawn as `labor_llm.careers.samples.random_places`, in their order; -1 for all.

    More are drawn where so many are of fewer than eleven workers, on whom no number may rest.

    Raises:
        InputError: if all there are of fewer than eleven workers.
    """
    if questions["worker_id"].nunique() < MINIMUM_PERSONS:
        raise InputError(
            f"{len(questions):,} questions are of fewer than {MINIMUM_PERSONS} workers; no number may rest on so few. "
            "Ask for a shorter horizon."
        )
    if number > 0:
        # The places of the first so many to be drawn, for each number of them.
        drawn = np.random.default_rng(seed).permutation(len(questions))
        seen = questions["worker_id"].iloc[drawn].duplicated().to_numpy()
        number = max(number, int(np.flatnonzero(~seen)[MINIMUM_PERSONS - 1]) + 1)
    return questions.iloc[random_places(len(questions), number, seed)].reset_index(drop=True)


def direct_predictions(
    model: NextJobModel, panel: CareerPanel, questions: pd.DataFrame, name: str = "direct"
) -> Predictions:
    """Return what the model says of `horizon_questions` when the years between are left out of the history.

    Raises:
        InputError: without questions.
        MismatchError: if the panel lacks a question's records, or the model did not score every title of one.
    """
    histories = Histories(panel, questions)
    years = questions[["year"]].to_numpy()
    parts = [histories.distributions(model, block, years[block])[:, 0] for block in histories.blocks(1, 0)]
    return _predictions(name, questions, panel, np.concatenate(parts))


def compounded_predictions(
    model: NextJobModel,
    panel: CareerPanel,
    questions: pd.DataFrame,
    paths: int | None = None,
    seed: int = 0,
    step: int = 1,
    name: str = "compounded",
) -> Predictions:
    """Return the model's own predictions one step ahead, compounded to the year that `horizon_questions` ask for.

    `paths` of the records between are drawn; None sums over all titles, with one record between.

    Returns:
        Predictions whose table has `origin_year`, and with paths `PATH_ERROR`: the Monte Carlo standard error of the
        realised title's probability. The logarithm of an average over few paths is too low on average; more paths, or
        the exact sum, tell by how much.

    Raises:
        InputError: if the steps do not lead to the year, the exact sum is asked for over more than one, paths are
            fewer than two, or there are no questions.
        MismatchError: as `direct_predictions`.
    """
    histories = Histories(panel, questions)
    between = _years_between(questions, step)
    if paths is None and between != 1:
        raise InputError(
            f"compounding over {between} years between is not exact in reasonable time. Give a number of paths."
        )
    if paths is not None and paths < 2:
        raise InputError(f"paths: {paths} found; give at least two, or None for the exact sum.")
    titles = len(panel.outcomes)
    years = histories.origin_year[:, None] + step * np.arange(1, between + 2)
    results, errors = [], []
    for block in histories.blocks(titles if paths is None else paths, between):
        if paths is None:
            every = np.broadcast_to(np.arange(titles)[:, None], (len(block), titles, 1))
            first = histories.distributions(model, block, years[block, :1])[:, 0]
            last = histories.distributions(model, block, years[block], every)
            results.append(np.einsum("qj,qjk->qk", first, last))
            continue
        drawn = _drawn_paths(model, histories, block, years[block], paths, seed)
        last = histories.distributions(model, block, years[block], drawn)
        results.append(last.mean(axis=1))
        realised = panel.outcomes.indices(questions["occupation"].iloc[block])
        own = last[np.arange(len(block)), :, realised]
        errors.append(own.std(axis=1, ddof=1) / np.sqrt(paths))
    predictions = _predictions(name, questions, panel, np.concatenate(results))
    if errors:
        predictions.table[PATH_ERROR] = np.concatenate(errors)
    return predictions


def _years_between(questions: pd.DataFrame, step: int) -> int:
    spans = (questions["year"] - questions["origin_year"]).unique()
    if step < 1 or len(spans) != 1 or spans[0] % step or spans[0] // step < 2:
        raise InputError(
            f"compounding in steps of {step} years does not fit horizons of {', '.join(map(str, sorted(spans)))} "
            "years: give questions of one horizon, and a step that divides it at least twice."
        )
    return int(spans[0] // step) - 1


def _drawn_paths(
    model: NextJobModel, histories: Histories, block: np.ndarray, years: np.ndarray, paths: int, seed: int
) -> np.ndarray:
    """Return the titles of the records between on each path, int [questions, paths, records]."""
    questions, between = histories.questions.iloc[block], years.shape[1] - 1
    asked = zip(questions["worker_id"], questions["year"], strict=True)
    seeds = ((seed, zlib.crc32(str(worker).encode()), int(year)) for worker, year in asked)
    luck = np.stack([np.random.default_rng(own).random((paths, between)) for own in seeds])
    drawn = np.empty((len(block), paths, 0), dtype=int)
    for record in range(between):
        # All paths of a question begin with the same history, so the first step is asked once.
        known = drawn if record else None
        cumulated = histories.distributions(model, block, years[:, : record + 1], known).cumsum(axis=2)
        share = luck[:, :, record, None] * cumulated[:, :, -1:]
        chosen = (cumulated <= share).sum(axis=2).clip(max=cumulated.shape[2] - 1)
        drawn = np.concatenate([drawn, chosen[:, :, None]], axis=2)
    return drawn


def _predictions(
    name: str, questions: pd.DataFrame, panel: CareerPanel, probabilities: np.ndarray
) -> Predictions:
    if not np.isfinite(probabilities).all():
        raise NumericalError(f"{name}: the model gave probabilities that are not finite. Score it again.")
    log_probs = np.minimum(np.log(probabilities / probabilities.sum(axis=1, keepdims=True)), 0.0)
    table = questions[_ASKED].reset_index(drop=True)
    realised = panel.outcomes.indices(table["occupation"])
    table["log_prob"] = log_probs[np.arange(len(table)), realised]
    table["log_valid_mass"] = 0.0
    table["origin_year"] = questions["origin_year"].to_numpy()
    return Predictions(name, table, panel.outcomes, log_probs.astype(np.float32))
