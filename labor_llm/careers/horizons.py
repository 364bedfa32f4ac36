"""Predictions over two years or more: asked for directly, or compounded from predictions one year ahead.

A model that predicts the next record at a stated year can be asked for the year after next directly, by leaving the
year between out of the history. Or the year between is predicted first and summed over,

    P(y_{t+2} = k | h_t) = sum_j P(y_{t+1} = j | h_t) P(y_{t+2} = k | h_t, y_{t+1} = j),

where every possible history is given to the model again: multiplying one transition matrix by itself would be wrong for
a model that looks at more than the last record. Both ways know the same: the education of the years between is that of
the last known record, whatever the worker's own records say.

The sum is exact where it is over no more titles than paths are asked for, with one year between. Else some of the
histories stand for all: after each year those of a probability above a threshold are kept as they are, and the others
are drawn by systematic sampling, each with the threshold for its weight (the optimal resampling of Fearnhead and
Clifford, 2003, JRSS B 65, 887-899). So the sum stays unbiased, and is as near to the exact one as that number of
histories can make it. This is done in several independent runs, whose spread is the Monte Carlo error of whatever is
computed of them.

Probabilities are among the valid titles. Records between lie `step` years apart. The numbers that draw depend on the
seed, worker, year and run alone.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from labor_llm.careers.histories import Histories, NextJobModel
from labor_llm.careers.panel import CareerPanel
from labor_llm.careers.predictions import Predictions, from_matrix, read_predictions
from labor_llm.careers.samples import random_places
from labor_llm.disclosure import MINIMUM_PERSONS
from labor_llm.errors import InputError, NumericalError
from labor_llm.store.artefacts import MANIFEST, verify

# Independent runs of compounded predictions that are not exact.
RUNS = 5
_ASKED = ["dataset", "worker_id", "year", "transition_type", "occupation"]


@dataclass(frozen=True)
class HorizonPair:
    """What one model says of the same questions, asked directly and compounded.

    Attributes:
        model: name in tables.
        years: from the last known record to the predicted one.
        direct: the direct predictions.
        runs: the compounded ones, as `compounded_predictions` returns them.
    """

    model: str
    years: int
    direct: Predictions
    runs: tuple[Predictions, ...]

    @property
    def exact(self) -> bool:
        """Whether the compounded predictions are sums over all histories."""
        return len(self.runs) == 1

    @cached_property
    def compounded(self) -> Predictions:
        """The mean of all runs."""
        return mean_of_runs(self.runs)

    @cached_property
    def leaving_out(self) -> tuple[Predictions, ...]:
        """The mean of all runs but one, for each of them; nothing where the sum is exact."""
        if self.exact:
            return ()
        return tuple(mean_of_runs([*self.runs[:run], *self.runs[run + 1 :]]) for run in range(len(self.runs)))


def stored_pair(folder: Path, model: str) -> HorizonPair | None:
    """Return the pair whose artefacts `direct` and `compounded-1`, ... lie in a folder; None if there is none.

    Runs that another number of paths has left there are of another identity than `direct`, and no part of it.

    Raises:
        ArtefactError: if one of them was changed.
    """
    if not (folder / "direct" / MANIFEST).is_file():
        return None
    direct = read_predictions(folder / "direct")
    years = direct.table["year"] - direct.table["origin_year"]
    identities = {
        path: verify(path)["parameters"].get("identity")
        for path in (folder / "direct", *sorted(folder.glob("compounded-*")))
    }
    own = identities.pop(folder / "direct")
    runs = tuple(read_predictions(path) for path, identity in identities.items() if identity == own)
    return HorizonPair(model, int(years.iloc[0]), direct, runs)


def mean_of_runs(runs: Sequence[Predictions]) -> Predictions:
    """Return the mean of probabilities of the same questions, in nats like those of each run."""
    if len(runs) == 1:
        return runs[0]
    log_probs = np.logaddexp.reduce([run.log_probs.astype(np.float64) for run in runs]) - np.log(len(runs))
    realised = np.logaddexp.reduce([run.table["log_prob"] for run in runs]) - np.log(len(runs))
    return replace(
        runs[0], table=runs[0].table.assign(log_prob=realised), log_probs=log_probs.astype(np.float32)
    )


def horizon_questions(panel: CareerPanel, years: int = 2) -> pd.DataFrame:
    """Return the pairs of a worker's records that lie two years or more apart.

    The later record is predicted from the earlier one and all before it; records between are not looked at.

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


def runs_needed(titles: int, paths: int, between: int) -> int:
    """Return 1 where compounding over so many records between is exact at no more cost than with paths, else `RUNS`."""
    return 1 if between == 1 and RUNS * paths >= titles else RUNS


