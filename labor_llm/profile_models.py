"""What a profile says of a language model: its base, its training data, the form of its resumes, how it is scored."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from labor_llm.disclosure import MINIMUM_PERSONS
from labor_llm.finetuning_settings import FineTuningSettings
from labor_llm.language_models import is_model_name
from labor_llm.packaged_models import PACKAGED_MODELS

Key = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+([_-][a-z0-9]+)*$", max_length=60)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class Strict(BaseModel):
    """A mapping of the file: no unknown field, no value of another type, no change afterwards."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ResumeEntry(Strict):
    """The form of the resumes that a model is fine-tuned and scored on, see `labor_llm.career_variants`.

    Attributes:
        titles: 'literal', or 'numeric', 'perturbed' or 'shuffled' ones.
        seed: of the numbers, changes or exchange of titles.
        birth_year: whether the header states the year of birth.
    """

    titles: Literal["literal", "numeric", "perturbed", "shuffled"] = "literal"
    seed: Seed = 1
    birth_year: bool = True


class TrainingEntry(Strict):
    """The careers that a model is fine-tuned on, see `labor_llm.training_data`.

    Attributes:
        workers: a random part of so many training workers; 0 for all.
        others: further data sets, of whose training workers a share is added.
        share: that share, of each of them.
        own_repeats: how often an own career is shown for each time that one of the others is.
        last_year: only records up to this year; 0 for all.
        seed: of the draws of workers.
    """

    workers: Annotated[int, Field(ge=0)] = 0
    others: list[Key] = Field(default_factory=list)
    share: Annotated[float, Field(gt=0, le=1)] = 1.0
    own_repeats: Annotated[int, Field(ge=1)] = 1
    last_year: Annotated[int, Field(ge=0)] = 0
    seed: Seed = 1


class PromptEntry(Strict):
    """What stands before the resume when a model is scored, see `labor_llm.scoring.prompts`.

    Attributes:
        form: 'plain' (nothing), 'titles' (a list of the job titles) or 'examples' (resumes of training workers).
        examples: how many resumes.
        seed: of their draw.
    """

    form: Literal["plain", "titles", "examples"] = "plain"
    examples: Annotated[int, Field(ge=1)] = 1
    seed: Seed = 1


class LanguageModelEntry(Strict):
    """A language model that is scored, after fine-tuning if `fine_tuning` is given.

    Attributes:
        label: what tables call it.
        base: packaged name, local folder or hub id.
        fine_tuning: its settings.
        training: the careers that it is fine-tuned on.
        resumes: their form, in fine-tuning and scoring.
        prompt: what stands before them in scoring.
        datasets: short names of the data sets that it is run on, if others than `Profile.datasets_of` says.
        test_workers: score a random part of so many test workers; -1 for all.
        titles: beside the realised title, score none ('realised'), those of `named`, or 'all'.
        named: 'stay' (the previous record's title) and occupation codes.
        all_titles_workers: for how many test workers every title is scored; -1 for all.
        tolerance: probability that titles not followed to their end may have between them in a record; 0 for exact
            scoring.
        dtype: arithmetic of scoring.
        quantization: of the weights in scoring.
        too_long: whether careers longer than the model can read are shortened or refused in scoring.
        line_ends: whether the end of the line is scored with all titles, or only where one title begins another.
        memory_mib: memory in MiB that scoring all titles may take beside the model.
    """

    label: Text
    base: Text
    fine_tuning: FineTuningSettings | None = None
    training: TrainingEntry = TrainingEntry()
    resumes: ResumeEntry = ResumeEntry()
    prompt: PromptEntry = PromptEntry()
    datasets: Annotated[list[Key], Field(min_length=1)] | None = None
    test_workers: Annotated[int, Field(ge=-1)] = -1
    titles: Literal["realised", "named", "all"] = "all"
    named: Annotated[list[Text], Field(min_length=1)] = ["stay"]
    all_titles_workers: Annotated[int, Field(ge=-1)] = -1
    tolerance: Annotated[float, Field(ge=0, lt=1)] = 0.0
    dtype: Literal["float32", "bfloat16"] = "float32"
    quantization: Literal["none", "8bit", "4bit"] = "none"
    too_long: Literal["shorten", "refuse"] = "shorten"
    line_ends: Literal["all", "needed"] = "all"
    memory_mib: Annotated[int, Field(ge=1)] = 1024

    @field_validator("base")
    @classmethod
    def _is_known(cls, value: str) -> str:
        if not is_model_name(value):
            packaged = ", ".join(PACKAGED_MODELS)
            raise ValueError(
                f"{value!r} is neither packaged ({packaged}), nor a folder, nor a hub id (OWNER/NAME)"
            )
        return value

    @field_validator("fine_tuning", mode="before")
    @classmethod
    def _settings(cls, value: object) -> object:
        """Build the settings from the mapping that the file holds, each of its own type."""
        if not isinstance(value, dict):
            return value
        try:
            return TypeAdapter(FineTuningSettings).validate_python(value)
        except ValidationError as error:
            raise ValueError(first_problem(error)) from None

    @model_validator(mode="after")
    def _makes_sense(self) -> LanguageModelEntry:
        if self.fine_tuning is None and self.training != TrainingEntry():
            raise ValueError("training says what a model is fine-tuned on; give fine_tuning, or leave it out")
        if 0 <= self.test_workers < MINIMUM_PERSONS:
            raise ValueError(
                f"test_workers is {self.test_workers}; published numbers rest on {MINIMUM_PERSONS} persons or more, "
                "so give at least that many, or -1 for all"
            )
        return self


def first_problem(error: ValidationError) -> str:
    """Return the first problem that a check found: field and rule."""
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ").rstrip(".")
    return f"{field}: {message}" if field else message
