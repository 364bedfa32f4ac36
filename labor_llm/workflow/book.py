"""The book: executed notebooks and prose pages, staged in one folder and rendered to HTML by jupyter-book.

`stage_book` gathers what the run made and refuses anything unfinished; `build_book` renders it with
warnings as errors. Neither executes a notebook. The HTML needs no server and no network: it is opened
from its folder.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import nbformat
import yaml
from docutils import nodes

from labor_llm.errors import ArtefactError, InputError
from labor_llm.exhibits.catalogue import NUMBERS_ENDING
from labor_llm.exhibits.formatting import escape_markdown
from labor_llm.exhibits.publishing import read_numbers
from labor_llm.exhibits.stored_runs import StoredRun
from labor_llm.store.artefacts import writing
from labor_llm.store.results import Results
from labor_llm.workflow.pages import contents, page_of_runs
from labor_llm.workflow.records import record_of, recorded_files
from labor_llm.workflow.runs import chapters
from labor_llm.workflow.stored_pages import PAGE, copy_files, put_before, stored_page

_SUBSTITUTION = re.compile(r"\{\{\s*([A-Za-z_]\w*)")
_COLORS = re.compile(r"\x1b\[[0-9;]*m")
_FENCED = re.compile(r"^(`{3,}|~{3,}).*?^\1", flags=re.DOTALL | re.MULTILINE)
_VISIBILITY_TAGS = {"hide-input", "hide-cell", "remove-input", "remove-cell", "show-input"}
_SOURCE_ENDINGS = {".md", ".yml", ".bib", ".css", ".png", ".html"}
_MACHINE_KEYS = ("input_path", "output_path", "environment_variables")


def stage_book(
    source: Path,
    results: Results,
    profile: str,
    out: Path,
    required: Mapping[str, str],
    generated: Mapping[str, str] | None = None,
    stored: Sequence[StoredRun] = (),
) -> Path:
    """Copy prose, executed notebooks and exhibits into `out`, ready for `build_book`, and return `out`.

    In the staged notebooks code is folded (unless a cell is tagged `show-input`), the paths of the machine are taken
    out of the metadata, and the runs of one notebook are one page (`labor_llm.workflow.pages`). Every number that one
    of them recorded becomes a substitution of the prose pages. Only what the record of a run holds
    (`labor_llm.workflow.records`) gets into the book, and only as the run made it.

    Args:
        source: folder with `_config.yml`, `_toc.yml`, prose pages, style and references.
        results: the run whose notebooks and exhibits are shown.
        profile: name of the profile, available in prose as `{{ profile }}`.
        out: folder to write, replaced as a whole when staging succeeds.
        required: titles by name (without ending) of the executed notebooks that make up the book, in reading order,
            as `pages.run_titles` has them.
        generated: text of further pages by file name, see `labor_llm.workflow.reference`.
        stored: runs that the chapters on findings show before this one.

    Raises:
        ArtefactError: if a notebook is missing, has failed or was not run to its end, it or an exhibit was changed
            afterwards, or prose asks for a number that no notebook recorded; names the file, the cell or the number.
    """
    notebooks = _executed_notebooks(results.notebooks, required)
    exhibits = _recorded_exhibits(results, notebooks)
    numbers = {key: escape_markdown(text) for key, text in read_numbers(exhibits).items()}
    numbers["profile"] = escape_markdown(profile)
    pages = [path for path in sorted(Path(source).rglob("*")) if _is_source(path, Path(source))]
    for page in pages:
        if page.suffix == ".md":
            _require_numbers(page.read_text(encoding="utf-8"), numbers, str(page))
    for name, notebook in notebooks.items():
        _require_numbers(_prose_of(notebook), numbers, f"{name}.ipynb")
    with writing(out, {"profile": profile, "numbers": numbers}) as aside:
        _copy_pages(pages, Path(source), aside, numbers)
        for name, text in (generated or {}).items():
            (aside / name).write_text(text, encoding="utf-8")
        (aside / PAGE).write_text(stored_page(stored), encoding="utf-8")
        _write_notebooks(notebooks, required, aside, stored)
        copy_files(stored, aside / "stored")
        (aside / "exhibits").mkdir()
        for path in exhibits:
            if not path.name.endswith(NUMBERS_ENDING):
                shutil.copyfile(path, aside / "exhibits" / path.name)
        _copy_mathjax(aside / "_vendor" / "mathjax")
    return Path(out)


def build_book(staged: Path, html: Path) -> Path:
    """Render a staged book to HTML with warnings as errors, replace `html` by it, and return its first page.

    Raises:
        ArtefactError: if jupyter-book warns or fails; quotes its warnings. An earlier book stays as it was.
    """
    html = Path(html)
    html.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".build-", dir=html.parent) as folder:
        options = ["--path-output", folder, "-W", "--keep-going", "--all"]
        command = [_jupyter_book(), "build", str(staged), *options]
        done = subprocess.run(command, capture_output=True, text=True, env=_plain_environment(), check=False)
        built = Path(folder) / "_build" / "html"
        if done.returncode != 0 or not (built / "index.html").is_file():
            raise ArtefactError(_build_message(staged, done.stdout + done.stderr))
        with writing(html, {"staged": Path(staged).name}) as aside:
            shutil.copytree(built, aside, dirs_exist_ok=True)
            # Sphinx's own bookkeeping holds paths of this machine and is of no use to a reader.
            (aside / ".buildinfo").unlink(missing_ok=True)
    return html / "index.html"


def check_executed(notebook: Mapping[str, Any], name: str) -> None:
    """Refuse a notebook that failed or stopped before its end, whatever its metadata claim.

    A kernel that is killed leaves cells marked as completed, so the cells themselves are looked at.

    Raises:
        ArtefactError: naming the notebook and the first such cell.
    """
    remedy = "Run the notebook again; the book shows finished notebooks only."
    if notebook["metadata"].get("papermill", {}).get("exception"):
        raise ArtefactError(f"{name}: papermill recorded an exception in it. {remedy}")
    for number, cell in enumerate(notebook["cells"], start=1):
        where = f"{name}, cell {number}"
        if "papermill-error-cell-tag" in cell["metadata"].get("tags", []):
            raise ArtefactError(f"{where}: an error banner of papermill. {remedy}")
        if cell["cell_type"] != "code":
            continue
        if any(output["output_type"] == "error" for output in cell["outputs"]):
            raise ArtefactError(f"{where}: it ended with an error. {remedy}")
        if cell["source"].strip() and cell["execution_count"] is None:
            raise ArtefactError(f"{where}: it was not executed. {remedy}")


def setup(app: Any) -> dict[str, Any]:
    """Connect to Sphinx, of which this module is an extension (`book/_config.yml`)."""
    app.connect("doctree-read", lambda _, page: mark_row_headers(page))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def mark_row_headers(page: nodes.document) -> None:
    """Make the first cell of each row of an exhibit its header, for those who have tables read to them."""
    for table in page.findall(nodes.table):
        if "exhibit-table" in table["classes"]:
            next(table.findall(nodes.colspec))["stub"] = 1


def _executed_notebooks(folder: Path, required: Collection[str]) -> dict[str, nbformat.NotebookNode]:
    notebooks = {}
    for path in (Path(folder) / f"{name}.ipynb" for name in required):
        if not path.is_file():
            raise ArtefactError(f"{path}: not there. Run the replication before the book.")
        try:
            notebooks[path.stem] = nbformat.read(path, as_version=4)
        except Exception as error:  # nbformat raises several kinds for a file that was cut
            raise ArtefactError(f"{path}: not readable as a notebook ({error}). Run it again.") from error
        check_executed(notebooks[path.stem], path.name)
    return notebooks


def _is_source(path: Path, source: Path) -> bool:
    parts = path.relative_to(source).parts
    return path.is_file() and "_build" not in parts and path.suffix in _SOURCE_ENDINGS


def _prose_of(notebook: nbformat.NotebookNode) -> str:
    return "\n".join(cell["source"] for cell in notebook["cells"] if cell["cell_type"] == "markdown")


def _require_numbers(text: str, numbers: Mapping[str, str], where: str) -> None:
    for key in _SUBSTITUTION.findall(_FENCED.sub("", text)):
        if key not in numbers:
            raise ArtefactError(
                f"{where}: no notebook recorded a number called {key!r}. "
                "Record it with show.record, or take it out of the page."
            )


def _copy_pages(pages: list[Path], source: Path, target: Path, numbers: Mapping[str, str]) -> None:
    for page in pages:
        copy = target / page.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(page, copy)
    path = target / "_config.yml"
    if not path.is_file():
        raise InputError(f"{source}/_config.yml: no such file. The book's configuration stands there.")
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    config.setdefault("parse", {})["myst_substitutions"] = dict(sorted(numbers.items()))
    path.write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True), encoding="utf-8")


def _write_notebooks(
    notebooks: Mapping[str, nbformat.NotebookNode],
    titles: Mapping[str, str],
    target: Path,
    stored: Sequence[StoredRun],
) -> None:
    (target / "notebooks").mkdir()
    findings = {chapter.notebook for chapter in chapters() if chapter.part == "findings"}
    runs: dict[str, dict[str, nbformat.NotebookNode]] = {}
    for name, notebook in notebooks.items():
        for key in _MACHINE_KEYS:
            notebook["metadata"].get("papermill", {}).pop(key, None)
        runs.setdefault(name.split("-", 1)[0], {})[titles[name]] = notebook
    for name, by_title in runs.items():
        page = page_of_runs(by_title)
        if name in findings:
            put_before(name, page, stored)
        _fold_code(page)
        nbformat.write(page, target / "notebooks" / f"{name}.ipynb")
    path = target / "_toc.yml"
    toc = contents(yaml.safe_load(path.read_text(encoding="utf-8")), runs)
    path.write_text(yaml.safe_dump(toc, sort_keys=False), encoding="utf-8")


def _fold_code(notebook: nbformat.NotebookNode) -> None:
    for cell in notebook["cells"]:
        tags = cell["metadata"].get("tags", [])
        if cell["cell_type"] == "code" and not _VISIBILITY_TAGS & set(tags):
            cell["metadata"]["tags"] = [*tags, "hide-input"]


def _recorded_exhibits(results: Results, notebooks: Collection[str]) -> list[Path]:
    records = [record_of(results.notebooks / f"{name}.ipynb") for name in sorted(notebooks)]
    made = [path for record in records for path in recorded_files(record)]
    return [path for path in made if path.parent == results.exhibits]


def _copy_mathjax(target: Path) -> None:
    """Copy the one file of MathJax that draws formulas without fonts, so that no network is needed."""
    package = importlib.util.find_spec("sphinx-mathjax-offline")
    if package is None or not package.submodule_search_locations:
        raise InputError("sphinx-mathjax-offline is not installed. Install the project's requirements.")
    target.mkdir(parents=True)
    folder = Path(package.submodule_search_locations[0]) / "static" / "mathjax"
    shutil.copyfile(folder / "tex-svg.js", target / "tex-svg.js")


def _jupyter_book() -> str:
    beside = Path(sys.executable).with_name("jupyter-book")
    return str(beside) if beside.is_file() else "jupyter-book"


def _plain_environment() -> dict[str, str]:
    """Return the environment with colors off and UTF-8 on, for a readable log on any machine."""
    return {**os.environ, "NO_COLOR": "1", "PYTHONUTF8": "1"}


def _build_message(staged: Path, log: str) -> str:
    log = _COLORS.sub("", log)
    lines = [line for line in log.splitlines() if re.search(r"WARNING|ERROR|CRITICAL|Exception", line)]
    chosen = lines[:20] or log.splitlines()[-15:]
    shown = "\n".join(f"  {line.replace(str(staged) + '/', '')}" for line in chosen)
    return f"{staged}: jupyter-book stopped; warnings count as errors in this book:\n{shown}"
