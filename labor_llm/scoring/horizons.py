"""All titles for the last record of each career alone: what predictions over several years ask of a language model.

Compounding gives a model many made-up careers of which only the last record is asked for, and many of them are
alike, because paths often go through the same titles. Each prompt is scored once.

A language model's predictions over several years, direct and compounded, stored and read again.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from labor_llm.careers.horizons import (
    HorizonPair,
    compounded_predictions,
    direct_predictions,
    draw_questions,
)
from labor_llm.careers.panel import CareerPanel
from labor_llm.careers.predictions import TRANSITION_COLUMNS, Predictions, read_predictions, write_predictions
from labor_llm.models.loading import LanguageModel, load_language_model
from labor_llm.progress import progress
from labor_llm.scoring.all_titles import MEMORY, all_title_log_probs
from labor_llm.scoring.passes import prepare_careers
from labor_llm.scoring.question import Asked, Question, result_identity
from labor_llm.scoring.title_trie import build_title_trie
from labor_llm.store.artefacts import check_replaceable, is_current


class LastRecordScorer:
    """A language model as a `labor_llm.careers.horizons.NextJobModel`.

    Args:
        language_model: the model.
        name: of its predictions.
        memory: bytes as in `labor_llm.scoring.all_titles.all_title_log_probs`.

    Attributes:
        prompts: how many different prompts were scored.
    """

    def __init__(self, language_model: LanguageModel, name: str, memory: int = MEMORY) -> None:
        self.language_model, self.name, self.memory = language_model, name, memory
        self._scored: dict[bytes, np.ndarray] = {}
        self._titles: tuple[tuple[int, ...], ...] = ()

    @property
    def prompts(self) -> int:
        """How many different prompts were scored."""
        return len(self._scored)

    def predict(self, panel: CareerPanel) -> Predictions:
        """Return predictions with the scores of all titles for the last record of each worker, one row a worker.

        Raises:
            As `labor_llm.scoring.passes.prepare_careers` and `labor_llm.scoring.all_titles.all_title_log_probs`.
        """
        prepared = prepare_careers(self.language_model, panel)
        if prepared.titles != self._titles:
            self._scored, self._titles = {}, prepared.titles
        trie = build_title_trie(prepared.titles)
        matrix = np.empty((len(prepared.careers), len(prepared.titles)))
        with progress(f"scoring {self.name}", len(prepared.careers), "prompt") as advance:
            for row, career in enumerate(prepared.careers):
                text = career.parts[-1]
                last = replace(text, spans=text.spans[-1:])
                prompt = text.ids[: last.spans[0][0]].tobytes()
                if prompt not in self._scored:
                    found = all_title_log_probs(self.language_model, last, trie, memory=self.memory)
                    self._scored[prompt] = found[0]
                matrix[row] = self._scored[prompt]
                advance(1, "")
        table = prepared.table.groupby("worker_id", sort=False).tail(1)[list(TRANSITION_COLUMNS)]
        table = table.reset_index(drop=True)
        realised = [occupations[-1] for occupations in prepared.occupations]
        table["log_prob"] = matrix[np.arange(len(table)), realised]
        table["log_valid_mass"] = np.logaddexp.reduce(matrix, axis=1)
        return Predictions(self.name, table, prepared.outcomes, matrix.astype(np.float32))


def score_horizon(
    panel: CareerPanel,
    questions: pd.DataFrame,
    model: str,
    label: str,
    folder: Path,
    paths: int,
    seed: int = 0,
    step: int = 1,
    dtype: str = "float32",
    quantization: str = "none",
    inputs: dict[str, Path] | None = None,
) -> tuple[Predictions, Predictions]:
    """Return a language model's direct and compounded predictions of the same questions.

    Each question costs the scores of all titles after one prompt for the direct prediction, and after one, and one
    for each different path, for every step of the compounded one. What was stored of the same weights, careers,
    questions and code is read instead.

    Args:
        panel: that the questions are of.
        questions: as `labor_llm.careers.horizons.horizon_questions` returns them.
        model: as in `load_language_model`.
        label: what tables call the model.
        folder: in which the two artefacts `direct` and `compounded` stand.
        paths: how many paths of the records between are drawn for each question.
        seed: of the paths.
        step: years from one record to the next.
        dtype: as in `load_language_model`.
        quantization: as in `load_language_model`.
        inputs: artefacts for the manifests.

    Raises:
        As `load_language_model`, `direct_predictions` and `compounded_predictions`.
    """
    asked = panel.restrict(set(questions["worker_id"]))
    options = {
        "questions": questions[["worker_id", "year", "origin_year"]].to_csv(index=False),
        "paths": paths, "seed": seed, "step": step, "education": "observed",
        "dtype": dtype, "quantization": quantization,
    }  # fmt: skip
    identity = result_identity(asked, model, label, Question(Asked.ALL), options, __file__)
    folders = {name: folder / name for name in ("direct", "compounded")}
    if all(is_current(stored, identity) for stored in folders.values()):
        return read_predictions(folders["direct"]), read_predictions(folders["compounded"])
    for stored in folders.values():
        check_replaceable(stored)
    scorer = LastRecordScorer(load_language_model(model, dtype, quantization), label)
    direct = direct_predictions(scorer, asked, questions, f"{label}: direct")
    compounded = compounded_predictions(scorer, asked, questions, paths, seed, step, f"{label}: compounded")
    stored_options = {name: value for name, value in options.items() if name != "questions"}
    parameters = {"base": model, **stored_options, "prompts": scorer.prompts, "identity": identity}
    for name, predictions in (("direct", direct), ("compounded", compounded)):
        write_predictions(folders[name], predictions, parameters, inputs)
    return direct, compounded


def language_model_pair(
    panel: CareerPanel,
    questions: pd.DataFrame,
    number: int,
    model: str,
    label: str,
    folder: Path,
    **options: Any,
) -> list[HorizonPair]:
    """Return the pair of a language model on some of the questions of one horizon, or nothing if none is asked for.

    Args:
        panel: that the questions are of.
        questions: of one horizon.
        number: how many of them, drawn at random with the seed of the paths; 0 for none, -1 for all.
        model: as in `load_language_model`.
        label: what tables call the model.
        folder: as in `score_horizon`.
        **options: `paths` and further arguments of `score_horizon`.

    Raises:
        As `labor_llm.careers.horizons.draw_questions` and `score_horizon`.
    """
    if number == 0:
        return []
    asked = draw_questions(questions, number, options.get("seed", 0))
    years = int((asked["year"] - asked["origin_year"]).iloc[0])
    direct, compounded = score_horizon(panel, asked, model, label, folder, **options)
    return [HorizonPair(label, years, direct, compounded)]
