"""Tables of the book: functions of tidy results that return a frame as it is to be read.

Each returns a `DisplayTable`: the frame, the persons behind each of its rows and the formats of its
columns, which are the arguments of `publishing.show_table`. Groups that rest on too few persons are
pooled or left out here, so that the disclosure gate finds nothing to refuse.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from labor_llm.careers.panel import SPLITS, TRANSITION_TYPES, CareerPanel, transitions
from labor_llm.careers.predictions import Predictions
from labor_llm.disclosure import MINIMUM_PERSONS, POOLED, pool_small_groups
from labor_llm.errors import InputError

NOT_COMPARABLE = "not comparable with"
_QUANTILES = (0.10, 0.25, 0.50, 0.75, 0.90)
_STATIC_ROWS = {"gender": "Gender", "ethnicity": "Ethnicity", "region": "Region"}


@dataclass(frozen=True)
class DisplayTable:
    """A table as it is to be read.

    Attributes:
        frame: the first column names the row.
        persons: persons behind each row, in row order.
        formats: format of each column of numbers.
    """

    frame: pd.DataFrame
    persons: pd.Series
    formats: Mapping[str, str] = field(default_factory=dict)


def data_description(
    panels: Sequence[CareerPanel],
    splits: Mapping[str, Mapping[str, str]],
    labels: Mapping[str, str] | None = None,
) -> DisplayTable:
    """Describe career panels side by side: sizes, splits, and shares in percent, one column a data set.

    Args:
        panels: one for each data set.
        splits: for each data set, the split of each of its workers.
        labels: how to call a data set; its name where there is none.
    """
    titles = _labelled([panel.dataset for panel in panels], labels)
    columns, persons = [], []
    for panel, title in zip(panels, titles, strict=True):
        rows = _sizes(panel, splits[panel.dataset]) + _shares(panel)
        names = [name for name, _, _ in rows]
        columns.append(pd.Series([value for _, value, _ in rows], names, dtype=object, name=title))
        persons.append(pd.Series([count for _, _, count in rows], names, name=title))
    values = pd.concat(columns, axis=1)
    behind = pd.concat(persons, axis=1).min(axis=1)
    order = _row_order(values.index)
    frame = values.loc[order].rename_axis("Characteristic").reset_index()
    formats = dict.fromkeys(titles, ".1f")
    return DisplayTable(frame, behind.loc[order].reset_index(drop=True), formats)


def transition_type_shares(panels: Sequence[CareerPanel]) -> pd.DataFrame:
    """Return the share of each type of transition.

    Returns:
        Columns `dataset`, `transition_type`, `transitions`, `share` (0 to 1) and `workers` (that have
        such transitions).
    """
    parts = []
    for panel in panels:
        counts = transitions(panel).groupby("transition_type")["worker_id"].agg(["size", "nunique"])
        counts = counts.reindex([name for name in TRANSITION_TYPES if name in counts.index]).reset_index()
        counts.columns = ["transition_type", "transitions", "workers"]
        counts.insert(0, "dataset", panel.dataset)
        counts.insert(3, "share", counts["transitions"] / counts["transitions"].sum())
        parts.append(counts)
    return pd.concat(parts, ignore_index=True)


def main_comparison(bootstrap: pd.DataFrame, labels: Mapping[str, str] | None = None) -> DisplayTable:
    """Put the perplexity of every model with its standard errors side by side, two or three columns a data set.

    Args:
        bootstrap: as `evaluation.bootstrap_perplexity` returns it: `dataset`, `model`, `perplexity`,
            `test_se`, `transitions`, `workers`; where `evaluation.training_bootstrap.combined_errors` has added
            `train_se`, it is shown, empty for models that were not refitted.
        labels: how to call a model or data set; its name where there is none.
    """
    models = bootstrap["model"].drop_duplicates()
    datasets = bootstrap["dataset"].drop_duplicates().tolist()
    frame = pd.DataFrame({"Model": [*_labelled(models, labels), "Test transitions", "Test workers"]})
    formats, workers = {}, []
    for dataset in datasets:
        part = bootstrap.loc[bootstrap["dataset"] == dataset].set_index("model")
        prefix = f"{_labelled([dataset], labels)[0]}: " if len(datasets) > 1 else ""
        counts = [int(part["transitions"].iloc[0]), int(part["workers"].iloc[0])]
        frame[f"{prefix}Perplexity"] = pd.Series([*part["perplexity"].reindex(models), *counts], dtype=object)
        frame[f"{prefix}TestSE"] = pd.Series([*part["test_se"].reindex(models), "", ""], dtype=object)
        formats |= {f"{prefix}Perplexity": ".2f", f"{prefix}TestSE": "({:.2f})"}
        if "train_se" in part:
            frame[f"{prefix}TrainSE"] = pd.Series([*part["train_se"].reindex(models), "", ""], dtype=object)
            formats[f"{prefix}TrainSE"] = "[{:.2f}]"
        workers.append(counts[1])
    return DisplayTable(frame, pd.Series([min(workers)] * len(frame)), formats)


def paired_differences(differences: pd.DataFrame, labels: Mapping[str, str] | None = None) -> DisplayTable:
    """List paired differences in perplexity with their TestSE and 95 % intervals.

    Args:
        differences: as `evaluation.bootstrap_differences` returns it: `dataset`, `model`, `reference`,
            `difference`, `test_se`, `ci_low`, `ci_high`, `z`, `workers`; and `train_se` and `total_se` where there
            are refits.
        labels: how to call a model or data set; its name where there is none.
    """
    rows = difference_labels(differences, labels)
    frame = pd.DataFrame(
        {
            "Comparison": rows["label"],
            "Difference": rows["difference"],
            "TestSE": rows["test_se"],
            "95 % from": rows["ci_low"],
            "95 % to": rows["ci_high"],
            "z": rows["z"],
        }
    )
    formats = dict.fromkeys(["Difference", "95 % from", "95 % to"], ".2f") | {
        "TestSE": "({:.2f})",
        "z": ".1f",
    }
    if "train_se" in rows:
        frame.insert(3, "TrainSE", rows["train_se"])
        frame.insert(4, "Both", rows["total_se"])
        formats |= {"TrainSE": "[{:.2f}]", "Both": ".2f"}
    return _with_dataset(frame, rows, labels, formats)


def difference_labels(differences: pd.DataFrame, labels: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Return paired differences with a column `label`, 'model − reference', as `figures` draws them."""
    model = _labelled(differences["model"], labels)
    reference = _labelled(differences["reference"], labels)
    names = [f"{left} \u2212 {right}" for left, right in zip(model, reference, strict=True)]
    return differences.assign(label=names).reset_index(drop=True)


