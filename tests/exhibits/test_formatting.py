import html

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from labor_llm.exhibits.formatting import escape_csv, escape_latex, escape_markdown, format_value

NASTY = r"a|b _x_ *y* `z` $1$ <b> & 100 % #1 {{ k }} [l](m) ~n^ \o"


@pytest.mark.parametrize(
    ("value", "spec", "expected"),
    [
        (1234567, None, "1,234,567"),
        (np.int64(8), ".2f", "8"),
        (1980, "d", "1980"),
        (15.382, ".2f", "15.38"),
        (491234.6, ".2f", "491,235"),
        (4912345.6, ".2f", "4.91×10⁶"),
        (4912345, ".2f", "4,912,345"),
        (0.41, "({:.2f})", "(0.41)"),
        (-3.33, ".1f", "\u22123.3"),
        (-0.001, ".2f", "0.00"),
        (2.3e-5, ".2g", "2.3\u00d710\u207b\u2075"),
        (0.98, ".3g", "0.98"),
        (float("nan"), ".2f", "n/a"),
        (float("inf"), None, "n/a"),
        (None, None, "n/a"),
        (pd.NA, None, "n/a"),
        (np.bool_(True), None, "yes"),
        ("two\n lines", None, "two lines"),
    ],
)
def test_cells(value, spec, expected):
    assert format_value(value, spec) == expected


@given(st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF), min_size=1))
def test_escaped_markdown_reads_as_the_text_itself(text):
    words = " ".join(text.split())
    rendered = MarkdownIt("commonmark").enable("table").render(escape_markdown(text))
    assert html.unescape(rendered) == (f"<p>{words}</p>\n" if words else "")


def test_no_text_begins_a_block_of_myst_or_a_formula_of_a_spreadsheet():
    begun = ["\\% off", "\\(a)=", "\\:::x", "1\\. a", "1.5", "(0.1)"]
    assert [escape_markdown(text.replace("\\", "")) for text in begun] == begun
    cells = ["'=1+1", "'+cmd x", "'-2+3", "'@sum", "'-a", "-1.5", "+7", "a=1", ""]
    assert [escape_csv(cell.removeprefix("'")) for cell in cells] == cells


def test_escapes_literally():
    assert escape_markdown(NASTY) == (
        r"a\|b \_x\_ \*y\* \`z\` \$1\$ \<b\> \& 100 % \#1 \{\{ k \}\} \[l\](m) \~n\^ \\o"
    )
    assert escape_latex(r"5 % of a_b & $c #1 {d} \e ~^") == (
        r"5 \% of a\_b \& \$c \#1 \{d\} \textbackslash{}e \textasciitilde{}\textasciicircum{}"
    )
    assert escape_latex("a--b `c''") == r"a-{}-b \textasciigrave{}c'{}'"
    # At the start of a row, both would be read as arguments of the line break before it.
    assert escape_latex("[*") == "{[}{*}"
    assert escape_latex("2\u00d710\u207b\u2075 \u22121") == r"2$\times$10$^{-5}$ $-$1"
