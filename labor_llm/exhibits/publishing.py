"""Write exhibits to files and show them, the same way in Jupyter and in the book.

Every function returns a `Display`: its `text/html` is what Jupyter shows, its `text/markdown` is MyST,
from which the book makes a numbered, captioned exhibit that prose can refer to, as in
{numref}`tab-main-comparison`.
"""

from __future__ import annotations

import base64
import json
import re
import string
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from labor_llm.disclosure import Persons, require_enough_persons
from labor_llm.errors import ArtefactError, InputError
from labor_llm.exhibits.catalogue import Exhibit, find_exhibit
from labor_llm.exhibits.figures import figure_style
from labor_llm.exhibits.formatting import (
    escape_html,
    escape_markdown,
    format_value,
    html_table,
    latex_table,
    markdown_table,
)
from labor_llm.store.artefacts import atomic_path

NUMBERS_ENDING = ".numbers.json"
_KEY = re.compile(r"[a-z][a-z0-9_]*")
_NO_TIMESTAMPS = {
    "png": {"Software": None},
    "pdf": {"Creator": None, "Producer": None, "CreationDate": None, "ModDate": None},
}


@dataclass(frozen=True)
class Display:
    """What a cell shows: MyST for the book, HTML for Jupyter, plain text elsewhere."""

    markdown: str
    plain: str
    html: str = ""

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        bundle = {"text/markdown": self.markdown, "text/html": self.html, "text/plain": self.plain}
        return {mime: text for mime, text in bundle.items() if text}

    def __repr__(self) -> str:
        return self.plain


def show_table(
    exhibit_id: str,
    frame: pd.DataFrame,
    exhibits: Path,
    *,
    persons: Persons,
    formats: Mapping[str, str] | None = None,
    variant: str = "",
    numbers: Mapping[str, object] | None = None,
) -> Display:
    """Write a table as CSV (full precision) and LaTeX, and return it for display.

    Args:
        exhibit_id: id of a table in the catalogue.
        frame: rows and columns as they are to be read; the first column names the row; index not shown.
        exhibits: folder for `<label>.csv` and `<label>.tex`.
        persons: persons behind each row, see `disclosure.require_enough_persons`.
        formats: format of the numbers of a column, such as `'.2f'` or `'({:.2f})'`.
        variant: data set and model, for exhibits that are made once for each.
        numbers: values for the `{words}` of the caption and the note.

    Raises:
        InputError: if a row rests on too few persons, or frame, formats or numbers do not fit; then
            nothing is written.
    """
    exhibit = find_exhibit(exhibit_id, "table")
    label = exhibit.label(variant)
    header, rows = _text_cells(frame, formats or {}, label)
    require_enough_persons(persons, [row[0] for row in rows], label)
    caption, note = _texts(exhibit, numbers or {})
    right = _flush_right(frame)
    texts = {"label": label, "caption": caption, "note": note}
    _write_text(Path(exhibits) / f"{label}.csv", frame.to_csv(index=False, lineterminator="\n"))
    _write_text(Path(exhibits) / f"{label}.tex", latex_table(header, rows, right, texts))
    return Display(
        markdown=_myst_table(texts, markdown_table(header, rows, right)),
        plain=f"{caption}\n\n{pd.DataFrame(rows, columns=header).to_string(index=False)}\n\n{note}".strip(),
        html=html_table(header, rows, right, caption, note),
    )


