"""Where results lie: one folder a profile, one folder in it a data set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


def project_root() -> Path:
    """Return the folder of the checkout, or the current folder if the package was installed without one."""
    root = Path(__file__).resolve().parents[1]
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
