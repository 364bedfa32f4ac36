"""The runs that make up a replication: which notebook, with which parameters, after which others.

The list is a function of the profile; the workflow engine (Snakemake, in `workflow/Snakefile`) decides what has
to run again and in which order, and runs each by `execute_notebook`.
"""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labor_llm.baselines.oracle import ORACLE
from labor_llm.careers import read_careers
from labor_llm.errors import InputError, LaborLLMError
from labor_llm.exhibits.catalogue import read_catalogue
from labor_llm.locks import only_run
from labor_llm.profile import DatasetEntry, LanguageModelEntry, Profile
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
        minutes: forecast for two cores.
    """

    name: str
    notebook: str
    parameters: dict[str, Any]
    needs: list[Path] = field(default_factory=list)
    makes: list[Path] = field(default_factory=list)
    minutes: float = _DEFAULT_MINUTES


def notebook_runs(profile: Profile) -> list[NotebookRun]:
    """Return all runs of a profile in an order in which they can be run one by one."""
    results = open_results(profile.results)
    runs: list[NotebookRun] = []
    for dataset in profile.datasets:
        runs.append(_conversion(profile, results, dataset))
    panels = [_manifest(results.panel(dataset)) for dataset in profile.datasets]
    runs.append(_run(profile, "02_data_description", {"datasets": list(profile.datasets)}, needs=panels))
    for dataset in profile.datasets:
        runs += _runs_of_dataset(profile, results, dataset)
    predictions = [path for path in _made(runs) if path.parent.parent.name == "predictions"]
    runs += _comparisons(profile, panels + predictions)
    measured = sorted(project_root().glob("benchmarks/measured/*/manifest.json"))
    runs.append(_run(profile, "10_speed_and_memory", {}, needs=measured))
    executed = [results.notebooks / f"{run.name}.ipynb" for run in runs]
    base = profile.language_models[profile.fine_tuned].base
    report = {**_models_of_the_text(profile), "base_model": base}
    runs.append(_run(profile, "09_replication_report", report, needs=executed))
    return runs


def replicate(profile: Profile, source: str, cores: int, dry_run: bool = False) -> None:
    """Run a profile to the end: notebooks, exhibits, book; only what is missing or changed.

    Args:
        profile: the profile.
        source: name or path that it was loaded from.
        cores: CPU cores to use; also the thread count of the numerical libraries, which is part of a
            result's identity.
        dry_run: only say what would run.

    Raises:
        InputError: if a file of the user's own careers is missing or no valid panel, before anything runs.
        BusyError: if another run works on the same profile.
        LaborLLMError: if a job failed; with the job's own message.
    """
    _check_own_careers(profile)
    if source.endswith((".yaml", ".yml")):
        # The workflow works in the checkout, wherever the command was typed.
        source = str(Path(source).resolve())
    results = open_results(profile.results)
    root = results.root
    root.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable, "-m", "snakemake", "--snakefile", str(Path(__file__).parent / "workflow" / "Snakefile"),
        "--directory", str(project_root()), "--cores", str(cores), "--config", f"profile={source}",
        # Our own lock goes with the processes that hold it; Snakemake's would outlive a kill. What a failed job has
        # stored is complete, and Snakemake must not take its manifest away.
        "--nolock", "--rerun-incomplete", "--keep-incomplete", "--quiet", "host", "reason",
        *(["--dry-run"] if dry_run else []),
    ]  # fmt: skip
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": str(cores),
        "TOKENIZERS_PARALLELISM": "false",
        # The progress bars of other libraries ask for widgets that a log cannot show.
        "PYTHONWARNINGS": "ignore:IProgress not found",
    }
    began = time.time()
    with only_run(root / ".lock") as descriptor:
        code = subprocess.run(command, env=environment, check=False, pass_fds=[descriptor]).returncode
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


def _check_own_careers(profile: Profile) -> None:
    for name, entry in profile.datasets.items():
        if entry.panel and entry.titles:
            read_careers(project_root() / entry.panel, project_root() / entry.titles, name, entry.survey)
        for path in entry.source().files():
            if not (project_root() / path).exists():
                raise InputError(
                    f"datasets.{name}: {project_root() / path} does not exist. data/README.md says where to get it "
                    "and where to put it."
                )


def _run(
    profile: Profile,
    notebook: str,
    parameters: dict[str, Any],
    variant: str = "",
    needs: Iterable[Path] = (),
    makes: Iterable[Path] = (),
) -> NotebookRun:
    folder = open_results(profile.results).exhibits
    shown = [exhibit for exhibit in read_catalogue().values() if exhibit.notebook == notebook]
    exhibits = [
        folder / f"{exhibit.label(variant if exhibit.variants else '')}.{ending}"
        for exhibit in shown
        for ending in exhibit.endings
    ]
    return NotebookRun(
        name=f"{notebook}-{variant}" if variant else notebook,
        notebook=notebook,
        parameters={**parameters, "results": profile.results},
        needs=list(needs),
        makes=[*makes, *exhibits],
        minutes=profile.minutes.get(notebook, _DEFAULT_MINUTES),
    )


def _conversion(profile: Profile, results: Results, dataset: str) -> NotebookRun:
    entry = profile.datasets[dataset]
    given = {name: value for name, value in dataclasses.asdict(entry.source()).items() if value}
    parameters = {"dataset": dataset, **given, "split_seed": profile.split_seed}
    files = [project_root() / path for path in entry.source().files() if path]
    makes = [_manifest(results.panel(dataset))]
    return _run(profile, "01_data_conversion", parameters, dataset, needs=files, makes=makes)


def _runs_of_dataset(profile: Profile, results: Results, dataset: str) -> list[NotebookRun]:
    panel, entry_of_data = _manifest(results.panel(dataset)), profile.datasets[dataset]
    base = profile.language_models[profile.fine_tuned].base
    runs = [_run(profile, "03_resumes", {"dataset": dataset, "model": base}, dataset, needs=[panel])]
    for name, entry in profile.language_models.items():
        variant = f"{dataset}-{name}"
        model, needs = entry.base, [panel]
        if entry.fine_tuning is not None:
            settings = dataclasses.asdict(entry.fine_tuning)
            folder = results.model(dataset, name)
            parameters = {
                "dataset": dataset,
                "model": entry.base,
                "name": name,
                "label": entry.label,
                **settings,
            }
            runs.append(
                _run(profile, "04_fine_tuning", parameters, variant, needs=[panel], makes=[_manifest(folder)])
            )
            model, needs = _relative(folder), [panel, _manifest(folder)]
        parameters = {
            "dataset": dataset, "model": model, "name": name, "label": entry.label,
            "titles": entry.titles, "named": entry.named,
            "all_titles_workers": _all_titles_workers(entry_of_data, entry), "tolerance": entry.tolerance,
            "too_long": entry.too_long, "line_ends": entry.line_ends,
            "memory_mib": entry.memory_mib, "dtype": entry.dtype,
            "quantization": entry.quantization, "seed": profile.split_seed,
        }  # fmt: skip
        makes = [_manifest(results.predictions(dataset, name))]
        runs.append(_run(profile, "05_next_job_scoring", parameters, variant, needs=needs, makes=makes))
    known = [ORACLE] if entry_of_data.simulated_workers else []
    makes = [_manifest(results.predictions(dataset, name)) for name in (*profile.baselines, *known)]
    parameters = {"dataset": dataset, "baselines": list(profile.baselines)}
    runs.append(_run(profile, "06_baselines", parameters, dataset, needs=[panel], makes=makes))
    return runs


def _all_titles_workers(dataset: DatasetEntry, model: LanguageModelEntry) -> int:
    """Return for how many workers every title is scored: the data set's number unless the model has none."""
    if dataset.all_titles_workers is None or model.all_titles_workers == 0:
        return model.all_titles_workers
    return dataset.all_titles_workers


