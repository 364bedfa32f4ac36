"""Data sets by name: packaged, from a survey's files, simulated, or the user's own; stored with their splits."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from labor_llm.careers.panel import SPLITS, CareerPanel, read_careers, read_panel, split_workers, write_panel
from labor_llm.careers.samples import TrainingCareers, refuse_same_persons, sampled, training_careers
from labor_llm.careers.settings import TrainingData
from labor_llm.disclosure import MINIMUM_PERSONS
from labor_llm.errors import InputError
from labor_llm.store.artefacts import MANIFEST, verify
from labor_llm.store.results import Results, project_root
from labor_llm.surveys.conversion import SURVEYS, convert_survey
from labor_llm.surveys.report import CONVERSION
from labor_llm.surveys.wage_panel import read_wage_panel
from labor_llm.text.settings import ResumeSettings
from labor_llm.text.variants import variant_of, variants_of
from labor_llm.workflow.sources import PACKAGED_LABELS, DatasetSource

PACKAGED_DATASETS: dict[str, Callable[[], CareerPanel]] = {"wage_panel": read_wage_panel}

# What a panel's manifest calls those whose careers it holds, whatever name of the survey its resumes state.
_PERSONS = "persons"


def packaged_careers(dataset: str, survey: str = "") -> CareerPanel:
    """Return the careers of a packaged data set, under another name of the survey if one is given."""
    careers = PACKAGED_DATASETS[dataset]()
    return dataclasses.replace(careers, survey=survey or careers.survey)


def convert_dataset(
    results: Results, dataset: str, source: DatasetSource | None = None, split_seed: int = 1
) -> Path:
    """Convert a data set to a career panel, split its workers, and store both.

    Args:
        results: where the artefact goes.
        dataset: a packaged data set, or the short name for another.
        source: where it comes from; nothing is needed for a packaged one.
        split_seed: seed of the split by worker.

    Returns:
        The folder of the artefact: `panel.parquet`, `titles.csv`, `splits.csv`; for a survey also
        `conversion.json`, for a simulated one `market.json`.

    Raises:
        InputError: if the files do not form a career panel (naming file, row and column, or variable and wave).
    """
    source = source or DatasetSource()
    kind = source.kind(dataset)
    if kind == "simulated":
        return _convert_simulated(results, dataset, source, split_seed)
    label = source.label or PACKAGED_LABELS.get(dataset, dataset)
    if kind == "survey":
        raw, crosswalks = project_root() / source.raw, project_root() / source.crosswalks
        column_map = project_root() / source.column_map if source.column_map else None
        careers, conversion = convert_survey(
            source.reader, raw, crosswalks, dataset, source.options, column_map, source.other_crosswalks,
            source.survey,
        )  # fmt: skip
        texts = {CONVERSION: conversion.to_json()}
        persons = SURVEYS[source.reader].name
        return store_careers(results.panel(dataset), careers, label, split_seed, None, texts, persons, source)
    inputs: dict[str, Path] = {}
    if kind == "own":
        inputs = {"panel": project_root() / source.panel, "titles": project_root() / source.titles}
        careers = read_careers(inputs["panel"], inputs["titles"], dataset, source.survey)
    else:
        careers = packaged_careers(dataset, source.survey)
    persons = packaged_careers(dataset).survey if kind == "packaged" else ""
    return store_careers(results.panel(dataset), careers, label, split_seed, inputs, None, persons, source)


def _convert_simulated(results: Results, dataset: str, source: DatasetSource, split_seed: int) -> Path:
    """Simulate a survey's workers, write what they answer as its files, and convert these like real ones."""
    # Only here, so that no survey's reader depends on the simulation.
    from labor_llm.simulation.files.writing import CROSSWALKS, RAW, write_simulated_survey
    from labor_llm.simulation.market import MARKET_FILE

    folder = results.simulation(dataset)
    write_simulated_survey(folder, source.reader, source.simulated_workers, source.simulation_seed)
    name = source.survey or f"simulated {SURVEYS[source.reader].name}"
    careers, conversion = convert_survey(
        source.reader, folder / RAW, folder / CROSSWALKS, dataset, source.options, other_crosswalks=True,
        survey_name=name,
    )  # fmt: skip
    texts = {
        CONVERSION: conversion.to_json(),
        MARKET_FILE: (folder / MARKET_FILE).read_text(encoding="utf-8"),
    }
    label = source.label or f"{name[0].upper()}{name[1:]}"
    # Another seed makes other persons.
    persons = f"simulated {SURVEYS[source.reader].name}, seed {source.simulation_seed}"
    inputs = {"simulation": folder}
    # There are as many as were asked for.
    whole = source.model_copy(update={"share": 1.0})
    return store_careers(results.panel(dataset), careers, label, split_seed, inputs, texts, persons, whole)


