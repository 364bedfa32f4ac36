"""What a model says after histories that did not all happen: the known records, and drawn ones after them.

Each question (a worker's record to be predicted from an earlier one) becomes one made-up worker for each path of
the records between. The last record of a made-up worker is the one that is asked for; its own title is never
seen by a model that predicts a record from those before it.

Predictions over two years or more: asked for directly, or compounded from predictions one year ahead.

A model that predicts the next record at a stated year can be asked for the year after next directly, by leaving
the year between out of the history. Or the year between is predicted first and summed over,

    P(y_{t+2} = k | h_t) = sum_j P(y_{t+1} = j | h_t) P(y_{t+2} = k | h_t, y_{t+1} = j),

where every possible history is given to the model again: multiplying one transition matrix by itself would be
wrong for a model that looks at more than the last record. The sum is exact with one year between. With more,
paths of the years between are drawn from the model itself, and the model's last distributions are averaged over
paths (Rao-Blackwell): counting where paths end would leave zeros and scatter more.

Rules. Probabilities are among the valid titles. The record between lies `step` years after the last one, and
so on; its education is the panel's where the panel has a record in that year (`education='observed'`), otherwise
or with 'carried' the last known one. The education of the predicted record is the panel's. The numbers that draw
a path depend on the seed, worker, year and path alone.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import pandas as pd

from labor_llm.careers.panel import CareerPanel
from labor_llm.careers.predictions import Predictions, normalised_blocks
from labor_llm.disclosure import MINIMUM_PERSONS
from labor_llm.errors import InputError, MismatchError, NumericalError

Education = Literal["observed", "carried"]
# One path on which no record lies between.
NOTHING_BETWEEN = np.empty((1, 0), dtype=int)
# Records given to the model at a time: bounds its matrix of probabilities.
_RECORDS = 20_000


class NextJobModel(Protocol):
    """A model that gives the probability of every title for every record of any panel, from its history."""

    def predict(self, panel: CareerPanel) -> Predictions:
        """Return predictions with the scores of all titles for all records of the panel."""


class Histories:
    """The records known to each question, as rows of one frame, and education by worker and year."""

    def __init__(self, panel: CareerPanel, questions: pd.DataFrame) -> None:
        if questions.empty:
            raise InputError(f"{panel.dataset}: no questions. Make some with horizon_questions.")
        self.panel, self.questions = panel, questions
        frame = panel.frame
        self.rows = pd.MultiIndex.from_frame(frame[["worker_id", "year"]])
        keys = ("year", "origin_year")
        self.target, self.origin = (
            self.rows.get_indexer(pd.MultiIndex.from_arrays([questions["worker_id"], questions[key]]))
            for key in keys
        )
        unknown = (self.target < 0) | (self.origin < 0)
        if unknown.any():
            raise MismatchError(
                f"{panel.dataset}: {int(unknown.sum()):,} of {len(questions):,} questions are of records that the "
                "panel does not have. Make them from this panel."
            )
        workers = pd.factorize(frame["worker_id"])[0]
        self.start = np.searchsorted(workers, workers[self.origin])
        self.codes = np.array(panel.outcomes.codes, dtype=object)
        self.columns = {name: frame[name].to_numpy() for name in ("year", "occupation", "education")}

    def education(self, block: np.ndarray, years: np.ndarray, source: Education) -> np.ndarray:
        """Return education in some years of each question, object [questions, years].

        With 'observed', that of the panel's record in the year where there is one, else the origin's.
        """
        rows = np.repeat(self.origin[block][:, None], years.shape[1], axis=1)
        if source == "observed":
            workers = np.repeat(self.questions["worker_id"].to_numpy()[block], years.shape[1])
            found = self.rows.get_indexer(pd.MultiIndex.from_arrays([workers, years.ravel()]))
            found = found.reshape(years.shape)
            rows = np.where(found >= 0, found, rows)
        return self.columns["education"][rows]

    def asked(
        self,
        block: np.ndarray,
        offsets: np.ndarray,
        source: Education,
        paths: Sequence[np.ndarray],
        last_offset: int | None,
    ) -> tuple[pd.DataFrame, np.ndarray]:
        """Return the records of the made-up workers, and which rows are asked for; arguments as below."""
        origin_year = self.columns["year"][self.origin[block]]
        records = paths[0].shape[1]
        last = self.columns["year"][self.target[block]] if last_offset is None else origin_year + last_offset
        years = np.column_stack([origin_year[:, None] + offsets[:records], last])
        levels = self.education(block, years, source)
        if last_offset is None:
            levels[:, -1] = self.columns["education"][self.target[block]]
        rows, changed, names, lengths = [], {"year": [], "education": [], "occupation": []}, [], []
        for position, (question, titles) in enumerate(zip(block, paths, strict=True)):
            known = np.arange(self.start[question], self.origin[question] + 1)
            size, copies = len(known) + records + 1, len(titles)
            rows.append(np.tile([*known, *[known[-1]] * (records + 1)], copies))
            for name, values in (("year", years), ("education", levels)):
                changed[name].append(np.tile([*self.columns[name][known], *values[position]], copies))
            # Whatever stands in the record to be predicted must not matter; the last known title is at hand.
            happened = np.tile(
                self.columns["occupation"][[*known, *[known[-1]] * (records + 1)]], (copies, 1)
            )
            happened[:, len(known) : size - 1] = self.codes[titles]
            changed["occupation"].append(happened.ravel())
            names += [f"{question:08d}-{path:06d}" for path in range(copies)]
            lengths += [size] * copies
        frame = self.panel.frame.take(np.concatenate(rows)).reset_index(drop=True)
        frame["worker_id"] = np.repeat(np.array(names, dtype=object), lengths)
        for name, values in changed.items():
            frame[name] = np.concatenate(values)
        return frame, np.cumsum(lengths) - 1


def blocks(histories: Histories, copies: int, between: int) -> Iterator[np.ndarray]:
    """Yield the numbers of the questions, so many at a time that the copies of their histories fit."""
    lengths = (histories.origin - histories.start + 2 + between) * copies
    block = np.cumsum(lengths) // _RECORDS
    for number in np.unique(block):
        yield np.flatnonzero(block == number)


def last_distributions(
    model: NextJobModel,
    histories: Histories,
    block: np.ndarray,
    offsets: np.ndarray,
    source: Education,
    paths: Sequence[np.ndarray],
    last_offset: int | None = None,
) -> np.ndarray:
    """Return the distribution of the record after each path, float64 [paths of all questions, titles].

    Args:
        model: that is asked.
        histories: of all questions.
        block: numbers of the questions.
        offsets: years after the origin at which the records between lie, int [records or more].
        source: of the education of the records after the origin.
        paths: titles of the records between for each question, int [paths, records].
        last_offset: years after the origin of the record that is predicted; the question's own year and education
            if None.

    Raises:
        MismatchError: if the model has other titles than the panel, or did not score every title.
    """
    frame, last = histories.asked(block, offsets, source, paths, last_offset)
    panel = histories.panel
    predictions = model.predict(CareerPanel(frame, panel.outcomes, panel.survey))
    if predictions.outcomes.codes != panel.outcomes.codes:
        raise MismatchError(
            f"{predictions.model}: its titles are not those of the panel. Give a model of the panel."
        )
    keys = ["worker_id", "year"]
    scored = predictions.table[predictions.scored_in_full].reset_index(drop=True)
    rows = pd.MultiIndex.from_frame(scored[keys]).get_indexer(
        pd.MultiIndex.from_frame(frame[keys].iloc[last])
    )
    if (rows < 0).any() or predictions.log_probs is None:
        raise MismatchError(
            f"{predictions.model}: it did not score every title of the records after {len(rows):,} histories. Several "
            "years ahead need the whole distribution after every history."
        )
    kept = Predictions(
        predictions.model,
        scored.iloc[rows],
        predictions.outcomes,
        predictions.log_probs[rows],
        None if predictions.upper is None else predictions.upper[rows],
    )
    return np.exp(np.concatenate([log_probs for _, log_probs in normalised_blocks(kept)]))


def horizon_questions(panel: CareerPanel, years: int = 2, step: int | None = None) -> pd.DataFrame:
    """Return the pairs of a worker's records that lie a number of years apart.

    The later record is predicted from the earlier one and all before it; records between are not looked at.

    Args:
        panel: careers.
        years: at least two.
        step: only pairs between which there is a record every so many years. In a simulated market, whose careers go
            from record to record, what is compounded in such steps from its probabilities is then the truth.

    Returns:
        Columns `dataset`, `worker_id`, `year` (of the record to be predicted), `origin_year` (last year known),
        `transition_type` ('moving' or 'staying' since then), `occupation`, `origin` (occupation then).

    Raises:
        InputError: if fewer than two years are asked for, or there is no such pair.
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
    if pairs.empty:
        every = f" and one every {step} years between" if step else ""
        raise InputError(
            f"{panel.dataset}: no worker has two records {years} years apart{every}. Give another horizon."
        )
    same = pairs["occupation"] == pairs["origin"]
    pairs["transition_type"] = np.where(same, "staying", "moving")
    return pairs[
        ["dataset", "worker_id", "year", "origin_year", "transition_type", "occupation", "origin"]
    ].sort_values(["worker_id", "year"], ignore_index=True)


