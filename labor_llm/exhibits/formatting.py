"""From rows to a table as it is read: columns, cells as text, and text made safe for Markdown, HTML and LaTeX."""

from __future__ import annotations

import functools
import html
import math
import numbers
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from labor_llm.disclosure import Persons
from labor_llm.exhibits.catalogue import find_exhibit

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas.io.formats.style import Styler

MISSING = "n/a"
MINUS = "\u2212"
EN_DASH = "\u2013"
Labels = Mapping[str, str] | None
_DEFAULT_FORMAT = ".3f"
_TEMPLATE = re.compile(r"([^{}]*)\{(?::([^{}]*))?\}([^{}]*)")
# Perplexities off the shelf run to any number of digits, which no column holds and nobody reads.
_SCIENTIFIC_FROM = 1_000_000
_MARKDOWN_SPECIAL = re.compile(r"([\\`*_{}\[\]<>$&|~^#!])")
# At the start of a line: items of lists, underlines of headings, comments, fields, fences and targets.
_MARKDOWN_START = re.compile(r"^(?=[-+=%:]|\(.*\)=)|^(\d+)(?=[.)](?:\s|$))")
# What a spreadsheet would take for a formula.
_FORMULA = re.compile(r"[=@\t\r]|[+-](?![\d.,]+$)")
# Two of these are one sign in LaTeX.
_LIGATURE = re.compile(r"([-,'])(?=\1)")
_SCIENTIFIC = re.compile(r"e([+-]\d+)$")
_RAISED = str.maketrans("-0123456789", "\u207b\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079")
_LOWERED = {raised: chr(plain) for plain, raised in _RAISED.items()}
_RAISED_RUN = re.compile("[" + "".join(map(chr, _RAISED.values())) + "]+")
_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\textquotedbl{}",
    # At the start of a row these two would be read as arguments of the line break before it.
    "[": "{[}", "*": "{*}",
    "`": r"\textasciigrave{}", "\0": "{}",
    EN_DASH: "--", MINUS: r"$-$", "\u2265": r"$\geq$", "\u2264": r"$\leq$", "\u00d7": r"$\times$",
}  # fmt: skip


@dataclass(frozen=True)
class DisplayTable:
    """A table as it is to be read.

    Attributes:
        exhibit: its id in the catalogue.
        frame: the first column names the row.
        persons: persons behind each row, see `disclosure.require_enough_persons`.
        formats: format of each column of numbers, such as `'.2f'` or `'({:.2f})'`.
        numbers: values for the `{words}` of its caption and note, beside those that the chapter gives.
    """

    exhibit: str
    frame: pd.DataFrame
    persons: Persons
    formats: Mapping[str, str] = field(default_factory=dict)
    numbers: Mapping[str, object] = field(default_factory=dict)


class Reference(str):
    """A cell that names an exhibit by its label; in the book a link to it."""

    __slots__ = ()


class DisplayFigure(NamedTuple):
    """A figure (None if there is nothing to draw) with its id in the catalogue, and the persons behind each point."""

    exhibit: str
    figure: Figure | None
    persons: Persons


class DisplayText(NamedTuple):
    """Words that no markup is meant in (none if there is nothing to say), and the persons behind their numbers."""

    words: str
    persons: Persons


