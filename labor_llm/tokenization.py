"""Resume text to token ids, and the one place where a prompt and a title are joined.

A tokenizer may merge characters across any boundary, so a title is never encoded apart from what
precedes it. The whole resume is encoded once, and the tokens of a record's continuation are those whose
characters lie in its span:

    characters   ... 1 9 8 4   ( c o l l e g e ) :   C o o k s \\n 1 9 8 5 ...
    tokens       ...[1][9][8][4][ (][college][):][ C][ooks][\\n][1][9]...
                      prompt, ends at the colon -->|<- continuation ->|

If a token reaches over either end of a span the tokenizer does not fit the template, and this is said.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from transformers import PreTrainedTokenizerBase

from labor_llm.errors import InputError, MismatchError
from labor_llm.occupations import OutcomeSpace
from labor_llm.templates import Resume, ResumeTemplate, continuation


@dataclass(frozen=True)
class EncodedResume:
    """A resume as token ids.

    Attributes:
        worker_id: the worker.
        ids: token ids of the whole text, int64 [tokens].
        spans: for each record, the tokens [start, end) of its continuation.
    """

    worker_id: str
    ids: np.ndarray
    spans: tuple[tuple[int, int], ...]

    def continuation_ids(self, record: int) -> tuple[int, ...]:
        """Return the token ids of a record's realised title with its end of line."""
        start, end = self.spans[record]
        return tuple(int(token) for token in self.ids[start:end])


def encode_resume(tokenizer: PreTrainedTokenizerBase, resume: Resume) -> EncodedResume:
    """Encode a resume jointly and find the tokens of every title.

    Raises:
        MismatchError: if a token reaches across the beginning or end of a title, or the tokenizer
            cannot tell where its tokens stand.
    """
    encoded = _encode(tokenizer, resume.text)
    spans = [_token_span(encoded["offset_mapping"], span, tokenizer) for span in resume.spans]
    return EncodedResume(resume.worker_id, np.asarray(encoded["input_ids"], dtype=np.int64), tuple(spans))


def encode_titles(
    tokenizer: PreTrainedTokenizerBase, outcomes: OutcomeSpace, template: ResumeTemplate | None = None
) -> list[tuple[int, ...]]:
    """Return the continuation's token ids for every title, in the order of the outcome space.

    Each title is encoded in its place, after a line such as `1984 (college):`.

    Raises:
        MismatchError: as `encode_resume`.
        InputError: if two titles encode alike, one is the beginning of another, or a title holds a
            special token of the tokenizer.
    """
    template = template or ResumeTemplate()
    line = template.closing + template.line_start(1984, "college")
    encoded_titles = []
    for title in outcomes.titles:
        _refuse_special_tokens(tokenizer, title)
        text = line + continuation(title)
        encoded = _encode(tokenizer, text)
        start, end = _token_span(encoded["offset_mapping"], (len(line), len(text)), tokenizer)
        encoded_titles.append(tuple(encoded["input_ids"][start:end]))
    _check_prefix_free(encoded_titles, outcomes)
    return encoded_titles


def check_vocabulary(tokenizer: PreTrainedTokenizerBase, vocabulary: int, source: str) -> None:
    """Raise MismatchError if the tokenizer can give ids that the model has no embedding for."""
    if len(tokenizer) > vocabulary:
        raise MismatchError(
            f"{source}: the tokenizer has {len(tokenizer):,} tokens, the model {vocabulary:,} embeddings. "
            "They belong to different models: give the folder that holds both."
        )


def _encode(tokenizer: PreTrainedTokenizerBase, text: str) -> dict[str, Sequence]:
    if not tokenizer.is_fast:
        raise MismatchError(
            f"{tokenizer.name_or_path}: needs a fast tokenizer (tokenizer.json), which gives token offsets."
        )
    return tokenizer(text, return_offsets_mapping=True)


def _token_span(
    offsets: Sequence[tuple[int, int]], span: tuple[int, int], tokenizer: PreTrainedTokenizerBase
) -> tuple[int, int]:
    """Return the tokens that make up the characters of `span`, which must begin and end with a token.

    A tokenizer may count the blank before a word to the word or leave it out of the offsets, so a
    token may begin one character after the span does.
    """
    start, end = span
    inside = [k for k, (left, right) in enumerate(offsets) if right > start and left < end and right > left]
    if inside:
        left, right = offsets[inside[0]][0], offsets[inside[-1]][1]
        if start <= left <= start + 1 and right == end:
            return inside[0], inside[-1] + 1
    raise MismatchError(
        f"{tokenizer.name_or_path}: a token reaches across the beginning or the end of a job title in its line, "
        "so the title's probability is not that of its own tokens. Use a tokenizer that keeps the colon and "
        "the end of the line apart."
    )


def _refuse_special_tokens(tokenizer: PreTrainedTokenizerBase, title: str) -> None:
    for token in tokenizer.all_special_tokens:
        if token in title:
            raise InputError(
                f"The title {title!r} holds the tokenizer's special token {token!r}; reword the title."
            )


def _check_prefix_free(encoded: list[tuple[int, ...]], outcomes: OutcomeSpace) -> None:
    """In sorted order a prefix stands directly before the first of the sequences that it begins."""
    order = sorted(range(len(encoded)), key=lambda k: encoded[k])
    for one, two in itertools.pairwise(order):
        if encoded[two][: len(encoded[one])] == encoded[one]:
            raise InputError(
                f"The titles {outcomes.titles[one]!r} and {outcomes.titles[two]!r} encode alike or one as the "
                "beginning of the other, so their probabilities cannot be told apart; reword one of them."
            )
