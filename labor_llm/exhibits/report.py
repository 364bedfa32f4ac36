"""What a whole run tells: the numbers of the landing page, values beside the published ones, time and machine.

`published.csv` holds every value of the paper that is at hand. They are quoted as summarised in a
secondary source, not from the paper's tables, and no other value is given as the paper's.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from labor_llm.careers.panel import CareerPanel
from labor_llm.careers.predictions import Predictions
from labor_llm.disclosure import supported_years
from labor_llm.errors import ArtefactError, InputError
from labor_llm.exhibits.formatting import EN_DASH, DisplayTable, DisplayText, format_value, table
from labor_llm.exhibits.tables import compare_in_words
from labor_llm.store.artefacts import environment, verify
from labor_llm.store.results import Results, project_root

REPRODUCED_COLUMNS = ["quantity", "dataset", "model", "metric", "value"]
_UNKNOWN = "not stated"
_NO_MODEL = "none"


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
    bootstrap: pd.DataFrame, differences: pd.DataFrame, fine_tuned: str, off_the_shelf: str
) -> dict[str, object]:
    """Return perplexities, standard errors and the paired difference to the best baseline on the first data set.

    From `bootstrap_perplexity` and `bootstrap_differences` (the best baseline being the reference) of
    `evaluation.perplexity`, of the fine-tuned model and the same without fine-tuning, by their names in tables.

    Returns:
        For the keys `fine_tuned`, `off_the_shelf` and `best_baseline` `<key>_label`, `<key>_perplexity` and
        `<key>_test_se`; `best_baseline` (its name), `difference_to_best_baseline` with `_se`, `fine_tuned_verdict`
        (in words), and the numbers of test transitions and workers. What is not finite, after a probability of zero,
        is a word, as neither a sentence nor JSON holds such a number.
    """
    dataset = bootstrap["dataset"].iloc[0]
    rows = bootstrap[bootstrap["dataset"] == dataset].set_index("model")
    pair = differences[differences["dataset"] == dataset].set_index("model").loc[fine_tuned]
    models = {"fine_tuned": fine_tuned, "off_the_shelf": off_the_shelf, "best_baseline": pair["reference"]}
    numbers: dict[str, object] = {}
    for key, model in models.items():
        numbers[f"{key}_label"] = model
        for name in ("perplexity", "test_se"):
            numbers[f"{key}_{name}"] = _number_or_word(rows.at[model, name])
    return numbers | {
        "best_baseline": pair["reference"],
        "difference_to_best_baseline": _number_or_word(pair["difference"]),
        "difference_to_best_baseline_se": _number_or_word(pair["test_se"]),
        "fine_tuned_verdict": compare_in_words(pair["difference"], pair["ci_low"], pair["ci_high"]),
        "headline_test_transitions": int(rows.at[fine_tuned, "transitions"]),
        "headline_test_workers": int(rows.at[fine_tuned, "workers"]),
    }


def comparison_sentence(numbers: Mapping[str, object]) -> DisplayText:
    """Say what `comparison_numbers` found."""
    keys = ("fine_tuned_perplexity", "best_baseline_perplexity")
    keys += ("difference_to_best_baseline", "difference_to_best_baseline_se")
    fine, base, difference, error = (format_value(numbers[key], ".2f") for key in keys)
    words = (
        f"The fine-tuned model's perplexity of {fine} is {numbers['fine_tuned_verdict']} that of the best baseline, "
        f"{base}: the paired difference is {difference} with a standard error of {error}, over "
        f"{numbers['headline_test_transitions']:,} transitions of {numbers['headline_test_workers']:,} workers."
    )
    return DisplayText(words, numbers["headline_test_workers"])


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


def read_published() -> pd.DataFrame:
    """Return the published values, with `label` of the quantity, `dataset`, `model` (the base), `source`, `note`."""
    with (files("labor_llm.exhibits") / "published.csv").open(encoding="utf-8") as file:
        return pd.read_csv(file, keep_default_na=False, dtype={"value": float})


def compare_with_paper(reproduced: pd.DataFrame) -> pd.DataFrame:
    """Join published values with reproduced ones of the same quantity and metric.

    Args:
        reproduced: columns `REPRODUCED_COLUMNS` with `quantity` as in `published.csv` and `model` the base model, one
            row for each value of this run; may be empty.

    Returns:
        A row for each pair, and one for each published value that was not reproduced, in published order: the columns
        of `read_published`, `our_dataset`, `our_model`, `our_value` (text empty and value NaN where nothing was
        reproduced) and `verdict`.
    """
    ours = reproduced.rename(columns={name: f"our_{name}" for name in ("dataset", "model", "value")})
    joined = read_published().merge(ours, on=["quantity", "metric"], how="left")
    # A value of a model that the paper has too stands beside that one alone.
    theirs, own = (joined[name].fillna("").map(_model_name) for name in ("model", "our_model"))
    known = set(zip(joined["quantity"], theirs, strict=True))
    of_known = [pair in known for pair in zip(joined["quantity"], own, strict=True)]
    joined.loc[np.array(of_known) & (own != theirs), ["our_dataset", "our_model", "our_value"]] = None
    joined = joined.drop_duplicates()
    names = ["our_dataset", "our_model"]
    joined[names] = joined[names].astype(object).fillna("")
    joined["verdict"] = [_verdict(*row) for row in joined[["dataset", "model", *names]].to_numpy()]
    return joined


def _verdict(dataset: str, model: str, our_dataset: str, our_model: str) -> str:
    if not our_dataset:
        # Chapters of their own may show it, on other data: a perplexity of other titles, a rise, a correlation.
        return "not set beside ours here"
    reasons = []
    if dataset == _UNKNOWN or dataset.casefold() != our_dataset.casefold():
        reasons.append("survey not stated" if dataset == _UNKNOWN else "other survey")
    if model == _UNKNOWN or _model_name(model) not in (_NO_MODEL, _model_name(our_model)):
        reasons.append("model not stated" if model == _UNKNOWN else "other base model")
    return f"not comparable: {', '.join(reasons)}" if reasons else "comparable"


def _model_name(name: str) -> str:
    """Return a model's name as the paper and the hub both have it: Llama-2-7B is meta-llama/Llama-2-7b-hf."""
    return Path(name).name.casefold().removesuffix("-hf")


