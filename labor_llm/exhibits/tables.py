"""Tables of how well models predict the next occupation, from the tidy results of `labor_llm.evaluation`.

Groups that rest on too few persons are left out here, tasks that too few have, or have not, before
(`labor_llm.evaluation.binary_tasks`), so that the disclosure gate finds nothing to refuse. `labels` says how to call a
data set; its name where there is none.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from labor_llm.careers.predictions import Predictions
from labor_llm.disclosure import MINIMUM_PERSONS, supported_quantile
from labor_llm.errors import InputError
from labor_llm.evaluation.binary_tasks import BinaryEvents
from labor_llm.evaluation.calibration import BINS
from labor_llm.evaluation.comparison import LeftOut
from labor_llm.evaluation.resampling import spread_of_mean
from labor_llm.exhibits.findings import told
from labor_llm.exhibits.formatting import MINUS, DisplayTable, DisplayText, Labels, blank, of_rows, table

_KEYS = ["dataset", "model"]
_HEADINGS = {"perplexity": "Perplexity", "test_se": "TestSE", "train_se": "TrainSE"}
_FORMATS = {"perplexity": ".2f", "test_se": "({:.2f})", "train_se": "[{:.2f}]"}
_MEAN = ("mean", "mean_se", "mean_low", "mean_high")
_QUANTILES = (0.10, 0.25, 0.50, 0.75, 0.90)


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
        for name in [name for name in _HEADINGS if name in part]:
            below, heading = counts if name == "perplexity" else ["", ""], prefix + _HEADINGS[name]
            frame[heading] = pd.Series([*part[name].reindex(models), *below], dtype=object)
            formats[heading] = _FORMATS[name]
        persons.append(counts[1])
    return DisplayTable("tab-main-comparison", frame, min(persons), formats)


def difference_labels(differences: pd.DataFrame, labels: Labels = None) -> pd.DataFrame:
    """Return paired differences with a column `label`, 'model − reference', as table and figure show them."""
    named = differences.assign(label=differences["model"] + f" {MINUS} " + differences["reference"])
    return named.replace({"dataset": labels or {}})


@of_rows("tab-household-errors")
def household_errors(
    by_household: pd.DataFrame, by_worker: pd.DataFrame, paired: pd.DataFrame, labels: Labels = None
) -> DisplayTable:
    """Put the test-set bootstrap errors of resampled workers beside those of resampled households.

    From `bootstrap_households`, `bootstrap_perplexity` and `bootstrap_differences` of `evaluation.perplexity`, the
    first and the last from the same reference models; data sets that do not tell households are left out.
    """
    differing = paired[[*_KEYS, "test_se"]].rename(columns={"test_se": "difference_se"})
    workers = by_worker[[*_KEYS, "perplexity", "test_se", "workers"]].merge(differing, on=_KEYS, how="left")
    wanted = by_household[[*_KEYS, "test_se", "difference_se", "households"]]
    rows = workers.merge(wanted, on=_KEYS, suffixes=("", "_households"))
    for name in ("difference_se", "difference_se_households"):
        rows[name] = blank(rows[name].astype(float))
    return table("tab-household-errors", rows, labels)


def transition_types(bootstrap: pd.DataFrame, labels: Labels = None) -> DisplayTable:
    """Put perplexities by type of transition side by side; none of a data set where a type has too few workers.

    Rows are as `evaluation.perplexity.bootstrap_perplexity(..., by='transition_type')` returns them.
    """
    # One type that rests on too few could be computed from the others and the total, so none is shown then.
    enough = (bootstrap["workers"] >= MINIMUM_PERSONS).groupby(bootstrap["dataset"]).transform("all")
    values = {"perplexity": "", "test_se": "_se"}
    shown = bootstrap.assign(**{name: bootstrap[name].where(enough.to_numpy()) for name in values})
    wide = shown.pivot(index=_KEYS, columns="transition_type", values=list(values))
    wide.columns = [kind + values[name] for name, kind in wide.columns]
    rows = bootstrap[_KEYS].drop_duplicates(ignore_index=True).join(wide, on=_KEYS)
    # Where nothing is shown, nothing rests on the smaller types, and the largest stands for the row.
    counts = bootstrap.groupby(_KEYS, sort=False)["workers"].agg(["min", "max"])
    rows["workers"] = counts["min"].where(counts["min"] >= MINIMUM_PERSONS, counts["max"]).to_numpy()
    return table("tab-transition-types", rows, labels)


def value_of_fine_tuning(
    bootstrap: pd.DataFrame, normalised: pd.DataFrame, masses: pd.DataFrame
) -> DisplayTable:
    """Put unnormalised and normalised perplexity and the valid mass of each model side by side.

    From `evaluation.perplexity.bootstrap_perplexity`, the same with `normalised=True`, and `valid_mass_quantiles`.
    """
    wanted = normalised[[*_KEYS, "perplexity", "test_se"]]
    rows = bootstrap.merge(wanted, on=_KEYS, how="left", suffixes=("", "_normalised"))
    return table("tab-value-of-fine-tuning", rows.merge(masses[[*_KEYS, *_MEAN]], on=_KEYS, how="left"))


def beside_reference(
    exhibit: str,
    bootstrap: pd.DataFrame,
    differences: pd.DataFrame,
    described: pd.DataFrame | None = None,
    nats: bool = False,
) -> DisplayTable:
    """Put each model's perplexity beside its paired difference to a reference model, which has none.

    From `evaluation.perplexity.bootstrap_perplexity` and `bootstrap_differences` there, which has no rows if there is
    no other model; `described` has `dataset`, `model` and what else the exhibit has a column for. With `nats` the
    difference is of the mean log-probability of a transition (above zero the model is better) instead of the
    perplexity: for perplexities of other orders of magnitude.
    """
    values = {
        ("log_prob_" if nats else "") + name: f"paired_{name}"
        for name in ("difference", "test_se", "ci_low", "ci_high")
    }
    paired = differences.reindex(columns=[*_KEYS, *values]).rename(columns=values)
    rows = bootstrap.merge(paired.astype(dict.fromkeys(_KEYS, object)), on=_KEYS, how="left", indicator=True)
    for name in values.values():
        rows[name] = blank(rows[name], rows["_merge"] == "left_only")
    return table(exhibit, rows if described is None else rows.merge(described, on=_KEYS, how="left"))


def title_frequency(exhibit: str, rows: pd.DataFrame) -> DisplayTable:
    """List models by how often a title stands in training records, from `evaluation.title_frequency`.

    The reference has no difference to itself.
    """
    paired = [name for name in rows if name.startswith("difference")]
    blanks = {name: blank(rows[name], rows["model"] == rows["reference"]) for name in paired}
    return table(exhibit, rows.assign(**blanks))


def valid_mass_quantiles(
    predictions: Sequence[Predictions], draws: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Return how the probability of all valid titles together is distributed over transitions.

    Returns:
        One row for each prediction that scored every title somewhere: `dataset`, `model`, `mean` with `mean_se`,
        `mean_low`, `mean_high` (from bootstrap samples of workers), `q10`, `q25`, `q50`, `q75`, `q90` (probabilities;
        NaN of too few workers), `transitions`, `workers`.

    Raises:
        InputError: if no prediction scored every title.
    """
    rows = []
    for prediction in predictions:
        scored = prediction.table.loc[prediction.scored_in_full]
        for dataset, part in scored.groupby("dataset", sort=False):
            mass = np.exp(part["log_valid_mass"])
            quantiles = {
                f"q{100 * q:.0f}": supported_quantile(mass, part["worker_id"], q) for q in _QUANTILES
            }
            counts = {"transitions": len(part), "workers": part["worker_id"].nunique()}
            error = spread_of_mean(mass.to_numpy(), pd.factorize(part["worker_id"])[0], draws, seed)
            mean = dict(zip(_MEAN, (mass.mean(), *error.values()), strict=True))
            rows.append({"dataset": dataset, "model": prediction.model} | mean | quantiles | counts)
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
                "task": task.task.label,
                "data": (labels or {}).get(task.dataset, task.dataset),
                "models": len(task.models),
                "transitions": len(task.table),
                "events": int(task.outcomes.sum()),
                "share": 100.0 * task.outcomes.mean(),
                "all_workers": workers,
                "with_event": with_event if with_event < least else f"{least:,} or more",
                "workers": min(with_event, without),
            }
        )
    return table("tab-binary-events", pd.DataFrame(rows))


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


