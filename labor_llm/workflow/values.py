"""What a profile says to its notebooks: values by the name of a parameter, and artefacts that are read and made.

A scope is what one run of a notebook is about: the whole profile, a data set, a language model on a data set, a study
of variants. `SCOPES` names the ways in which a notebook can be run over a profile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labor_llm.baselines.settings import CAREER, ORACLE
from labor_llm.store.results import Results, project_root, stored_beside
from labor_llm.text.settings import PromptSettings, ResumeSettings
from labor_llm.workflow.profile import Profile

# Fitted again in the chapter on demographics: the first of these that the profile has, as they know the covariates.
_WITH_COVARIATES = (
    "multinomial-logit",
    "multinomial-logit-staying",
    "two-stage-logit",
    "boosted-trees",
    "bag-of-jobs",
)


@dataclass(frozen=True)
class Scope:
    """What one run of a notebook is about.

    Attributes:
        variant: what tells the run from others of the notebook, such as the data set; empty if there is but one.
        values: by name of a parameter.
        artefacts: folders that are read or made, by what they are.
        files: the user's own, from the checkout.
    """

    variant: str
    values: dict[str, Any]
    artefacts: dict[str, list[Path]] = field(default_factory=dict)
    files: tuple[str, ...] = ()


def _of_profile(profile: Profile, results: Results) -> Scope:
    """Return what holds for all runs: the models and data sets of the comparison, the seeds, the first data set."""
    first, entry = next(iter(profile.datasets)), profile.language_models[profile.fine_tuned]
    simulated = any(source.simulated_workers for source in profile.datasets.values())
    tuned, plain = (set(profile.datasets_of(name)) for name in (profile.fine_tuned, profile.off_the_shelf))
    in_text = [name for name in profile.datasets if name in tuned & plain]
    logit = next(name for name in (*_WITH_COVARIATES, *profile.baselines) if name in profile.baselines)
    compared, all_datasets = profile.compared_models, list(profile.datasets)
    model = named_from_checkout(results.model(first, profile.fine_tuned))
    values = {
        "results": profile.results,
        "split_seed": profile.split_seed,
        "bootstrap": {"draws": profile.draws, "seed": profile.bootstrap_seed},
        "refit_seed": profile.bootstrap_seed,
        "career": profile.career.model_dump(),
        "datasets": all_datasets,
        "datasets_of_the_text": in_text,
        "datasets_in_full": [name for name in in_text if profile.datasets[name].all_titles_workers != 0],
        "baselines": list(profile.baselines),
        "models": [*profile.baselines, *compared, *([ORACLE] if simulated else [])],
        "partial": [name for name in compared if len(profile.datasets_of(name)) < len(all_datasets)],
        "models_by_group": [*(b for b in profile.baselines if b in (logit, CAREER)), profile.fine_tuned],
        "baselines_and_fine_tuned": [*profile.baselines, profile.fine_tuned],
        "partners": [b for b in profile.baselines if b in (logit, CAREER)],
        "baseline": logit,
        "refitted": list(profile.refitted),
        "refitted_baselines": [name for name in profile.baselines if name in profile.refitted],
        "refits": profile.refits,
        "prompted": list(profile.studies.prompts),
        "fine_tuned": profile.fine_tuned,
        "off_the_shelf": profile.off_the_shelf,
        "base_model": entry.base,
        "dataset": first,
        "model": model,
        "language_model": model,
        "fine_tuned_label": entry.label,
        "dtype": profile.sizes.arithmetic or entry.dtype,
        "quantization": entry.quantization,
        "line_ends": entry.line_ends,
        "reported": _reported(profile),
        **profile.sizes.model_dump(),
        "stored_beside": list(map(named_from_checkout, stored_beside(profile.name))),
        "permutation_seeds": list(range(1, profile.sizes.permutations + 1)),
    }
    return Scope("", values, {"panels": [results.panel(name) for name in profile.datasets]})


def _reported(profile: Profile) -> dict[str, Any]:
    """Return which language models have a value of a published quantity, as `ReportedModels`."""
    by_quantity: dict[str, list[str]] = {}
    usual, numeric = ResumeSettings(), set()
    for name, entry in profile.language_models.items():
        if entry.prompt != PromptSettings():
            continue
        changed = {field for field, value in entry.resumes if value != getattr(usual, field)} - {"seed"}
        training = entry.training
        if entry.fine_tuning is None:
            quantity = "off_the_shelf" if not changed else ""
        elif training.others:
            quantity = "fine_tuned_pooled" if training.share == 1.0 and not changed else ""
        elif training.last_year:
            quantity = ""
        elif changed == {"titles"} and entry.resumes.titles == "numeric":
            quantity = "fine_tuned_numeric_titles"
            numeric.add(name)
        else:
            quantity = "fine_tuned" if not changed else ""
        if quantity:
            by_quantity.setdefault(quantity, []).append(name)
    # The model of the text comes first; one of fewer workers is a yardstick of variants and no value of its own.
    tuned = sorted(by_quantity.get("fine_tuned", []), key=lambda name: name != profile.fine_tuned)
    parts = [name for name, entry in profile.language_models.items() if entry.training.workers]
    by_quantity["fine_tuned"] = [name for name in tuned if name == profile.fine_tuned or name not in parts]
    named = {name for names in by_quantity.values() for name in names}
    literal = profile.studies.titles[0] if numeric & {*profile.studies.titles[1:]} else ""
    bases = {name: entry.base for name, entry in profile.language_models.items() if name in named}
    in_part = [name for name in parts if name in named]
    return {**by_quantity, "literal": literal, "bases": bases, "in_part": in_part}


def _of_dataset(profile: Profile, results: Results, dataset: str) -> Scope:
    scope, entry = _of_profile(profile, results), profile.datasets[dataset]
    known = [ORACLE] if entry.simulated_workers else []
    source = profile.source_of(dataset)
    made = [results.predictions(dataset, name) for name in (*profile.baselines, *known)]
    made += [_last_refit(profile, results, dataset, name) for name in scope.values["refitted_baselines"]]
    made += [results.model(dataset, CAREER)] if CAREER in profile.baselines else []
    values = {
        "dataset": dataset,
        "this_dataset": [dataset],
        "source": source.model_dump(exclude_defaults=True),
    }
    artefacts = {
        "panel": [results.panel(dataset)],
        "baselines": made,
        "fitted": _fitted(profile, results, dataset, profile.baselines),
        "embedding predictions": [results.predictions(dataset, "embedding-logit")],
    }
    if dataset in scope.values["datasets_of_the_text"]:
        model = named_from_checkout(results.model(dataset, profile.fine_tuned))
        values |= {"model": model, "language_model": model}
        artefacts["fitted"] = _fitted(profile, results, dataset, [*profile.baselines, profile.fine_tuned])
    else:
        for name in ("model", "language_model", "fine_tuned", "fine_tuned_label", "dtype", "quantization"):
            scope.values.pop(name)
        values["language_model_questions"] = 0
    return Scope(dataset, scope.values | values, scope.artefacts | artefacts, tuple(source.files()))


def _once(profile: Profile, results: Results) -> list[Scope]:
    return [_of_profile(profile, results)]


def _each_dataset(profile: Profile, results: Results) -> list[Scope]:
    return [_of_dataset(profile, results, dataset) for dataset in profile.datasets]


def _datasets_of_the_text(profile: Profile, results: Results) -> list[Scope]:
    """Return the data sets that the fine-tuned model is run on."""
    return [scope for scope in _each_dataset(profile, results) if "fine_tuned" in scope.values]


def _datasets_of_the_text_or_with_a_truth(profile: Profile, results: Results) -> list[Scope]:
    """Return these, and the simulated ones without the fine-tuned model."""
    known = [name for name, entry in profile.datasets.items() if entry.simulated_workers]
    scopes = _each_dataset(profile, results)
    return [scope for scope in scopes if "fine_tuned" in scope.values or scope.variant in known]


def _each_language_model(profile: Profile, results: Results) -> list[Scope]:
    scopes = []
    for dataset in profile.datasets:
        of_dataset = _of_dataset(profile, results, dataset)
        for name, entry in profile.language_models.items():
            if dataset not in profile.datasets_of(name):
                continue
            tuned = results.model(dataset, name) if entry.fine_tuning else None
            training = entry.training.model_dump()
            training["others"] = [other for other in entry.training.others if other != dataset]
            predictions = [results.predictions(dataset, name)]
            if name in profile.refitted:
                predictions.append(_last_refit(profile, results, dataset, name))
            values = {
                "name": name,
                "label": entry.label,
                "base": entry.base,
                "model": named_from_checkout(tuned) if tuned else entry.base,
                "fine_tuning": (trained := entry.trained(profile.sizes)) and trained.model_dump(),
                "training": training,
                "resumes": entry.resumes.model_dump(),
                "prompt": entry.prompt.model_dump(),
                "scoring": entry.scoring(profile.datasets[dataset], profile.sizes).model_dump(),
                "seed": profile.split_seed,
                "refits": profile.refits if name in profile.refitted else 0,
            }
            artefacts = {
                "training panels": [results.panel(other) for other in (dataset, *training["others"])],
                "model": [tuned] if tuned else [],
                "predictions": predictions,
            }
            scopes.append(
                Scope(f"{dataset}-{name}", of_dataset.values | values, of_dataset.artefacts | artefacts)
            )
    return scopes


def _each_fine_tuned_model(profile: Profile, results: Results) -> list[Scope]:
    return [scope for scope in _each_language_model(profile, results) if scope.values["fine_tuning"]]


def _titles(profile: Profile, results: Results) -> list[Scope]:
    names = profile.studies.titles
    seed = {"title_seed": profile.language_models[names[1]].resumes.seed} if names else {}
    return _study(profile, results, names, {"literal": names[:1], "variants": names[1:]} | seed)


def _pooled_data(profile: Profile, results: Results) -> list[Scope]:
    names = profile.studies.pooled_data
    return _study(profile, results, names, {"reference": names[:1], "models": names[1:]})


def _structural_change(profile: Profile, results: Results) -> list[Scope]:
    until = profile.studies.until_last_year
    if not profile.studies.last_year:
        return []
    values = {
        "last_year": profile.studies.last_year, "models": list(until.values()), "models_until": list(until),
        "models_as_many": (many := list(profile.studies.as_many_records.values())),
    }  # fmt: skip
    return _study(profile, results, [*until.values(), *until, *many, *profile.baselines], values)


def _study(profile: Profile, results: Results, names: list[str], values: dict[str, Any]) -> list[Scope]:
    """Return the runs of a study of variants: on each data set that all are run on, none if it names no models."""
    if not names:
        return []
    # The yardstick of a study is one model.
    for name in ("literal", "reference"):
        if name in values:
            [values[name]] = values[name]
    scopes = []
    for dataset in profile.datasets:
        if all(dataset in profile.datasets_of(name) for name in names if name in profile.language_models):
            scope = _of_dataset(profile, results, dataset)
            studied = {"studied": _fitted(profile, results, dataset, names)}
            scopes.append(Scope(dataset, scope.values | values, scope.artefacts | studied))
    return scopes


SCOPES: dict[str, Callable[[Profile, Results], list[Scope]]] = {
    "once": _once,
    "each data set": _each_dataset,
    "data sets of the text": _datasets_of_the_text,
    "data sets of the text or with a truth": _datasets_of_the_text_or_with_a_truth,
    "each fine-tuned model": _each_fine_tuned_model,
    "each language model": _each_language_model,
    "study of titles": _titles,
    "study of pooled data": _pooled_data,
    "study of structural change": _structural_change,
}
"""How often a notebook is run, by the words in its head."""


def _fitted(profile: Profile, results: Results, dataset: str, names: Iterable[str]) -> list[Path]:
    """Return what a chapter reads of a data set: its careers, and predictions and stored weights of models."""
    trained = {CAREER} | {name for name, entry in profile.language_models.items() if entry.fine_tuning}
    names = list(dict.fromkeys(names))
    folders = [results.panel(dataset), *(results.predictions(dataset, name) for name in names)]
    return folders + [results.model(dataset, name) for name in names if name in trained]


def _last_refit(profile: Profile, results: Results, dataset: str, name: str) -> Path:
    return results.refits(dataset, name) / f"refit_{profile.refits - 1:03d}"


def named_from_checkout(path: Path) -> str:
    """Return a path from the checkout where it lies in it, so that parameters name no machine."""
    return str(path.relative_to(project_root()) if path.is_relative_to(project_root()) else path)
