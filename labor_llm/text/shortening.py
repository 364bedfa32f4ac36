"""Careers that are longer than a model can read: the oldest records are left out, whole, and counted.

    header                             kept
    1979 (high school): Cooks          left out of the prompts of the later records
    1980 (high school): Cooks          left out of the prompt of the last one
    1981 (college): Physicians         kept
    ...
    2019 (college):                    the prompt ends here; room for the longest title is kept

What is computed: the log-probability of a title given the header and the longest unbroken run of records before
it that fits, each record its own number. The text is that of a career which begins later: no line is ever cut, and
what stands before the header stays too.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from labor_llm.errors import InputError
from labor_llm.text.templates import END_OF_LINE, Resume
from labor_llm.text.tokenization import EncodedResume, encode_resume

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class ReadableCareer:
    """A career as texts that a model can read.

    Attributes:
        worker_id: the worker.
        parts: texts whose spans are the records scored in them; together they hold each record once, in order.
            A career that fits is one part.
        dropped: for each record, how many of the oldest records its prompt lacks.
    """

    worker_id: str
    parts: tuple[EncodedResume, ...]
    dropped: tuple[int, ...]


@dataclass(frozen=True)
class Shortened:
    """How much was left out of the prompts of a panel.

    Attributes:
        careers: careers of which some prompt lacks a record.
        records: records that were scored with a shortened history.
        dropped_records: records that at least one prompt lacks.
    """

    careers: int
    records: int
    dropped_records: int

    @classmethod
    def of(cls, careers: Iterable[ReadableCareer]) -> Shortened:
        """Return how much was left out of the prompts of some careers."""
        counts = [career.dropped for career in careers if any(career.dropped)]
        # What a prompt lacks, the prompts after it lack too.
        records = sum(number > 0 for dropped in counts for number in dropped)
        return cls(len(counts), records, sum(dropped[-1] for dropped in counts))

    def sentence(self) -> str:
        """Return what a log says."""
        return (
            f"{self.careers:,} careers are longer than the model can read: {self.records:,} records were scored "
            f"with a shortened history, {self.dropped_records:,} old records were left out of it."
        )


def readable_career(
    tokenizer: PreTrainedTokenizerBase,
    resume: Resume,
    context: int,
    longest_title: int,
    too_long: str = "shorten",
) -> ReadableCareer:
    """Return a career as texts that fit a model's context.

    Args:
        tokenizer: the model's tokenizer.
        resume: the whole career.
        context: tokens that the model can read.
        longest_title: tokens of the longest title with its line end; each prompt leaves room for it, so that
            the history a record is scored with does not depend on which titles are asked for.
        too_long: 'shorten', or 'refuse' to raise an error for a career that does not fit whole.

    Raises:
        InputError: if a career does not fit and is not to be shortened, or not even the header and one
            record fit.
        MismatchError: as `encode_resume`.
    """
    whole = encode_resume(tokenizer, resume)
    room = context - longest_title
    needed = whole.spans[-1][0]
    if needed > room and too_long == "refuse":
        raise InputError(
            f"The career of worker {whole.worker_id} with the longest title has {needed + longest_title:,} tokens, "
            f"the model reads {context:,}. Let long careers be shortened (too_long='shorten'), or use a model with a "
            "longer context."
        )
    dropped: list[int] = []
    for record, (start, _) in enumerate(whole.spans):
        # What a prompt lacks, the prompts after it lack too.
        first = dropped[-1] if dropped else 0
        while (_encoded(tokenizer, resume, first, record).spans[-1][0] if first else start) > room:
            if first == record:
                raise InputError(
                    f"Worker {whole.worker_id}: the header, one record and the longest title do not fit, as the model "
                    f"reads {context:,} tokens. Use a model with a longer context, or less text before the resume."
                )
            first += 1
        dropped.append(first)
    parts = []
    for first, group in itertools.groupby(range(len(dropped)), key=dropped.__getitem__):
        records = list(group)
        part = _encoded(tokenizer, resume, first, records[-1]) if needed > room else whole
        spans = part.spans[records[0] - first :]
        # What follows the last title is never scored.
        parts.append(EncodedResume(whole.worker_id, part.ids[: spans[-1][1]], spans))
    return ReadableCareer(whole.worker_id, tuple(parts), tuple(dropped))


def learned_windows(
    tokenizer: PreTrainedTokenizerBase, resume: Resume, context: int
) -> tuple[EncodedResume, ...]:
    """Return the texts by which a fine-tuning learns a career: itself, or windows of whole records that fit.

    Each window has the header, and as history the last records that an earlier one teaches, of about half the context.
    Together the windows teach each token up to the last title once, but the header again where no history fits.

    Args:
        tokenizer: the model's tokenizer.
        resume: the whole career.
        context: tokens that the model can read.

    Raises:
        InputError: if not even the header and one record fit.
        MismatchError: as `encode_resume`.
    """
    whole = encode_resume(tokenizer, resume)
    if len(whole.ids) <= context:
        return (whole,)
    ends = [end for _, end in whole.spans]
    windows: list[EncodedResume] = []
    learned, count = 0, len(ends)
    while learned < count:
        first = last = learned
        while first and ends[learned - 1] - ends[first - 1] < context // 2:
            first -= 1
        window = _encoded(tokenizer, resume, first, last)
        # A long record leaves less for its history.
        while len(window.ids) > context and first < last:
            first += 1
            window = _encoded(tokenizer, resume, first, last)
        if len(window.ids) > context:
            raise InputError(
                f"Worker {resume.worker_id}: the header and one record do not fit, as the model reads {context:,} "
                "tokens. Fine-tune a model with a longer context."
            )
        while last + 1 < count:
            longer = _encoded(tokenizer, resume, first, last + 1)
            if len(longer.ids) > context:
                break
            window, last = longer, last + 1
        begin = window.spans[learned - first - 1][1] if learned > first else 0
        windows.append(replace(window, spans=window.spans[learned - first :], learned_from=begin))
        learned = last + 1
    return tuple(windows)


def _encoded(tokenizer: PreTrainedTokenizerBase, resume: Resume, first: int, last: int) -> EncodedResume:
    """Encode the resume of the records `first` to `last`: the same header, no closing line."""
    # Each record is one line: the first begins where the header's last line ends.
    header = resume.text.rfind(END_OF_LINE, 0, resume.spans[0][0]) + 1
    begin = resume.spans[first - 1][1] if first else header
    shift = begin - header
    spans = tuple((start - shift, end - shift) for start, end in resume.spans[first : last + 1])
    text = resume.text[:header] + resume.text[begin : resume.spans[last][1]]
    return encode_resume(tokenizer, Resume(resume.worker_id, text, spans))
