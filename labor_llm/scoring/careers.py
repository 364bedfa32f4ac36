"""Score a panel: every record of every career, resumable and shared, into the common form of predictions.

Done careers are stored as they come, twenty a shard, under a key of the model's weights, the tokenizer, the titles,
the template, the texts, the arithmetic and the code, so that a killed run goes on, a second process or machine
takes its share, and a changed model never meets old scores.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import numpy as np
from filelock import FileLock

from labor_llm.careers.panel import CareerPanel
from labor_llm.careers.predictions import (
    STAY,
    TRANSITION_COLUMNS,
    UNRESOLVED,
    Predictions,
    named_column,
    read_predictions,
    write_predictions,
)
from labor_llm.errors import InputError
from labor_llm.models.loading import LanguageModel, load_language_model
from labor_llm.progress import progress
from labor_llm.scoring.all_titles import MEMORY, all_title_log_probs
from labor_llm.scoring.bounded import bounded_title_log_probs, concatenated, rounded_up
from labor_llm.scoring.passes import PreparedCareers, prepare_careers
from labor_llm.scoring.question import Question, ask_for, result_identity, shard_key
from labor_llm.scoring.realised import named_columns_of, named_title_log_probs, realised_log_probs
from labor_llm.scoring.title_trie import TitleTrie, build_title_trie
from labor_llm.store.artefacts import check_replaceable, is_current
from labor_llm.store.results import shared_by_runs
from labor_llm.store.shards import Arrays, Shards
from labor_llm.text.prompts import Preamble
from labor_llm.text.shortening import ReadableCareer
from labor_llm.text.templates import ResumeTemplate

_CAREERS_A_SHARD = 20
MIB = 2**20
_log = logging.getLogger(__name__)


def score_careers(
    language_model: LanguageModel,
    panel: CareerPanel,
    name: str,
    all_titles_for: Collection[str] | None = None,
    template: ResumeTemplate | None = None,
    unfinished: Path | None = None,
    memory: int = MEMORY,
    ask: str | None = None,
    named: Sequence[str] = (STAY,),
    too_long: str = "shorten",
    tolerance: float = 0.0,
    line_ends: str = "all",
) -> Predictions:
    """Return the language model's predictions for every record of a panel.

    Args:
        language_model: the model.
        panel: the workers to be scored.
        name: the short name of the model in tables.
        all_titles_for: with `ask='all'`, the workers for whom every title is scored, not the realised one only;
            everybody if not given.
        template: how careers become text; the paper's main template if not given.
        unfinished: folder for the shards of an unfinished run, which other processes may share; nothing is stored
            if not given.
        memory: bytes that scoring may take beside the model and a career's keys and values.
        ask: which titles are scored beside the realised one: 'realised' (none), 'named' (those of `named`) or
            'all'. If not given, 'all' where `all_titles_for` names workers, else 'realised'.
        named: with `ask='named'`, 'stay' (the previous record's title) and occupation codes.
        too_long: what becomes of a career longer than the model can read: 'shorten' scores each record with the
            longest history that fits, whole records and the header (`labor_llm.text.shortening`), says in the
            log how many, and leaves the others as they are; 'refuse' raises an error.
        tolerance: with `ask='all'`, probability that titles which are not followed to their end may have between
            them in a record (`labor_llm.scoring.bounded`); 0 for exact scoring.
        line_ends: whether the end of the line is scored with 'all' titles, or where 'needed', as
            `labor_llm.scoring.passes.prepare_careers` says.

    Returns:
        Predictions with `log_prob` for every record, and the valid mass and the matrix for the workers of
        `all_titles_for`; with a tolerance, bounds on them and the column `unresolved`. Named titles are further
        columns `log_prob_<name>` (nats; NaN where there is no previous record). All log-probabilities come
        from float32 arithmetic unless the model was loaded otherwise.

    Raises:
        InputError: if there is no career, a career is longer than the model can read and not to be shortened, or
            what is asked for is not known.
        MismatchError: if the tokenizer does not fit the template or the titles.
        NumericalError: if the model gives something that is no probability.
    """
    question = ask_for(panel, ask, all_titles_for, named, tolerance)
    prepared = prepare_careers(language_model, panel, template, too_long, line_ends)
    return _score(language_model, prepared, name, question, unfinished, memory)


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
    ask: str = "all",
    named: Sequence[str] = (STAY,),
    too_long: str = "shorten",
    tolerance: float = 0.0,
    line_ends: str = "all",
    memory_mib: int = MEMORY // MIB,
    replace: bool = True,
    preamble: Preamble | None = None,
) -> Predictions:
    """Score a panel with a model and store the predictions as the artefact `folder`.

    If `folder` holds the predictions of the same weights, careers, choices, thread count, device and code, they are
    read instead. Several processes that run this on the same folder, on one machine or on several that share a file
    system, divide the work; each returns the whole.

    Args:
        panel: the workers to be scored.
        model: as in `load_language_model`.
        label: what tables call the model.
        folder: where the predictions will stand; beside it a hidden folder holds an unfinished run.
        all_titles_workers: with `ask='all'`, every title is scored for so many workers, drawn at random; for all
            if -1.
        dtype: as in `load_language_model`.
        quantization: as in `load_language_model`.
        inputs: artefacts for the manifest.
        seed: of the draw of workers.
        ask: as in `score_careers`.
        named: as in `score_careers`.
        too_long: as in `score_careers`; how many careers were shortened is in the manifest.
        tolerance: as in `score_careers`.
        line_ends: as in `score_careers`.
        memory_mib: as `memory` in `score_careers`, in MiB.
        replace: whether a finished result of other options, careers or weights at `folder` may be replaced.
        preamble: what stands before each resume (`labor_llm.text.prompts`), nothing if not given; it is not stored.

    Raises:
        BusyError: if a run with another model, careers or options works on the folder now.
        As `score_careers` and `load_language_model`.
    """
    workers = _chosen_workers(panel, all_titles_workers, seed)
    question = ask_for(panel, ask, workers, named, tolerance)
    options: dict[str, object] = {
        "dtype": dtype,
        "quantization": quantization,
        "too_long": too_long,
        "line_ends": line_ends,
        "memory_mib": memory_mib,
    }
    template = None
    if preamble is not None and preamble.text:
        template = ResumeTemplate(preamble=preamble.text)
        options["preamble"] = preamble.described()
    identity = result_identity(panel, model, label, question, options, __file__)
    if is_current(folder, identity):
        return read_predictions(folder)
    check_replaceable(folder, replace)
    memory = _memory(memory_mib)
    with shared_by_runs(folder, identity) as unfinished:
        if is_current(folder, identity):  # another run has finished meanwhile
            return read_predictions(folder)
        language_model = load_language_model(model, dtype, quantization)
        prepared = prepare_careers(language_model, panel, template, too_long, line_ends)
        predictions = _score(language_model, prepared, label, question, unfinished, memory)
        parameters = {
            "base": model, **options, "ask": str(question.ask), "named": list(question.named),
            "all_titles_workers": len(question.in_full), "tolerance": question.tolerance,
            "shortened": dataclasses.asdict(prepared.shortened),
            "seed": seed, "identity": identity,
        }  # fmt: skip
        # All who shared the work come here with the same numbers; the first stores them.
        with FileLock(unfinished / "result.lock"):
            if not is_current(folder, identity):
                write_predictions(folder, predictions, parameters, inputs)
    return predictions


def _memory(mib: int) -> int:
    if mib < 1:
        raise InputError(f"memory_mib is {mib}; give at least 1.")
    return mib * MIB


def _chosen_workers(panel: CareerPanel, number: int, seed: int) -> list[str]:
    """Return workers drawn at random: their ids follow the survey's sampling, so the first are no random sample."""
    workers = sorted(panel.workers)
    if not 0 <= number < len(workers):
        return workers
    return sorted(np.random.default_rng(seed).choice(workers, size=number, replace=False).tolist())


def _score(
    language_model: LanguageModel,
    prepared: PreparedCareers,
    name: str,
    question: Question,
    unfinished: Path | None,
    memory: int,
) -> Predictions:
    if prepared.shortened.careers:
        _log.warning("%s: %s", name, prepared.shortened.sentence())
    trie = build_title_trie(prepared.titles)
    shards = Shards(unfinished, shard_key(language_model, prepared, question, __file__))
    number = len(prepared.careers)
    with progress(f"scoring {name}", number, "career") as advance:

        def compute(start: int) -> Arrays:
            rows = range(start, min(start + _CAREERS_A_SHARD, number))
            return _score_shard(language_model, prepared, rows, trie, question, memory, advance)

        def found(start: int) -> None:
            advance(min(_CAREERS_A_SHARD, number - start), "")

        parts = shards.collect(list(range(0, number, _CAREERS_A_SHARD)), compute, found)
    return _predictions(name, prepared, question, parts)


def _score_shard(
    language_model: LanguageModel,
    prepared: PreparedCareers,
    rows: Collection[int],
    trie: TitleTrie,
    question: Question,
    memory: int,
    advance: Callable[[int, str], None],
) -> Arrays:
    """Return the log-probabilities of some careers.

    Returns:
        `realised` [records] and `named` [records, names]; of the workers in full, `matrix` [records, titles], and
        where it holds bounds, `upper` [records, titles] and `unresolved` [records].
    """
    in_full = set(question.in_full)
    found: dict[str, list[np.ndarray]] = {
        "realised": [],
        "named": [],
        "matrix": [],
        "upper": [],
        "unresolved": [],
    }
    for row in rows:
        career, occupations = prepared.careers[row], prepared.occupations[row]
        happened = np.concatenate([realised_log_probs(language_model, part) for part in career.parts])
        found["realised"].append(happened)
        if career.worker_id in in_full:
            scores = _all_titles(
                language_model, career, occupations, happened, trie, question.tolerance, memory
            )
            for name, array in scores.items():
                found[name].append(array)
        wanted = named_columns_of(occupations, question.named, prepared.outcomes)
        found["named"].append(
            named_title_log_probs(
                language_model, career, wanted, occupations, happened, prepared.titles, memory
            )
        )
        advance(1, "")
    return {name: np.concatenate(arrays) for name, arrays in found.items() if arrays}


def _all_titles(
    language_model: LanguageModel,
    career: ReadableCareer,
    occupations: Sequence[int],
    happened: np.ndarray,
    trie: TitleTrie,
    tolerance: float,
    memory: int,
) -> Arrays:
    """Return `matrix` [records, titles], with a tolerance also `upper` [records, titles] and `unresolved` [records]."""
    if not tolerance:
        exact = [all_title_log_probs(language_model, part, trie, memory=memory) for part in career.parts]
        return {"matrix": np.concatenate(exact)}
    scores = concatenated(
        [
            bounded_title_log_probs(language_model, part, trie, tolerance, memory=memory)
            for part in career.parts
        ]
    ).with_known(np.asarray(occupations), happened)
    return {"matrix": scores.lower, "upper": scores.upper, "unresolved": scores.unresolved}


def _predictions(
    name: str, prepared: PreparedCareers, question: Question, parts: Sequence[Arrays]
) -> Predictions:
    arrays = {
        kind: np.concatenate([part[kind] for part in parts if kind in part])
        for kind in dict.fromkeys(kind for part in parts for kind in part)
    }
    table = prepared.table[list(TRANSITION_COLUMNS)].copy()
    table["log_prob"] = arrays["realised"]
    table["log_valid_mass"] = np.nan
    matrix, upper = arrays.get("matrix"), arrays.get("upper")
    if matrix is not None:
        full = table["worker_id"].isin(question.in_full)
        table.loc[full, "log_valid_mass"] = np.logaddexp.reduce(matrix, axis=1)
        matrix = matrix.astype(np.float32)
        if upper is not None:
            table.loc[full, UNRESOLVED] = arrays["unresolved"]
            upper = rounded_up(upper)
    for column, title in enumerate(question.named):
        table[named_column(title)] = arrays["named"][:, column]
    return Predictions(name, table, prepared.outcomes, matrix, upper)
