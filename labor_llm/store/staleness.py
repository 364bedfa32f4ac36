"""Whether a stored result is current: its identity, in which the checksum of the code that makes it has a part.

Where the code has changed, a stored result is made again; comments and docstrings are no code. A change elsewhere, in
a figure for instance, is no reason to fine-tune a model anew.
"""

from __future__ import annotations

import ast
import functools
import gc
import hashlib
import json
from pathlib import Path

from labor_llm.store.artefacts import sound

PACKAGE = Path(__file__).parents[1]


def is_current(folder: Path, identity: str) -> bool:
    """Tell whether a sound artefact stands at `folder` whose parameter `identity` is the given one."""
    manifest = sound(folder)
    return manifest is not None and manifest["parameters"].get("identity") == identity


def sources_of(program: Path) -> list[Path]:
    """Return the modules of this package that a notebook or module imports, directly or through others, sorted."""
    found: set[Path] = set()
    pending = [Path(program)]
    while pending:
        for name in _read(pending.pop())[1]:
            path = PACKAGE.joinpath(*name.split(".")[1:])
            for candidate in (path.with_suffix(".py"), path / "__init__.py"):
                if candidate.is_file() and candidate not in found:
                    found.add(candidate)
                    pending.append(candidate)
    return sorted(found)


def code_checksum(program: str | Path) -> str:
    """Return the sha256 of the code of a program and of all modules of this package that it rests on.

    Comments, docstrings (also those below a field) and layout do not count. A file is read once a process.

    Args:
        program: a module of this package, or a notebook as a script (`.py`) or as Jupyter stores it (`.ipynb`), of
            which the code cells count.
    """
    digest = hashlib.sha256()
    for path in dict.fromkeys([Path(program), *sources_of(Path(program))]):
        digest.update(_read(path)[0])
    return digest.hexdigest()


@functools.cache
def _read(path: Path) -> tuple[bytes, frozenset[str]]:
    """Return the sha256 of a file's code and the modules of this package that it imports."""
    # A syntax tree is many small objects, of which the collector would look at all again and again.
    gc.disable()
    try:
        tree = _Undocumented().visit(ast.parse(_source(path), str(path)))
        return hashlib.sha256(ast.dump(tree).encode()).digest(), _imported(tree)
    finally:
        gc.enable()


def _source(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".ipynb":
        return text
    cells = json.loads(text)["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


class _Undocumented(ast.NodeTransformer):
    """Leaves out the strings that stand as statements of their own."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        is_text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if is_text else node


def _imported(tree: ast.AST) -> frozenset[str]:
    """Return the modules of this package that code imports anywhere, parent packages included."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            # `from labor_llm.scoring import reference` may name a module or something in one.
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    ours = {name for name in names if name.split(".")[0] == PACKAGE.name}
    parents = {name.rsplit(".", depth)[0] for name in ours for depth in range(1, name.count(".") + 1)}
    return frozenset(ours | parents)
