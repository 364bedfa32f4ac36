"""Comparisons of models that took longer than a replication may: their aggregates, stored and read again.

What is stored holds no worker: perplexities by model and by type of transition with their test-set bootstrap standard
errors, and differences paired on the same draws, each resting on 11 workers or more.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from labor_llm.artefacts import verify, writing
from labor_llm.disclosure import MINIMUM_PERSONS
from labor_llm.errors import InputError
from labor_llm.evaluation.bootstrap import bootstrap_differences, bootstrap_perplexity
from labor_llm.predictions import Predictions

_ABOUT = "about.json"
_TABLES = ("perplexity", "by_type", "differences")


@dataclass(frozen=True)
class StoredComparison:
    """A comparison as it was stored.

    Attributes:
        perplexity: as `evaluation.bootstrap_perplexity` returns it.
        by_type: the same by type of transition.
        differences: as `evaluation.bootstrap_differences` returns it, from the reference model.
        about: what the numbers depend on, as it was given.
    """

    perplexity: pd.DataFrame
    by_type: pd.DataFrame
    differences: pd.DataFrame
    about: dict[str, Any]

    def told(self, *names: str) -> dict[str, Any]:
        """Return some of what the numbers depend on, for the note of an exhibit."""
        return {name: self.about[name] for name in names}


def store_comparison(
    folder: Path,
    predictions: Sequence[Predictions],
    reference: str,
    about: Mapping[str, Any],
    draws: int = 1000,
    seed: int = 1,
) -> StoredComparison:
    """Compare models on the same transitions of a data set, store the aggregates, and return them.

    Args:
        folder: of the artefact: a CSV file a table, and `about.json`.
        predictions: of the models, in the order of the tables.
        reference: the model that the others are compared with.
        about: what the numbers depend on, by name (JSON values); `draws` and `reference` are added.
        draws: bootstrap samples of the test workers.
        seed: of the samples.

    Raises:
        InputError: if a number would rest on fewer than 11 workers; and as `bootstrap_differences`.
    """
    tables = {
        "perplexity": bootstrap_perplexity(predictions, draws, seed),
        "by_type": bootstrap_perplexity(predictions, draws, seed, by="transition_type"),
        "differences": bootstrap_differences(predictions, reference, draws, seed),
    }
    for name, table in tables.items():
        # Not left out: the number of one group follows from those of all others and the total.
        if (fewest := int(table["workers"].min())) < MINIMUM_PERSONS:
            raise InputError(
                f"{name}: a number rests on {fewest} workers; {MINIMUM_PERSONS} or more must stand behind each. "
                "Compare the models on more test workers."
            )
    told = {**about, "reference": reference, "draws": draws}
    with writing(folder, {"tables": list(tables)}) as aside:
        for name, table in tables.items():
            table.to_csv(aside / f"{name}.csv", index=False)
        (aside / _ABOUT).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return StoredComparison(**tables, about=told)


def read_comparison(folder: Path) -> StoredComparison:
    """Return a stored comparison, checksums verified.

    Raises:
        ArtefactError: if nothing is stored there, or it was changed.
    """
    verify(folder)
    tables = {name: pd.read_csv(folder / f"{name}.csv") for name in _TABLES}
    return StoredComparison(**tables, about=json.loads((folder / _ABOUT).read_text(encoding="utf-8")))