def family_errors(
    by_worker: pd.DataFrame, by_family: pd.DataFrame, labels: Mapping[str, str] | None = None
) -> DisplayTable:
    """Put the test-set bootstrap errors of resampled workers beside those of resampled families.

    Args:
        by_worker: as `evaluation.bootstrap_perplexity` returns it.
        by_family: as `evaluation.perplexity.bootstrap_families` does: models of data sets without families are not in
            it, and have empty cells.
        labels: how to call a model or data set; its name where there is none.
    """
    keys = ["dataset", "model"]
    rows = by_worker.merge(
        by_family[[*keys, "test_se", "families"]], on=keys, how="left", suffixes=("", "_families")
    )
    frame = pd.DataFrame(
        {
            "Model": _labelled(rows["model"], labels),
            "Perplexity": rows["perplexity"],
            "TestSE, workers": rows["test_se"],
            "TestSE, families": rows["test_se_families"],
            "Ratio": rows["test_se_families"] / rows["test_se"],
            "Workers": rows["workers"],
            "Families": rows["families"].astype("Int64"),
        }
    )
    formats = dict.fromkeys(["Perplexity", "Ratio"], ".2f") | dict.fromkeys(
        ["TestSE, workers", "TestSE, families"], "({:.2f})"
    )
    return _with_dataset(frame, rows, labels, formats)


