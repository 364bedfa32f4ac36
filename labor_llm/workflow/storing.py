"""Store a finished run: its tables and leading sentences, with the files, settings, code and machine behind them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import nbformat

from labor_llm.errors import ArtefactError, InputError
from labor_llm.exhibits.catalogue import exhibit_of
from labor_llm.exhibits.expected import machine
from labor_llm.exhibits.stored_runs import write_stored
from labor_llm.store.artefacts import MANIFEST, sha256, sound
from labor_llm.store.results import open_results, project_root
from labor_llm.workflow.pages import runs_in_reading_order
from labor_llm.workflow.profile import Profile
from labor_llm.workflow.records import identity_of, is_current, record_of, recorded_files
from labor_llm.workflow.runs import NotebookRun, notebook_file
from labor_llm.workflow.values import named_from_checkout
from labor_llm.workflow.versions import version_of

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_TABLE = re.compile(r":::\{table\} .*\n:name: (\S+)\n")


def store_run(profile: Profile, source: str, folder: Path) -> Path:
    """Store a finished run as an artefact (`labor_llm.exhibits.stored_runs` says what is in it).

    Args:
        profile: the profile that was run.
        source: name or path that it was loaded from.
        folder: of the artefact; an earlier stored run there is replaced.

    Raises:
        ArtefactError: as `finished_runs`.
        InputError: if the folder's name is none that a page can link to.
    """
    if not _NAME.fullmatch(folder.name):
        raise InputError(
            f"{folder}: name the folder with letters, digits, '.', '_' and '-' alone, as pages link to it."
        )
    runs = finished_runs(profile, source)
    made = [path for run in runs for path in recorded_files(record_of(run.executed))]
    if source.endswith((".yaml", ".yml")):
        source = named_from_checkout(Path(source).resolve())
    executed = {run.name: nbformat.read(run.executed, as_version=4) for run in runs}
    about = {
        "profile": profile.name,
        "description": profile.description,
        "command": f"labor-llm replicate --profile {source}",
        "code": version_of(project_root()),
        "machine": machine() | {"threads": _threads(runs)},
        **_times(executed),
        "datasets": {name: _dataset(profile, name) for name in profile.datasets},
        "parameters": {run.name: run.parameters for run in runs},
    }
    return write_stored(open_results(profile.results), folder, about, shown_by(runs, executed), made)


def finished_runs(profile: Profile, source: str) -> list[NotebookRun]:
    """Return the runs of a profile in reading order, if all have been run by this code on these files.

    Raises:
        ArtefactError: if one was not, or what it made is missing or was changed; says how to make it.
    """
    runs = runs_in_reading_order(profile)
    threads = _threads(runs)  # once, as the artefact that tells them is verified for it
    for run in runs:
        identity = identity_of(notebook_file(run.notebook), run.parameters, run.needs, threads)
        if not is_current(record_of(run.executed), identity, run.makes):
            raise ArtefactError(
                f"{run.executed}: not run to its end, or by other code, software or files than are here. "
                f"Run `labor-llm replicate --profile {source}` first."
            )
    return runs


def _threads(runs: list[NotebookRun]) -> str:
    """Return the threads of the numerical libraries in all runs, which were those of the first; '' without any."""
    manifests = (path.parent for run in runs for path in run.makes if path.name == MANIFEST)
    return next((made["environment"]["threads"] for made in map(sound, manifests) if made), "")


def shown_by(runs: list[NotebookRun], executed: Mapping[str, nbformat.NotebookNode]) -> dict[str, list[str]]:
    """Return what executed notebooks show, in Markdown: tables by exhibit, and by notebook the sentence that leads."""
    shown: dict[str, list[str]] = {}
    for run in runs:
        for output in outputs_of(executed[run.name]):
            if key := run.notebook if output.leads else table_in(output.text):
                shown.setdefault(key, []).append(output.text)
    return shown


class Output(NamedTuple):
    """What a cell shows: the data of the output, its Markdown, and whether that is the sentence that leads."""

    data: Any
    text: str
    leads: bool


def outputs_of(notebook: nbformat.NotebookNode) -> Iterator[Output]:
    """Yield each output that is Markdown, of cells that a reader sees; a cell with the tag `leading` has what leads."""
    for cell in notebook["cells"]:
        tags = cell["metadata"].get("tags", [])
        if cell["cell_type"] == "code" and "remove-cell" not in tags:
            for output in cell["outputs"]:
                if text := output.get("data", {}).get("text/markdown"):
                    yield Output(output["data"], text, "leading" in tags)


def table_in(markdown: str) -> str:
    """Return the exhibit that is shown in Markdown; '' if that is no table."""
    named = _TABLE.match(markdown)
    return exhibit_of(named[1]) if named else ""


def _dataset(profile: Profile, name: str) -> dict[str, Any]:
    """Return the label of a data set, and the user's own files that it was made from with size and checksum."""
    files = {}
    for given in profile.source_of(name).files():
        path = project_root() / given
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file():
                below = Path(given) / file.relative_to(path)
                files[below.as_posix()] = {"bytes": file.stat().st_size, "sha256": sha256(file)}
    return {"label": open_results(profile.results).label(name), "files": files}


def _times(executed: Mapping[str, nbformat.NotebookNode]) -> dict[str, Any]:
    said = [notebook["metadata"]["papermill"] for notebook in executed.values()]
    return {
        "finished": max(run["end_time"] for run in said)[:10],
        "hours": round(sum(run["duration"] for run in said) / 3600, 2),
    }
