"""Cells as text, and text made safe for Markdown (MyST), HTML and LaTeX."""

from __future__ import annotations

import html
import math
import numbers
import re
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

MISSING = "n/a"
MINUS = "\u2212"
_DEFAULT_FORMAT = ".3f"
_MARKDOWN_SPECIAL = re.compile(r"([\\`*_{}\[\]<>$&|~^#!])")
_SCIENTIFIC = re.compile(r"e([+-]\d+)$")
_RAISED = str.maketrans("-0123456789", "\u207b\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079")
_LOWERED = {raised: chr(plain) for plain, raised in _RAISED.items()}
_RAISED_RUN = re.compile("[" + "".join(map(chr, _RAISED.values())) + "]+")
_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    # At the start of a row these two would be read as arguments of the line break before it.
    "[": "{[}",
    "*": "{*}",
    "\u2013": "--",
    "\u2212": r"$-$",
    "\u2265": r"$\geq$",
    "\u2264": r"$\leq$",
    "\u00d7": r"$\times$",
}


# Perplexities off the shelf run to any number of digits, which no column holds and nobody reads.
_SCIENTIFIC_FROM = 1_000_000


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
    text = _SCIENTIFIC.sub(_power_of_ten, format(value, spec))
    # A small negative number that rounds to zero is no negative zero.
    return text.removeprefix("-") if not any(digit in text for digit in "123456789") else text


def _power_of_ten(match: re.Match[str]) -> str:
    exponent = str(int(match[1])).translate(_RAISED)
    return f"\u00d710{exponent}"


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


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[bool]) -> str:
    """Return an escaped pipe table; `right` says which columns are set flush right."""
    lines = [header, *rows]
    body = ["| " + " | ".join(escape_markdown(cell) for cell in line) + " |" for line in lines]
    rule = "| " + " | ".join("---:" if flag else ":---" for flag in right) + " |"
    return "\n".join([body[0], rule, *body[1:]])


def html_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[bool], caption: str, note: str
) -> str:
    """Return an escaped HTML table with its caption, and its note below, for Jupyter."""
    styles = ["text-align:right" if flag else "text-align:left" for flag in right]

    def line(tag: str, cells: Sequence[str]) -> str:
        inner = (
            f'<{tag} style="{style}">{escape_html(cell)}</{tag}>'
            for cell, style in zip(cells, styles, strict=True)
        )
        return f"<tr>{''.join(inner)}</tr>"

    head = f"<thead>{line('th', header)}</thead>"
    body = f"<tbody>{''.join(line('td', row) for row in rows)}</tbody>"
    title = f'<caption style="text-align:left;caption-side:top">{escape_html(caption)}</caption>'
    foot = f"<p><small><em>Note.</em> {escape_html(note)}</small></p>" if note else ""
    return f"<table>{title}{head}{body}</table>{foot}"


def latex_table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    right: Sequence[bool],
    texts: Mapping[str, str],
) -> str:
    """Return an escaped LaTeX table for `booktabs`; `texts` holds `label`, `caption` and `note`."""
    lines = [" & ".join(escape_latex(cell) for cell in line) + r" \\" for line in [header, *rows]]
    note = texts["note"]
    foot = [r"\par\smallskip", rf"{{\footnotesize\emph{{Note.}} {escape_latex(note)}\par}}"] if note else []
    return "\n".join(
        [
            r"% needs \usepackage[T1]{fontenc} and \usepackage{booktabs}",
            r"\begin{table}[htbp]",
            r"\centering",
            rf"\caption{{{escape_latex(texts['caption'])}}}",
            rf"\label{{{texts['label']}}}",
            rf"\begin{{tabular}}{{{''.join('r' if flag else 'l' for flag in right)}}}",
            r"\toprule",
            lines[0],
            r"\midrule",
            *lines[1:],
            r"\bottomrule",
            r"\end{tabular}",
            *foot,
            r"\end{table}",
            "",
        ]
    )