def show_figure(
    exhibit_id: str,
    figure: Figure,
    exhibits: Path,
    *,
    persons: Persons,
    variant: str = "",
    numbers: Mapping[str, object] | None = None,
) -> Display:
    """Write a figure as PNG and PDF, equal byte for byte in every run, and return it for display.

    Args:
        exhibit_id: id of a figure in the catalogue.
        figure: a matplotlib figure, as drawn by `labor_llm.exhibits.figures`.
        exhibits: folder for `<label>.png` and `<label>.pdf`.
        persons: persons behind each point or bar that is drawn (a count or a Series), or `'none'`.
        variant: data set and model, for exhibits that are made once for each.
        numbers: values for the `{words}` of the caption and the note.

    Raises:
        InputError: if a point rests on too few persons, or numbers do not fit; nothing is written.
    """
    exhibit = find_exhibit(exhibit_id, "figure")
    label = exhibit.label(variant)
    points = len(persons) if isinstance(persons, pd.Series) else 1
    require_enough_persons(persons, [f"point {number}" for number in range(1, points + 1)], label)
    caption, note = _texts(exhibit, numbers or {})
    for ending, metadata in _NO_TIMESTAMPS.items():
        with matplotlib.rc_context(figure_style()), atomic_path(Path(exhibits) / f"{label}.{ending}") as path:
            figure.savefig(path, metadata=metadata)
    picture = base64.b64encode((Path(exhibits) / f"{label}.png").read_bytes()).decode("ascii")
    alt = escape_html(exhibit.alt)
    image = f'<img alt="{alt}" style="max-width:100%" src="data:image/png;base64,{picture}">'
    legend = f"<br><small><em>Note.</em> {escape_html(note)}</small>" if note else ""
    return Display(
        markdown=_myst_figure(label, caption, note, exhibit.alt),
        plain=f"{caption}\n\n{exhibit.alt}",
        html=f"<figure>{image}<figcaption>{escape_html(caption)}{legend}</figcaption></figure>",
    )


def show_text(template: str, *, persons: Persons, **numbers: object) -> Display:
    """Return a paragraph of Markdown with computed numbers in it.

    Args:
        template: Markdown; `{name}` or `{name:.2f}` stand for the numbers.
        persons: persons behind the numbers, or `'none'`.
        **numbers: one value for each name in the template.

    Raises:
        InputError: if a name has no number or a number no name, or too few persons stand behind them.
    """
    require_enough_persons(persons, ["numbers in a text"], "show_text")
    markdown = fill(template, numbers, "show_text", escape=True)
    return Display(markdown=markdown, plain=fill(template, numbers, "show_text"))


