"""The README's list of tables and figures, made from the catalogue of exhibits and the demo profile.

`python -m labor_llm.workflow.readme` writes it into README.md between its two markers, after a change of the
catalogue or of the profile; the test suite says when that is due.
"""

from __future__ import annotations

from labor_llm.errors import InputError
from labor_llm.exhibits.catalogue import Exhibit, read_catalogue
from labor_llm.store.artefacts import atomic_path
from labor_llm.store.results import project_root
from labor_llm.workflow.profile import Profile, load_profile
from labor_llm.workflow.runs import NotebookRun, notebook_runs

BEGIN = "<!-- exhibits: begin, written by `python -m labor_llm.workflow.readme` -->"
END = "<!-- exhibits: end -->"
_ENDINGS = {"table": ".csv`, `.tex`", "figure": ".png`, `.pdf`"}
_HEADER = "| Exhibit | Program | Output files |\n|:--|:--|:--|\n"


def exhibit_table(profile: str = "demo") -> str:
    """Return the list of all exhibits of a profile as a Markdown table, in reading order.

    Args:
        profile: name of a packaged profile, or path of a YAML file.

    Returns:
        One row for each table and figure: its caption, the notebook that makes it, and its files in
        `results/<profile>/exhibits/`, the second by its ending alone. An exhibit that is made once for each
        data set or model has a row for each. The text ends with a line end.

    Raises:
        InputError: if there is no such profile.
    """
    chosen = load_profile(profile)
    runs = notebook_runs(chosen)
    rows = [
        _row(exhibit, run, chosen)
        for exhibit in read_catalogue().values()
        for run in runs
        if run.notebook == exhibit.notebook
    ]
    return _HEADER + "".join(f"{row}\n" for row in rows)


def with_exhibit_table(readme: str) -> str:
    """Return the text of a README with the list between its two markers made anew.

    Raises:
        InputError: if the markers do not stand in it, once each and in order.
    """
    before, begun, rest = readme.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not begun or not ended or readme.count(BEGIN) != 1 or readme.count(END) != 1:
        raise InputError(f"README.md: the lines {BEGIN!r} and {END!r} must stand in it once each, in order.")
    return f"{before}{BEGIN}\n\n{exhibit_table()}\n{END}{after}"


def _row(exhibit: Exhibit, run: NotebookRun, profile: Profile) -> str:
    label = exhibit.label(run.name.removeprefix(f"{run.notebook}-") if exhibit.variants else "")
    caption = exhibit.caption.format_map(_words(run, profile)).replace("|", "\\|")
    kind, files = exhibit.kind.capitalize(), f"`{label}{_ENDINGS[exhibit.kind]}"
    return f"| {kind}: {caption} | `{run.notebook}` | {files} |"


def _words(run: NotebookRun, profile: Profile) -> dict[str, str]:
    """What the notebook puts into a caption: the labels of its data set and model."""
    words = {"model": str(run.parameters.get("label", ""))}
    if dataset := run.parameters.get("dataset"):
        words["dataset"] = profile.datasets[dataset].label
    return words


def _rewrite() -> None:
    path = project_root() / "README.md"
    text = with_exhibit_table(path.read_text(encoding="utf-8"))
    with atomic_path(path) as aside:
        aside.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    _rewrite()
