"""The table of the chapter on structural change, see `labor_llm.exhibits.tables`."""

from __future__ import annotations

import pandas as pd

from labor_llm.evaluation.structural_change import ALL_YEARS, AS_MANY, UP_TO
from labor_llm.exhibits.study_numbers import EN_DASH
from labor_llm.exhibits.tables import DisplayTable

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
