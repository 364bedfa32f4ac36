"""A labor market whose transition probabilities are known: the chance of each outcome given the whole history.

Workers live from year to year as `labor_llm.simulation.law` says, and are interviewed in some of the years. What the
interviews do not show (the years between, steadiness, vocation) is summed out, so that the probabilities are exact
whatever the gaps: those of two years ahead are those of one year ahead, compounded. As all earlier records tell of
steadiness and vocation, no model of first or second order reaches the market's own perplexity.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from labor_llm.careers import occupations as occ1990dd
from labor_llm.careers.occupations import OutcomeSpace
from labor_llm.careers.panel import CareerPanel
from labor_llm.errors import ArtefactError, InputError
from labor_llm.simulation.law import Law
from labor_llm.simulation.parameters import (
    EDUCATION_LEVELS,
    ETHNICITIES,
    GENDERS,
    REGIONS,
    STATES,
    MarketParameters,
    MarketTables,
)
from labor_llm.simulation.whereabouts import Whereabouts

FORMAT = 2
# The file beside a simulated panel from which its market is rebuilt.
MARKET_FILE = "market.json"
# So many workers are computed at once: their probabilities of some types of worker stay in a processor's cache.
_BLOCK = 128


@dataclass(frozen=True)
class EncodedCareers:
    """Career records of many workers, one worker after the other."""

    counts: np.ndarray  # int [workers], number of records
    covariates: np.recarray  # [workers], as `covariates_of` makes them
    year: np.ndarray  # int [rows]
    education: np.ndarray  # int [rows], level
    outcome: np.ndarray  # int [rows], occupations first (0 to J - 1), then the three `STATES`


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


def encode_careers(frame: pd.DataFrame, outcomes: OutcomeSpace, columns: np.ndarray) -> EncodedCareers:
    """Return the records of a frame as numbers.

    Args:
        frame: the columns of the career panel, sorted by worker and year.
        outcomes: the outcome space of the market.
        columns: the column of the outcome space of each outcome as `EncodedCareers` numbers them.

    Raises:
        InputError: naming row (the header being row 1) and column, if the rows are not in order, a word or
            code is not known, or a year of birth is missing.
    """
    workers = pd.factorize(frame["worker_id"])[0]
    year = frame["year"].to_numpy(dtype=np.int64)
    step = np.diff(workers)  # workers are numbered by first appearance
    if (wrong := (step < 0) | ((step == 0) & (np.diff(year) <= 0))).any():
        raise InputError(
            f"careers, row {int(wrong.argmax()) + 3}: out of order. Sort the rows by worker and year, one row a year."
        )
    birth_year = frame["birth_year"].astype("Float64").to_numpy(dtype=np.float64, na_value=np.nan)
    if (unknown := np.isnan(birth_year)).any():
        raise InputError(
            f"careers, row {int(unknown.argmax()) + 2}, column birth_year: missing. The market's probabilities depend "
            "on it: leave such workers out."
        )
    covariates = covariates_of(
        _positions(frame, "gender", GENDERS),
        _positions(frame, "ethnicity", tuple(ETHNICITIES)),
        _positions(frame, "region", REGIONS),
        birth_year,
    )
    education = _positions(frame, "education", EDUCATION_LEVELS)
    outcome = np.argsort(columns)[_positions(frame, "occupation", outcomes.codes)]
    firsts = np.flatnonzero(np.diff(workers, prepend=-1))
    return EncodedCareers(np.bincount(workers), covariates[firsts], year, education, outcome)


def covariates_of(
    gender: np.ndarray, ethnicity: np.ndarray, region: np.ndarray, birth_year: np.ndarray
) -> np.recarray:
    """Return what never changes, one record a worker: words as positions in the market's lists, the year as float."""
    arrays = [gender, ethnicity, region, birth_year.astype(np.float64)]
    return np.rec.fromarrays(arrays, names="gender, ethnicity, region, birth_year")


def _positions(frame: pd.DataFrame, column: str, words: Sequence[str]) -> np.ndarray:
    """Return the place of each cell in a list of words."""
    places = pd.Index(words).get_indexer(frame[column].astype(object))
    if (unknown := places < 0).any():
        raise InputError(
            f"careers, row {int(unknown.argmax()) + 2}, column {column}: not known to the market, whose words are "
            f"{', '.join(words[:12])}{', ...' if len(words) > 12 else ''}."
        )
    return places
