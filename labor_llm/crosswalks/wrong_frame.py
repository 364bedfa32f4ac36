"""Tell codes of another Census frame from those of the frame that they are said to be.

Most numbers below 1000 are a code in several frames, so a wrong frame maps without complaint to wrong occupations.
The frames do differ in which numbers they use; over many records that shows.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

# Fewer codes than this say nothing, and a list that knows nearly all of them is the right one.
FEWEST_CODES = 20
SURELY_RIGHT = 0.995
# Files of the right frame reach 0.95 and more, with uncoded answers and the survey's own codes among the rest.
SURELY_WRONG = 0.8
SMALLEST_GAIN = 0.01
# What surveys write where there is no occupation: not asked, not reported, never worked.
NOT_REPORTED = (990, 999), (9900, 9999)


def occupation_counts(codes: pd.Series, size: int) -> np.ndarray:
    """Return how often each code occurs (position: the code), without missing and not-reported ones.

    Codes of `size` and above count at the last position, which no list knows.
    """
    values = pd.to_numeric(codes).dropna().to_numpy(dtype="int64")
    values = values[values > 0]
    for first, last in NOT_REPORTED:
        values = values[(values < first) | (values > last)]
    return np.bincount(np.minimum(values, size), minlength=size + 1)


def sign_of_wrong_frame(frame: str, counts: np.ndarray, known: Mapping[str, np.ndarray]) -> str | None:
    """Return in plain words why codes are not those of a frame, or None if there is no sign of it.

    Codes known to another frame alone are set against codes known to this frame alone: under the right frame the
    former are stray, so that an excess of three standard errors (sign test) and one percent of the records is a sign.
    Where no other frame is better, a frame that knows fewer than 80 percent is wrong by itself.

    Args:
        frame: the frame that the codes are said to be of.
        counts: how often each code occurs, of `occupation_counts`.
        known: for each frame at hand whether it knows a code, one entry shorter than `counts`.
    """
    total = int(counts.sum())
    lists = {name: np.append(codes, False) for name, codes in known.items()}
    own = lists[frame]
    share = counts[own].sum() / total if total else 1.0
    if total < FEWEST_CODES or share >= SURELY_RIGHT:
        return None
    best, gain = None, 0
    for name, other in lists.items():
        theirs, ours = int(counts[other & ~own].sum()), int(counts[own & ~other].sum())
        excess = theirs - ours
        if excess > max(gain, 3 * np.sqrt(theirs + ours), SMALLEST_GAIN * total):
            best, gain = name, excess
    found = f"{share:.1%} of {total:,} codes are in the list of {frame}"
    if best is not None:
        return (
            f"{found}, {counts[lists[best]].sum() / total:.1%} in that of {best}: they look like {best} codes"
        )
    if share < SURELY_WRONG:
        return f"{found}, and no other frame at hand knows more of them{_digits(frame, counts)}"
    return None


def _digits(frame: str, counts: np.ndarray) -> str:
    """Name a number of digits that the frame's codes do not have."""
    long = counts[1000:].sum() / counts.sum()
    if frame in ("census2002", "census2010"):
        return ": they have three digits, not four" if long < 0.5 else ""
    return ": they have four digits, not three" if long > 0.5 else ""
