"""The runs of notebooks that make data sets, models and predictions: their parameters, what they need and make."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labor_llm.baselines.oracle import ORACLE
from labor_llm.errors import InputError
from labor_llm.exhibits.catalogue import read_catalogue
from labor_llm.profile import DatasetEntry, Profile
from labor_llm.profile_models import LanguageModelEntry
from labor_llm.results import Results, open_results, project_root

_DEFAULT_MINUTES = 0.3


@dataclass(frozen=True)
class NotebookRun:
    """One execution of a notebook.

    Attributes:
        name: unique name, also of the executed notebook.
        notebook: name of the notebook.
        parameters: what it is run with.
        needs: files that other runs make and this one reads.
        makes: files that it makes, apart from the executed notebook.
        minutes: forecast, on the cores that a run takes.
        overridden: whether the profile's own parameters replace some that follow from its other fields.
    """

    name: str
    notebook: str
    parameters: dict[str, Any]
    needs: list[Path] = field(default_factory=list)
    makes: list[Path] = field(default_factory=list)
    minutes: float = _DEFAULT_MINUTES
    overridden: bool = False


def notebook_run(
    profile: Profile,
    notebook: str,
    parameters: dict[str, Any],
    variant: str = "",
    needs: Iterable[Path] = (),
    makes: Iterable[Path] = (),
) -> NotebookRun:
    """Return a run with the exhibits that its notebook makes, and what the profile says of its parameters and time.

    Args:
        profile: the profile.
        notebook: name of the notebook.
        parameters: what follows from the profile's other fields.
        variant: what tells this run from others of the notebook, such as the data set.
        needs: files that other runs make.
        makes: files that it makes, apart from exhibits and the executed notebook.

    Raises:
        InputError: if the profile gives all runs of a notebook a parameter that follows from its other fields.
    """
    folder = open_results(profile.results).exhibits
    shown = [exhibit for exhibit in read_catalogue().values() if exhibit.notebook == notebook]
    exhibits = [
        folder / f"{exhibit.label(variant if exhibit.variants else '')}.{ending}"
        for exhibit in shown
        for ending in exhibit.endings
    ]
    name = f"{notebook}-{variant}" if variant else notebook
    of_all, of_run = (profile.parameters.get(key, {}) for key in (notebook, name))
    # What differs between the runs of a notebook can't be the same for all of them.
    if name != notebook and (twice := sorted(of_all.keys() & parameters.keys())):
        raise InputError(
            f"parameters: {twice[0]!r} of {notebook} follows from the profile's other fields. Leave it out, or name "
            f"the run that it is for: {name}."
        )
    given = of_all | of_run
    return NotebookRun(
        name=name,
        notebook=notebook,
        parameters={**parameters, **given, "results": profile.results},
        needs=list(needs),
        makes=[*makes, *exhibits],
        minutes=profile.minutes.get(name, profile.minutes.get(notebook, _DEFAULT_MINUTES)),
        overridden=bool(given.keys() & parameters.keys()),
    )


def conversion_run(profile: Profile, results: Results, dataset: str) -> NotebookRun:
    """Return the run that makes a data set's career panel."""
    entry = profile.datasets[dataset]
    given = {name: value for name, value in dataclasses.asdict(entry.source()).items() if value}
    parameters = {"dataset": dataset, **given, "split_seed": profile.split_seed}
    files = [project_root() / path for path in entry.source().files() if path]
    makes = [manifest_of(results.panel(dataset))]
    return notebook_run(profile, "01_data_conversion", parameters, dataset, needs=files, makes=makes)


def runs_of_dataset(profile: Profile, results: Results, dataset: str) -> list[NotebookRun]:
    """Return the runs that make all models and predictions of a data set."""
    panel, entry_of_data = manifest_of(results.panel(dataset)), profile.datasets[dataset]
    base = profile.language_models[profile.fine_tuned].base
    runs = [notebook_run(profile, "03_resumes", {"dataset": dataset, "model": base}, dataset, needs=[panel])]
    for name in profile.language_models:
        if dataset in profile.datasets_of(name):
            runs += _runs_of_language_model(profile, results, dataset, name)
    known = [ORACLE] if entry_of_data.simulated_workers else []
    makes = [manifest_of(results.predictions(dataset, name)) for name in (*profile.baselines, *known)]
    parameters = {
        "dataset": dataset,
        "baselines": list(profile.baselines),
        **_career_parameters(profile),
        "refitted": [name for name in profile.baselines if name in profile.refitted],
        "refits": profile.refits,
        "refit_seed": profile.bootstrap_seed,
    }
    makes += [_last_refit(profile, results, dataset, name) for name in parameters["refitted"]]
    if "career" in profile.baselines:
        makes.append(manifest_of(results.model(dataset, "career")))
    runs.append(notebook_run(profile, "06_baselines", parameters, dataset, needs=[panel], makes=makes))
    return runs