def record_numbers(
    name: str,
    numbers: Mapping[str, object],
    exhibits: Path,
    *,
    persons: Persons,
    formats: Mapping[str, str] | None = None,
) -> None:
    """Write numbers for the book's prose pages, where `{{ key }}` stands for each.

    Args:
        name: name of the notebook (with data set and model where it is run for several).
        numbers: value by key (lower-case letters, digits, `_`); text is allowed, missing values are not.
        exhibits: folder for `<name>.numbers.json`, which holds each value in full and as it is to be read.
        persons: persons behind each number: a count, a mapping by key, or `'none'`.
        formats: format by key; by default whole numbers get separators and others three decimals.

    Raises:
        InputError: if a key is malformed, a value missing or not finite, a format has no number, or a number
            rests on too few persons; names the key.
    """
    formats = formats or {}
    where = f"{name}{NUMBERS_ENDING}"
    require_enough_persons(persons, list(numbers), where)
    _refuse_unknown(formats, numbers, where)
    entries = {}
    for key, value in numbers.items():
        if not _KEY.fullmatch(key):
            raise InputError(f"{where}: key {key!r} must be lower-case letters, digits and '_'.")
        text = format_value(value, formats.get(key))
        if text == format_value(None):
            raise InputError(f"{where}: {key} is {value!r}; a sentence cannot hold a missing number.")
        entries[key] = {"value": value.item() if hasattr(value, "item") else value, "text": text}
    _write_text(
        Path(exhibits) / where, json.dumps(entries, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    )


def read_numbers(exhibits: Path) -> dict[str, str]:
    """Return every recorded number as text, by key, from all `*.numbers.json` of a folder.

    Raises:
        ArtefactError: if a file is unreadable or two files hold the same key; names them.
    """
    texts: dict[str, str] = {}
    origin: dict[str, Path] = {}
    for path in sorted(Path(exhibits).glob(f"*{NUMBERS_ENDING}")):
        try:
            entries = {key: entry["text"] for key, entry in json.loads(path.read_text("utf-8")).items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            message = f"{path}: not readable as recorded numbers ({error}). Run its notebook again."
            raise ArtefactError(message) from error
        for key, text in entries.items():
            if key in texts:
                raise ArtefactError(f"{path}: {key!r} is recorded in {origin[key]} too. Rename one of them.")
            texts[key], origin[key] = text, path
    return texts


def fill(template: str, numbers: Mapping[str, object], where: str, escape: bool = False) -> str:
    """Return a template with its `{name}` and `{name:format}` filled; every number must be used.

    Raises:
        InputError: if names and numbers do not match, or a format does not fit; names the place.
    """
    parts, used = [], set()
    for literal, name, spec, _ in string.Formatter().parse(template):
        parts.append(literal)
        if name is None:
            continue
        if name not in numbers:
            raise InputError(f"{where}: no number for {{{name}}} in the text {template[:60]!r}.")
        used.add(name)
        try:
            text = format_value(numbers[name], spec or None)
        except ValueError as error:
            raise InputError(f"{where}: format {spec!r} does not fit {name}={numbers[name]!r}.") from error
        parts.append(escape_markdown(text) if escape else text)
    _refuse_unknown(numbers, used, where)
    return "".join(parts)


def _refuse_unknown(given: Iterable[str], known: Collection[str], where: str) -> None:
    unknown = [name for name in given if name not in known]
    if unknown:
        names = ", ".join(sorted(known)) or "none"
        raise InputError(f"{where}: nothing is called {unknown[0]!r} there. Names: {names}.")


def _texts(exhibit: Exhibit, numbers: Mapping[str, object]) -> tuple[str, str]:
    """Return caption and note with their words filled; a number may stand in either."""
    both = fill(f"{exhibit.caption}\n{exhibit.note}", numbers, exhibit.id)
    caption, note = both.split("\n", 1)
    return caption, note


def _text_cells(
    frame: pd.DataFrame, formats: Mapping[str, str], label: str
) -> tuple[list[str], list[list[str]]]:
    if not isinstance(frame.index, pd.RangeIndex):
        raise InputError(f"{label}: the index of the frame would be lost. Call reset_index() first.")
    if frame.empty:
        raise InputError(f"{label}: the table is empty.")
    header = [str(column) for column in frame.columns]
    if len(set(header)) != len(header):
        raise InputError(f"{label}: column names repeat: {header}.")
    _refuse_unknown(formats, header, f"{label}, formats")
    columns = [[format_value(cell, formats.get(name)) for cell in frame[name].tolist()] for name in header]
    return header, [list(row) for row in zip(*columns, strict=True)]


def _flush_right(frame: pd.DataFrame) -> list[bool]:
    """Say which columns hold numbers; a column of numbers with a word or with empty cells in it still does."""
    flags = []
    for position, name in enumerate(frame.columns):
        cells = [cell for cell in frame[name].dropna() if cell != ""]
        words = sum(isinstance(cell, str) for cell in cells)
        flags.append(position > 0 and words < max(len(cells), 1) / 2)
    return flags


def _myst_table(texts: Mapping[str, str], table: str) -> str:
    label = texts["label"]
    links = f"{{download}}`CSV </exhibits/{label}.csv>` {{download}}`LaTeX </exhibits/{label}.tex>`"
    note = f"*Note.* {escape_markdown(texts['note'])} " if texts["note"] else ""
    return (
        f":::{{table}} {escape_markdown(texts['caption'])}\n:name: {label}\n:class: exhibit-table\n\n"
        f"{table}\n:::\n\n"
        f":::{{container}} exhibit-note\n{note}Download: {links}\n:::\n"
    )


def _myst_figure(label: str, caption: str, note: str, alt: str) -> str:
    text = f"\n*Note.* {escape_markdown(note)} " if note else "\n"
    quoted = json.dumps(alt, ensure_ascii=False)
    return (
        f":::{{figure}} /exhibits/{label}.png\n:name: {label}\n:alt: {quoted}\n:class: dark-light\n\n"
        f"{escape_markdown(caption)}\n{text}Download: {{download}}`PDF </exhibits/{label}.pdf>`\n:::\n"
    )


def _write_text(path: Path, text: str) -> None:
    with atomic_path(path) as aside, open(aside, "w", encoding="utf-8", newline="") as file:
        file.write(text)
