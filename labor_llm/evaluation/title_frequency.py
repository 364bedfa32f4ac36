"""Rare and frequent titles: what models are worth by how often the title that occurred stands in training records.

A model of codes learns of a title from its records alone, one of words also from those of titles that read alike, so a
gain by words should be largest where records are few. The groups are of what happened, which no model knows
beforehand: one that gives rare titles more probability gains there and loses among frequent ones, rightly or not. So
a difference within a group tells where a gain arises, and only all transitions together which model is better.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from labor_llm.careers.panel import CareerPanel
from labor_llm.careers.predictions import Predictions
from labor_llm.disclosure import MINIMUM_PERSONS
from labor_llm.evaluation.comparison import in_common, realised
from labor_llm.evaluation.perplexity import perplexity_beside_reference

# Least numbers of training records of the groups after the first.
BOUNDS = (10, 100, 1000)
_RECORDS = "training_records"


def perplexity_by_frequency(
    predictions: Sequence[Predictions],
    training: CareerPanel,
    reference: str,
    draws: int = 1000,
    seed: int = 0,
    bounds: Sequence[int] = BOUNDS,
) -> pd.DataFrame:
    """Return the perplexity of each model by the number of training records of the title that occurred.

    Args:
        predictions: of the realised titles of one data set; compared are the transitions that all of them have.
        training: careers of the training workers.
        reference: the model from which the others differ.
        draws: bootstrap samples of workers, the same for all groups and models.
        seed: of the samples.
        bounds: least numbers of records of the groups after the first, ascending. A group of fewer than eleven workers
            goes with the next rarer one, the rarest with the next.

    Returns:
        A row a group and model, from the rarest titles on: `dataset`, `model`, `reference`, `training_records` (text:
        '10 to 99'), `perplexity`, `test_se`, `ci_low`, `ci_high`; `difference` in the mean log-probability of a
        transition (nats, above zero the model is better), `difference_se`, `difference_low`, `difference_high`, NaN for
        the reference itself; `transitions`, `workers`. Without rows if there are no two groups.
    """
    shown, counts = in_common(predictions), training.frame["occupation"].value_counts()
    tables = [
        each.table.assign(**{_RECORDS: each.table["occupation"].map(counts).fillna(0)}) for each in shown
    ]
    starts = _starts(tables[0][_RECORDS], tables[0]["worker_id"], bounds)
    if len(starts) < 2:
        return pd.DataFrame(columns=["dataset", "model", "reference"])
    grouped = [
        replace(
            realised(each, each.model), table=table.assign(**{_RECORDS: _places(table[_RECORDS], starts)})
        )
        for each, table in zip(shown, tables, strict=True)
    ]
    found = perplexity_beside_reference(grouped, reference, draws, seed, _RECORDS, nats=True)
    labels = [f"{start:,} to {end - 1:,}" for start, end in itertools.pairwise(starts)]
    labels.append(f"{starts[-1]:,} or more")
    found = found.sort_values(_RECORDS, kind="stable", ignore_index=True)
    return found.assign(reference=reference, **{_RECORDS: found[_RECORDS].map(dict(enumerate(labels)))})


def _places(records: pd.Series, starts: Sequence[int]) -> np.ndarray:
    return np.searchsorted(starts, records, side="right") - 1


def _starts(records: pd.Series, workers: pd.Series, bounds: Sequence[int]) -> list[int]:
    """Return the least number of records of each group, of groups of eleven workers or more, or of one alone."""
    starts = [0, *bounds]
    while len(starts) > 1:
        persons = (
            workers.groupby(_places(records, starts)).nunique().reindex(range(len(starts)), fill_value=0)
        )
        if persons.min() >= MINIMUM_PERSONS:
            break
        # The rarest of the small ones joins its neighbor.
        del starts[max(1, int((persons < MINIMUM_PERSONS).idxmax()))]
    return starts
