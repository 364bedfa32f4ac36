"""The sentence with which a chapter leads: what its paired differences tell, and what cannot be told.

A difference is told if its 95 % interval does not hold zero. It is model minus reference everywhere, so that a negative
one in perplexity favors the model. Rows are as `evaluation.perplexity.bootstrap_differences` returns them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd

from labor_llm.exhibits.formatting import DisplayText, Labels, of_rows, signed

# Below, a bootstrap of workers gives errors that are too small (`evaluation.perplexity`).
ENOUGH_WORKERS = 40
UNTOLD, NOT_COMPARABLE = "no difference can be told", "not comparable"


def verdict(difference: float, ci_low: float, ci_high: float) -> str:
    """Return 'lower', 'higher', `UNTOLD` or, where one of the three is not finite, `NOT_COMPARABLE`.

    The interval alone tells: it is made of percentiles of the samples, and the estimate may lie outside it. Not finite
    are differences after a probability of zero.
    """
    if not all(map(math.isfinite, (difference, ci_low, ci_high))):
        return NOT_COMPARABLE
    if ci_low <= 0.0 <= ci_high:
        return UNTOLD
    return "lower" if ci_high < 0.0 else "higher"


def told(difference: float, ci_low: float, ci_high: float, digits: int = 2) -> str:
    """Return the verdict on a difference with its size, such as 'lower (−0.72, 95 % interval −0.94 to −0.51)'."""
    word = verdict(difference, ci_low, ci_high)
    return word if word == NOT_COMPARABLE else f"{word} ({_size(difference, ci_low, ci_high, digits)})"


@of_rows()
def against_baselines(differences: pd.DataFrame, labels: Labels = None) -> DisplayText:
    """Say on each data set against how many baselines a model predicts better, and how it stands to the best of them.

    The references are the baselines; `labels` says how to call a data set.
    """
    sentences = []
    for dataset, rows in differences.groupby("dataset", sort=False):
        verdicts = [verdict(*_interval(row)) for _, row in rows.iterrows()]
        better, worse, count = verdicts.count("lower"), verdicts.count("higher"), len(rows)
        standing, whom = f"better than {better} and worse than {worse} of {count}", "the best of them"
        if count in (better, worse):
            standing = f"{'better' if better else 'worse'} than each of {count}"
        standing = f"predicts the next job {standing} baselines"
        if count == 1:
            standing, whom = "is put beside one baseline", "this baseline"
        # The lower a reference's perplexity, the larger is the difference from it.
        best = rows.sort_values("difference", na_position="first").iloc[-1]
        word = verdict(*_interval(best))
        of_best = {
            UNTOLD: f"{UNTOLD} from {whom}",
            NOT_COMPARABLE: f"it is not comparable with {whom}",
        }.get(word, f"its perplexity is {word} than that of {whom}")
        # Infinitely far from all of them, a model does not tell which one that is.
        size = "" if word == NOT_COMPARABLE else f" ({best['reference']}; {_size(*_interval(best), 2)})"
        sentences.append(
            f"On {best['workers']:,} held-out workers ({(labels or {}).get(dataset, dataset)}) the language model "
            f"({best['model']}) {standing}; {of_best}{size}."
        )
    return DisplayText(" ".join(sentences), int(differences["workers"].min()))


@of_rows()
def against_reference(
    differences: pd.DataFrame, labels: Labels = None, nats: bool = False, what: str = ""
) -> DisplayText:
    """Say which models have a lower or higher perplexity than their reference, and of which that cannot be told.

    With `nats` the mean log-probability of a transition is compared, where a higher one is better. `what` says what is
    compared to what, if not models to the reference that the rows name; `labels` says how to call a data set.
    """
    prefix, measure = ("log_prob_", "Mean log-probability in nats") if nats else ("", "Perplexity")
    sentences = []
    for dataset, rows in differences.groupby("dataset", sort=False):
        parts: dict[str, list[str]] = {}
        for _, row in rows.iterrows():
            word = verdict(*_interval(row, prefix))
            size = "" if word == NOT_COMPARABLE else f" ({_size(*_interval(row, prefix), 2)})"
            parts.setdefault(word, []).append(f"{row['model']}{size}")
        head = f"{measure} {what or 'against ' + rows['reference'].iloc[0]}"
        if differences["dataset"].nunique() > 1:
            head = f"{(labels or {}).get(dataset, dataset)}: {head}"
        listed = "; ".join(f"{word} for {', '.join(names)}" for word, names in parts.items())
        transitions, workers = (int(rows[name].min()) for name in ("transitions", "workers"))
        sentences.append(f"{head}: {listed}; over {transitions:,} transitions of {workers:,} workers.")
    return DisplayText(" ".join(sentences), int(differences["workers"].min()))


def on_every_data_set(
    stored: Mapping[str, pd.DataFrame], differences: pd.DataFrame, labels: Labels = None
) -> pd.DataFrame:
    """Return the differences of a model from baselines on every data set, for one figure: stored ones first.

    All as `evaluation.perplexity.differences_of` returns them; the stored ones by what to call their data set, or under
    no name if their rows say it.
    """
    parts = [rows.assign(dataset=name) if name else rows for name, rows in stored.items()]
    rows = pd.concat([*parts, differences.replace({"dataset": dict(labels or {})})], ignore_index=True)
    persons = rows["workers"].map("{:,} held-out workers".format)
    return rows.assign(label=rows["reference"], dataset=rows["dataset"] + ": " + persons)


def _interval(row: pd.Series, prefix: str = "") -> tuple[float, float, float]:
    return row[f"{prefix}difference"], row[f"{prefix}ci_low"], row[f"{prefix}ci_high"]


def _size(difference: float, ci_low: float, ci_high: float, digits: int) -> str:
    low, high = (signed(value, digits).removeprefix("+") for value in (ci_low, ci_high))
    return f"{signed(difference, digits)}, 95 % interval {low} to {high}"
