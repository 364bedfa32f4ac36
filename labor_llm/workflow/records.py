"""What each run was made from and has made: a record beside its executed notebook, by content and never by the clock.

A record, `NAME.record.json`, holds a checksum of all that the run rests on (`identity_of`) and the checksums of its
executed notebook, its exhibits, its numbers and the manifests of its artefacts. A run is current if its record says so
of what is there now; only what a record holds gets into the book.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from labor_llm.errors import ArtefactError
from labor_llm.store.artefacts import MANIFEST, atomic_path, environment, seal, sha256, sound
from labor_llm.store.results import Results, project_root, stored_beside
from labor_llm.store.staleness import PACKAGE, code_checksum

_REMEDY = "Run `labor-llm replicate` to make it again."


def record_of(executed: Path) -> Path:
    """Return where the record of an executed notebook lies."""
    return executed.with_suffix(".record.json")


def identity_of(
    program: Path, parameters: Mapping[str, Any], needs: Sequence[Path], threads: str = ""
) -> str:
    """Return the sha256 of all that a run rests on; comments, docstrings and the clock do not matter.

    That is its parameters, its code and that of the modules it imports, the files that it reads, the threads of the
    numerical libraries and the versions of the libraries.

    Args:
        program: the notebook or module that runs.
        parameters: what it is run with.
        needs: files that it reads.
        threads: of the numerical libraries, as a manifest says them; those of this process if empty.
    """
    here = environment()
    said = threads or here["threads"]
    # In their order, as the files of results outside of the checkout all have one name.
    read = [sha256(path) if path.is_file() else "" for path in needs]
    described = [dict(parameters), code_checksum(program), read, None if said == "not set" else said]
    return seal([*described, here["versions"]])


def book_identity(results: Results, profile: str, notebooks: Iterable[str], threads: str = "") -> str:
    """Return the sha256 of all that a book rests on: what its notebooks made, its pages and the code.

    All modules count, as a page tells each by its docstring; `threads` is as in `identity_of`.
    """
    records = [record_of(results.notebooks / f"{name}.ipynb") for name in sorted(notebooks)]
    pages = [path for path in sorted((project_root() / "book").rglob("*")) if "_build" not in path.parts]
    # Their heads say where they stand in the book.
    pages += sorted((project_root() / "notebooks").glob("*.ipynb"))
    modules = sorted(PACKAGE.rglob("*.py"))
    needs = [*records, *pages, *modules, *(folder / MANIFEST for folder in stored_beside(profile))]
    return identity_of(PACKAGE / "workflow" / "book.py", {"profile": profile}, needs, threads)


def write_record(record: Path, identity: str, made: Iterable[Path]) -> None:
    """Write down what a finished run rests on and has made.

    Args:
        record: the file.
        identity: as `identity_of` has it, from before the run.
        made: files that the run has made.
    """
    # Relative, so that a folder of results can be moved.
    files = {os.path.relpath(path, record.parent): sha256(path) for path in made}
    said = {"identity": identity, "files": files}
    with atomic_path(record) as aside:
        aside.write_text(json.dumps(said | {"seal": seal(said)}, indent=1) + "\n", encoding="utf-8")


def is_current(record: Path, identity: str, makes: Iterable[Path] = ()) -> bool:
    """Tell whether all that a run made is there, unaltered, and rests on the same as it would now.

    Args:
        record: the record of the run.
        identity: what the run would rest on now.
        makes: files that it is to make; of an artefact its manifest, for which every file of the artefact is checked.
    """
    try:
        # What costs nothing first: artefacts may be models of many gigabytes.
        if _read(record)["identity"] != identity:
            return False
        files = recorded_files(record)
    except ArtefactError:
        return False
    expected = {path.resolve() for path in makes} <= {path.resolve() for path in files}
    return expected and all(sound(path.parent) for path in files if path.name == MANIFEST)


def recorded_files(record: Path) -> list[Path]:
    """Return the files that a run has made, each checked against the checksum of its record.

    Raises:
        ArtefactError: if the record or a file is missing or was altered; names the file.
    """
    said = _read(record)["files"].items()
    files = {Path(os.path.normpath(record.parent / name)): checksum for name, checksum in said}
    for path, checksum in files.items():
        if not path.is_file():
            raise ArtefactError(f"{path}: made by a run, but not there any more. {_REMEDY}")
        if sha256(path) != checksum:
            raise ArtefactError(f"{path}: it was changed after a run had made it. {_REMEDY}")
    return list(files)


def _read(record: Path) -> dict[str, Any]:
    try:
        said = json.loads(record.read_text(encoding="utf-8"))
        sealed = said.pop("seal")
    except FileNotFoundError:
        message = f"{record}: not there, so nobody knows what a run has made. {_REMEDY}"
        raise ArtefactError(message) from None
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise ArtefactError(f"{record}: not readable as a record of a run ({error}). {_REMEDY}") from error
    if sealed != seal(said):
        raise ArtefactError(f"{record}: it was changed after it was written. {_REMEDY}")
    return said
