"""From rows to a table as it is read: columns, cells as text, and text made safe for Markdown, HTML and LaTeX."""

from __future__ import annotations

import html
import math
import numbers
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from labor_llm.disclosure import Persons

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas.io.formats.style import Styler

MISSING = "n/a"
MINUS = "\u2212"
EN_DASH = "\u2013"
# A standard error stands in brackets.
SE = "({:.2f})"
_DEFAULT_FORMAT = ".3f"
# Perplexities off the shelf run to any number of digits, which no column holds and nobody reads.
_SCIENTIFIC_FROM = 1_000_000
_MARKDOWN_SPECIAL = re.compile(r"([\\`*_{}\[\]<>$&|~^#!])")
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


@dataclass(frozen=True)
class DisplayFigure:
    """A figure with its id in the catalogue, and the persons behind each point or bar that is drawn."""

    exhibit: str
    figure: Figure
    persons: Persons


@dataclass(frozen=True)
class DisplayText:
    """Words that no markup is meant in, and the persons behind the numbers in them."""

    words: str
    persons: Persons


def table(
    exhibit: str,
    rows: pd.DataFrame,
    columns: Mapping[str, str | tuple[str, str]],
    persons: Persons | str = "workers",
    labels: Mapping[str, str] | None = None,
    numbers: Mapping[str, object] | None = None,
) -> DisplayTable:
    """Return tidy rows as a table to be read.

    Args:
        exhibit: id of the table in the catalogue.
        rows: as they are to be read from top to bottom; may be none, and then lack columns.
        columns: heading, or heading and format, of each column that is shown, from left to right. The column
            `dataset` is left out where there is one data set alone.
        persons: column with the persons behind each row, or what `DisplayTable` takes.
        labels: how to call a data set; its name where there is none.
        numbers: for the caption and the note.
    """
    entries = {name: (entry, "") if isinstance(entry, str) else entry for name, entry in columns.items()}
    if rows.empty:
        rows = rows.reindex(columns=list(dict.fromkeys([*rows.columns, *entries, "workers"])))
    if "dataset" in entries and rows["dataset"].nunique() < 2:
        del entries["dataset"]
    frame = rows[list(entries)].reset_index(drop=True)
    if "dataset" in entries:
        frame["dataset"] = [(labels or {}).get(name, name) for name in frame["dataset"]]
    frame.columns = [heading for heading, _ in entries.values()]
    if isinstance(persons, str) and persons != "none":
        persons = rows[persons].astype(int).reset_index(drop=True)
    formats = {heading: form for heading, form in entries.values() if form}
    return DisplayTable(exhibit, frame, persons, formats, numbers or {})


def blank(values: pd.Series, where: pd.Series | None = None) -> pd.Series:
    """Return cells that are empty `where` there is nothing to be said: by default where a value is missing."""
    return values.astype(object).mask(values.isna() if where is None else where, "")


def signed(value: float, digits: int) -> str:
    """Return a difference with its sign."""
    return f"{value:+.{digits}f}".replace("-", MINUS)


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
    if not isinstance(value, numbers.Real):
        return " ".join(str(value).split())
    if not math.isfinite(value):
        return MISSING
    before, inner, after = _parts(spec)
    text = _number_as_text(value, inner)
    return f"{before}{text.replace('-', MINUS, 1) if text.startswith('-') else text}{after}"


def _parts(spec: str | None) -> tuple[str, str, str]:
    """Split a template into what stands before the number, its format and what stands after."""
    if spec is None or "{" not in spec:
        return "", spec or _DEFAULT_FORMAT, ""
    match = re.fullmatch(r"([^{}]*)\{(?::([^{}]*))?\}([^{}]*)", spec)
    if match is None:
        raise ValueError(f"format {spec!r} must hold one number, as in '({{:.2f}})'")
    return match[1], match[2] or _DEFAULT_FORMAT, match[3]


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
    """Return text in which no character has a meaning in MyST Markdown, pipe tables included."""
    return _MARKDOWN_SPECIAL.sub(r"\\\1", " ".join(text.split()))


def escape_html(text: str) -> str:
    """Return text in which no character has a meaning in HTML."""
    return html.escape(text, quote=True)


def escape_latex(text: str) -> str:
    """Return text in which no character has a meaning in LaTeX; UTF-8 letters stay."""
    escaped = "".join(_LATEX.get(character, character) for character in text)
    return _RAISED_RUN.sub(lambda match: f"$^{{{match[0].translate(_LOWERED)}}}$", escaped)


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
    styler = _escaped(cells, escape_html).set_caption(escape_html(texts["caption"]))
    styler.set_table_styles({escape_html(name): rules for name, rules in alignment.items()})
    foot = f"<p><small><em>Note.</em> {escape_html(texts['note'])}</small></p>" if texts["note"] else ""
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