def model_in_words(differences: pd.DataFrame, model: str, labels: Labels = None) -> DisplayText:
    """Return a sentence on how a model ranks each event against the best baseline.

    Rows are as `evaluation.binary_tasks.differences_to_best` returns them.
    """
    if differences.empty:
        return DisplayText(f"No task is evaluated, so there is no AUC of {model}.", "none")
    parts = [
        f"{(labels or {}).get(row['dataset'], row['dataset'])}, {row['task'].lower()}, against {row['reference']}: "
        + told(row["difference"], row["ci_low"], row["ci_high"], digits=3)
        for row in differences[differences["model"] == model].to_dict("records")
    ]
    sentence = f"AUC of {model} against the best baseline of each task. {'; '.join(parts)}."
    if not parts:
        sentence = f"{model} is in no task: it has no scores of other titles than the realised ones."
    return DisplayText(sentence, int(differences[["workers", "workers_with_event"]].min(axis=None)))


def areas(rows: pd.DataFrame, labels: Labels = None) -> DisplayTable:
    """List the AUC of each model and task with the workers it rests on, from `evaluation.binary_tasks.bootstrap_auc`.

    Those are the workers with the event or those without it, whoever are fewer.
    """
    fewer = rows.filter(["workers_with_event", "workers_without_event"]).min(axis=1)
    if len(rows):  # Of all workers but a few, that few have another outcome would be told by subtraction.
        most = (rows["workers"] - MINIMUM_PERSONS + 1).clip(lower=MINIMUM_PERSONS)
        fewer = fewer.clip(upper=most)
    return table("tab-binary-tasks", rows.assign(behind=fewer), labels)


def task_calibration(recalibrated: pd.DataFrame, errors: pd.DataFrame, labels: Labels = None) -> DisplayTable:
    """Put intercept and slope of the event on its stated log odds beside the expected calibration error.

    From `evaluation.calibration.recalibration` and `evaluation.calibration.calibration_errors` of the same tasks.
    """
    keys, rows = ["dataset", "task", "model"], recalibrated
    if len(rows):
        wanted = errors[[*keys, "calibration_error", "perfect_mean", "perfect_high"]]
        rows = rows.merge(wanted, on=keys, how="left", validate="one_to_one")
    return table("tab-binary-calibration", rows, labels, numbers={"bins": BINS})
