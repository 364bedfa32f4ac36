"""What a whole run tells: the numbers of the landing page, its time and machine, and what larger runs stored."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from labor_llm.careers.panel import CareerPanel
from labor_llm.careers.samples import stored_training_data
from labor_llm.disclosure import supported_years
from labor_llm.errors import ArtefactError, InputError
from labor_llm.exhibits.formatting import EN_DASH, DisplayTable, table
from labor_llm.store.artefacts import environment, verify
from labor_llm.store.results import Results, project_root


def data_numbers(panel: CareerPanel, label: str) -> dict[str, object]:
    """Return what the landing page says of the first data set: its label, years and sizes."""
    first, last = supported_years(panel.frame)
    return {
        "headline_dataset": label,
        "headline_workers": len(panel.workers),
        "headline_records": len(panel.frame),
        "headline_titles": len(panel.outcomes),
        "survey_years": f"{first}{EN_DASH}{last}",
    }


def best_baselines(bootstrap: pd.DataFrame, baselines: Collection[str]) -> dict[str, str]:
    """Return the baseline with the lowest perplexity on each data set, from `bootstrap_perplexity`.

    The names of `baselines` are those in tables; the oracle of a simulated data set is none.

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
    bootstrap: pd.DataFrame, best: Mapping[str, str], fine_tuned: str, off_the_shelf: str
) -> dict[str, object]:
    """Return perplexities and standard errors of three models on the first data set.

    From `evaluation.perplexity.bootstrap_perplexity` and `best_baselines`; of the fine-tuned model and the same without
    fine-tuning by their names in tables.

    Returns:
        For the keys `fine_tuned`, `off_the_shelf` and `best_baseline` `<key>_label`, `<key>_perplexity` and
        `<key>_test_se`; and the numbers of test transitions and workers. What is not finite, after a probability of
        zero, is a word, as neither a sentence nor JSON holds such a number.
    """
    dataset = bootstrap["dataset"].iloc[0]
    rows = bootstrap[bootstrap["dataset"] == dataset].set_index("model")
    models = {"fine_tuned": fine_tuned, "off_the_shelf": off_the_shelf, "best_baseline": best[dataset]}
    numbers: dict[str, object] = {}
    for key, model in models.items():
        numbers[f"{key}_label"] = model
        for name in ("perplexity", "test_se"):
            numbers[f"{key}_{name}"] = _number_or_word(rows.at[model, name])
    counts = {f"headline_test_{name}": int(rows.at[fine_tuned, name]) for name in ("transitions", "workers")}
    return numbers | counts


def training_numbers(
    results: Results, dataset: str, model: str, splits: Mapping[str, str]
) -> dict[str, object]:
    """Return `training_workers` of a data set, and how many of them a fine-tuned model has learned from, `trained_on`.

    The second is in words where predictions are stored and the model, by its short name, is not any more.
    """
    folder = results.model(dataset, model)
    own = stored_training_data(folder)["own_workers"] if folder.is_dir() else "an unknown number of"
    return {"training_workers": list(splits.values()).count("train"), "trained_on": own}


def _number_or_word(value: float) -> float | str:
    if math.isnan(value):
        return "not defined"
    if math.isinf(value):
        return "\u221e" if value > 0 else "\u2212\u221e"
    return float(value)


def valid_mass_numbers(masses: pd.DataFrame, models: Mapping[str, str]) -> dict[str, object]:
    """Return the mean valid mass of models on the first data set, `<key>_valid_mass`, and `mass_workers` behind it.

    From `tables.valid_mass_quantiles`; `models` are names in tables by key.
    """
    rows = masses[masses["dataset"] == masses["dataset"].iloc[0]].set_index("model")
    numbers = {f"{key}_valid_mass": float(rows.at[model, "mean"]) for key, model in models.items()}
    return {**numbers, "mass_workers": int(rows["workers"].min())}


def run_times(results: Results) -> DisplayTable:
    """List wall time and peak memory of every executed notebook of a run, and their total.

    Both stand in the metadata of the executed notebook. The last row is the sum of the minutes and the largest peak.
    A notebook that is being executed is left out.

    Raises:
        ArtefactError: if there is no executed notebook or one of them is unreadable.
    """
    rows = []
    for path in sorted(results.notebooks.glob("*.ipynb")):
        if path.name.endswith(".failed.ipynb"):
            continue
        try:
            record = json.loads(path.read_text(encoding="utf-8"))["metadata"].get("papermill", {})
        except (ValueError, KeyError) as error:
            raise ArtefactError(f"{path}: not readable as a notebook ({error}). Run it again.") from error
        if record.get("duration") is not None:
            rows.append((path.stem, record["duration"] / 60.0, record.get("peak_memory", float("nan")) / 1e9))
    if not rows:
        raise ArtefactError(f"{results.notebooks}: no executed notebook there. Run the replication first.")
    frame = pd.DataFrame(rows, columns=["notebook", "minutes", "memory"])
    frame.loc[len(frame)] = ["Total", frame["minutes"].sum(), frame["memory"].max()]
    return table("tab-run-times", frame, persons="none")


def environment_table() -> DisplayTable:
    """List software and machine of this run."""
    flat: dict[str, object] = {}
    for key, value in environment().items():
        flat |= value if isinstance(value, Mapping) else {key: value}
    frame = pd.DataFrame({"Item": map(str, flat), "Value": map(str, flat.values())})
    return DisplayTable("tab-environment", frame, "none")


class StoredComparison(NamedTuple):
    """A comparison that took longer than a replication may, as it was stored: no worker is in it.

    Attributes:
        perplexity: as `evaluation.perplexity.bootstrap_perplexity` returns it.
        by_type: the same by type of transition.
        differences: as `evaluation.perplexity.bootstrap_differences` returns it, from the reference model.
        about: what the numbers depend on, and `reference` and `draws`.
    """

    perplexity: pd.DataFrame
    by_type: pd.DataFrame
    differences: pd.DataFrame
    about: dict[str, Any]


def read_comparison(folder: str | Path) -> StoredComparison:
    """Return what `benchmarks/survey_comparison.py` stored, verified; a relative folder is taken from the checkout."""
    folder = project_root() / folder
    verify(folder)
    tables = (pd.read_csv(folder / f"{name}.csv") for name in StoredComparison._fields[:3])
    return StoredComparison(*tables, json.loads((folder / "about.json").read_text(encoding="utf-8")))
