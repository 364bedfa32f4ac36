"""A language model's predictions over several years, direct and compounded, stored and read again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from labor_llm.artefacts import check_replaceable, is_current
from labor_llm.careers import CareerPanel
from labor_llm.evaluation.horizon_histories import Education
from labor_llm.evaluation.horizon_pairs import HorizonPair
from labor_llm.evaluation.horizons import compounded_predictions, direct_predictions, draw_questions
from labor_llm.language_models import load_language_model
from labor_llm.predictions import Predictions, read_predictions, write_predictions
from labor_llm.scoring.identity import result_identity
from labor_llm.scoring.last_records import LastRecordScorer
from labor_llm.scoring.question import Asked, Question


def score_horizon(
    panel: CareerPanel,
    questions: pd.DataFrame,
    model: str,
    label: str,
    folder: Path,
    paths: int,
    seed: int = 0,
    step: int = 1,
    education: Education = "observed",
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
        questions: as `labor_llm.evaluation.horizons.horizon_questions` returns them.
        model: as in `load_language_model`.
        label: what tables call the model.
        folder: in which the two artefacts `direct` and `compounded` stand.
        paths: how many paths of the records between are drawn for each question.
        seed: of the paths.
        step: years from one record to the next.
        education: of the records between, as in `compounded_predictions`.
        dtype: as in `load_language_model`.
        quantization: as in `load_language_model`.
        inputs: artefacts for the manifests.

    Raises:
        As `load_language_model`, `direct_predictions` and `compounded_predictions`.
    """
    asked = panel.restrict(set(questions["worker_id"]))
    options = {
        "questions": questions[["worker_id", "year", "origin_year"]].to_csv(index=False),
        "paths": paths, "seed": seed, "step": step, "education": education,
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
    compounded = compounded_predictions(
        scorer, asked, questions, paths, seed, step, education, f"{label}: compounded"
    )
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
        As `labor_llm.evaluation.horizons.draw_questions` and `score_horizon`.
    """
    if number == 0:
        return []
    asked = draw_questions(questions, number, options.get("seed", 0))
    years = int((asked["year"] - asked["origin_year"]).iloc[0])
    direct, compounded = score_horizon(panel, asked, model, label, folder, **options)
    return [HorizonPair(label, years, direct, compounded)]
