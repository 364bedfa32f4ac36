"""What code imports beside what pyproject.toml declares: packages that nobody declares, and those that nobody needs.

Needed is what is imported, what a program names (a command, an engine of a library), what extends pytest, and what a
needed package can make use of: pandas, for instance, of jinja2.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import Distribution, distributions, packages_distributions

Imports = Mapping[str, set[str]]


def declared_packages(pyproject: str) -> set[str]:
    """Return the names of all packages that the text of a pyproject.toml lists, in the project's own table too."""
    content = tomllib.loads(pyproject)
    about = content.get("project", {})
    own = content.get("tool", {}).get(about.get("name"), {}).values()
    lists = [about.get("dependencies", []), *about.get("optional-dependencies", {}).values()]
    lists += [[value] if isinstance(value, str) else value for value in own]
    return {_name(line) for lines in lists for line in lines}


def undeclared(imports: Imports, ours: Iterable[str], declared: set[str]) -> list[tuple[str, str]]:
    """Return file and package of each import that no declared package serves.

    Args:
        imports: first names of the modules that each file imports.
        ours: names of the project's own modules.
        declared: as `declared_packages` has them.
    """
    by_module, known = _by_module(), {*ours, *sys.stdlib_module_names}
    return [
        (file, module)
        for file, modules in imports.items()
        for module in sorted(modules - known)
        if not by_module.get(module, _named_like(module, declared)) & declared
    ]


def unneeded(imports: Imports, texts: Iterable[str], declared: set[str]) -> list[str]:
    """Return the declared packages that nothing imports, names or can make use of.

    Args:
        imports: first names of the modules that each file imports.
        texts: of all files that may name a package, its modules or its commands.
        declared: as `declared_packages` has them.
    """
    by_module, modules = _by_module(), set().union(*imports.values())
    needed = set().union(*(by_module.get(module, _named_like(module, declared)) for module in modules))
    words = {_canonical(word) for text in texts for word in re.findall(r"[\w.]+(?:-[\w.]+)*", text)}
    needed |= {name for name in declared if words & {name, *_modules(name, by_module)}}
    installed = {name: each for name, each in _installed().items() if name in declared}
    for name, each in installed.items():
        commands = {_canonical(point.name) for point in each.entry_points if point.group == "console_scripts"}
        if commands & words or any(point.group == "pytest11" for point in each.entry_points):
            needed.add(name)
    usable = {_name(line) for name in needed & installed.keys() for line in installed[name].requires or ()}
    return sorted(declared - needed - usable)


@cache
def _installed() -> dict[str, Distribution]:
    return {_canonical(each.name): each for each in distributions()}


@cache
def _by_module() -> dict[str, set[str]]:
    return {module: {*map(_canonical, names)} for module, names in packages_distributions().items()}


def _modules(package: str, by_module: Mapping[str, set[str]]) -> set[str]:
    return {_canonical(module) for module, packages in by_module.items() if package in packages}


def _named_like(module: str, declared: set[str]) -> set[str]:
    """Return the declared packages that a module which is not installed may belong to."""
    return {name for name in declared if name.startswith(_canonical(module))}


def _name(requirement: str) -> str:
    return _canonical(re.split(r"[^\w.-]", requirement)[0])


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).strip("-").lower()
