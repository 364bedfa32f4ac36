"""Tell codes of another Census frame from those of the frame that they are said to be.

Most numbers below 1000 are a code in several frames, so a wrong frame maps without complaint to wrong occupations.
The frames do differ in which numbers they use; over many records that shows.

The patch table: occupation codes for which Dorn's crosswalks have no row, each with reason and source.

A row's code is the one that stands in the survey. Rows of census2002 serve census2000 too, whose codes are the
first three of their four digits. A row without a target says why there is none.

Crosswalks of several Census frames: occ1990dd codes of the surveys' occupation codes, and what has none.

Which files a frame needs is in `FRAME_FILES`. The four digits of census2002 are the three of census2000 and a zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from labor_llm.careers.occupations import read_text_csv
from labor_llm.crosswalks.files import (
    KNOWN_VERSIONS,
    LARGEST_CODE,
    MILITARY,
    PAGE,
    SAME_TARGET,
    TARGET,
    UNEMPLOYED,
    UNKNOWN,
    VINTAGES,
    CrosswalkFile,
    Version,
    find_files,
    read_crosswalk,
)
from labor_llm.errors import InputError

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


COLUMNS = ("frame", "code", "census_title", "occ1990dd", "reason", "source")
_TABLE = Path(__file__).with_name("patch.csv")


@cache
def patch_table() -> pd.DataFrame:
    """Return the patch table: the columns `COLUMNS`, `code` int64, `occ1990dd` Int64 (NA: no target)."""
    table = read_text_csv(_TABLE, COLUMNS)[list(COLUMNS)]
    table["code"] = table["code"].astype("int64")
    table["occ1990dd"] = pd.to_numeric(table["occ1990dd"].replace("", None)).astype("Int64")
    return table


def patch_of(frame: str) -> dict[int, int | None]:
    """Return the targets (None: there is none) of the patch for a frame, by code."""
    table = patch_table()
    rows = table[table["frame"] == ("census2002" if frame == "census2000" else frame)]
    codes = rows["code"] // 10 if frame == "census2000" else rows["code"]
    return {
        int(code): None if pd.isna(target) else int(target)
        for code, target in zip(codes, rows["occ1990dd"], strict=True)
    }


# The first file makes the frame, a second adds codes that the first lacks; our patch has those codes too.
FRAME_FILES: Mapping[str, tuple[str, ...]] = {
    "census1970": ("occ1970",),
    "census1980": ("occ1980",),
    "census1990": ("occ1990",),
    "census2000": ("occ2000", "occ2005"),
    "census2002": ("occ2000", "occ2005"),
    "census2010": ("occ2010",),
}
FOUR_DIGITS = ("census2002", "census2010")
KINDS = ("missing", "unmapped", "unknown", "unemployed", "military", "occupation")
_ABSENT, _NO_TARGET = -1, -2
_SIZE = LARGEST_CODE + 1
_NOT_OCCUPATIONS = {UNKNOWN: "unknown", UNEMPLOYED: "unemployed", MILITARY: "military"}


@dataclass(frozen=True)
class _Table:
    """One frame as arrays over the codes 0 to 9999: target (or `_ABSENT`, `_NO_TARGET`), and whether the patch's."""

    targets: np.ndarray
    patched: np.ndarray


