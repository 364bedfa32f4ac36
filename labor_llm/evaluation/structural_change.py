"""Structural change: models trained on years up to one, tested on years after it; performance by calendar year.

The test workers are never seen in training in any case. With a last training year, training and validation
workers' careers end there too, so that nothing of the later labor market is known; test workers keep their whole
careers, whose records up to that year are history to the later ones that are scored.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from labor_llm.careers.predictions import Predictions
from labor_llm.careers.samples import ALL_YEARS, UP_TO
from labor_llm.disclosure import MINIMUM_PERSONS
from labor_llm.errors import InputError
from labor_llm.evaluation.perplexity import bootstrap_differences, bootstrap_perplexity

PERIOD = "period"


def scored_after(predictions: Predictions, last_year: int) -> Predictions:
    """Return the predictions of records after a year.

    Raises:
        InputError: if there are none.
    """
    rows = (predictions.table["year"] > last_year).to_numpy()
    if not rows.any():
        raise InputError(f"{predictions.model}: no transition after {last_year} was scored.")
    return predictions.select(rows)


def before_and_after(
    trainings: Mapping[str, Mapping[str, Predictions]], last_year: int, draws: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Return the performance of models before and after the end of training, by what they were trained on.

    Args:
        trainings: by model and `ALL_YEARS`, `UP_TO` or `AS_MANY`, predictions of the same test transitions.
        last_year: of the training that ends early.
        draws: bootstrap samples of workers.
        seed: of the samples.

    Returns:
        One row a model, period ('1980-1984', then '1985-1987') and training: `model`, `period`, `training`,
        `perplexity`, `test_se`, `ci_low`, `ci_high`; `difference` of the training up to the year to this one with
        `difference_se`, `difference_low`, `difference_high` (NaN for itself); `transitions`, `workers`.

    Raises:
        InputError: if a model lacks the training up to the year, no transition after it was scored, or a period has
            fewer than eleven workers (without it, it would follow from the other one and the performance in all years).
    """
    parts = []
    for model, by_training in trainings.items():
        if UP_TO not in by_training:
            raise InputError(f"{model}: no predictions of the training up to {last_year}.")
        shown = [renamed(one, name) for name, one in by_training.items()]
        _require_both_periods(model, shown[0].table, last_year)
        shown = [_split_at(one, last_year) for one in shown]
        table = bootstrap_perplexity(shown, draws, seed, by=PERIOD).rename(columns={"model": "training"})
        # The table tells what the earlier end of training costs, so the signs are turned round.
        _add_differences(table, bootstrap_differences(shown, UP_TO, draws, seed, by=PERIOD), turned=True)
        table.insert(1, "model", model)
        parts.append(table.drop(columns="draws"))
    return pd.concat(parts, ignore_index=True)


