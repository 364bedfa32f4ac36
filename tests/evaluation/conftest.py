"""A first-order market over five titles whose probabilities are known, and models that are wrong in known ways."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from labor_llm.careers.occupations import OutcomeSpace
from labor_llm.careers.panel import CareerPanel, transitions
from labor_llm.careers.predictions import Predictions, from_matrix

SPACE = OutcomeSpace(
    ("10", "11", "12", "unemployed", "out_of_labor_force"),
    ("Cooks", "Bakers", "Waiters", "Unemployed", "Out of labor force"),
)
# Row: previous title; last row: first record.
CHAIN = np.array(
    [
        [0.70, 0.08, 0.05, 0.10, 0.07],
        [0.10, 0.60, 0.12, 0.08, 0.10],
        [0.06, 0.14, 0.55, 0.15, 0.10],
        [0.25, 0.20, 0.10, 0.35, 0.10],
        [0.10, 0.08, 0.12, 0.10, 0.60],
        [0.30, 0.25, 0.20, 0.15, 0.10],
    ]
)


class Chain:
    """A next-job model: the same probabilities after every history that ends in the same title.

    Args:
        matrix: [titles + 1, titles], the last row for first records.
        heat: probabilities to the power of 1 / heat, normalised.
    """

    def __init__(self, matrix: np.ndarray = CHAIN, heat: float = 1.0, name: str = "chain") -> None:
        self.name = name
        powered = matrix ** (1.0 / heat)
        self.matrix = powered / powered.sum(axis=1, keepdims=True)

    def predict(self, panel: CareerPanel) -> Predictions:
        table = transitions(panel)
        previous = [len(SPACE) if code is None else SPACE.index(code) for code in table["previous"]]
        with np.errstate(divide="ignore"):
            return from_matrix(self.name, table, panel.outcomes, np.log(self.matrix[previous]))


def draw_panel(workers: int = 400, seed: int = 0, records: tuple[int, int] = (2, 9)) -> CareerPanel:
    """Careers of the chain, one record a year from 1980 on."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(*records, size=workers)
    luck = rng.random((workers, counts.max()))
    cumulated = CHAIN.cumsum(axis=1)
    jobs = np.empty(luck.shape, dtype=int)
    previous = np.full(workers, len(SPACE))
    for record in range(luck.shape[1]):
        previous = (luck[:, record, None] >= cumulated[previous]).sum(axis=1).clip(max=len(SPACE) - 1)
        jobs[:, record] = previous
    worker, record = np.nonzero(np.arange(luck.shape[1]) < counts[:, None])
    frame = pd.DataFrame(
        {
            "dataset": "chain",
            "worker_id": np.char.add("w", np.char.zfill(worker.astype(str), 5)).astype(object),
            "year": 1980 + record,
            "occupation": np.array(SPACE.codes, dtype=object)[jobs[worker, record]],
            "education": np.where(worker % 3 == 0, "college", "high school").astype(object),
            "gender": np.where(worker % 2 == 0, "female", "male").astype(object),
            "ethnicity": np.where(worker % 5 == 0, "hispanic", "white").astype(object),
            "region": np.where(worker % 4 == 0, "west", "south").astype(object),
            "birth_year": pd.array(1950 + worker % 7, dtype="Int64"),
        }
    )
    return CareerPanel(frame, SPACE, "chain")


@pytest.fixture(scope="session")
def chain_panel() -> CareerPanel:
    return draw_panel()


@pytest.fixture(scope="session")
def panel_of_chain() -> Callable[..., CareerPanel]:
    return draw_panel


@pytest.fixture(scope="session")
def chain_model() -> type[Chain]:
    return Chain
