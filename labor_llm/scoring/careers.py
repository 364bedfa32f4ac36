"""Score a panel: every record of every career, resumable, into the common form of predictions.

Done careers are stored as they come, twenty a shard, under a key of the model's weights, the tokenizer,
the titles, the template and the texts, so that a killed run goes on and a changed model never meets old scores.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Collection
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from labor_llm.artefacts import check_replaceable, environment, is_current, verify, writing
from labor_llm.careers import CareerPanel, transitions
from labor_llm.errors import ArtefactError, InputError, MismatchError
from labor_llm.language_models import LanguageModel, load_language_model, weights_checksum
from labor_llm.locks import only_run_into
from labor_llm.occupations import OutcomeSpace
from labor_llm.predictions import TRANSITION_COLUMNS, Predictions, read_predictions, write_predictions
from labor_llm.progress import progress
from labor_llm.scoring.all_titles import POSITIONS, all_title_log_probs
from labor_llm.scoring.realised import realised_log_probs
from labor_llm.scoring.title_trie import TitleTrie, build_title_trie
from labor_llm.sources import code_checksum
from labor_llm.templates import ResumeTemplate, resumes
from labor_llm.tokenization import EncodedResume, encode_resume, encode_titles

_CAREERS_A_SHARD = 20


def score_careers(
    language_model: LanguageModel,
    panel: CareerPanel,
    name: str,
    all_titles_for: Collection[str] | None = None,
    template: ResumeTemplate | None = None,
    unfinished: Path | None = None,
    positions: int = POSITIONS,
) -> Predictions:
    """Return the language model's predictions for every record of a panel.

    Args:
        language_model: the model.
        panel: the workers to be scored.
        name: the short name of the model in tables.
        all_titles_for: the workers for whom every title is scored, not the realised one only; none if not given.
        template: how careers become text; the paper's main template if not given.
        unfinished: folder for the shards of an unfinished run; nothing is stored if not given.
        positions: bound on the positions run at once (memory), see `labor_llm.scoring.all_titles`.

    Returns:
        Predictions with `log_prob` for every record, and the valid mass and the matrix for the
        workers of `all_titles_for`. Both kinds of log-probability come from float32 arithmetic
        unless the model was loaded otherwise.

    Raises:
        InputError: if a career is longer than the model can read.
        MismatchError: if the tokenizer does not fit the template or the titles.
    """
    template = template or ResumeTemplate()
    encoded = [encode_resume(language_model.tokenizer, resume) for resume in resumes(panel, template)]
    titles = encode_titles(language_model.tokenizer, panel.outcomes, template)
    table = transitions(panel)
    _check_careers(language_model, encoded, titles, table, panel.outcomes)
    in_full = set(all_titles_for or ())
    trie = build_title_trie(titles)
    shards = _Shards(unfinished, _key(language_model, encoded, titles, in_full))
    parts = []
    with progress(f"scoring {name}", len(encoded), "career") as advance:
        for start in range(0, len(encoded), _CAREERS_A_SHARD):
            careers = encoded[start : start + _CAREERS_A_SHARD]
            part = shards.read(start)
            if part is None:
                part = _score_shard(language_model, careers, trie, in_full, positions, advance)
                shards.write(start, *part)
            else:
                advance(len(careers), "")
            parts.append(part)
    return _predictions(name, table, panel.outcomes, in_full, parts)


def score_panel(
    panel: CareerPanel,
    model: str,
    label: str,
    folder: Path,
    all_titles_workers: int = -1,
    dtype: str = "float32",
    quantization: str = "none",
    inputs: dict[str, Path] | None = None,
    seed: int = 1,
) -> Predictions:
    """Score a panel with a model and store the predictions as the artefact `folder`.

    If `folder` holds the predictions of the same weights, careers, choices, thread count and code, they are
    read instead.

    Args:
        panel: the workers to be scored.
        model: as in `load_language_model`.
        label: what tables call the model.
        folder: where the predictions will stand; beside it a hidden folder holds an unfinished run.
        all_titles_workers: every title is scored for so many workers, drawn at random; for all if -1.
        dtype: as in `load_language_model`.
        quantization: as in `load_language_model`.
        inputs: artefacts for the manifest.
        seed: of the draw of workers.

    Raises:
        As `score_careers` and `load_language_model`.
    """
    workers = _chosen_workers(panel, all_titles_workers, seed)
    identity = _identity(panel, model, label, workers, dtype, quantization)
    if is_current(folder, identity):
        return read_predictions(folder)
    check_replaceable(folder)
    with only_run_into(folder) as unfinished:
        language_model = load_language_model(model, dtype, quantization)
        predictions = score_careers(language_model, panel, label, workers, unfinished=unfinished)
        parameters = {
            "base": model, "dtype": dtype, "quantization": quantization, "all_titles_workers": len(workers),
            "seed": seed, "identity": identity,
        }  # fmt: skip
        write_predictions(folder, predictions, parameters, inputs)
        shutil.rmtree(unfinished, ignore_errors=True)
    return predictions


def _chosen_workers(panel: CareerPanel, number: int, seed: int) -> list[str]:
    """Return workers drawn at random: their ids follow the survey's sampling, so the first are no random sample."""
    workers = sorted(panel.workers)
    if not 0 <= number < len(workers):
        return workers
    return sorted(np.random.default_rng(seed).choice(workers, size=number, replace=False).tolist())


