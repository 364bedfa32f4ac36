"""Families of a simulated PSID: who lives with whom in which wave, and under which numbers.

Simulated workers are the heads and spouses. Some pairs of a man and a woman of the same region are couples: in a
wave in which both are observed they share a family, otherwise each heads one of his or her own. Other members
(children, parents, siblings, first-year cohabitors) have no records; they live with a worker for some waves and
may be listed once more in the wave after they moved out, as in the PSID.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from labor_llm.errors import InputError
from labor_llm.surveys.psid.waves import LAST_ONE_DIGIT_WAVE

_FIRST_WAVE_WITH_RACE_OF_SPOUSE = 1985
# 1968 interview numbers by sample: SRC, SEO, immigrants of 1997 and 2017, Latino.
_SAMPLES = ((1, 2931), (5001, 6873), (3001, 3512), (4001, 4852), (7001, 9309))
# Person numbers within a 1968 family: originals, those born or moved in as relatives, others from 170.
_FIRST_HEAD, _FIRST_OTHER, _FIRST_SPOUSE = 1, 30, 170
_HOUSEHOLDS_A_LINEAGE = 4
# Six or so other members a household then stay below the numbers of the spouses.
_MAX_HOUSEHOLDS_A_LINEAGE = 14
_SHARE_OF_COUPLES, _SHARE_OF_PARTNERS, _SHARE_MOVING_OUT = 0.8, 0.15, 0.5
# Number of persons, with the members of families who have no record, over the number of workers.
_PEOPLE_A_WORKER = 2.6
_MOVED_OUT = 70
# Relation to the head in one digit (to 1982) and in two, share, and years of age above the head's.
_OTHERS = {
    "child": (3, 30, 0.85, -27),
    "sibling": (4, 40, 0.05, 0),
    "parent": (5, 50, 0.05, 27),
    "first-year cohabitor": (8, 88, 0.05, 0),
}


def families_of(
    workers: pd.DataFrame, records: pd.DataFrame, rng: np.random.Generator
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return families in which every worker is head or spouse in exactly the waves of his or her records.

    Args:
        workers: one row a worker: `gender`, `region`, `birth_year`, `first`, `last` (years of the first and last
            record).
        records: `position` (row of the worker in `workers`) and `wave`, sorted by both.
        rng: source of all draws.

    Returns:
        people: one row a person, the workers first and in their order: `person` (id as in the PSID: interview
            number of 1968 times 1000 plus person number, unique), `birth_year`.
        places: one row a person and wave: `position` (of the person in `people`), `wave`, `family` (interview
            number in that wave), `relation`, `sequence` (codes of the PSID), `head` and `spouse` (boolean).

    Raises:
        InputError: if there are more households than the numbering of the PSID holds.
    """
    household, is_spouse = _couples(workers, rng)
    places = _workers_places(records, household, is_spouse, rng)
    others, others_places = _other_members(workers, places, household, rng)
    places = _numbered(pd.concat([places, others_places], ignore_index=True), rng)
    household = np.concatenate([household, others["household"]])
    kind = np.where(is_spouse, _FIRST_SPOUSE, _FIRST_HEAD)
    kind = np.concatenate([kind, np.full(len(others), _FIRST_OTHER)])
    births = np.concatenate([workers["birth_year"], others["birth_year"]])
    people = pd.DataFrame({"person": _person_ids(household, kind, rng), "birth_year": births})
    return people, places