def draw_questions(questions: pd.DataFrame, number: int, seed: int = 0) -> pd.DataFrame:
    """Return questions drawn at random without replacement, in their order; all of them if -1 or if there are no more.

    The first hundred of a seed are among its first two hundred.

    Raises:
        InputError: if those drawn are of fewer than eleven workers.
    """
    if 0 <= number < len(questions):
        drawn = np.sort(np.random.default_rng(seed).permutation(len(questions))[:number])
        questions = questions.iloc[drawn].reset_index(drop=True)
    if questions["worker_id"].nunique() < MINIMUM_PERSONS:
        raise InputError(
            f"{len(questions):,} questions are of fewer than {MINIMUM_PERSONS} workers; no number may rest on so few. "
            "Ask for more questions, or for a shorter horizon."
        )
    return questions


def drawn_questions(
    panel: CareerPanel, horizons: Sequence[int], number: int, seed: int = 0, step: int | None = None
) -> dict[int, pd.DataFrame]:
    """Return questions by horizon in years: `draw_questions` of `horizon_questions`.

    Raises:
        InputError: as these, or if a horizon is asked for twice or there is none.
    """
    if not horizons or len(set(horizons)) != len(horizons):
        raise InputError(f"horizons: {list(horizons)} found; give one or more different numbers of years.")
    return {years: draw_questions(horizon_questions(panel, years, step), number, seed) for years in horizons}


