"""Which modules of this package a program rests on, and a checksum of them.

A stored result is a result of the code that made it: where the code has changed it is made again, and a
change elsewhere, in a figure for instance, is no reason to fine-tune a model anew.
"""

from __future__ import annotations

import ast
import hashlib
from pathlib import Path


def sources_of(notebook: Path) -> list[Path]:
    """Return the library modules that a notebook or module rests on, directly or through others.

    A change in one of them, and in no other, is a reason to run the notebook again.
    """
    package = Path(__file__).parents[1]
    found: set[Path] = set()
    pending = [Path(notebook)]
    while pending:
        for name in _imported(pending.pop()):
            path = package.joinpath(*name.split(".")[1:])
            for candidate in (path.with_suffix(".py"), path / "__init__.py"):
                if candidate.is_file() and candidate not in found:
                    found.add(candidate)
                    pending.append(candidate)
    return sorted(found)


def code_checksum(module: str | Path) -> str:
    """Return the sha256 of a module of this package and all modules of it that the module rests on."""
    digest = hashlib.sha256()
    for path in sorted({Path(module), *sources_of(Path(module))}):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _imported(path: Path) -> set[str]:
    """Return the modules of this package that a Python file imports, parent packages included."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            # `from labor_llm.scoring import reference` may name a module or something in one.
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    ours = {name for name in names if name.split(".")[0] == "labor_llm"}
    return ours | {name.rsplit(".", depth)[0] for name in ours for depth in range(1, name.count(".") + 1)}