def _comparisons(profile: Profile, needs: list[Path]) -> list[NotebookRun]:
    common = {**_models_of_the_text(profile), "draws": profile.draws, "seed": profile.bootstrap_seed}
    in_full = [name for name, entry in profile.datasets.items() if entry.all_titles_workers != 0]
    known = [ORACLE] if any(entry.simulated_workers for entry in profile.datasets.values()) else []
    models = [*profile.baselines, *profile.language_models, *known]
    return [
        _run(profile, "07_main_comparison", {**common, "models": models}, needs=needs),
        _run(profile, "08_value_of_fine_tuning", {**common, "datasets": in_full}, needs=needs),
    ]


def _relative(path: Path) -> str:
    """Return a path from the checkout where it lies in it, so that parameters name no machine."""
    return str(path.relative_to(project_root()) if path.is_relative_to(project_root()) else path)


def _models_of_the_text(profile: Profile) -> dict[str, Any]:
    return {
        "datasets": list(profile.datasets),
        "fine_tuned": profile.fine_tuned,
        "off_the_shelf": profile.off_the_shelf,
    }


def _manifest(folder: Path) -> Path:
    return folder / "manifest.json"


def _made(runs: Iterable[NotebookRun]) -> list[Path]:
    return [path for run in runs for path in run.makes]
