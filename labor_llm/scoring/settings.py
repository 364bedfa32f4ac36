"""What can be chosen about scoring."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from labor_llm.disclosure import MINIMUM_PERSONS
from labor_llm.settings import SettingError, Settings, Text


class ScoringSettings(Settings):
    """Who is scored, which titles, how closely, and with what arithmetic."""

    test_workers: int = Field(-1, ge=-1)
    """Score a random part of so many test workers (`labor_llm.careers.samples.sampled`); -1 for all."""
    titles: Literal["realised", "named", "all"] = "all"
    """Beside the realised title, score none ('realised'), those of `named`, or 'all'."""
    named: list[Text] = Field(["stay"], min_length=1)
    """With titles 'named': 'stay' (the previous record's title) and occupation codes, each once."""
    all_titles_workers: int = Field(-1, ge=-1)
    """With titles 'all', for how many workers every title is scored, drawn at random; -1 for all, 0 for none."""
    tolerance: float = Field(0.0, ge=0, lt=1)
    """With titles 'all', probability that titles not followed to their end may have between them in a record
    (`labor_llm.scoring.bounded`); 0 for exact scoring."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Arithmetic."""
    quantization: Literal["none", "8bit", "4bit"] = "none"
    """Of the weights, by bitsandbytes."""
    too_long: Literal["shorten", "refuse"] = "shorten"
    """Of careers longer than the model can read, each record is scored with the longest history that fits, whole
    records and the header ('shorten', see `labor_llm.text.shortening`), or an error is raised ('refuse')."""
    line_ends: Literal["all", "needed"] = "all"
    """Whether the end of the line is scored with 'all' titles, or only where 'needed', as one title begins another."""
    memory_mib: int = Field(1024, ge=1)
    """Memory in MiB that scoring titles may take beside the model and a career's keys and values."""

    @model_validator(mode="after")
    def _makes_sense(self) -> ScoringSettings:
        if 0 <= self.test_workers < MINIMUM_PERSONS:
            raise SettingError("test_workers", f"{self.test_workers} {_TOO_FEW}, or -1 for all")
        if 0 < self.all_titles_workers < MINIMUM_PERSONS:
            raise SettingError(
                "all_titles_workers", f"{self.all_titles_workers} {_TOO_FEW}, -1 for all or 0 for none"
            )
        if self.tolerance and self.titles != "all":
            raise SettingError(
                "tolerance",
                f"goes with titles 'all'; with titles {self.titles!r} every title is scored exactly",
            )
        return self


_TOO_FEW = (
    f"is too few; published numbers rest on {MINIMUM_PERSONS} persons or more, so give at least that many"
)
