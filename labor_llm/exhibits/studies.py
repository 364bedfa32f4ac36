"""Tables and sentences of the chapters on groups, covariates, training careers, history, horizons and change.

Groups below eleven workers were pooled before; what could not be pooled is left out here. `labels` says how to call a
data set; its name where there is none.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from labor_llm.careers.predictions import Predictions, model_labels
from labor_llm.careers.samples import ALL_YEARS, AS_MANY, UP_TO, stored_training_data
from labor_llm.disclosure import MINIMUM_PERSONS
from labor_llm.errors import InputError
from labor_llm.evaluation.covariates import TOGETHER
from labor_llm.evaluation.history_length import ALL
from labor_llm.evaluation.perplexity import differences_of
from labor_llm.exhibits.findings import against_reference, told
from labor_llm.exhibits.formatting import (
    EN_DASH,
    MINUS,
    DisplayTable,
    DisplayText,
    Labels,
    blank,
    of_rows,
    table,
)
from labor_llm.store.results import Results

_TRAININGS = {ALL_YEARS: "all", AS_MANY: "many", UP_TO: "early"}


def group_perplexity(measured: pd.DataFrame, labels: Labels = None) -> DisplayTable:
    """List the perplexity of each model in each group, from `evaluation.groups.group_performance`."""
    return table("tab-group-perplexity", _of_groups(measured, "perplexity"), labels)


def group_tasks(measured: pd.DataFrame, labels: Labels = None) -> DisplayTable:
    """Put AUC and calibration error of each model in each group side by side.

    Beside the error stands what a model that is right would show on the same transitions, mean and 95th percentile.

    Rows are as `evaluation.groups.group_performance` returns them, of one task.
    """
    keys, perfect = ["dataset", "characteristic", "group", "model"], ["perfect_mean", "perfect_high"]
    errors = _of_groups(measured, "calibration_error")[[*keys, "value", *perfect]]
    rows = _of_groups(measured, "auc").drop(columns=perfect)
    return table(
        "tab-group-tasks", rows.merge(errors, on=keys, how="left", suffixes=("", "_of_error")), labels
    )


def _of_groups(measured: pd.DataFrame, measure: str) -> pd.DataFrame:
    rows = measured[(measured["measure"] == measure) & (measured["workers"] >= MINIMUM_PERSONS)]
    # Numbers on few workers with the event are missing already, and the row rests on all of the group.
    rows = rows.drop(columns="workers_with_event", errors="ignore")
    return rows.assign(group=rows["characteristic"].str.capitalize() + ": " + rows["group"].astype(str))


@of_rows()
def covariates_in_words(values: pd.DataFrame, model: str) -> DisplayText:
    """Return a sentence on what all covariates together (the only one, if there is one) are worth to a model.

    Rows are as `evaluation.covariates.value_of_covariates` returns them.
    """
    own = values[values["model"] == model]
    row = (own[own["covariate"] == TOGETHER] if len(own) > 1 else own).iloc[0]
    what = "all of them" if len(own) > 1 else row["covariate"]
    words = (
        f"Perplexity of {model} with {what} exchanged, against that with the workers' own: "
        f"{told(row['difference'], row['ci_low'], row['ci_high'])}, over {row['transitions']:,} transitions of "
        f"{row['workers']:,} workers and {row['seeds']} permutations."
    )
    return DisplayText(words, int(values["workers"].min()))


def training_sizes(results: Results, dataset: str, models: Sequence[str]) -> pd.DataFrame:
    """Return how many careers each model was fine-tuned on, from its manifest.

    Its short name is also that of its predictions.

    Returns:
        Columns `dataset`, `model` (what its predictions call it), `own` and `others` (training workers of the data set
        and of other ones, each counted once), `repeats` (how often an own career occurs in an epoch) and `steps`
        (optimiser steps).

    Raises:
        ArtefactError: if a model is missing or was changed.
        InputError: if a model does not say what it was trained on.
    """
    labels = model_labels(results, [dataset], models)
    rows = []
    for model in models:
        data = stored_training_data(results.model(dataset, model))
        others = sum(data["other_workers"].values())
        rows.append((dataset, labels[model], data["own_workers"], others, data["own_repeats"], data["steps"]))
    return pd.DataFrame(rows, columns=["dataset", "model", "own", "others", "repeats", "steps"])


def pooled_pairs(
    predictions: Sequence[Predictions], sizes: pd.DataFrame, draws: int = 1000, seed: int = 0
) -> DisplayTable:
    """List the differences of the model with the most careers of other data sets from each other model.

    The predictions are of the models of `training_sizes`; there are no rows if none of them has others' careers.
    """
    most = sizes.loc[sizes["others"].idxmax()]
    models = [prediction.model for prediction in predictions]
    rows = (
        differences_of(predictions, most["model"], models, draws, seed) if most["others"] else pd.DataFrame()
    )
    return table("tab-pooled-pairs", rows)


@of_rows("tab-history-length")
def history_lengths(lengths: pd.DataFrame) -> DisplayTable:
    """List perplexity by length of the history shown, and its difference to the whole history.

    Rows are as `evaluation.history_length.history_lengths` returns them.
    """
    # The whole history has no difference to itself: an empty cell says so better than a missing value.
    empty = ("difference", "difference_se", "difference_low", "difference_high")
    rows = lengths.assign(**{name: blank(lengths[name], lengths["shown"] == ALL) for name in empty})
    counts = {name: int(lengths[name].min()) for name in ("transitions", "workers")}
    # By number, of each unit; the whole history has none.
    longest = lengths.dropna(subset="number").sort_values("number").groupby("unit")["shown"].last()
    return table("tab-history-length", rows, numbers={**counts, "longest": " and ".join(longest)})


@of_rows()
def history_sentence(lengths: pd.DataFrame, model: str) -> DisplayText:
    """Say how much a model loses with the shortest history that is shown, and the shortest with which it loses nothing.

    Rows are as `evaluation.history_length.history_lengths` returns them.
    """
    rows = lengths[lengths["model"] == model]
    shorter = rows[rows["shown"] != ALL]
    whole = rows.loc[rows["shown"] == ALL, "perplexity"].iloc[0]
    first = shorter.iloc[0]
    ends = []
    for unit, part in shorter.groupby("unit", sort=False):
        untold = part.loc[(part["difference_low"] <= 0.0) & (part["difference_high"] >= 0.0), "number"]
        fewest = f"The fewest {unit} with which no difference can be told are {untold.min()}."
        every = f"Every number of {unit} that was tried differs from the whole history."
        ends.append(every if untold.empty else fewest)
    shown = first["shown"].removeprefix("1 ")
    words = (
        f"Shown the last {shown} alone, {model} has a perplexity of {first['perplexity']:.2f}, of {whole:.2f} where "
        f"all are shown: {told(*first[['difference', 'difference_low', 'difference_high']])}. {' '.join(ends)}"
    )
    return DisplayText(words, int(lengths["workers"].min()))


@of_rows("tab-history-available")
def history_available(groups: pd.DataFrame) -> DisplayTable:
    """Put perplexities with each number of records shown side by side, by the number of records there are.

    Rows are as `evaluation.history_length.history_lengths_by_available` returns them.
    """
    keys = ["model", "available", "available_label"]
    numbers = sorted(groups["number"].dropna().unique())
    headings = {number: f"Last {number}" for number in numbers}
    by_number = {number: part.set_index(keys) for number, part in groups.groupby("number")}
    wide = pd.concat({headings[number]: by_number[number]["perplexity"] for number in numbers}, axis=1).apply(
        blank
    )
    whole, difference = groups[groups["shown"] == ALL].set_index(keys), f"Last {numbers[0]} {MINUS} all"
    wide["All"] = whole["perplexity"]
    beside = by_number[numbers[0]][["difference", "difference_se"]]
    rows = whole[["transitions", "workers"]].join(wide).join(beside).reset_index()
    names = {
        "model": "Model", "available_label": "Records available", "transitions": "Transitions",
        "difference": difference, "difference_se": "TestSE",
    }  # fmt: skip
    formats = dict.fromkeys([*wide, difference], ".2f") | {"TestSE": "({:.2f})"}
    frame = rows.drop(columns=["available", "workers"]).rename(columns=names)
    return DisplayTable("tab-history-available", frame, rows["workers"], formats)


@of_rows("tab-horizon-perplexity")
def horizon_perplexities(agreement: pd.DataFrame) -> DisplayTable:
    """Put direct and compounded predictions side by side: perplexity, and the paired difference in log-probability.

    The difference and its interval are empty where paths were drawn: the logarithm of an average over them is too low
    on average, so the difference would favor direct predictions whatever the model.

    Rows are as `evaluation.horizons.agreement_by_model` returns them.
    """
    empty = ("log_prob_difference", "test_se", "ci_low", "ci_high")
    rows = agreement.assign(**{name: blank(agreement[name], ~agreement["exact"]) for name in empty})
    rows["compounded_perplexity_mc"] = blank(rows["compounded_perplexity_mc"], rows["exact"])
    return table("tab-horizon-perplexity", rows)


@of_rows("tab-horizon-agreement")
def horizon_agreement(agreement: pd.DataFrame, truth: pd.DataFrame) -> DisplayTable:
    """List how far direct and compounded predictions agree and, of a simulated market, how far each is from the truth.

    From `evaluation.horizons.agreement_by_model` and `evaluation.horizons.truth_by_model`; if the second has no rows
    nothing is said of the truth.
    """
    errors = ("correlation_mc", "total_variation_mc", "kl_direct_compounded_mc", "scatter")
    rows = agreement.assign(**{name: blank(agreement[name], agreement["exact"]) for name in errors})
    if len(truth):
        known = [name for name in truth if name not in ("model", "years")]
        rows = rows.merge(truth, on=["model", "years"], how="left")
        rows[known] = rows[known].apply(blank)
    return table("tab-horizon-agreement", rows)


@of_rows()
def horizon_sentence(agreement: pd.DataFrame) -> DisplayText:
    """Say for the first horizon with sums over all paths which way predicts what happens better.

    Models are counted whose interval tells. Those whose paths were drawn are named and not counted, as the difference
    favors direct predictions there whatever the model.

    Rows are as `evaluation.horizons.agreement_by_model` returns them.
    """
    persons = int(agreement["workers"].min())
    exact = agreement[agreement["exact"]]
    if exact.empty:
        return DisplayText(
            "Paths were drawn for every model, so which way predicts what happens better cannot be told: the logarithm "
            "of an average over drawn paths is too low on average.",
            persons,
        )
    years = exact["years"].iloc[0]
    rows = exact[exact["years"] == years]
    drawn = agreement.loc[(agreement["years"] == years) & ~agreement["exact"], "model"]
    direct, compounded = (rows["ci_low"] > 0.0).sum(), (rows["ci_high"] < 0.0).sum()
    words = (
        f"Over {years} years, {compounded} of {len(rows)} models with the exact sum predict what happens better "
        f"compounded and {direct} better directly by the 95 % interval of the difference; of the others it cannot be "
        f"told. Direct and compounded probabilities of what happened correlate between {rows['correlation'].min():.2f} "
        f"and {rows['correlation'].max():.2f}."
    )
    uncounted = f" Not counted, as paths were drawn: {', '.join(drawn)}." if len(drawn) else ""
    return DisplayText(words + uncounted, persons)


@of_rows("tab-structural-change")
def before_and_after(periods: pd.DataFrame) -> DisplayTable:
    """Put what models were trained on side by side, one row for each model and period.

    Rows are as `evaluation.structural_change.before_and_after` returns them.
    """
    keys, values = ["model", "period"], ["perplexity", "difference", "difference_se"]
    wide = periods.pivot(index=keys, columns="training", values=values)
    wide.columns = [f"{name}_{_TRAININGS[training]}" for name, training in wide.columns]
    for name in (f"{name}_{training}" for name in values for training in _TRAININGS.values()):
        wide[name] = blank(wide[name]) if name in wide else ""
    rows = periods.groupby(keys, sort=False)["workers"].min().to_frame().join(wide).reset_index()
    rows["period"] = rows["period"].str.replace("-", EN_DASH)
    return table("tab-structural-change", rows)


@of_rows()
def structural_change_sentence(periods: pd.DataFrame, last_year: int) -> DisplayText:
    """Say for each model what the end of training with `last_year` costs after it, against training on all years.

    Rows are as `evaluation.structural_change.before_and_after` returns them.

    Raises:
        InputError: if no period begins with the year after it.
    """
    later = periods["period"].str.startswith(f"{last_year + 1}-")
    after = periods[later & (periods["training"] == ALL_YEARS)]
    if after.empty:
        raise InputError(f"no period begins after {last_year}. Give the last_year of before_and_after.")
    # In the place of the intervals of the perplexities themselves.
    paired = {f"ci_{end}": after[f"difference_{end}"] for end in ("low", "high")}
    years = after["period"].max().replace("-", EN_DASH)
    what = f"of training that ended before, in {years}, against training on all years"
    return against_reference(after.assign(**paired, dataset=""), what=what)
