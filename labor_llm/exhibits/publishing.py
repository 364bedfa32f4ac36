"""Write exhibits to files and show them, the same way in Jupyter and in the book.

What is shown is a `Display`: its `text/html` is what Jupyter shows, its `text/markdown` is MyST, from which the
book makes a numbered, captioned exhibit that prose can refer to, as in {numref}`tab-main-comparison`.
"""

from __future__ import annotations

import base64
import html
import json
import re
import string
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from labor_llm.disclosure import Persons, require_enough_persons
from labor_llm.errors import ArtefactError, InputError
from labor_llm.exhibits.catalogue import NUMBERS_ENDING, Exhibit, find_exhibit
from labor_llm.exhibits.findings import ENOUGH_WORKERS
from labor_llm.exhibits.formatting import (
    MISSING,
    DisplayFigure,
    DisplayTable,
    DisplayText,
    escape_csv,
    escape_markdown,
    format_value,
    html_table,
    latex_table,
    markdown_table,
    with_texts,
)
from labor_llm.plain_text import text_problem
from labor_llm.store.artefacts import atomic_path
from labor_llm.store.results import Results, open_results

_TOO_FEW = f"A number here rests on fewer than {ENOUGH_WORKERS} workers, which is too few for a verdict."
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


def open_chapter(
    results: str | Path, dataset: str = "", model: str = "", /, **words: object
) -> tuple[Results, Exhibits]:
    """Open the results that a chapter reads and adds to.

    Args:
        results: their folder; a relative name is taken from the checkout.
        dataset: short name of the data set, for a chapter on one: captions call it `{dataset}` by its label, and
            exhibits that are made once for each data set have it in their names.
        model: short name of the model, for a chapter that is run for each; in these names too.
        **words: what captions and notes may say of the whole chapter, such as `draws=1000`.

    Returns:
        Where results lie, and what shows exhibits and writes them there: `show(table)`.

    Raises:
        InputError: if a word is no line of plain text.
    """
    for name, word in words.items():
        if isinstance(word, str) and (problem := text_problem(word)):
            raise InputError(f"{name}: {word!r} {problem}.")
    folders = open_results(results)
    return folders, Exhibits(folders, dataset, model, words)


