"""Tables of the chapter on horizons, see `labor_llm.exhibits.tables`."""

from __future__ import annotations

import pandas as pd

from labor_llm.exhibits.tables import DisplayTable


def horizon_perplexities(agreement: pd.DataFrame) -> DisplayTable:
    """Put direct and compounded predictions side by side: perplexity, and the paired difference in log-probability.

    The difference and its interval are empty where paths were drawn: the logarithm of an average over them is too low
    on average, so the difference would favor direct predictions whatever the model.

    Args:
        agreement: as `labor_llm.evaluation.horizon_pairs.agreement_by_model` returns it.
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
        agreement: as `labor_llm.evaluation.horizon_pairs.agreement_by_model` returns it.
        truth: as `labor_llm.evaluation.horizon_pairs.truth_by_model` returns it; without rows nothing is said of it.
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
