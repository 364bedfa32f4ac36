"""A labor market whose transition probabilities are known: the chance of each outcome given the whole history.

Workers live from year to year as `labor_llm.simulation.law` says, and are interviewed in some of the years. What the
interviews do not show (the years between, steadiness, vocation) is summed out, so that the probabilities are exact
whatever the gaps: those of two years ahead are those of one year ahead, compounded. As all earlier records tell of
steadiness and vocation, no model of first or second order reaches the market's own perplexity.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from labor_llm.careers import occupations as occ1990dd
from labor_llm.careers.occupations import OutcomeSpace
from labor_llm.careers.panel import CareerPanel
from labor_llm.errors import ArtefactError
from labor_llm.simulation.law import Law
from labor_llm.simulation.parameters import STATES, MarketParameters, MarketTables
from labor_llm.simulation.records import encode_careers
from labor_llm.simulation.whereabouts import Whereabouts

FORMAT = 2
# The file beside a simulated panel from which its market is rebuilt.
MARKET_FILE = "market.json"
# So many workers are computed at once: their probabilities of some types of worker stay in a processor's cache.
_BLOCK = 128


class Market:
    """A labor market, wholly determined by its seed, its parameters and the outcome space.

    Args:
        seed: of all drawn tables; not negative.
        parameters: `MarketParameters`, the defaults if None.
        outcomes: two occupations or more and the states 'unemployed', 'out_of_labor_force', 'education'; those of
            occ1990dd if None.
        groups: the major group of each occupation's code; those of occ1990dd if None.

    Attributes:
        occupations: columns of the outcome space that are occupations, in its order, int [J].
        columns: those of the outcomes as `EncodedCareers` numbers them.
        law: what happens in a year.
    """

    def __init__(
        self,
        seed: int,
        parameters: MarketParameters | None = None,
        outcomes: OutcomeSpace | None = None,
        groups: Mapping[str, str] | None = None,
    ) -> None:
        outcomes = occ1990dd.outcome_space() if outcomes is None else outcomes
        groups = occ1990dd.major_groups() if groups is None else groups
        codes = [code for code in outcomes.codes if code not in STATES]
        self.seed, self.outcomes = seed, outcomes
        self.parameters = parameters or MarketParameters()
        self.tables = MarketTables(seed, self.parameters, codes, groups)
        self.law = Law(self.parameters, self.tables)
        self.occupations = np.array(outcomes.indices(codes))
        # Inside, occupations come first and the states after them; this leads back to the outcome space.
        self.columns = np.concatenate([self.occupations, outcomes.indices(STATES)])

    def log_probabilities(self, careers: CareerPanel | pd.DataFrame, dtype: type = np.float32) -> np.ndarray:
        """Return the exact log-probability of every outcome at every record, given everything before it.

        Args:
            careers: a panel, or its frame (`dataset` is not needed), sorted by worker and year.
            dtype: of the result.

        Returns:
            [records, outcomes], nats, all finite, in the order of the rows and of the outcome space.

        Raises:
            InputError: as `encode_careers`.
        """
        frame = careers.frame if isinstance(careers, CareerPanel) else careers
        encoded = encode_careers(frame, self.outcomes, self.columns)
        result = np.empty((len(frame), len(self.outcomes)), dtype=dtype)
        starts = np.cumsum(encoded.counts) - encoded.counts
        for begin in range(0, len(starts), _BLOCK):
            # Those with most records come first, so that the others drop out at the end.
            members = begin + np.argsort(-encoded.counts[begin : begin + _BLOCK], kind="stable")
            counts, workers = encoded.counts[members], encoded.covariates[members]
            known = Whereabouts(self.law, workers)
            # Careers that begin alike, as those do that are made up to ask about several years, are followed together
            # until they differ: each is known under the number of one of them.
            first, kind = _alike(workers)
            under = first[kind]
            for number in range(counts[0]):
                active = np.flatnonzero(counts > number)
                rows = starts[members[active]] + number
                year, education, outcome = encoded.year[rows], encoded.education[rows], encoded.outcome[rows]
                first, asked = _alike(np.column_stack([under[active], year, education]))
                probabilities = known.meet(under[active[first]], year[first], education[first])
                result[rows[:, None], self.columns] = np.log(probabilities)[asked]
                first, said = _alike(np.column_stack([asked, outcome]))
                known.record(active[first], asked[first], outcome[first])
                under[active] = active[first][said]
        return result

    def to_json(self) -> str:
        """Return the small text that `from_json` makes this market from: seed, parameters, and two checks."""
        stored = {
            "format": FORMAT,
            "seed": self.seed,
            "parameters": self.parameters.model_dump(),
            "occupations": len(self.occupations),
            "checksum": self.tables.checksum(),
        }
        return json.dumps(stored, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Market:
        """Return the market over occ1990dd that `to_json` described.

        Raises:
            ArtefactError: if the text does not describe a market, or the market made of it is another one: other
                occupations, or random numbers that another version of numpy draws.
        """
        try:
            stored = json.loads(text)
            if stored["format"] != FORMAT:
                raise ArtefactError(
                    f"market.json: format {stored['format']!r} found, {FORMAT} expected. Simulate the careers again."
                )
            market = cls(int(stored["seed"]), MarketParameters(**stored["parameters"]))
            occupations, checksum = int(stored["occupations"]), float(stored["checksum"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ArtefactError(
                f"market.json: does not describe a market ({error}). Simulate the careers again."
            ) from error
        same = math.isclose(market.tables.checksum(), checksum, rel_tol=1e-9)
        if len(market.occupations) != occupations or not same:
            raise ArtefactError(
                "market.json: its seed and parameters make another market here than when it was stored (other "
                "occupations, or another version of numpy). Simulate the careers again."
            )
        return market


def _alike(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the first of each kind of equal rows, and of what kind each row is: its number among these."""
    _, first, kind = np.unique(
        rows, axis=0 if rows.ndim > 1 else None, return_index=True, return_inverse=True
    )
    return first, kind.ravel()
