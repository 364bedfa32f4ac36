"""Simulated workers answer the questions of the PSID: what its reader makes of it is, record for record, their careers.

The workers are heads and spouses. Some pairs of a man and a woman of the same region are couples: in a wave in which
both are observed they share a family, otherwise each heads one of his or her own. Other members (children, parents,
siblings, first-year cohabitors) have no records; they live with a worker for some waves and may be listed once more in
the wave after they moved out, as in the PSID. What is not asked of a record holds noise where the survey has it (the
last job of those who do not work, in 2003 and later; the status of other members), so that a reader that takes it gives
other careers.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd

from labor_llm.errors import InputError
from labor_llm.simulation.files.nls_answers import Codes, Given, coded
from labor_llm.surveys.psid.careers import GENDERS, HISPANIC_ORIGINS, RACES, REGIONS
from labor_llm.surveys.psid.waves import LAST_ONE_DIGIT_WAVE, occupation_of_wave
from labor_llm.surveys.variables import Key, variables_of

_STATES = {"unemployed": (3, 3, 3), "out_of_labor_force": (4, 5, 6), "education": (7, 7, 7)}
_WORKING, _STATUS_MISSING, _RACE_MISSING = 1, 9, 9
_MOST_GRADES = 17
_GRADES_FROM_AGE, _STATUS_FROM_AGE = 6, 16
# Among other members of a family: working, unemployed, keeping house, student.
_STATUS_OF_OTHERS = (1, 3, 6, 7)
_SHARE_WITH_LAST_JOB, _SHARE_OF_SPOUSES_WITHOUT_STATUS = 0.7, 0.01
# The waves in which each list of answers on race was in force.
_ASKED_RACES = [(range(start, end), RACES[start]) for start, end in pairwise([*RACES, 9999])]
_FIRST_WAVE_WITH_RACE_OF_SPOUSE = 1985

# 1968 interview numbers by sample: SRC, SEO, immigrants of 1997 and 2017, Latino.
_SAMPLES = ((1, 2931), (5001, 6873), (3001, 3512), (4001, 4852), (7001, 9309))
# Person numbers within a 1968 family: originals, those born or moved in as relatives, others from 170.
_FIRST_HEAD, _FIRST_OTHER, _FIRST_SPOUSE = 1, 30, 170
# With six or so other members a household the numbers of these stay below those of the spouses.
_HOUSEHOLDS_A_LINEAGE, _MAX_HOUSEHOLDS_A_LINEAGE = 4, 14
_SHARE_OF_COUPLES, _SHARE_OF_PARTNERS, _SHARE_MOVING_OUT = 0.8, 0.15, 0.5
# Number of persons, with the members of families who have no record, over the number of workers.
_PEOPLE_A_WORKER = 2.6
_MOVED_OUT = 70
# Relation to the head in one digit (to 1982) and in two, share among the other members, and years of age above the
# head's: children, siblings, parents, and first-year cohabitors, who stay for one wave.
_OTHERS = pd.DataFrame(
    [(3, 30, 0.85, -27), (4, 40, 0.05, 0), (5, 50, 0.05, 27), (8, 88, 0.05, 0)],
    columns=["one_digit", "two_digits", "share", "above"],
)


def psid_answers(careers: pd.DataFrame, occupation_codes: Codes, seed: int) -> Given:
    """Return the answers of simulated workers and their families, and the person number of each worker.

    Args:
        careers: as `expressible_in_psid` returns them.
        occupation_codes: the codes to draw from.
        seed: of the families, drawn codes and noise.

    Returns:
        The answers in the form of `RawSurvey.values` (the waves that have a record, in the order of
        `variables_of("psid")`), and the person number by worker id.

    Raises:
        InputError: if there are more households than the numbering of the PSID holds.
    """
    rng = np.random.default_rng(seed)
    careers = careers.sort_values(["worker_id", "year"], ignore_index=True)
    careers["position"] = pd.factorize(careers["worker_id"])[0]
    by_worker = careers.groupby("position")
    workers = by_worker[["worker_id", "gender", "region", "birth_year"]].first()
    workers["first"], workers["last"] = by_worker["year"].min(), by_worker["year"].max()
    people, places = _families(workers, careers[["position", "year"]].rename(columns={"year": "wave"}), rng)

    answers = careers[["position", "year", "schooling"]].assign(employment_status=_WORKING)
    for state, statuses in _STATES.items():
        inside = careers["occupation"] == state
        answers.loc[inside, "employment_status"] = rng.choice(statuses, inside.sum())
    works = (answers["employment_status"] == _WORKING).to_numpy()
    answers["occupation"] = _occupations(careers, works, occupation_codes, rng)
    answers["race"], answers["hispanic"] = _races(careers, rng)

    sex = rng.choice(list(GENDERS), len(people))
    sex[: len(workers)] = coded(workers["gender"], GENDERS)
    person = people["person"].to_numpy()
    static = {"interview_number_1968": person // 1000, "person_number": person % 1000, "sex": sex}
    columns = {(name, "person", 0): pd.array(codes, dtype="Int32") for name, codes in static.items()}
    births, answers["region"] = people["birth_year"].to_numpy(), coded(careers["region"], REGIONS)
    for wave in sorted(careers["year"].unique()):
        asked = answers[answers["year"] == wave].set_index("position")
        columns |= _wave_columns(places[places["wave"] == wave], births, asked, wave, rng)

    keys = [variable.key for variable in variables_of("psid") if variable.key in columns]
    values = pd.DataFrame({key: columns[key] for key in keys}, index=pd.Index(person, name="person"))
    values.columns = pd.MultiIndex.from_tuples(keys, names=["concept", "role", "year"])
    return values.sort_index(), dict(zip(workers["worker_id"], person.tolist(), strict=False))


def expressible_in_psid(careers: pd.DataFrame) -> pd.DataFrame:
    """Return the careers that the PSID has answers for.

    Workers are left out whose ethnicity was no answer in any of their waves (until 1984 the list was white, black,
    Spanish American and other); this depends on who is observed when and never on an occupation. Years of schooling
    above 17 become 17, the PSID's code for all graduate work, and those below 1 become 1.

    Args:
        careers: as `simulate_careers` returns them, of waves of the PSID.
    """
    stated = pd.Series(False, index=careers.index)
    for waves, answers in _ASKED_RACES:
        stated |= careers["year"].isin(waves) & careers["ethnicity"].isin({*answers.values(), "hispanic"})
    stated = stated.groupby(careers["worker_id"]).transform("any")
    schooling = careers["schooling"].clip(1, _MOST_GRADES)
    return careers.assign(schooling=schooling)[stated].reset_index(drop=True)


def _occupations(
    careers: pd.DataFrame, works: np.ndarray, occupation_codes: Codes, rng: np.random.Generator
) -> np.ndarray:
    """Return the code of the main job; of those without one 0 or, where the question has it, that of the last."""
    frames = careers["year"].map({wave: occupation_of_wave(wave)[1] for wave in careers["year"].unique()})
    drawn, luck = np.zeros(len(careers), np.int64), rng.random(len(careers))
    for frame in frames.unique():
        sources, inside = occupation_codes[frame], (frames == frame).to_numpy()
        for row in np.flatnonzero(inside & works):
            own = sources[careers["occupation"].iat[row]]
            drawn[row] = own[int(luck[row] * len(own))]
        if frame != "census1970":
            every = np.concatenate(list(sources.values()))
            rows = np.flatnonzero(inside & ~works & (rng.random(len(careers)) < _SHARE_WITH_LAST_JOB))
            drawn[rows] = every[(luck[rows] * len(every)).astype("int64")]
    return drawn


def _races(careers: pd.DataFrame, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return race and Hispanic origin of each record, as its wave asks for them."""
    year, word = careers["year"].to_numpy(), careers["ethnicity"].to_numpy()
    race, origin = np.full(len(careers), _RACE_MISSING), np.zeros(len(careers), np.int64)
    hispanic = word == "hispanic"
    origin[hispanic] = rng.choice(HISPANIC_ORIGINS, hispanic.sum())
    asked = np.isin(year, [v.year for v in variables_of("psid") if v.key[:2] == ("hispanic", "head")])
    for waves, answers in _ASKED_RACES:
        inside, codes = np.isin(year, waves), pd.Series(answers)
        for ethnicity in codes.unique():
            rows = inside & (word == ethnicity)
            race[rows] = rng.choice(codes.index[codes == ethnicity], rows.sum())
        # Where origin is a question of its own, or "Hispanic" no answer on race, race is another one.
        race[inside & hispanic & (asked | ("hispanic" not in answers.values()))] = 1
    return race, origin


