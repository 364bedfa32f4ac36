"""Files of Dorn's crosswalks: fetched or found in a folder, read as he distributes them, and known by their content.

A crosswalk has one row a source code. It comes as Dorn's zip with one Stata file, as that Stata file, or as a CSV;
the checksum is that of the content, whatever the form, so that each of them is recognised. A download is verified
before it gets its name, so that one that is interrupted or garbled leaves nothing behind.
"""

from __future__ import annotations

import hashlib
import http.client
import io
import shutil
import urllib.request
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from labor_llm import __version__
from labor_llm.careers.occupations import occupation_codes
from labor_llm.careers.tables import read_text_csv
from labor_llm.errors import InputError
from labor_llm.store.artefacts import atomic_path

PAGE = "https://www.ddorn.net/data.htm"
SOURCE = "https://www.ddorn.net/data/"
_TIMEOUT = 60.0  # seconds without an answer after which a download is given up
VINTAGES = ("occ1970", "occ1980", "occ1990", "occ2000", "occ2005", "occ2010")
TARGET = "occ1990dd"
MILITARY, UNEMPLOYED, UNKNOWN = 905, 991, 999
# Census 1990 code 873 goes to 874 in Dorn's file, which is none of the 330; the two stand for the same helpers.
SAME_TARGET = {874: 873}
LARGEST_CODE = 9999
_LARGEST_FILE = 20 * 2**20
_SCHEMES = ("https://", "http://")


class Version(NamedTuple):
    """A version of a crosswalk: how many source codes it has, and the sha256 of its content."""

    rows: int
    sha256: str


# Content checksums: sha256 of the lines "source,target\n" by ascending source code. The second version of occ2000 is
# an earlier one; the seven codes that it lacks stand in occ2005 with the same targets.
KNOWN_VERSIONS: Mapping[str, tuple[Version, ...]] = {
    "occ1970": (Version(442, "60b0f8aa350087be5dd20155f387cac50bedd639d07e26b405cb5b447829c133"),),
    "occ1980": (Version(504, "e15ceb4ee749238df515c0c3327fce7dc7b2c195835864e098a0de6bcd8b1d4a"),),
    "occ1990": (Version(502, "59d585f00de9c4b81f8ba0145f3b2565673291f4d760f783d26398a9ddfed24b"),),
    "occ2000": (
        Version(471, "0e63b20e2d2e763345d5c72ca0608cdda708ceb3208ddce025fcc3858eb2b6aa"),
        Version(464, "2e6c5fe43dd5b15987445e439226fdbe01c773a79458ff078bc42ffc926d4280"),
    ),
    "occ2005": (Version(471, "cc4d3622b77ea70e03d64712aa19f77cd52f80d14211f93440afe7e471916282"),),
    "occ2010": (Version(489, "a335311b000ad4ec4eb705c57dc7d2f131a91672d92d8278068c3c136c51e4e7"),),
}


@dataclass(frozen=True)
class CrosswalkFile:
    """One crosswalk as read."""

    path: Path
    targets: pd.Series  # occ1990dd code (int64) by source code (index, int64, ascending), as in the file
    sha256: str  # of the content
    known_version: bool  # whether that is a version which this package knows


def find_files(folder: Path, vintage: str) -> list[Path]:
    """Return the files of a crosswalk in a folder or one level below, whatever the case of their names."""
    stem = f"{vintage}_{TARGET}"
    names = (f"{stem}.zip", f"{stem}.dta", f"{stem}.csv", f"{vintage}_to_{TARGET}.csv")
    found = []
    for place in (folder, *sorted(path for path in folder.iterdir() if path.is_dir())):
        present = {path.name.lower(): path for path in sorted(place.iterdir()) if path.is_file()}
        found += [present[name] for name in names if name in present]
    return found


