"""Reading the wanted variables of a fixed-width file of the PSID as whole numbers.

The file is read in blocks of lines: the characters of all variables of one width are gathered at once and
turned into numbers position by position, so that a file costs little more than reading its bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from labor_llm.errors import InputError
from labor_llm.surveys.psid_layouts import Layout

# Stands for a blank; no variable of the PSID reaches it.
NO_VALUE = int(np.iinfo(np.int32).min)
_LARGEST = np.iinfo(np.int32).max
_BLOCK_BYTES = 8 << 20
_LONGEST_LINE = 1 << 20


def read_fixed_width(
    stream: BinaryIO, layout: Layout, names: Sequence[str], shown: Path
) -> dict[str, np.ndarray]:
    """Return some variables of a fixed-width file: int32, `NO_VALUE` where blank, one entry a line.

    Args:
        stream: the file's bytes, with lines that end in LF or CRLF.
        layout: where its variables stand.
        names: the variables to be read, in capital letters, all of them in the layout.
        shown: the name by which messages call the file.

    Raises:
        InputError: if the layout does not fit the file, the file is cut off, or a field holds anything but a whole
            number; names file, line and variable, never the value.
    """
    held = stream.read(_LONGEST_LINE)
    length, end = _line_form(held, layout, shown)
    stride = length + len(end)
    by_width = _by_width(layout, names, shown)
    parts: dict[int, list[np.ndarray]] = {width: [] for width in by_width}
    lines, at_end = 0, False
    while not at_end:
        more = stream.read(max(1, _BLOCK_BYTES // stride) * stride)
        at_end = not more
        held += more
        if at_end and len(held) % stride == length:
            held += end  # the last line has no end of its own
        whole = len(held) // stride
        block = np.frombuffer(held, np.uint8, whole * stride).reshape(whole, stride)
        _check_lines(block, length, end, lines, shown)
        for width, starts in by_width.items():
            parts[width].append(_numbers(block, width, starts, lines, layout, shown))
        held = held[whole * stride :]
        lines += whole
    rest = held.strip(b"\r\n\x1a")  # blank lines and the end-of-file sign of DOS are no records
    if rest:
        raise InputError(
            f"{shown}: cut off: its last line, {lines + 1}, has {len(rest)} characters, the others "
            f"{length}. Download it again."
        )
    if layout.records is not None and layout.records != lines:
        raise InputError(
            f"{shown}: has {lines:,} lines, its layout states {layout.records:,} records: it is cut, or the "
            "layout is that of another release. Download both again."
        )
    found = {}
    for width, starts in by_width.items():
        numbers = np.concatenate(parts.pop(width))
        found.update({name: np.ascontiguousarray(numbers[:, i]) for i, name in enumerate(starts)})
    return found


def _line_form(held: bytes, layout: Layout, shown: Path) -> tuple[int, bytes]:
    """Return the length of a line and its end, after holding both against the layout."""
    first, newline, _ = held.partition(b"\n")
    if not first.strip():
        raise InputError(f"{shown}: is empty. Download it again.")
    end = b"\r\n" if first.endswith(b"\r") else newline or b"\n"
    length = len(first.rstrip(b"\r"))
    last = max(last for _, last in layout.columns.values())
    if layout.record_length not in (None, length):
        problem = f"states lines of {layout.record_length}"
    elif last > length:
        problem = f"reaches to column {last}"
    else:
        return length, end
    raise InputError(
        f"{shown}: its layout does not fit: it {problem}, line 1 has {length} characters. Download the file "
        "and its layout again, from the same release."
    )


def _by_width(layout: Layout, names: Sequence[str], shown: Path) -> dict[int, dict[str, int]]:
    """Return the first column (from 0) of each variable, by width."""
    by_width: dict[int, dict[str, int]] = {}
    for name in names:
        first, last = layout.columns[name]
        if last - first + 1 > 18:
            raise InputError(
                f"{shown}: {name} is {last - first + 1} columns wide by its layout, which no code is. "
                "Download the layout again."
            )
        by_width.setdefault(last - first + 1, {})[name] = first - 1
    return by_width


def _check_lines(block: np.ndarray, length: int, end: bytes, lines: int, shown: Path) -> None:
    ends = np.frombuffer(end, np.uint8)
    in_line = block == ord("\n")
    if (block[:, length:] == ends).all() and np.count_nonzero(in_line) == len(block):
        return
    # A line that is longer or shorter than the first shifts all that follow.
    odd = (block[:, length:] != ends).any(axis=1) | (np.count_nonzero(in_line, axis=1) != 1)
    raise InputError(
        f"{shown}: line {lines + int(np.argmax(odd)) + 1} is longer or shorter than the {length} characters of the "
        "lines before: the file was cut or edited. Download it again."
    )


def _numbers(
    block: np.ndarray, width: int, starts: dict[str, int], lines: int, layout: Layout, shown: Path
) -> np.ndarray:
    """Return the numbers in some fields of one width: one row a line, one column a field."""
    first = np.fromiter(starts.values(), dtype=np.intp)
    shape = (len(block), len(first))
    value = np.zeros(shape, dtype=np.int32 if width <= 9 else np.int64)
    begun, ended, negative, wrong = (np.zeros(shape, dtype=bool) for _ in range(4))
    for position in range(width):
        sign = block[:, first + position]
        digit = sign - np.uint8(ord("0"))  # wraps for all that are no digits
        is_digit = digit < 10
        minus = sign == ord("-")
        np.copyto(value, value * 10 + digit, where=is_digit)
        ended |= begun & ~is_digit
        wrong |= (is_digit & ended) | (minus & (begun | negative))
        wrong |= ~(is_digit | minus | (sign == ord(" "))) | (negative & ~begun & (sign == ord(" ")))
        negative |= minus
        begun |= is_digit
    wrong |= (negative & ~begun) | (value > _LARGEST)
    if wrong.any():
        row, column = np.unravel_index(int(np.argmax(wrong)), shape)
        name = list(starts)[column]
        begin, last = layout.columns[name]
        raise InputError(
            f"{shown}: line {lines + int(row) + 1}, {name} (columns {begin} to {last}): no whole number stands "
            "there. The layout does not belong to the file, or the file is damaged: download both again."
        )
    value[negative] *= -1
    value[~begun] = NO_VALUE
    return value.astype(np.int32, copy=False)
