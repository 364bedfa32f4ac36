"""Structural change: models trained on years up to one, tested on years after it; performance by calendar year.

The test workers are never seen in training in any case. With a last training year, training and validation
workers' careers end there too, so that nothing of the later labor market is known; test workers keep their whole
careers, whose records up to that year are history to the later ones that are scored.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from labor_llm.careers.predictions import Predictions
from labor_llm.careers.samples import ALL_YEARS, UP_TO
from labor_llm.disclosure import MINIMUM_PERSONS, supported_years
from labor_llm.errors import InputError
from labor_llm.evaluation.comparison import realised
from labor_llm.evaluation.perplexity import perplexity_beside_reference

PERIOD = "period"


def before_and_after(
    trainings: Mapping[str, Mapping[str, Predictions]], last_year: int, draws: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Return the performance of models before and after the end of training, by what they were trained on.

    `trainings` are predictions of the same test transitions by model and `ALL_YEARS`, `UP_TO` or `AS_MANY`; `last_year`
    is that of the training that ends early.

    Returns:
        One row a model, period ('1980-1984', then '1985-1987') and training: `model`, `period`, `training`,
        `perplexity`, `test_se`, `ci_low`, `ci_high`; `difference` of the training up to the year to this one with
        `difference_se`, `difference_low`, `difference_high` (NaN for itself); `transitions`, `workers`.

        Without rows where one of the two periods has fewer than eleven workers: it would follow from the other one and
        the performance in all years.

    Raises:
        InputError: if a model lacks the training up to the year.
    """
    parts = []
    for model, by_training in trainings.items():
        if UP_TO not in by_training:
            raise InputError(f"{model}: no predictions of the training up to {last_year}.")
        if (table := _with_both_sides(by_training, last_year)) is None:
            continue
        later = table[table["year"] > last_year]
        before = f"{supported_years(table.drop(later.index))[0]}-{last_year}"
        after = f"{last_year + 1}-{supported_years(later)[1]}"
        periods = dict.fromkeys(table["year"], before) | dict.fromkeys(later["year"], after)
        table = _compared(model, by_training, periods, UP_TO, draws, seed)
        # The table tells what the earlier end of training costs, so the signs are turned round.
        changed = ["difference", "difference_low", "difference_high"]
        table[changed] = -table[["difference", "difference_high", "difference_low"]].to_numpy()
        parts.append(table)
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def performance_by_year(
    trainings: Mapping[str, Mapping[str, Predictions]], last_year: int, draws: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Return the perplexity of each model and training by calendar year.

    Years of fewer than eleven workers are taken together with neighbouring ones. They stay on their side of the end of
    training, as `before_and_after` tells each side as a whole: what one year lacks there would be told by subtraction.

    Returns:
        With arguments as of `before_and_after`, columns `dataset`, `model`, `training`, `years` ('1984', or '1984-1985'
        taken together), `year` (the middle of those that eleven workers have or go beyond), `perplexity`, `test_se`,
        `ci_low`, `ci_high`, `transitions`, `workers`; `difference` of this training to the one on all years with
        `difference_se`, `difference_low`, `difference_high` (NaN for itself). Without rows where fewer than eleven
        workers have a transition up to the year, or after it.

    Raises:
        InputError: if a model lacks the training on all years.
    """
    parts = []
    for model, by_training in trainings.items():
        if (given := _with_both_sides(by_training, last_year)) is None:
            continue
        together = _years_together(given, last_year)
        names = {year: _name(years) for years in together for year in years}
        table = _compared(model, by_training, names, ALL_YEARS, draws, seed)
        ends = {_name(years): supported_years(given[given["year"].isin(years)]) for years in together}
        middles = {name: (first + last) / 2 for name, (first, last) in ends.items()}
        table.insert(table.columns.get_loc(PERIOD) + 1, "year", table[PERIOD].map(middles))
        parts.append(table.rename(columns={PERIOD: "years"}))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _compared(
    model: str,
    by_training: Mapping[str, Predictions],
    periods: Mapping[int, str],
    reference: str,
    draws: int,
    seed: int,
) -> pd.DataFrame:
    """Return the rows of one model: its perplexity by training and period, beside that of a reference training."""
    shown = []
    for name, one in by_training.items():
        table = one.table.assign(**{PERIOD: one.table["year"].map(periods)})
        shown.append(realised(Predictions(model, table, one.outcomes), name))
    table = perplexity_beside_reference(shown, reference, draws, seed, PERIOD)
    table = table.rename(columns={"model": "training"})
    table.insert(1, "model", model)
    return table


def _with_both_sides(by_training: Mapping[str, Predictions], last_year: int) -> pd.DataFrame | None:
    """Return the transitions; None where too few workers have some up to the year, or some after it."""
    table = next(iter(by_training.values())).table
    workers = table["worker_id"].groupby(table["year"] > last_year).nunique()
    return table if len(workers) == 2 and workers.min() >= MINIMUM_PERSONS else None


def _years_together(table: pd.DataFrame, last_year: int) -> list[list[int]]:
    """Return the scored years in groups of neighbours, each of enough workers and on one side of the last year."""
    together = []
    for _, side in table.groupby(table["year"] > last_year):
        groups: list[list[int]] = [[]]
        for year in sorted(side["year"].unique().tolist()):
            # Persons are counted once: the years of a group may share them.
            if side.loc[side["year"].isin(groups[-1]), "worker_id"].nunique() >= MINIMUM_PERSONS:
                groups.append([])
            groups[-1].append(year)
        last = side["year"].isin(groups[-1])
        if len(groups) > 1 and side.loc[last, "worker_id"].nunique() < MINIMUM_PERSONS:
            few = groups.pop()
            groups[-1] += few
        together += groups
    return together


def _name(years: list[int]) -> str:
    return str(years[0]) if len(years) == 1 else f"{years[0]}-{years[-1]}"
