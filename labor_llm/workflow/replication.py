"""Run a replication to its end: the notebooks of a profile by Snakemake, then the book."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from labor_llm.errors import InputError, LaborLLMError
from labor_llm.store.places import check_file
from labor_llm.store.results import only_run, open_results, project_root
from labor_llm.workflow.forkserver import fork_server
from labor_llm.workflow.parameters import checked_parameters
from labor_llm.workflow.profile import Profile
from labor_llm.workflow.runs import notebook_file, notebook_runs
from labor_llm.workflow.stopping import STARTER
from labor_llm.workflow.values import named_from_checkout


def replicate(profile: Profile, source: str, cores: int, dry_run: bool = False) -> None:
    """Run a profile to the end: notebooks, exhibits, book; only what is missing or changed.

    Args:
        profile: the profile.
        source: name or path that it was loaded from.
        cores: CPU cores to use. The threads of the numerical libraries, which are part of a result's identity, are
            as many, or `cores_per_run` of the profile.
        dry_run: only say what would run, with its hours and memory, whether the data are there or not.

    Raises:
        InputError: if a file of the user's own careers is missing or no valid panel, or a parameter does not fit its
            notebook, before anything runs.
        BusyError: if another run works on the same profile.
        LaborLLMError: if a job failed; with the job's own message.
    """
    _check_parameters(profile)
    if dry_run:
        from labor_llm.workflow.plan import plan_lines

        for line in plan_lines(profile):
            print(line)
        if missing := _missing_files(profile):
            print(f"Not there yet, so nothing can be said of what is current: {missing[0]}")
            return
    _check_own_careers(profile)
    if source.endswith((".yaml", ".yml")):
        # The workflow works in the checkout, wherever the command was typed.
        source = str(Path(source).resolve())
    results = open_results(profile.results)
    root = results.root
    _check_folders(root)
    root.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable, "-m", "snakemake", "--snakefile", str(Path(__file__).parent / "graph" / "Snakefile"),
        "--directory", str(project_root()), "--cores", str(cores),
        # What runs side by side fits into memory, and into the GPU if there is one.
        "--resources", f"mem_mb={psutil.virtual_memory().available // 10**6}", "gpu=1",
        "--config", f"gpu={int(shutil.which('nvidia-smi') is not None)}",
        # Our own lock goes with the processes that hold it; Snakemake's would outlive a kill. What a failed job has
        # stored is complete, and Snakemake must not take its manifest away.
        "--nolock", "--rerun-incomplete", "--keep-incomplete",
        # What has changed is told by content (`labor_llm.workflow.records`), never by the clock. Each run says what it
        # does; Snakemake's own account of it would be thirty lines a run.
        "--rerun-triggers", "input",
        "--quiet", *(["host", "reason", "--dry-run"] if dry_run else ["all"]),
    ]  # fmt: skip
    environment = {
        **os.environ,
        "LABOR_LLM_PROFILE": source,
        "OMP_NUM_THREADS": str(profile.threads(cores)),
        "TOKENIZERS_PARALLELISM": "false",
        # The progress bars of other libraries ask for widgets that a log cannot show.
        "PYTHONWARNINGS": "ignore:IProgress not found",
        STARTER: str(os.getpid()),
    }
    began = time.time()
    libraries = contextlib.nullcontext({}) if dry_run else fork_server(environment)
    with only_run(root / ".lock") as descriptor, libraries as added:
        code = subprocess.run(command, env=environment | added, check=False, pass_fds=[descriptor]).returncode
    if code:
        messages = [
            path.read_text(encoding="utf-8")
            for path in sorted(results.notebooks.glob("*.failed.txt"))
            if path.stat().st_mtime >= began
        ]
        reason = "\n".join(messages) or "the reason stands above"
        raise LaborLLMError(
            f"The replication of {profile.name!r} stopped: {reason}\nRun it again to go on from there."
        )


def _check_folders(root: Path) -> None:
    """Refuse a results folder that is somebody's, and one or a checkout that cannot be written to."""
    for folder in (root, project_root() / ".snakemake"):
        check_file(folder / ".lock")
    names = sorted(path.name for path in root.iterdir()) if root.is_dir() else []
    ours = {".lock", "notebooks", "exhibits"}.intersection(names) or any(root.glob("*/panel/manifest.json"))
    if names and not ours:
        raise InputError(
            f"{root}: holds {names[0]} and no results, so it was left alone. Name another folder in the profile."
        )


def _missing_files(profile: Profile) -> list[str]:
    """Return what to say of each of the user's files that is not there."""
    return [
        f"datasets.{name}: {project_root() / path} does not exist. data/README.md says where to get it and where to "
        "put it."
        for name, entry in profile.datasets.items()
        for path in entry.source().files()
        if not (project_root() / path).exists()
    ]


def _check_own_careers(profile: Profile) -> None:
    """Refuse careers of which nothing could be shown, and training data that they do not have."""
    from labor_llm.careers.panel import read_careers
    from labor_llm.careers.samples import train_up_to, training_careers
    from labor_llm.workflow.datasets import checked_splits, share_of_workers

    if missing := _missing_files(profile):
        raise InputError(missing[0])
    own = {}
    for name, entry in profile.datasets.items():
        if entry.panel and entry.titles:
            panel, titles = project_root() / entry.panel, project_root() / entry.titles
            careers = read_careers(panel, titles, name, entry.survey)
            careers = share_of_workers(careers, profile.source_of(name).share, profile.split_seed)
            own[name] = careers, checked_splits(careers, profile.split_seed, entry.whole_households)
    for name, model in profile.language_models.items():
        for dataset in profile.datasets_of(name) if model.fine_tuning else ():
            others = [other for other in model.training.others if other != dataset]
            if {dataset, *others} <= own.keys():
                data = model.training.model_copy(update={"others": others})
                with _named(f"language_models.{name}.training"):
                    training_careers(*own[dataset], data, [own[other] for other in others])
    first, last_year = next(iter(profile.datasets)), profile.studies.last_year
    if last_year and first in own:
        with _named("studies.last_year"):
            train_up_to(*own[first], last_year)


@contextlib.contextmanager
def _named(field: str) -> Iterator[None]:
    """Put the field of a profile before what is refused."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{field}: {error}") from None


def _check_parameters(profile: Profile) -> None:
    """Refuse what a notebook or Snakemake would refuse, before any runs."""
    for run in notebook_runs(profile):
        for path in map(named_from_checkout, (*run.needs, *run.makes)):
            if re.search(r"\{\s*\w+.*\}", path):
                raise InputError(
                    f"{path}: Snakemake takes a word in braces for a pattern. Give the folder another name."
                )
        notebook = json.loads(notebook_file(run.notebook).read_text(encoding="utf-8"))
        checked_parameters(notebook, run.parameters, run.name)
