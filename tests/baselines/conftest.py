"""Careers written as strings of one-letter codes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pandas as pd
import pytest

from labor_llm.careers.occupations import OutcomeSpace
from labor_llm.careers.panel import CareerPanel

TITLES = {"a": "Actors", "b": "Bakers", "c": "Clerks", "d": "Drivers"}


@pytest.fixture(scope="session")
def lettered() -> Callable[..., CareerPanel]:
    """A function from careers such as {"1": "aab"}, one record a year from 1980, to a panel of so many occupations."""

    def panel(careers: Mapping[str, str], occupations: int = 3) -> CareerPanel:
        rows = [
            ("toy", worker, 1980 + t, code, "high school", "male", "white", "south", 1960)
            for worker, career in careers.items()
            for t, code in enumerate(career)
        ]
        columns = [
            "dataset", "worker_id", "year", "occupation", "education", "gender", "ethnicity", "region", "birth_year",
        ]  # fmt: skip
        frame = pd.DataFrame(rows, columns=columns).astype({"birth_year": "Int64"})
        codes = tuple(TITLES)[:occupations]
        return CareerPanel(frame, OutcomeSpace(codes, tuple(TITLES[code] for code in codes)), "toy")

    return panel
