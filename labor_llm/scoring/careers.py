"""Score a panel: every record of every career, resumable and shared, into the common form of predictions.

Done careers are stored as they come, twenty a shard, or those of one pass over several, under a hash of the model's
weights, the careers and titles, what is asked, the arithmetic and the code, so that a killed run goes on, a second
process or machine takes its share, and a changed model never meets old scores.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from labor_llm.careers.occupations import OutcomeSpace
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
from labor_llm.models.batches import passes
from labor_llm.models.folders import weights_checksum
from labor_llm.models.loading import LanguageModel, load_language_model
from labor_llm.scoring.all_titles import all_title_log_probs
from labor_llm.scoring.bounded import bounded_title_log_probs, concatenated, rounded_up
from labor_llm.scoring.passes import (
    Beginning,
    PreparedCareers,
    batch_log_probs,
    prepare_careers,
    realised_log_probs,
)
from labor_llm.scoring.settings import ScoringSettings
from labor_llm.scoring.title_trie import TitleTrie, build_title_trie
from labor_llm.scoring.trials import tried_beginning, tried_tokens, try_scorers
from labor_llm.store.artefacts import environment
from labor_llm.store.results import Arrays, in_shards, stored
from labor_llm.store.staleness import code_checksum
from labor_llm.text.settings import Preamble
from labor_llm.text.tokenization import EncodedResume

_MIB = 2**20
_NONE = -1
_log = logging.getLogger(__name__)


def score_careers(
    language_model: LanguageModel, panel: CareerPanel, name: str, settings: ScoringSettings
) -> Predictions:
    """Return the language model's predictions for every record of a panel.

    Args:
        language_model: the model, loaded; what the settings say of loading and of test workers is of no matter here.
        panel: the workers to be scored.
        name: the short name of the model in tables.
        settings: what is scored, and how.

    Returns:
        Predictions with `log_prob` for every record. With titles 'all', the valid mass and the matrix for the workers
        whose every title is scored; with a tolerance, bounds on them and the column `unresolved`. Named titles are
        further columns `log_prob_<name>` (nats; NaN where there is no previous record). All log-probabilities come
        from float32 arithmetic unless the model was loaded otherwise.

    Raises:
        InputError: if there is no career, a career is longer than the model can read and not to be shortened, or
            a named title is not known.
        MismatchError: if the tokenizer does not fit the template or the titles, or the fast scorers do not give for
            this model what one plain pass for each prompt and title gives.
        NumericalError: if the model gives something that is no probability.
    """
    question = _asked(panel, settings, seed=1)
    return _score(prepare_careers(language_model, panel, settings), name, settings, question, None)


def score_panel(
    panel: CareerPanel,
    model: str,
    label: str,
    folder: Path,
    settings: ScoringSettings,
    *,
    seed: int = 1,
    inputs: Mapping[str, Path] | None = None,
    preamble: Preamble | None = None,
    replace: bool = True,
    load: Callable[[str, str, str], LanguageModel] = load_language_model,
) -> Predictions:
    """Score a panel with a model and store the predictions as the artefact `folder`.

    If `folder` holds the predictions of the same weights, careers, choices, thread count, device and code, they are
    read instead. Several processes that run this on the same folder, on one machine or on several that share a file
    system, divide the work; each returns the whole.

    Args:
        panel: the workers to be scored, all of them: `test_workers` are drawn before, by
            `labor_llm.careers.samples.sampled`.
        model: as in `load_language_model`.
        label: what tables call the model.
        folder: where the predictions will stand; beside it a hidden folder holds an unfinished run.
        settings: what is scored, and how; how many careers were shortened is in the manifest.
        seed: of the draw of those for whom every title is scored.
        inputs: artefacts for the manifest.
        preamble: what stands before each resume, nothing if not given; it is not stored.
        replace: whether a finished result of other options, careers or weights at `folder` may be replaced.
        load: loads the model, if it is needed; `functools.cache(load_language_model)` spares who needs it again a
            second time.

    Raises:
        BusyError: if a run with another model, careers or options works on the folder now.
        As `score_careers` and `load_language_model`.
    """
    question = _asked(panel, settings, seed)
    options: dict[str, object] = settings.model_dump(
        include={"dtype", "quantization", "too_long", "line_ends", "memory_mib"}
    )
    before = preamble.text if preamble is not None else ""
    if before:
        options["preamble"] = preamble.described
    identity = result_identity(panel, model, label, {**options, **question}, __file__)

    def make(unfinished: Path) -> tuple[Predictions, dict[str, object]]:
        language_model = load(model, settings.dtype, settings.quantization)
        prepared = prepare_careers(language_model, panel, settings, before)
        predictions = _score(prepared, label, settings, question, unfinished / identity)
        asked = {**question, "all_titles_workers": len(question["in_full"])}
        del asked["in_full"]
        shortened = dataclasses.asdict(prepared.shortened)
        return predictions, {"base": model, **options, **asked, "shortened": shortened, "seed": seed}

    return stored(folder, identity, make, read_predictions, write_predictions, inputs, replace)


def result_identity(
    panel: CareerPanel, model: str, label: str, choices: Mapping[str, object], program: str
) -> str:
    """Return a hash of all that stored predictions depend on.

    Args:
        panel: the workers.
        model: as in `load_language_model`.
        label: what tables call it.
        choices: what is asked, how the model is loaded and the careers are read.
        program: the module whose code, with all that it rests on, makes them.
    """
    described = [
        weights_checksum(model), label, choices, panel.survey, panel.outcomes.codes, panel.outcomes.titles,
        # What the last digits depend on.
        torch.get_num_threads(), torch.cuda.is_available(), code_checksum(program), environment()["versions"],
    ]  # fmt: skip
    digest = hashlib.sha256(json.dumps(described).encode())
    digest.update(panel.frame.to_csv(index=False).encode())
    return digest.hexdigest()


def _asked(panel: CareerPanel, settings: ScoringSettings, seed: int) -> dict[str, Any]:
    """Return what is asked, without choices that do not matter: which titles, of whom, how closely."""
    named, in_full = [], []
    if settings.titles == "named":
        check_names(settings.named, panel.outcomes)
        named = settings.named
    if settings.titles == "all":
        in_full = sorted(panel.workers)
        if 0 <= settings.all_titles_workers < len(in_full):
            # Ids follow the survey's sampling, so the first would be no random sample.
            drawn = np.random.default_rng(seed).choice(in_full, settings.all_titles_workers, replace=False)
            in_full = sorted(drawn.tolist())
    return {"ask": settings.titles, "named": named, "in_full": in_full, "tolerance": settings.tolerance}


def check_names(names: Sequence[str], outcomes: OutcomeSpace) -> None:
    """Refuse a name that is neither 'stay' nor an occupation code.

    Raises:
        InputError: if a name is not known, or stands twice.
    """
    if STAY in names and STAY in outcomes.codes:
        raise InputError(
            f"{STAY!r} is an occupation code of this panel and the name of the previous title too; rename the code."
        )
    for name in names:
        if name != STAY and name not in outcomes.codes:
            raise InputError(
                f"{name!r} is no title that can be asked for: give {STAY!r} or an occupation code."
            )
    if len(set(names)) < len(names):
        raise InputError(f"The named titles are {', '.join(names)}; name each once.")


def _score(
    prepared: PreparedCareers,
    name: str,
    settings: ScoringSettings,
    question: Mapping[str, Any],
    shards: Path | None,
) -> Predictions:
    if prepared.shortened.careers:
        _log.warning("%s: %s", name, prepared.shortened.sentence())
    trie, in_full = build_title_trie(prepared.titles), set(question["in_full"])
    bounded = bool(in_full and settings.tolerance)
    trial = try_scorers(prepared, all_titles=bool(in_full or question["named"]), bounded=bounded)
    beginning, what = tried_beginning(prepared, trial), f"scoring {name}"

    def score(row: int) -> Arrays:
        wanted = trie if prepared.careers[row].worker_id in in_full else None
        return _career_scores(prepared, row, settings, question["named"], wanted, beginning)

    if in_full or question["named"]:
        arrays = in_shards(shards, len(prepared.careers), score, what, "career")
    else:
        tokens = tried_tokens(prepared.language_model, trial, beginning)
        arrays = {"realised": _realised(prepared, tokens, beginning, shards, what)}
    table = prepared.table[list(TRANSITION_COLUMNS)].assign(
        log_prob=arrays["realised"], log_valid_mass=np.nan
    )
    matrix, upper = arrays.get("matrix"), arrays.get("upper")
    if matrix is not None:
        full = table["worker_id"].isin(in_full)
        table.loc[full, "log_valid_mass"] = np.logaddexp.reduce(matrix, axis=1)
        matrix = matrix.astype(np.float32)
        if upper is not None:
            table.loc[full, UNRESOLVED] = arrays["unresolved"]
            upper = rounded_up(upper)
    for column, title in enumerate(question["named"]):
        table[named_column(title)] = arrays["named"][:, column]
    return Predictions(name, table, prepared.outcomes, matrix, upper)


def _realised(
    prepared: PreparedCareers, tokens: int, beginning: Beginning | None, shards: Path | None, what: str
) -> np.ndarray:
    """Return the log-probabilities of realised titles alone, in passes of so many tokens; float64 [records]."""
    texts = prepared.texts
    # In the order of the careers as far as may be, so that what is left is told from what is done.
    divided = sorted(passes([len(text.ids) for text in texts], tokens, "padded"))

    def score(number: int) -> Arrays:
        together = [texts[place] for place in divided[number]]
        return {"realised": batch_log_probs(prepared.language_model, together, beginning)}

    unit, size = ("career", 20) if tokens == 1 else ("round", 1)
    # Processes whose trials ended otherwise divide the texts otherwise, and share no shards.
    folder = shards and shards / f"{len(divided)}-passes-{size}-a-shard"
    found = in_shards(folder, len(divided), score, what, unit, size)["realised"]
    order = [place for one in divided for place in one]
    return found[np.argsort(np.repeat(order, [len(texts[place].spans) for place in order]), kind="stable")]


def _career_scores(
    prepared: PreparedCareers,
    row: int,
    settings: ScoringSettings,
    named: Sequence[str],
    trie: TitleTrie | None,
    beginning: Beginning | None,
) -> Arrays:
    """Return the log-probabilities of a career.

    Returns:
        `realised` [records] and `named` [records, names]; with a tree of all titles, `matrix` [records, titles], and
        where it holds bounds, `upper` [records, titles] and `unresolved` [records].
    """
    language_model, parts = prepared.language_model, prepared.careers[row].parts
    memory = settings.memory_mib * _MIB
    happened = np.concatenate([realised_log_probs(language_model, part, beginning) for part in parts])
    scores = {"realised": happened, "named": _named_log_probs(prepared, row, named, happened, memory)}
    if trie is None:
        return scores
    tolerance = settings.tolerance
    if not tolerance:
        exact = [all_title_log_probs(language_model, part, trie, memory) for part in parts]
        return scores | {"matrix": np.concatenate(exact)}
    found = [bounded_title_log_probs(language_model, part, trie, tolerance, memory) for part in parts]
    bounds = concatenated(found).with_known(np.asarray(prepared.occupations[row]), happened)
    return scores | {"matrix": bounds.lower, "upper": bounds.upper, "unresolved": bounds.unresolved}


def _named_log_probs(
    prepared: PreparedCareers, row: int, names: Sequence[str], realised: np.ndarray, memory: int
) -> np.ndarray:
    """Return the log-probability of named titles of a career [records, names]; NaN where there is none.

    They are the same numbers as among all titles, for a small part of the work. A named title that occurred is known
    already. The others of a text make one tree, which hangs on the records that lack some of them.
    """
    occupations = np.asarray(prepared.occupations[row])
    wanted = np.full((len(occupations), len(names)), _NONE, dtype=np.int64)
    for column, name in enumerate(names):
        if name == STAY:
            wanted[1:, column] = occupations[:-1]
        else:
            wanted[:, column] = prepared.outcomes.index(name)
    happened = wanted == occupations[:, None]
    log_probs = np.where(happened, realised[:, None], np.nan)
    unknown = (wanted != _NONE) & ~happened
    begin = 0
    for part in prepared.careers[row].parts:
        end = begin + len(part.spans)
        rows = begin + np.flatnonzero(unknown[begin:end].any(axis=1))
        if len(rows):
            columns = np.unique(wanted[rows][unknown[rows]])
            trie = build_title_trie([prepared.titles[column] for column in columns])
            asked = EncodedResume(part.worker_id, part.ids, tuple(part.spans[row - begin] for row in rows))
            matrix = all_title_log_probs(prepared.language_model, asked, trie, memory)
            row_numbers, name_numbers = np.nonzero(unknown[rows])
            found = np.searchsorted(columns, wanted[rows[row_numbers], name_numbers])
            log_probs[rows[row_numbers], name_numbers] = matrix[row_numbers, found]
        begin = end
    return log_probs