def transition_types(bootstrap: pd.DataFrame, labels: Mapping[str, str] | None = None) -> DisplayTable:
    """Put perplexities by type of transition side by side; none of a data set where a type has too few workers.

    Args:
        bootstrap: as `evaluation.bootstrap_perplexity(..., by='transition_type')` returns it.
        labels: how to call a model or data set; its name where there is none.
    """
    values = ["perplexity", "test_se"]
    shown = bootstrap.copy()
    # One type that rests on too few could be computed from the others and the total, so none is shown then.
    enough = (shown["workers"] >= MINIMUM_PERSONS).groupby(shown["dataset"]).transform("all")
    shown[values] = shown[values].where(enough)
    rows = shown[["dataset", "model"]].drop_duplicates(ignore_index=True)
    index = pd.MultiIndex.from_frame(rows)
    frame, formats = pd.DataFrame({"Model": _labelled(rows["model"], labels)}), {}
    for kind in [name for name in TRANSITION_TYPES if name in set(shown["transition_type"])]:
        part = shown.loc[shown["transition_type"] == kind].set_index(["dataset", "model"]).reindex(index)
        frame[kind.capitalize()] = part["perplexity"].to_numpy()
        frame[f"TestSE ({kind})"] = part["test_se"].to_numpy()
        formats |= {kind.capitalize(): ".2f", f"TestSE ({kind})": "({:.2f})"}
    # Where nothing is shown, nothing rests on the smaller types, and the largest stands for the row.
    counts = shown.groupby(["dataset", "model"], sort=False)["workers"].agg(["min", "max"])
    rows["workers"] = counts["min"].where(counts["min"] >= MINIMUM_PERSONS, counts["max"]).to_numpy()
    return _with_dataset(frame, rows, labels, formats)


def value_of_fine_tuning(
    bootstrap: pd.DataFrame,
    normalised: pd.DataFrame,
    masses: pd.DataFrame,
    labels: Mapping[str, str] | None = None,
) -> DisplayTable:
    """Put unnormalised and normalised perplexity and the valid mass of each model side by side.

    Args:
        bootstrap: as `evaluation.bootstrap_perplexity` returns it.
        normalised: the same with `normalised=True`.
        masses: as `valid_mass_quantiles` returns it.
        labels: how to call a model or data set; its name where there is none.
    """
    keys = ["dataset", "model"]
    wanted = normalised[[*keys, "perplexity", "test_se"]]
    rows = bootstrap.merge(wanted, on=keys, how="left", suffixes=("", "_normalised"))
    rows = rows.merge(masses[[*keys, "mean"]], on=keys, how="left")
    frame = pd.DataFrame(
        {
            "Model": _labelled(rows["model"], labels),
            "Perplexity": rows["perplexity"],
            "TestSE": rows["test_se"],
            "Normalised perplexity": rows["perplexity_normalised"],
            "TestSE (normalised)": rows["test_se_normalised"],
            "Mean valid mass": rows["mean"],
        }
    )
    formats = dict.fromkeys(["Perplexity", "Normalised perplexity"], ".2f") | {"Mean valid mass": ".3g"}
    return _with_dataset(
        frame, rows, labels, formats | dict.fromkeys(["TestSE", "TestSE (normalised)"], "({:.2f})")
    )


def beside_reference(
    bootstrap: pd.DataFrame,
    differences: pd.DataFrame,
    labels: Mapping[str, str] | None = None,
    described: pd.DataFrame | None = None,
    nats: bool = False,
) -> DisplayTable:
    """Put each model's perplexity beside its paired difference to a reference model, which has none.

    Args:
        bootstrap: as `evaluation.bootstrap_perplexity` returns it.
        differences: as `evaluation.bootstrap_differences` returns it; without rows if there is no other model.
        labels: how to call a model or data set; its name where there is none.
        described: `dataset`, `model` and further columns of each model, shown behind its name as they are called.
        nats: whether the difference is of the mean log-probability of a transition (nats, above zero the model is
            better) instead of the perplexity; for perplexities of other orders of magnitude.
    """
    keys, prefix = ["dataset", "model"], "log_prob_" if nats else ""
    shown = {
        f"{prefix}difference": "Gain in nats" if nats else "Difference",
        f"{prefix}test_se": "TestSE (gain)" if nats else "TestSE (difference)",
        f"{prefix}ci_low": "95 % from",
        f"{prefix}ci_high": "95 % to",
    }
    paired = differences.reindex(columns=[*keys, *shown]).rename(columns=shown)
    rows = bootstrap.merge(paired.astype(dict.fromkeys(keys, object)), on=keys, how="left", indicator=True)
    reference = rows["_merge"] == "left_only"
    frame = pd.DataFrame({"Model": _labelled(rows["model"], labels)})
    if described is not None:
        more = rows[keys].merge(described, on=keys, how="left").drop(columns=keys)
        frame = pd.concat([frame, more], axis=1)
    frame = frame.assign(Perplexity=rows["perplexity"], TestSE=rows["test_se"])
    for name in shown.values():
        frame[name] = rows[name].astype(object).mask(reference, "")
    formats = {
        name: "({:.2f})" if "SE" in name else ".2f" for name in ("Perplexity", "TestSE", *shown.values())
    }
    return _with_dataset(frame, rows, labels, formats)


