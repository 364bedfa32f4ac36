"""A small labor market: six occupations in three groups, and the states in the midst of them."""

from __future__ import annotations

import pytest

from labor_llm.careers.occupations import OutcomeSpace
from labor_llm.simulation.market import Market


@pytest.fixture(scope="session")
def groups() -> dict[str, str]:
    return {
        **dict.fromkeys(("10", "11", "12"), "Clerical"),
        **dict.fromkeys(("40", "41"), "Service"),
        "70": "Trades",
    }


@pytest.fixture(scope="session")
def space() -> OutcomeSpace:
    """In this order a mix-up of columns shows."""
    return OutcomeSpace(
        ("10", "11", "unemployed", "12", "40", "education", "41", "out_of_labor_force", "70"),
        (
            "Typists", "Clerks", "Unemployed", "Tellers", "Cooks", "In education", "Bakers", "Out", "Carpenters",
        ),
    )  # fmt: skip


@pytest.fixture(scope="session")
def market(space: OutcomeSpace, groups: dict[str, str]) -> Market:
    return Market(5, outcomes=space, groups=groups)