def store_careers(
    folder: Path,
    careers: CareerPanel,
    label: str,
    split_seed: int,
    inputs: Mapping[str, Path] | None = None,
    texts: Mapping[str, str] | None = None,
    persons: str = "",
    source: DatasetSource | None = None,
) -> Path:
    """Split the workers of a panel, or of a share of it, and store it as an artefact.

    Args:
        folder: of the artefact.
        careers: the panel.
        label: what tables call the data set.
        split_seed: seed of the split by worker.
        inputs: files that it was made from, by name; their checksums are stored.
        texts: further files, content by name.
        persons: the survey that the careers are from, whatever name of it their resumes state; empty if not known.
        source: what share of the workers is kept, drawn with the same seed, and whether households stay whole.

    Raises:
        As `checked_splits`.
    """
    source = source or DatasetSource()
    careers = share_of_workers(careers, source.share, split_seed)
    splits = checked_splits(careers, split_seed, source.whole_households)
    described = {"label": label, "split_seed": split_seed} | ({_PERSONS: persons} if persons else {})
    described |= source.model_dump(include={"share", "whole_households"}, exclude_defaults=True)
    write_panel(folder, careers, splits, described, inputs, texts)
    return folder


def share_of_workers(careers: CareerPanel, share: float, seed: int) -> CareerPanel:
    """Return the careers of a share of the workers, drawn at random; all of them for 1."""
    return careers if share == 1.0 else sampled(careers, round(share * len(careers.workers)), seed)


def checked_splits(careers: CareerPanel, split_seed: int, whole_households: bool = False) -> dict[str, str]:
    """Return the split of each worker of a panel of which there will be something to show.

    What a single chapter asks of careers, and these do not bear, is said in that chapter instead.

    Raises:
        InputError: if a split would have too few workers for any number to be shown, or nobody in training ever has
            another occupation than the others.
    """
    dataset, splits = careers.dataset, split_workers(careers, split_seed, whole_households)
    fewest, split = min((list(splits.values()).count(split), split) for split in SPLITS)
    if fewest < MINIMUM_PERSONS:
        raise InputError(
            f"{dataset}: only {fewest} {split} workers, but every published number rests on {MINIMUM_PERSONS} "
            f"persons or more. Give at least {10 * MINIMUM_PERSONS} workers; this panel has {len(splits)}."
        )
    if careers.split(splits, "train").frame["occupation"].nunique() < 2:
        raise InputError(
            f"{dataset}: all records of the training workers have one and the same occupation, so there is nothing to "
            "predict. Give careers in two occupations or more."
        )
    return splits


def open_dataset(
    results: Results, dataset: str, variant: ResumeSettings | None = None
) -> tuple[CareerPanel, dict[str, str]]:
    """Return a converted data set, in a variant as text, and the split of each worker; a packaged one is converted.

    Raises:
        InputError: if the data set was not converted and is not packaged.
        ArtefactError: if the stored panel was changed.
    """
    folder = results.panel(dataset)
    if not (folder / MANIFEST).is_file():
        if dataset not in PACKAGED_DATASETS:
            raise InputError(
                f"{folder}: the data set {dataset!r} has not been converted. Run notebooks/01_data_conversion with "
                f"dataset {dataset} and its files first."
            )
        convert_dataset(results, dataset)
    careers, splits = read_panel(folder)
    return variant_of(careers, variant or ResumeSettings()), splits


def open_datasets(
    results: Results, datasets: Sequence[str]
) -> tuple[list[CareerPanel], dict[str, dict[str, str]]]:
    """Return several converted data sets, and for each by name the split of each worker."""
    opened = {dataset: open_dataset(results, dataset) for dataset in datasets}
    return [panel for panel, _ in opened.values()], {name: splits for name, (_, splits) in opened.items()}


def drawn_workers(
    careers: CareerPanel, splits: Mapping[str, str], number: int = -1, seed: int = 1, split: str = "test"
) -> CareerPanel:
    """Return the careers of a split's workers, so many of them drawn at random; of all if -1.

    Raises:
        As `sampled`.
    """
    return sampled(careers.split(splits, split), number, seed)


def open_training_careers(
    results: Results, dataset: str, data: TrainingData, variant: ResumeSettings | None = None
) -> TrainingCareers:
    """Return the careers that a model of a data set is fine-tuned on, in a variant as text.

    Args:
        results: where the data sets lie.
        dataset: the model's own data set.
        data: which of its training workers, and of which other data sets.
        variant: titles and header; the paper's main ones if not given.

    Raises:
        As `open_dataset`, `variants_of`, `training_careers` and `refuse_same_persons`, which knows converted
        surveys by what was read, under any name.
    """
    names = [dataset, *data.others]
    panels, splits = open_datasets(results, names)
    manifests = {name: verify(results.panel(name))["parameters"] for name in names}
    refuse_same_persons([(name, manifests[name].get(_PERSONS, manifests[name]["survey"])) for name in names])
    own, *others = variants_of(panels, variant or ResumeSettings())
    return training_careers(own, splits[dataset], data, [(other, splits[other.dataset]) for other in others])
