"""Careers written as strings of one-letter codes, a small simulated labor market, and CAREER's smallest settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pandas as pd
import pytest

from labor_llm.baselines.settings import CareerSettings
from labor_llm.careers.occupations import OutcomeSpace
from labor_llm.careers.panel import CareerPanel, career_panel, split_workers
from labor_llm.simulation.careers import NLSY79, NLSY97, simulate_careers
from labor_llm.simulation.market import Market

TITLES = {"a": "Actors", "b": "Bakers", "c": "Clerks", "d": "Drivers"}
GROUPS = dict.fromkeys(("10", "11", "12"), "Clerical") | {"40": "Service", "41": "Service", "70": "Trades"}
CODES = (*GROUPS, "unemployed", "out_of_labor_force", "education")


@pytest.fixture(scope="session")
def toy() -> Callable[..., CareerPanel]:
    """A function from records (worker, year, code, education, region, birth year) to a panel of so many occupations."""

    def panel(rows: Sequence[Sequence[object]], occupations: int = 4) -> CareerPanel:
        columns = ["worker_id", "year", "occupation", "education", "region", "birth_year"]
        frame = pd.DataFrame(rows, columns=columns).astype({"birth_year": "Int64"})
        frame = frame.assign(dataset="toy", gender="male", ethnicity="white")
        codes = tuple(TITLES)[:occupations]
        return CareerPanel(frame, OutcomeSpace(codes, tuple(TITLES[code] for code in codes)), "toy")

    return panel


@pytest.fixture(scope="session")
def lettered(toy: Callable[..., CareerPanel]) -> Callable[..., CareerPanel]:
    """A function from careers such as {"1": "aab"}, one record a year from 1980, to a panel of so many occupations."""

    def panel(careers: Mapping[str, str], occupations: int = 3) -> CareerPanel:
        rows = [
            (worker, 1980 + t, code, "high school", "south", 1960)
            for worker, career in careers.items()
            for t, code in enumerate(career)
        ]
        return toy(rows, occupations)

    return panel


@pytest.fixture(scope="session")
def market() -> Market:
    return Market(5, outcomes=OutcomeSpace(CODES, CODES), groups=GROUPS)


def careers_of(market: Market, workers: int, design: object, seed: int) -> dict[str, CareerPanel]:
    panel = career_panel(simulate_careers(market, workers, design, seed), market.outcomes, f"market{seed}")
    splits = split_workers(panel, seed=1)
    return {name: panel.split(splits, name) for name in ("train", "validation", "test")}


@pytest.fixture(scope="session")
def simulated(market: Market) -> dict[str, CareerPanel]:
    """Train, validation and test of 400 workers of the NLSY79's design."""
    return careers_of(market, 400, NLSY79, 1)


@pytest.fixture(scope="session")
def other_population(market: Market) -> dict[str, CareerPanel]:
    """The same of 300 workers of the market in the NLSY97's design."""
    return careers_of(market, 300, NLSY97, 2)


@pytest.fixture(scope="session")
def tiny() -> CareerSettings:
    return CareerSettings(
        layers=2, width=32, heads=2, inner_width=64, epochs=12, patience=3, batch_size=16, learning_rate=4e-3,
        warmup_steps=30,
    )  # fmt: skip
