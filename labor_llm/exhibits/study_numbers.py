"""Sentences of the chapters on history length, horizons and structural change, from their tidy results."""

from __future__ import annotations

import pandas as pd

from labor_llm.errors import InputError
from labor_llm.evaluation.history_length import ALL
from labor_llm.evaluation.structural_change import ALL_YEARS

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
        agreement: as `labor_llm.evaluation.horizon_pairs.agreement_by_model` returns it.
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