def _wave_columns(
    places: pd.DataFrame, births: np.ndarray, asked: pd.DataFrame, wave: int, rng: np.random.Generator
) -> dict[Key, pd.arrays.IntegerArray]:
    """Return a wave's columns: 0 in the individual file, NA in the family file where a person is in no family."""
    rows, family = places["position"].to_numpy(), places["family"].to_numpy()
    worker = (places["head"] | places["spouse"]).to_numpy()
    age = wave - births[rows]
    status = np.where(age >= _STATUS_FROM_AGE, rng.choice(_STATUS_OF_OTHERS, len(rows)), 0)
    status[worker] = asked.loc[rows[worker], "employment_status"]
    grades = np.clip(age - _GRADES_FROM_AGE, 0, 12)
    grades[worker] = asked.loc[rows[worker], "schooling"]
    heads, spouses = (places[places[role]].set_index("family")["position"] for role in ("head", "spouse"))
    codes: dict[tuple[str, str], np.ndarray | pd.Series] = {
        ("ind_interview_number", "person"): family,
        ("sequence_number", "person"): places["sequence"],
        ("relation_to_head", "person"): places["relation"],
        ("age", "person"): age,
        ("birth_year", "person"): births[rows],
        ("employment_status", "person"): status,
        ("schooling", "person"): grades,
        ("region", "family"): asked.loc[heads.loc[family], "region"],
        ("fam_interview_number", "family"): family,
    }
    for role, member in (("head", heads), ("spouse", spouses)):
        own = asked.loc[member, ["employment_status", "occupation", "schooling", "race", "hispanic"]]
        if role == "spouse":
            missing = rng.random(len(own)) < _SHARE_OF_SPOUSES_WITHOUT_STATUS
            own.loc[missing, "employment_status"] = _STATUS_MISSING
        # One row a family of the family file: 0 where there is no spouse.
        own = own.set_axis(member.index).reindex(family, fill_value=0)
        own = own.rename(columns={"occupation": occupation_of_wave(wave)[0]})
        codes |= {(concept, role): own[concept].to_numpy() for concept in own}
    absent = np.ones(len(births), bool)
    absent[rows] = False
    columns = {}
    for (concept, role), answer in codes.items():
        column = np.zeros(len(births), np.int32)
        column[rows] = answer
        columns[concept, role, wave] = pd.arrays.IntegerArray(column, absent & (role != "person"))
    return columns


