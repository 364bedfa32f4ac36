"""Simulated workers answer the questions of the PSID: what its reader makes of it is, record for record, their careers.

What is not asked of a record holds noise where the survey has it (the last job of those who do not work, in 2003 and
later; other members of the family with a status of their own), so that a reader that takes it gives other careers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from labor_llm.simulation.files.nls_answers import coded
from labor_llm.simulation.files.psid_families import families_of
from labor_llm.surveys.psid.careers import GENDERS, HISPANIC_ORIGINS, RACES, REGIONS
from labor_llm.surveys.psid.waves import occupation_of_wave
from labor_llm.surveys.variables import variables_of

_STATES = {"unemployed": (3, 3, 3), "out_of_labor_force": (4, 5, 6), "education": (7, 7, 7)}
_WORKING, _STATUS_MISSING, _RACE_MISSING = 1, 9, 9
_MOST_GRADES = 17
_GRADES_FROM_AGE, _STATUS_FROM_AGE = 6, 16
# Among other members of a family: working, unemployed, keeping house, student.
_STATUS_OF_OTHERS = (1, 3, 6, 7)
_SHARE_WITH_LAST_JOB, _SHARE_OF_SPOUSES_WITHOUT_STATUS = 0.7, 0.01

Columns = dict[tuple[str, str, int], pd.arrays.IntegerArray]


def psid_answers(
    careers: pd.DataFrame, occupation_codes: Mapping[str, Mapping[str, Sequence[int]]], seed: int
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return the answers of simulated workers and their families, and the person number of each worker.

    Args:
        careers: columns `worker_id`, `year` (a wave), `occupation` (occ1990dd code or state), `gender`, `ethnicity`,
            `region` (words of the career panel), `birth_year` and `schooling` (completed years); only what the PSID
            has answers for, see `expressible_in_psid`.
        occupation_codes: by Census frame and occ1990dd code, the source codes to draw from.
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
    people, places = families_of(workers, careers[["position", "year"]].rename(columns={"year": "wave"}), rng)

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
    columns: Columns = {(name, "person", 0): pd.array(codes, dtype="Int32") for name, codes in static.items()}
    region = coded(workers["region"], REGIONS)
    for wave in sorted(careers["year"].unique()):
        asked = answers[answers["year"] == wave].set_index("position")
        of_wave = places[places["wave"] == wave]
        columns |= _wave_columns(of_wave, people["birth_year"].to_numpy(), asked, region, wave, rng)

    keys = [variable.key for variable in variables_of("psid") if variable.key in columns]
    values = pd.DataFrame({key: columns[key] for key in keys}, index=pd.Index(person, name="person"))
    values.columns = pd.MultiIndex.from_tuples(keys, names=["concept", "role", "year"])
    return values.sort_index(), dict(zip(workers["worker_id"], person.tolist(), strict=False))


def expressible_in_psid(careers: pd.DataFrame) -> pd.DataFrame:
    """Return the careers that the PSID has answers for.

    Workers are left out whose ethnicity was no answer in any of their waves (until 1984 the list was white, black,
    Spanish American and other); this depends on who is observed when and never on an occupation. Years of schooling
    above 17 become 17, the PSID's code for all graduate work, and those below 1 become 1.
    """
    stated = pd.Series(False, index=careers.index)
    for start, end in zip(RACES, [*RACES, 9999][1:], strict=True):
        inside = careers["year"].between(start, end - 1)
        stated |= inside & careers["ethnicity"].isin({*RACES[start].values(), "hispanic"})
    stated = stated.groupby(careers["worker_id"]).transform("any")
    schooling = careers["schooling"].clip(1, _MOST_GRADES)
    return careers.assign(schooling=schooling)[stated].reset_index(drop=True)


def _occupations(
    careers: pd.DataFrame,
    works: np.ndarray,
    occupation_codes: Mapping[str, Mapping[str, Sequence[int]]],
    rng: np.random.Generator,
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
    for start, end in zip(RACES, [*RACES, 9999][1:], strict=True):
        inside = (year >= start) & (year < end)
        answers = pd.Series(RACES[start])
        for ethnicity in answers.unique():
            rows = inside & (word == ethnicity)
            race[rows] = rng.choice(answers.index[answers == ethnicity], rows.sum())
        # Where origin is a question of its own, or "Hispanic" no answer on race, race is another one.
        race[inside & hispanic & (asked | ("hispanic" not in answers.unique()))] = 1
    return race, origin


def _wave_columns(
    places: pd.DataFrame,
    births: np.ndarray,
    asked: pd.DataFrame,
    regions: np.ndarray,
    wave: int,
    rng: np.random.Generator,
) -> Columns:
    """Return a wave's columns: 0 in the individual file, NA in the family file where a person is in no family."""
    rows, family = places["position"].to_numpy(), places["family"].to_numpy()
    worker = (places["head"] | places["spouse"]).to_numpy()
    age = wave - births[rows]
    status = np.where(age >= _STATUS_FROM_AGE, rng.choice(_STATUS_OF_OTHERS, len(rows)), 0)
    status[worker] = asked.loc[rows[worker], "employment_status"]
    grades = np.clip(age - _GRADES_FROM_AGE, 0, 12)
    grades[worker] = asked.loc[rows[worker], "schooling"]
    person = {
        "ind_interview_number": family,
        "sequence_number": places["sequence"],
        "relation_to_head": places["relation"],
        "age": age,
        "birth_year": births[rows],
        "employment_status": status,
        "schooling": grades,
    }
    # Rows of the family file, by interview number: 0 where there is no spouse.
    heads, spouses = (places[places[role]].set_index("family")["position"] for role in ("head", "spouse"))
    of_family = {
        ("region", "family"): regions[heads.loc[family]],
        ("fam_interview_number", "family"): family,
    }
    occupation, _ = occupation_of_wave(wave)
    for role, member in (("head", heads), ("spouse", spouses)):
        for concept in ("employment_status", "occupation", "schooling", "race", "hispanic"):
            codes = asked.loc[member, concept].to_numpy()
            if role == "spouse" and concept == "employment_status":
                missing = rng.random(len(codes)) < _SHARE_OF_SPOUSES_WITHOUT_STATUS
                codes = np.where(missing, _STATUS_MISSING, codes)
            codes = pd.Series(codes, index=member.index).reindex(family, fill_value=0).to_numpy()
            of_family[occupation if concept == "occupation" else concept, role] = codes

    absent = np.ones(len(births), bool)
    absent[rows] = False
    columns: Columns = {}
    all_codes = {(name, "person"): codes for name, codes in person.items()} | of_family
    for (concept, role), codes in all_codes.items():
        column = np.zeros(len(births), np.int32)
        column[rows] = codes
        columns[concept, role, wave] = pd.arrays.IntegerArray(column, absent & (role != "person"))
    return columns