def performance_by_year(
    trainings: Mapping[str, Mapping[str, Predictions]], last_year: int, draws: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Return the perplexity of each model and training by calendar year.

    Years of fewer than eleven workers are taken together with neighbouring ones. They stay on their side of the end of
    training, as `before_and_after` tells each side as a whole: what one year lacks there would be told by subtraction.

    Args:
        trainings: as in `before_and_after`.
        last_year: of the training that ends early.
        draws: bootstrap samples of workers.
        seed: of the samples.

    Returns:
        Columns `dataset`, `model`, `training`, `years` ('1984', or '1984-1985' taken together), `year` (their middle),
        `perplexity`, `test_se`, `ci_low`, `ci_high`, `transitions`, `workers`; `difference` of this training to the one
        on all years with `difference_se`, `difference_low`, `difference_high` (NaN for itself).

    Raises:
        InputError: if a model lacks the training on all years, no transition after the last year was scored, or fewer
            than eleven workers have one up to it or after it.
    """
    parts = []
    for model, by_training in trainings.items():
        shown = [renamed(one, name) for name, one in by_training.items()]
        _require_both_periods(model, shown[0].table, last_year)
        together = _years_together(shown[0].table, last_year)
        shown = [_with_periods(one, one.table["year"].map(_names(together))) for one in shown]
        table = bootstrap_perplexity(shown, draws, seed, by=PERIOD).rename(columns={"model": "training"})
        _add_differences(table, bootstrap_differences(shown, ALL_YEARS, draws, seed, by=PERIOD))
        table.insert(1, "model", model)
        middles = {_name(years): (years[0] + years[-1]) / 2 for years in together}
        table.insert(table.columns.get_loc(PERIOD) + 1, "year", table[PERIOD].map(middles))
        parts.append(table.rename(columns={PERIOD: "years"}).drop(columns="draws"))
    return pd.concat(parts, ignore_index=True)


def _years_together(table: pd.DataFrame, last_year: int) -> list[list[int]]:
    """Return the scored years in groups of neighbours, each of enough workers and on one side of the last year."""
    together: list[list[int]] = []
    after = table["year"] > last_year
    for side in (table[~after], table[after]):
        groups: list[list[int]] = [[]]
        workers: set[str] = set()
        for year, of_year in side.groupby("year")["worker_id"]:
            if len(workers) >= MINIMUM_PERSONS:
                groups.append([])
                workers = set()
            groups[-1].append(int(year))
            # Persons are counted once: the years of a group may share them.
            workers.update(of_year)
        if len(groups) > 1 and len(workers) < MINIMUM_PERSONS:
            few = groups.pop()
            groups[-1] += few
        together += groups
    return together


def _names(together: list[list[int]]) -> dict[int, str]:
    return {year: _name(years) for years in together for year in years}


def _name(years: list[int]) -> str:
    return str(years[0]) if len(years) == 1 else f"{years[0]}-{years[-1]}"


def _add_differences(table: pd.DataFrame, paired: pd.DataFrame, turned: bool = False) -> None:
    """Put paired differences beside the rows of a table by training and period; those turned round change sign."""
    low, high = ("ci_high", "ci_low") if turned else ("ci_low", "ci_high")
    sign = -1.0 if turned else 1.0
    found = pd.DataFrame(
        {
            "difference": sign * paired["difference"],
            "difference_se": paired["test_se"],
            "difference_low": sign * paired[low],
            "difference_high": sign * paired[high],
        }
    ).set_index(pd.MultiIndex.from_frame(paired[["model", PERIOD]]))
    aligned = found.reindex(pd.MultiIndex.from_frame(table[["training", PERIOD]]))
    for column in found.columns:
        table[column] = aligned[column].to_numpy()


def renamed(predictions: Predictions, name: str) -> Predictions:
    """Return the realised titles' log-probabilities under another name, without the matrices."""
    table = predictions.table.assign(log_valid_mass=np.nan)
    return Predictions(name, table, predictions.outcomes)


def _require_both_periods(model: str, table: pd.DataFrame, last_year: int) -> None:
    """Refuse an end of training with too few workers up to it or after it; the count itself is not told."""
    after = table["year"] > last_year
    if not after.any():
        raise InputError(f"{model}: no transition after {last_year} was scored.")
    for rows, where, remedy in ((~after, "up to", "a later"), (after, "after", "an earlier")):
        if table.loc[rows, "worker_id"].nunique() < MINIMUM_PERSONS:
            raise InputError(
                f"{model}: fewer than {MINIMUM_PERSONS} test workers have transitions {where} {last_year}. "
                f"Without that period it would follow from the other one, so choose {remedy} last_year."
            )


def _split_at(predictions: Predictions, last_year: int) -> Predictions:
    """Name the years up to the last one of training and those after it as two periods."""
    year = predictions.table["year"]
    names = np.where(year > last_year, f"{last_year + 1}-{year.max()}", f"{year.min()}-{last_year}")
    return _with_periods(predictions, names)


def _with_periods(predictions: Predictions, names: np.ndarray | pd.Series) -> Predictions:
    table = predictions.table.assign(**{PERIOD: names})
    return Predictions(predictions.model, table, predictions.outcomes)