def read_crosswalk(
    path: Path, vintage: str, content: bytes | None = None, other_versions: bool = False
) -> CrosswalkFile:
    """Read a crosswalk, and compare its content with the versions known.

    Args:
        path: .zip, .dta or .csv; messages name it.
        vintage: which of `VINTAGES` it is.
        content: the bytes of the file (.zip or .dta), where they are not on the disk yet.
        other_versions: whether a version that is not known is taken all the same.

    Raises:
        InputError: if the file is not readable, a source code stands for two targets, a target is none of the 330
            nor unemployed, military or unknown, or the version is not known.
    """
    frame = read_text_csv(path, []) if path.suffix.lower() == ".csv" else _read_stata(path, content)
    targets, versions = _checked(frame, path), KNOWN_VERSIONS[vintage]
    checksum = content_checksum(targets)
    known = checksum in {version.sha256 for version in versions}
    if not known and not other_versions:
        expected = " or ".join(str(version.rows) for version in versions)
        raise InputError(
            f"{path}: not a version of {vintage} that is known: {len(targets)} source codes found, "
            f"{expected} expected{' (with other content)' if str(len(targets)) == expected else ''}. "
            f"Get it from {PAGE} (`labor-llm fetch`), or allow other versions."
        )
    return CrosswalkFile(path, targets, checksum, known)


def content_checksum(targets: pd.Series) -> str:
    """Return the sha256 of a crosswalk's content: the lines "source,target\\n" by ascending source code."""
    lines = (f"{source},{target}\n" for source, target in targets.sort_index().items())
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def write_crosswalks(folder: Path, vintages: Mapping[str, Mapping[int, int]]) -> None:
    """Write crosswalks as CSV files under Dorn's names, as `load_crosswalks(folder, other_versions=True)` reads them.

    Args:
        folder: where they go; made if it does not exist.
        vintages: occ1990dd code by source code, for each of some `VINTAGES` (`occ1970`) or frames (`census1970`,
            which is the same; the codes of census2002 go through those of census2000).
    """
    for name, targets in vintages.items():
        with atomic_path(Path(folder) / f"{name.replace('census', 'occ')}_{TARGET}.csv") as aside:
            rows = pd.DataFrame(sorted(targets.items()), columns=["occ", TARGET])
            rows.to_csv(aside, index=False, lineterminator="\n")


def _read_stata(path: Path, content: bytes | None) -> pd.DataFrame:
    """Read a .dta, or the one .dta of a zip: in memory, so that no name in the archive is ever a path here."""
    try:
        content = path.read_bytes() if content is None else content
        if path.suffix.lower() == ".zip":
            archive = zipfile.ZipFile(io.BytesIO(content))
            members = [
                member
                for member in archive.infolist()
                if member.filename.lower().endswith(".dta") and not member.filename.startswith("__MACOSX")
            ]
            problem = f"holds {len(members)} Stata files" if len(members) != 1 else ""
            if not problem and members[0].file_size > _LARGEST_FILE:
                problem = "holds a file far too large"
            if problem:
                raise InputError(
                    f"{path}: {problem}; a crosswalk is one small .dta. Get it again from {PAGE}."
                )
            content = archive.read(members[0])
        return pd.read_stata(io.BytesIO(content), convert_categoricals=False, convert_missing=False)
    except (InputError, MemoryError):
        raise
    except Exception as error:  # what the readers of both formats say of a damaged file is of any kind
        raise InputError(
            f"{path}: not readable as a crosswalk ({_reason(error)}). Remove it and get it again from {PAGE}."
        ) from error


def _checked(frame: pd.DataFrame, path: Path) -> pd.Series:
    """Return targets by source code, after refusing what no crosswalk holds."""
    frame = frame.rename(columns=lambda name: str(name).strip().lower())
    sources = [column for column in frame.columns if column != TARGET]
    if TARGET not in frame.columns or len(sources) != 1:
        found = ", ".join(frame.columns)
        raise InputError(f"{path}: a crosswalk has a column of codes and {TARGET}; found {found}.")
    numbers = frame[[sources[0], TARGET]].apply(pd.to_numeric, errors="coerce").astype("float64")
    wrong = numbers.isna() | (numbers % 1 != 0) | (numbers < 0) | (numbers > LARGEST_CODE)
    for row, place in np.argwhere(wrong)[:1]:
        column = numbers.columns[place]
        raise InputError(
            f"{path}, row {row + 2}, column {column}: {frame[column].iloc[row]!r} is no occupation code "
            f"(0 to {LARGEST_CODE}). Get the file again from {PAGE}."
        )
    pairs = numbers.astype("int64").set_axis(["source", "target"], axis=1)
    allowed = {int(code) for code in occupation_codes()} | {MILITARY, UNEMPLOYED, UNKNOWN, *SAME_TARGET}
    for row in np.flatnonzero(~pairs["target"].isin(allowed))[:1]:
        raise InputError(
            f"{path}, row {row + 2}, column {TARGET}: {pairs['target'].iloc[row]} is none of the 330 occupations. "
            f"Crosswalks to other lists (IPUMS OCC1990, updated occ1990dd) do not serve; see {PAGE}."
        )
    pairs = pairs.drop_duplicates()
    for code in pairs["source"][pairs["source"].duplicated()][:1]:
        raise InputError(f"{path}: code {code} stands for two occupations. Get it again from {PAGE}.")
    return pairs.set_index("source")["target"].sort_index()


