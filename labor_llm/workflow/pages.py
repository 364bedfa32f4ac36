"""Pages of the book: in which part and place each notebook stands, and how its runs become one page.

Where a notebook stands is said in its own head: `part`, one of `PARTS`, and `place`, a number by which the pages of a
part are ordered. `book/_toc.yml` says with `notebooks: PART` where in the contents those of a part go.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from typing import Any

import nbformat

from labor_llm.errors import InputError
from labor_llm.exhibits.formatting import escape_markdown
from labor_llm.workflow.profile import Profile
from labor_llm.workflow.runs import NotebookRun, chapters, notebook_runs

PARTS = ("findings", "data", "try", "reproduce", "appendix")
_HEADING = re.compile(r"^(#+ .*)$", flags=re.MULTILINE)


def runs_in_reading_order(profile: Profile) -> list[NotebookRun]:
    """Return all runs of a profile as the book shows them: part by part, and real careers before simulated ones."""
    places = {chapter.notebook: (PARTS.index(chapter.part), chapter.place) for chapter in chapters()}
    simulated = {name for name, entry in profile.datasets.items() if entry.simulated_workers}
    return sorted(notebook_runs(profile), key=lambda run: (*places[run.notebook], run.dataset in simulated))


def run_titles(profile: Profile) -> dict[str, str]:
    """Return by name, in reading order, what tells a run from others of its notebook: labels of data set and model."""
    titles = {}
    for run in runs_in_reading_order(profile):
        words = [profile.datasets[run.dataset].label] if run.dataset else []
        # Of several runs on one data set each is of a model.
        words += [run.parameters["label"]] if run.name != f"{run.notebook}-{run.dataset}" and words else []
        titles[run.name] = ": ".join(words)
    return titles


def contents(toc: Mapping[str, Any], notebooks: Iterable[str]) -> dict[str, Any]:
    """Return the contents of the book: those of `book/_toc.yml` with notebooks where it has a place for their part.

    A part without pages is left out.

    Raises:
        InputError: if there is no place for a notebook.
    """
    heads = {chapter.notebook: chapter for chapter in chapters()}
    left = dict.fromkeys(notebooks)
    parts = []
    for part in toc["parts"]:
        pages: list[dict[str, Any]] = []
        for entry in part["chapters"]:
            of_part = [name for name in left if heads[name].part == entry.get("notebooks")]
            for name in sorted(of_part, key=lambda name: heads[name].place):
                del left[name]
                pages.append({"file": f"notebooks/{name}"})
            pages += [] if "notebooks" in entry else [entry]
        parts += [{**part, "chapters": pages}] if pages else []
    for name in left:
        raise InputError(f"_toc.yml: no `notebooks: {heads[name].part}`, where {name} would stand.")
    return {**toc, "parts": parts}


def page_of_runs(runs: Mapping[str, nbformat.NotebookNode]) -> nbformat.NotebookNode:
    """Return one page of the executed runs of a notebook, by title; that of a single run is the run itself.

    What stands before the first code is the page's beginning. A section follows for each run: the first with all of
    its text and code, the others with their parameters and outputs alone.
    """
    page = deepcopy(next(iter(runs.values())))
    if len(runs) == 1:
        return page
    begin = next(number for number, cell in enumerate(page["cells"]) if cell["cell_type"] == "code")
    sections = [
        _section(title, run["cells"][begin:], number) for number, (title, run) in enumerate(runs.items())
    ]
    page["cells"] = page["cells"][:begin] + [cell for section in sections for cell in section]
    return page


def _section(title: str, cells: list[Any], number: int) -> Iterator[nbformat.NotebookNode]:
    yield nbformat.v4.new_markdown_cell(f"## {escape_markdown(title)}", id=f"run-{number}")
    for cell in deepcopy(cells):
        # Runs of one notebook share the ids of its cells.
        cell["id"] = f"{cell['id']}-{number}"
        if cell["cell_type"] == "markdown":
            headings = _HEADING.findall(cell["source"])
            cell["source"] = _HEADING.sub(r"#\1", "\n\n".join(headings) if number else cell["source"])
        elif number:
            tags = cell["metadata"].get("tags", [])
            if "injected-parameters" in tags:
                cell["metadata"]["mystnb"] = {"code_prompt_show": "Parameters"}
            elif cell["outputs"]:
                cell["metadata"]["tags"] = [*tags, "remove-input"]
            else:
                continue
        if cell["source"]:
            yield cell
