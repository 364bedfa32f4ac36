"""Where a data set comes from: packaged, from a survey's files, simulated, or the user's own careers."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from labor_llm.disclosure import MINIMUM_PERSONS
from labor_llm.errors import InputError
from labor_llm.settings import PathTextOrNone, Seed, Settings, TextOrNone

PACKAGED_LABELS = {"wage_panel": "NLSY79 men, 1980-87"}
"""What tables call the data sets that a Python package carries, by short name."""
READERS = ("psid", "nlsy79", "nlsy97")
_BOTH_FILES = "Give both of its files: panel (careers) and titles (occupations)"


class DatasetSource(Settings):
    """Where a data set comes from; a packaged one needs nothing. Relative paths are taken from the checkout."""

    label: TextOrNone = ""
    """What tables call it; if empty, the packaged data set's own label or the short name."""
    survey: TextOrNone = ""
    """The survey's name in the first line of a resume, if another than its own."""
    panel: PathTextOrNone = ""
    """CSV or parquet file of the user's own careers."""
    titles: PathTextOrNone = ""
    """CSV of occupation codes and titles that goes with it."""
    reader: Literal["", "psid", "nlsy79", "nlsy97"] = ""
    """The survey whose files are read or simulated."""
    raw: PathTextOrNone = ""
    """The survey's files as downloaded: a folder, a zip or a file."""
    crosswalks: PathTextOrNone = ""
    """Folder with the crosswalks to occ1990dd, as `labor-llm fetch` makes it."""
    column_map: PathTextOrNone = ""
    """CSV that names the columns of NLS extracts without reference numbers."""
    options: list[str] = Field(default_factory=list)
    """Rules of the conversion as data/README.md writes them, `name=value` each or as a mapping."""
    other_crosswalks: bool = False
    """Whether crosswalks are accepted whose content is not that of the known versions."""
    share: float = Field(1.0, gt=0, le=1)
    """Share of its workers that is kept, drawn at random with the seed of the split."""
    whole_households: bool = False
    """Whether the workers of a household stay in one split; the data must tell households."""
    simulated_workers: int = Field(0, ge=0)
    """Instead of `raw`: simulate so many workers of the survey `reader`."""
    simulation_seed: Seed = 1
    """Seed of the simulated workers."""

    @field_validator("options", mode="before")
    @classmethod
    def _named(cls, value: object) -> object:
        if isinstance(value, dict):
            return [f"{name}={setting}" for name, setting in value.items()]
        return value

    @field_validator("simulated_workers")
    @classmethod
    def _enough(cls, value: int) -> int:
        if 0 < value < 10 * MINIMUM_PERSONS:
            raise ValueError(f"{value} found; give at least {10 * MINIMUM_PERSONS}, or 0 for none")
        return value

    def files(self) -> list[str]:
        """Return the paths that are given."""
        paths = (self.panel, self.titles, self.raw, self.crosswalks, self.column_map)
        return [path for path in paths if path]

    def kind(self, dataset: str) -> str:
        """Return what this is: `own`, `survey`, `simulated` or `packaged`.

        Raises:
            InputError: if what is given does not make a data set; says what is missing.
        """
        own = [name for name in ("panel", "titles") if getattr(self, name)]
        files = [name for name in ("raw", "crosswalks", "column_map") if getattr(self, name)]
        if own:
            if len(own) < 2 or files or self.reader or self.simulated_workers:
                raise InputError(f"{dataset}: {_BOTH_FILES}, and nothing else.")
            return "own"
        if self.reader:
            if self.options:
                # The rules are checked where they stand; they are not needed otherwise, and take pandas to import.
                from labor_llm.surveys.conversion import survey_options

                survey_options(self.reader, self.options)
            if self.simulated_workers and not files:
                return "simulated"
            if self.raw and self.crosswalks and not self.simulated_workers:
                return "survey"
            raise InputError(
                f"{dataset}: the survey {self.reader} needs raw and crosswalks, or simulated_workers instead of them."
            )
        if files or self.options or self.simulated_workers:
            raise InputError(f"{dataset}: name the reader ({', '.join(READERS)}) that reads its files.")
        if dataset in PACKAGED_LABELS:
            return "packaged"
        raise InputError(
            f"{dataset}: not packaged ({', '.join(PACKAGED_LABELS)} is), so it needs files. {_BOTH_FILES}; or a "
            "survey's reader with raw and crosswalks."
        )
