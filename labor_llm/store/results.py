"""Where results lie, who may work on one, and the rule that what is stored and current is not made again.

A results folder has one folder a data set. Beside a result that is not finished a hidden folder keeps the work:

    NAME/                          the result: an artefact
    .NAME.unfinished/.lock         held by the run, or the runs, at work; gone with the last process that holds it
    .NAME.unfinished/identity.txt  what work this is
    .NAME.unfinished/...           what they have done so far

Work in shards several processes and machines share (`in_shards`):

    KEY/careers-00000020/          a shard that is done: an artefact of its own
    KEY/careers-00000040.lock      held by the process that computes that shard

The locks are the operating system's (flock). Over a network the file system must carry them (NFS 4, Lustre mounted
with `flock`, GPFS).
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from filelock import FileLock, Timeout

from labor_llm.errors import BusyError, MismatchError, disk_space_named
from labor_llm.progress import progress
from labor_llm.store.artefacts import MANIFEST, sound, verify, writing
from labor_llm.store.places import check_replaceable, taken
from labor_llm.store.staleness import is_current

if TYPE_CHECKING:
    import numpy as np

T = TypeVar("T")
Arrays = Mapping[str, "np.ndarray"]
STORED, EXPECTED = "data/stored", "data/expected"
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

    def validation(self, dataset: str, name: str) -> Path:
        """Its predictions of validation workers."""
        return self.root / dataset / "validation_predictions" / name

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


def stored_beside(profile: str) -> list[Path]:
    """Return the folders of the runs in `data/stored` that are shown beside one of a profile: all but its own."""
    found = sorted((project_root() / STORED).glob(f"*/{MANIFEST}"))
    return [path.parent for path in found if path.parent.name != profile]


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
    (`in_shards`), all come to the same result, and the first of them stores it.

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
    with work_into(folder, identity) as working:
        if is_current(folder, identity):  # Another run has finished meanwhile.
            return read(folder)
        result, parameters = make(working)
        with FileLock(working / _RESULT_LOCK):
            if not is_current(folder, identity):
                write(folder, result, {**parameters, "identity": identity}, inputs)
    return result


def unfinished(folder: Path) -> Path:
    """Return the hidden folder beside `folder` in which an unfinished run keeps its work."""
    return folder.parent / f".{folder.name}.unfinished"


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
        if not taken(descriptor):
            raise _busy(path)
        yield descriptor
    finally:
        # Closing lets go of the lock unless a child still holds it; unlocking would take it from the child too.
        os.close(descriptor)


@contextlib.contextmanager
def work_into(folder: Path, identity: str, alone: str = "") -> Iterator[Path]:
    """Yield the hidden folder beside `folder` in which unfinished work into it is kept.

    Runs of one identity share it, or one run holds it alone. The last to leave removes it if its block succeeds, the
    result of this identity stands at `folder` or nothing has been stored; otherwise it stays, to go on from.

    Args:
        folder: where the result will stand.
        identity: a hash of all that the result depends on; also the parameter `identity` in its manifest.
        alone: for one run at a time, which does not begin where work of another identity is left: what may differ in
            that work, for the refusal.

    Raises:
        BusyError: if a run of another identity works there; alone, if any other run does.
        MismatchError: alone, if work of another identity is left there.
    """
    working, finished = unfinished(folder), False
    discard_finished(folder)
    descriptor = _join(folder, working, identity, alone)
    try:
        yield working
        finished = True
    finally:
        # If others are at work, the last of them cleans up, also where another one has finished.
        if taken(descriptor) and (
            finished or not _has_work(working) or (not alone and is_current(folder, identity))
        ):
            _remove(working)
        os.close(descriptor)


def discard_finished(folder: Path) -> None:
    """Remove the work of a run that had stored its result at `folder` when it was killed: the result is whole."""
    working = unfinished(folder)
    if _identity_in(working):
        with contextlib.suppress(BusyError), only_run(working / _LOCK):
            if is_current(folder, _identity_in(working)):
                _remove(working)


def _join(folder: Path, working: Path, identity: str, alone: str) -> int:
    """Hold the lock of unfinished work, alone or with runs of the same identity; return its descriptor."""
    lock = working / _LOCK
    while True:
        working.mkdir(parents=True, exist_ok=True)
        # Where something is not found the last run has just removed the folder: begin again.
        with contextlib.ExitStack() as failing, contextlib.suppress(FileNotFoundError):
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
            failing.callback(os.close, descriptor)
            # Who is there first says which work this is; who finds somebody there reads what it is.
            if taken(descriptor):
                if not os.path.samefile(descriptor, lock):
                    continue
                _say(working, identity, alone)
            elif alone:
                raise _busy(lock)
            if not alone:
                fcntl.flock(descriptor, fcntl.LOCK_SH)
            # Between the two locks another run may have come in, so the one that is there now is asked for.
            if os.path.samefile(descriptor, lock):
                if _identity_in(working) != identity:
                    raise BusyError(
                        f"{folder}: a run with another model, other careers or other options works on it now. Wait for "
                        "it, stop it, or name another folder; only runs of the same command, code and number of "
                        "threads share their work."
                    )
                failing.pop_all()
                return descriptor


def _busy(lock: Path) -> BusyError:
    return BusyError(
        f"{lock.parent}: another run works there ({lock.name} is held). Wait for it, or stop it first."
    )


def _say(working: Path, identity: str, alone: str) -> None:
    """Write down whose work the folder holds."""
    before = _identity_in(working)
    if alone and before not in ("", identity) and _has_work(working):
        raise MismatchError(
            f"{working}: holds an unfinished run with {alone}. Finish it as it was begun, or remove that "
            "folder to start anew."
        )
    if before != identity:
        (working / _IDENTITY).write_text(identity, encoding="utf-8")


def _identity_in(working: Path) -> str:
    """Return whose work a folder holds; '' if it does not say."""
    with contextlib.suppress(FileNotFoundError):
        return (working / _IDENTITY).read_text(encoding="utf-8")
    return ""


def _has_work(working: Path) -> bool:
    names = (path.name for path in working.rglob("*") if path.is_file())
    return any(name != _IDENTITY and not name.endswith(_LOCK) for name in names)


def _remove(working: Path) -> None:
    """Remove the folder of a finished run; what a kill leaves of it still says whose it was."""
    for path in (*working.glob("*/"), working):
        shutil.rmtree(path, ignore_errors=True)


def in_shards(
    folder: Path | None, number: int, compute: Callable[[int], Arrays], what: str, unit: str, size: int = 20
) -> dict[str, np.ndarray]:
    """Return the arrays of all items of a piece of work, one after the other: computed, here or by others, or stored.

    Every process that runs this takes the shards that nobody holds, waits for those that others hold, and ends with
    all of them. The lock of a killed process is free at once, and its shard is taken over.

    Args:
        folder: where shards are stored, named by what they depend on; None to store nothing.
        number: of items, such as careers.
        compute: computes an item: a few arrays by name, which are joined along their first axis.
        what: the name of the work, for the progress.
        unit: what an item is.
        size: the number of items in a shard.

    Raises:
        ResourceError: if there is no space left.
    """
    # Half a second, which who looks for a folder of results need not wait.
    import numpy as np

    def joined(parts: Iterable[Arrays]) -> dict[str, np.ndarray]:
        by_name: dict[str, list[np.ndarray]] = {}
        for part in parts:
            for name, array in part.items():
                by_name.setdefault(name, []).append(array)
        return {name: np.concatenate(arrays) for name, arrays in by_name.items()}

    with progress(what, number, unit) as advance:

        def computed(item: int) -> Arrays:
            arrays = compute(item)
            advance(1, "")
            return arrays

        if folder is None:
            return joined(map(computed, range(number)))
        with disk_space_named(folder):
            folder.mkdir(parents=True, exist_ok=True)
        done: dict[int, Arrays] = {}
        # First what nobody is at, then what others hold: their locks come free when they are done or dead.
        for seconds, start in itertools.product((0, -1), range(0, number, size)):
            shard = folder / f"careers-{start:08d}"
            items = range(start, min(start + size, number))
            if start in done:
                continue
            with contextlib.suppress(Timeout), FileLock(shard.with_suffix(".lock"), timeout=seconds):
                # One that is damaged is computed again.
                if manifest := sound(shard):
                    files = [shard / name for name in manifest["files"]]
                    done[start] = {path.stem: np.load(path, allow_pickle=False) for path in files}
                    advance(len(items), "")
                    continue
                done[start] = joined(map(computed, items))
                with writing(shard) as aside:
                    for name, array in done[start].items():
                        np.save(aside / f"{name}.npy", array, allow_pickle=False)
    return joined(done[start] for start in sorted(done))
