"""All runs of notebooks that a profile asks for: their parameters, what they need and what they make.

What a chapter takes of a profile stands in the head of its notebook (`labor_llm` in the metadata), and nowhere else:

    labor_llm:
      run: each data set                  # how often it is run, one of `SCOPES`
      part: findings                      # of the book, and its place there (`labor_llm.workflow.pages`)
      place: 10
      reads: [panel, baselines]           # what must be made before
      makes: [predictions]                # artefacts that it makes, and `numbers` if it records some for prose
      values: {models: models_by_group}   # parameters that take another value than that of their own name

A parameter takes the value of its name in `values.py`, or else the notebook's default. The list of runs is a function
of the profile; Snakemake (`graph/Snakefile`) decides what has to run and in which order.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from labor_llm.errors import InputError
from labor_llm.exhibits.catalogue import NUMBERS_ENDING, read_catalogue
from labor_llm.store.artefacts import MANIFEST
from labor_llm.store.results import open_results, project_root
from labor_llm.workflow.parameters import declared_parameters
from labor_llm.workflow.profile import Profile
from labor_llm.workflow.values import SCOPES, Scope

_HOUR = 60.0
# In place of a key of `values.py`: what a chapter waits for that does not depend on a profile.
_MEASURED, _STORED, _NOTEBOOKS, _EVERYTHING = "benchmarks", "stored runs", "notebooks", "everything"


@dataclass(frozen=True)
class NotebookRun:
    """One execution of a notebook.

    Attributes:
        name: unique name.
        notebook: name of the notebook.
        executed: where the executed notebook goes.
        parameters: what it is run with.
        needs: files that other runs make and this one reads.
        makes: files that it makes, apart from the executed notebook.
        minutes: what the profile says that it takes, on the cores of a run, or 0 (`labor_llm.workflow.forecast`).
        gigabytes: its largest resident memory, about (likewise).
        on_gpu: whether it uses a GPU where there is one (likewise).
        overridden: whether the profile's own parameters replace some that follow from its other fields.
        dataset: short name of the data set that it is about; empty where it is run once for all.
    """

    name: str
    notebook: str
    executed: Path
    parameters: dict[str, Any]
    needs: list[Path] = field(default_factory=list)
    makes: list[Path] = field(default_factory=list)
    minutes: float = 0.0
    gigabytes: float = 0.0
    on_gpu: bool = False
    overridden: bool = False
    dataset: str = ""


@dataclass(frozen=True)
class Chapter:
    """What the head of a notebook says of its runs (see the module), and the parameters that it declares."""

    notebook: str
    declared: Mapping[str, Any]
    run: str
    part: str
    place: int
    reads: tuple[str, ...] = ()
    makes: tuple[str, ...] = ()
    values: Mapping[str, str] = field(default_factory=dict)


def notebook_file(notebook: str) -> Path:
    """Return the file of a notebook by its name."""
    return project_root() / "notebooks" / f"{notebook}.ipynb"


@cache
def chapters() -> tuple[Chapter, ...]:
    """Return the chapters in the order of their numbers."""
    found = []
    for path in sorted((project_root() / "notebooks").glob("[0-9]*.ipynb")):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        head = {k: v for k, v in notebook["metadata"]["labor_llm"].items() if k != "parameters"}
        head |= {name: tuple(head.get(name, ())) for name in ("reads", "makes")}
        found.append(Chapter(path.stem, declared_parameters(notebook), **head))
    return tuple(found)


def notebook_runs(profile: Profile) -> list[NotebookRun]:
    """Return all runs of a profile in an order in which they can be run one by one.

    Raises:
        InputError: if the profile gives parameters for something that is no notebook or run, or all runs of a
            notebook such as follow from its other fields, or if two runs would have one name.
    """
    results = open_results(profile.results)
    runs: list[NotebookRun] = []
    for chapter in chapters():
        if chapter.notebook not in profile.leave_out:
            runs += [_run(profile, chapter, scope, runs) for scope in SCOPES[chapter.run](profile, results)]
    # Data set `a-b` with model `c` is written as `a` with `b-c` is, and Snakemake takes - for _.
    names = [run.name.replace("-", "_") for run in runs]
    if twice := [run.name for run in runs if names.count(run.name.replace("-", "_")) > 1]:
        raise InputError(f"{twice[0]}: two runs of one name. Give other short names in the profile.")
    known = {run.name for run in runs} | {chapter.notebook for chapter in chapters()}
    if unknown := [name for name in profile.parameters if name not in known]:
        raise InputError(f"parameters: {unknown[0]!r} is no notebook, and no run of this profile.")
    return runs


def longest_minutes(profile: Profile, run: NotebookRun) -> float:
    """Return after how many minutes a run counts as one that hangs, generous and never below an hour; 0 for never."""
    return max(_HOUR, profile.hangs_after * run.minutes) if profile.hangs_after else 0.0


def longest_way_first(runs: Iterable[NotebookRun]) -> list[NotebookRun]:
    """Return runs in the order in which they are best begun: first those after which the most minutes are to follow.

    A run comes before those that need what it makes, as the way from it is longer than theirs.
    """
    left: dict[str, float] = {}
    needed: dict[Path, float] = {}  # by what is needed, the longest way that begins with a run that needs it
    for run in reversed(ordered := list(runs)):
        left[run.name] = run.minutes + max(needed.get(path, 0.0) for path in (run.executed, *run.makes))
        for path in run.needs:
            needed[path] = max(needed.get(path, 0.0), left[run.name])
    return sorted(ordered, key=lambda run: -left[run.name])


def _run(profile: Profile, chapter: Chapter, scope: Scope, before: list[NotebookRun]) -> NotebookRun:
    """Return a run of a chapter on what it is about, with what the profile says of its parameters and time."""
    name = f"{chapter.notebook}-{scope.variant}" if scope.variant else chapter.notebook
    keys = {parameter: chapter.values.get(parameter, parameter) for parameter in chapter.declared}
    parameters = {parameter: scope.values[key] for parameter, key in keys.items() if key in scope.values}
    of_all, of_run = (profile.parameters.get(key, {}) for key in (chapter.notebook, name))
    # What differs between the runs of a notebook can't be the same for all of them.
    if scope.variant and (twice := sorted(of_all.keys() & parameters.keys())):
        raise InputError(
            f"parameters: {twice[0]!r} of {chapter.notebook} follows from the profile's other fields. Leave it out, or "
            f"name the run that it is for: {name}."
        )
    given = of_all | of_run
    run = NotebookRun(
        name=name,
        notebook=chapter.notebook,
        executed=open_results(profile.results).notebooks / f"{name}.ipynb",
        parameters={**parameters, **given},
        needs=_needs(profile, chapter, scope, before),
        makes=[*_manifests(scope, chapter.makes), *_exhibits(profile, chapter, name, scope.variant)],
        dataset=scope.values["dataset"] if scope.variant else "",
        minutes=profile.minutes.get(name, profile.minutes.get(chapter.notebook, 0.0)),
        overridden=bool(given.keys() & parameters.keys()),
    )
    # What a profile's own parameters make a run read is not known here: it waits for all that is made before.
    return replace(run, needs=[*run.needs, *_made_by(before)]) if run.overridden else run


def _needs(profile: Profile, chapter: Chapter, scope: Scope, before: list[NotebookRun]) -> list[Path]:
    needs = _manifests(scope, [key for key in chapter.reads if key in scope.artefacts])
    if "files" in chapter.reads:
        needs += [project_root() / path for path in scope.files]
    if _EVERYTHING in chapter.reads:
        needs += [path for path in _made_by(before) if path.name == MANIFEST]
    if _MEASURED in chapter.reads:
        needs += sorted(project_root().glob(f"benchmarks/measured/*/{MANIFEST}"))
    if _STORED in chapter.reads:
        needs += [project_root() / folder / MANIFEST for folder in scope.values["stored_beside"]]
    if _NOTEBOOKS in chapter.reads:
        needs += [run.executed for run in before]
    return list(dict.fromkeys(needs))


def _manifests(scope: Scope, keys: Iterable[str]) -> list[Path]:
    """Return the manifests of artefacts, which are there when the artefacts are."""
    return [folder / MANIFEST for key in keys for folder in scope.artefacts.get(key, ())]


def _exhibits(profile: Profile, chapter: Chapter, run: str, variant: str) -> list[Path]:
    folder = open_results(profile.results).exhibits
    numbers = [folder / f"{run}{NUMBERS_ENDING}"] if "numbers" in chapter.makes else []
    shown = [exhibit for exhibit in read_catalogue().values() if exhibit.notebook == chapter.notebook]
    return numbers + [
        folder / f"{exhibit.label(variant if exhibit.variants else '')}.{ending}"
        for exhibit in shown
        for ending in exhibit.endings
    ]


def _made_by(runs: Iterable[NotebookRun]) -> list[Path]:
    return [path for run in runs for path in run.makes]
