"""What a text of a user may hold: labels, titles, names of surveys, values of covariates, ids, descriptions, fields.

One check for all of them. Whatever is printed is allowed; where it has a meaning to HTML, Markdown, LaTeX, figures or
spreadsheets, the place of use escapes it (`labor_llm.exhibits.formatting`).
"""

from __future__ import annotations

import re
import unicodedata

LONGEST = 200
# Letters and marks that count as printable and are drawn as nothing.
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)


def text_problem(text: str) -> str | None:
    """Return what makes a text unfit for one line that people read and compare, or None if it is fit."""
    if not text or text != text.strip():
        return "is empty or begins or ends with a blank"
    if len(text) > LONGEST:
        return f"has {len(text):,} characters, more than {LONGEST}"
    # Printable, to Python, are all assigned characters but controls, formats (such as marks of direction) and the
    # separators other than the ordinary blank.
    if unfit := [sign for sign in text if not sign.isprintable() or _INVISIBLE.match(sign)]:
        return f"holds a line end, a control or an invisible character (U+{ord(unfit[0]):04X})"
    if not unicodedata.is_normalized("NFC", text):
        return "holds letters put together from parts, which look like others; write it in Unicode's form NFC"
    return None


def path_problem(path: str) -> str | None:
    """Return what makes a text unfit as the name of a file or folder, or None: those are whatever a disk has."""
    if len(path) > 4096 or any(unicodedata.category(sign) in ("Cc", "Cs") for sign in path):
        return "holds a line end or a control character, or is longer than a path can be"
    return None


def comparable(text: str) -> str:
    """Return what two texts have in common that differ only by case, width, blanks or composition of characters."""
    for _ in range(2):  # folded letters may compose anew
        text = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(text.split())
