"""Stored runs in the book: before the tables of the reader's own run, and on a page that says what each rests on."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import nbformat

from labor_llm.exhibits.formatting import escape_markdown
from labor_llm.exhibits.stored_runs import StoredRun, tables_in
from labor_llm.workflow.storing import outputs_of, table_in

PAGE = "stored.md"
_HEAD = re.compile(r"^:::\{table\} (.*)\n:name: .*\n")
_LATEX = re.compile(r" ?\{download\}`LaTeX <[^>]*>`")
_LINK = "{numref}"
_INTRODUCTION = """# Stored runs

What takes hours, or data that may not be passed on, is run apart and kept in the repository: tables as numbers, with
checksums that are verified whenever they are read. No record of a person is among them. The chapters show these runs
before the one that made this book."""


def put_before(notebook: str, page: nbformat.NotebookNode, runs: Sequence[StoredRun]) -> None:
    """Put what stored runs have found before the tables and the leading sentence of a chapter.

    The first table of each exhibit gets those of the stored runs above it, as tabs; a table with links to other
    exhibits does not, as they belong to another run.

    Args:
        notebook: name of the chapter.
        page: its executed notebook, changed in place.
        runs: the stored runs.
    """
    shown = [(run, run.shown()) for run in runs]
    seen: set[str] = set()
    for output in outputs_of(page):
        key = notebook if output.leads else table_in(output.text)
        if not key or key in seen:
            continue
        seen.add(key)
        if output.leads:
            said = [
                f"*{escape_markdown(run.label)}, stored.* {sentence}"
                for run, of_run in shown
                for sentence in of_run.get(key, ())
            ]
            if said:
                output.data["text/markdown"] = "\n\n".join([*said, f"*This run.* {output.text}"])
            continue
        tabs = [
            _tab(run.label, [_as_stored(run, entry) for entry in of_run.get(key, ()) if _LINK not in entry])
            for run, of_run in shown
        ]
        if found := [tab for tab in tabs if tab]:
            body = "\n".join(found)
            output.data["text/markdown"] = f":::::{{tab-set}}\n{body}\n:::::\n\n{output.text}"


def _tab(label: str, tables: Sequence[str]) -> str:
    if not tables:
        return ""
    inside = "\n\n".join(tables)
    return f"::::{{tab-item}} {escape_markdown(label)}, stored\n{inside}\n::::"


def _as_stored(run: StoredRun, table: str) -> str:
    """Return a table as the book shows it beside another: without label and number, and with the stored file below."""
    headed = _HEAD.sub(r"**\1**\n\n:::{table}\n", table)
    return _LATEX.sub("", headed).replace("</exhibits/", f"</stored/{run.folder.name}/")


def copy_files(runs: Iterable[StoredRun], target: Path) -> None:
    """Copy the tables of stored runs, and what is said of them, to where the book offers them."""
    for run in runs:
        (target / run.folder.name).mkdir(parents=True)
        for path in [*tables_in(run.folder), run.folder / "about.json"]:
            shutil.copyfile(path, target / run.folder.name / path.name)


def stored_page(runs: Sequence[StoredRun]) -> str:
    """Return the page that says of each stored run how it was made, and how it is made again."""
    parts = [_INTRODUCTION if runs else f"{_INTRODUCTION}\n\nNone is kept at present."]
    for run in runs:
        about, code = run.about, run.about["code"]
        commit = code.get("commit", "")[:12] or "not known"
        files = [file for dataset in about["datasets"].values() for file in dataset["files"].items()]
        listed = "\n".join(
            f"- {escape_markdown(name)}: {said['bytes']:,} bytes, sha256 `{said['sha256']}`"
            for name, said in files
        )
        folder = f"/stored/{run.folder.name}"
        tables = ", ".join(
            f"{{download}}`{path.stem.removeprefix('tab-')} <{folder}/{path.name}>`"
            for path in tables_in(run.folder)
        )
        machine = about["machine"]
        parts.append(
            f"## {escape_markdown(run.label)}\n\n"
            f"Made again by: {escape_markdown(about['command'])}\n\n"
            f"- Code: commit `{commit}`{' with changes' if code.get('changed') else ''}.\n"
            f"- Finished on {about['finished']}; {about['hours']:.1f} hours of notebooks, each with "
            f"{escape_markdown(machine['threads'])} threads, on {escape_markdown(machine['processor'])}.\n"
            f"- Every parameter of every notebook, seeds among them: {{download}}`about.json <{folder}/about.json>`.\n"
            f"- Tables: {tables}.\n\n"
            f":::{{dropdown}} The files that it was made from\n{listed or 'None: all data are packaged.'}\n:::"
        )
    return "\n\n".join(parts) + "\n"
