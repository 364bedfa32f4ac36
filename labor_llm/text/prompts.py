"""Prompts of a model off the shelf: what stands before a resume, so that the model sees what is wanted of it.

plain      nothing; the resume alone, as a fine-tuned model reads it
titles     the list of all job titles
examples   whole resumes of some training workers (in-context learning)

The paper tries prompts of these kinds; its wording is not known to us. The text is the same for every worker that is
scored: one list, or the same examples for everybody, drawn once. So a scorer could read it once and share its keys and
values among all workers; today each worker's pass reads it again.

Examples are persons' records. Their text is given to the model and nowhere stored or shown: a manifest has its
checksum, and how it was drawn.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from labor_llm.careers.panel import CareerPanel
from labor_llm.careers.samples import random_workers
from labor_llm.errors import InputError
from labor_llm.text.templates import END_OF_LINE, resumes

PROMPTS = ("plain", "titles", "examples")


@dataclass(frozen=True)
class Preamble:
    """What stands before each resume.

    Attributes:
        kind: one of `PROMPTS`.
        text: whole lines; empty for a plain prompt. Left out of `repr`, as it may hold persons' records.
        examples: how many example resumes it holds.
        seed: that they were drawn with.
    """

    kind: str = "plain"
    text: str = field(default="", repr=False)
    examples: int = 0
    seed: int = 0

    def described(self) -> dict[str, object]:
        """Return what a manifest says of it: not the text, but its checksum."""
        checksum = hashlib.sha256(self.text.encode()).hexdigest()
        return {"prompt": self.kind, "examples": self.examples, "seed": self.seed, "sha256": checksum}


def preamble(
    kind: str, panel: CareerPanel, splits: Mapping[str, str], examples: int = 0, seed: int = 1
) -> Preamble:
    """Return what stands before each resume of a panel.

    Args:
        kind: 'plain', 'titles' or 'examples'.
        panel: the data set, in the variant that is scored: its titles are listed, its training workers the examples.
        splits: the split of each worker.
        examples: with 'examples', how many training workers' resumes; otherwise of no matter. With one seed,
            fewer examples are a part of more.
        seed: of the draw of the examples.

    Raises:
        InputError: if the kind is not known, or there are not so many training workers.
    """
    if kind not in PROMPTS:
        raise InputError(f"prompt is {kind!r}; choose one of {', '.join(PROMPTS)}.")
    if kind == "plain":
        return Preamble()
    if kind == "titles":
        lines = ["Each job title is one of the following:", *panel.outcomes.titles, "", ""]
        return Preamble(kind, END_OF_LINE.join(lines))
    train = panel.split(splits, "train")
    if not 1 <= examples <= len(train.workers):
        raise InputError(
            f"examples is {examples}; give at least 1, and no more than the {len(train.workers):,} training workers "
            f"of {panel.dataset}."
        )
    drawn = train.restrict(random_workers(train, examples, seed))
    text = "".join(resume.text for resume in resumes(drawn))
    return Preamble(kind, text, examples, seed)
