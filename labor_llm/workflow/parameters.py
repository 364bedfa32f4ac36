"""What parameters a notebook takes, read from its `parameters` cell, and whether given values fit.

The cell holds one line a parameter, with its type, default and help:

    datasets: list[str] = ["nlsy79", "psid"]  # data sets, in the order of the tables
    fine_tuning: dict = {"epochs": 1, "learning_rate": 2e-4}  # group of settings: how the model is fine-tuned

A `dict` is a group of settings, a model of `labor_llm.settings` that the profile, the commands and the functions use
too (`GROUPS`); the cell gives the defaults of the notebook where they differ. A setting of a group is given by its own
name (`papermill -p epochs 3`), by its name with the group's where several groups have it (`-p fine_tuning.seed 2`), or
several at once (`-y 'fine_tuning: {epochs: 3, seed: 2}'`); what is not given keeps the notebook's default.

papermill injects whatever it is given and only warns of a name that the notebook does not have, so a misspelt
parameter would run with the default. `checked_parameters` refuses it instead. The cell is parsed, never executed.
"""

from __future__ import annotations

import ast
import difflib
import importlib
import io
import tokenize
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pydantic

from labor_llm.baselines.settings import BASELINES
from labor_llm.careers.settings import STATIC
from labor_llm.disclosure import MINIMUM_PERSONS
from labor_llm.errors import InputError
from labor_llm.settings import SettingError, Settings

if TYPE_CHECKING:
    import nbformat

# Where the model of each group stands; imported only when the group is given.
GROUPS = {
    "source": "labor_llm.workflow.sources.DatasetSource",
    "training": "labor_llm.careers.settings.TrainingData",
    "resumes": "labor_llm.text.settings.ResumeSettings",
    "prompt": "labor_llm.text.settings.PromptSettings",
    "scoring": "labor_llm.scoring.settings.ScoringSettings",
    "fine_tuning": "labor_llm.finetuning.settings.FineTuningSettings",
    "career": "labor_llm.baselines.settings.CareerSettings",
    "bootstrap": "labor_llm.settings.BootstrapSettings",
    "reported": "labor_llm.exhibits.published.ReportedModels",
}
_PLAIN_TYPES = {"int": int, "float": float, "bool": bool, "str": str}
_LIST_ELEMENTS = {"int": int, "float": float, "str": str}
_ALLOWED = "int, float, bool, str, list[str], list[int], list[float], or dict for a group of settings"
_STRICT = pydantic.ConfigDict(strict=True, allow_inf_nan=False)
_ONCE = "each once"
# What parameters of any notebook may be beyond their type, by name: the rule, and what is said where it does not hold.
_RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "workers": (lambda n: n == -1 or n >= MINIMUM_PERSONS, f"{MINIMUM_PERSONS} or more, or -1 for all"),
    "questions": (lambda n: n == -1 or n >= 1, "1 or more, or -1 for all"),
    "language_model_questions": (lambda n: n >= -1, "0 or more, or -1 for all"),
    **dict.fromkeys(("paths", "language_model_paths"), (lambda n: n >= 2, "2 or more")),
    "step": (lambda n: n >= 0, "0 or more"),
    "bins": (lambda n: n >= 1, "1 or more"),
    "refits": (lambda n: n == 0 or n >= 2, "0, or 2 or more"),
    "horizons": (lambda v: _different(v) and min(v, default=2) >= 2, f"numbers of years from 2 on, {_ONCE}"),
    **dict.fromkeys(
        ("lengths", "permutation_seeds"),
        (lambda v: _different(v) and min(v, default=-1) >= 0, f"one or more from 0 on, {_ONCE}"),
    ),
    "years": (lambda v: not v or (_different(v) and min(v) >= 1), f"numbers from 1 on, {_ONCE}"),
    "covariates": (lambda v: _different(v) and {*v} <= {*STATIC}, f"some of {', '.join(STATIC)}, {_ONCE}"),
    "baselines": (
        lambda v: _different(v) and {*v} <= {*BASELINES},
        f"some of {', '.join(BASELINES)}, {_ONCE}",
    ),
    "baseline": (lambda v: v in BASELINES, f"one of {', '.join(BASELINES)}"),
    "regularisations": (lambda v: min(v, default=0) > 0, "one number or more above zero"),
    "dtype": (lambda v: v in ("float32", "bfloat16"), "float32 or bfloat16"),
    "quantization": (lambda v: v in ("none", "8bit", "4bit"), "none, 8bit or 4bit"),
}


@dataclass(frozen=True)
class Parameter:
    """One declared parameter: its name, type as written, default value, help, and the type itself (`kind`)."""

    name: str
    type: str
    default: Any
    help: str
    kind: Any

    @property
    def group(self) -> type[Settings] | None:
        """The model of a group of settings; None for any other parameter."""
        return group_of_settings(self.name) if self.kind is dict else None

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


def group_of_settings(name: str) -> type[Settings]:
    """Return the model of a group of settings by its name in profiles and notebooks."""
    module, _, model = GROUPS[name].rpartition(".")
    return getattr(importlib.import_module(module), model)


