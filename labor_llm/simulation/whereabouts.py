"""Where workers may be, given their interviews so far: a forward filter over all that interviews do not show.

The filter holds the probability of each steadiness, vocation, situation and last occupation (Rabiner 1989, section
III.A). After an interview the last occupation is mostly known; after a year without one it is anyone's guess, so that
all are held. A year's step is a sum over all of them: what is left over from the closeness of two occupations depends
on them alone, and makes it a product of matrices.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labor_llm.simulation.law import FIRST_STATE, NEW, NOWHERE, SETTLED, SITUATIONS, Law, Year, chance_to_rise
from labor_llm.simulation.parameters import STATES, STEADINESS, VOCATIONS


@dataclass
class Guess:
    """Of workers of whom equally many last occupations are possible: [workers, K] of them, one or all, J being none.

    The mass is [workers, 2 of steadiness, vocations, situations, K] and need not add up to one.
    """

    last: np.ndarray
    mass: np.ndarray

    def times(self, factor: np.ndarray) -> Guess:
        """Return it with each worker's mass multiplied, [workers]."""
        return Guess(self.last, self.mass * factor[:, None, None, None, None])


class Whereabouts:
    """What is known of some workers, moved on by `meet` (the year of an interview) and `record` (what it said).

    Args:
        law: of the market.
        workers: their covariates.
    """

    def __init__(self, law: Law, workers: np.recarray) -> None:
        self.law, self.workers = law, workers
        self.occupations = len(law.tables.group_of)
        self.year = np.zeros(len(workers), dtype=np.int64)  # of the last interview; 0 before the first
        self.education = np.zeros(len(workers), dtype=np.int64)
        self._known: list[Guess | None] = [None] * len(workers)

    def meet(self, who: np.ndarray, year: np.ndarray, education: np.ndarray) -> np.ndarray:
        """Return the probability of every outcome at an interview of some of the workers, [who, J + 3].

        Where a level of education that rises by at most one a year cannot have come to the present one, it is taken to
        have been the last known one until now.
        """
        gap = np.where(self.year[who] > 0, year - self.year[who], 0)
        rise = education - self.education[who]
        # Careers that can be computed together: as many years and levels between, and last occupations.
        wide = [guess is not None and guess.last.shape[1] > 1 for guess in map(self._known.__getitem__, who)]
        kinds, kind = np.unique(
            np.column_stack([gap, np.where(gap > 0, rise, 0), wide]), axis=0, return_inverse=True
        )
        result = np.empty((len(who), self.occupations + len(STATES)))
        self._met: list[Guess] = [None] * len(who)  # type: ignore[list-item]
        for number, (years, levels, _) in enumerate(kinds):
            own = np.flatnonzero(kind.ravel() == number)
            asked = who[own]
            if years == 0:
                guess = self._begin(
                    Year(self.workers[asked], year[own], education[own], np.zeros(len(own), bool))
                )
            else:
                guess = self._after_gap(asked, int(years), int(levels))
            for place, row in enumerate(own):
                self._met[row] = Guess(guess.last[place], guess.mass[place])
            result[own] = self._outcomes(guess)
        self._when = year, education
        return result

    def record(self, who: np.ndarray, met: np.ndarray, outcome: np.ndarray) -> None:
        """Learn what was said at interviews that `meet` was last asked of.

        Args:
            who: under the numbers of which workers it is to be known, [answers].
            met: at which of the interviews, numbers of rows of what `meet` returned, [answers].
            outcome: as `EncodedCareers` numbers them, [answers].
        """
        self.year[who], self.education[who] = (values[met] for values in self._when)
        for worker, number, said in zip(who, met, outcome, strict=True):
            guess = self._met[number]
            if said < self.occupations:
                at = np.flatnonzero(guess.last == said)
                mass = guess.mass[..., at].copy()
                mass[:, :, FIRST_STATE:] = 0.0
                last = guess.last[at]
            else:
                mass, last = np.zeros_like(guess.mass), guess.last
                state = FIRST_STATE + said - self.occupations
                mass[:, :, state] = guess.mass[:, :, state]
                if np.count_nonzero(held := mass.any(axis=(0, 1, 2))) == 1:
                    mass, last = mass[..., held], last[held]
            self._known[worker] = Guess(last[None], (mass / mass.sum())[None])

    def _outcomes(self, guess: Guess) -> np.ndarray:
        by_situation = guess.mass.sum(axis=(1, 2))
        result = np.zeros((len(by_situation), self.occupations + len(STATES)))
        np.put_along_axis(result, guess.last, by_situation[:, NEW] + by_situation[:, SETTLED], axis=1)
        result[:, self.occupations :] = by_situation[:, FIRST_STATE:].sum(axis=2)
        return result / result.sum(axis=1, keepdims=True)

    def _begin(self, at: Year) -> Guess:
        """Return where workers are at their first record."""
        every = np.arange(self.occupations + 1)
        mass = np.zeros((len(at.year), len(STEADINESS), VOCATIONS, SITUATIONS, len(every)))
        attraction = self.law.attraction(at)
        shares = attraction / attraction.sum(axis=-1, keepdims=True)
        kinds = self.law.kinds(at)[:, :, NOWHERE] / (len(STEADINESS) * VOCATIONS)
        mass[..., NEW, :-1] = kinds[:, :, None, :1] * shares[:, None]
        mass[..., FIRST_STATE:, -1] = kinds[:, :, None, 1:]
        return Guess(np.broadcast_to(every, (len(at.year), len(every))), mass)

    def _after_gap(self, who: np.ndarray, years: int, rise: int) -> Guess:
        """Return where workers are so many years after their last interview, at a level so many above the last one."""
        known = [self._known[worker] for worker in who]
        start = Guess(*(np.concatenate([getattr(one, name) for one in known]) for name in ("last", "mass")))
        workers, begun, level = self.workers[who], self.year[who], self.education[who]

        def at(number: int, risen: int, now: bool) -> Year:
            return Year(workers, begun + number, level + risen, np.full(len(who), now))

        if years == 1 or not 0 < rise <= years:
            for number in range(1, years):
                start = self._advance(start, at(number, 0, False))
            return self._advance(start, at(years, rise, rise > 0))
        # The level may have risen in any of the years: by levels risen so far, where workers may be.
        paths: list[Guess | None] = [start, *[None] * rise]
        for number in range(1, years + 1):
            after: list[Guess | None] = [None] * (rise + 1)
            for risen in range(rise + 1) if number < years else (rise,):
                parts = []
                for before in (risen - 1, risen):
                    if before >= 0 and (guess := paths[before]) is not None:
                        chance = chance_to_rise(level + before, begun + number, workers.birth_year)
                        weight = chance if risen > before else 1.0 - chance
                        parts.append(self._advance(guess.times(weight), at(number, risen, risen > before)))
                if parts:
                    after[risen] = Guess(parts[0].last, sum(part.mass for part in parts))
            paths = after
        return paths[rise]

    def _advance(self, guess: Guess, at: Year) -> Guess:
        """Return where workers are a year later."""
        law, occupations = self.law, self.occupations
        working, states = guess.mass[..., :FIRST_STATE, :], guess.mass[..., FIRST_STATE:, :]
        # Nobody works whose last occupation is none: any other will do in its place.
        place = np.minimum(guess.last, occupations - 1)
        stays = law.stays_in_occupation(
            at,
            place[:, None, None, None, :],
            np.array([0.0, 1.0])[:, None],
            STEADINESS[:, None, None, None],
        )
        kept, kept_states = (
            (working * stays).sum(axis=-2),
            states * law.stays_in_state(at)[:, None, None, :, None],
        )
        left, left_states = working.sum(axis=-2) - kept, states - kept_states
        kinds, attraction = law.kinds(at), law.attraction(at)
        goes = left * kinds[:, :, None, 0, :1]
        returns = np.einsum("nuvsk,nus->nuvk", left_states, kinds[:, :, 1:NOWHERE, 0])
        arriving = np.zeros((*left.shape[:-1], occupations))
        for movers, rows in zip((goes, returns), law.tables.closeness, strict=True):
            table = rows[guess.last] if guess.last.shape[1] == 1 else rows[None]
            total = attraction @ table.swapaxes(-1, -2)
            arriving += (movers / total[:, None]) @ table[:, None]
        arriving *= attraction[:, None]
        remaining = kept_states + np.einsum("nuvsk,nust->nuvtk", left_states, kinds[:, :, 1:NOWHERE, 1:])
        remaining += left[..., None, :] * kinds[:, :, None, 0, 1:, None]
        every = np.arange(occupations + 1)
        last = np.broadcast_to(every, (len(place), len(every)))
        mass = np.zeros((*left.shape[:-1], SITUATIONS, len(every)))
        mass[..., NEW, :-1] = arriving
        rows = np.arange(len(place))[:, None]
        mass.transpose(0, 4, 1, 2, 3)[rows, guess.last, :, :, SETTLED] = kept.transpose(0, 3, 1, 2)
        mass.transpose(0, 4, 1, 2, 3)[rows, guess.last, :, :, FIRST_STATE:] = remaining.transpose(
            0, 4, 1, 2, 3
        )
        return Guess(last, mass)
