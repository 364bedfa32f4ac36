"""A profile: one YAML file that says which data sets and models a replication runs, and how."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from labor_llm.baselines.settings import BASELINES, BESIDE_BASELINES, CareerSettings
from labor_llm.disclosure import MINIMUM_PERSONS
from labor_llm.errors import InputError
from labor_llm.plain_text import comparable
from labor_llm.settings import Key, PathText, Seed, SettingError, Settings, Text
from labor_llm.store.results import project_root
from labor_llm.text.settings import PromptSettings, ResumeSettings
from labor_llm.workflow.entries import DatasetEntry, LanguageModelEntry, Sizes, Studies
from labor_llm.workflow.sources import DatasetSource
from labor_llm.workflow.yaml_files import read_yaml

_MODELS_OF_OURS = BASELINES | BESIDE_BASELINES
_PACKAGED = Path(__file__).parent / "profiles"
# What could pass for an effect of the years of training, beside `training` itself.
_SAME_IN_TIME = (
    "base", "fine_tuning", "resumes", "prompt", "test_workers", "dtype", "quantization", "too_long", "line_ends",
)  # fmt: skip


class Profile(Settings):
    """What one replication runs. Fields as documented in `profiles/demo.yaml`."""

    name: Key
    """File name without its ending."""
    description: Text
    """In one line."""
    split_seed: Seed
    """Seed of the split of workers into training, validation and test."""
    datasets: Annotated[dict[Key, DatasetEntry], Field(min_length=1)]
    """Data sets by short name."""
    language_models: Annotated[dict[Key, LanguageModelEntry], Field(min_length=1)]
    """Language models by short name."""
    baselines: Annotated[list[Literal[tuple(BASELINES)]], Field(min_length=1)]
    """Models of occupations without words."""
    career: CareerSettings = CareerSettings()
    """Size and training of CAREER."""
    fine_tuned: Key
    """The language model that the text is about."""
    off_the_shelf: Key
    """The same base without fine-tuning."""
    studies: Studies = Studies()
    """Variants of language models that chapters put side by side."""
    sizes: Sizes = Sizes()
    """How much the chapters compute."""
    refitted: list[Key] = Field(default_factory=list)
    """Baselines and fine-tuned models that are fitted again on resampled training workers (TrainSE)."""
    refits: Annotated[int, Field(ge=2, le=1000)] = 10
    """How often."""
    draws: Annotated[int, Field(ge=100, le=1_000_000)]
    """Samples of the test-set bootstrap."""
    bootstrap_seed: Seed
    """Seed of these samples and of the resampled training workers."""
    leave_out: list[
        Literal["12_history_length", "13_horizons", "14_demographics", "16_embeddings", "17_speed_and_memory",
                "18_larger_runs"]
    ] = Field(default_factory=list)  # fmt: skip
    """Notebooks that are not run; what careers do not bear need not stand here, as the chapter says so itself."""
    parameters: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Parameters of notebooks, by notebook or run, that do not follow from other fields."""
    minutes: dict[str, Annotated[float, Field(ge=0, le=1_000_000)]] = Field(default_factory=dict)
    """The time by notebook or run, on the cores that a run takes, where it is known better than counted."""
    hangs_after: Annotated[float, Field(ge=0, le=10_000)] = 10.0
    """A notebook is ended as one that hangs after so many times its forecast, an hour at least; 0 for never."""
    cores_per_run: Annotated[int, Field(ge=1)] | None = None
    """Cores that one run of a notebook takes, so that several go on at once; a run takes all cores without it."""
    results: PathText
    """Folder of the results, from the checkout; `results/<file name>` if not given."""

    @field_validator("results")
    @classmethod
    def _apart(cls, value: str) -> str:
        checkout, folder = project_root().resolve(), (project_root() / value).resolve()
        ours = [
            checkout / name
            for name in ("labor_llm", "notebooks", "book", "tests", "benchmarks", "data", ".git")
        ]
        if checkout.is_relative_to(folder) or any(folder.is_relative_to(place) for place in ours):
            raise ValueError(
                f"{value!r} holds, or is a part of, the checkout; name a folder apart, as results/NAME"
            )
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Profile:
        for field in ("fine_tuned", "off_the_shelf"):
            if getattr(self, field) not in self.language_models:
                raise ValueError(f"{field} is {getattr(self, field)!r}, which is not among language_models")
        self._check_studies()
        self._check_refitted()
        if len(set(self.baselines)) < len(self.baselines):
            raise ValueError("baselines must name each baseline once")
        self._check_all_titles_workers()
        if len({entry.line_ends for entry in self.language_models.values()}) > 1:
            raise ValueError(
                "language_models: line_ends must be the same for all, as their numbers are compared"
            )
        if taken := sorted(set(self.language_models) & set(_MODELS_OF_OURS)):
            raise ValueError(f"language_models.{taken[0]} has the name of a baseline")
        self._check_labels()
        for name in self.compared_models:
            if (workers := self.language_models[name].test_workers) != -1:
                raise ValueError(
                    f"language_models.{name}.test_workers is {workers}, but the main comparison is of the same test "
                    "workers throughout, and baselines are scored on all; leave it out, or name the model in studies"
                )
        tuned, plain = self.language_models[self.fine_tuned], self.language_models[self.off_the_shelf]
        if tuned.fine_tuning is None or plain.fine_tuning is not None or tuned.base != plain.base:
            raise ValueError(
                "fine_tuned must name a model with fine_tuning, and off_the_shelf the same base without it"
            )
        for field, usual in (("resumes", ResumeSettings()), ("prompt", PromptSettings())):
            if getattr(tuned, field) != usual:
                # Chapters write texts of their own for it: of cut histories, of permuted covariates.
                raise ValueError(
                    f"language_models.{self.fine_tuned}.{field}: the fine_tuned model must have the usual {field}; "
                    "leave it out, and compare another model with it in studies.titles"
                )
        for name, entry in self.datasets.items():
            try:
                entry.source().kind(name)
            except InputError as error:
                raise ValueError(f"datasets.{error}") from None
        return self

    @property
    def compared_models(self) -> list[str]:
        """Names of the language models of the main comparison, in the order of the file."""
        apart = self._models_of_studies()
        return [name for name in self.language_models if name not in apart]

    def source_of(self, dataset: str) -> DatasetSource:
        """Return where a data set comes from, with the share of workers that `sizes` leaves; simulated: all."""
        entry = self.datasets[dataset]
        share = 1.0 if entry.simulated_workers else entry.share * self.sizes.share
        return entry.source().model_copy(update={"share": share})

    def threads(self, cores: int) -> int:
        """Return the threads of one run of a notebook, given the cores for all that run at once."""
        return min(cores, self.cores_per_run or cores)

    def datasets_of(self, model: str) -> list[str]:
        """Return the names of the data sets that a language model is run on.

        Those that it names itself; else the first one for a model of the chapters on variants, and all for the others
        but data sets that name other models.
        """
        if (named := self.language_models[model].datasets) is not None:
            return named
        if model in self._models_of_studies():
            return [next(iter(self.datasets))]
        return [
            name for name, entry in self.datasets.items()
            if entry.language_models is None or model in entry.language_models
        ]  # fmt: skip

    def _models_of_studies(self) -> set[str]:
        named = {name for models in self.studies.chapters().values() for name in models}
        return named - {self.fine_tuned, self.off_the_shelf}

    def _check_refitted(self) -> None:
        tuned = [name for name, entry in self.language_models.items() if entry.fine_tuning is not None]
        for model in self.refitted:
            if model not in (*self.baselines, *tuned):
                raise ValueError(
                    f"refitted names {model!r}, which is neither among baselines nor a language model with fine_tuning"
                )

    def _check_studies(self) -> None:
        for name, entry in self.language_models.items():
            for dataset in (*(entry.datasets or ()), *entry.training.others):
                if dataset not in self.datasets:
                    raise ValueError(f"language_models.{name} names {dataset!r}, which is not among datasets")
        for dataset, of_dataset in self.datasets.items():
            for name in of_dataset.language_models or ():
                if name not in self.language_models:
                    raise ValueError(f"datasets.{dataset} names {name!r}, which is not among language_models")
        first = next(iter(self.datasets))
        for name in (self.fine_tuned, self.off_the_shelf):
            if first not in self.datasets_of(name):
                raise ValueError(f"language_models.{name} must be run on {first}, the first data set")
        for chapter, models in self.studies.chapters().items():
            for model in models:
                if model not in self.language_models:
                    raise ValueError(f"studies.{chapter} names {model!r}, which is not among language_models")
                if first not in self.datasets_of(model):
                    raise ValueError(
                        f"studies.{chapter} is about {first}, the first data set, on which {model} is not run"
                    )
        for chapter in ("titles", "pooled_data"):
            models = self.studies.chapters()[chapter]
            if len(models) == 1 or len(set(models)) < len(models):
                raise ValueError(f"studies.{chapter} must name two models at least, each once, or none")
        for model, whole in self.studies.until_last_year.items():
            if self.language_models[model].training.last_year != self.studies.last_year:
                raise ValueError(
                    f"studies.until_last_year: training.last_year of {model} must be studies.last_year, "
                    f"{self.studies.last_year}"
                )
            self._check_same_but_for_years("until_last_year", model, whole)
        controls = self.studies.as_many_records
        if controls and list(controls) != list(self.studies.until_last_year):
            raise ValueError(
                "studies.as_many_records must name a control for each model of until_last_year, in the same order, or "
                "none"
            )
        for model, control in controls.items():
            if self.language_models[control].training.as_many_as_until != self.studies.last_year:
                raise ValueError(
                    f"studies.as_many_records: training.as_many_as_until of {control} must be studies.last_year, "
                    f"{self.studies.last_year}"
                )
            whole = self.studies.until_last_year[model]
            self._check_same_but_for_years("as_many_records", control, whole)

    def _check_same_but_for_years(self, field: str, model: str, whole: str) -> None:
        early, late = self.language_models[model], self.language_models[whole]
        all_years = early.training.model_copy(update={"last_year": 0, "as_many_as_until": 0})
        differing = [] if all_years == late.training else ["training"]
        differing += [name for name in _SAME_IN_TIME if getattr(early, name) != getattr(late, name)]
        if differing:
            raise ValueError(
                f"studies.{field}: but for its years of training {model} must be fine-tuned and scored as "
                f"{whole} is; they differ in {', '.join(differing)}"
            )

    def _check_labels(self) -> None:
        """Refuse texts that are alike, or headings of tables: tables and samples tell models and data sets by them."""
        ours = {"test workers", "test transitions", *map(comparable, _MODELS_OF_OURS.values())}
        for group, taken in (("language_models", ours), ("datasets", {"characteristic"})):
            for name, entry in getattr(self, group).items():
                if (label := comparable(entry.label)) in taken:
                    raise ValueError(
                        f"{group}.{name}.label: the label {entry.label!r} stands for another one too; tables tell "
                        "models and data sets by their labels"
                    )
                taken.add(label)

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
    document = read_yaml(path)
    if not isinstance(document.content, dict):
        raise InputError(f"{path}: expected `field: value` lines. Compare with the packaged demo profile.")
    content = _like_another(document.content, path)
    try:
        return Profile(**{"name": path.stem, "results": f"results/{path.stem}", **content})
    except SettingError as error:
        # Of fields that do not fit each other, the message begins with the first.
        field = error.field or error.rule.split(maxsplit=1)[0].rstrip(":")
        raise InputError(f"{path}{document.place(field)}: {error}.") from None


