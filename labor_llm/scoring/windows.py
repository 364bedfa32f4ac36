"""Score careers that are cut to their last records with a language model, and store what is done.

Only the last record of each window is asked for, and all windows of a worker begin with the same lines about the
worker. These are read once; their keys and values serve all of the worker's windows, whose text after them is short.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from transformers import DynamicCache

from labor_llm.careers.histories import HistoryWindows, history_windows
from labor_llm.careers.panel import CareerPanel
from labor_llm.careers.predictions import TRANSITION_COLUMNS, Predictions, read_predictions, write_predictions
from labor_llm.models.loading import LanguageModel, load_language_model
from labor_llm.progress import progress
from labor_llm.scoring.careers import score_panel
from labor_llm.scoring.passes import PreparedCareers, bare_model, prepare_careers
from labor_llm.scoring.question import Asked, Question, result_identity, shard_key
from labor_llm.store.artefacts import check_replaceable, is_current
from labor_llm.store.results import shared_by_runs
from labor_llm.store.shards import Arrays, Shards
from labor_llm.text.tokenization import EncodedResume

_WORKERS_A_SHARD = 20


def score_windows(
    panel: CareerPanel,
    lengths: Sequence[int],
    model: str,
    label: str,
    folder: Path,
    dtype: str = "float32",
    quantization: str = "none",
    inputs: dict[str, Path] | None = None,
) -> dict[int | None, Predictions]:
    """Return a language model's predictions of realised titles with each length of history, and with the whole one.

    What was scored before, of the same weights, careers and code, is read instead; an interrupted run goes on.

    Args:
        panel: careers whose records are predicted.
        lengths: numbers of records shown, as `labor_llm.careers.histories.predict_windows`.
        model: as in `load_language_model`.
        label: what tables call the model.
        folder: in which the predictions of each length are stored, an artefact each: `last-1`, ..., `all`.
        dtype: as in `load_language_model`.
        quantization: as in `load_language_model`.
        inputs: artefacts for the manifests.

    Returns:
        As `labor_llm.careers.histories.predict_windows`.

    Raises:
        As `predict_windows` and `labor_llm.scoring.careers.score_panel`.
    """
    found: dict[int | None, Predictions] = {}
    for records in sorted(set(lengths)):
        windows = history_windows(panel, records)
        found[records] = _stored(
            windows, model, label, folder / f"last-{records}", dtype, quantization, inputs
        )
    found[None] = score_panel(
        panel,
        model,
        label,
        folder / "all",
        dtype=dtype,
        quantization=quantization,
        inputs=inputs,
        ask="realised",
    )
    return found


def last_log_probs(language_model: LanguageModel, texts: Sequence[EncodedResume]) -> np.ndarray:
    """Return the log-probability of each text's last realised title, float64 [texts], nats.

    Args:
        language_model: the model.
        texts: of one worker; the tokens that they all begin with are read once.
    """
    model, device = bare_model(language_model), language_model.device
    shared = _common_length(texts)
    cache = DynamicCache()
    with torch.inference_mode():
        beginning = torch.as_tensor(texts[0].ids[:shared], device=device)
        model(input_ids=beginning[None], use_cache=True, past_key_values=cache, logits_to_keep=1)
        found = []
        for text in texts:
            start, end = text.spans[-1]
            ids = torch.as_tensor(text.ids[shared : end - 1], device=device)
            output = model(
                input_ids=ids[None], use_cache=True, past_key_values=cache, logits_to_keep=end - start
            )
            cache.crop(-len(ids))
            title = torch.as_tensor(text.ids[start:end], device=device)
            log_probs = torch.log_softmax(output.logits[0].float(), dim=-1)
            found.append(float(log_probs.gather(1, title[:, None]).double().sum()))
    return np.array(found)


def _common_length(texts: Sequence[EncodedResume]) -> int:
    """Return how many tokens all texts begin with, short of the token before the first one to be predicted."""
    most = min(text.spans[-1][0] for text in texts) - 1
    first = texts[0].ids[:most]
    differs = np.zeros(most, dtype=bool)
    for text in texts[1:]:
        differs |= text.ids[:most] != first
    return int(differs.argmax()) if differs.any() else most


def _stored(
    windows: HistoryWindows,
    model: str,
    label: str,
    folder: Path,
    dtype: str,
    quantization: str,
    inputs: dict[str, Path] | None,
) -> Predictions:
    options = {"dtype": dtype, "quantization": quantization, "targets": windows.targets.to_csv()}
    question = Question(Asked.REALISED)
    identity = result_identity(windows.panel, model, label, question, options, __file__)
    if is_current(folder, identity):
        return read_predictions(folder)
    check_replaceable(folder)
    with shared_by_runs(folder, identity) as unfinished:
        language_model = load_language_model(model, dtype, quantization)
        prepared = prepare_careers(language_model, windows.panel)
        key = shard_key(language_model, prepared, question, __file__)
        predictions = _scored(language_model, windows, prepared, label, Shards(unfinished, key))
        parameters = {
            "base": model, "records": windows.records, "dtype": dtype, "quantization": quantization,
            "identity": identity,
        }  # fmt: skip
        # All who shared the work come here with the same numbers; the first stores them.
        with FileLock(unfinished / "result.lock"):
            if not is_current(folder, identity):
                write_predictions(folder, predictions, parameters, inputs)
    return predictions


def _scored(
    language_model: LanguageModel,
    windows: HistoryWindows,
    prepared: PreparedCareers,
    label: str,
    shards: Shards,
) -> Predictions:
    workers = windows.targets["worker_id"].to_numpy()
    # A worker's windows stand together, in the order of the panel.
    begins = np.flatnonzero(np.r_[True, workers[1:] != workers[:-1]])
    bounds = np.r_[begins, len(workers)]
    name = f"scoring {label}, last {windows.records}"
    with progress(name, len(begins), "worker") as advance:

        def compute(start: int) -> Arrays:
            parts = []
            for worker in range(start, min(start + _WORKERS_A_SHARD, len(begins))):
                careers = prepared.careers[bounds[worker] : bounds[worker + 1]]
                parts.append(last_log_probs(language_model, [career.parts[-1] for career in careers]))
                advance(1, "")
            return {"last": np.concatenate(parts)}

        def found(start: int) -> None:
            advance(min(_WORKERS_A_SHARD, len(begins) - start), "")

        starts = list(range(0, len(begins), _WORKERS_A_SHARD))
        log_probs = np.concatenate([part["last"] for part in shards.collect(starts, compute, found)])
    table = prepared.table.groupby("worker_id", sort=False).tail(1)[list(TRANSITION_COLUMNS)]
    table = table.reset_index(drop=True).assign(log_prob=log_probs, log_valid_mass=np.nan)
    return windows.of_targets(Predictions(label, table, prepared.outcomes))