class Fetched(NamedTuple):
    """What was done for one crosswalk."""

    action: str  # 'downloaded', 'copied' or 'kept'
    file: CrosswalkFile  # as verified


def fetch_crosswalks(out: Path, source: str | Path = SOURCE, other_versions: bool = False) -> list[Fetched]:
    """Download the six crosswalks, or copy them from a folder, and verify each; one that is there is kept.

    Args:
        out: folder for the files; made if it does not exist.
        source: address that the names `occ1970_occ1990dd.zip` and so on are added to (https or http), or a folder.
        other_versions: whether to take versions that are not known by their checksum.

    Returns:
        What was done, one entry a crosswalk.

    Raises:
        InputError: if a file cannot be fetched or is not a known version; those fetched before it stay.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    remote = str(source).lower().startswith(_SCHEMES)
    if not remote and ("://" in str(source) or not Path(source).is_dir()):
        raise InputError(f"{source}: neither an address (https://, http://) nor a folder.")
    take, taken = (_download, "downloaded") if remote else (_copy, "copied")
    done = []
    for vintage in VINTAGES:
        target = out / f"{vintage}_{TARGET}.zip"
        present = _present(target, vintage, other_versions)
        file = present or take(target, str(source), vintage, other_versions)
        done.append(Fetched("kept" if present else taken, file))
    return done


def _present(target: Path, vintage: str, other_versions: bool) -> CrosswalkFile | None:
    """Return the verified file that is there already; a damaged one of the name to be fetched counts as absent."""
    for path in find_files(target.parent, vintage):
        try:
            if path.parent == target.parent:
                return read_crosswalk(path, vintage, other_versions=other_versions)
        except InputError:
            # Another form of the file (.csv) would be read later beside the one fetched: the user must decide.
            if path != target:
                raise
    return None


def _download(target: Path, source: str, vintage: str, other_versions: bool) -> CrosswalkFile:
    address = f"{source.rstrip('/')}/{target.name}"
    remedy = f"Download {target.name} by hand from {PAGE} and put it into {target.parent}"
    try:
        content = _get(address)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise InputError(
            f"{address}: could not be downloaded ({_reason(error)}). Try again later, or: {remedy}."
        ) from error
    try:
        read = read_crosswalk(target, vintage, content, other_versions)
    except InputError as error:
        reason = str(error).removeprefix(f"{target}: ")
        raise InputError(f"{address}: what came is refused: {reason} Or: {remedy}.") from error
    with atomic_path(target) as aside:
        aside.write_bytes(content)
    return read


def _get(address: str) -> bytes:
    """Return what an address answers; a redirect may not leave the web."""
    agent = {"User-Agent": f"labor-llm/{__version__}"}
    request = urllib.request.Request(address, headers=agent)  # noqa: S310 (https or http, see fetch_crosswalks)
    with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:  # noqa: S310
        if not response.geturl().lower().startswith(_SCHEMES):
            raise ValueError("redirected to an address that is neither https nor http")
        content = response.read(_LARGEST_FILE + 1)
        announced = response.headers.get("Content-Length")
    if len(content) > _LARGEST_FILE:
        raise ValueError("far larger than a crosswalk")
    if announced and announced.isdigit() and len(content) != int(announced):
        raise ValueError(f"broke off after {len(content):,} of {int(announced):,} bytes")
    return content


def _copy(target: Path, source: str, vintage: str, other_versions: bool) -> CrosswalkFile:
    found = find_files(Path(source), vintage)
    if not found:
        raise InputError(f"{source}: no {target.name} there (nor as .dta or .csv). Get it from {PAGE}.")
    read = read_crosswalk(found[0], vintage, other_versions=other_versions)
    path = target.with_name(found[0].name.lower())
    with atomic_path(path) as aside:
        shutil.copyfile(found[0], aside)
    if path != target:
        # Only a damaged archive can stand there still (see _present); it would be read beside the copy.
        target.unlink(missing_ok=True)
    return replace(read, path=path)


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
