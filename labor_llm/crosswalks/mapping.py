"""Crosswalks of several Census frames: occ1990dd codes of the surveys' occupation codes, and what has none.

Which files a frame needs is in `FRAME_FILES`. The four digits of census2002 are the three of census2000 and a zero.
Where Dorn has no row, `patch.csv` may have one, with reason and source; a row without a target says why there is none.
Its codes are those that stand in the survey; rows of census2002 serve census2000 too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from labor_llm.careers.tables import read_text_csv
from labor_llm.crosswalks.files import (
    LARGEST_CODE,
    MILITARY,
    PAGE,
    SAME_TARGET,
    TARGET,
    UNEMPLOYED,
    UNKNOWN,
    VINTAGES,
    CrosswalkFile,
    find_files,
    read_crosswalk,
)
from labor_llm.errors import InputError

COLUMNS = ("frame", "code", "census_title", "occ1990dd", "reason", "source")
# The first file makes the frame, a second adds codes that the first lacks; our patch has those codes too.
FRAME_FILES: Mapping[str, tuple[str, ...]] = {
    "census1970": ("occ1970",),
    "census1980": ("occ1980",),
    "census1990": ("occ1990",),
    "census2000": ("occ2000", "occ2005"),
    "census2002": ("occ2000", "occ2005"),
    "census2010": ("occ2010",),
}
_ABSENT, _NO_TARGET = -1, -2
# The place in the list of a frame, after all codes, of what could be none.
_NO_CODE = LARGEST_CODE + 1

# Fewer codes than this say nothing, and a list that knows nearly all of them is the right one.
FEWEST_CODES = 20
SURELY_RIGHT = 0.995
# Files of the right frame reach 0.95 and more, with uncoded answers and the survey's own codes among the rest.
SURELY_WRONG = 0.8
SMALLEST_GAIN = 0.01
# What surveys write where there is no occupation: not asked, not reported, never worked.
NOT_REPORTED = (990, 999), (9900, 9999)


@cache
def patch_table() -> pd.DataFrame:
    """Return the patch table: the columns `COLUMNS`, `code` int64, `occ1990dd` Int64 (NA: no target)."""
    table = read_text_csv(Path(__file__).with_name("patch.csv"), COLUMNS)[list(COLUMNS)]
    table["code"] = table["code"].astype("int64")
    table["occ1990dd"] = pd.to_numeric(table["occ1990dd"].replace("", None)).astype("Int64")
    return table


def patch_of(frame: str) -> dict[int, int | None]:
    """Return the targets (None: there is none) of the patch for a frame, by code."""
    table = patch_table()
    rows = table[table["frame"] == ("census2002" if frame == "census2000" else frame)]
    codes = rows["code"] // 10 if frame == "census2000" else rows["code"]
    targets = rows["occ1990dd"].astype(object).where(rows["occ1990dd"].notna(), None)
    return dict(zip(codes.tolist(), targets, strict=True))


@dataclass(frozen=True)
class Crosswalks:
    """The crosswalks at hand."""

    folder: Path  # where they were read from
    files: Mapping[str, CrosswalkFile]  # those found, by vintage
    patched: bool = True  # whether the patch table is used where Dorn has no row
    other_versions: bool = False  # whether versions were allowed that are not known
    _tables: dict[str, tuple[np.ndarray, int]] = field(default_factory=dict, init=False, repr=False)

    @property
    def frames(self) -> tuple[str, ...]:
        """The frames whose codes can be mapped."""
        return tuple(frame for frame, needed in FRAME_FILES.items() if needed[0] in self.files)

    def require(self, frames: Iterable[str]) -> None:
        """Refuse to go on without the crosswalks of some frames.

        Raises:
            InputError: naming the files that are missing and how to get them.
        """
        if missing := sorted({FRAME_FILES[frame][0] for frame in frames} - set(self.files)):
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
            the military, the unemployed or an unknown occupation.

        Raises:
            InputError: if the frame's file is not at hand.
        """
        found = self._look_up(frame, codes)
        found = np.where(np.isin(found, [_NO_TARGET, UNKNOWN, UNEMPLOYED, MILITARY]), _ABSENT, found)
        distinct, positions = np.unique(found, return_inverse=True)
        texts = pd.array([None if code < 0 else str(code) for code in distinct], dtype="string")
        return pd.Series(texts.take(positions), index=codes.index, name=TARGET)

    def military(self, frame: str, codes: pd.Series) -> pd.Series:
        """Return whether each code stands for the armed forces (bool)."""
        return pd.Series(self._look_up(frame, codes) == MILITARY, index=codes.index)

    def wrong_frame(self, frame: str, codes: pd.Series) -> str | None:
        """Return in plain words why codes are not those of a frame, or None if there is no sign of it.

        Most numbers below 1000 are a code in several frames, so a wrong frame maps without complaint to wrong
        occupations; over many records it shows in which numbers occur. Codes known to another frame alone are set
        against codes known to this frame alone: under the right frame the former are stray, so that an excess of three
        standard errors (sign test) and one percent of the records is a sign. Where no other frame is better, a frame
        that knows fewer than 80 percent is wrong by itself. Missing and not-reported codes do not count.

        Give one variable of one survey year, or all years of a variable: at least 20 codes. Census 1980 and 1990
        codes differ in few numbers and are told apart from a few hundred records on.

        Raises:
            InputError: if the frame's file is not at hand.
        """
        values = pd.to_numeric(codes).dropna().to_numpy(dtype="int64")
        values = values[values > 0]
        for first, last in NOT_REPORTED:
            values = values[(values < first) | (values > last)]
        # How often each code occurs, and all that are out of range.
        counts = np.bincount(np.minimum(values, _NO_CODE), minlength=_NO_CODE + 1)
        lists = {name: self._table(name)[0] != _ABSENT for name in (frame, *self.frames)}
        total, own = len(values), lists[frame]
        known = {name: counts[codes].sum() / max(total, 1) for name, codes in lists.items()}
        if total < FEWEST_CODES or known[frame] >= SURELY_RIGHT:
            return None
        best, gain = None, 0
        for name, other in lists.items():
            theirs, ours = int(counts[other & ~own].sum()), int(counts[own & ~other].sum())
            if theirs - ours > max(gain, 3 * np.sqrt(theirs + ours), SMALLEST_GAIN * total):
                best, gain = name, theirs - ours
        found = f"{known[frame]:.1%} of {total:,} codes are in the list of {frame}"
        if best is not None:
            return f"{found}, {known[best]:.1%} in that of {best}: they look like {best} codes"
        if known[frame] >= SURELY_WRONG:
            return None
        digits, long = "", counts[1000:].sum() / total
        if frame in ("census2002", "census2010"):
            digits = ": they have three digits, not four" if long < 0.5 else ""
        elif long > 0.5:
            digits = ": they have four digits, not three"
        return f"{found}, and no other frame at hand knows more of them{digits}"

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
        frames = {}
        for frame in self.frames:
            targets, patched = self._table(frame)
            used = [vintage for vintage in FRAME_FILES[frame] if vintage in self.files]
            frames[frame] = {"files": used, "codes": int((targets >= 0).sum()), "rows_patched": patched}
        return {
            "files": files,
            "frames": frames,
            "patched": self.patched,
            "other_versions_allowed": self.other_versions,
        }

    def _look_up(self, frame: str, codes: pd.Series) -> np.ndarray:
        """Return the target of each code, or `_ABSENT`, or `_NO_TARGET`."""
        values = codes.astype("Int64").to_numpy(dtype="int64", na_value=_NO_CODE)
        return self._table(frame)[0][np.where((values < 0) | (values > LARGEST_CODE), _NO_CODE, values)]

    def _table(self, frame: str) -> tuple[np.ndarray, int]:
        """Return the target of each code 0 to 9999 and of `_NO_CODE`, and how many the patch gave."""
        if frame in self._tables:
            return self._tables[frame]
        self.require([frame])
        targets = np.full(_NO_CODE + 1, _ABSENT, dtype="int16")
        step = 10 if frame == "census2002" else 1
        for vintage in reversed(FRAME_FILES[frame]):
            if vintage in self.files:
                rows = self.files[vintage].targets.replace(SAME_TARGET)
                rows = rows[rows.index * step <= LARGEST_CODE]
                targets[rows.index.to_numpy() * step] = rows.to_numpy()
        patch = patch_of(frame) if self.patched else {}
        added = {code: target for code, target in patch.items() if targets[code] == _ABSENT}
        targets[list(added)] = [_NO_TARGET if target is None else target for target in added.values()]
        self._tables[frame] = targets, sum(target is not None for target in added.values())
        return self._tables[frame]


def load_crosswalks(folder: Path, other_versions: bool = False, patched: bool = True) -> Crosswalks:
    """Read the crosswalks that lie in a folder, or one level below.

    Looked for are, for each of the `VINTAGES`, `occ1970_occ1990dd.zip` (as Dorn distributes it), `.dta` or `.csv`, and
    `occ1970_to_occ1990dd.csv`. A frame without a file is no error until it is used.

    Args:
        folder: the folder.
        other_versions: whether to take versions that are not known by their checksum; it is recorded.
        patched: whether to use the patch table where Dorn has no row.

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
            read = read_crosswalk(path, vintage, other_versions=other_versions)
            first = files.setdefault(vintage, read)
            if first.sha256 != read.sha256:
                raise InputError(f"{first.path} and {path} differ. Keep the one that you want to use.")
    return Crosswalks(folder, files, patched, other_versions)