def direct_predictions(
    model: NextJobModel, panel: CareerPanel, questions: pd.DataFrame, name: str = "direct"
) -> Predictions:
    """Return what the model says when the years between are left out of the history.

    Args:
        model: with the scores of all titles.
        panel: that the questions are of.
        questions: rows of `horizon_questions`, all or some.
        name: of the predictions.

    Raises:
        InputError: without questions.
        MismatchError: if the panel lacks a question's records, or the model did not score every title of one.
    """
    histories = Histories(panel, questions)
    parts = [
        last_distributions(
            model, histories, block, np.empty(0, dtype=int), "carried", [NOTHING_BETWEEN] * len(block)
        )
        for block in blocks(histories, 1, 0)
    ]
    return _predictions(name, questions, panel, np.log(_checked(name, np.concatenate(parts))))


def compounded_predictions(
    model: NextJobModel,
    panel: CareerPanel,
    questions: pd.DataFrame,
    paths: int | None = None,
    seed: int = 0,
    step: int = 1,
    education: Education = "observed",
    name: str = "compounded",
) -> Predictions:
    """Return the model's own predictions one step ahead, compounded to the year that is asked for.

    Args:
        model: with the scores of all titles.
        panel: that the questions are of.
        questions: rows of `horizon_questions`, all or some.
        paths: how many paths of the years between are drawn; None sums over all titles, with one year between.
        seed: of the paths.
        step: years from one record to the next.
        education: of the records between (see the module).
        name: of the predictions.

    Returns:
        Predictions whose table has `origin_year`, and with paths `probability_se`: the Monte Carlo standard error of
        the realised title's probability. The logarithm of an average over few paths is too low on average; more
        paths, or the exact sum, tell by how much.

    Raises:
        InputError: if the steps do not lead to the year, the exact sum is asked for over more than one, paths are
            fewer than two, or there are no questions.
        MismatchError: as `direct_predictions`.
    """
    histories = Histories(panel, questions)
    between = _years_between(questions, step)
    if education not in ("observed", "carried"):
        raise InputError(f"education: {education!r} is not known; give 'observed' or 'carried'.")
    if paths is None and between != 1:
        raise InputError(
            f"compounding over {between} years between is not exact in reasonable time. Give a number of paths."
        )
    if paths is not None and paths < 2:
        raise InputError(f"paths: {paths} found; give at least two, or None for the exact sum.")
    titles = len(panel.outcomes)
    offsets = step * np.arange(1, between + 1)
    results, errors = [], []
    for block in blocks(histories, titles if paths is None else paths, between):
        if paths is None:
            first = last_distributions(
                model,
                histories,
                block,
                offsets[:0],
                education,
                [NOTHING_BETWEEN] * len(block),
                offsets[0],
            )
            every = [np.arange(titles)[:, None]] * len(block)
            last = last_distributions(model, histories, block, offsets, education, every)
            results.append(np.einsum("qj,qjk->qk", first, last.reshape(len(block), titles, titles)))
            continue
        drawn = _drawn_paths(model, histories, block, offsets, education, paths, seed)
        last = last_distributions(model, histories, block, offsets, education, drawn)
        last = last.reshape(len(block), paths, titles)
        results.append(last.mean(axis=1))
        realised = panel.outcomes.indices(questions["occupation"].iloc[block])
        own = last[np.arange(len(block)), :, realised]
        errors.append(own.std(axis=1, ddof=1) / np.sqrt(paths))
    predictions = _predictions(name, questions, panel, np.log(_checked(name, np.concatenate(results))))
    if errors:
        predictions.table["probability_se"] = np.concatenate(errors)
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
    model: NextJobModel,
    histories: Histories,
    block: np.ndarray,
    offsets: np.ndarray,
    education: Education,
    paths: int,
    seed: int,
) -> list[np.ndarray]:
    """Return the titles of the records between on each path, int [paths, records], for each question."""
    questions = histories.questions.iloc[block]
    luck = np.stack(
        [
            np.random.default_rng((seed, zlib.crc32(str(worker).encode()), int(year))).random(
                (paths, len(offsets))
            )
            for worker, year in zip(questions["worker_id"], questions["year"], strict=True)
        ]
    )
    drawn = np.empty((len(block), paths, 0), dtype=int)
    for record, offset in enumerate(offsets):
        # All paths of a question begin with the same history, so the first step is asked once.
        known = list(drawn) if record else [NOTHING_BETWEEN] * len(block)
        chances = last_distributions(model, histories, block, offsets, education, known, int(offset))
        chances = chances.reshape(len(block), -1, chances.shape[1])
        cumulated = chances.cumsum(axis=2)
        share = luck[:, :, record, None] * cumulated[:, :, -1:]
        chosen = (cumulated <= share).sum(axis=2).clip(max=chances.shape[2] - 1)
        drawn = np.concatenate([drawn, chosen[:, :, None]], axis=2)
    return list(drawn)


def _checked(name: str, probabilities: np.ndarray) -> np.ndarray:
    if not np.isfinite(probabilities).all():
        raise NumericalError(f"{name}: the model gave probabilities that are not finite. Score it again.")
    return probabilities / probabilities.sum(axis=1, keepdims=True)


def _predictions(
    name: str, questions: pd.DataFrame, panel: CareerPanel, log_probs: np.ndarray
) -> Predictions:
    columns = ["dataset", "worker_id", "year", "transition_type", "occupation"]
    table = questions[columns].reset_index(drop=True)
    realised = panel.outcomes.indices(table["occupation"])
    table["log_prob"] = np.minimum(log_probs[np.arange(len(table)), realised], 0.0)
    table["log_valid_mass"] = 0.0
    table["origin_year"] = questions["origin_year"].to_numpy()
    return Predictions(name, table, panel.outcomes, np.minimum(log_probs, 0.0).astype(np.float32))


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


# Column of the Monte Carlo error of predictions that were compounded over drawn paths.
PATH_ERROR = "probability_se"
