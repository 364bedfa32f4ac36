"""Models by the careers that they were fine-tuned on: columns for a table, and a figure."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from labor_llm.errors import InputError
from labor_llm.exhibits.figures import figure_style
from labor_llm.predictions import model_labels
from labor_llm.results import Results
from labor_llm.training_data import stored_training_data

OWN, OTHERS, REPEATS = "Own careers", "Other careers", "Own repeated"
_SERIES = {False: ("own careers alone", "o"), True: ("with those of other data sets", "s")}


def training_sizes(results: Results, dataset: str, models: Sequence[str]) -> pd.DataFrame:
    """Return how many careers each model was fine-tuned on, from its manifest.

    Args:
        results: where models and predictions lie.
        dataset: the data set.
        models: short names, the same of the model and of its predictions.

    Returns:
        Columns `dataset`, `model` (what its predictions call it), `Own careers` and `Other careers` (workers, each
        counted once) and `Own repeated` (how often an own career occurs in an epoch).

    Raises:
        ArtefactError: if a model is missing or was changed.
        InputError: if a model does not say what it was trained on.
    """
    labels = model_labels(results, [dataset], models)
    rows = []
    for model in models:
        data = stored_training_data(results.model(dataset, model))
        others = sum(data["other_workers"].values())
        rows.append((dataset, labels[model], data["own_workers"], others, data["own_repeats"]))
    return pd.DataFrame(rows, columns=["dataset", "model", OWN, OTHERS, REPEATS])


def perplexity_by_training_careers(bootstrap: pd.DataFrame, sizes: pd.DataFrame) -> Figure:
    """Draw perplexity with its 95 % interval by the number of training careers, own ones alone and with others.

    Args:
        bootstrap: as `evaluation.bootstrap_perplexity` returns it, of one data set.
        sizes: as `training_sizes` returns it.

    Raises:
        InputError: if there is nothing to draw.
    """
    points = bootstrap.merge(sizes, on=["dataset", "model"])
    if points.empty:
        raise InputError("There is no model whose perplexity and training careers are both known.")
    points = points.assign(careers=points[OWN] + points[OTHERS]).sort_values("careers")
    with matplotlib.rc_context(figure_style()):
        figure = Figure(figsize=(7.0, 3.6), layout="constrained")
        axes = figure.subplots()
        for pooled, part in points.groupby(points[OTHERS] > 0):
            label, marker = _SERIES[bool(pooled)]
            reach = [part["perplexity"] - part["ci_low"], part["ci_high"] - part["perplexity"]]
            axes.errorbar(part["careers"], part["perplexity"], yerr=reach, fmt=marker, capsize=3, label=label)
        axes.set(xlabel="Training careers", ylabel="Perplexity (95 % interval)", xlim=(0, None))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend()
    return figure
