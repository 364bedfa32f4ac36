"""Where results lie: one folder a profile, one folder in it a data set.

One run at a time in a folder: a lock of the operating system, gone when the last process that holds it ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from labor_llm.errors import BusyError
from labor_llm.store.artefacts import verify


def project_root() -> Path:
    """Return the folder of the checkout, or the current folder if the package was installed without one."""
    root = Path(__file__).resolve().parents[2]
    return root if (root / "pyproject.toml").is_file() else Path.cwd()


@dataclass(frozen=True)
class Results:
    """The folders of one run: `<root>/<dataset>/{panel,models,predictions,...}`, exhibits and notebooks."""

    root: Path

    def panel(self, dataset: str) -> Path:
        """Return the artefact folder of a data set's career panel."""
        return self.root / dataset / "panel"

    def simulation(self, dataset: str) -> Path:
        """Return the artefact folder of the files that simulated workers of a data set answered."""
        return self.root / dataset / "simulated_survey"

    def model(self, dataset: str, name: str) -> Path:
        """Return the artefact folder of a model that was fine-tuned on a data set."""
        return self.root / dataset / "models" / name

    def predictions(self, dataset: str, name: str) -> Path:
        """Return the artefact folder of one model's predictions on a data set."""
        return self.root / dataset / "predictions" / name

    def refits(self, dataset: str, name: str) -> Path:
        """Return the folder of one model's predictions after refits on resampled training workers of a data set."""
        return self.root / dataset / "refits" / name

    def permuted(self, dataset: str, name: str) -> Path:
        """Return the artefact folder of one model's predictions of careers with other workers' covariates."""
        return self.root / dataset / "permuted_covariates" / name

    def history(self, dataset: str, name: str) -> Path:
        """Return the folder of one model's predictions from histories of several lengths, an artefact each."""
        return self.root / dataset / "history_length" / name

    def horizons(self, dataset: str, name: str) -> Path:
        """Return the folder of one model's predictions over several years, an artefact each."""
        return self.root / dataset / "horizons" / name

    def label(self, dataset: str) -> str:
        """Return what tables call a converted data set."""
        return str(verify(self.panel(dataset))["parameters"]["label"])

    def labels(self, datasets: Sequence[str]) -> dict[str, str]:
        """Return what tables call several converted data sets, by short name."""
        return {dataset: self.label(dataset) for dataset in datasets}

    @property
    def exhibits(self) -> Path:
        """The folder of tables, figures and numbers that the book shows."""
        return self.root / "exhibits"

    @property
    def benchmarks(self) -> Path:
        """The folder of the workflow's records of time and memory, one file a job."""
        return self.root / "benchmarks"

    @property
    def notebooks(self) -> Path:
        """The folder of executed notebooks."""
        return self.root / "notebooks"


def open_results(folder: str | Path) -> Results:
    """Return the results folder named in a parameter; a relative name is taken from the checkout."""
    return Results(project_root() / folder)


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


def unfinished(folder: Path) -> Path:
    """Return the hidden folder beside `folder` in which an unfinished run keeps its work."""
    return folder.with_name(f".{folder.name}.unfinished")


@contextlib.contextmanager
def only_run_into(folder: Path) -> Iterator[Path]:
    """Yield the folder in which an unfinished run into `folder` keeps its work, held for one run.

    It stays if the block fails, so that the run can go on, unless nothing has been stored in it.

    Raises:
        BusyError: if another run holds it.
    """
    working = unfinished(folder)
    lock = working / ".lock"
    with only_run(lock):
        try:
            yield working
        finally:
            if working.is_dir() and set(working.iterdir()) <= {lock}:
                shutil.rmtree(working)
