"""What a run reproduces of the paper's quantities, in the form that is compared with the published values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from labor_llm.exhibits.comparison_with_paper import REPRODUCED_COLUMNS
from labor_llm.predictions import Predictions


def reproduced_values(
    predictions: Mapping[str, Sequence[Predictions]],
    surveys: Mapping[str, str],
    workers: int,
    base_model: str,
) -> pd.DataFrame:
    """Return the quantities of `published.csv` that this run has, with the columns that the comparison asks for.

    Args:
        predictions: for each quantity ('fine_tuned', 'off_the_shelf') the predictions on each data set.
        surveys: what to call each data set, by its short name.
        workers: workers of all data sets together.
        base_model: base model of the language models; of a folder the name alone is shown.
    """
    rows = [
        (
            quantity,
            surveys[dataset],
            Path(base_model).name,
            "perplexity",
            float(np.exp(-part["log_prob"].mean())),
        )
        for quantity, several in predictions.items()
        for prediction in several
        for dataset, part in prediction.table.groupby("dataset", sort=False)
    ]
    rows.append(("individuals", ", ".join(surveys.values()), "none", "count", float(workers)))
    return pd.DataFrame(rows, columns=REPRODUCED_COLUMNS)