def _families(
    workers: pd.DataFrame, records: pd.DataFrame, rng: np.random.Generator
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return families in which every worker is head or spouse in exactly the waves of his or her records.

    Args:
        workers: one row a worker: `gender`, `region`, `birth_year`, `first` and `last` (years of records).
        records: `position` (row of the worker in `workers`) and `wave`, sorted by both.
        rng: source of all draws.

    Returns:
        One row a person, the workers first: `person` (interview number of 1968 times 1000 plus person number),
        `birth_year`. One row a person and wave: `position` (of the person), `wave`, `family` (interview number in
        that wave), `relation`, `sequence` (codes of the PSID), `head` and `spouse` (boolean).
    """
    household, is_spouse = _couples(workers, rng)
    places = records.assign(household=household[records["position"]])
    together = places.groupby(["household", "wave"])["position"].transform("size") == 2
    spouse = is_spouse[places["position"]] & together
    # A couple that is not married is so in all of its waves; to 1982 the PSID does not tell.
    partner = (rng.random(len(household)) < _SHARE_OF_PARTNERS)[places["position"]]
    one_digit = places["wave"] <= LAST_ONE_DIGIT_WAVE
    wife = np.where(one_digit, 2, np.where(partner, 22, 20))
    places["relation"] = np.where(spouse, wife, np.where(one_digit, 1, 10))
    places["sequence"] = np.where(spouse, 2, 1)
    places["head"], places["spouse"] = ~spouse, spouse
    others, others_places = _other_members(workers, places, household, rng)
    places = _numbered(pd.concat([places, others_places], ignore_index=True), rng)
    household = np.concatenate([household, others["household"]])
    kind = np.append(np.where(is_spouse, _FIRST_SPOUSE, _FIRST_HEAD), np.full(len(others), _FIRST_OTHER))
    births = np.concatenate([workers["birth_year"], others["birth_year"]])
    return pd.DataFrame({"person": _person_ids(household, kind, rng), "birth_year": births}), places


def _couples(workers: pd.DataFrame, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the household of each worker (the position of its first member) and who is a couple's spouse."""
    household, is_spouse = np.arange(len(workers)), np.zeros(len(workers), bool)
    order = workers.assign(position=household, luck=rng.random(len(workers)))
    order = order.sort_values(["region", "first", "birth_year", "luck"])
    order["rank"] = order.groupby(["gender", "region"]).cumcount()
    men = order[order["gender"] == "male"]
    women = order[(order["gender"] == "female") & (order["last"] >= _FIRST_WAVE_WITH_RACE_OF_SPOUSE)]
    pairs = men.merge(women, on=["region", "rank"])
    pairs = pairs[rng.random(len(pairs)) < _SHARE_OF_COUPLES]
    wife = pairs["position_y"].to_numpy()
    household[wife], is_spouse[wife] = pairs["position_x"].to_numpy(), True
    return household, is_spouse


def _other_members(
    workers: pd.DataFrame, places: pd.DataFrame, household: np.ndarray, rng: np.random.Generator
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the other members (`household`, `birth_year`) and their places, spread evenly over the households."""
    number = round((_PEOPLE_A_WORKER - 1) * len(workers))
    heads = places[places["head"] & (places["household"] == places["position"])]
    heads = heads.sort_values(["position", "wave"])
    hosts, first_row, seen = np.unique(heads["position"], return_index=True, return_counts=True)
    host = rng.permutation(len(hosts))[np.arange(number) % len(hosts)]
    waves = seen[host]
    start = (rng.random(number) * waves).astype("int64")
    length = np.minimum(rng.geometric(0.15, number), waves - start)
    kind = rng.choice(len(_OTHERS), number, p=_OTHERS["share"])
    length[kind == len(_OTHERS) - 1] = 1

    # One row for each wave of each of them, taken from the host's own waves: there the host is the family's head.
    member = np.repeat(np.arange(number), length)
    nth = np.arange(len(member)) - np.repeat(np.cumsum(length) - length, length)
    own = heads.iloc[first_row[host][member] + start[member] + nth][["position", "wave", "household"]]
    own["position"] = len(workers) + member
    relations = _OTHERS.iloc[kind[member]]
    one_digit = own["wave"] <= LAST_ONE_DIGIT_WAVE
    own["relation"] = np.where(one_digit, relations["one_digit"], relations["two_digits"])
    moves = (rng.random(number) < _SHARE_MOVING_OUT) & (length > 1) & (start + length < waves)
    own["sequence"] = np.where(moves[member] & (nth == length[member] - 1), _MOVED_OUT, 0)
    own["head"], own["spouse"] = False, False
    head_born = workers["birth_year"].to_numpy()[hosts[host]]
    arrival = heads["wave"].to_numpy()[first_row[host] + start]
    births = np.minimum(
        head_born - _OTHERS["above"].to_numpy()[kind] + rng.integers(-6, 7, number), arrival - 1
    )
    return pd.DataFrame({"household": household[hosts[host]], "birth_year": births}), own


def _numbered(places: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Give every family of a wave an interview number and every other member a sequence number."""
    # A worker whose partner is not observed heads a family of his or her own under the couple's household, so
    # that household and wave are one family.
    family = places.groupby(["wave", "household"], sort=True).ngroup().to_numpy()
    wave_of = places["wave"].groupby(family).first()
    luck = pd.Series(rng.random(len(wave_of)))
    places["family"] = luck.groupby(wave_of).rank().astype("int64").to_numpy()[family]

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