def table(
    exhibit: str,
    rows: pd.DataFrame,
    labels: Labels = None,
    persons: Persons | None = None,
    numbers: Mapping[str, object] | None = None,
) -> DisplayTable:
    """Return tidy rows as a table to be read, with the columns that the catalogue has for it.

    Columns that the rows lack are left out, and `dataset` where there is one data set alone; `labels` says how to call
    one. There may be no rows, and then no columns. If `persons` is None, the rows' `workers` and `workers_with_event`
    tell who stands behind each, the fewer of the two. `numbers` are for caption and note.
    """
    columns = find_exhibit(exhibit, "table").columns
    if rows.empty:
        rows = rows.reindex(columns=list(dict.fromkeys([*columns, "workers"])))
    shown = [name for name in columns if name in rows and (name != "dataset" or rows[name].nunique() > 1)]
    frame = rows[shown].reset_index(drop=True).replace({"dataset": dict(labels or {})})
    entries = {name: [columns[name]] if isinstance(columns[name], str) else columns[name] for name in shown}
    frame.columns = [heading for heading, *_ in entries.values()]
    if persons is None:
        counts = [name for name in ("workers", "workers_with_event") if name in rows]
        persons = rows[counts].min(axis=1).astype(int).reset_index(drop=True)
    formats = {heading: form[0] for heading, *form in entries.values() if form}
    return DisplayTable(exhibit, frame, persons, formats, numbers or {})