@dataclass(frozen=True)
class Exhibits:
    """Shows what `labor_llm.exhibits` makes, and writes its files; see `open_chapter`."""

    results: Results
    dataset: str = ""
    model: str = ""
    words: Mapping[str, object] = field(default_factory=dict)

    def __call__(
        self, shown: DisplayTable | DisplayFigure | DisplayText, exhibit: str = "", **numbers: object
    ) -> Display | None:
        """Write a table (CSV in full precision, LaTeX) or figure (PNG, PDF) to files, and return it for display.

        What careers do not bear has no rows: in the place of such a table or figure stands the sentence that the
        catalogue has for it, without a note; the CSV file has the headings alone. Of a text without words nothing is
        shown, and one about too few workers says so.

        Args:
            shown: a table, figure or text. Files are equal byte for byte in every run.
            exhibit: id in the catalogue, if another than its own.
            **numbers: further values for the `{words}` of the caption and the note.

        Raises:
            InputError: if a row or point rests on too few persons, or frame, formats or numbers do not fit, or there
                is nothing to show and no sentence for that; then nothing is written.
        """
        if isinstance(shown, DisplayText):
            few = isinstance(shown.persons, int) and shown.persons < ENOUGH_WORKERS
            words = f"{shown.words} {_TOO_FEW}" if few else shown.words
            return self.text(words, persons=shown.persons) if shown.words else None
        is_table = isinstance(shown, DisplayTable)
        entry = find_exhibit(exhibit or shown.exhibit, "table" if is_table else "figure")
        variant = "-".join(part for part in (self.dataset, self.model) if part and entry.variants)
        if shown.frame.empty if is_table else shown.figure is None:
            if not entry.empty:
                raise InputError(f"{entry.id}: the table is empty, or there is nothing to draw.")
            texts = self._texts(entry.model_copy(update={"note": ""}), {})
        else:
            texts = self._texts(entry, {**shown.numbers, **numbers} if is_table else numbers)
        return (self._table if is_table else self._figure)(
            shown, entry, {"label": entry.label(variant), **texts}
        )

    def text(self, words: str, *, persons: Persons) -> Display:
        """Return a paragraph of words, in which no markup is meant.

        Raises:
            InputError: if too few persons stand behind the numbers in it (`'none'` if there are no such numbers).
        """
        require_enough_persons(persons, ["numbers in a text"], "show.text")
        return Display(markdown=escape_markdown(words), plain=words)

    def record(
        self, name: str, numbers: Mapping[str, object], *, persons: Persons, decimals: int = 3
    ) -> None:
        """Write numbers for the book's prose pages, where `{{ key }}` stands for each.

        Args:
            name: name of the notebook (with data set and model where it is run for several).
            numbers: value by key (lower-case letters, digits, `_`); text is allowed, missing values are not.
            persons: persons behind each number: a count for all, a Series in their order, or `'none'`.
            decimals: of the numbers that are not whole; those that are get separators.

        Raises:
            InputError: if a key is malformed, a value missing or not finite, or a number rests on too few persons;
                names the key.
        """
        where = f"{name}{NUMBERS_ENDING}"
        require_enough_persons(persons, list(numbers), where)
        entries = {}
        for key, value in numbers.items():
            if not _KEY.fullmatch(key):
                raise InputError(f"{where}: key {key!r} must be lower-case letters, digits and '_'.")
            text = format_value(value, f".{decimals}f")
            if text == MISSING:
                raise InputError(f"{where}: {key} is {value!r}; a sentence cannot hold a missing number.")
            entries[key] = {"value": value.item() if hasattr(value, "item") else value, "text": text}
        text = json.dumps(entries, indent=1, ensure_ascii=False, allow_nan=False)
        _write_text(self.results.exhibits / where, f"{text}\n")

    def _texts(self, entry: Exhibit, numbers: Mapping[str, object]) -> dict[str, str]:
        """Return caption and note with their words filled; a number may stand in either."""
        template = f"{entry.caption}\n{entry.note}"
        named = {name for _, name, _, _ in string.Formatter().parse(template)}
        words = dict(self.words)
        if self.dataset and "dataset" in named:
            words["dataset"] = self.results.label(self.dataset)
        known = {name: word for name, word in words.items() if name in named}
        caption, note = fill(template, known | numbers, entry.id).split("\n", 1)
        return {"caption": caption, "note": note}

    def _table(self, table: DisplayTable, entry: Exhibit, texts: Mapping[str, str]) -> Display:
        shown, label = table, texts["label"]
        if table.frame.empty:
            shown = DisplayTable(table.exhibit, pd.DataFrame({table.frame.columns[0]: [entry.empty]}), "none")
        cells = _text_cells(shown.frame, shown.formats, label)
        require_enough_persons(shown.persons, cells.iloc[:, 0].tolist(), label)
        right = _flush_right(shown.frame)
        folder = self.results.exhibits
        written = with_texts(table.frame, escape_csv).to_csv(index=False, lineterminator="\n")
        _write_text(folder / f"{label}.csv", written)
        _write_text(folder / f"{label}.tex", latex_table(cells, right, texts))
        note = f"*Note.* {escape_markdown(texts['note'])} " if texts["note"] else ""
        return Display(
            markdown=f":::{{table}} {escape_markdown(texts['caption'])}\n:name: {label}\n:class: exhibit-table\n\n"
            f"{markdown_table(cells, right)}\n:::\n\n"
            f":::{{container}} exhibit-note\n{note}Download: {{download}}`CSV </exhibits/{label}.csv>` "
            f"{{download}}`LaTeX </exhibits/{label}.tex>`\n:::\n",
            plain=f"{texts['caption']}\n\n{cells.to_string(index=False)}\n\n{texts['note']}".strip(),
            html=html_table(cells, right, texts),
        )

    def _figure(self, figure: DisplayFigure, entry: Exhibit, texts: Mapping[str, str]) -> Display:
        # Only here, so that a chapter of tables starts without matplotlib.
        from labor_llm.exhibits.figures import figure_style, sentence_figure

        label = texts["label"]
        drawn = figure.figure or sentence_figure(entry.empty)
        points = len(figure.persons) if isinstance(figure.persons, pd.Series) else 1
        require_enough_persons(figure.persons, [f"point {number}" for number in range(1, points + 1)], label)
        for ending, metadata in _NO_TIMESTAMPS.items():
            file = self.results.exhibits / f"{label}.{ending}"
            with figure_style(), atomic_path(file) as path:
                drawn.savefig(path, metadata=metadata)
        picture = base64.b64encode((self.results.exhibits / f"{label}.png").read_bytes()).decode("ascii")
        caption, note = texts["caption"], texts["note"]
        alt = entry.alt if figure.figure else entry.empty
        image = f'<img alt="{html.escape(alt)}" style="max-width:100%" src="data:image/png;base64,{picture}">'
        legend = f"<br><small><em>Note.</em> {html.escape(note)}</small>" if note else ""
        below = f"*Note.* {escape_markdown(note)} " if note else ""
        return Display(
            markdown=f":::{{figure}} /exhibits/{label}.png\n:name: {label}\n"
            f":alt: {json.dumps(alt, ensure_ascii=False)}\n:class: dark-light\n\n{escape_markdown(caption)}\n\n"
            f"{below}Download: {{download}}`PDF </exhibits/{label}.pdf>`\n:::\n",
            plain=f"{caption}\n\n{alt}",
            html=f"<figure>{image}<figcaption>{html.escape(caption)}{legend}</figcaption></figure>",
        )


