"""Tables of how well models predict the next occupation, from the tidy results of `labor_llm.evaluation`.

Each function returns a `DisplayTable`. Groups that rest on too few persons are left out here, so that the
disclosure gate finds nothing to refuse. `labels` says how to call a data set; its name where there is none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from labor_llm.careers.panel import TRANSITION_TYPES
from labor_llm.careers.predictions import Predictions
from labor_llm.disclosure import MINIMUM_PERSONS
from labor_llm.errors import InputError
from labor_llm.exhibits.formatting import MINUS, SE, DisplayTable, DisplayText, blank, table

NOT_COMPARABLE = "not comparable with"
_KEYS = ["dataset", "model"]
_MODEL = {"model": "Model", "dataset": "Data set"}
_ERRORS = {
    "perplexity": ("Perplexity", ".2f"),
    "test_se": ("TestSE", SE),
    "train_se": ("TrainSE", "[{:.2f}]"),
}
_QUANTILES = (0.10, 0.25, 0.50, 0.75, 0.90)

Labels = Mapping[str, str] | None


def main_comparison(bootstrap: pd.DataFrame, labels: Labels = None) -> DisplayTable:
    """Put the perplexity of every model with its standard errors side by side, two or three columns a data set.

    Args:
        bootstrap: as `evaluation.perplexity.bootstrap_perplexity` returns it; where
            `evaluation.total_error.with_train_errors` has added `train_se`, it is shown, empty for models that
            were not refitted.
        labels: how to call a data set.
    """
    models = bootstrap["model"].drop_duplicates()
    frame = pd.DataFrame({"Model": [*models, "Test transitions", "Test workers"]})
    formats, persons = {}, []
    for dataset, rows in bootstrap.groupby("dataset", sort=False):
        part = rows.set_index("model")
        counts = [int(part["transitions"].iloc[0]), int(part["workers"].iloc[0])]
        prefix = f"{(labels or {}).get(dataset, dataset)}: " if bootstrap["dataset"].nunique() > 1 else ""
        for name, (heading, form) in _ERRORS.items():
            if name in part:
                below = counts if name == "perplexity" else ["", ""]
                frame[prefix + heading] = pd.Series([*part[name].reindex(models), *below], dtype=object)
                formats[prefix + heading] = form
        persons.append(counts[1])
    return DisplayTable("tab-main-comparison", frame, min(persons), formats)


def paired_differences(differences: pd.DataFrame, labels: Labels = None) -> DisplayTable:
    """List paired differences in perplexity with their standard errors and 95 % intervals.

    Args:
        differences: as `evaluation.perplexity.bootstrap_differences` returns it; where there are refits with
            `train_se` and `total_se`.
        labels: how to call a data set.
    """
    columns = {
        "label": "Comparison", "dataset": "Data set", "difference": ("Difference", ".2f"), "test_se": ("TestSE", SE),
        "train_se": ("TrainSE", "[{:.2f}]"), "total_se": ("Both", ".2f"), "ci_low": ("95 % from", ".2f"),
        "ci_high": ("95 % to", ".2f"), "z": ("z", ".1f"),
    }  # fmt: skip
    if "train_se" not in differences:
        del columns["train_se"], columns["total_se"]
    return table("tab-paired-differences", difference_labels(differences), columns, labels=labels)


def difference_labels(differences: pd.DataFrame, labels: Labels = None) -> pd.DataFrame:
    """Return paired differences with a column `label`, 'model − reference', as `figures` draws them."""
    named = differences.assign(label=differences["model"] + f" {MINUS} " + differences["reference"])
    return named.replace({"dataset": labels or {}})


def family_errors(by_worker: pd.DataFrame, by_family: pd.DataFrame, labels: Labels = None) -> DisplayTable:
    """Put the test-set bootstrap errors of resampled workers beside those of resampled families.

    Args:
        by_worker: as `evaluation.perplexity.bootstrap_perplexity` returns it.
        by_family: as `evaluation.families.bootstrap_families` does: models of data sets without families are not in
            it, and have empty cells.
        labels: how to call a data set.
    """
    wanted = by_family[[*_KEYS, "test_se", "families"]]
    rows = by_worker.merge(wanted, on=_KEYS, how="left", suffixes=("", "_families"))
    rows["ratio"] = rows["test_se_families"] / rows["test_se"]
    rows["families"] = rows["families"].astype("Int64")
    columns = {
        **_MODEL, "perplexity": ("Perplexity", ".2f"), "test_se": ("TestSE, workers", SE),
        "test_se_families": ("TestSE, families", SE), "ratio": ("Ratio", ".2f"), "workers": "Workers",
        "families": "Families",
    }  # fmt: skip
    return table("tab-family-errors", rows, columns, labels=labels)


def transition_types(bootstrap: pd.DataFrame, labels: Labels = None) -> DisplayTable:
    """Put perplexities by type of transition side by side; none of a data set where a type has too few workers.

    Args:
        bootstrap: as `evaluation.perplexity.bootstrap_perplexity(..., by='transition_type')` returns it.
        labels: how to call a data set.
    """
    values = ["perplexity", "test_se"]
    # One type that rests on too few could be computed from the others and the total, so none is shown then.
    enough = (bootstrap["workers"] >= MINIMUM_PERSONS).groupby(bootstrap["dataset"]).transform("all")
    shown = bootstrap.assign(**{name: bootstrap[name].where(enough) for name in values})
    rows = shown[_KEYS].drop_duplicates(ignore_index=True)
    columns: dict[str, str | tuple[str, str]] = dict(_MODEL)
    for kind in [name for name in TRANSITION_TYPES if name in set(shown["transition_type"])]:
        part = shown.loc[shown["transition_type"] == kind, [*_KEYS, *values]]
        rows = rows.merge(
            part.rename(columns={name: f"{kind} {name}" for name in values}), on=_KEYS, how="left"
        )
        columns[f"{kind} perplexity"] = (kind.capitalize(), ".2f")
        columns[f"{kind} test_se"] = (f"TestSE ({kind})", SE)
    # Where nothing is shown, nothing rests on the smaller types, and the largest stands for the row.
    counts = shown.groupby(_KEYS, sort=False)["workers"].agg(["min", "max"])
    rows["workers"] = counts["min"].where(counts["min"] >= MINIMUM_PERSONS, counts["max"]).to_numpy()
    return table("tab-transition-types", rows, columns, labels=labels)


def value_of_fine_tuning(
    bootstrap: pd.DataFrame, normalised: pd.DataFrame, masses: pd.DataFrame
) -> DisplayTable:
    """Put unnormalised and normalised perplexity and the valid mass of each model side by side.

    Args:
        bootstrap: as `evaluation.perplexity.bootstrap_perplexity` returns it.
        normalised: the same with `normalised=True`.
        masses: as `valid_mass_quantiles` returns it.
    """
    wanted = normalised[[*_KEYS, "perplexity", "test_se"]]
    rows = bootstrap.merge(wanted, on=_KEYS, how="left", suffixes=("", "_normalised"))
    rows = rows.merge(masses[[*_KEYS, "mean"]], on=_KEYS, how="left")
    columns = {
        **_MODEL, "perplexity": ("Perplexity", ".2f"), "test_se": ("TestSE", SE),
        "perplexity_normalised": ("Normalised perplexity", ".2f"),
        "test_se_normalised": ("TestSE (normalised)", SE), "mean": ("Mean valid mass", ".3g"),
    }  # fmt: skip
    return table("tab-value-of-fine-tuning", rows, columns)


def beside_reference(
    exhibit: str,
    bootstrap: pd.DataFrame,
    differences: pd.DataFrame,
    described: pd.DataFrame | None = None,
    nats: bool = False,
) -> DisplayTable:
    """Put each model's perplexity beside its paired difference to a reference model, which has none.

    Args:
        exhibit: id of the table.
        bootstrap: as `evaluation.perplexity.bootstrap_perplexity` returns it.
        differences: as `evaluation.perplexity.bootstrap_differences` returns it; without rows if there is no other
            model.
        described: `dataset`, `model` and further columns of each model, shown behind its name as they are called.
        nats: whether the difference is of the mean log-probability of a transition (nats, above zero the model is
            better) instead of the perplexity; for perplexities of other orders of magnitude.
    """
    kind, prefix = ("gain", "log_prob_") if nats else ("difference", "")
    values = ["difference", "test_se", "ci_low", "ci_high"]
    paired = differences.reindex(columns=[*_KEYS, *(prefix + name for name in values)])
    paired.columns = [*_KEYS, *(f"paired_{name}" for name in values)]
    rows = bootstrap.merge(paired.astype(dict.fromkeys(_KEYS, object)), on=_KEYS, how="left", indicator=True)
    for name in paired.columns[len(_KEYS) :]:
        rows[name] = blank(rows[name], rows["_merge"] == "left_only")
    more = [] if described is None else [name for name in described if name not in _KEYS]
    if described is not None:
        rows = rows.merge(described, on=_KEYS, how="left")
    columns = {
        **_MODEL, **dict(zip(more, more, strict=True)), "perplexity": ("Perplexity", ".2f"), "test_se": ("TestSE", SE),
        "paired_difference": ("Gain in nats" if nats else "Difference", ".2f"),
        "paired_test_se": (f"TestSE ({kind})", SE), "paired_ci_low": ("95 % from", ".2f"),
        "paired_ci_high": ("95 % to", ".2f"),
    }  # fmt: skip
    return table(exhibit, rows, columns)


def same_transitions(bootstrap: pd.DataFrame) -> DisplayText:
    """Say on how many transitions and workers models are compared, from `bootstrap_perplexity`."""
    transitions, workers = (int(bootstrap[name].min()) for name in ("transitions", "workers"))
    words = f"All models are compared on the same {transitions:,} transitions of {workers:,} test workers."
    return DisplayText(words, workers)


def valid_mass_quantiles(predictions: Sequence[Predictions]) -> pd.DataFrame:
    """Return how the probability of all valid titles together is distributed over transitions.

    Returns:
        One row for each prediction that scored every title somewhere: `dataset`, `model`, `mean`,
        `q10`, `q25`, `q50`, `q75`, `q90` (probabilities), `transitions`, `workers`.

    Raises:
        InputError: if no prediction scored every title.
    """
    rows = []
    for prediction in predictions:
        scored = prediction.table.loc[prediction.scored_in_full]
        for dataset, part in scored.groupby("dataset", sort=False):
            mass = np.exp(part["log_valid_mass"].to_numpy())
            quantiles = {f"q{100 * level:.0f}": np.quantile(mass, level) for level in _QUANTILES}
            counts = {"transitions": len(part), "workers": part["worker_id"].nunique()}
            identity = {"dataset": dataset, "model": prediction.model, "mean": mass.mean()}
            rows.append(identity | quantiles | counts)
    if not rows:
        raise InputError("No prediction has the scores of all titles. Score all titles of some transitions.")
    return pd.DataFrame(rows)


def compare_in_words(difference: float, ci_low: float, ci_high: float) -> str:
    """Return 'lower than', 'higher than' or 'not distinguishable from': does the 95 % interval hold zero?

    The interval alone tells: it is made of percentiles of the samples, and the estimate may lie outside it.
    `NOT_COMPARABLE` where one of the three is not finite, as after a probability of zero.
    """
    if not np.isfinite([difference, ci_low, ci_high]).all():
        return NOT_COMPARABLE
    if ci_low <= 0.0 <= ci_high:
        return "not distinguishable from"
    return "lower than" if ci_high < 0.0 else "higher than"