def of_rows(exhibit: str = "") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a function of tidy rows one that can do without: where there are none, the careers do not bear it.

    It then returns the table `exhibit` without rows, in whose place the catalogue's sentence stands; without an
    exhibit no words, as that sentence has said it.
    """

    def decorate(make: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(make)
        def made(rows: pd.DataFrame, *more: Any, **named: Any) -> DisplayTable | DisplayText:
            if rows.empty:
                return table(exhibit, rows) if exhibit else DisplayText("", "none")
            return make(rows, *more, **named)

        return made

    return decorate


def blank(values: pd.Series, where: pd.Series | None = None) -> pd.Series:
    """Return cells that are empty `where` there is nothing to be said: by default where a value is missing."""
    return values.astype(object).mask(values.isna() if where is None else where, "")


def signed(value: float, digits: int) -> str:
    """Return a difference with its sign, as `format_value` writes its size."""
    return (MINUS if value < 0 else "+") + format_value(abs(float(value)), f".{digits}f")


def format_value(value: object, spec: str | None = None) -> str:
    """Return a cell as text.

    Numbers follow `spec`, a format specification (`'.2f'`) or a template (`'({:.2f})'`); without one they get
    three decimals. Whole numbers, and numbers of 1,000 and more in a fixed-point format, are shown without
    decimals and with separators, those of a million and more as 2.31×10⁶; exponents are raised. Missing and
    non-finite values become 'n/a', negative numbers get a typographic minus sign, and runs of white space
    become one space.

    Raises:
        ValueError: if the format is not one.
    """
    if value is None or value is pd.NA or value is pd.NaT:
        return MISSING
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, Reference):
        return value
    if not isinstance(value, numbers.Real):
        return " ".join(str(value).split())
    if not math.isfinite(value):
        return MISSING
    match = _TEMPLATE.fullmatch(spec if spec and "{" in spec else f"{{:{spec or ''}}}")
    if match is None:
        raise ValueError(f"format {spec!r} must hold one number, as in '({{:.2f}})'")
    text = _number_as_text(value, match[2] or _DEFAULT_FORMAT)
    return f"{match[1]}{text.replace('-', MINUS, 1) if text.startswith('-') else text}{match[3]}"


def _number_as_text(value: numbers.Real, spec: str) -> str:
    whole = isinstance(value, numbers.Integral) and not spec.endswith("d")
    if not whole and spec.endswith("f") and abs(value) >= _SCIENTIFIC_FROM:
        spec = ".2e"
    elif whole or (spec.endswith("f") and abs(value) >= 1000):
        return format(value, ",.0f")
    text = _SCIENTIFIC.sub(
        lambda match: f"\u00d710{str(int(match[1])).translate(_RAISED)}", format(value, spec)
    )
    # A small negative number that rounds to zero is no negative zero.
    return text.removeprefix("-") if not any(digit in text for digit in "123456789") else text


def escape_markdown(text: str) -> str:
    """Return text in which no character has a meaning in MyST Markdown, pipe tables included; but of a `Reference`."""
    if isinstance(text, Reference):
        return f"{{numref}}`{text}`"
    return _MARKDOWN_START.sub(r"\1\\", _MARKDOWN_SPECIAL.sub(r"\\\1", " ".join(text.split())))


def escape_latex(text: str) -> str:
    """Return text in which no character has a meaning in LaTeX; UTF-8 letters stay."""
    escaped = "".join(_LATEX.get(sign, sign) for sign in _LIGATURE.sub("\\1\0", text))
    return _RAISED_RUN.sub(lambda match: f"$^{{{match[0].translate(_LOWERED)}}}$", escaped)


def escape_figure(text: str) -> str:
    """Return text in which no character has a meaning to matplotlib: formulas, and names that legends leave out."""
    return f"{' ' if text.startswith('_') else ''}{text}".replace("$", r"\$")


def escape_csv(text: str) -> str:
    """Return text that no spreadsheet takes for a formula: with an apostrophe before what would be one."""
    return f"'{text}" if _FORMULA.match(text) else text


def with_texts(frame: pd.DataFrame, escape: Callable[[str], str]) -> pd.DataFrame:
    """Return a frame with its texts, those of the heading too, escaped; numbers and types stay as they are."""
    texts = {
        name: pd.Series(
            [escape(cell) if isinstance(cell, str) else cell for cell in column], frame.index, object
        )
        for name, column in frame.select_dtypes(exclude=["number", "bool"]).items()
    }
    return frame.assign(**texts).rename(columns=escape)


def markdown_table(cells: pd.DataFrame, right: Sequence[bool]) -> str:
    """Return texts as an escaped pipe table; `right` says which columns are set flush right."""
    rule = "| " + " | ".join("---:" if flag else ":---" for flag in right) + " |"
    lines = [
        "| " + " | ".join(map(escape_markdown, line)) + " |" for line in [cells.columns, *cells.to_numpy()]
    ]
    return "\n".join([lines[0], rule, *lines[1:]])


def html_table(cells: pd.DataFrame, right: Sequence[bool], texts: Mapping[str, str]) -> str:
    """Return texts as an escaped HTML table for Jupyter; `texts` holds `label`, `caption` and `note`."""
    sides = {name: "right" if flag else "left" for name, flag in zip(cells.columns, right, strict=True)}
    alignment = {name: [{"selector": "", "props": f"text-align:{side}"}] for name, side in sides.items()}
    styler = _escaped(cells, html.escape).set_caption(html.escape(texts["caption"]))
    styler.set_table_styles({html.escape(name): rules for name, rules in alignment.items()})
    foot = f"<p><small><em>Note.</em> {html.escape(texts['note'])}</small></p>" if texts["note"] else ""
    return styler.to_html(table_uuid=texts["label"]) + foot


def latex_table(cells: pd.DataFrame, right: Sequence[bool], texts: Mapping[str, str]) -> str:
    """Return texts as an escaped LaTeX table for `booktabs`; `texts` holds `label`, `caption` and `note`."""
    # A single column holds a sentence, which has to be broken.
    columns = "".join("r" if flag else "l" for flag in right) if len(right) > 1 else r"p{0.9\linewidth}"
    floating = _escaped(cells, escape_latex).to_latex(
        hrules=True, position="htbp", position_float="centering", label=texts["label"], column_format=columns,
        caption=escape_latex(texts["caption"]),
    )  # fmt: skip
    note = rf"{{\footnotesize\emph{{Note.}} {escape_latex(texts['note'])}\par}}"
    foot = f"\\par\\smallskip\n{note}\n" if texts["note"] else ""
    body = floating.removesuffix("\\end{table}\n")
    return f"% needs \\usepackage[T1]{{fontenc}} and \\usepackage{{booktabs}}\n{body}{foot}\\end{{table}}\n"


def _escaped(cells: pd.DataFrame, escape: Callable[[str], str]) -> Styler:
    return cells.rename(columns=escape).map(escape).style.hide(axis="index")
