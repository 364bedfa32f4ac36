"""Data sets by name: packaged ones and the user's own files, stored as a career panel with its splits."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from labor_llm.artefacts import MANIFEST, verify
from labor_llm.careers import SPLITS, CareerPanel, read_careers, read_panel, split_workers, write_panel
from labor_llm.disclosure import MINIMUM_PERSONS
from labor_llm.errors import InputError
from labor_llm.results import Results, project_root
from labor_llm.surveys.wage_panel import read_wage_panel

PACKAGED_DATASETS: dict[str, Callable[[], CareerPanel]] = {"wage_panel": read_wage_panel}
_PACKAGED_LABELS = {"wage_panel": "NLSY79 men, 1980-87"}


def packaged_careers(dataset: str, survey: str = "") -> CareerPanel:
    """Return the careers of a packaged data set, under another name of the survey if one is given."""
    careers = PACKAGED_DATASETS[dataset]()
    return dataclasses.replace(careers, survey=survey or careers.survey)


def convert_dataset(
    results: Results,
    dataset: str,
    label: str = "",
    survey: str = "",
    panel: str = "",
    titles: str = "",
    split_seed: int = 1,
) -> Path:
    """Convert a data set to a career panel, split its workers, and store both.

    Args:
        results: where the artefact goes.
        dataset: a packaged data set, or the short name for the user's own.
        label: what tables call it; if empty, the packaged data set's own label or the short name.
        survey: the survey's name in the resume's first line.
        panel: the user's careers (a relative path is taken from the checkout); empty for a packaged data set.
        titles: the user's titles, likewise.
        split_seed: seed of the split by worker.

    Returns:
        The folder of the artefact.

    Raises:
        InputError: if the files do not form a career panel (naming file, row and column), or the data
            set is neither packaged nor given by files.
    """
    inputs: dict[str, Path] = {}
    if panel and titles:
        inputs = {"panel": project_root() / panel, "titles": project_root() / titles}
        careers = read_careers(inputs["panel"], inputs["titles"], dataset, survey)
    elif dataset in PACKAGED_DATASETS and not panel and not titles:
        careers = packaged_careers(dataset, survey)
    else:
        raise InputError(
            f"The data set {dataset!r} is not packaged ({', '.join(PACKAGED_DATASETS)} are). "
            "Give both of its files: panel (careers) and titles (occupations)."
        )
    splits = split_workers(careers, split_seed)
    _check_enough_workers(dataset, splits)
    parameters = {"label": label or _PACKAGED_LABELS.get(dataset, dataset), "split_seed": split_seed}
    write_panel(results.panel(dataset), careers, splits, parameters, inputs)
    return results.panel(dataset)


def _check_enough_workers(dataset: str, splits: Mapping[str, str]) -> None:
    """Refuse a panel whose results could not be shown later, before any work is done on it."""
    fewest, split = min((list(splits.values()).count(split), split) for split in SPLITS)
    if fewest < MINIMUM_PERSONS:
        raise InputError(
            f"{dataset}: only {fewest} {split} workers, but every published number rests on {MINIMUM_PERSONS} "
            f"persons or more. Give at least {10 * MINIMUM_PERSONS} workers; this panel has {len(splits)}."
        )


def open_dataset(results: Results, dataset: str) -> tuple[CareerPanel, dict[str, str]]:
    """Return a converted data set and the split of each worker; a packaged one is converted if need be.

    Raises:
        InputError: if the data set was not converted and is not packaged.
        ArtefactError: if the stored panel was changed.
    """
    folder = results.panel(dataset)
    if not (folder / MANIFEST).is_file():
        if dataset not in PACKAGED_DATASETS:
            raise InputError(
                f"{folder}: the data set {dataset!r} has not been converted. Run notebooks/01_data_conversion with "
                f"dataset {dataset}, panel and titles first."
            )
        convert_dataset(results, dataset)
    return read_panel(folder)


def open_datasets(
    results: Results, datasets: Sequence[str]
) -> tuple[list[CareerPanel], dict[str, dict[str, str]]]:
    """Return several converted data sets, and for each by name the split of each worker."""
    opened = {dataset: open_dataset(results, dataset) for dataset in datasets}
    return [panel for panel, _ in opened.values()], {name: splits for name, (_, splits) in opened.items()}


def dataset_label(results: Results, dataset: str) -> str:
    """Return what tables call a converted data set."""
    return str(verify(results.panel(dataset))["parameters"]["label"])
