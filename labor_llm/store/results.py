"""Where results lie, who may work on one, and the rule that what is stored and current is not made again.

A results folder has one folder a data set. Beside a result that is not finished a hidden folder keeps the work:

    NAME/                          the result: an artefact
    .NAME.unfinished/.lock         held by the run, or the runs, at work; gone with the last process that holds it
    .NAME.unfinished/...           what they have done so far

The locks are the operating system's (flock). Over a network the file system must carry them (NFS 4, Lustre mounted
with `flock`, GPFS).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock

from labor_llm.errors import BusyError, MismatchError
from labor_llm.store.artefacts import atomic_path, check_replaceable, is_current, verify

T = TypeVar("T")
_LOCK, _IDENTITY, _RESULT_LOCK = ".lock", "identity.txt", "result.lock"


def project_root() -> Path:
    """Return the folder of the checkout, or the current folder if the package was installed without one."""
    root = Path(__file__).resolve().parents[2]
    return root if (root / "pyproject.toml").is_file() else Path.cwd()


@dataclass(frozen=True)
class Results:
    """The folders of one run, by data set and by the short name of a model; artefacts if not said otherwise."""

    root: Path

    def panel(self, dataset: str) -> Path:
        """A data set's career panel."""
        return self.root / dataset / "panel"

    def simulation(self, dataset: str) -> Path:
        """The files that simulated workers of a data set answered."""
        return self.root / dataset / "simulated_survey"

    def model(self, dataset: str, name: str) -> Path:
        """A model that was fine-tuned on a data set."""
        return self.root / dataset / "models" / name

    def predictions(self, dataset: str, name: str) -> Path:
        """One model's predictions on a data set."""
        return self.root / dataset / "predictions" / name

    def refits(self, dataset: str, name: str) -> Path:
        """Folder of its predictions after refits on resampled training workers, an artefact each."""
        return self.root / dataset / "refits" / name

    def permuted(self, dataset: str, name: str) -> Path:
        """Its predictions of careers with other workers' covariates."""
        return self.root / dataset / "permuted_covariates" / name

    def history(self, dataset: str, name: str) -> Path:
        """Folder of its predictions from histories of several lengths, an artefact each."""
        return self.root / dataset / "history_length" / name

    def horizons(self, dataset: str, name: str) -> Path:
        """Folder of its predictions over several years, an artefact each."""
        return self.root / dataset / "horizons" / name

    def label(self, dataset: str) -> str:
        """Return what tables call a converted data set."""
        return str(verify(self.panel(dataset))["parameters"]["label"])

    def labels(self, datasets: Sequence[str]) -> dict[str, str]:
        """Return what tables call several converted data sets, by short name."""
        return {dataset: self.label(dataset) for dataset in datasets}

    @property
    def exhibits(self) -> Path:
        """Tables, figures and numbers that the book shows."""
        return self.root / "exhibits"

    @property
    def notebooks(self) -> Path:
        """Executed notebooks."""
        return self.root / "notebooks"


def open_results(folder: str | Path) -> Results:
    """Return the results folder named in a parameter; a relative name is taken from the checkout."""
    return Results(project_root() / folder)


def stored(
    folder: Path,
    identity: str,
    make: Callable[[Path], tuple[T, Mapping[str, Any]]],
    read: Callable[[Path], T],
    write: Callable[[Path, T, dict[str, Any], Mapping[str, Path] | None], object],
    inputs: Mapping[str, Path] | None = None,
    replace: bool = True,
) -> T:
    """Return the result of this identity that stands at `folder`, or make it and store it there.

    Runs of the same identity may work on it at once: each is given the same hidden folder for the shards of its work
    (`labor_llm.store.shards`), all come to the same result, and the first of them stores it.

    Args:
        folder: where the result stands or will stand.
        identity: a hash of all that the result depends on; it is stored as the parameter `identity`.
        make: given the folder for unfinished work, returns the result and the parameters for its manifest.
        read: reads the stored result.
        write: stores it as an artefact: (folder, result, parameters, inputs), as `write_predictions` does.
        inputs: files or artefacts that it is made from, for the manifest.
        replace: whether a finished result of another identity may be replaced.

    Raises:
        InputError: if something else than a stored result stands there, or one that may not be replaced.
        BusyError: if a run of another identity works on the folder.
        ResourceError: if there is no space left.
    """
    if is_current(folder, identity):
        return read(folder)
    check_replaceable(folder, replace)
    with shared_by_runs(folder, identity) as working:
        if is_current(folder, identity):  # Another run has finished meanwhile.
            return read(folder)
        result, parameters = make(working)
        with FileLock(working / _RESULT_LOCK):
            if not is_current(folder, identity):
                write(folder, result, {**parameters, "identity": identity}, inputs)
    return result


