"""Test-set bootstrap of whole families, for surveys that follow them: members of one family are not independent."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence

import pandas as pd

from labor_llm.careers.predictions import Predictions
from labor_llm.errors import InputError
from labor_llm.evaluation.perplexity import bootstrap_perplexity
from labor_llm.store.results import Results
from labor_llm.surveys.report import read_conversion

_FAMILY = "family"
# Of the surveys that are converted, the only one that follows families.
_FOLLOWS_FAMILIES = "PSID"
# ER30001 * 1000 + ER30002: the family of 1968 times a thousand, and the person's number in it.
_PERSONS = 1000


def bootstrap_families(
    results: Results, predictions: Sequence[Predictions], draws: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Return the perplexities on data sets that were converted from the PSID, with families of 1968 resampled.

    Args:
        results: where the data sets stand.
        predictions: of models on any data sets.
        draws: bootstrap samples.
        seed: of the samples.

    Returns:
        As `bootstrap_perplexity`, with the column `families`; without rows where no data set has families.

    Raises:
        InputError: if a worker's id is none of the PSID; and as `bootstrap_perplexity`.
    """
    of_families, families = [], {}
    for each in predictions:
        dataset = each.dataset
        conversion = read_conversion(results.panel(dataset))
        if conversion is None or conversion.survey != _FOLLOWS_FAMILIES:
            continue
        numbers = psid_families(each.table["worker_id"].unique())
        families[dataset] = len(set(numbers.values()))
        table = each.table.assign(**{_FAMILY: each.table["worker_id"].map(numbers)})
        of_families.append(dataclasses.replace(each, table=table))
    if not of_families:
        return pd.DataFrame(columns=["dataset", "model", "perplexity", "test_se", "families"])
    table = bootstrap_perplexity(of_families, draws, seed, unit=_FAMILY)
    return table.assign(families=table["dataset"].map(families))


def psid_families(workers: Collection[str]) -> dict[str, str]:
    """Return the sampled family of 1968 (ER30001) of each of the PSID's workers, by worker id, off which it is read.

    Raises:
        InputError: if an id is no such number.
    """
    for worker in workers:
        if not worker.isdecimal() or int(worker) < _PERSONS:
            raise InputError(
                f"worker {worker!r}: no PSID id (ER30001 * 1000 + ER30002). Give the families of other data yourself."
            )
    return {worker: str(int(worker) // _PERSONS) for worker in workers}
