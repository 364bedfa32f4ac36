"""YAML 1.2 as a user writes it: no text is taken for a date, a number to the base of sixty or a truth value.

PyYAML reads YAML 1.1, by which `off` is false and `1:30` is 90. Its parser is used here, with the core schema of YAML
1.2 and with limits, so that no file takes more than a moment: fields are texts, each stands once in its group, and what
`*name` and `<<` repeat counts as if it were written out.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from labor_llm.errors import InputError
from labor_llm.plain_text import text_problem

_LARGEST, _MOST_VALUES, _DEEPEST, _MOST_DIGITS = 2**18, 3_000, 20, 30
_CORE = "tag:yaml.org,2002:"
_SCALARS = {
    "null": r"~|null|Null|NULL|",
    "bool": r"true|True|TRUE|false|False|FALSE",
    "int": r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+",
    "float": r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
}


class Document(NamedTuple):
    """What a file holds, and the line of each field, by its name with those of the groups around it ('a.b')."""

    content: Any
    lines: dict[str, int]

    def place(self, field: str) -> str:
        """Return ', line N' for a field, or for the group around it that stands in the file; else nothing."""
        parts = field.split(".")
        known = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
        return next((f", line {self.lines[name]}" for name in known if name in self.lines), "")


def read_yaml(path: Path) -> Document:
    """Read a file of YAML 1.2.

    Raises:
        InputError: if it is too large, no UTF-8 text or no YAML, holds a field twice, another type than text, number,
            truth value, list and group, or more than any file needs; names file and line.
    """
    if path.stat().st_size > _LARGEST:
        raise InputError(f"{path}: larger than {_LARGEST:,} bytes, which no such file is.")
    try:
        reader = _Reader(path.read_text(encoding="utf-8-sig"))
        return Document(reader.document(), reader.lines)
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        reason = ", ".join(part for part in (error.context, error.problem) if part)
        raise InputError(f"{path}{line}: not readable as YAML ({reason}).") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not readable as YAML ({' '.join(str(error).split())}).") from None


class _Reader:
    """Makes values of what PyYAML's parser finds, one after the other, and notes the line of each field."""

    def __init__(self, text: str) -> None:
        self.lines: dict[str, int] = {}
        self._events = yaml.parse(text, Loader=yaml.SafeLoader)
        # By name of an anchor, the value and how many values it holds.
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._count = 0

    def document(self) -> Any:
        _, begin = next(self._events), next(self._events)
        if isinstance(begin, yaml.StreamEndEvent):
            return None
        value = self._value(next(self._events), (), 0)
        _, end = next(self._events), next(self._events)
        if not isinstance(end, yaml.StreamEndEvent):
            raise _error(end, "expected a single document")
        return value

    def _value(self, event: yaml.Event, place: tuple[str, ...], depth: int) -> Any:
        known = self._anchors.get(event.anchor) if isinstance(event, yaml.AliasEvent) else (None, 1)
        if known is None:
            raise _error(event, f"there is no &{event.anchor} before")
        began, (value, size) = self._count, known
        self._count += size
        for number, most, what in ((depth, _DEEPEST, "levels"), (self._count, _MOST_VALUES, "values")):
            if number > most:
                raise _error(event, f"more than {most:,} {what}")
        match event:
            case yaml.AliasEvent():
                return value
            case yaml.ScalarEvent():
                value = _scalar(event)
            case yaml.MappingStartEvent(tag=tag) if tag in (None, f"{_CORE}map"):
                value = self._group(place, depth + 1)
            case yaml.SequenceStartEvent(tag=tag) if tag in (None, f"{_CORE}seq"):
                value = []
                while not isinstance(item := next(self._events), yaml.SequenceEndEvent):
                    value.append(self._value(item, (*place, str(len(value))), depth + 1))
            case _:
                raise _error(event, f"{event.tag!r} is no type that can stand here")
        if event.anchor:
            self._anchors[event.anchor] = value, self._count - began
        return value

    def _group(self, place: tuple[str, ...], depth: int) -> dict[str, Any]:
        taken_over, own, first = {}, {}, {}
        while not isinstance(key := next(self._events), yaml.MappingEndEvent):
            is_text = isinstance(key, yaml.ScalarEvent)
            if is_text and key.implicit[0] and key.value == "<<":
                # One group or several, of which the first counts most.
                groups = self._value(next(self._events), place, depth)
                for group in groups if isinstance(groups, list) else [groups]:
                    if not isinstance(group, dict):
                        raise _error(key, "<< takes over groups of fields, by *name")
                    taken_over = group | taken_over
                continue
            # A field is the text that is written, also where it looks like a number: `1987: ...`.
            if problem := text_problem(key.value) if is_text else "is no text":
                raise _error(key, f"the name of a field {problem}")
            if key.value in own:
                raise _error(key, f"the field {key.value!r} stands twice, first in line {first[key.value]}")
            inner = (*place, key.value)
            first[key.value] = self.lines[".".join(inner)] = key.start_mark.line + 1
            own[key.value] = self._value(next(self._events), inner, depth)
        return taken_over | own


def _scalar(event: yaml.ScalarEvent) -> Any:
    text, kind = event.value, (event.tag or "").removeprefix(_CORE)
    if kind in ("", "!"):
        kinds = [name for name, form in _SCALARS.items() if event.implicit[0] and re.fullmatch(form, text)]
        kind = kinds[0] if kinds else "str"
    if kind == "str":
        return text
    if len(text) > _MOST_DIGITS or not re.fullmatch(_SCALARS.get(kind, "(?!)"), text):
        raise _error(event, f"{text[:_MOST_DIGITS]!r} can be no {kind} here")
    text = text.lower()
    if kind == "int":
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
    if kind == "float":
        return float(text.replace(".inf", "inf").replace(".nan", "nan"))
    return text == "true" if kind == "bool" else None


def _error(event: yaml.Event, problem: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)
