"""What parameters a notebook takes, read from its `parameters` cell, and whether given values fit.

The cell holds one line a parameter, with its type, default and help:

    seed: int = 1  # seed of the split by worker
    datasets: list[str] = ["nlsy79", "psid"]  # data sets, in the order of the tables
    learning_rate: float = 1e-5  # peak learning rate

These are the types that papermill itself can read, for `papermill --help-notebook`; a parameter that may
be left out has an empty text or -1 as its default.

papermill injects whatever it is given and only warns of a name that the notebook does not have, so a
misspelt parameter would run with the default. `check_parameters` refuses it instead. The cell is
parsed, never executed.
"""

from __future__ import annotations

import ast
import difflib
import io
import tokenize
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import nbformat
import pandas as pd
import pydantic

from labor_llm.errors import InputError

_PLAIN_TYPES = {"int": int, "float": float, "bool": bool, "str": str}
_LIST_ELEMENTS = {"int": int, "float": float, "str": str}
_ALLOWED = "int, float, bool, str, list[str], list[int], list[float]"
_STRICT = pydantic.ConfigDict(strict=True, allow_inf_nan=False)


@dataclass(frozen=True)
class Parameter:
    """One declared parameter: its name, type as written, default value and help.

    `kind` is the type itself (`int`, `list[str]`).
    """

    name: str
    type: str
    default: Any
    help: str
    kind: Any

    def accepts(self, value: object) -> bool:
        """Tell whether `value` has the declared type.

        An int is accepted for a float; a bool is not accepted for a number, nor NaN or infinity for a
        float, nor a tuple or a str for a list.
        """
        try:
            pydantic.TypeAdapter(self.kind, config=_STRICT).validate_python(value)
        except pydantic.ValidationError:
            return False
        return True


def declared_parameters(notebook: nbformat.NotebookNode) -> dict[str, Parameter]:
    """Read the parameters that a notebook declares, in their order.

    Args:
        notebook: a notebook of format 4; the first cell tagged `parameters` is read.

    Returns:
        The parameters by name; empty if there is no such cell.

    Raises:
        InputError: if a line of the cell is not `name: type = default  # help` with a type that is
            allowed and a default of that type, or if a name is declared twice.
    """
    cell = next((c for c in notebook.cells if "parameters" in c.metadata.get("tags", [])), None)
    if cell is None:
        return {}
    try:
        statements = ast.parse(cell.source).body
    except SyntaxError as error:
        raise InputError(f"parameters cell, line {error.lineno}: not Python ({error.msg}).") from None
    comments = _comments(cell.source)
    declared: dict[str, Parameter] = {}
    for statement in statements:
        parameter = _parameter(statement, comments.get(statement.end_lineno, ""))
        if parameter.name in declared:
            where = f"parameters cell, line {statement.lineno}"
            raise InputError(f"{where}: {parameter.name!r} is declared twice.")
        declared[parameter.name] = parameter
    return declared


def check_parameters(notebook: nbformat.NotebookNode, given: Mapping[str, object], source: str) -> None:
    """Refuse parameters that the notebook does not declare or whose value has another type.

    Args:
        notebook: the notebook that is to be run.
        given: the values by name.
        source: what to call the notebook in the message, usually its path.

    Raises:
        InputError: one message that names every parameter that does not fit, with the remedy.
    """
    try:
        declared = declared_parameters(notebook)
    except InputError as error:
        raise InputError(f"{source}: {error}") from None
    problems = [
        _unknown(name, declared) if name not in declared else _ill_typed(declared[name], value)
        for name, value in given.items()
        if name not in declared or not declared[name].accepts(value)
    ]
    if problems:
        raise InputError(f"{source}: " + "; ".join(problems) + ". Nothing was run.")


def parameter_table(notebook: nbformat.NotebookNode) -> pd.DataFrame:
    """Tabulate the declared parameters: columns `name`, `type`, `default` (as written), `help`."""
    rows = [(p.name, p.type, repr(p.default), p.help) for p in declared_parameters(notebook).values()]
    return pd.DataFrame(rows, columns=["name", "type", "default", "help"])


def _comments(source: str) -> dict[int, str]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {t.start[0]: t.string.lstrip("#").strip() for t in tokens if t.type == tokenize.COMMENT}


def _parameter(statement: ast.stmt, help_text: str) -> Parameter:
    """Turn one statement of the cell into a parameter."""
    where = f"parameters cell, line {statement.lineno}"
    match statement:
        case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation, value=ast.expr() as value):
            pass
        case _:
            found = ast.unparse(statement)
            raise InputError(f"{where}: expected `name: type = default  # help`, found {found!r}.")
    written = ast.unparse(annotation)
    try:
        kind = _kind(annotation)
    except (ValueError, KeyError):
        raise InputError(f"{where}: {name} has the type {written!r}, which is none of {_ALLOWED}.") from None
    try:
        default = ast.literal_eval(value)
    except ValueError:
        message = f"{where}: the default of {name}, {ast.unparse(value)!r}, is not a plain value."
        raise InputError(message) from None
    parameter = Parameter(name, written, default, help_text, kind)
    if not parameter.accepts(default):
        raise InputError(f"{where}: the default of {name}, {default!r}, is not of its type, {written}.")
    return parameter


def _kind(annotation: ast.expr) -> Any:
    """Build the type that an annotation writes; ValueError or KeyError if it is not an allowed one."""
    match annotation:
        case ast.Name(id=name):
            return _PLAIN_TYPES[name]
        case ast.Subscript(value=ast.Name(id="list"), slice=ast.Name(id=element)):
            return list[_LIST_ELEMENTS[element]]
    raise ValueError(ast.unparse(annotation))


def _unknown(name: str, declared: Mapping[str, Parameter]) -> str:
    if not str(name).isidentifier():
        return f"{name!r} is not a parameter name (letters, digits and underscores)"
    near = difflib.get_close_matches(name, declared, n=1, cutoff=0.5)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    return f"no parameter {name!r}{hint}, it has {', '.join(declared) or 'none'}"


def _ill_typed(parameter: Parameter, value: object) -> str:
    message = f"{parameter.name} is {parameter.type}, not {value!r} ({type(value).__name__})"
    if isinstance(value, str) and parameter.type.startswith("list"):
        # papermill's -p knows no lists.
        return f"{message}, pass a list by -y '{parameter.name}: [{value}]'"
    if isinstance(value, int | float) and not isinstance(value, bool) and parameter.kind is str:
        return f"{message}, pass text that looks like a number by -r {parameter.name} {value}"
    return message
