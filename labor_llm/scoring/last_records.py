"""The last record of each career alone: histories of several lengths, and predictions over several years.

Both ask a language model about many made-up careers that begin alike. All windows of a worker begin with the same
lines: these are read once, and their keys and values serve all of the windows, whose text after them is short.
Compounding over several years makes many prompts that are one and the same, because paths often go through the same
titles: each is scored once.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from labor_llm.careers.histories import HistoryLength, HistoryWindows, history_windows
from labor_llm.careers.horizons import (
    HorizonPair,
    compounded_predictions,
    direct_predictions,
    draw_questions,
    runs_needed,
)
from labor_llm.careers.panel import CareerPanel
from labor_llm.careers.predictions import TRANSITION_COLUMNS, Predictions, read_predictions, write_predictions
from labor_llm.models.loading import LanguageModel, load_language_model
from labor_llm.progress import progress
from labor_llm.scoring.all_titles import all_title_log_probs
from labor_llm.scoring.careers import result_identity, score_panel
from labor_llm.scoring.passes import PreparedCareers, prepare_careers, read_beginning, realised_log_probs
from labor_llm.scoring.settings import ScoringSettings
from labor_llm.scoring.title_trie import build_title_trie
from labor_llm.scoring.trials import try_scorers
from labor_llm.store.results import Arrays, in_shards, stored
from labor_llm.text.tokenization import EncodedResume


def score_windows(
    panel: CareerPanel,
    lengths: Sequence[HistoryLength],
    model: str,
    label: str,
    folder: Path,
    settings: ScoringSettings,
    inputs: Mapping[str, Path] | None = None,
) -> dict[HistoryLength | None, Predictions]:
    """Return a language model's predictions of realised titles with each length of history, and with the whole one.

    What was scored before, of the same weights, careers and code, is read instead; an interrupted run goes on.

    Args:
        panel: careers whose records are predicted.
        lengths: of the history shown, as `labor_llm.careers.histories.predict_windows`.
        model: as in `load_language_model`.
        label: what tables call the model.
        folder: in which the predictions of each length are stored, an artefact each: `last-1-records`, ..., `all`.
        settings: arithmetic, and how careers are read; with titles 'realised'.
        inputs: artefacts for the manifests.

    Returns:
        As `labor_llm.careers.histories.predict_windows`.

    Raises:
        As `predict_windows` and `labor_llm.scoring.careers.score_panel`.
    """
    if not lengths:
        return {}
    load = functools.cache(load_language_model)
    loading = settings.model_dump(include={"dtype", "quantization"})

    def predictions_of(windows: HistoryWindows) -> Predictions:
        def make(unfinished: Path) -> tuple[Predictions, dict[str, object]]:
            language_model = load(model, settings.dtype, settings.quantization)
            prepared = prepare_careers(language_model, windows.panel, settings)
            trial = try_scorers(prepared)
            texts = [replace(trial.career, spans=(span,)) for span in trial.career.spans]
            trial.check("last titles of histories", last_log_probs(language_model, texts))
            made = _window_predictions(prepared, windows, label, unfinished / identity)
            return made, {"base": model, "history": str(windows.length), **loading}

        choices = {**settings.model_dump(), "targets": windows.targets.to_csv()}
        identity = result_identity(windows.panel, model, label, choices, __file__)
        place = folder / f"last-{windows.length.number}-{windows.length.unit}"
        return stored(place, identity, make, read_predictions, write_predictions, inputs)

    found: dict[HistoryLength | None, Predictions] = {
        length: predictions_of(history_windows(panel, length)) for length in lengths
    }
    found[None] = score_panel(panel, model, label, folder / "all", settings, inputs=inputs, load=load)
    return found


def last_log_probs(language_model: LanguageModel, texts: Sequence[EncodedResume]) -> np.ndarray:
    """Return the log-probability of each text's last realised title, float64 [texts], nats.

    Args:
        language_model: the model.
        texts: of one worker; the tokens that they all begin with are read once.
    """
    last = [replace(text, spans=text.spans[-1:]) for text in texts]
    beginning = read_beginning(language_model, last, fewest=1)
    return np.concatenate([realised_log_probs(language_model, text, beginning) for text in last])


def _window_predictions(
    prepared: PreparedCareers, windows: HistoryWindows, label: str, shards: Path | None
) -> Predictions:
    # A worker's windows stand together, in the order of the panel.
    of_workers = list(windows.targets.groupby("worker_id", sort=False).indices.values())

    def score(worker: int) -> Arrays:
        texts = [prepared.careers[window].parts[-1] for window in of_workers[worker]]
        return {"last": last_log_probs(prepared.language_model, texts)}

    name = f"scoring {label}, last {windows.length}"
    arrays = in_shards(shards, len(of_workers), score, name, "worker")
    table = _last_records(prepared).assign(log_prob=arrays["last"], log_valid_mass=np.nan)
    return windows.of_targets(Predictions(label, table, prepared.outcomes))


def _last_records(prepared: PreparedCareers) -> pd.DataFrame:
    """Return the row of each career's last record, in the order of the careers."""
    table = prepared.table.groupby("worker_id", sort=False).tail(1)[list(TRANSITION_COLUMNS)]
    return table.reset_index(drop=True)