def _like_another(content: dict[str, Any], path: Path, above: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Return the fields of a profile that is like a packaged one, with those in its own file in place of theirs.

    `like` names the packaged profile, which may be like another one, `bases` says which base model stands in the place
    of which. Files `above` are like this one.
    """
    own = dict(content)
    like, bases = own.pop("like", None), own.pop("bases", {})
    if like is None:
        if bases:
            raise InputError(
                f"{path}: bases stands for base models of the profile that it is `like`; name that."
            )
        return own
    packaged = _PACKAGED / f"{like}.yaml"
    if not isinstance(like, str) or not packaged.is_file():
        raise InputError(f"{path}: like is {like!r}, which is no packaged profile.")
    if packaged in (*above, path):
        raise InputError(f"{path}: like is {like!r}, which is itself like this one.")
    theirs = _like_another(read_yaml(packaged).content, packaged, (*above, path))
    models = own.get("language_models", theirs["language_models"])
    found = {str(model["base"]) for model in models.values()}
    if not isinstance(bases, dict) or (unknown := sorted(set(bases) - found)):
        named = (
            f"{unknown[0]!r} is the base of no model there"
            if isinstance(bases, dict)
            else "give one for another"
        )
        raise InputError(f"{path}: bases: {named}; there are {', '.join(sorted(found))}.")
    replaced = {
        name: {**model, "base": bases.get(model["base"], model["base"])} for name, model in models.items()
    }
    return {**theirs, **own, "language_models": replaced}
