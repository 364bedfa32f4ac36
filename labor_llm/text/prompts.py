"""Prompts of a model off the shelf: what stands before a resume, so that the model sees what is wanted of it.

plain      nothing; the resume alone, as a fine-tuned model reads it
titles     the list of all job titles
examples   whole resumes of some training workers (in-context learning)

The paper tries prompts of these kinds; its wording is not known to us. The text is the same for every worker that is
scored. Examples are persons' records: their text is given to the model and nowhere stored or shown.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pydantic import Field

from labor_llm.careers.panel import CareerPanel
from labor_llm.careers.samples import random_workers
from labor_llm.errors import InputError
from labor_llm.settings import Seed, Settings
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


class PromptSettings(Settings):
    """What stands before the resume when a model is scored."""

    form: Literal["plain", "titles", "examples"] = "plain"
    """'plain' (nothing), 'titles' (a list of the job titles) or 'examples' (resumes of training workers)."""
    examples: int = Field(1, ge=1)
    """With 'examples', of how many training workers; with one seed, fewer examples are a part of more."""
    seed: Seed = 1
    """Of their draw."""

    def preamble(self, panel: CareerPanel, splits: Mapping[str, str]) -> Preamble:
        """Return what stands before each resume of a panel.

        Args:
            panel: the data set, in the variant that is scored: its titles are listed, its training workers the
                examples.
            splits: the split of each worker.

        Raises:
            InputError: if there are not so many training workers.
        """
        examples, seed = 0, 0
        if self.form == "plain":
            return Preamble()
        if self.form == "titles":
            lines = ["Each job title is one of the following:", *panel.outcomes.titles, "", ""]
            text = END_OF_LINE.join(lines)
        else:
            examples, seed = self.examples, self.seed
            train = panel.split(splits, "train")
            if examples > len(train.workers):
                raise InputError(
                    f"examples is {examples}; give at least 1, and no more than the {len(train.workers):,} training "
                    f"workers of {panel.dataset}."
                )
            drawn = train.restrict(random_workers(train, examples, seed))
            text = "".join(resume.text for resume in resumes(drawn))
        checksum = hashlib.sha256(text.encode()).hexdigest()
        described = {"prompt": self.form, "examples": examples, "seed": seed, "sha256": checksum}
        return Preamble(text, described)
