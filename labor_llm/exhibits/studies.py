"""Tables of demographics: performance by group of workers, and what covariates are worth to a model.

Each returns a `DisplayTable`, see `labor_llm.exhibits.tables`. Groups below eleven workers were pooled before
(`labor_llm.evaluation.groups`); what could not be pooled is left out here.

Sentences of the chapters on history length, horizons and structural change, from their tidy results.

Tables of the chapter on horizons, see `labor_llm.exhibits.tables`.

Models by the careers that they were fine-tuned on: columns for a table, and a figure.

Tables of the chapter on history length, see `labor_llm.exhibits.tables`.

The table of the chapter on structural change, see `labor_llm.exhibits.tables`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from labor_llm.careers.predictions import model_labels
from labor_llm.careers.samples import ALL_YEARS, AS_MANY, UP_TO, stored_training_data
from labor_llm.disclosure import MINIMUM_PERSONS
from labor_llm.errors import InputError
from labor_llm.evaluation.covariates import TOGETHER
from labor_llm.evaluation.history_length import ALL
from labor_llm.exhibits.figures import figure_style
from labor_llm.exhibits.tables import NOT_COMPARABLE, DisplayTable, compare_in_words
from labor_llm.store.results import Results

_KEYS = ["dataset", "characteristic", "group", "model"]


def group_perplexity(measured: pd.DataFrame, labels: Mapping[str, str] | None = None) -> DisplayTable:
    """List the perplexity of each model in each group with its standard error and 95 % interval.

    Args:
        measured: as `evaluation.group_performance` returns it.
        labels: how to call a data set; its name where there is none.
    """
    rows = _shown(measured, "perplexity")
    frame = _named(rows, labels).assign(
        **{
            "Perplexity": rows["value"].to_numpy(),
            "TestSE": rows["test_se"].to_numpy(),
            "95 % from": rows["ci_low"].to_numpy(),
            "95 % to": rows["ci_high"].to_numpy(),
            "Transitions": rows["transitions"].to_numpy(),
            "Workers": rows["workers"].to_numpy(),
        }
    )
    formats = dict.fromkeys(["Perplexity", "95 % from", "95 % to"], ".2f") | {"TestSE": "({:.2f})"}
    return DisplayTable(frame, rows["workers"].astype(int), formats)


def group_tasks(measured: pd.DataFrame, labels: Mapping[str, str] | None = None) -> DisplayTable:
    """Put AUC and calibration error of each model in each group side by side.

    Beside the error stands what a model that is right would show on the same transitions, mean and 95th percentile.

    Args:
        measured: as `evaluation.group_performance` returns it, of one task.
        labels: how to call a data set; its name where there is none.
    """
    rows = _shown(measured, "auc")
    errors = _shown(measured, "calibration_error").set_index(_KEYS)
    errors = errors.reindex(pd.MultiIndex.from_frame(rows[_KEYS]))
    frame = _named(rows, labels).assign(
        **{
            "AUC": rows["value"].to_numpy(),
            "TestSE": rows["test_se"].to_numpy(),
            "95 % from": rows["ci_low"].to_numpy(),
            "95 % to": rows["ci_high"].to_numpy(),
            "Calibration error": errors["value"].to_numpy(),
            "Perfect model, mean": errors["perfect_mean"].to_numpy(),
            "Perfect model, 95 %": errors["perfect_high"].to_numpy(),
            "Workers": rows["workers"].to_numpy(),
        }
    )
    numbers = [name for name in frame.columns if name not in ("Group", "Model", "Data set", "Workers")]
    formats = dict.fromkeys(numbers, ".3f") | {"TestSE": "({:.3f})"}
    return DisplayTable(frame, rows["workers"].astype(int), formats)


def covariate_values(values: pd.DataFrame) -> DisplayTable:
    """List how much worse each model predicts with covariates exchanged among workers.

    Args:
        values: as `evaluation.covariates.value_of_covariates` returns it, of one or more models.
    """
    frame = pd.DataFrame(
        {
            "Covariate": values["covariate"].tolist(),
            "Model": values["model"].tolist(),
            "Difference": values["difference"].to_numpy(),
            "TestSE": values["test_se"].to_numpy(),
            "95 % from": values["ci_low"].to_numpy(),
            "95 % to": values["ci_high"].to_numpy(),
            "SD over seeds": values["seed_sd"].to_numpy(),
            "Log-probability, nats": values["log_prob_difference"].to_numpy(),
            "TestSE (nats)": values["log_prob_test_se"].to_numpy(),
        }
    )
    formats = dict.fromkeys(["Difference", "95 % from", "95 % to", "SD over seeds"], ".2f")
    formats |= {"TestSE": "({:.2f})", "Log-probability, nats": ".4f", "TestSE (nats)": "({:.4f})"}
    return DisplayTable(frame, values["workers"].astype(int).reset_index(drop=True), formats)


def covariate_labels(values: pd.DataFrame, dataset: str) -> pd.DataFrame:
    """Return the values with a column `label`, 'covariate: model', as `figures.paired_differences` draws them.

    Args:
        values: as for `covariate_values`.
        dataset: what tables call the data set.
    """
    names = [f"{row.covariate}: {row.model}" for row in values.itertuples()]
    return values.assign(label=names, dataset=dataset).reset_index(drop=True)


def covariates_in_words(values: pd.DataFrame, model: str) -> str:
    """Return a sentence on what all covariates together (the only one, if there is one) are worth to a model.

    Args:
        values: as for `covariate_values`.
        model: name of the model.
    """
    own = values[values["model"] == model]
    row = (own[own["covariate"] == TOGETHER] if len(own) > 1 else own).iloc[0]
    verdict = compare_in_words(row["difference"], row["ci_low"], row["ci_high"])
    what = "all of them" if len(own) > 1 else row["covariate"]
    difference = f"{row['difference']:+.2f}".replace("-", "\u2212")
    size = f": the difference is {difference} with a standard error of {row['test_se']:.2f}"
    if verdict == NOT_COMPARABLE:
        size = ", as their difference has no finite interval"
    return (
        f"With {what} exchanged the perplexity of {model} is {verdict} that with the workers' own{size}, over "
        f"{row['transitions']:,} transitions of {row['workers']:,} workers and {row['seeds']} permutations."
    )


def _shown(measured: pd.DataFrame, measure: str) -> pd.DataFrame:
    rows = measured[(measured["measure"] == measure) & (measured["workers"] >= MINIMUM_PERSONS)]
    return rows.reset_index(drop=True)


def _named(rows: pd.DataFrame, labels: Mapping[str, str] | None) -> pd.DataFrame:
    names = rows["characteristic"].str.capitalize() + ": " + rows["group"].astype(str)
    frame = pd.DataFrame({"Group": names, "Model": rows["model"]})
    if rows["dataset"].nunique() > 1:
        frame.insert(1, "Data set", [(labels or {}).get(name, name) for name in rows["dataset"]])
    return frame


EN_DASH = "\u2013"


def history_sentence(lengths: pd.DataFrame, model: str) -> str:
    """Say how much a model loses where only the fewest records are shown, and the fewest with which it loses nothing.

    Args:
        lengths: as `labor_llm.evaluation.history_length.history_lengths` returns it.
        model: one of its models.
    """
    rows = lengths[lengths["model"] == model]
    shorter = rows[rows["records"] != ALL]
    whole = rows.loc[rows["records"] == ALL, "perplexity"].iloc[0]
    first = shorter.iloc[0]
    shown = "the last record" if first["records"] == "1" else f"the last {first['records']} records"
    told = shorter[(shorter["difference_low"] <= 0.0) & (shorter["difference_high"] >= 0.0)]
    start = (
        f"Shown {shown} alone, {model} has a perplexity of {first['perplexity']:.2f}; shown the whole history, "
        f"{whole:.2f} (difference {first['difference']:.2f}, TestSE {first['difference_se']:.2f}). "
    )
    if told.empty:
        return (
            start
            + "Every number of records that was tried differs from the whole history by its 95 % interval."
        )
    return start + (
        f"The fewest records with which the 95 % interval of the difference holds zero are {told['records'].iloc[0]}."
    )


def horizon_sentence(agreement: pd.DataFrame) -> str:
    """Say for the first horizon with sums over all paths which way predicts what happens better.

    Models are counted whose interval tells. Those whose paths were drawn are named and not counted, as the difference
    favors direct predictions there whatever the model.

    Args:
        agreement: as `labor_llm.evaluation.horizons.agreement_by_model` returns it.
    """
    exact = agreement[agreement["exact"]]
    if exact.empty:
        return (
            "Paths were drawn for every model, so which way predicts what happens better cannot be told: the logarithm "
            "of an average over drawn paths is too low on average."
        )
    years = exact["years"].iloc[0]
    rows = exact[exact["years"] == years]
    drawn = agreement.loc[(agreement["years"] == years) & ~agreement["exact"], "model"]
    direct, compounded = (rows["ci_low"] > 0.0).sum(), (rows["ci_high"] < 0.0).sum()
    told = (
        f"Over {years} years, {compounded} of {len(rows)} models with the exact sum predict what happens better "
        f"compounded and {direct} better directly by the 95 % interval of the difference; of the others it cannot be "
        f"told. Direct and compounded probabilities of what happened correlate between {rows['correlation'].min():.2f} "
        f"and {rows['correlation'].max():.2f}."
    )
    return told + (f" Not counted, as paths were drawn: {', '.join(drawn)}." if len(drawn) else "")


def structural_change_sentence(periods: pd.DataFrame, last_year: int) -> str:
    """Say for each model what the earlier end of training costs after it, against training on all years.

    Args:
        periods: as `labor_llm.evaluation.structural_change.before_and_after` returns it.
        last_year: of the training that ends early.

    Raises:
        InputError: if no period begins with the year after it.
    """
    later = periods["period"].str.startswith(f"{last_year + 1}-")
    after = periods[later & (periods["training"] == ALL_YEARS)]
    if after.empty:
        raise InputError(f"no period begins after {last_year}. Give the last_year of before_and_after.")
    costs = [
        f"{row.model} {row.difference:+.2f} (TestSE {row.difference_se:.2f})" for row in after.itertuples()
    ]
    years = after["period"].max().replace("-", EN_DASH)
    return (
        f"In {years}, training that ended before differs in perplexity from "
        f"training on all years by: {'; '.join(costs)}. Positive values are losses."
    )


def horizon_perplexities(agreement: pd.DataFrame) -> DisplayTable:
    """Put direct and compounded predictions side by side: perplexity, and the paired difference in log-probability.

    The difference and its interval are empty where paths were drawn: the logarithm of an average over them is too low
    on average, so the difference would favor direct predictions whatever the model.

    Args:
        agreement: as `labor_llm.evaluation.horizons.agreement_by_model` returns it.
    """
    difference, error, low, high = (
        agreement[column].astype(object).where(agreement["exact"], "").to_numpy()
        for column in ("log_prob_difference", "test_se", "ci_low", "ci_high")
    )
    frame = pd.DataFrame(
        {
            "Model": agreement["model"],
            "Years ahead": agreement["years"],
            "Direct": agreement["direct_perplexity"],
            "Compounded": agreement["compounded_perplexity"],
            "Difference, nats": difference,
            "TestSE": error,
            "95 % from": low,
            "95 % to": high,
            "Questions": agreement["transitions"],
            "Workers": agreement["workers"],
        }
    )
    formats = dict.fromkeys(["Direct", "Compounded"], ".2f") | {"TestSE": "({:.3f})"}
    formats |= dict.fromkeys(["Difference, nats", "95 % from", "95 % to"], ".3f")
    return DisplayTable(frame, agreement["workers"].reset_index(drop=True), formats)


def horizon_agreement(agreement: pd.DataFrame, truth: pd.DataFrame) -> DisplayTable:
    """List how far direct and compounded predictions agree and, of a simulated market, how far each is from the truth.

    Args:
        agreement: as `labor_llm.evaluation.horizons.agreement_by_model` returns it.
        truth: as `labor_llm.evaluation.horizons.truth_by_model` returns it; without rows nothing is said of it.
    """
    frame = pd.DataFrame(
        {
            "Model": agreement["model"],
            "Years ahead": agreement["years"],
            "Correlation": agreement["correlation"],
            "Total variation": agreement["total_variation"],
            "TestSE": agreement["total_variation_se"],
            "KL, nats": agreement["kl_direct_compounded"],
            "Monte Carlo SE": _blank(agreement["path_error"].where(agreement["path_error"] > 0)),
        }
    )
    formats = dict.fromkeys(["Correlation", "Total variation", "KL, nats", "Monte Carlo SE"], ".3f") | {
        "TestSE": "({:.3f})"
    }
    if len(truth):
        known = truth.set_index(["model", "years"]).reindex(
            pd.MultiIndex.from_frame(agreement[["model", "years"]])
        )
        for kind in ("direct", "compounded"):
            distance, error = f"Truth to {kind}", f"TestSE ({kind})"
            frame[distance] = _blank(known[f"{kind}_variation"])
            frame[error] = _blank(known[f"{kind}_se"])
            formats |= {distance: ".3f", error: "({:.3f})"}
    frame["Questions"] = agreement["transitions"].to_numpy()
    return DisplayTable(frame, agreement["workers"].reset_index(drop=True), formats)


def _blank(values: pd.Series) -> object:
    """Leave a cell empty where there is no value."""
    return values.astype(object).where(values.notna(), "").to_numpy()


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


def history_lengths(lengths: pd.DataFrame) -> DisplayTable:
    """List perplexity by number of records shown, and its difference to the whole history.

    Args:
        lengths: as `labor_llm.evaluation.history_length.history_lengths` returns it.
    """
    frame = pd.DataFrame(
        {
            "Model": lengths["model"],
            "Records shown": lengths["records"],
            "Perplexity": lengths["perplexity"],
            "TestSE": lengths["test_se"],
            "Difference to all": lengths["difference"].astype(object),
            "TestSE of it": lengths["difference_se"].astype(object),
            "95 % from": lengths["difference_low"].astype(object),
            "95 % to": lengths["difference_high"].astype(object),
        }
    )
    # The whole history has no difference to itself: an empty cell says so better than a missing value.
    frame.loc[
        frame["Records shown"] == ALL, ["Difference to all", "TestSE of it", "95 % from", "95 % to"]
    ] = ""
    formats = dict.fromkeys(["Perplexity", "Difference to all", "95 % from", "95 % to"], ".2f")
    formats |= dict.fromkeys(["TestSE", "TestSE of it"], "({:.2f})")
    return DisplayTable(frame, lengths["workers"].reset_index(drop=True), formats)


def history_available(groups: pd.DataFrame) -> DisplayTable:
    """Put perplexities with each number of records shown side by side, by the number of records there are.

    Args:
        groups: as `labor_llm.evaluation.history_length.history_lengths_by_available` returns it.
    """
    rows = groups[["model", "available", "available_label"]].drop_duplicates(ignore_index=True)
    index = pd.MultiIndex.from_frame(rows[["model", "available"]])
    keyed = groups.set_index(["model", "available", "records"])
    whole = keyed.xs(ALL, level="records").reindex(index)
    numbers = sorted({int(records) for records in groups["records"] if records != ALL})
    frame = pd.DataFrame(
        {
            "Model": rows["model"],
            "Records available": rows["available_label"],
            "Transitions": whole["transitions"].to_numpy(),
        }
    )
    formats = {}
    for records in numbers:
        part = keyed.xs(str(records), level="records").reindex(index)["perplexity"]
        name = f"Last {records}"
        frame[name] = part.astype(object).where(part.notna(), "").to_numpy()
        formats[name] = ".2f"
    frame["All"] = whole["perplexity"].to_numpy()
    shortest = keyed.xs(str(numbers[0]), level="records").reindex(index)
    frame[f"Last {numbers[0]} \u2212 all"] = shortest["difference"].to_numpy()
    frame["TestSE"] = shortest["difference_se"].to_numpy()
    formats |= {"All": ".2f", f"Last {numbers[0]} \u2212 all": ".2f", "TestSE": "({:.2f})"}
    return DisplayTable(frame, whole["workers"].reset_index(drop=True), formats)


_VALUES = ["perplexity", "difference", "difference_se"]


def before_and_after(periods: pd.DataFrame) -> DisplayTable:
    """Put what models were trained on side by side, one row for each model and period.

    Args:
        periods: as `labor_llm.evaluation.structural_change.before_and_after` returns it.
    """
    rows = periods[["model", "period"]].drop_duplicates(ignore_index=True)
    index = pd.MultiIndex.from_frame(rows)
    keyed = periods.set_index(["training", "model", "period"])
    whole, until, as_many = (_of(keyed, training, index) for training in (ALL_YEARS, UP_TO, AS_MANY))
    frame = pd.DataFrame(
        {
            "Model": rows["model"],
            "Test years": [period.replace("-", EN_DASH) for period in rows["period"]],
            "All years": whole["perplexity"],
            "As many records": as_many["perplexity"],
            "Early end": until["perplexity"],
            "Early end \u2212 all": whole["difference"],
            "TestSE": whole["difference_se"],
            "Early end \u2212 as many": as_many["difference"],
            "TestSE (as many)": as_many["difference_se"],
        }
    )
    numbers = list(frame.columns[2:])
    frame[numbers] = frame[numbers].astype(object).where(frame[numbers].notna(), "")
    formats = dict.fromkeys(numbers, ".2f") | dict.fromkeys(["TestSE", "TestSE (as many)"], "({:.2f})")
    workers = periods.groupby(["model", "period"], sort=False)["workers"].min().reindex(index)
    return DisplayTable(frame, workers.reset_index(drop=True), formats)


def _of(keyed: pd.DataFrame, training: str, index: pd.MultiIndex) -> pd.DataFrame:
    """Return the values of one training in the order of the rows, NaN where a model has no such training."""
    if training not in keyed.index.get_level_values("training"):
        return pd.DataFrame(index=range(len(index)), columns=_VALUES, dtype=float)
    return keyed.loc[training][_VALUES].reindex(index).reset_index(drop=True)