def _couples(workers: pd.DataFrame, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the household of each worker (the position of its first member) and who is a couple's spouse."""
    household, is_spouse = np.arange(len(workers)), np.zeros(len(workers), bool)
    order = workers.assign(position=household, luck=rng.random(len(workers)))
    order = order.sort_values(["region", "first", "birth_year", "luck"])
    order["rank"] = order.groupby(["gender", "region"]).cumcount()
    men = order[order["gender"] == "male"]
    # Until 1984 nobody asked for the race of a spouse.
    women = order[(order["gender"] == "female") & (order["last"] >= _FIRST_WAVE_WITH_RACE_OF_SPOUSE)]
    pairs = men.merge(women, on=["region", "rank"])
    pairs = pairs[rng.random(len(pairs)) < _SHARE_OF_COUPLES]
    wife = pairs["position_y"].to_numpy()
    household[wife], is_spouse[wife] = pairs["position_x"].to_numpy(), True
    return household, is_spouse


def _workers_places(
    records: pd.DataFrame, household: np.ndarray, is_spouse: np.ndarray, rng: np.random.Generator
) -> pd.DataFrame:
    places = records[["position", "wave"]].reset_index(drop=True)
    position = places["position"].to_numpy()
    places["household"] = household[position]
    together = places.groupby(["household", "wave"])["position"].transform("size").to_numpy() == 2
    spouse = is_spouse[position] & together
    # A couple that is not married is so in all of its waves; to 1982 the PSID does not tell.
    partner = (rng.random(len(household)) < _SHARE_OF_PARTNERS)[position]
    one_digit = (places["wave"] <= LAST_ONE_DIGIT_WAVE).to_numpy()
    wife = np.where(one_digit, 2, np.where(partner, 22, 20))
    places["relation"] = np.where(spouse, wife, np.where(one_digit, 1, 10))
    places["sequence"] = np.where(spouse, 2, 1)
    places["head"], places["spouse"] = ~spouse, spouse
    return places


def _other_members(
    workers: pd.DataFrame, places: pd.DataFrame, household: np.ndarray, rng: np.random.Generator
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the other members (`household`, `birth_year`) and their places, spread evenly over the households."""
    number = round((_PEOPLE_A_WORKER - 1) * len(workers))
    heads = places[places["head"] & (household[places["position"]] == places["position"])]
    heads = heads.sort_values(["position", "wave"])
    hosts, first_row, seen = np.unique(heads["position"], return_index=True, return_counts=True)
    host = rng.permutation(len(hosts))[np.arange(number) % len(hosts)]
    waves = seen[host]
    start = (rng.random(number) * waves).astype("int64")
    length = np.minimum(rng.geometric(0.15, number), waves - start)
    others = pd.DataFrame(_OTHERS.values(), columns=["one_digit", "two_digits", "share", "above"])
    kind = rng.choice(len(others), number, p=others["share"])
    length[kind == list(_OTHERS).index("first-year cohabitor")] = 1

    # One row for each wave of each of them, taken from the host's own waves.
    member = np.repeat(np.arange(number), length)
    nth = np.arange(len(member)) - np.repeat(np.cumsum(length) - length, length)
    taken = heads.iloc[first_row[host][member] + start[member] + nth]
    moves = (rng.random(number) < _SHARE_MOVING_OUT) & (length > 1) & (start + length < waves)
    gone = moves[member] & (nth == length[member] - 1)
    # The host is the head of the household's family in all of these waves.
    relations = others.iloc[kind[member]].reset_index(drop=True)
    one_digit = (taken["wave"] <= LAST_ONE_DIGIT_WAVE).to_numpy()
    own = pd.DataFrame(
        {
            "position": len(workers) + member,
            "wave": taken["wave"].to_numpy(),
            "household": taken["household"].to_numpy(),
            "relation": np.where(one_digit, relations["one_digit"], relations["two_digits"]),
            "sequence": np.where(gone, _MOVED_OUT, 0),
            "head": False,
            "spouse": False,
        }
    )
    head_born = workers["birth_year"].to_numpy()[hosts[host]]
    arrival = heads["wave"].to_numpy()[first_row[host] + start]
    above = others["above"].to_numpy()[kind]
    births = np.minimum(head_born - above + rng.integers(-6, 7, number), arrival - 1)
    return pd.DataFrame({"household": household[hosts[host]], "birth_year": births}), own


def _numbered(places: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Give every family of a wave an interview number and every other member a sequence number."""
    # A worker whose partner is not observed heads a family of his or her own under the couple's household, so
    # that household and wave are one family.
    family = places.groupby(["wave", "household"], sort=True).ngroup().to_numpy()
    wave_of = pd.Series(places["wave"].to_numpy()).groupby(family).first()
    shuffled = pd.Series(rng.random(len(wave_of))).groupby(wave_of.to_numpy()).rank().astype("int64")
    places["family"] = shuffled.to_numpy()[family]

    other = ~places["head"] & ~places["spouse"]
    first_free = 2 + places["spouse"].groupby(family).transform("sum")
    gone = places["sequence"] == _MOVED_OUT
    order = places.groupby([family, other, gone]).cumcount()
    places.loc[other & ~gone, "sequence"] = first_free + order
    places.loc[other & gone, "sequence"] = _MOVED_OUT + 1 + order
    return places.drop(columns="household")


def _person_ids(household: np.ndarray, kind: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return an id a person: households share the 1968 families evenly, and number their members by kind."""
    numbers = np.concatenate([np.arange(*sample) for sample in _SAMPLES])
    order, households = np.unique(household, return_inverse=True)
    used = min(len(numbers), -(-len(order) // _HOUSEHOLDS_A_LINEAGE))
    if len(order) > used * _MAX_HOUSEHOLDS_A_LINEAGE:
        raise InputError(
            f"simulated PSID: {len(order):,} households do not fit into its {len(numbers):,} families of 1968. "
            "Simulate fewer workers."
        )
    lineage = rng.permutation(numbers)[:used][households % used]
    within = pd.DataFrame({"lineage": lineage, "kind": kind}).groupby(["lineage", "kind"]).cumcount()
    return lineage * 1000 + kind + within.to_numpy()