def compounded_predictions(
    model: NextJobModel,
    panel: CareerPanel,
    questions: pd.DataFrame,
    paths: int,
    seed: int = 0,
    step: int = 1,
    name: str = "compounded",
) -> tuple[Predictions, ...]:
    """Return the model's own predictions one step ahead, compounded to the year that `horizon_questions` ask for.

    Args:
        model: that is asked.
        panel: that the questions are of.
        questions: of one horizon.
        paths: histories of the records between that each of `RUNS` runs keeps. The sum over all titles is taken in
            their place where it is over no more than those of all runs, with one record between.
        seed: of the runs.
        step: years from one record to the next.
        name: of the predictions.

    Returns:
        Of each run, or of the exact sum alone, predictions whose table has `origin_year`. The logarithm of their mean
        is too low on average where they differ; more paths tell by how much.

    Raises:
        InputError: if the steps do not lead to the year, paths are fewer than two, or there are no questions.
        MismatchError: as `direct_predictions`.
    """
    histories = Histories(panel, questions)
    between = _years_between(questions, step)
    if paths < 2:
        raise InputError(f"paths: {paths} found; give at least two.")
    titles = len(panel.outcomes)
    runs = runs_needed(titles, paths, between)
    kept = titles if runs == 1 else min(paths, titles)
    years = histories.origin_year[:, None] + step * np.arange(1, between + 2)
    results = []
    for block in histories.blocks(runs * kept, between):
        # All histories of a question begin alike, so the first step is asked once.
        weights = np.repeat(histories.distributions(model, block, years[block, :1]), runs, axis=1)[:, :, None]
        drawn = np.empty((len(block), runs, 1, 0), dtype=int)
        for record in range(between):
            if record:
                asked = drawn.reshape(len(block), -1, record)
                following = histories.distributions(model, block, years[block, : record + 1], asked)
                weights = weights[..., None] * following.reshape(*weights.shape, titles)
            of_titles = weights.reshape(len(block), runs, -1)
            chosen, weights = _resampled(of_titles, kept, histories.questions.iloc[block], seed, record)
            before, title = np.divmod(chosen, titles)
            drawn = np.take_along_axis(drawn, before[..., None], axis=2)
            drawn = np.concatenate([drawn, title[..., None]], axis=3)
        last = histories.distributions(model, block, years[block], drawn.reshape(len(block), -1, between))
        last = last.reshape(len(block), runs, kept, titles)
        results.append(np.einsum("qrn,qrnk->qrk", weights, last))
    found = np.concatenate(results)
    return tuple(_predictions(name, questions, panel, found[:, run]) for run in range(runs))


def _years_between(questions: pd.DataFrame, step: int) -> int:
    spans = (questions["year"] - questions["origin_year"]).unique()
    if step < 1 or len(spans) != 1 or spans[0] % step or spans[0] // step < 2:
        raise InputError(
            f"compounding in steps of {step} years does not fit horizons of {', '.join(map(str, sorted(spans)))} "
            "years: give questions of one horizon, and a step that divides it at least twice."
        )
    return int(spans[0] // step) - 1


def _resampled(
    weights: np.ndarray, kept: int, questions: pd.DataFrame, seed: int, record: int
) -> tuple[np.ndarray, np.ndarray]:
    """Keep so many histories of each question and run: [questions, runs, kept], their places and their new weights."""
    if weights.shape[2] <= kept:
        return np.broadcast_to(np.arange(weights.shape[2]), weights.shape), weights
    places = np.empty((*weights.shape[:2], kept), dtype=int)
    found = np.empty(places.shape)
    for number, (worker, year) in enumerate(zip(questions["worker_id"], questions["year"], strict=True)):
        own = (seed, zlib.crc32(str(worker).encode()), int(year), record)
        for run, luck in enumerate(np.random.default_rng(own).random(weights.shape[1])):
            places[number, run], found[number, run] = optimal_resampling(weights[number, run], kept, luck)
    return places, found


def optimal_resampling(weights: np.ndarray, kept: int, luck: float) -> tuple[np.ndarray, np.ndarray]:
    """Keep some of many weights so that each has its own for its mean, with the least squared error that is possible.

    Those above a threshold are kept; of the others some are drawn by systematic sampling, and weigh as much as the
    threshold (Fearnhead and Clifford, 2003).

    Args:
        weights: not negative, [candidates].
        kept: how many, fewer than there are.
        luck: a number between 0 and 1, which decides which are drawn.

    Returns:
        The places of those kept, ascending, and their weights, both [kept].
    """
    order = np.argsort(-weights, kind="stable")
    rest = np.cumsum(weights[order][::-1])[::-1]  # sum of the weights from each place on
    thresholds = rest[:kept] / (kept - np.arange(kept))
    below = weights[order[:kept]] <= thresholds
    sure = int(below.argmax()) if below.any() else kept
    result = np.empty(kept)
    result[:sure] = weights[order[:sure]]
    places = order[:sure]
    if sure < kept:
        others = np.sort(order[sure:])
        threshold = thresholds[sure]
        result[sure:] = threshold
        ends = np.cumsum(weights[others])
        ends *= threshold * (kept - sure) / max(ends[-1], np.finfo(float).tiny)
        at = threshold * (luck + np.arange(kept - sure))
        drawn = np.minimum(np.searchsorted(ends, at, side="right"), len(others) - 1)
        places = np.concatenate([places, others[drawn]])
    again = np.argsort(places, kind="stable")
    return places[again], result[again]


def _predictions(
    name: str, questions: pd.DataFrame, panel: CareerPanel, probabilities: np.ndarray
) -> Predictions:
    if not np.isfinite(probabilities).all():
        raise NumericalError(f"{name}: the model gave probabilities that are not finite. Score it again.")
    log_probs = np.minimum(np.log(probabilities / probabilities.sum(axis=1, keepdims=True)), 0.0)
    predictions = from_matrix(name, questions, panel.outcomes, log_probs)
    predictions.table["origin_year"] = questions["origin_year"].to_numpy()
    return predictions
