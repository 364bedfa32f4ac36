"""The values that the paper reports beside those of a run, and whether the two may be compared.

`published.csv` holds every value of the paper that is at hand. They are quoted as summarised in a secondary source, not
from the paper's tables, and no other value is given as the paper's.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import Field

from labor_llm.baselines.settings import CAREER
from labor_llm.careers.horizons import stored_pair
from labor_llm.careers.panel import CareerPanel
from labor_llm.careers.predictions import read_predictions
from labor_llm.evaluation.binary_tasks import CHANGE, UNEMPLOYMENT, shared_events
from labor_llm.evaluation.horizons import closeness
from labor_llm.evaluation.perplexity import perplexity
from labor_llm.exhibits.formatting import DisplayTable, table
from labor_llm.settings import Key, Settings
from labor_llm.store.results import Results

REPRODUCED_COLUMNS = ["quantity", "dataset", "model", "metric", "value", "in_part"]
_UNKNOWN, _SEVERAL, _NO_MODEL = "not stated", "several", "none"
_RISES = ("numeric_titles_rise_lower", "numeric_titles_rise_upper")
_TASKS = {"predicting_unemployment": UNEMPLOYMENT, "predicting_change_of_occupation": CHANGE}


class ReportedModels(Settings):
    """Language models of a run by the published quantity that each has a value of, by their short names."""

    fine_tuned: list[Key] = Field(default_factory=list)
    """Fine-tuned on own careers, with titles in words; the first is the one of tasks and horizons."""
    off_the_shelf: list[Key] = Field(default_factory=list)
    """Not fine-tuned."""
    fine_tuned_numeric_titles: list[Key] = Field(default_factory=list)
    """Fine-tuned with numbers for titles."""
    fine_tuned_pooled: list[Key] = Field(default_factory=list)
    """Fine-tuned on own careers and all of other data sets."""
    literal: str = ""
    """The model with titles in words that those with numbers are compared with."""
    bases: dict[Key, str] = Field(default_factory=dict)
    """The base model of each."""
    in_part: list[Key] = Field(default_factory=list)
    """Those that were trained on a part of the training workers."""

    def quantities(self) -> dict[str, list[str]]:
        """Return the models by quantity as `published.csv` calls it."""
        lists = {name: value for name, value in self if name not in ("literal", "bases", "in_part")}
        return {name: list(models) for name, models in lists.items()}


def read_published() -> pd.DataFrame:
    """Return the published values, with `label` of the quantity, `dataset`, `model` (the base), `source`, `note`."""
    with (files("labor_llm.exhibits") / "published.csv").open(encoding="utf-8") as file:
        return pd.read_csv(file, keep_default_na=False, dtype={"value": float})


def reproduced_values(
    results: Results, datasets: Sequence[str], panels: Sequence[CareerPanel], reported: ReportedModels
) -> pd.DataFrame:
    """Return what a run has of the published quantities, on each data set that it has it of.

    Args:
        results: of the run.
        datasets: short names.
        panels: of all of these.
        reported: its language models.

    Returns:
        Columns `REPRODUCED_COLUMNS`, the data set by its label and the model by its base ('CAREER' for that).

    Raises:
        ArtefactError: if stored predictions were changed.
    """
    # Only here, so that a chapter begins without it.
    from sklearn.metrics import roc_auc_score

    labels, rows = results.labels(datasets), []
    quantities = [*reported.quantities().items(), ("career", [CAREER])]
    models = {reported.literal, *(model for _, several in quantities for model in several)} - {""}

    def add(quantity: str, dataset: str, model: str, metric: str, value: float) -> None:
        base = "CAREER" if model == CAREER else Path(reported.bases.get(model, model)).name
        rows.append((quantity, labels[dataset], base, metric, value, model in reported.in_part))

    for dataset in datasets:
        folders = {model: results.predictions(dataset, model) for model in models}
        found = {name: read_predictions(place) for name, place in folders.items() if place.is_dir()}
        perplexities = {model: perplexity(each.table["log_prob"]) for model, each in found.items()}
        for quantity, several in quantities:
            for model in [model for model in several if model in found]:
                add(quantity, dataset, model, "perplexity", perplexities[model])
        if reported.literal in found:
            for model in [model for model in reported.fine_tuned_numeric_titles if model in found]:
                for quantity in _RISES:
                    rise = perplexities[model] - perplexities[reported.literal]
                    add(quantity, dataset, model, "rise in perplexity", rise)
        for model in [model for model in reported.fine_tuned[:1] if model in found]:
            events, _ = shared_events([found[model]], panels, list(_TASKS.values()))
            quantity_of = {task: quantity for quantity, task in _TASKS.items()}
            for event in events:
                auc = float(roc_auc_score(event.outcomes, event.probabilities[:, 0]))
                add(quantity_of[event.task], dataset, model, "AUC-ROC", auc)
            if (pair := stored_pair(results.horizons(dataset, model), model)) is not None:
                correlation = closeness(pair.direct, pair.compounded)["correlation"]
                add("direct_against_compounded_predictions", dataset, model, "correlation", correlation)
    return pd.DataFrame(rows, columns=REPRODUCED_COLUMNS)


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
    joined = joined.drop_duplicates(ignore_index=True)
    names = ["our_dataset", "our_model"]
    joined[names] = joined[names].astype(object).fillna("")
    joined["verdict"] = [_verdict(*row) for row in joined[["dataset", "model", *names, "in_part"]].to_numpy()]
    return joined


def _verdict(dataset: str, model: str, our_dataset: str, our_model: str, in_part: bool) -> str:
    if not our_dataset:
        return "not in this run"
    reasons = []
    if dataset in (_UNKNOWN, _SEVERAL):
        reasons.append("survey not stated")
    elif dataset.casefold() != our_dataset.casefold():
        reasons.append("other survey")
    if model == _UNKNOWN:
        reasons.append("model not stated")
    elif _model_name(model) not in (_NO_MODEL, _model_name(our_model)):
        reasons.append("other base model")
    if in_part is True:
        reasons.append("part of the training workers")
    return f"not comparable: {', '.join(reasons)}" if reasons else "comparable"


def _model_name(name: str) -> str:
    """Return a model's name as the paper and the hub both have it: Llama-2-7B is meta-llama/Llama-2-7b-hf."""
    return Path(name).name.casefold().removesuffix("-hf")


def published_values(
    reproduced: pd.DataFrame, panels: Sequence[CareerPanel], surveys: Sequence[str]
) -> DisplayTable:
    """Put the published values beside what this run has of them.

    Args:
        reproduced: as `reproduced_values` returns them.
        panels: whose workers are counted together.
        surveys: what to call them.
    """
    workers = sum(len(panel.workers) for panel in panels)
    count = ("individuals", ", ".join(surveys), _NO_MODEL, "count", float(workers), False)
    counted = pd.DataFrame([count], columns=REPRODUCED_COLUMNS)
    compared = compare_with_paper(pd.concat([reproduced, counted]) if len(reproduced) else counted)
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
