"""Resume text to token ids, and the one place where a prompt and a title are joined.

A tokenizer may merge characters across any boundary, so a title is never encoded apart from what
precedes it. The whole resume is encoded once, and the tokens of a record's continuation are those whose
characters lie in its span:

    characters   ... 1 9 8 4   ( c o l l e g e ) :   C o o k s \\n 1 9 8 5 ...
    tokens       ...[1][9][8][4][ (][college][):][ C][ooks][\\n][1][9]...
                      prompt, ends at the colon -->|<- continuation ->|

If a token reaches over either end of a span the tokenizer does not fit the template, and this is said.

Encoding a title in its place settles what differs between the kinds of tokenizers: Llama-2 puts a blank before every
text, so a title on its own begins with other tokens than in its line; for Llama-3 and Qwen a closing bracket or a full
stop and the line end are one token.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from labor_llm.careers.occupations import OutcomeSpace
from labor_llm.errors import InputError, MismatchError
from labor_llm.text.templates import CLOSING, END_OF_LINE, Resume, continuation, line_start

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class EncodedResume:
    """A resume as token ids.

    Attributes:
        worker_id: the worker.
        ids: token ids of the whole text, int64 [tokens].
        spans: for each record, the tokens [start, end) of its continuation.
        learned_from: the first token that a fine-tuning learns; what is before it, another text of the worker teaches.
    """

    worker_id: str
    ids: np.ndarray
    spans: tuple[tuple[int, int], ...]
    learned_from: int = 0

    def continuation_ids(self, record: int) -> tuple[int, ...]:
        """Return the token ids of a record's realised title with its end of line."""
        return tuple(self.ids[slice(*self.spans[record])].tolist())


def encode_resume(tokenizer: PreTrainedTokenizerBase, resume: Resume) -> EncodedResume:
    """Encode a resume jointly and find the tokens of every title.

    Raises:
        MismatchError: if a token reaches across the beginning or end of a title, or the tokenizer cannot tell where
            its tokens stand.
    """
    encoded = _encode(tokenizer, resume.text)
    spans = [_token_span(encoded["offset_mapping"], span, tokenizer) for span in resume.spans]
    return EncodedResume(resume.worker_id, np.asarray(encoded["input_ids"], dtype=np.int64), tuple(spans))


def encode_titles(tokenizer: PreTrainedTokenizerBase, outcomes: OutcomeSpace) -> list[tuple[int, ...]]:
    """Return the continuation's token ids for every title, in the order of the outcome space.

    Each title is encoded in its place, after a line such as `1984 (college):`.

    Raises:
        MismatchError: as `encode_resume`.
        InputError: if two titles encode alike, one is the beginning of another, or a title holds a special token of
            the tokenizer.
    """
    line = CLOSING + line_start(1984, "college")
    before = _ids(tokenizer, line)
    encoded_titles = []
    for title in outcomes.titles:
        for token in tokenizer.all_special_tokens:
            if token in title:
                raise InputError(
                    f"The title {title!r} holds the tokenizer's special token {token!r}; reword the title."
                )
        text = line + continuation(title)
        encoded = _encode(tokenizer, text)
        start, end = _token_span(encoded["offset_mapping"], (len(line), len(text)), tokenizer)
        # Offsets without blanks hide a colon and a blank in one token.
        if list(encoded["input_ids"][:start]) != before:
            raise _across(tokenizer)
        encoded_titles.append(tuple(encoded["input_ids"][start:end]))
    # In sorted order a prefix stands directly before the first of the sequences that it begins.
    order = sorted(zip(encoded_titles, outcomes.titles, strict=True), key=lambda pair: pair[0])
    for (one, title), (two, other) in itertools.pairwise(order):
        if two[: len(one)] == one:
            raise InputError(
                f"The titles {title!r} and {other!r} encode alike or one as the beginning of the other, so their "
                "probabilities cannot be told apart; reword one of them."
            )
    return encoded_titles


