"""Prompts of a model off the shelf: what stands before a resume, so that the model sees what is wanted of it.

It is nothing, the list of all job titles, or whole resumes of some training workers (in-context learning). The paper
tries prompts of these kinds; its wording is not known to us. The text is the same for every worker that is scored.
Examples are persons' records: their text is given to the model and nowhere stored or shown.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from labor_llm.careers.panel import CareerPanel
from labor_llm.careers.samples import random_workers
from labor_llm.errors import InputError
from labor_llm.text.settings import PromptSettings
from labor_llm.text.templates import END_OF_LINE, resumes


@dataclass(frozen=True)
class Preamble:
    """What stands before each resume.

    Attributes:
        text: whole lines; empty for a plain prompt. Left out of `repr`, as it may hold persons' records.
        described: what a manifest says of it: not the text, but its checksum, and how it was drawn.
    """

    text: str = field(default="", repr=False)
    described: dict[str, object] = field(default_factory=dict)


def preamble_of(panel: CareerPanel, splits: Mapping[str, str], settings: PromptSettings) -> Preamble:
    """Return what stands before each resume of a panel.

    Args:
        panel: the data set, in the variant that is scored: its titles are listed, its training workers the examples.
        splits: the split of each worker.
        settings: which prompt.

    Raises:
        InputError: if there are not so many training workers.
    """
    examples, seed = 0, 0
    if settings.form == "plain":
        return Preamble()
    if settings.form == "titles":
        text = END_OF_LINE.join(["Each job title is one of the following:", *panel.outcomes.titles, "", ""])
    else:
        examples, seed = settings.examples, settings.seed
        train = panel.split(splits, "train")
        if examples > len(train.workers):
            raise InputError(
                f"examples is {examples}; give at least 1, and no more than the {len(train.workers):,} training "
                f"workers of {panel.dataset}."
            )
        drawn = train.restrict(random_workers(train, examples, seed))
        text = "".join(resume.text for resume in resumes(drawn))
    checksum = hashlib.sha256(text.encode()).hexdigest()
    return Preamble(text, {"prompt": settings.form, "examples": examples, "seed": seed, "sha256": checksum})
