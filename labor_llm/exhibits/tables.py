"""Tables of how well models predict the next occupation, from the tidy results of `labor_llm.evaluation`.

Each function returns a `DisplayTable`. Groups that rest on too few persons are left out here, tasks that too few have,
or have not, before (`labor_llm.evaluation.binary_tasks`), so that the disclosure gate finds nothing to refuse.
`labels` says how to call a data set; its name where there is none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from labor_llm.careers.panel import TRANSITION_TYPES
from labor_llm.careers.predictions import Predictions
from labor_llm.disclosure import MINIMUM_PERSONS
from labor_llm.errors import InputError
from labor_llm.evaluation.binary_tasks import BINARY_TASKS, BinaryEvents
from labor_llm.evaluation.calibration import BINS
from labor_llm.evaluation.comparison import LeftOut
from labor_llm.exhibits.formatting import MINUS, SE, DisplayTable, DisplayText, blank, signed, table

NOT_COMPARABLE = "not comparable with"
_KEYS = ["dataset", "model"]
_MODEL = {"model": "Model", "dataset": "Data set"}
_ERRORS = {
    "perplexity": ("Perplexity", ".2f"),
    "test_se": ("TestSE", SE),
    "train_se": ("TrainSE", "[{:.2f}]"),
}
_QUANTILES = (0.10, 0.25, 0.50, 0.75, 0.90)
_TASKS = {task.name: task.label for task in BINARY_TASKS}

Labels = Mapping[str, str] | None


def main_comparison(bootstrap: pd.DataFrame, labels: Labels = None) -> DisplayTable:
    """Put the perplexity of every model with its standard errors side by side, two or three columns a data set.

    Rows are as `evaluation.perplexity.bootstrap_perplexity` returns them; where
    `evaluation.perplexity.with_train_errors` has added `train_se`, it is shown, empty for models not refitted.
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

    Rows are as `evaluation.perplexity.bootstrap_differences` returns them; where there are refits with `train_se` and
    `total_se`.
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

    From `evaluation.perplexity.bootstrap_perplexity` and `bootstrap_families` there; models of data sets
    without families are not in the second and have empty cells.
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

    Rows are as `evaluation.perplexity.bootstrap_perplexity(..., by='transition_type')` returns them.
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

    From `evaluation.perplexity.bootstrap_perplexity`, the same with `normalised=True`, and `valid_mass_quantiles`.
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


def task_events(events: Sequence[BinaryEvents], labels: Labels = None) -> DisplayTable:
    """Count what each task rests on.

    Rows are as `evaluation.binary_tasks.shared_events` returns them.
    """
    rows = []
    for task in events:
        workers, with_event, without = (
            task.table.loc[kept, "worker_id"].nunique()
            for kept in (slice(None), task.outcomes, ~task.outcomes)
        )
        # Rounded down where those who never have the event would be told to be few.
        least = workers - MINIMUM_PERSONS + 1
        rows.append(
            {
                "Task": task.task.label,
                "Data set": (labels or {}).get(task.dataset, task.dataset),
                "Models": len(task.models),
                "Transitions": len(task.table),
                "Events": int(task.outcomes.sum()),
                "Events, %": 100.0 * task.outcomes.mean(),
                "Workers": workers,
                "Workers with an event": with_event if with_event < least else f"{least:,} or more",
                "workers": min(with_event, without),
            }
        )
    headings = (
        "Task", "Data set", "Models", "Transitions", "Events", "Events, %", "Workers", "Workers with an event",
    )  # fmt: skip
    columns = {heading: (heading, ".1f" if heading == "Events, %" else "") for heading in headings}
    return table("tab-binary-events", pd.DataFrame(rows), columns)


def left_out_in_words(left_out: Sequence[LeftOut], labels: Labels = None) -> DisplayText:
    """Return one sentence on what is not evaluated and why, what has the same reason together."""
    together: dict[tuple[str, str, str], list[str]] = {}
    for entry in left_out:
        together.setdefault((entry.dataset, entry.model, entry.reason), []).append(entry.what)
    parts = []
    for (dataset, model, reason), names in together.items():
        what = ", ".join(name[:1].lower() + name[1:] for name in names if name)
        words = [(labels or {}).get(dataset, dataset), model, what]
        parts.append(f"{': '.join(word for word in words if word)} ({reason})")
    sentence = f"Left out: {'; '.join(parts)}." if parts else "Nothing was left out."
    return DisplayText(sentence, "none")