def _identity(
    panel: CareerPanel, model: str, label: str, workers: Collection[str], dtype: str, quantization: str
) -> str:
    """Return a hash of all that stored predictions depend on."""
    described = [
        weights_checksum(model), label, sorted(workers), dtype, quantization, torch.get_num_threads(),
        code_checksum(__file__), environment()["versions"], panel.survey, panel.outcomes.codes, panel.outcomes.titles,
    ]  # fmt: skip
    digest = hashlib.sha256(json.dumps(described).encode())
    digest.update(panel.frame.to_csv(index=False).encode())
    return digest.hexdigest()


def _score_shard(
    language_model: LanguageModel,
    careers: list[EncodedResume],
    trie: TitleTrie,
    in_full: set[str],
    positions: int,
    advance: Callable[[int, str], None],
) -> tuple[np.ndarray, np.ndarray]:
    """Return realised log-probabilities [records] and the matrix [records in full, titles] of some careers."""
    realised, matrices = [], [np.empty((0, len(trie.title_edges)))]
    for resume in careers:
        realised.append(realised_log_probs(language_model, resume))
        if resume.worker_id in in_full:
            matrices.append(all_title_log_probs(language_model, resume, trie, positions))
        advance(1, "")
    return np.concatenate(realised), np.concatenate(matrices)


def _predictions(
    name: str,
    table: pd.DataFrame,
    outcomes: OutcomeSpace,
    in_full: set[str],
    parts: list[tuple[np.ndarray, np.ndarray]],
) -> Predictions:
    table = table[list(TRANSITION_COLUMNS)].copy()
    table["log_prob"] = np.concatenate([realised for realised, _ in parts])
    matrix = np.concatenate([matrix for _, matrix in parts])
    full = table["worker_id"].isin(in_full)
    table["log_valid_mass"] = np.nan
    table.loc[full, "log_valid_mass"] = np.logaddexp.reduce(matrix, axis=1) if len(matrix) else []
    return Predictions(name, table, outcomes, matrix.astype(np.float32) if in_full else None)


def _check_careers(
    language_model: LanguageModel,
    encoded: list[EncodedResume],
    titles: list[tuple[int, ...]],
    table: pd.DataFrame,
    outcomes: OutcomeSpace,
) -> None:
    """Check that careers fit the context and that each realised title has the tokens that the tree gives it."""
    longest = max(len(resume.ids) for resume in encoded) + max(map(len, titles))
    if longest > language_model.context:
        raise InputError(
            f"The longest career and title have {longest:,} tokens, {language_model.name} reads "
            f"{language_model.context:,}. Shorten the history, or use a model with a longer context."
        )
    realised = iter(outcomes.indices(table["occupation"]))
    for resume in encoded:
        for record in range(len(resume.spans)):
            title = next(realised)
            if resume.continuation_ids(record) != titles[title]:
                raise MismatchError(
                    f"{language_model.name}: the tokenizer encodes the title {outcomes.titles[title]!r} differently "
                    "from one line to another, so one tree of titles cannot serve all records. Use another tokenizer."
                )


def _key(
    language_model: LanguageModel,
    encoded: list[EncodedResume],
    titles: list[tuple[int, ...]],
    in_full: set[str],
) -> str:
    """Return a hash of everything that the scores depend on: weights, texts, titles and what is asked."""
    digest = hashlib.sha256()
    described = {
        # The base of an adapter counts too; a model without one is its own base, and is read once.
        "weights": {name: weights_checksum(name) for name in {language_model.name, language_model.base}},
        "dtype": str(language_model.model.dtype),
        "quantized": bool(getattr(language_model.model, "is_quantized", False)),
        "device": language_model.device.type,
        "titles": titles,
        "in_full": sorted(in_full),
    }
    digest.update(json.dumps(described, sort_keys=True).encode())
    for resume in encoded:
        digest.update(resume.ids.tobytes())
    return digest.hexdigest()[:24]


class _Shards:
    """Stored parts of an unfinished run; every one is an artefact of its own."""

    def __init__(self, folder: Path | None, key: str) -> None:
        self._folder = folder / key if folder else None

    def read(self, start: int) -> tuple[np.ndarray, np.ndarray] | None:
        """Return a stored part, or None if it is absent or damaged (it is then scored again)."""
        if self._folder is None:
            return None
        shard = self._folder / f"careers-{start:08d}"
        try:
            verify(shard)
        except ArtefactError:
            return None
        realised, matrix = (
            np.load(shard / f"{name}.npy", allow_pickle=False) for name in ("realised", "matrix")
        )
        return realised, matrix

    def write(self, start: int, realised: np.ndarray, matrix: np.ndarray) -> None:
        if self._folder is None:
            return
        with writing(self._folder / f"careers-{start:08d}") as aside:
            np.save(aside / "realised.npy", realised, allow_pickle=False)
            np.save(aside / "matrix.npy", matrix, allow_pickle=False)
