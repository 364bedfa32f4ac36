"""What can be chosen about careers as text: titles and header of the resumes, and what stands before them.

Before the resumes stands nothing, the list of all job titles, or whole resumes of some training workers (in-context
learning), so that a model off the shelf sees what is wanted of it. The paper tries prompts of these kinds; its wording
is not known to us. The text is the same for every worker that is scored. Examples are persons' records: their text is
given to the model and nowhere stored or shown.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from labor_llm.errors import InputError
from labor_llm.settings import Seed, Settings

# What takes long to import is imported where it is needed: profiles and commands only ask for the settings.
if TYPE_CHECKING:
    from labor_llm.careers.panel import CareerPanel


@dataclass(frozen=True)
class Preamble:
    """What stands before each resume.

    Attributes:
        text: whole lines; empty for a plain prompt. Left out of `repr`, as it may hold persons' records.
        described: what a manifest says of it: not the text, but its checksum, and how it was drawn.
    """

    text: str = field(default="", repr=False)
    described: dict[str, object] = field(default_factory=dict)


class ResumeSettings(Settings):
    """How careers are put into words, in fine-tuning and scoring; the defaults are the paper's main model."""

    titles: Literal["literal", "numeric", "perturbed", "shuffled"] = "literal"
    """'literal', or 'numeric' (`job_000`, assigned at random), 'perturbed' (abbreviated, by synonyms, in another word
    order) or 'shuffled' (each title at another occupation)."""
    seed: Seed = 1
    """Of numbers, wordings and places; a code has the same title wherever the same codes are used."""
    birth_year: bool = True
    """Whether the header states the year of birth."""


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
            panel: the data set, in the variant that is scored: its titles are listed, its training workers are the
                examples.
            splits: the split of each worker.

        Raises:
            InputError: if there are not so many training workers.
        """
        from labor_llm.careers.samples import random_workers
        from labor_llm.text.templates import END_OF_LINE, resumes

        examples, seed = (self.examples, self.seed) if self.form == "examples" else (0, 0)
        if self.form == "plain":
            return Preamble()
        if self.form == "titles":
            text = END_OF_LINE.join(
                ["Each job title is one of the following:", *panel.outcomes.titles, "", ""]
            )
        else:
            train = panel.split(splits, "train")
            if examples > len(train.workers):
                raise InputError(
                    f"examples is {examples}; give at least 1, and no more than the {len(train.workers):,} training "
                    f"workers of {panel.dataset}."
                )
            drawn = train.restrict(random_workers(train, examples, seed))
            text = "".join(resume.text for resume in resumes(drawn))
        checksum = hashlib.sha256(text.encode()).hexdigest()
        return Preamble(text, {"prompt": self.form, "examples": examples, "seed": seed, "sha256": checksum})