class LastRecordScorer:
    """A language model as a `labor_llm.careers.horizons.NextJobModel`.

    Args:
        language_model: the model.
        name: of its predictions.
        settings: as `preamble`, of `prepare_careers`; all titles are scored exactly.
    """

    def __init__(
        self,
        language_model: LanguageModel,
        name: str,
        settings: ScoringSettings | None = None,
        preamble: str = "",
    ) -> None:
        self.language_model, self.name = language_model, name
        self.settings, self.preamble = settings or ScoringSettings(), preamble
        self._scored: dict[object, np.ndarray] = {}  # by titles and prompt

    @property
    def prompts(self) -> int:
        """How many different prompts were scored."""
        return len(self._scored)

    def predict(self, panel: CareerPanel) -> Predictions:
        """Return predictions with the scores of all titles for the last record of each worker, one row a worker.

        Raises:
            As `labor_llm.scoring.passes.prepare_careers` and `labor_llm.scoring.all_titles.all_title_log_probs`.
        """
        prepared = prepare_careers(self.language_model, panel, self.settings, self.preamble)
        if not self._scored:
            try_scorers(prepared, all_titles=True)
        trie = build_title_trie(prepared.titles)
        matrix = np.empty((len(prepared.careers), len(prepared.titles)))
        with progress(f"scoring {self.name}", len(prepared.careers), "prompt") as advance:
            for row, career in enumerate(prepared.careers):
                text = career.parts[-1]
                last = replace(text, spans=text.spans[-1:])
                asked = prepared.titles, text.ids[: last.spans[0][0]].tobytes()
                if asked not in self._scored:
                    self._scored[asked] = all_title_log_probs(self.language_model, last, trie)[0]
                matrix[row] = self._scored[asked]
                advance(1, "")
        table = _last_records(prepared)
        realised = [occupations[-1] for occupations in prepared.occupations]
        table["log_prob"] = matrix[np.arange(len(table)), realised]
        table["log_valid_mass"] = np.logaddexp.reduce(matrix, axis=1)
        return Predictions(self.name, table, prepared.outcomes, matrix.astype(np.float32))


def language_model_pair(
    panel: CareerPanel,
    questions: Mapping[int, pd.DataFrame],
    number: int,
    model: str,
    label: str,
    folder: Path,
    settings: ScoringSettings,
    paths: int,
    seed: int = 0,
    step: int = 1,
    inputs: Mapping[str, Path] | None = None,
) -> list[HorizonPair]:
    """Return a language model's direct and compounded predictions of the same questions of the first horizon.

    Each question costs the scores of all titles after one prompt for the direct prediction, and after one, and one
    for each different path, for every step of the compounded one. What was stored of the same weights, careers,
    questions and code is read instead.

    Args:
        panel: that the questions are of.
        questions: as `labor_llm.careers.horizons.horizon_questions` returns them, by horizon; without any no pair.
        number: how many of them, drawn at random with `seed`; -1 for all, 0 for none, which gives no pair.
        model: as in `load_language_model`.
        label: what tables call the model.
        folder: in which the artefacts `direct` and `compounded-1`, `compounded-2`, ... stand.
        settings: arithmetic; all titles are scored exactly.
        paths: histories that each run keeps for each question, as for `compounded_predictions`.
        seed: of the runs.
        step: years from one record to the next.
        inputs: artefacts for the manifests.

    Raises:
        As `load_language_model`, `draw_questions`, `direct_predictions` and `compounded_predictions`.
    """
    if number == 0 or not questions:
        return []
    years, of_horizon = next(iter(questions.items()))
    asked = draw_questions(of_horizon, number, seed)
    careers = panel.restrict(set(asked["worker_id"]))
    options = {"paths": paths, "seed": seed, "step": step}
    options |= settings.model_dump(include={"dtype", "quantization"})
    choices = {"questions": asked[["worker_id", "year", "origin_year"]].to_csv(index=False), **options}
    identity = result_identity(careers, model, label, choices, __file__)

    runs = runs_needed(len(panel.outcomes), paths, years // step - 1)
    compounded = [f"compounded-{number}" for number in range(1, runs + 1)]

    @functools.cache
    def all_ways() -> tuple[dict[str, Predictions], int]:
        language_model = load_language_model(model, settings.dtype, settings.quantization)
        scorer = LastRecordScorer(language_model, label)
        ways = {"direct": direct_predictions(scorer, careers, asked, f"{label}: direct")}
        name = f"{label}: compounded"
        runs = compounded_predictions(scorer, careers, asked, paths, seed, step, name)
        return ways | dict(zip(compounded, runs, strict=True)), scorer.prompts

    def predictions_of(way: str) -> Predictions:
        def make(_: Path) -> tuple[Predictions, dict[str, object]]:
            made, prompts = all_ways()
            return made[way], {"base": model, **options, "prompts": prompts}

        return stored(folder / way, identity, make, read_predictions, write_predictions, inputs)

    return [HorizonPair(label, years, predictions_of("direct"), tuple(map(predictions_of, compounded)))]