def settings_of(**groups: Mapping[str, Any]) -> SimpleNamespace:
    """Return groups of settings of a notebook as their models, by name: `settings_of(scoring=scoring).scoring.dtype`.

    Raises:
        SettingError: if a setting is unknown or not what is allowed.
    """
    return SimpleNamespace(**{name: group_of_settings(name)(**given) for name, given in groups.items()})


def declared_parameters(notebook: nbformat.NotebookNode | Mapping[str, Any]) -> dict[str, Parameter]:
    """Read the parameters that a notebook declares, in their order.

    Args:
        notebook: a notebook of format 4; the first cell tagged `parameters` is read.

    Returns:
        The parameters by name; empty if there is no such cell.

    Raises:
        InputError: if a line of the cell is not `name: type = default  # help` with a type that is
            allowed and a default of that type, or if a name is declared twice.
    """
    cells = (cell for cell in notebook["cells"] if "parameters" in cell["metadata"].get("tags", []))
    cell = next(cells, None)
    if cell is None:
        return {}
    source = "".join(cell["source"])
    try:
        statements = ast.parse(source).body
    except SyntaxError as error:
        raise InputError(f"parameters cell, line {error.lineno}: not Python ({error.msg}).") from None
    comments = _comments(source)
    declared: dict[str, Parameter] = {}
    for statement in statements:
        parameter = _parameter(statement, comments.get(statement.end_lineno, ""))
        if parameter.name in declared:
            where = f"parameters cell, line {statement.lineno}"
            raise InputError(f"{where}: {parameter.name!r} is declared twice.")
        declared[parameter.name] = parameter
    return declared


def checked_parameters(
    notebook: nbformat.NotebookNode | Mapping[str, Any], given: Mapping[str, Any], source: str
) -> dict[str, Any]:
    """Return what is to be injected into a notebook: plain values as given, groups of settings with all that is set.

    Args:
        notebook: the notebook that is to be run.
        given: the values by name.
        source: what to call the notebook in the message, usually its path.

    Raises:
        InputError: one message that names every parameter that the notebook does not declare or whose value does not
            fit, with the remedy.
    """
    try:
        declared = declared_parameters(notebook)
    except InputError as error:
        raise InputError(f"{source}: {error}") from None
    groups = {name: parameter.group for name, parameter in declared.items() if parameter.group}
    values: dict[str, Any] = {}
    settings: dict[str, dict[str, Any]] = {name: {} for name in groups}
    problems = []
    for name, value in given.items():
        group, _, field = str(name).rpartition(".")
        owners = [group] if group else [key for key, model in groups.items() if field in model.model_fields]
        if name in declared:
            parameter = declared[name]
            if not parameter.accepts(value):
                problems.append(_ill_typed(parameter, value))
            elif name in _RULES and not _RULES[name][0](value):
                problems.append(f"{name} is {value!r}; give {_RULES[name][1]}")
            elif name in groups:
                settings[name] |= value
            else:
                values[name] = value
        elif len(owners) == 1 and owners[0] in groups:
            settings[owners[0]][field] = value
        elif len(owners) > 1:
            ways = " or ".join(f"-p {owner}.{name}" for owner in owners)
            problems.append(f"{name} is a setting of {', '.join(owners)}: give it as {ways}")
        else:
            problems.append(_unknown(str(name), [*declared, *_fields(groups.values())], list(declared)))
    for name, changed in settings.items():
        if changed:
            values[name] = declared[name].default | changed
            try:
                groups[name](**values[name])
            except SettingError as error:
                problems.append(f"{name}.{error}" if error.field else f"{name}: {error}")
    if problems:
        raise InputError(f"{source}: " + "; ".join(problems) + ". Nothing was run.")
    return values


def _different(values: list[Any]) -> bool:
    return len(set(values)) == len(values)


def _fields(groups: Iterable[type[Settings]]) -> list[str]:
    return [field for group in groups for field in group.model_fields]


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
        kind = _kind(name, annotation)
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


def _kind(name: str, annotation: ast.expr) -> Any:
    """Build the type that an annotation writes; ValueError or KeyError if it is not an allowed one."""
    match annotation:
        case ast.Name(id="dict") if name in GROUPS:
            return dict
        case ast.Name(id=plain):
            return _PLAIN_TYPES[plain]
        case ast.Subscript(value=ast.Name(id="list"), slice=ast.Name(id=element)):
            return list[_LIST_ELEMENTS[element]]
    raise ValueError(ast.unparse(annotation))


def _unknown(name: str, known: list[str], declared: list[str]) -> str:
    if not all(part.isidentifier() for part in name.split(".")):
        return f"{name!r} is not a parameter name (letters, digits and underscores)"
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    return f"no parameter {name!r}{hint}, it has {', '.join(declared) or 'none'}"


def _ill_typed(parameter: Parameter, value: object) -> str:
    if parameter.kind is dict:
        return (
            f"{parameter.name} is a group of settings; give it by -y '{parameter.name}: {{setting: value}}'"
        )
    message = f"{parameter.name} is {parameter.type}, not {value!r} ({type(value).__name__})"
    if isinstance(value, str) and parameter.type.startswith("list"):
        # papermill's -p knows no lists.
        return f"{message}, pass a list by -y '{parameter.name}: [{value}]'"
    if isinstance(value, int | float) and not isinstance(value, bool) and parameter.kind is str:
        return f"{message}, pass text that looks like a number by -r {parameter.name} {value}"
    return message