def task_areas(areas: pd.DataFrame, labels: Labels = None) -> DisplayTable:
    """List the AUC of each model on each task, as `evaluation.ranking.bootstrap_auc` returns it."""
    columns = {
        "auc": ("AUC", ".3f"), "test_se": ("TestSE", "({:.3f})"), "ci_low": ("95 % from", ".3f"),
        "ci_high": ("95 % to", ".3f"),
    }  # fmt: skip
    return _by_task("tab-binary-tasks", areas, columns, labels)


def area_differences(differences: pd.DataFrame, labels: Labels = None) -> DisplayTable:
    """List differences in AUC to the best baseline, as `evaluation.ranking.differences_to_best` returns them."""
    columns = {
        "reference": "Best baseline", "difference": ("Difference in AUC", ".3f"), "test_se": ("TestSE", "({:.3f})"),
        "ci_low": ("95 % from", ".3f"), "ci_high": ("95 % to", ".3f"), "z": ("z", ".1f"),
    }  # fmt: skip
    return _by_task("tab-auc-differences", differences, columns, labels)


def model_in_words(differences: pd.DataFrame, model: str, labels: Labels = None) -> DisplayText:
    """Return a sentence on how a model ranks each event against the best baseline.

    Rows are as `evaluation.ranking.differences_to_best` returns them.
    """
    if differences.empty:
        return DisplayText(f"No task is evaluated, so there is no AUC of {model}.", "none")
    parts = []
    for row in differences[differences["model"] == model].to_dict("records"):
        verdict = compare_in_words(row["difference"], row["ci_low"], row["ci_high"])
        size = f" ({signed(row['difference'], 3)}, standard error {row['test_se']:.3f})"
        dataset, task = (labels or {}).get(row["dataset"], row["dataset"]), _TASKS[row["task"]].lower()
        words = f"{dataset}, {task}: {verdict} that of {row['reference']}"
        parts.append(words if verdict == NOT_COMPARABLE else words + size)
    sentence = f"The AUC of {model} is, by task: {'; '.join(parts)}."
    if not parts:
        sentence = f"{model} is in no task: it has no scores of other titles than the realised ones."
    return DisplayText(sentence, int(_persons(differences).min()))


def task_calibration(recalibrated: pd.DataFrame, errors: pd.DataFrame, labels: Labels = None) -> DisplayTable:
    """Put intercept and slope of the event on its stated log odds beside the expected calibration error.

    From `evaluation.calibration.recalibration` and `evaluation.calibration.calibration_errors` of the same tasks.
    """
    keys, rows = ["dataset", "task", "model"], recalibrated
    if len(rows):
        wanted = errors[[*keys, "calibration_error", "perfect_mean", "perfect_high"]]
        rows = rows.merge(wanted, on=keys, how="left", validate="one_to_one")
    columns = {
        "intercept": ("Intercept", ".2f"), "intercept_se": ("SE (intercept)", SE), "slope": ("Slope", ".2f"),
        "slope_se": ("SE (slope)", SE), "calibration_error": ("Calibration error", ".3f"),
        "perfect_mean": ("Perfect model, mean", ".3f"), "perfect_high": ("Perfect model, 95 %", ".3f"),
    }  # fmt: skip
    return _by_task("tab-binary-calibration", rows, columns, labels, {"bins": BINS})


def distribution_table(measured: pd.DataFrame, labels: Labels = None) -> DisplayTable:
    """Show what `evaluation.distribution_calibration.distribution_calibration` returns."""
    columns = {
        **_MODEL, "top_error": ("Top-title error", ".3f"), "top_perfect": ("Perfect model (top title)", ".3f"),
        "class_error": ("Class error", ".4f"), "class_perfect": ("Perfect model (class)", ".4f"),
        "classes": "Classes", "temperature": ("Temperature", ".2f"), "gain": ("Gain, nats", ".3f"),
        "test_se": ("TestSE (gain)", "({:.3f})"), "transitions": "Transitions",
    }  # fmt: skip
    return table("tab-distribution-calibration", measured, columns, labels=labels)


def _by_task(
    exhibit: str,
    rows: pd.DataFrame,
    columns: Mapping[str, str | tuple[str, str]],
    labels: Labels,
    numbers: Mapping[str, object] | None = None,
) -> DisplayTable:
    """Return the columns behind those that name model, task and data set."""
    first = {"model": "Model", "task": "Task", "dataset": "Data set"}
    return table(exhibit, rows.replace({"task": _TASKS}), first | columns, _persons(rows), labels, numbers)


def _persons(rows: pd.DataFrame) -> pd.Series:
    counts = [name for name in ("workers", "workers_with_event") if name in rows]
    return rows[counts].min(axis=1).astype(int).reset_index(drop=True)


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
