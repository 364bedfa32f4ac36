"""The numbers that the landing page tells, from predictions and their bootstrap.

Comparisons of models that took longer than a replication may: their aggregates, stored and read again.

What is stored holds no worker: perplexities by model and by type of transition with their test-set bootstrap standard
errors, and differences paired on the same draws, each resting on 11 workers or more.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from labor_llm.careers.panel import CareerPanel
from labor_llm.careers.predictions import Predictions
from labor_llm.disclosure import MINIMUM_PERSONS
from labor_llm.errors import InputError
from labor_llm.evaluation.perplexity import bootstrap_differences, bootstrap_perplexity
from labor_llm.exhibits.tables import compare_in_words
from labor_llm.store.artefacts import verify, writing


def data_numbers(panel: CareerPanel, label: str) -> dict[str, object]:
    """Return what the landing page says of the first data set: its label, years and sizes."""
    years = panel.frame["year"]
    return {
        "headline_dataset": label,
        "headline_workers": len(panel.workers),
        "headline_records": len(panel.frame),
        "headline_titles": len(panel.outcomes),
        "survey_years": f"{years.min()}\u2013{years.max()}",
    }


def best_baselines(bootstrap: pd.DataFrame, baselines: Collection[str]) -> dict[str, str]:
    """Return the baseline with the lowest perplexity on each data set.

    Args:
        bootstrap: as `evaluation.bootstrap_perplexity` returns it.
        baselines: names of the models that are baselines; the oracle of a simulated data set is none.

    Raises:
        InputError: if a data set has no baseline.
    """
    best = {}
    for dataset, part in bootstrap.groupby("dataset", sort=False):
        rows = part[part["model"].isin(baselines)]
        if rows.empty:
            raise InputError(f"{dataset}: no predictions of a baseline. Run notebooks/06_baselines.")
        best[str(dataset)] = str(rows.loc[rows["perplexity"].idxmin(), "model"])
    return best


def comparison_numbers(
    bootstrap: pd.DataFrame, differences: pd.DataFrame, dataset: str, models: Mapping[str, str]
) -> dict[str, object]:
    """Return perplexities, standard errors and the paired difference to the best baseline.

    Args:
        bootstrap: as `evaluation.bootstrap_perplexity` returns it.
        differences: as `evaluation.bootstrap_differences` returns it, the best baseline being the reference.
        dataset: which data set.
        models: name of the model behind each key ('fine_tuned', 'off_the_shelf', 'best_baseline', ...).

    Returns:
        `<key>_label`, `<key>_perplexity` and `<key>_test_se` for every key, `best_baseline` (its name),
        `difference_to_best_baseline` with `_se`, `fine_tuned_verdict` (in words), and the numbers of
        test transitions and workers. What is not finite, after a probability of zero, is a word, as neither a
        sentence nor JSON holds such a number.
    """
    rows = bootstrap[bootstrap["dataset"] == dataset].set_index("model")
    numbers: dict[str, object] = {}
    for key, model in models.items():
        numbers[f"{key}_label"] = model
        numbers[f"{key}_perplexity"] = _number_or_word(rows.at[model, "perplexity"])
        numbers[f"{key}_test_se"] = _number_or_word(rows.at[model, "test_se"])
    pairs = differences[differences["dataset"] == dataset].set_index("model")
    pair = pairs.loc[models["fine_tuned"]]
    return numbers | {
        "best_baseline": models["best_baseline"],
        "difference_to_best_baseline": _number_or_word(pair["difference"]),
        "difference_to_best_baseline_se": _number_or_word(pair["test_se"]),
        "fine_tuned_verdict": compare_in_words(pair["difference"], pair["ci_low"], pair["ci_high"]),
        "headline_test_transitions": int(rows.at[models["fine_tuned"], "transitions"]),
        "headline_test_workers": int(rows.at[models["fine_tuned"], "workers"]),
    }


def _number_or_word(value: float) -> float | str:
    if math.isnan(value):
        return "not defined"
    if math.isinf(value):
        return "\u221e" if value > 0 else "\u2212\u221e"
    return float(value)


def headline_models(
    labels: Mapping[str, str], fine_tuned: str, off_the_shelf: str, best: str
) -> dict[str, str]:
    """Return the names of the models that the landing page speaks of, by key.

    Args:
        labels: name in tables of each model, by short name.
        fine_tuned: short name of the fine-tuned model.
        off_the_shelf: short name of the model without fine-tuning.
        best: name in tables of the best baseline.
    """
    return {"fine_tuned": labels[fine_tuned], "off_the_shelf": labels[off_the_shelf], "best_baseline": best}


def comparison_formats(numbers: Mapping[str, object]) -> dict[str, str]:
    """Return formats for `comparison_numbers`: two decimals for every number that is no count."""
    return {key: ".2f" for key, value in numbers.items() if isinstance(value, float)}


def valid_mass_numbers(masses: pd.DataFrame, dataset: str, models: Mapping[str, str]) -> dict[str, object]:
    """Return the mean valid mass of the models on a data set, `<key>_valid_mass`, and `mass_workers` behind it.

    Args:
        masses: as `tables.valid_mass_quantiles` returns it.
        dataset: which data set.
        models: name in tables by key.
    """
    rows = masses[masses["dataset"] == dataset].set_index("model")
    numbers: dict[str, object] = {
        f"{key}_valid_mass": float(rows.at[model, "mean"]) for key, model in models.items()
    }
    return numbers | {"mass_workers": int(rows["workers"].min())}


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
