"""What can be chosen about careers as text: titles and header of the resumes, and what stands before them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from labor_llm.settings import Seed, Settings

if TYPE_CHECKING:
    from labor_llm.careers.panel import CareerPanel
    from labor_llm.text.prompts import Preamble


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
        """Return what stands before each resume of a panel, see `labor_llm.text.prompts.preamble_of`."""
        from labor_llm.text.prompts import preamble_of

        return preamble_of(panel, splits, self)