def published_values(
    predictions: Mapping[str, Sequence[Predictions]],
    surveys: Mapping[str, str],
    workers: int,
    base_model: str,
) -> DisplayTable:
    """Put the published values beside what this run has of them.

    Args:
        predictions: for each quantity of `published.csv` ('fine_tuned', 'off_the_shelf') those on each data set.
        surveys: what to call each data set, by its short name.
        workers: workers of all data sets together.
        base_model: base model of the language models; of a folder the name alone is shown.
    """
    name = Path(base_model).name
    rows = [
        (quantity, surveys[dataset], name, "perplexity", float(np.exp(-part["log_prob"].mean())))
        for quantity, several in predictions.items()
        for prediction in several
        for dataset, part in prediction.table.groupby("dataset", sort=False)
    ]
    rows.append(("individuals", ", ".join(surveys.values()), _NO_MODEL, "count", float(workers)))
    compared = compare_with_paper(pd.DataFrame(rows, columns=REPRODUCED_COLUMNS))
    # A count has separators, so it must not have become a decimal number.
    ours = [int(value) if value == value // 1 else value for value in compared["our_value"]]
    # Data set and model are named in one cell, each word once.
    about, our_about = (
        [", ".join(dict.fromkeys(word for word in words if word not in ("", _NO_MODEL))) for words in pairs]
        for pairs in (
            compared[["dataset", "model"]].to_numpy(),
            compared[["our_dataset", "our_model"]].to_numpy(),
        )
    )
    quantity = compared["label"] + " (" + compared["metric"] + ")"
    shown = compared.assign(quantity=quantity, about=about, our_about=our_about)
    return table(
        "tab-published-values", shown.assign(our_value=pd.Series(ours, dtype=object)), persons=workers
    )


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
