"""Tables of the chapter on history length, see `labor_llm.exhibits.tables`."""

from __future__ import annotations

import pandas as pd

from labor_llm.evaluation.history_length import ALL
from labor_llm.exhibits.tables import DisplayTable


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
