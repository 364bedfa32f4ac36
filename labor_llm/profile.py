"""A profile: one YAML file that says which data sets and models a replication runs, and how."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
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

from labor_llm.baselines import BASELINES
from labor_llm.datasets import DatasetSource
from labor_llm.disclosure import MINIMUM_PERSONS
from labor_llm.errors import InputError
from labor_llm.finetuning_settings import FineTuningSettings
from labor_llm.language_models import is_model_name
from labor_llm.packaged_models import PACKAGED_MODELS

_PACKAGED = Path(__file__).parent / "profiles"
_LARGEST = 2**20

Key = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+([_-][a-z0-9]+)*$", max_length=60)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML's safe loader, but a field that stands twice is an error instead of the last one winning."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return the mapping of a node whose keys are all different."""
        keys = [self.construct_object(key, deep=deep) for key, _ in node.value]
        if twice := [key for key in keys if keys.count(key) > 1]:
            raise yaml.constructor.ConstructorError(problem=f"the field {twice[0]!r} stands twice")
        return super().construct_mapping(node, deep)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class DatasetEntry(_Strict):
    """A data set: packaged if nothing but a label is given; the fields are those of `DatasetSource`.

    Attributes:
        label: what tables call it.
        survey: the survey's name in the resume's first line.
        panel: CSV or parquet of the user's own careers.
        titles: CSV of the outcome space that goes with them.
        reader: the survey whose files are read or simulated.
        raw: the survey's files.
        crosswalks: folder with the crosswalks to occ1990dd.
        column_map: CSV that names the columns of extracts without reference numbers.
        options: of the conversion, by name.
        other_crosswalks: accept crosswalks of unknown versions.
        simulated_workers: simulate so many workers instead of reading files.
        simulation_seed: of the simulated workers.
        all_titles_workers: for how many test workers of this data set every title is scored, instead of what
            the language models say; -1 for all, 0 for none, which leaves it out of the chapter on valid mass.
    """

    label: Text
    survey: Text | None = None
    panel: Text | None = None
    titles: Text | None = None
    reader: Literal["psid", "nlsy79", "nlsy97"] | None = None
    raw: Text | None = None
    crosswalks: Text | None = None
    column_map: Text | None = None
    options: dict[Key, int | str | bool] | None = None
    other_crosswalks: bool | None = None
    simulated_workers: Annotated[int, Field(ge=10 * MINIMUM_PERSONS)] | None = None
    simulation_seed: Seed | None = None
    all_titles_workers: Annotated[int, Field(ge=-1)] | None = None

    def source(self) -> DatasetSource:
        """Return the fields that say where the data set comes from."""
        given = self.model_dump(exclude_none=True, exclude={"all_titles_workers"})
        given["options"] = [f"{name}={value}" for name, value in given.get("options", {}).items()]
        return DatasetSource(**given)


