"""A group of settings, said once: profile, parameters of notebooks, options of commands and functions use one model.

Every field has its type, default, range and, as the text below it, its documentation:

    class FineTuningSettings(Settings):
        epochs: int = Field(3, ge=1)
        \"\"\"Passes over the training careers.\"\"\"
"""

from __future__ import annotations

import difflib
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from labor_llm.errors import InputError

Key = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+([_-][a-z0-9]+)*$", max_length=60)]
"""A short name, of a data set or model, that files and folders can bear."""
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class SettingError(InputError):
    """A setting is unknown, missing or not what is allowed there.

    Attributes:
        field: its name as the user wrote it, with those of the groups around it ('fine_tuning.epochs'); may be empty.
        rule: what was found and what is allowed.
    """

    def __init__(self, field: str, rule: str) -> None:
        self.field, self.rule = field, rule
        super().__init__(f"{field}: {rule}" if field else rule)


class Settings(BaseModel):
    """Base of all groups: no unknown field, no value of another type, no change afterwards.

    Raises:
        SettingError: naming the first field that does not fit, and what is allowed there.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True)

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise _problem(type(self), error) from None


class BootstrapSettings(Settings):
    """A bootstrap of test workers."""

    draws: int = Field(1000, ge=100, le=1_000_000)
    """Samples of workers."""
    seed: Seed = 1
    """Seed of the samples."""


def _problem(group: type[Settings], error: ValidationError) -> SettingError:
    """Return the first problem of a group: the field, what was found, what is allowed."""
    first = error.errors()[0]
    field, cause = ".".join(map(str, first["loc"])), first.get("ctx", {}).get("error")
    if isinstance(cause, SettingError):
        return SettingError(".".join(part for part in (field, cause.field) if part), cause.rule)
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(field, group.model_fields, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        return SettingError(field, f"no such field; {hint}Allowed are {', '.join(group.model_fields)}")
    if first["type"] == "missing":
        return SettingError(field, "is missing")
    if cause is not None:
        return SettingError(field, str(cause).rstrip("."))
    found = repr(first["input"])
    rule = first["msg"].removeprefix("Input ").rstrip(".")
    return SettingError(field, f"{found if len(found) <= 80 else found[:77] + '...'} {rule}")