def valid_mass_quantiles(
    predictions: Sequence[Predictions], labels: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """Return how the probability of all valid titles together is distributed over transitions.

    Returns:
        One row for each prediction that scored every title somewhere: `dataset`, `model`, `label`, `mean`,
        `q10`, `q25`, `q50`, `q75`, `q90` (probabilities), `transitions`, `workers`.
    """
    rows = []
    for prediction in predictions:
        scored = prediction.table.loc[prediction.scored_in_full]
        for dataset, part in scored.groupby("dataset", sort=False):
            mass = np.exp(part["log_valid_mass"].to_numpy())
            quantiles = {f"q{level:.0%}".rstrip("%"): np.quantile(mass, level) for level in _QUANTILES}
            counts = {"transitions": len(part), "workers": part["worker_id"].nunique()}
            identity = {"dataset": dataset, "model": prediction.model, "mean": mass.mean()}
            rows.append(identity | quantiles | counts)
    if not rows:
        raise InputError("No prediction has the scores of all titles. Score all titles of some transitions.")
    frame = pd.DataFrame(rows)
    frame.insert(2, "label", _labelled(frame["model"], labels))
    return frame


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


def _sizes(panel: CareerPanel, splits: Mapping[str, str]) -> list[tuple[str, object, int]]:
    frame, workers = panel.frame, len(panel.workers)
    counted = pd.Series(splits).value_counts()
    years = f"{frame['year'].min()}\u2013{frame['year'].max()}"
    rows = [
        ("Workers", workers),
        *((f"Workers, {name}", int(counted.get(name, 0))) for name in SPLITS),
        ("Records", len(frame)),
        ("Records per worker, mean", len(frame) / workers),
        ("Survey years", years),
        ("Job titles", len(panel.outcomes)),
        ("Job titles observed", int(frame["occupation"].nunique())),
    ]
    # Splits are made at random, so the size of one tells nothing about a person in it.
    return [(name, value, workers) for name, value in rows]


def _shares(panel: CareerPanel) -> list[tuple[str, object, int]]:
    static = panel.frame.drop_duplicates("worker_id")
    rows = [row for column, name in _STATIC_ROWS.items() for row in _share_rows(static, column, name)]
    rows += _share_rows(panel.frame, "education", "Education")
    return rows + _share_rows(transitions(panel), "transition_type", "Transition")


def _share_rows(frame: pd.DataFrame, column: str, name: str) -> list[tuple[str, object, int]]:
    shown = frame[column].map(pool_small_groups(frame.groupby(column)["worker_id"].nunique()))
    grouped = frame.groupby(shown.rename("group"))["worker_id"].agg(["size", "nunique"])
    return [
        (f"{name}: {group}, %", 100.0 * int(row["size"]) / len(frame), int(row["nunique"]))
        for group, row in grouped.loc[_group_order(grouped["size"])].iterrows()
    ]


def _group_order(sizes: pd.Series) -> list[str]:
    """Put transition types in their natural order, other groups by size, and the pool last."""
    rank = {name: position for position, name in enumerate(TRANSITION_TYPES)}
    by_size = sizes.sort_values(ascending=False, kind="stable").index
    return sorted(by_size, key=lambda name: (name == POOLED, rank.get(name, 0)))


def _row_order(names: pd.Index) -> list[str]:
    """Keep the order of first appearance, but rows of one characteristic together over data sets."""
    topics = list(dict.fromkeys(name.split(":")[0] for name in names))
    return sorted(names, key=lambda name: topics.index(name.split(":")[0]))


def _labelled(names: Iterable[str], labels: Mapping[str, str] | None) -> list[str]:
    return [(labels or {}).get(name, name) for name in names]


def _with_dataset(
    frame: pd.DataFrame,
    rows: pd.DataFrame,
    labels: Mapping[str, str] | None,
    formats: Mapping[str, str],
) -> DisplayTable:
    """Name the data set behind the row label where there is more than one."""
    if rows["dataset"].nunique() > 1:
        frame.insert(1, "Data set", _labelled(rows["dataset"], labels))
    return DisplayTable(frame, rows["workers"].reset_index(drop=True), formats)
