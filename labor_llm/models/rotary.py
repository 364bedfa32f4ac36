"""Rotary positions whose frequencies depend on the length of the whole text.

`longrope` has one set of them for texts up to a length and another beyond (Phi-3-mini-128k, Phi-4-mini), `dynamic`
beyond it another for every length. Each prompt of a career must be read with the frequencies of its own side.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from transformers import PreTrainedModel

from labor_llm.errors import MismatchError

NEVER = 2**31
_ORIGINAL = "original_max_position_embeddings"


def switch(model: PreTrainedModel) -> int:
    """Return the longest text that is read with the first set of frequencies, tokens; `NEVER` if there is one set."""
    config = model.config.get_text_config()
    lengths = [one.get(_ORIGINAL) for one in _sets(model, "longrope")]
    return min([*lengths, *(config.max_position_embeddings for _ in _sets(model, "dynamic"))], default=NEVER)


@contextlib.contextmanager
def one_side(model: PreTrainedModel, beyond: bool) -> Iterator[None]:
    """Let a model read every text as one beyond, or up to, the length at which its frequencies change.

    Raises:
        MismatchError: if beyond it each length has frequencies of its own.
    """
    if beyond and _sets(model, "dynamic"):
        raise MismatchError(
            f"{type(model).__name__}: beyond {switch(model):,} tokens its rotary positions are others for every length "
            "(rope type 'dynamic'), so one career cannot be read for all its records. Use another model."
        )
    # transformers keeps the length in two places, and restores one from the other.
    places = [*_sets(model, "longrope"), vars(model.config.get_text_config())]
    before = [(place, place[_ORIGINAL]) for place in places if _ORIGINAL in place]
    try:
        for place, _ in before:
            place[_ORIGINAL] = 2 if beyond else NEVER
        yield
    finally:
        for place, length in before:
            place[_ORIGINAL] = length


def _sets(model: PreTrainedModel, kind: str) -> list[dict]:
    """Return the rotary parameters of a kind; layers of different kinds have sets of their own."""
    stated = getattr(model.config.get_text_config(), "rope_parameters", None) or {}
    sets = [stated, *(one for one in stated.values() if isinstance(one, dict))]
    return [one for one in sets if kind in str(one.get("rope_type"))]