def unfinished(folder: Path) -> Path:
    """Return the hidden folder beside `folder` in which an unfinished run keeps its work."""
    return folder.with_name(f".{folder.name}.unfinished")


@contextlib.contextmanager
def only_run(path: Path) -> Iterator[int]:
    """Hold the lock file `path`, which is made if need be, and yield its descriptor.

    A child process that is given the descriptor holds the lock as well, so that work which outlives the
    process that began it is not joined by a second run.

    Raises:
        BusyError: if another run holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise BusyError(
                f"{path.parent}: another run works there ({path.name} is held). Wait for it, or stop it first."
            ) from error
        yield descriptor
    finally:
        # Closing lets go of the lock unless a child still holds it; unlocking would take it from the child too.
        os.close(descriptor)


@contextlib.contextmanager
def only_run_into(folder: Path, identity: str, others: str) -> Iterator[Path]:
    """Yield the folder in which an unfinished run into `folder` keeps its work, held for one run of one identity.

    The folder is removed if the block succeeds. If the block fails it stays, so that the run can go on, unless
    nothing has been stored in it.

    Args:
        folder: where the result will stand.
        identity: a hash of all that the result depends on; also the parameter `identity` in its manifest.
        others: what may differ in an unfinished run of another identity, for the refusal.

    Raises:
        BusyError: if another run holds it.
        MismatchError: if it holds the work of another identity.
    """
    working = unfinished(folder)
    discard_finished(folder)
    with only_run(working / _LOCK):
        try:
            note = working / _IDENTITY
            if not _is_empty(working) and note.is_file() and note.read_text(encoding="utf-8") != identity:
                raise MismatchError(
                    f"{working}: holds an unfinished run with {others}. Finish it as it was begun, or remove that "
                    "folder to start anew."
                )
            with atomic_path(note) as aside:
                aside.write_text(identity, encoding="utf-8")
            yield working
        except BaseException:
            if working.is_dir() and _is_empty(working):
                shutil.rmtree(working)
            raise
        _remove(working)


def discard_finished(folder: Path) -> None:
    """Remove the work of a run that had stored its result at `folder` when it was killed: the result is whole."""
    if not folder.name or not (unfinished(folder) / _IDENTITY).is_file():
        return
    note = unfinished(folder) / _IDENTITY
    with contextlib.suppress(BusyError), only_run(note.with_name(_LOCK)):
        if note.is_file() and is_current(folder, note.read_text(encoding="utf-8")):
            _remove(note.parent)


def _is_empty(working: Path) -> bool:
    return {path.name for path in working.iterdir()} <= {_LOCK, _IDENTITY}


def _remove(working: Path) -> None:
    """Remove the folder of a finished run; what a kill leaves of it still says whose it was."""
    for path in working.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
    shutil.rmtree(working)


@contextlib.contextmanager
def shared_by_runs(folder: Path, identity: str) -> Iterator[Path]:
    """Yield the hidden folder beside `folder` in which runs of one and the same work share their shards.

    The last process that leaves removes it if the result of this identity stands at `folder`, or nothing has been
    stored; otherwise it stays, so that the work can go on.

    Args:
        folder: where the result will stand.
        identity: what the work is; also the parameter `identity` in the manifest of the result.

    Raises:
        BusyError: if a run of another identity works there.
    """
    working = unfinished(folder)
    descriptor = _join(folder, working, identity)
    try:
        yield working
    finally:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            pass  # Others are at work; the last of them cleans up.
        else:
            if is_current(folder, identity) or not any(working.glob("*/*/")):
                shutil.rmtree(working, ignore_errors=True)
        finally:
            os.close(descriptor)


def _join(folder: Path, working: Path, identity: str) -> int:
    """Hold the working folder's lock together with runs of the same identity; return its descriptor."""
    while True:
        working.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(working / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        except FileNotFoundError:
            continue  # The last run has just removed the folder.
        try:
            with contextlib.suppress(BlockingIOError):
                # Nobody else is there: say which work this is. Who finds somebody there reads what it is.
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, identity.encode(), 0)
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            if not _still_there(descriptor, working / _LOCK):
                os.close(descriptor)
                continue
            # Between the two locks another run may have come in, so the one that is there now is asked for.
            if os.pread(descriptor, len(identity) + 1, 0) != identity.encode():
                raise BusyError(
                    f"{folder}: a run with another model, other careers or other options works on it now. Wait "
                    "for it, stop it, or name another folder; only runs of the same command, code and number of "
                    "threads share their work."
                )
        except BaseException:
            with contextlib.suppress(OSError):
                os.close(descriptor)
            raise
        return descriptor


def _still_there(descriptor: int, path: Path) -> bool:
    """Tell whether the locked file is the one at `path`, not one that was removed meanwhile."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False
