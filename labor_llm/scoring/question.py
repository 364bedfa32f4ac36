"""What is asked of a model when a panel is scored."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

from labor_llm.careers import CareerPanel
from labor_llm.errors import InputError
from labor_llm.scoring.bounded import check_tolerance
from labor_llm.scoring.named_titles import check_names


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
