"""Test-set bootstrap of whole families, for surveys that follow them: members of one family are not independent."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from labor_llm.careers.predictions import Predictions, psid_families, with_worker_column
from labor_llm.evaluation.perplexity import bootstrap_perplexity
from labor_llm.store.results import Results
from labor_llm.surveys.report import read_conversion

_FAMILY = "family"
# Of the surveys that are converted, the only one that follows families.
_FOLLOWS_FAMILIES = "PSID"


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
        of_families.append(with_worker_column(each, _FAMILY, numbers))
    if not of_families:
        return pd.DataFrame(columns=["dataset", "model", "perplexity", "test_se", "families"])
    table = bootstrap_perplexity(of_families, draws, seed, unit=_FAMILY)
    return table.assign(families=table["dataset"].map(families))