def read_numbers(exhibits: Iterable[Path]) -> dict[str, str]:
    """Return every recorded number as text, by key, from those of some files that are `*.numbers.json`.

    Raises:
        ArtefactError: if a file is unreadable or two files hold the same key; names them.
    """
    found: dict[str, tuple[str, Path]] = {}
    for path in sorted(path for path in exhibits if path.name.endswith(NUMBERS_ENDING)):
        try:
            entries = {key: entry["text"] for key, entry in json.loads(path.read_text("utf-8")).items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            message = f"{path}: not readable as recorded numbers ({error}). Run its notebook again."
            raise ArtefactError(message) from error
        for key, text in entries.items():
            if key in found:
                raise ArtefactError(
                    f"{path}: {key!r} is recorded in {found[key][1]} too. Rename one of them."
                )
            found[key] = text, path
    return {key: text for key, (text, _) in found.items()}


def fill(template: str, numbers: Mapping[str, object], where: str) -> str:
    """Return a template with its `{name}` and `{name:format}` filled; every number must be used.

    Raises:
        InputError: if names and numbers do not match, or a format does not fit; names the place.
    """
    filled, used = "", set()
    for literal, name, spec, _ in string.Formatter().parse(template):
        filled += literal
        if name is None:
            continue
        if name not in numbers:
            raise InputError(f"{where}: no number for {{{name}}} in the text {template[:60]!r}.")
        used.add(name)
        try:
            filled += format_value(numbers[name], spec or None)
        except ValueError as error:
            raise InputError(f"{where}: format {spec!r} does not fit {name}={numbers[name]!r}.") from error
    _refuse_unknown(numbers, used, where)
    return filled


def _refuse_unknown(given: Iterable[str], known: Collection[str], where: str) -> None:
    unknown = [name for name in given if name not in known]
    if unknown:
        names = ", ".join(sorted(known)) or "none"
        raise InputError(f"{where}: nothing is called {unknown[0]!r} there. Names: {names}.")


def _text_cells(frame: pd.DataFrame, formats: Mapping[str, str], label: str) -> pd.DataFrame:
    if not isinstance(frame.index, pd.RangeIndex):
        raise InputError(f"{label}: the index of the frame would be lost. Call reset_index() first.")
    if not frame.columns.is_unique:
        raise InputError(f"{label}: column names repeat: {list(frame)}.")
    _refuse_unknown(formats, list(frame), f"{label}, formats")
    cells = {name: [format_value(cell, formats.get(name)) for cell in frame[name].tolist()] for name in frame}
    return pd.DataFrame(cells, dtype=object)


def _flush_right(frame: pd.DataFrame) -> list[bool]:
    """Say which columns hold numbers; a column of numbers with a word or with empty cells in it still does."""
    flags = [False]
    for name in frame.columns[1:]:
        cells = [cell for cell in frame[name].dropna() if cell != ""]
        flags.append(sum(isinstance(cell, str) for cell in cells) < max(len(cells), 1) / 2)
    return flags


def _write_text(path: Path, text: str) -> None:
    with atomic_path(path) as aside, open(aside, "w", encoding="utf-8", newline="") as file:
        file.write(text)
