"""What is asked of a model when a panel is scored.

What scores depend on, as one hash: so that stored ones are used again where nothing has changed, and only there.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import torch

from labor_llm.careers.panel import CareerPanel
from labor_llm.errors import InputError
from labor_llm.models.loading import LanguageModel, weights_checksum
from labor_llm.scoring.bounded import check_tolerance
from labor_llm.scoring.passes import PreparedCareers
from labor_llm.scoring.realised import check_names
from labor_llm.store.artefacts import environment
from labor_llm.store.staleness import code_checksum


class Asked(StrEnum):
    """Which titles are scored; the realised one always is."""

    REALISED = "realised"
    NAMED = "named"
    ALL = "all"


@dataclass(frozen=True)
class Question:
    """Which titles are scored, of whom, how closely.

    Attributes:
        ask: which titles.
        in_full: with `ask='all'`, the workers for whom every title is scored, sorted.
        named: with `ask='named'`, the names of the titles.
        tolerance: with `ask='all'`, probability that may remain unresolved in a record; 0 for exact scoring.
    """

    ask: Asked
    in_full: tuple[str, ...] = ()
    named: tuple[str, ...] = ()
    tolerance: float = 0.0


def ask_for(
    panel: CareerPanel,
    ask: str | None,
    all_titles_for: Collection[str] | None,
    named: Sequence[str],
    tolerance: float,
) -> Question:
    """Return the question that the arguments of `labor_llm.scoring.careers.score_careers` ask.

    Raises:
        InputError: if one of them is not known or out of range.
    """
    check_tolerance(tolerance)
    if ask is None:
        ask = Asked.ALL if all_titles_for else Asked.REALISED
    if ask not in [*Asked]:
        raise InputError(f"ask is {ask!r}; choose one of {', '.join(Asked)}.")
    if tolerance and ask != Asked.ALL:
        raise InputError(
            f"A tolerance goes with ask='all'; with ask={str(ask)!r} every title is scored exactly."
        )
    if ask == Asked.ALL:
        everybody = panel.workers if all_titles_for is None else all_titles_for
        return Question(Asked.ALL, in_full=tuple(sorted(everybody)), tolerance=tolerance)
    if ask == Asked.NAMED:
        check_names(named, panel.outcomes)
        return Question(Asked.NAMED, named=tuple(named))
    return Question(Asked.REALISED)


def result_identity(
    panel: CareerPanel,
    model: str,
    label: str,
    question: Question,
    options: Mapping[str, object],
    program: str,
) -> str:
    """Return a hash of all that stored predictions depend on.

    Args:
        panel: the workers.
        model: as in `load_language_model`.
        label: what tables call it.
        question: what is asked.
        options: how the model is loaded and the careers are read.
        program: the module whose code, with all that it rests on, makes them.
    """
    described = [
        weights_checksum(model), label, dataclasses.asdict(question), options, *_arithmetic(program),
        "cuda" if torch.cuda.is_available() else "cpu",
        panel.survey, panel.outcomes.codes, panel.outcomes.titles,
    ]  # fmt: skip
    digest = hashlib.sha256(json.dumps(described).encode())
    digest.update(panel.frame.to_csv(index=False).encode())
    return digest.hexdigest()


def _arithmetic(program: str) -> list[object]:
    """Return what the last digits depend on: threads, code and the versions of the libraries."""
    return [torch.get_num_threads(), code_checksum(program), environment()["versions"]]


def shard_key(
    language_model: LanguageModel, prepared: PreparedCareers, question: Question, program: str
) -> str:
    """Return a hash of everything that the scores depend on: weights, texts, titles what is asked and `program`."""
    quantization = getattr(language_model.model.config, "quantization_config", None)
    described = {
        # The base of an adapter counts too; a model without one is its own base, and is read once.
        "weights": {name: weights_checksum(name) for name in {language_model.name, language_model.base}},
        "dtype": str(language_model.model.dtype),
        "quantization": str(quantization and sorted(quantization.to_dict().items(), key=str)),
        "device": language_model.device.type,
        "titles": prepared.titles,
        # Named titles are found by code and workers in full by id: other codes or ids ask for other numbers.
        "codes": prepared.outcomes.codes,
        "occupations": prepared.occupations,
        "workers": [career.worker_id for career in prepared.careers],
        "question": dataclasses.asdict(question),
        "arithmetic": _arithmetic(program),
    }
    digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
    for career in prepared.careers:
        for part in career.parts:
            digest.update(repr(part.spans).encode())
            digest.update(part.ids.tobytes())
    return digest.hexdigest()[:24]
