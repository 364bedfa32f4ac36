"""A group of settings, said once: profile, parameters of notebooks, options of commands and functions use one model.

Every field has its type, default, range and, as the text below it, its documentation:

    class FineTuningSettings(Settings):
        epochs: int = Field(3, ge=1)
        \"\"\"Passes over the training careers.\"\"\"
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from labor_llm.errors import InputError
from labor_llm.plain_text import path_problem, text_problem


def _checked(problem: Callable[[str], str | None]) -> AfterValidator:
    def check(value: str) -> str:
        if value and (found := problem(value)):
            raise ValueError(f"{_short(value)} {found}")
        return value

    return AfterValidator(check)


Key = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+([_-][a-z0-9]+)*$", max_length=60)]
"""A short name, of a data set or model, that files and folders can bear."""
Seed = Annotated[int, Field(ge=0, lt=2**32)]
TextOrNone = Annotated[str, _checked(text_problem)]
"""One line for people to read."""
Text = Annotated[str, Field(min_length=1), _checked(text_problem)]
PathTextOrNone = Annotated[str, _checked(path_problem)]
"""A file or folder."""
PathText = Annotated[str, Field(min_length=1), _checked(path_problem)]


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

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True, allow_inf_nan=False
    )

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
    field = ".".join(str(part) for part in first["loc"] if part != "[key]")
    cause = first.get("ctx", {}).get("error")
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
    rule = first["msg"].removeprefix("Input ").rstrip(".")
    if first["type"] == "string_pattern_mismatch":
        rule = "must be lower-case letters and digits, joined by single - or _"
    return SettingError(field, f"{_short(first['input'])} {rule}")


def _short(value: object) -> str:
    """Return what was found, in one line of which no sign is invisible."""
    found = ascii(value) if not str(value).isprintable() else repr(value)
    return found if len(found) <= 80 else found[:77] + "..."
