"""What stands in a profile: a data set, a language model, the studies of variants, and how much chapters compute."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from labor_llm.careers.settings import TrainingData
from labor_llm.disclosure import MINIMUM_PERSONS
from labor_llm.finetuning.settings import FineTuningSettings
from labor_llm.models.folders import PACKAGED_MODELS, is_model_name
from labor_llm.scoring.settings import ScoringSettings
from labor_llm.settings import Key, PathText, Settings, Text
from labor_llm.text.settings import PromptSettings, ResumeSettings
from labor_llm.workflow.sources import DatasetSource

# A number of workers or questions; -1 for all.
AllOrSome = Annotated[int, Field(ge=-1)]


class LanguageModelEntry(ScoringSettings):
    """A language model that is scored (fields of `ScoringSettings`), after fine-tuning if `fine_tuning` is given."""

    label: Text
    """What tables call it."""
    base: PathText
    """Packaged name, local folder or hub id."""
    fine_tuning: FineTuningSettings | None = None
    """How it is fine-tuned; it is scored off the shelf without."""
    training: TrainingData = TrainingData()
    """The careers that it is fine-tuned on."""
    resumes: ResumeSettings = ResumeSettings()
    """The form of the resumes, in fine-tuning and scoring."""
    prompt: PromptSettings = PromptSettings()
    """What stands before them in scoring."""
    datasets: Annotated[list[Key], Field(min_length=1)] | None = None
    """Short names of the data sets that it is run on, if others than `Profile.datasets_of` says."""

    @field_validator("base")
    @classmethod
    def _is_known(cls, value: str) -> str:
        if not is_model_name(value):
            packaged = ", ".join(PACKAGED_MODELS)
            raise ValueError(
                f"{value!r} is neither packaged ({packaged}), nor a folder, nor a hub id (OWNER/NAME)"
            )
        return value

    @model_validator(mode="after")
    def _trains_if_it_says_on_what(self) -> LanguageModelEntry:
        if self.fine_tuning is None and self.training != TrainingData():
            raise ValueError("training says what a model is fine-tuned on; give fine_tuning, or leave it out")
        return self

    def scoring(self, dataset: DatasetEntry, sizes: Sizes) -> ScoringSettings:
        """Return how it is scored on a data set: all titles for as many workers as that says, unless for none here."""
        chosen = self.model_dump(include=set(ScoringSettings.model_fields))
        if dataset.all_titles_workers is not None and self.all_titles_workers != 0:
            chosen["all_titles_workers"] = dataset.all_titles_workers
        most = sizes.all_titles_workers
        if most >= 0 and not 0 <= chosen["all_titles_workers"] <= most:
            chosen["all_titles_workers"] = most
        return ScoringSettings(**chosen | {"dtype": sizes.arithmetic or self.dtype})

    def trained(self, sizes: Sizes) -> FineTuningSettings | None:
        """Return how it is fine-tuned; None where it is not."""
        if self.fine_tuning is None:
            return None
        said = {"steps": sizes.steps, "precision": sizes.arithmetic}
        return self.fine_tuning.model_copy(update={name: value for name, value in said.items() if value})


class DatasetEntry(DatasetSource):
    """A data set: packaged if only a label is given; the fields of `DatasetSource`, and two of the comparison."""

    label: Text
    """What tables call it."""
    all_titles_workers: Annotated[int, Field(ge=-1)] | None = None
    """For how many test workers of this data set every title is scored, instead of what the language models say; -1
    for all, 0 for none, which leaves it out of the chapter on valid mass."""
    language_models: list[Key] | None = None
    """Names of those that are run on it, if not all of the main comparison."""

    def source(self) -> DatasetSource:
        """Return where the data set comes from."""
        return DatasetSource(**self.model_dump(include=set(DatasetSource.model_fields)))


class Sizes(Settings):
    """How much the chapters compute; the defaults are for whole surveys on a GPU."""

    share: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the workers of each data set that is kept, drawn at random; simulated ones are as many as they say."""
    arithmetic: Literal["", "float32", "bfloat16"] = ""
    """Of all fine-tuning and scoring, in place of what the language models say: float32 on processors that only emulate
    bfloat16."""
    steps: Annotated[int, Field(ge=0)] = 0
    """Optimiser steps of every fine-tuning in place of what the language models say; 0 for as they say."""
    all_titles_workers: AllOrSome = -1
    """The most test workers for whom every title is scored, whatever the language models say; -1 for no such limit."""
    mixture_workers: AllOrSome = -1
    """Validation workers by whom the weight of a mixture of two models is chosen; -1 for all."""
    history_lengths: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)] = Field(
        default_factory=lambda: [5, 10, 15]
    )
    """Numbers of records that the chapter on history shows, beside all of them."""
    history_years: list[Annotated[int, Field(ge=1)]] = Field(default_factory=lambda: [5, 10, 15])
    """Numbers of calendar years that it shows; none for lengths by records alone."""
    history_workers: AllOrSome = -1
    """For how many test workers with enough history; -1 for all."""
    horizon_questions: AllOrSome = 2000
    """Questions over several years to each baseline and horizon; -1 for all."""
    horizon_paths: Annotated[int, Field(ge=2)] = 70
    """Histories that each of five runs keeps of the years between, where a sum over all is not exact."""
    language_model_questions: Annotated[int, Field(ge=-1)] = 200
    """Such questions to the fine-tuned model; 0 leaves it out of that chapter."""
    language_model_paths: Annotated[int, Field(ge=2)] = 20
    """Histories that each of five runs keeps for each of them."""
    permuted_workers: AllOrSome = -1
    """Test workers among whom covariates are exchanged; -1 for all."""
    permutations: Annotated[int, Field(ge=1)] = 10
    """How often they are exchanged."""

    @field_validator("all_titles_workers", "mixture_workers", "history_workers", "permuted_workers")
    @classmethod
    def _enough(cls, value: int) -> int:
        if 0 <= value < MINIMUM_PERSONS:
            raise ValueError(f"{value} is too few; give at least {MINIMUM_PERSONS}, or -1 for all")
        return value


class Studies(Settings):
    """Language models that a chapter on variants puts side by side, on each data set that all of them are run on.

    They are run on the data sets that they name, or on the first. Models that stand here are left out of the main
    comparison, unless they are those of the text. A chapter without models is not run.
    """

    titles: list[Key] = Field(default_factory=list)
    """Models with other forms of the titles or without year of birth, the first as the yardstick."""
    pooled_data: list[Key] = Field(default_factory=list)
    """Models with other training data, the first as the yardstick."""
    prompts: list[Key] = Field(default_factory=list)
    """The model off the shelf with other prompts; plain, it is the yardstick."""
    last_year: Annotated[int, Field(ge=0)] = 0
    """Of the chapter on structural change: the last year that models are trained on."""
    until_last_year: dict[Key, Key] = Field(default_factory=dict)
    """For each model that was fine-tuned up to that year, the same one trained on all years; the two differ in nothing
    but `training.last_year` that bears on their predictions."""

    as_many_records: dict[Key, Key] = Field(default_factory=dict)
    """For each of these models, if any, its control: the same but for `training.as_many_as_until` in the place of
    `training.last_year`. Both should take as many `fine_tuning.steps` as the model of all years."""

    def chapters(self) -> dict[str, list[str]]:
        """Return the names of the models of each chapter."""
        pairs = [name for pair in self.until_last_year.items() for name in pair]
        return {
            "titles": self.titles,
            "pooled_data": self.pooled_data,
            "prompts": self.prompts,
            "until_last_year": [*pairs, *self.as_many_records.values()],
        }
