"""YAML 1.2 as a user writes it: no text is taken for a date, a number to the base of sixty or a truth value.

PyYAML reads YAML 1.1, by which `off` is false and `1:30` is 90. It is used here with the core schema of YAML 1.2 and
with limits, so that no file takes more than a moment: fields are texts, each stands once in its group, and what `*name`
and `<<` repeat counts as if it were written out.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import yaml

from labor_llm.errors import InputError
from labor_llm.plain_text import text_problem

_LARGEST, _MOST_VALUES, _DEEPEST, _MOST_DIGITS = 2**16, 3_000, 20, 30
_CORE = "tag:yaml.org,2002:"
_SCALARS = {
    "null": r"~|null|Null|NULL|",
    "bool": r"true|True|TRUE|false|False|FALSE",
    "int": r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+",
    "float": r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
}
Place = tuple[str, ...]  # a field after the groups around it
_RESOLVERS = [(_CORE + kind, re.compile(rf"({form})\Z")) for kind, form in _SCALARS.items()]


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: ClassVar = {None: _RESOLVERS}


class Document(NamedTuple):
    """What a file holds, and the line of each value."""

    content: Any
    lines: dict[Place, int]

    def place(self, field: str) -> str:
        """Return ', line N' for a field ('a.b'), or for the group around it that stands there; else nothing."""
        place = tuple(field.split("."))
        while place and place not in self.lines:
            place = place[:-1]
        return f", line {self.lines[place]}" if place else ""


def read_yaml(path: Path) -> Document:
    """Read a file of YAML 1.2.

    Raises:
        InputError: if it is too large, no UTF-8 text or no YAML, holds a field twice, another type than text, number,
            truth value, list and group, or more than any file needs; names file and line.
    """
    if path.stat().st_size > _LARGEST:
        raise InputError(f"{path}: larger than {_LARGEST:,} bytes, which no such file is.")
    lines, line = {}, ""
    try:
        root = yaml.compose(path.read_text(encoding="utf-8-sig"), Loader=_Loader)
        return Document(_value(root, (), root.start_mark, lines) if root else None, lines)
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}"
        reason = ", ".join(part for part in (error.context, error.problem) if part)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
    except RecursionError:
        reason = f"more than {_DEEPEST} levels"
    raise InputError(f"{path}{line}: not readable as YAML ({reason}).")


def _value(node: yaml.Node, place: Place, mark: yaml.Mark, lines: dict[Place, int]) -> Any:
    """Return what a node stands for at a place, and note the line of the mark and those of all that is in it."""
    lines[place] = mark.line + 1
    # Each value has a place of its own, so that there are as many as lines.
    for number, most, what in ((len(place), _DEEPEST, "levels"), (len(lines), _MOST_VALUES, "values")):
        if number > most:
            raise _error(node, f"more than {most:,} {what}")
    match node:
        case yaml.ScalarNode():
            return _scalar(node)
        case yaml.SequenceNode(tag=yaml.SafeLoader.DEFAULT_SEQUENCE_TAG):
            items = enumerate(node.value)
            return [_value(item, (*place, str(number)), item.start_mark, lines) for number, item in items]
        case yaml.MappingNode(tag=yaml.SafeLoader.DEFAULT_MAPPING_TAG):
            return _group(node, place, lines)
    raise _error(node, f"{node.tag!r} is no type that can stand here")


def _group(node: yaml.MappingNode, place: Place, lines: dict[Place, int]) -> dict[str, Any]:
    taken_over, own = {}, {}
    for key, node_of_value in node.value:
        # A field is the text that is written, also where it looks like a number: `1987: ...`.
        name = key.value if isinstance(key, yaml.ScalarNode) else None
        if problem := "is no text" if name is None else text_problem(name):
            raise _error(key, f"the name of a field {problem}")
        if name in own:
            raise _error(key, f"the field {name!r} stands twice, first in line {lines[*place, name]}")
        value = _value(node_of_value, (*place, name), key.start_mark, lines)
        if name != "<<" or key.style:
            own[name] = value
            continue
        # One group or several, of which the first counts most.
        for group in value if isinstance(value, list) else [value]:
            if not isinstance(group, dict):
                raise _error(key, "<< takes over groups of fields, by *name")
            taken_over = group | taken_over
    return taken_over | own


def _scalar(node: yaml.ScalarNode) -> Any:
    text, kind = node.value, node.tag.removeprefix(_CORE)
    if kind == "str":
        return text
    if len(text) > _MOST_DIGITS or not re.fullmatch(_SCALARS.get(kind, "(?!)"), text):
        raise _error(node, f"{text[:_MOST_DIGITS]!r} can be no {kind} here")
    text = text.lower()
    if kind == "int":
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
    if kind == "float":
        return float(text.replace(".inf", "inf").replace(".nan", "nan"))
    return text == "true" if kind == "bool" else None


def _error(node: yaml.Node, problem: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
