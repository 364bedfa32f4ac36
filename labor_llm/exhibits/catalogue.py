"""The catalogue of exhibits: label, kind, caption, note and notebook of every table and figure.

One place for captions, so that a table reads the same in a notebook, in the book, in its LaTeX file and
in the README's list of exhibits.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from labor_llm.errors import InputError

_PREFIXES = {"table": "tab-", "figure": "fig-"}
_ENDINGS = {"table": ("csv", "tex"), "figure": ("png", "pdf")}
_VARIANT = re.compile(r"[a-z0-9]+(?:[-_.][a-z0-9]+)*")


class Exhibit(BaseModel):
    """One table or figure of the book.

    Attributes:
        id: label, file name and cross-reference target, `tab-...` or `fig-...`.
        kind: `table` or `figure`.
        caption: one line of plain text without a full stop; `{word}` is filled by the notebook.
        note: plain text under the exhibit, filled likewise; may be empty.
        alt: what a reader who cannot see the figure should know; figures only.
        empty: the sentence that stands in its place where there is nothing to show; without one that is an error.
        notebook: name of the notebook that makes it, without its ending.
        variants: whether it is made once per data set and model, with both in the label.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    id: str = Field(pattern=r"^(tab|fig)-[a-z0-9]+(-[a-z0-9]+)*$")
    kind: Literal["table", "figure"]
    notebook: str = Field(pattern=r"^[0-9]{2}_[a-z0-9_]+$")
    caption: str = Field(min_length=5, max_length=120, pattern=r"^[^\n]*[^\n.\s]$")
    note: str = Field(default="", pattern=r"^[^\n]*$")
    alt: str = Field(default="", pattern=r"^[^\n]*$")
    empty: str = Field(default="", pattern=r"^[^\n]*$")
    variants: bool = False

    @model_validator(mode="after")
    def _label_and_alt_fit_the_kind(self) -> Exhibit:
        if not self.id.startswith(_PREFIXES[self.kind]):
            raise ValueError(f"the id of a {self.kind} starts with {_PREFIXES[self.kind]!r}")
        if (self.kind == "figure") != bool(self.alt):
            raise ValueError("a figure needs an `alt` text and a table has none")
        return self

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


def parse_catalogue(text: str, source: str) -> dict[str, Exhibit]:
    """Return the exhibits of a catalogue by id, in the order of the file.

    Args:
        text: YAML, a list of mappings with the fields of `Exhibit`.
        source: name of the file, for messages.

    Raises:
        InputError: if the text is no such list, a field is unknown, missing or malformed, or an id occurs
            twice; names the file, the entry and the field.
    """
    try:
        entries = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"{source}: not readable as YAML ({error}).") from error
    if not isinstance(entries, list) or not entries:
        raise InputError(f"{source}: expected a list of exhibits, found {type(entries).__name__}.")
    try:
        exhibits = TypeAdapter(list[Exhibit]).validate_python(entries)
    except ValidationError as error:
        first = error.errors()[0]
        number, *field = first["loc"]
        entry = entries[number]
        name = entry.get("id", "without id") if isinstance(entry, dict) else repr(entry)
        place = ".".join(map(str, field)) or "entry"
        raise InputError(f"{source}, entry {number + 1} ({name}): {place}: {first['msg']}.") from error
    by_id = {exhibit.id: exhibit for exhibit in exhibits}
    for number, exhibit in enumerate(exhibits, start=1):
        if by_id[exhibit.id] is not exhibit:
            raise InputError(f"{source}, entry {number}: the id {exhibit.id!r} occurs twice. Rename one.")
    return by_id


@cache
def read_catalogue() -> Mapping[str, Exhibit]:
    """Return the exhibits of the package by id, in reading order."""
    file = files("labor_llm.exhibits") / "catalogue.yaml"
    return parse_catalogue(file.read_text(encoding="utf-8"), "catalogue.yaml")


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
