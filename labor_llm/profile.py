"""A profile: one YAML file that says which data sets and models a replication runs, and how."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from labor_llm.datasets import PACKAGED_DATASETS
from labor_llm.errors import InputError
from labor_llm.finetuning_settings import FineTuningSettings

_PACKAGED = Path(__file__).parent / "profiles"
_LARGEST = 2**20

Key = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=60)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class DatasetEntry(_Strict):
    """A data set: packaged if it has no files, otherwise the user's panel and titles.

    Attributes:
        label: what tables call it.
        survey: the survey's name in the resume's first line.
        panel: CSV or parquet of careers.
        titles: CSV of the outcome space.
    """

    label: Text
    survey: Text | None = None
    panel: Text | None = None
    titles: Text | None = None


class LanguageModelEntry(_Strict):
    """A language model that is scored, after fine-tuning if `fine_tuning` is given.

    Attributes:
        label: what tables call it.
        base: packaged name, local folder or hub id.
        fine_tuning: fields of `FineTuningSettings`.
        all_titles_workers: for how many test workers every title is scored; -1 for all.
        dtype: arithmetic of scoring.
        quantization: of the weights in scoring.
    """

    label: Text
    base: Text
    fine_tuning: dict[str, Any] | None = None
    all_titles_workers: Annotated[int, Field(ge=-1)] = -1
    dtype: Literal["float32", "bfloat16"] = "float32"
    quantization: Literal["none", "8bit", "4bit"] = "none"


class Profile(_Strict):
    """What one replication runs. Fields as documented in `profiles/demo.yaml`.

    `results`, if given, is the folder of the results (from the checkout); `results/<file name>` otherwise.
    """

    name: Key
    description: Text
    split_seed: int
    datasets: Annotated[dict[Key, DatasetEntry], Field(min_length=1)]
    language_models: Annotated[dict[Key, LanguageModelEntry], Field(min_length=1)]
    baselines: list[Literal["empirical-transitions", "multinomial-logit"]]
    fine_tuned: Key
    off_the_shelf: Key
    draws: Annotated[int, Field(ge=100)]
    bootstrap_seed: int
    minutes: dict[str, float] = {}
    results: Text

    @model_validator(mode="after")
    def _consistent(self) -> Profile:
        for field in ("fine_tuned", "off_the_shelf"):
            if getattr(self, field) not in self.language_models:
                raise ValueError(f"{field} is {getattr(self, field)!r}, which is not among language_models")
        for name, entry in self.datasets.items():
            if (entry.panel is None) != (entry.titles is None):
                raise ValueError(f"datasets.{name} needs both panel and titles, or neither")
            if entry.panel is None and name not in PACKAGED_DATASETS:
                raise ValueError(f"datasets.{name} is not packaged, so it needs panel and titles")
        return self


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
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not readable as YAML ({' '.join(str(error).split())}).") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected `field: value` lines. Compare with the packaged demo profile.")
    try:
        profile = Profile.model_validate({"name": path.stem, "results": f"results/{path.stem}", **content})
        for entry in profile.language_models.values():
            fine_tuning_settings(entry)
    except ValidationError as error:
        raise InputError(f"{path}: {_first_problem(error)}.") from None
    except (InputError, TypeError) as error:
        raise InputError(f"{path}, fine_tuning: {error}") from None
    return profile


def fine_tuning_settings(entry: LanguageModelEntry) -> FineTuningSettings:
    """Return the settings of a model that is fine-tuned, defaults filled in.

    Raises:
        InputError: if a setting is unknown or out of range.
    """
    given = entry.fine_tuning or {}
    known = FineTuningSettings.__dataclass_fields__
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise InputError(f"{unknown[0]!r} is no setting of fine-tuning; known are {', '.join(known)}.")
    return FineTuningSettings(**given)


def _first_problem(error: ValidationError) -> str:
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"]) or "profile"
    return f"{field}: {first['msg'].removeprefix('Value error, ')}"
