"""The picture of the README and of the book's landing page, drawn from the stored comparison on NLSY79 that it shows.

    python benchmarks/readme_picture.py

It is committed, and a test holds it against what is stored.
"""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from labor_llm.exhibits.figures import paired_differences
from labor_llm.store.artefacts import atomic_path, verify

ROOT = Path(__file__).parents[1]
STORED = ROOT / "benchmarks" / "measured" / "nlsy79_comparison"
PICTURE = ROOT / "book" / "nlsy79_comparison.png"


def draw_picture(stored: Path, out: Path) -> Path:
    """Draw by how much the models of a stored comparison predict worse than its reference, and return `out`.

    Args:
        stored: folder of a comparison of models, verified before it is read.
        out: the PNG; its metadata hold the seal of the comparison, by which a stale picture is found.

    Raises:
        ArtefactError: if the stored comparison was changed.
    """
    verify(stored)
    differences = pd.read_csv(stored / "differences.csv")
    (reference,) = differences["reference"].unique()
    figure = paired_differences(differences.rename(columns={"model": "label"})).figure
    figure.set_size_inches(7.0, 3.4)
    figure.axes[0].set_xlabel(f"Perplexity above that of {reference} (95 % interval)")
    with atomic_path(out) as aside:
        figure.savefig(aside, format="png", dpi=110, metadata={"Source": seal_of(stored), "Software": None})
    return out


def seal_of(stored: Path) -> str:
    """Return the checksum over all files of a stored result."""
    return str(json.loads((stored / "manifest.json").read_text(encoding="utf-8"))["seal"])


if __name__ == "__main__":
    print(draw_picture(STORED, PICTURE))