@dataclass(frozen=True)
class Crosswalks:
    """The crosswalks at hand.

    Attributes:
        folder: where they were read from.
        files: those found, by vintage.
        patched: whether the patch table is used where Dorn has no row.
        other_versions: whether versions were allowed that are not known.
    """

    folder: Path
    files: Mapping[str, CrosswalkFile]
    patched: bool = True
    other_versions: bool = False

    @property
    def frames(self) -> tuple[str, ...]:
        """The frames whose codes can be mapped."""
        return tuple(frame for frame, needed in FRAME_FILES.items() if needed[0] in self.files)

    def require(self, frames: Iterable[str]) -> None:
        """Refuse to go on without the crosswalks of some frames.

        Raises:
            InputError: naming the files that are missing and how to get them.
        """
        missing = sorted({_files_of(frame)[0] for frame in frames} - set(self.files))
        if missing:
            names = ", ".join(f"{vintage}_{TARGET}.zip" for vintage in missing)
            raise InputError(
                f"{self.folder}: no crosswalk {names} there (nor as .dta or .csv). "
                f"`labor-llm fetch` downloads it, or get it from {PAGE} and put it there."
            )

    def map(self, frame: str, codes: pd.Series) -> pd.Series:
        """Return the occ1990dd codes of a frame's occupation codes.

        Args:
            frame: one of `FRAME_FILES`.
            codes: integers (Int64 or such), NA where there is no code.

        Returns:
            Text (dtype `string`) with the index of `codes`; NA where a code is missing or unmapped, or stands for
            the military, the unemployed or an unknown occupation (`kind` tells which).

        Raises:
            InputError: if the frame's file is not at hand.
        """
        found = self._look_up(frame, codes)
        found = np.where(np.isin(found, [_ABSENT, _NO_TARGET, *_NOT_OCCUPATIONS]), -1, found)
        distinct, positions = np.unique(found, return_inverse=True)
        texts = pd.array([None if code < 0 else str(code) for code in distinct], dtype="string")
        return pd.Series(texts.take(positions), index=codes.index, name=TARGET)

    def kind(self, frame: str, codes: pd.Series) -> pd.Series:
        """Return what each code stands for: one of `KINDS`, as a categorical with the index of `codes`.

        `unknown` is a code that Dorn has as unknown or that surveys use for "not reported" (990 to 999, of four
        digits 9900 to 9999), `unmapped` any other for which neither Dorn nor the patch has a target.

        Raises:
            InputError: if the frame's file is not at hand.
        """
        found = self._look_up(frame, codes)
        kinds = np.full(len(found), KINDS.index("occupation"), dtype="int8")
        kinds[found < 0] = KINDS.index("unmapped")
        first, last = NOT_REPORTED[frame in FOUR_DIGITS]
        kinds[(found < 0) & codes.between(first, last).fillna(False).to_numpy(dtype=bool)] = KINDS.index(
            "unknown"
        )
        kinds[codes.isna().to_numpy()] = KINDS.index("missing")
        for target, kind in _NOT_OCCUPATIONS.items():
            kinds[found == target] = KINDS.index(kind)
        return pd.Series(pd.Categorical.from_codes(kinds, categories=list(KINDS)), index=codes.index)

    def military(self, frame: str, codes: pd.Series) -> pd.Series:
        """Return whether each code stands for the armed forces (bool)."""
        return self.kind(frame, codes) == "military"

    def by_patch(self, frame: str, codes: pd.Series) -> pd.Series:
        """Return whether each code gets its target from the patch table (bool)."""
        values = _values(codes)
        return pd.Series(self._table(frame).patched[values] & (values >= 0), index=codes.index)

    def share_known(self, frame: str, codes: pd.Series) -> float:
        """Return the share of codes that a frame's list knows, among those that name an occupation.

        Missing and not-reported codes (0, negative, 990 to 999, 9900 to 9999) do not count; NaN if there are none.
        """
        counts = occupation_counts(codes, _SIZE)
        return float(counts[:-1][self._known(frame)].sum() / counts.sum()) if counts.sum() else float("nan")

    def wrong_frame(self, frame: str, codes: pd.Series) -> str | None:
        """Return in plain words why codes are not those of a frame, or None if there is no sign of it.

        Give one variable of one survey year, or all years of a variable: at least 20 codes. Census 1980 and 1990
        codes differ in few numbers and are told apart from a few hundred records on.

        Raises:
            InputError: if the frame's file is not at hand.
        """
        known = {name: self._known(name) for name in dict.fromkeys((frame, *self.frames))}
        return sign_of_wrong_frame(frame, occupation_counts(codes, _SIZE), known)

    def describe(self) -> dict[str, Any]:
        """Return what was used, as JSON values: each file with rows and checksum, each frame with patched rows."""
        files = {
            vintage: {
                "file": file.path.name,
                "rows": len(file.targets),
                "content_sha256": file.sha256,
                "known_version": file.known_version,
            }
            for vintage, file in self.files.items()
        }
        return {
            "files": files,
            "frames": {
                frame: {
                    "files": [vintage for vintage in FRAME_FILES[frame] if vintage in self.files],
                    "codes": int((self._table(frame).targets >= 0).sum()),
                    "rows_patched": int(self._table(frame).patched.sum()),
                }
                for frame in self.frames
            },
            "patched": self.patched,
            "other_versions_allowed": self.other_versions,
        }

    def _known(self, frame: str) -> np.ndarray:
        return self._table(frame).targets != _ABSENT

    def _look_up(self, frame: str, codes: pd.Series) -> np.ndarray:
        values = _values(codes)
        return np.where(values >= 0, self._table(frame).targets[values], _ABSENT)

    def _table(self, frame: str) -> _Table:
        if frame not in self._tables:
            self.require([frame])
        return self._tables[frame]

    @cached_property
    def _tables(self) -> dict[str, _Table]:
        return {frame: self._build(frame) for frame in self.frames}

    def _build(self, frame: str) -> _Table:
        targets = np.full(_SIZE, _ABSENT, dtype="int16")
        step = 10 if frame == "census2002" else 1
        for vintage in reversed(FRAME_FILES[frame]):
            if vintage in self.files:
                rows = self.files[vintage].targets.replace(SAME_TARGET)
                rows = rows[rows.index * step <= LARGEST_CODE]
                targets[rows.index.to_numpy() * step] = rows.to_numpy()
        patched = np.zeros(_SIZE, dtype=bool)
        for code, target in patch_of(frame).items() if self.patched else ():
            if targets[code] == _ABSENT:
                targets[code] = _NO_TARGET if target is None else target
                patched[code] = target is not None
        return _Table(targets, patched)


