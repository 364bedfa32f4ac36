"""Invented crosswalks in the forms in which Dorn's are distributed."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping

import pandas as pd
import pytest

from labor_llm.crosswalks.files import VINTAGES, Version, content_checksum

# Five codes a vintage, shifted so that no two vintages are alike; 0 is unknown as in some of Dorn's files.
INVENTED = {
    vintage: {0: 999, 10 + step: 4, 20 + step: 436, 30 + step: 313, 40 + step: 7}
    for step, vintage in enumerate(VINTAGES)
}


@pytest.fixture(scope="session")
def invented() -> dict[str, dict[int, int]]:
    return INVENTED


@pytest.fixture(scope="session")
def versions() -> dict[str, tuple[Version, ...]]:
    """The invented crosswalks as the versions that are known."""
    return {
        vintage: (Version(len(targets), content_checksum(pd.Series(targets))),)
        for vintage, targets in INVENTED.items()
    }


@pytest.fixture(scope="session")
def stata() -> Callable[..., bytes]:
    """Give the bytes of a .dta with a crosswalk's rows."""

    def write(targets: Mapping[int, int], column: str = "occ") -> bytes:
        buffer = io.BytesIO()
        rows = pd.DataFrame({column: list(targets), "occ1990dd": list(targets.values())})
        rows.astype("float64").to_stata(buffer, write_index=False)
        return buffer.getvalue()

    return write


@pytest.fixture(scope="session")
def zipped(stata: Callable[..., bytes]) -> Callable[..., bytes]:
    """Give the bytes of a zip with a crosswalk's .dta, and other members if wanted."""

    def write(targets: Mapping[int, int], name: str = "occ.dta", **others: bytes) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(name, stata(targets))
            for other, content in others.items():
                archive.writestr(other.replace("_dot_", "."), content)
        return buffer.getvalue()

    return write
