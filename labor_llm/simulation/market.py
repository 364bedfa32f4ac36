"""A labor market whose transition probabilities are known: the chance of each outcome given the whole history.

A worker with an earlier record stays in its outcome with probability 1 / (1 + exp(-s)). One who does not stay, and
everyone at the first record, goes on to an occupation or to one of the three states, with probabilities proportional
to exp(k) of each kind that is not the present state (an occupation: k = 0), and within the occupations to occupation
j, other than the present one, with probability proportional to exp(v_j). s, k and v are sums of the terms that
`MarketParameters` lists. They depend on the record's calendar year, gap and education level, on gender, ethnicity,
region and year of birth, and on what `Histories` keeps of all earlier records. Two careers that agree in their last
two records can thus differ in what comes next, so that no model of first or second order can reach the market's own
perplexity.

Education must be an outside covariate: the level at a record may not depend on the outcome of the same record.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from labor_llm.careers import occupations as occ1990dd
from labor_llm.careers.occupations import OutcomeSpace
from labor_llm.careers.panel import CareerPanel
from labor_llm.errors import ArtefactError
from labor_llm.simulation.histories import NONE, EncodedCareers, Histories, encode_careers
from labor_llm.simulation.parameters import SCHOOLING, SOME_COLLEGE, STATES, MarketParameters, MarketTables

FORMAT = 1
# The file beside a simulated panel from which its market is rebuilt.
MARKET_FILE = "market.json"
# So many workers are computed at once: their probabilities, 330 float64 each, stay in a processor's cache.
_BLOCK = 1024


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
        result = np.empty((len(frame), len(self.outcomes)), dtype=dtype)
        for workers, rows, histories in self.walk(encode_careers(frame, self.outcomes, self.columns)):
            kinds = self.kind_log_probabilities(histories, workers)
            utility = self.destination_utilities(histories, workers, slice(None))
            total = np.log(np.exp(utility).sum(axis=1))
            inside = np.concatenate([utility + (kinds[:, 1] - total)[:, None], kinds[:, 2:]], axis=1)
            later = np.flatnonzero(histories.last != NONE)
            inside[later, histories.last[later]] = kinds[later, 0]
            result[rows[:, None], self.columns] = inside
        return result

    def walk(self, careers: EncodedCareers) -> Iterator[tuple[np.recarray, np.ndarray, Histories]]:
        """Yield for each block of workers and record number those who have one, its rows, and the histories before it.

        The outcomes of these rows are looked up when the next ones are asked for, so that they may be drawn meanwhile.
        """
        decay, cap = self.parameters.experience_decay, self.parameters.experience_cap
        starts = np.cumsum(careers.counts) - careers.counts
        for begin in range(0, len(starts), _BLOCK):
            # Those with most records come first, so that the others drop out at the end.
            members = begin + np.argsort(-careers.counts[begin : begin + _BLOCK], kind="stable")
            counts, covariates = careers.counts[members], careers.covariates[members]
            histories = Histories(len(members), self.tables.group_of, decay, cap)
            for number in range(counts[0]):
                active = np.count_nonzero(counts > number)
                rows = starts[members[:active]] + number
                histories.keep_first(active)
                histories.meet(careers.year[rows], careers.education[rows])
                yield covariates[:active], rows, histories
                histories.record(careers.outcome[rows])

    def kind_log_probabilities(self, histories: Histories, workers: np.recarray) -> np.ndarray:
        """Return the log-probability of each kind for the records that were met: float64 [workers, 5].

        The kinds are staying (minus infinity at a first record), another occupation, and the three states (minus
        infinity for the one that one is in).
        """
        occupations = len(self.occupations)
        first = histories.last == NONE
        state = np.where(histories.last >= occupations, histories.last - occupations, NONE)
        stay = self._stay_log_odds(histories, workers, state)
        log_stay = np.where(first, -np.inf, -np.logaddexp(0.0, -stay))
        log_leave = np.where(first, 0.0, -np.logaddexp(0.0, stay))
        age = histories.year - workers.birth_year
        idle = np.minimum(histories.idle, 4.0)
        turns = (histories.year - self.tables.cycle_phase) / self.parameters.cycle_period
        unemployed = self._sum(
            unemployed=1.0,
            unemployed_young=np.maximum(30.0 - age, 0.0) / 10.0,
            unemployed_schooling=SCHOOLING[histories.education] - 12.0,
            unemployed_scar=idle,
            unemployed_cycle=np.sin(2.0 * np.pi * turns),
        )
        out = self._sum(
            out=1.0,
            out_female=(workers.gender == 1) & (age < 45.0),
            out_retirement=np.clip(age - 55.0, 0.0, 25.0),
            out_scar=idle,
            out_first=first,
        )
        education = self._sum(
            education=1.0,
            education_age=np.clip(age - 18.0, 0.0, 12.0),
            education_beyond=age > self.parameters.education_last_age,
            education_college=histories.education == SOME_COLLEGE,
            education_new_degree=histories.new_degree,
        )
        tables = self.tables
        utility = np.stack([np.zeros(len(histories)), unemployed, out, education], axis=1)
        utility[:, 1:] += tables.ethnicity_state[workers.ethnicity] + tables.region_state[workers.region]
        in_state = np.flatnonzero(state != NONE)
        utility[in_state, 1 + state[in_state]] = -np.inf
        utility -= np.log(np.exp(utility).sum(axis=1))[:, None]
        return np.concatenate([log_stay[:, None], log_leave[:, None] + utility], axis=1)

    def _stay_log_odds(self, histories: Histories, workers: np.recarray, state: np.ndarray) -> np.ndarray:
        """Return the log-odds of staying, [workers]; of no meaning at a first record."""
        tables = self.tables
        age = histories.year - workers.birth_year
        duration = np.log1p(histories.duration)
        female = workers.gender == 1
        occupation = np.where(state == NONE, np.maximum(histories.last, 0), 0)
        working = self._sum(
            self.parameters.stay + tables.attachment[occupation],
            stay_duration=duration,
            stay_maturity=1.0 - np.exp(-np.maximum(age - 18.0, 0.0) / 8.0),
            stay_misfit=np.abs(SCHOOLING[histories.education] - tables.required[occupation]),
            stay_churn=histories.moves / np.maximum(histories.records - 1.0, 1.0),
            stay_retirement=np.maximum(age - 61.0, 0.0),
            stay_new_degree=histories.new_degree,
            stay_female=female,
        )
        unemployed = self._sum(stay_unemployed=1.0, stay_state_duration=duration)
        out = self._sum(
            stay_out=1.0,
            stay_state_duration=duration,
            stay_out_age=np.clip(age - 55.0, 0.0, 20.0),
            stay_out_female=female,
        )
        studying = self._sum(
            stay_education=1.0,
            stay_education_age=np.clip(age - 18.0, 0.0, 17.0),
            education_beyond=age > self.parameters.education_last_age,
            stay_new_degree=histories.new_degree,
            education_college=histories.education == SOME_COLLEGE,
        )
        everyone = (
            self.parameters.stay_gap * np.log(np.maximum(histories.gap, 1.0))
            + tables.ethnicity_stay[workers.ethnicity]
            + tables.region_stay[workers.region]
        )
        return np.choose(state + 1, [working, unemployed, out, studying]) + everyone

    def _sum(self, start: np.ndarray | float = 0.0, **terms: np.ndarray | float) -> np.ndarray:
        """Return a start and the terms, each times the parameter of its name."""
        for name, term in terms.items():
            start = start + getattr(self.parameters, name) * term
        return np.asarray(start)

    def destination_utilities(
        self, histories: Histories, workers: np.recarray, chosen: slice | np.ndarray
    ) -> np.ndarray:
        """Return v_j for some of the workers: float64 [chosen, J], minus infinity for the occupation one is in."""
        parameters, tables = self.parameters, self.tables
        last, reference = histories.last[chosen], histories.last_occupation[chosen]
        own = workers[chosen]
        utility = tables.base.take(histories.education[chosen] * 2 + own.gender, axis=0)
        decades = (histories.year[chosen] - 2000.0) / 10.0
        cohort = (own.birth_year - 1960.0) / 10.0
        by_group = (
            parameters.experience * np.log1p(histories.experience[chosen])
            + tables.ethnicity_group[own.ethnicity]
            + tables.region_group[own.region]
            + decades[:, None] * tables.year_trend
            + cohort[:, None] * tables.cohort_trend
        )
        utility += by_group.take(tables.group_of, axis=1)
        worked = np.flatnonzero(reference != NONE)
        in_occupation = last[worked] == reference[worked]
        factor = np.where(in_occupation, 1.0, parameters.reference_in_state)
        utility[worked] += tables.closeness.take(reference[worked], axis=0) * factor[:, None]
        longest = histories.longest[chosen][worked]
        years = histories.held[chosen][worked, longest].astype(np.float64)
        utility[worked, longest] += parameters.recall_longest * np.log1p(years)
        present, left = worked[in_occupation], worked[~in_occupation]
        utility[left, reference[left]] += parameters.recall_last
        utility[present, reference[present]] = -np.inf
        return utility

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
