"""The runs of notebooks that make data sets, models and predictions: their parameters, what they need and make.

All runs of a profile: those of its data sets and models, and the chapters that compare them.

The list is a function of the profile; the workflow engine (Snakemake, in `workflow/graph/Snakefile`) decides what has
to run again and in which order, and runs each by `execute_notebook`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labor_llm.baselines.oracle import ORACLE
from labor_llm.baselines.registry import CAREER
from labor_llm.errors import InputError
from labor_llm.exhibits.catalogue import read_catalogue
from labor_llm.store.results import Results, open_results, project_root
from labor_llm.workflow.profile import DatasetEntry, LanguageModelEntry, Profile

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
    values = profile.career.model_dump()
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


# Fitted again in the chapter on demographics, if the profile has it.
_PLAIN = "multinomial-logit"


def notebook_runs(profile: Profile) -> list[NotebookRun]:
    """Return all runs of a profile in an order in which they can be run one by one.

    Raises:
        InputError: if the profile gives parameters for something that is no notebook or run, or all runs of a
            notebook such as follow from its other fields.
    """
    results = open_results(profile.results)
    runs: list[NotebookRun] = [conversion_run(profile, results, dataset) for dataset in profile.datasets]
    panels = [manifest_of(results.panel(dataset)) for dataset in profile.datasets]
    names = {"datasets": list(profile.datasets)}
    runs.append(notebook_run(profile, "02_data_description", names, needs=panels))
    for dataset in profile.datasets:
        runs += runs_of_dataset(profile, results, dataset)
    # Of models on data sets: predictions, and those of the last refit.
    predictions = [path for path in made_by(runs) if {"predictions", "refits"} & set(path.parts)]
    runs += _comparisons(profile, panels + predictions)
    runs += sorted(_studies_of_models(profile) + _studies_of_careers(profile), key=lambda run: run.name)
    measured = sorted(project_root().glob("benchmarks/measured/*/manifest.json"))
    runs.append(notebook_run(profile, "17_speed_and_memory", {}, needs=measured))
    runs.append(notebook_run(profile, "18_larger_runs", {}, needs=measured))
    known = {name for run in runs for name in (run.name, run.notebook)} | _notebooks()
    if unknown := [name for name in profile.parameters if name not in known]:
        raise InputError(f"parameters: {unknown[0]!r} is no notebook, and no run of this profile.")
    runs = [run for run in runs if run.notebook not in profile.leave_out]
    # What a profile's own parameters make a run read is not known here: it waits for all that is made before.
    runs = [
        dataclasses.replace(run, needs=[*run.needs, *made_by(runs[:number])]) if run.overridden else run
        for number, run in enumerate(runs)
    ]
    executed = [results.notebooks / f"{run.name}.ipynb" for run in runs]
    base = profile.language_models[profile.fine_tuned].base
    told = {"datasets": _with_the_models_of_the_text(profile), **_models_of_the_text(profile)}
    report = {**told, "base_model": base}
    runs.append(notebook_run(profile, "19_replication_report", report, needs=executed))
    return runs


def _comparisons(profile: Profile, needs: Sequence[Path]) -> list[NotebookRun]:
    """Return the chapters that put all models of the main comparison side by side."""
    datasets = list(profile.datasets)
    common = {**_models_of_the_text(profile), **_bootstrap(profile)}
    in_full = [
        name for name in datasets
        if profile.datasets[name].all_titles_workers != 0 and name in _with_the_models_of_the_text(profile)
    ]  # fmt: skip
    known = [ORACLE] if any(entry.simulated_workers for entry in profile.datasets.values()) else []
    models = [*profile.baselines, *profile.compared_models, *known]
    partial = [name for name in profile.compared_models if len(profile.datasets_of(name)) < len(datasets)]
    judged = {"datasets": datasets, "models": models, "fine_tuned": profile.fine_tuned, **_bootstrap(profile)}
    main = {
        **common, "datasets": datasets, "models": models, "partial": partial, "refitted": profile.refitted
    }  # fmt: skip
    value = {**common, "datasets": in_full, "prompted": profile.studies.prompts}
    return [
        notebook_run(profile, "07_main_comparison", main, needs=needs),
        notebook_run(profile, "08_value_of_fine_tuning", value, needs=needs),
        notebook_run(profile, "09_binary_tasks_and_calibration", {**judged, "partial": partial}, needs=needs),
    ]


def _studies_of_models(profile: Profile) -> list[NotebookRun]:
    """Return the chapters on variants of the fine-tuned model, about the first data set."""
    dataset, runs = next(iter(profile.datasets)), []
    of_first = {"dataset": dataset, **_bootstrap(profile)}
    if titles := profile.studies.titles:
        parameters = {**of_first, "literal": titles[0], "variants": titles[1:]}
        parameters["title_seed"] = profile.language_models[titles[1]].resumes.seed
        needs = _read(profile, dataset, titles)
        runs.append(notebook_run(profile, "10_titles", parameters, needs=needs))
    if pooled := profile.studies.pooled_data:
        parameters = {**of_first, "reference": pooled[0], "models": pooled[1:]}
        needs = _read(profile, dataset, pooled)
        runs.append(notebook_run(profile, "11_pooled_data", parameters, needs=needs))
    if profile.studies.last_year:
        early = profile.studies.until_last_year
        needs = _read(profile, dataset, [*early.values(), *early, *profile.baselines])
        parameters = {
            **of_first, "last_year": profile.studies.last_year, "baselines": profile.baselines,
            "models": list(early.values()), "models_until": list(early),
        }  # fmt: skip
        runs.append(notebook_run(profile, "15_structural_change", parameters, dataset, needs=needs))
    return runs


def _studies_of_careers(profile: Profile) -> list[NotebookRun]:
    """Return the chapters that ask models about careers that were cut or changed, or lie further ahead."""
    results, first = open_results(profile.results), next(iter(profile.datasets))
    entry = profile.language_models[profile.fine_tuned]
    model = named_from_checkout(results.model(first, profile.fine_tuned))
    of_model = {"dtype": entry.dtype, "quantization": entry.quantization}
    named = {"name": profile.fine_tuned, "label": entry.label}
    fitted = _read(profile, first, [*profile.baselines, profile.fine_tuned])
    baselines = {"baselines": profile.baselines}
    history = {"dataset": first, "model": model, **named, **baselines, **of_model, **_bootstrap(profile)}
    runs = [notebook_run(profile, "12_history_length", history, first, needs=fitted)]
    for dataset, source in profile.datasets.items():
        if dataset != first and not source.simulated_workers:
            continue
        of_dataset = {"dataset": dataset, **baselines, **_bootstrap(profile)}
        if dataset == first:
            of_dataset |= {"language_model": model, **named, **of_model}
            needs = fitted
        else:
            of_dataset |= {"language_model_questions": 0}
            needs = _read(profile, dataset, profile.baselines)
        runs.append(notebook_run(profile, "13_horizons", of_dataset, dataset, needs=needs))
    plain = next(name for name in (_PLAIN, *profile.baselines) if name in profile.baselines)
    shown = [name for name in profile.baselines if name in (plain, CAREER)]
    demographics = {
        "datasets": [first], "models": [*shown, profile.fine_tuned], "permuted_dataset": first,
        "fine_tuned": profile.fine_tuned, "baseline": plain, "model": model, "line_ends": entry.line_ends, **of_model,
        **_bootstrap(profile),
    }  # fmt: skip
    runs.append(notebook_run(profile, "14_demographics", demographics, needs=fitted))
    compared = [*profile.baselines, profile.fine_tuned]
    embeddings = {"dataset": first, "model": model, "compared": compared, **_bootstrap(profile)}
    makes = [manifest_of(results.predictions(first, "embedding-logit"))]
    runs.append(notebook_run(profile, "16_embeddings", embeddings, needs=fitted, makes=makes))
    return runs


def _read(profile: Profile, dataset: str, names: Sequence[str]) -> list[Path]:
    """Return what a chapter reads of a data set: its careers, and predictions and stored weights of models."""
    results = open_results(profile.results)
    trained = {CAREER} | {name for name, entry in profile.language_models.items() if entry.fine_tuning}
    folders = [results.panel(dataset), *(results.predictions(dataset, name) for name in dict.fromkeys(names))]
    folders += [results.model(dataset, name) for name in dict.fromkeys(names) if name in trained]
    return [manifest_of(folder) for folder in folders]


def _notebooks() -> set[str]:
    return {path.stem for path in (project_root() / "notebooks").glob("*.ipynb")}


def _bootstrap(profile: Profile) -> dict[str, Any]:
    return {"draws": profile.draws, "seed": profile.bootstrap_seed}


def _with_the_models_of_the_text(profile: Profile) -> list[str]:
    tuned, plain = (set(profile.datasets_of(name)) for name in (profile.fine_tuned, profile.off_the_shelf))
    return [dataset for dataset in profile.datasets if dataset in tuned & plain]


def _models_of_the_text(profile: Profile) -> dict[str, Any]:
    return {"fine_tuned": profile.fine_tuned, "off_the_shelf": profile.off_the_shelf}
