"""A panel made ready for a language model: texts, tokens and titles, checked before anything is scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd

from labor_llm.careers import CareerPanel, transitions
from labor_llm.errors import InputError, MismatchError
from labor_llm.language_models import LanguageModel
from labor_llm.occupations import OutcomeSpace
from labor_llm.scoring.shortening import TOO_LONG, ReadableCareer, Shortened, count_shortened, readable_career
from labor_llm.templates import ResumeTemplate, resumes
from labor_llm.tokenization import check_split, encode_titles, without_needless_line_ends

LINE_ENDS = ("all", "needed")


@dataclass(frozen=True)
class PreparedCareers:
    """What is to be scored.

    Attributes:
        outcomes: the outcome space.
        table: rows of `labor_llm.careers.transitions`, in the order of the careers.
        careers: the careers as texts that the model can read.
        occupations: for each career, the column of each record's title in the outcome space.
        titles: token ids of every title, as far as they are scored.
    """

    outcomes: OutcomeSpace
    table: pd.DataFrame
    careers: tuple[ReadableCareer, ...]
    occupations: tuple[tuple[int, ...], ...]
    titles: tuple[tuple[int, ...], ...]

    @property
    def shortened(self) -> Shortened:
        """How many careers do not fit the model, and what was left out of them."""
        return count_shortened(self.careers)


def prepare_careers(
    language_model: LanguageModel,
    panel: CareerPanel,
    template: ResumeTemplate | None = None,
    too_long: str = "shorten",
    line_ends: str = "all",
) -> PreparedCareers:
    """Return the careers of a panel as the model reads them.

    Args:
        language_model: the model.
        panel: the workers.
        template: how careers become text; the paper's main template if not given.
        too_long: what becomes of a career longer than the model can read: 'shorten' leaves out the oldest
            records, as `labor_llm.scoring.shortening` says, 'refuse' raises an error.
        line_ends: whether the end of the line counts as a part of 'all' titles, or where 'needed' only: of titles
            that begin another one (`labor_llm.tokenization.without_needless_line_ends`).

    Raises:
        InputError: if the panel has no career, a career is too long and not to be shortened, or titles cannot be
            told apart.
        MismatchError: if the tokenizer does not fit the template or the titles.
    """
    if too_long not in TOO_LONG:
        raise InputError(f"too_long is {too_long!r}; choose one of {', '.join(TOO_LONG)}.")
    if line_ends not in LINE_ENDS:
        raise InputError(f"line_ends is {line_ends!r}; choose one of {', '.join(LINE_ENDS)}.")
    if panel.frame.empty:
        raise InputError(
            "There is no career to score: the panel has no worker. Give a panel or split with workers."
        )
    template = template or ResumeTemplate()
    tokenizer = language_model.tokenizer
    titles = encode_titles(tokenizer, panel.outcomes, template)
    check_split(tokenizer, next(resumes(panel, template)), titles, panel.outcomes.titles)
    longest = max(map(len, titles))
    careers = tuple(
        readable_career(tokenizer, resume, language_model.context, longest, too_long)
        for resume in resumes(panel, template)
    )
    table = transitions(panel)
    columns = iter(panel.outcomes.indices(table["occupation"]))
    occupations = tuple(tuple(next(columns) for _ in career.dropped) for career in careers)
    for career, realised in zip(careers, occupations, strict=True):
        _check_titles(language_model, career, realised, titles, panel.outcomes)
    if line_ends == "needed":
        titles = without_needless_line_ends(tokenizer, titles)
        careers = tuple(
            _ending_with(career, of, titles) for career, of in zip(careers, occupations, strict=True)
        )
    return PreparedCareers(panel.outcomes, table, careers, occupations, tuple(titles))


def _ending_with(
    career: ReadableCareer, occupations: Sequence[int], titles: Sequence[tuple[int, ...]]
) -> ReadableCareer:
    """Return a career whose spans end with the scored tokens of the realised titles."""
    lengths = iter([len(titles[occupation]) for occupation in occupations])
    parts = [
        replace(part, spans=tuple((start, start + next(lengths)) for start, _ in part.spans))
        for part in career.parts
    ]
    return replace(career, parts=tuple(parts))


def _check_titles(
    language_model: LanguageModel,
    career: ReadableCareer,
    realised: Sequence[int],
    titles: Sequence[tuple[int, ...]],
    outcomes: OutcomeSpace,
) -> None:
    """Check that each realised title has the tokens that the tree of titles gives it."""
    found = [part.continuation_ids(record) for part in career.parts for record in range(len(part.spans))]
    for tokens, title in zip(found, realised, strict=True):
        if tokens != titles[title]:
            raise MismatchError(
                f"{language_model.name}: the tokenizer encodes the title {outcomes.titles[title]!r} differently "
                "from one line to another, so one tree of titles cannot serve all records. Use another tokenizer."
            )
