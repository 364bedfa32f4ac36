"""Tables of demographics: performance by group of workers, and what covariates are worth to a model.

Each returns a `DisplayTable`, see `labor_llm.exhibits.tables`. Groups below eleven workers were pooled before
(`labor_llm.evaluation.subgroups`); what could not be pooled is left out here.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from labor_llm.disclosure import MINIMUM_PERSONS
from labor_llm.evaluation.permuted_covariates import TOGETHER
from labor_llm.exhibits.tables import NOT_COMPARABLE, DisplayTable, compare_in_words

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
        values: as `evaluation.permuted_covariates.value_of_covariates` returns it, of one or more models.
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
