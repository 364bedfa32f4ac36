"""What a data editor looks for before anything is run: faults of the files themselves, each with place and remedy.

Only what is certain is a finding: a path of one machine in a string, a draw that nothing seeds, a package that nobody
declares. Comments and documentation are not read, and nothing is imported or run.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from labor_llm.errors import ArtefactError, InputError
from labor_llm.store.results import Results
from labor_llm.workflow.programs import Parts, imported_packages, read_program, strings_of, unseeded_draws
from labor_llm.workflow.records import recorded_files
from labor_llm.workflow.requirements import declared_packages, undeclared, unneeded
from labor_llm.workflow.versions import tracked_files

OK, FINDING = "ok", "finding"
_LARGEST = 5_000_000  # bytes
_NOT_OURS = {".git", ".venv", "results", "raw", "_build", "build", "dist", "__pycache__", ".snakemake"}
_OF_A_MACHINE = re.compile(
    r"(?<![\w.~/}:*-])/(?:home|Users|root|tmp|mnt|media|opt|srv|work|scratch|data|Volumes)/\w"
    r"|(?<![A-Za-z])[A-Z]:[\\/]\w"
)
_ROW = re.compile(r"^\| `(\d\d_\w+)` \| [^|]+ \| (.*) \|$", re.MULTILINE)
_ABOUT_PACKAGES = re.compile(r"pyproject\.toml|environment\.yml|CITATION\.cff|.*\.(md|lock|csv|json|bib)")
Found = Iterator[tuple[str, str]]


class Finding(NamedTuple):
    """A row of the scans: which one, `ok` or `finding`, where the fault is, and what mends it."""

    scan: str
    verdict: str
    where: str
    remedy: str


class Checkout:
    """The files that are scanned: those under version control, without it all but what is made or obtained."""

    def __init__(self, root: Path, results: Results | None = None) -> None:
        self.root, self.results = root, results
        self.files = tracked_files(root) or sorted(_walk(root))

    def text(self, name: str) -> str:
        """Return what a file holds, with a sign in the place of bytes that are no text."""
        return (self.root / name).read_text(encoding="utf-8", errors="replace")

    @cached_property
    def _read(self) -> tuple[dict[str, Parts], list[str]]:
        found, unreadable = {}, []
        for name in (name for name in self.files if name.endswith((".py", ".ipynb"))):
            try:
                found[name] = read_program(self.root / name, name)
            except InputError as error:
                unreadable.append(str(error))
        return found, unreadable

    @property
    def programs(self) -> dict[str, Parts]:
        """The code of all scripts and notebooks by file."""
        return self._read[0]

    @property
    def unreadable(self) -> list[str]:
        """What is to be said of scripts and notebooks that are none."""
        return self._read[1]

    @cached_property
    def catalogue(self) -> list[dict[str, Any]]:
        """The entries of the catalogue of exhibits."""
        paths = [name for name in self.files if name.endswith("exhibits/catalogue.yaml")]
        return [entry for path in paths for entry in yaml.safe_load(self.text(path))]


def scan(root: Path, results: Results | None = None) -> list[Finding]:
    """Return what all scans say: the findings of each, or one row `ok`.

    Args:
        root: top folder of the repository.
        results: a run, whose notebooks and exhibits are looked at too if it keeps records.
    """
    # Without a repository there is nothing to scan.
    if not (root / "pyproject.toml").is_file() or not (root / "README.md").is_file():
        return []
    checkout, rows = Checkout(root, results), list[Finding]()
    for name, search in SCANS.items():
        found = [Finding(name, FINDING, *each) for each in search(checkout)]
        rows += found or [Finding(name, OK, "", "")]
    return rows


def _walk(root: Path) -> Iterator[str]:
    for folder, inner, names in os.walk(root):
        inner[:] = [name for name in inner if name not in _NOT_OURS]
        paths = (Path(folder) / name for name in names)
        # A link may lead nowhere.
        yield from (path.relative_to(root).as_posix() for path in paths if path.is_file())


def _absolute_paths(checkout: Checkout) -> Found:
    # Tests invent files of other machines.
    code = [parts for name, parts in checkout.programs.items() if not name.startswith("tests/")]
    texts = [(place, *each) for parts in code for place, tree in parts for each in strings_of(tree)]
    for name in (name for name in checkout.files if name.endswith((".yaml", ".yml"))):
        try:
            tokens = [*yaml.scan(checkout.text(name), yaml.SafeLoader)]
        except yaml.YAMLError as error:
            yield f"{name}: {error}", "It is no YAML: mend it."
            continue
        scalars = (token for token in tokens if isinstance(token, yaml.ScalarToken))
        texts += [(name, token.start_mark.line + 1, token.value) for token in scalars]
    for place, line, text in texts:
        if _OF_A_MACHINE.search(text):
            yield f"{place}, line {line}: {text[:80]!r}", "Name it from the top folder of the repository."


def _programs(checkout: Checkout) -> Found:
    for said in checkout.unreadable:
        message, _, remedy = said.rpartition(". ")
        yield message, remedy


def _large_files(checkout: Checkout) -> Found:
    for name in checkout.files:
        if (size := (checkout.root / name).stat().st_size) > _LARGEST:
            yield f"{name}: {size / 1e6:.1f} MB", "Have a program fetch or make it, and take it out."


def _notebooks(checkout: Checkout) -> Found:
    for name in (name for name in checkout.files if name.endswith(".ipynb")):
        cells = json.loads(checkout.text(name))["cells"]
        if any(cell.get("outputs") or cell.get("execution_count") for cell in cells):
            yield name, "It is stored with outputs: clear them, as runs keep executed notebooks of their own."
    executed = checkout.results.notebooks.glob("*.ipynb") if checkout.results else ()
    for path in sorted(path for path in executed if not path.name.endswith(".failed.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        code = [cell for cell in cells if cell["cell_type"] == "code" and "".join(cell["source"]).strip()]
        if [cell["execution_count"] for cell in code] != [*range(1, len(code) + 1)]:
            yield str(path), "Its cells were not executed once each, in order: run `labor-llm replicate`."


def _packages(checkout: Checkout) -> Found:
    declared = declared_packages(checkout.text("pyproject.toml"))
    code = checkout.programs.items()
    imports = {name: {each for _, tree in parts for each in imported_packages(tree)} for name, parts in code}
    # Beside the top folders scripts of one folder, which import one another by their bare names.
    scripts = [path for name in imports if f"{(path := Path(name)).parent}/__init__.py" not in imports]
    ours = {*(path.stem for path in scripts), *(name.split("/")[0] for name in checkout.files)}
    for place, module in undeclared(imports, ours, declared):
        yield f"{place}: {module}", "It is imported: declare its package in pyproject.toml."
    texts = (checkout.text(name) for name in checkout.files if not _ABOUT_PACKAGES.fullmatch(name))
    for package in unneeded(imports, texts, declared):
        yield f"pyproject.toml: {package}", "No program imports or names it: take it out."


def _draws(checkout: Checkout) -> Found:
    for place in (place for parts in checkout.programs.values() for place in unseeded_draws(parts)):
        yield place, "Draw from a generator that is made with a seed, which is a parameter."


def _exhibits(checkout: Checkout) -> Found:
    named = {
        text for parts in checkout.programs.values() for _, tree in parts for _, text in strings_of(tree)
    }
    for entry in checkout.catalogue:
        if entry["id"] not in named or f"notebooks/{entry['notebook']}.ipynb" not in checkout.files:
            yield (
                f"catalogue.yaml: {entry['id']}",
                f"{entry['notebook']} does not make it: mend one of the two.",
            )
    # A folder without records is no run.
    if checkout.results and (records := sorted(checkout.results.notebooks.glob("[0-9]*.record.json"))):
        try:
            made = {path.name for record in records for path in recorded_files(record)}
        except ArtefactError as error:
            message, _, remedy = str(error).partition(". ")
            yield message, remedy
        else:
            for path in sorted(checkout.results.exhibits.glob("*")):
                if path.name not in made:
                    yield str(path), "No run of a notebook has made it: remove it."


def _table_of_programs(checkout: Checkout) -> Found:
    notebooks = [path.stem for name in checkout.files if (path := Path(name)).match("notebooks/*.ipynb")]
    made: dict[str, list[str]] = {name: [] for name in notebooks}
    for entry in checkout.catalogue:
        made.get(entry["notebook"], []).append(f"`{entry['id']}{'-*' if entry.get('variants') else ''}`")
    wanted = {name: ", ".join(exhibits) or "a page of the book" for name, exhibits in made.items()}
    rows = dict(_ROW.findall(checkout.text("README.md")))
    for name in sorted(name for name in rows.keys() | wanted.keys() if rows.get(name) != wanted.get(name)):
        remedy = f"By notebooks and catalogue it is: {wanted.get(name, 'no notebook')}"
        yield f"README.md: {name}: {rows.get(name, 'no row')}", remedy


SCANS: dict[str, Callable[[Checkout], Found]] = {
    "programs": _programs,
    "absolute paths": _absolute_paths,
    "files over 5 MB": _large_files,
    "order and outputs of notebooks": _notebooks,
    "packages": _packages,
    "unseeded draws": _draws,
    "exhibits and programs": _exhibits,
    "README's list of programs": _table_of_programs,
}
"""The scans by name."""
