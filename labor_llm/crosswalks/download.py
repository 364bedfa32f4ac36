"""Fetching the crosswalks: from Dorn's page, or from a folder where the user has them already.

Each file is verified before it gets its name, so that an interrupted or garbled download leaves nothing behind, and
a verified file that is already there is kept.
"""

from __future__ import annotations

import http.client
import shutil
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from labor_llm import __version__
from labor_llm.artefacts import atomic_path
from labor_llm.crosswalks.files import (
    KNOWN_VERSIONS,
    PAGE,
    TARGET,
    VINTAGES,
    CrosswalkFile,
    Version,
    find_files,
    read_crosswalk,
)
from labor_llm.errors import InputError

SOURCE = "https://www.ddorn.net/data/"
TIMEOUT = 60.0
_LARGEST_FILE = 20 * 2**20
_SCHEMES = ("https://", "http://")


@dataclass(frozen=True)
class Fetched:
    """What was done for one crosswalk: `action` is 'downloaded', 'copied' or 'kept'; `file` as verified."""

    action: str
    file: CrosswalkFile


def fetch_crosswalks(
    out: Path,
    source: str | Path = SOURCE,
    versions: Mapping[str, tuple[Version, ...]] = KNOWN_VERSIONS,
    other_versions: bool = False,
    timeout: float = TIMEOUT,
) -> list[Fetched]:
    """Download the six crosswalks, or copy them from a folder, and verify each.

    Args:
        out: folder for the files; made if it does not exist.
        source: address that the names `occ1970_occ1990dd.zip` and so on are added to (https or http), or a folder.
        versions: the versions known.
        other_versions: whether to take versions that are not known by their checksum.
        timeout: seconds without an answer after which a download is given up.

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
    done = []
    for vintage in VINTAGES:
        settings = {"versions": versions, "other_versions": other_versions}
        if present := _present(out, vintage, settings):
            done.append(Fetched("kept", present))
        elif remote:
            done.append(Fetched("downloaded", _download(out, str(source), vintage, settings, timeout)))
        else:
            done.append(Fetched("copied", _copy(out, Path(source), vintage, settings)))
    return done


def _present(out: Path, vintage: str, settings: Mapping) -> CrosswalkFile | None:
    """Return the verified file that is there already; a damaged one of the name to be fetched counts as absent."""
    found = [path for path in find_files(out, vintage) if path.parent == out]
    for path in found:
        try:
            return read_crosswalk(path, vintage, **settings)
        except InputError:
            # Another form of the file (.csv) would be read later beside the one fetched: the user must decide.
            if path != _target(out, vintage):
                raise
    return None


def _target(out: Path, vintage: str) -> Path:
    return out / f"{vintage}_{TARGET}.zip"


def _download(out: Path, source: str, vintage: str, settings: Mapping, timeout: float) -> CrosswalkFile:
    path = _target(out, vintage)
    address = f"{source.rstrip('/')}/{path.name}"
    remedy = f"Download {path.name} by hand from {PAGE} and put it into {out}"
    try:
        content = _get(address, timeout)
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"{address}: could not be downloaded ({reason}). Try again later, or: {remedy}."
        ) from error
    try:
        read = read_crosswalk(path, vintage, content, **settings)
    except InputError as error:
        reason = str(error).removeprefix(f"{path}: ")
        raise InputError(f"{address}: what came is refused: {reason} Or: {remedy}.") from error
    with atomic_path(path) as aside:
        aside.write_bytes(content)
    return read


def _get(address: str, timeout: float) -> bytes:
    """Return what an address answers; a redirect may not leave the web."""
    agent = {"User-Agent": f"labor-llm/{__version__}"}
    request = urllib.request.Request(address, headers=agent)  # noqa: S310 (https or http, see fetch_crosswalks)
    with urllib.request.urlopen(request, timeout=timeout) as response:  # noqa: S310
        if not response.geturl().lower().startswith(_SCHEMES):
            raise ValueError("redirected to an address that is neither https nor http")
        content = response.read(_LARGEST_FILE + 1)
        announced = response.headers.get("Content-Length")
    if len(content) > _LARGEST_FILE:
        raise ValueError("far larger than a crosswalk")
    if announced is not None and announced.isdigit() and len(content) != int(announced):
        raise ValueError(f"broke off after {len(content):,} of {int(announced):,} bytes")
    return content


def _copy(out: Path, source: Path, vintage: str, settings: Mapping) -> CrosswalkFile:
    found = find_files(source, vintage)
    if not found:
        raise InputError(
            f"{source}: no {vintage}_{TARGET}.zip there (nor as .dta or .csv). Get it from {PAGE}."
        )
    read_crosswalk(found[0], vintage, **settings)
    path = out / found[0].name.lower()
    with atomic_path(path) as aside:
        shutil.copyfile(found[0], aside)
    if path != _target(out, vintage):
        # Only a damaged archive can stand there still (see _present); it would be read beside the copy.
        _target(out, vintage).unlink(missing_ok=True)
    return read_crosswalk(path, vintage, **settings)