def _runs_of_language_model(profile: Profile, results: Results, dataset: str, name: str) -> list[NotebookRun]:
    """Return the fine-tuning, if there is one, and the scoring of a language model on a data set."""
    entry, panel = profile.language_models[name], manifest_of(results.panel(dataset))
    variant, runs = f"{dataset}-{name}", []
    of_the_text = {
        "title_form": entry.resumes.titles,
        "title_seed": entry.resumes.seed,
        "birth_year": entry.resumes.birth_year,
    }
    model, needs = entry.base, [panel]
    if entry.fine_tuning is not None:
        training = entry.training
        others = [other for other in training.others if other != dataset]
        parameters = {
            "dataset": dataset, "model": entry.base, "name": name, "label": entry.label,
            **dataclasses.asdict(entry.fine_tuning), **of_the_text,
            "train_workers": training.workers, "other_datasets": others, "other_share": training.share,
            "own_repeats": training.own_repeats, "last_year": training.last_year, "data_seed": training.seed,
        }  # fmt: skip
        folder = results.model(dataset, name)
        panels = [panel, *(manifest_of(results.panel(other)) for other in others)]
        runs.append(
            notebook_run(
                profile, "04_fine_tuning", parameters, variant, needs=panels, makes=[manifest_of(folder)]
            )
        )
        model, needs = named_from_checkout(folder), [panel, manifest_of(folder)]
    parameters = {
        "dataset": dataset, "model": model, "name": name, "label": entry.label,
        "titles": entry.titles, "named": entry.named,
        "all_titles_workers": _all_titles_workers(profile.datasets[dataset], entry), "tolerance": entry.tolerance,
        "too_long": entry.too_long, "line_ends": entry.line_ends,
        "memory_mib": entry.memory_mib, "dtype": entry.dtype, "quantization": entry.quantization,
        **of_the_text, "prompt": entry.prompt.form, "examples": entry.prompt.examples,
        "test_workers": entry.test_workers, "seed": profile.split_seed,
        "refits": profile.refits if name in profile.refitted else 0, "refit_seed": profile.bootstrap_seed,
    }  # fmt: skip
    makes = [manifest_of(results.predictions(dataset, name))]
    if name in profile.refitted:
        makes.append(_last_refit(profile, results, dataset, name))
    runs.append(notebook_run(profile, "05_next_job_scoring", parameters, variant, needs=needs, makes=makes))
    return runs


def _last_refit(profile: Profile, results: Results, dataset: str, name: str) -> Path:
    return manifest_of(results.refits(dataset, name) / f"refit_{profile.refits - 1:03d}")


def _career_parameters(profile: Profile) -> dict[str, Any]:
    values = dataclasses.asdict(profile.career) | {"covariates": list(profile.career.covariates)}
    return {f"career_{name}": value for name, value in values.items()}


def _all_titles_workers(dataset: DatasetEntry, model: LanguageModelEntry) -> int:
    """Return for how many workers every title is scored: the data set's number unless the model has none."""
    if dataset.all_titles_workers is None or model.all_titles_workers == 0:
        return model.all_titles_workers
    return dataset.all_titles_workers


def named_from_checkout(path: Path) -> str:
    """Return a path from the checkout where it lies in it, so that parameters name no machine."""
    return str(path.relative_to(project_root()) if path.is_relative_to(project_root()) else path)


def manifest_of(folder: Path) -> Path:
    """Return the manifest of an artefact, which is there when the artefact is."""
    return folder / "manifest.json"


def made_by(runs: Iterable[NotebookRun]) -> list[Path]:
    """Return all files that runs make."""
    return [path for run in runs for path in run.makes]