class LanguageModelEntry(_Strict):
    """A language model that is scored, after fine-tuning if `fine_tuning` is given.

    Attributes:
        label: what tables call it.
        base: packaged name, local folder or hub id.
        fine_tuning: its settings.
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
            raise ValueError(_first_problem(error)) from None


class Profile(_Strict):
    """What one replication runs. Fields as documented in `profiles/demo.yaml`.

    `results`, if given, is the folder of the results (from the checkout); `results/<file name>` otherwise.
    """

    name: Key
    description: Text
    split_seed: Seed
    datasets: Annotated[dict[Key, DatasetEntry], Field(min_length=1)]
    language_models: Annotated[dict[Key, LanguageModelEntry], Field(min_length=1)]
    baselines: list[Literal["empirical-transitions", "multinomial-logit"]]
    fine_tuned: Key
    off_the_shelf: Key
    draws: Annotated[int, Field(ge=100, le=1_000_000)]
    bootstrap_seed: Seed
    minutes: dict[str, float] = {}
    results: Text

    @model_validator(mode="after")
    def _consistent(self) -> Profile:
        for field in ("fine_tuned", "off_the_shelf"):
            if getattr(self, field) not in self.language_models:
                raise ValueError(f"{field} is {getattr(self, field)!r}, which is not among language_models")
        if not self.baselines or len(set(self.baselines)) < len(self.baselines):
            raise ValueError("baselines must name at least one baseline, and each once")
        self._check_all_titles_workers()
        if len({entry.line_ends for entry in self.language_models.values()}) > 1:
            raise ValueError(
                "language_models: line_ends must be the same for all, as their numbers are compared"
            )
        if taken := sorted(set(self.language_models) & set(BASELINES)):
            raise ValueError(f"language_models.{taken[0]} has the name of a baseline")
        labels = [
            *(entry.label for entry in self.language_models.values()),
            *(BASELINES[b][1] for b in self.baselines),
        ]
        if twice := [label for label in labels if labels.count(label) > 1]:
            raise ValueError(
                f"the label {twice[0]!r} stands for two models; tables tell models by their labels"
            )
        tuned, plain = self.language_models[self.fine_tuned], self.language_models[self.off_the_shelf]
        if tuned.fine_tuning is None or plain.fine_tuning is not None or tuned.base != plain.base:
            raise ValueError(
                "fine_tuned must name a model with fine_tuning, and off_the_shelf the same base without it"
            )
        for name, entry in self.datasets.items():
            try:
                entry.source().kind(name)
            except InputError as error:
                raise ValueError(f"datasets.{error}") from None
        return self

    def _check_all_titles_workers(self) -> None:
        """Refuse numbers of workers whose results could not be shown, before anything is computed."""
        for name, entry in self.datasets.items():
            if entry.all_titles_workers is not None and 0 < entry.all_titles_workers < MINIMUM_PERSONS:
                raise ValueError(
                    f"datasets.{name}.all_titles_workers is {entry.all_titles_workers}; give at least "
                    f"{MINIMUM_PERSONS}, -1 for all or 0 for none"
                )
        if all(entry.all_titles_workers == 0 for entry in self.datasets.values()):
            raise ValueError("datasets: all_titles_workers is 0 everywhere, but the text tells a valid mass")
        for name, entry in self.language_models.items():
            workers, needed = entry.all_titles_workers, name in (self.fine_tuned, self.off_the_shelf)
            if needed and (workers == 0 or entry.titles != "all"):
                raise ValueError(
                    f"language_models.{name}: the text tells its valid mass, for which titles must be 'all' and "
                    "all_titles_workers not 0"
                )
            if 0 < workers < MINIMUM_PERSONS:
                raise ValueError(
                    f"language_models.{name}.all_titles_workers is {workers}; published numbers rest on "
                    f"{MINIMUM_PERSONS} persons or more, so give at least that many, or -1 for all"
                )


def load_profile(name: str) -> Profile:
    """Return a profile by the name of a packaged one or the path of a YAML file.

    Raises:
        InputError: if there is no such profile, or a field is unknown, missing or ill-typed; names file and field.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else _PACKAGED / f"{name}.yaml"
    if not path.is_file():
        packaged = ", ".join(sorted(found.stem for found in _PACKAGED.glob("*.yaml")))
        raise InputError(
            f"{name}: no such profile. Packaged are: {packaged}; or give the path of a .yaml file."
        )
    if path.stat().st_size > _LARGEST:
        raise InputError(f"{path}: larger than {_LARGEST:,} bytes, which no profile is.")
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeyLoader)  # noqa: S506 (a safe loader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not readable as YAML ({' '.join(str(error).split())}).") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected `field: value` lines. Compare with the packaged demo profile.")
    try:
        profile = Profile.model_validate({"name": path.stem, "results": f"results/{path.stem}", **content})
    except ValidationError as error:
        raise InputError(f"{path}: {_first_problem(error)}.") from None
    return profile


def _first_problem(error: ValidationError) -> str:
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ").rstrip(".")
    return f"{field}: {message}" if field else message