def load_crosswalks(
    folder: Path,
    other_versions: bool = False,
    patched: bool = True,
    versions: Mapping[str, tuple[Version, ...]] = KNOWN_VERSIONS,
) -> Crosswalks:
    """Read the crosswalks that lie in a folder, or one level below.

    Looked for are, for each of the `VINTAGES`, `occ1970_occ1990dd.zip` (as Dorn distributes it), `.dta` or `.csv`, and
    `occ1970_to_occ1990dd.csv`. A frame without a file is no error until it is used.

    Args:
        folder: the folder.
        other_versions: whether to take versions that are not known by their checksum; it is recorded.
        patched: whether to use the patch table where Dorn has no row.
        versions: the versions known.

    Raises:
        InputError: if there is no such folder, a file is not what its name says, or two files of one crosswalk
            differ.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder. `labor-llm fetch` makes it, or see {PAGE}.")
    files: dict[str, CrosswalkFile] = {}
    for vintage in VINTAGES:
        for path in find_files(folder, vintage):
            read = read_crosswalk(path, vintage, versions=versions, other_versions=other_versions)
            first = files.setdefault(vintage, read)
            if first.sha256 != read.sha256:
                raise InputError(f"{first.path} and {path} differ. Keep the one that you want to use.")
    return Crosswalks(folder, files, patched, other_versions)


def _files_of(frame: str) -> tuple[str, ...]:
    if frame not in FRAME_FILES:
        raise InputError(f"{frame!r} is no frame of occupation codes; known are {', '.join(FRAME_FILES)}.")
    return FRAME_FILES[frame]


def _values(codes: pd.Series) -> np.ndarray:
    """Codes as positions in a table of a frame; -1 where there is no code, or none that could be in a list."""
    values = codes.astype("Int64").to_numpy(dtype="int64", na_value=-1)
    return np.where((values >= 0) & (values < _SIZE), values, -1)
