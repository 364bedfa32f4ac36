"""Some titles of an outcome space in every form, so that a reader sees what a model was given."""

from __future__ import annotations

import numpy as np
import pandas as pd

from labor_llm.career_variants import TITLE_FORMS, CareerVariant
from labor_llm.careers import CareerPanel

_SHOWN = 6


def title_examples(panel: CareerPanel, seed: int) -> pd.DataFrame:
    """Return some titles, evenly spread over the outcome space, one column a form.

    Args:
        panel: its outcome space is used, none of its workers.
        seed: of numbers, wordings and places.
    """
    places = np.unique(np.linspace(0, len(panel.outcomes) - 1, _SHOWN, dtype=int))
    titles = {form: CareerVariant(form, seed).of(panel).outcomes.titles for form in TITLE_FORMS}
    return pd.DataFrame(
        {form.capitalize(): [texts[place] for place in places] for form, texts in titles.items()}
    )