def without_needless_line_ends(
    tokenizer: PreTrainedTokenizerBase, titles: Sequence[tuple[int, ...]]
) -> list[tuple[int, ...]]:
    """Return titles without their end of line, where it is a token of its own and keeps no other title apart.

    A title that begins another one keeps its end of line, so that the titles still exclude each other, and so does
    one whose last character and end of line are one token.

    Args:
        tokenizer: the tokenizer.
        titles: as `encode_titles` returns them.
    """
    beginnings = Counter(title[:length] for title in titles for length in range(1, len(title)))
    ends = {token for token in {title[-1] for title in titles} if tokenizer.decode([token]) == END_OF_LINE}
    return [title[:-1] if title[-1] in ends and beginnings[title[:-1]] == 1 else title for title in titles]


def check_split(
    tokenizer: PreTrainedTokenizerBase,
    resume: Resume,
    encoded_titles: Sequence[tuple[int, ...]],
    titles: Sequence[str],
) -> None:
    """Check that a prompt's tokens and a title's tokens, put together, are those of the text put together.

    This is what scoring every title rests on. Each is tried after the last prompt of the resume.

    Raises:
        MismatchError: if it does not hold; names the title.
    """
    prompt = resume.prompt(len(resume.spans) - 1)
    known = _ids(tokenizer, prompt)
    for title, tokens in zip(titles, encoded_titles, strict=True):
        if _ids(tokenizer, prompt + continuation(title)) != [*known, *tokens]:
            raise MismatchError(
                f"{tokenizer.name_or_path}: the title {title!r} after a prompt has other tokens than the prompt and "
                "the title apart, so its probability is not that of its own tokens. Use a tokenizer that keeps the "
                "colon and the end of the line apart."
            )


def check_vocabulary(tokenizer: PreTrainedTokenizerBase, vocabulary: int, source: str) -> None:
    """Raise MismatchError if the tokenizer can give ids that the model has no embedding for."""
    # Ids may have gaps, so the largest one counts and not their number.
    needed = max(len(tokenizer), 1 + max(tokenizer.get_vocab().values()))
    if needed > vocabulary:
        raise MismatchError(
            f"{source}: the tokenizer has {needed:,} tokens, the model {vocabulary:,} embeddings. "
            "They belong to different models: give the folder that holds both."
        )


def _encode(tokenizer: PreTrainedTokenizerBase, text: str) -> dict[str, Sequence]:
    if not tokenizer.is_fast:
        raise MismatchError(
            f"{tokenizer.name_or_path}: needs a fast tokenizer (tokenizer.json), which gives token offsets."
        )
    # A long text is shortened by whole records before a model reads it; a warning of its length would mislead.
    return tokenizer(text, return_offsets_mapping=True, truncation=False, verbose=False)


def _ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Return the token ids of a text without the special tokens that a tokenizer may put after every text."""
    ids, special = _encode(tokenizer, text)["input_ids"], set(tokenizer.all_special_ids)
    return [*itertools.dropwhile(special.__contains__, reversed(ids))][::-1]


def _token_span(
    offsets: Sequence[tuple[int, int]], span: tuple[int, int], tokenizer: PreTrainedTokenizerBase
) -> tuple[int, int]:
    """Return the tokens that make up the characters of `span`, which must begin and end with a token.

    A tokenizer may count the blank before a word to the word or leave it out of the offsets, so a
    token may begin one character after the span does, and a blank on its own may have no extent at all.
    """
    start, end = span
    inside = [k for k, (left, right) in enumerate(offsets) if right > start and left < end and right > left]
    if not inside or not start <= offsets[inside[0]][0] <= start + 1 or offsets[inside[-1]][1] != end:
        raise _across(tokenizer)
    first = inside[0]
    while first and start <= offsets[first - 1][0] == offsets[first - 1][1] <= start + 1:
        first -= 1
    return first, inside[-1] + 1


def _across(tokenizer: PreTrainedTokenizerBase) -> MismatchError:
    return MismatchError(
        f"{tokenizer.name_or_path}: a token reaches across the beginning or the end of a job title in its line, "
        "so the title's probability is not that of its own tokens. Use a tokenizer that keeps the colon and "
        "the end of the line apart."
    )
