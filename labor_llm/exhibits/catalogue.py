"""The catalogue of exhibits: label, caption, note, columns and notebook of every table and figure.

One place for them, so that a table reads the same in a notebook, in the book, in its LaTeX file and in the README's
list of exhibits. Columns whose number depends on the data sets or models are named where the table is made.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from labor_llm.errors import InputError

NUMBERS_ENDING = ".numbers.json"  # of the file with the numbers that a chapter gives to prose
_ENDINGS = {"table": ("csv", "tex"), "figure": ("png", "pdf")}
_VARIANT = re.compile(r"[a-z0-9]+(?:[-_.][a-z0-9]+)*")
_LINE = r"^[^\n]*$"


class Exhibit(BaseModel):
    """One table or figure of the book.

    Attributes:
        id: label, file name and cross-reference target, `tab-...` or `fig-...`.
        notebook: name of the notebook that makes it, without its ending.
        caption: one line of plain text without a full stop; `{word}` is filled by the notebook.
        columns: of a table's rows, with heading, or heading and format; see `formatting.table`.
        note: plain text under the exhibit, filled likewise; may be empty.
        alt: what a reader who cannot see the figure should know; figures only.
        empty: the sentence that stands in its place where there is nothing to show; without one that is an error.
        variants: whether it is made once per data set and model, with both in the label.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    id: str = Field(pattern=r"^(tab|fig)-[a-z0-9]+(-[a-z0-9]+)*$")
    notebook: str = Field(pattern=r"^[0-9]{2}_[a-z0-9_]+$")
    caption: str = Field(min_length=5, max_length=120, pattern=r"^[^\n]*[^\n.\s]$")
    columns: dict[str, str | list[str]] = {}
    note: str = Field(default="", pattern=_LINE)
    alt: str = Field(default="", pattern=_LINE)
    empty: str = Field(default="", pattern=_LINE)
    variants: bool = False

    @model_validator(mode="after")
    def _alt_fits_the_kind(self) -> Exhibit:
        if (self.kind == "figure") != bool(self.alt):
            raise ValueError("a figure needs an `alt` text and a table has none")
        return self

    @property
    def kind(self) -> Literal["table", "figure"]:
        """What its label says that it is."""
        return "table" if self.id.startswith("tab-") else "figure"

    @property
    def endings(self) -> tuple[str, ...]:
        """The endings of the files that it is written to."""
        return _ENDINGS[self.kind]

    def label(self, variant: str = "") -> str:
        """Return the label of the exhibit, or of one of its variants.

        Raises:
            InputError: if the exhibit needs a variant and has none, or the reverse, or the variant holds
                anything but lower-case letters, digits and single `-`, `_` or `.` between them.
        """
        if bool(variant) != self.variants:
            need = "needs a variant such as 'nlsy79-smollm2'" if self.variants else "has no variants"
            raise InputError(f"Exhibit {self.id!r} {need}, found variant {variant!r}.")
        if variant and not _VARIANT.fullmatch(variant):
            raise InputError(
                f"Exhibit {self.id!r}: variant {variant!r} must consist of lower-case letters and digits, "
                "joined by single '-', '_' or '.'."
            )
        return f"{self.id}-{variant}" if variant else self.id


@cache
def read_catalogue() -> Mapping[str, Exhibit]:
    """Return the exhibits of the package by id, in reading order."""
    text = (files("labor_llm.exhibits") / "catalogue.yaml").read_text(encoding="utf-8")
    exhibits = TypeAdapter(list[Exhibit]).validate_python(yaml.safe_load(text))
    return {exhibit.id: exhibit for exhibit in exhibits}


def find_exhibit(exhibit_id: str, kind: Literal["table", "figure"]) -> Exhibit:
    """Return one exhibit.

    Raises:
        InputError: if the catalogue has no such id, or it is of the other kind; lists the ids there are.
    """
    of_kind = {name: item for name, item in read_catalogue().items() if item.kind == kind}
    if exhibit_id not in of_kind:
        raise InputError(
            f"No {kind} {exhibit_id!r} in labor_llm/exhibits/catalogue.yaml. "
            f"There are: {', '.join(of_kind)}. Add an entry or correct the id."
        )
    return of_kind[exhibit_id]


def exhibit_of(label: str) -> str:
    """Return the id of the exhibit that a label is of, whatever its variant; '' if it is of none."""
    fitting = [name for name in read_catalogue() if label == name or label.startswith(f"{name}-")]
    return max(fitting, key=len, default="")
