"""Pages of the book that are written from the package itself, so that they cannot lag behind it.

They list every file with the first line of its docstring, every command with its options as `--help` gives them, and
every table and figure with the notebook that makes it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from labor_llm.errors import InputError
from labor_llm.exhibits.catalogue import Exhibit, read_catalogue
from labor_llm.exhibits.formatting import escape_markdown
from labor_llm.store.results import project_root
from labor_llm.workflow.pages import runs_in_reading_order
from labor_llm.workflow.profile import Profile
from labor_llm.workflow.runs import NotebookRun

# The order in which careers become predictions and these the book; a folder that is not named here comes last.
ROOMS = (
    "store", "careers", "crosswalks", "surveys", "simulation", "text", "models", "scoring", "finetuning", "baselines",
    "evaluation", "exhibits", "workflow", "commands",
)  # fmt: skip
_FILLERS = {
    "a", "an", "and", "are", "as", "at", "by", "for", "from", "in", "is", "it", "its", "of", "on", "or", "same", "that",
    "the", "their", "to", "what", "which", "with",
}  # fmt: skip
_FEWEST_NEW_WORDS = 2
_TOKEN = re.compile(r"`[^`]+`|[^\s`]+|`")
_LIMITS = re.compile(r"\s*\[([^\[\]]*(?:required|default|x[<>]|[<>]=?x)[^\[\]]*)\]\s*$")


def reference_pages(
    profile: Profile, group: Any, about: str = "", root: Path | None = None
) -> dict[str, str]:
    """Return the generated pages of the book by file name.

    Args:
        profile: the profile whose tables and figures are listed.
        group: the command `labor-llm` as typer makes it, with its commands.
        about: what is to be said of all commands, such as their exit status.
        root: folder of the repository; the one that this package lies in if not given.

    Raises:
        InputError: if a module has no docstring, or one whose first line says no more than its file's name.
    """
    return {
        "exhibits.md": exhibits_page(profile),
        "commands.md": commands_page(group.commands, about),
        "files.md": files_page(root or project_root()),
    }


def exhibits_page(profile: Profile) -> str:
    """Return the list of all tables and figures of a profile in the order of the book, with programs and files.

    An exhibit that is made once for each data set or model has a row for each.
    """
    rows = [_exhibit_row(*each) for each in exhibits_in_order(profile)]
    intro = (
        f"Each table and figure is made by one notebook, in the cell that names its label. The files lie in "
        f"`{profile.results}/exhibits/`, tables in full precision."
    )
    return _page("Tables and figures", intro, [_table(("Exhibit", "Caption", "Program", "Files"), rows)])


def exhibits_in_order(profile: Profile) -> Iterator[tuple[NotebookRun, Exhibit, str, str]]:
    """Yield run, entry of the catalogue, label and caption of each exhibit of a profile in the order of the book."""
    for run in runs_in_reading_order(profile):
        words = {"model": str(run.parameters.get("label", ""))}
        if dataset := run.parameters.get("dataset"):
            words["dataset"] = profile.datasets[dataset].label
        for exhibit in (each for each in read_catalogue().values() if each.notebook == run.notebook):
            label = exhibit.label(run.name.removeprefix(f"{run.notebook}-") if exhibit.variants else "")
            yield run, exhibit, label, exhibit.caption.format_map(words)


def commands_page(commands: Mapping[str, Any], about: str = "") -> str:
    """Return every command with its arguments and options, as its help gives them."""
    parts = []
    for name, command in commands.items():
        context = command.make_context(name, [], resilient_parsing=True)
        records = [record for each in command.params if (record := each.get_help_record(context))]
        parts.append(f"## {name}\n\n{_prose(command.help or '')}")
        if records:
            parts.append(
                _table(("Argument or option", "Meaning", "Default and limits"), map(_option_row, records))
            )
    intro = "`labor-llm COMMAND --help` prints the same. " + _prose(about)
    return _page("The command labor-llm", intro, parts)


def files_page(root: Path) -> str:
    """Return every module of the package and every benchmark with the first line of its docstring.

    Raises:
        InputError: see `gloss`.
    """
    package = root / "labor_llm"
    rooms = [folder for folder in package.iterdir() if (folder / "__init__.py").is_file()]
    rooms.sort(
        key=lambda folder: (ROOMS.index(folder.name) if folder.name in ROOMS else len(ROOMS), folder.name)
    )
    parts = [
        _table(
            ("File", "What it is"), [_file_row(path, package, root) for path in sorted(package.glob("*.py"))]
        )
    ]
    for room in rooms:
        modules = [path for path in sorted(room.rglob("*.py")) if path != room / "__init__.py"]
        rows = [_file_row(path, room, root) for path in modules]
        table = [_table(("File", "What it is"), rows)] if rows else []
        parts += [f"## {room.name}/", f"{_prose(gloss(room / '__init__.py', root))}.", *table]
    programs = [_file_row(path, root, root) for path in sorted((root / "benchmarks").glob("*.py"))]
    if programs:
        parts += ["## Beside the package", _table(("File", "What it is"), programs)]
    intro = (
        "The package `labor_llm` in the order in which data flow through it; a room imports only rooms above it. Each "
        "file is told by the first line of its documentation. Its test lies in the folder of `tests/` with that name."
    )
    return _page("Every file in a line", intro, parts)


def gloss(path: Path, root: Path) -> str:
    """Return the first line of a module's docstring without its full stop.

    Raises:
        InputError: if there is none, or it has fewer than two words beside those of the file's own name and words such
            as "the"; names the file and both lists of words.
    """
    name = path.relative_to(root).as_posix()
    documentation = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    line = documentation.strip().split("\n")[0].removesuffix(".")
    own = _words(path.parent.name if path.stem == "__init__" else path.stem)
    new = _words(line) - own - _FILLERS
    if len(new) < _FEWEST_NEW_WORDS:
        raise InputError(
            f"{name}: the first line of its docstring, {line!r}, must tell more than the file's name. "
            f"Words of the name: {', '.join(sorted(own))}; further words of the line: "
            f"{', '.join(sorted(new)) or 'none'}. Say in one line what the file is for."
        )
    return line


def _exhibit_row(run: NotebookRun, exhibit: Exhibit, label: str, caption: str) -> tuple[str, ...]:
    first, *others = exhibit.endings
    files = ", ".join([f"`{label}.{first}`", *(f"`.{ending}`" for ending in others)])
    return f"{{numref}}`{label}`", escape_markdown(caption), f"`{run.notebook}`", files


def _option_row(record: tuple[str, str]) -> tuple[str, str, str]:
    names, text = record
    limits = _LIMITS.search(text)
    meaning = text[: limits.start()] if limits else text
    return _code(names), _prose(meaning), _code(limits[1]) if limits else ""


def _file_row(path: Path, folder: Path, root: Path) -> tuple[str, str]:
    shown = path.relative_to(folder).as_posix().removesuffix("__init__.py") or path.name
    return f"`{shown}`", _prose(gloss(path, root))


def _words(text: str) -> set[str]:
    """The words of a text in small letters, without a plural's s, so that 'Tables' is no other word than 'table'."""
    return {word.removesuffix("s") for word in re.findall(r"[a-z0-9]+", text.lower())}


def _prose(text: str) -> str:
    """Return plain text as Markdown: code stays code, options become code, and nothing else has a meaning."""
    words = []
    for word in _TOKEN.findall(text):
        option = re.match(r"--[\w-]+", word)
        if word.startswith("`") and len(word) > 1:
            words.append(_code(word.strip("`")))
        elif option:
            words.append(f"`{option[0]}`{escape_markdown(word[option.end() :])}")
        else:
            words.append(escape_markdown(word))
    return re.sub(r"(?<=`) (?=[.,;:)])", "", " ".join(words))


def _code(text: str) -> str:
    return "`" + text.replace("|", "\\|") + "`"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, [":--"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _page(title: str, intro: str, parts: Iterable[str]) -> str:
    return "\n\n".join([f"# {title}", intro.strip(), *parts]) + "\n"
