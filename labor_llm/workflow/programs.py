"""Scripts and notebooks as syntax: their strings, what they import, and the random draws that nothing seeds.

Nothing is imported or run. Only what is certain from one file is told: where a seed is passed by a variable, or given
anywhere in the file, a draw counts as seeded.
"""

from __future__ import annotations

import ast
import gc
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from IPython.core.inputtransformer2 import TransformerManager

from labor_llm.errors import InputError

Parts = Sequence[tuple[str, ast.Module]]
"""The code of a file: what tells where a part is, and the part. A script is one, a notebook has one for each cell."""
# Of `numpy.random`: what makes a generator, which is seeded by its first argument, and what draws nothing.
_GENERATORS = {
    "default_rng", "RandomState", "SeedSequence", "PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64",
}  # fmt: skip
_NO_DRAWS = {"seed", "get_state", "set_state", "Generator", "BitGenerator"}
_OF_RANDOM = {
    "random", "randint", "randrange", "randbytes", "getrandbits", "choice", "choices", "shuffle", "sample", "uniform",
    "triangular", "gauss", "normalvariate", "lognormvariate", "expovariate", "gammavariate", "betavariate",
    "paretovariate", "weibullvariate", "vonmisesvariate", "binomialvariate",
}  # fmt: skip
_OF_TORCH = {
    "rand", "randn", "randint", "randperm", "rand_like", "randn_like", "randint_like", "normal", "bernoulli",
    "multinomial", "poisson",
}  # fmt: skip
_SEED_ALL = {"transformers.set_seed", "accelerate.utils.set_seed"}
_SEEDS = {
    "numpy.random": {"numpy.random.seed", *_SEED_ALL},
    "random": {"random.seed", *_SEED_ALL},
    "torch": {"torch.manual_seed", "torch.random.manual_seed", *_SEED_ALL},
}


def read_program(path: Path, name: str) -> Parts:
    """Return the code of a script or notebook.

    Args:
        path: the file.
        name: what it is called where something is told of it.

    Raises:
        InputError: if it is no Python, or no notebook of such.
    """
    # A syntax tree is many small objects, of which the collector would look at all again and again.
    gc.disable()
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix != ".ipynb":
            return [(name, ast.parse(text, name))]
        cells = enumerate(json.loads(text)["cells"], start=1)
        code = [(number, "".join(cell["source"])) for number, cell in cells if cell["cell_type"] == "code"]
        # What is for IPython or the shell becomes a call of IPython.
        plain = [(number, TransformerManager().transform_cell(text)) for number, text in code]
        return [(f"{name}, cell {number}", ast.parse(text, name)) for number, text in plain]
    except (SyntaxError, ValueError, KeyError) as error:
        raise InputError(f"{name}: not readable as a program ({error}). Mend it, or take it out.") from None
    finally:
        gc.enable()


def strings_of(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield line and text of strings; of those that are joined to something before them not, and no documentation.

    What a formatted string takes from variables stands as a closing brace in it.
    """
    passed: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):
            passed.add(node.value)
        elif isinstance(node, ast.BinOp):
            passed.add(node.right)
        elif isinstance(node, ast.JoinedStr):
            passed.update(node.values)
            if node in passed:
                continue
            yield node.lineno, "".join(str(getattr(part, "value", "")) if isinstance(part, ast.Constant) else "}"
                                       for part in node.values)  # fmt: skip
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in passed:
            yield node.lineno, node.value


def imported_packages(tree: ast.Module) -> set[str]:
    """Return the first names of all modules that code imports anywhere."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    return {name.split(".")[0] for name in names}


def unseeded_draws(parts: Parts) -> Iterator[str]:
    """Yield where a file draws at random from what nothing in it seeds, and by which function."""
    known = {short: full for _, tree in parts for short, full in _imports(tree)}
    calls = [
        (place, node, _full_name(node.func, known))
        for place, tree in parts
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
    ]
    called = {name for *_, name in calls}
    for place, call, name in calls:
        module, _, function = name.rpartition(".")
        seeded = bool(called & _SEEDS.get(module, set()))
        if name == "random.Random" or (module == "numpy.random" and function in _GENERATORS):
            given = [*call.args, *(keyword.value for keyword in call.keywords)]
            unseeded = not given or (isinstance(given[0], ast.Constant) and given[0].value is None)
        elif module == "numpy.random":
            unseeded = not seeded and function not in _NO_DRAWS
        elif module == "torch":
            own = any(keyword.arg in ("generator", None) for keyword in call.keywords)
            unseeded = not seeded and not own and function in _OF_TORCH
        else:
            unseeded = not seeded and module == "random" and function in _OF_RANDOM
        if unseeded:
            yield f"{place}, line {call.lineno}: {name}"


def _imports(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield names in a module, and what they stand for."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for each in node.names:
                first = each.name.split(".")[0]
                yield (each.asname, each.name) if each.asname else (first, first)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from ((each.asname or each.name, f"{node.module}.{each.name}") for each in node.names)


def _full_name(node: ast.expr, known: dict[str, str]) -> str:
    """Return the name of a function with its module, '' if it belongs to something else."""
    if isinstance(node, ast.Attribute):
        before = _full_name(node.value, known)
        return f"{before}.{node.attr}" if before else ""
    return known.get(node.id, "") if isinstance(node, ast.Name) else ""
