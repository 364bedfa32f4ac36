"""Simulated workers answer the questions of the PSID: the inverse of its reader.

What the reader makes of these answers is, record for record, the careers that were simulated. What is not asked
of a record holds noise where the survey has it (the last job of those who do not work, in 2003 and later; other
members of the family with a status of their own), so that a reader that takes it gives other careers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from labor_llm.errors import InputError
from labor_llm.simulation.files.psid_families import Families, families_of
from labor_llm.surveys.psid.careers import GENDERS, HISPANIC_ORIGINS, RACES, REGIONS, UNKNOWN, is_occupation
from labor_llm.surveys.psid.waves import WAVES, occupation_of_wave
from labor_llm.surveys.variables import variables_of

COLUMNS = ("worker_id", "year", "occupation", "gender", "ethnicity", "region", "birth_year", "schooling")
_STATES = {"unemployed": (3, 3, 3), "out_of_labor_force": (4, 5, 6), "education": (7, 7, 7)}
_WORKING, _STATUS_MISSING = 1, 9
_MISSING_GRADES, _MOST_GRADES = 99, 17
_MISSING_SEX, _MISSING_RACE, _MISSING_REGION = 9, 9, 9
_MISSING_YEAR, _MISSING_AGE = 9999, 999
_GRADES_FROM_AGE, _STATUS_FROM_AGE = 6, 16
# Among other members of a family: working, unemployed, keeping house, student.
_STATUS_OF_OTHERS = (1, 3, 6, 7)
_SHARE_WITH_LAST_JOB, _SHARE_OF_SPOUSES_WITHOUT_STATUS = 0.7, 0.01
_HEAD_AND_SPOUSE = ("employment_status", "occupation", "schooling", "race", "hispanic")


def psid_answers(
    careers: pd.DataFrame,
    occupation_codes: Mapping[str, Mapping[str, Sequence[int]]],
    seed: int,
    people_per_worker: float = 2.6,
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return the answers of simulated workers and their families, and the person number of each worker.

    Args:
        careers: columns `COLUMNS`, one row a worker and wave: `occupation` (occ1990dd code or state), `schooling`
            (completed years, NA if unknown), the covariates in the words of the career panel; `expressible_in_psid`
            leaves out what the PSID has no answers for.
        occupation_codes: by Census frame and occ1990dd code, the source codes to draw from.
        seed: of the families, drawn codes and noise.
        people_per_worker: number of persons, with the members of families who have no record, over the number of
            workers; 1 to 5.

    Returns:
        The answers in the form of `RawSurvey.values` (the waves that have a record, in the order of
        `variables_of("psid")`), and the person number by worker id.

    Raises:
        InputError: naming column and year, if a record cannot be answered: a year without a wave, a word that the
            PSID does not use, an occupation without a code in the frame of the wave, schooling or an ethnicity
            that no wave of the worker could state.
    """
    rng = np.random.default_rng(seed)
    careers = careers.sort_values(["worker_id", "year"], ignore_index=True)
    careers["position"] = pd.factorize(careers["worker_id"])[0]
    _check(careers)
    by_worker = careers.groupby("position")
    workers = by_worker[["worker_id", "gender", "ethnicity", "region", "birth_year"]].first()
    workers["birth_year"] = workers["birth_year"].astype("float64")
    workers["first"], workers["last"] = by_worker["year"].min(), by_worker["year"].max()

    records = careers[["position", "year"]].rename(columns={"year": "wave"})
    families = families_of(workers, records, people_per_worker, rng)
    answers = _answers(careers, occupation_codes, rng)
    columns = _static_columns(families.people, workers, rng)
    births = families.people["birth_year"].fillna(workers["birth_year"])
    for wave in sorted(careers["year"].unique()):
        asked = answers[answers["year"] == wave].set_index("position")
        columns |= _wave_columns(families, births.to_numpy(), asked, workers["region"], wave, rng)

    keys = [variable.key for variable in variables_of("psid") if variable.key in columns]
    index = pd.Index(families.people["person"].to_numpy("int64"), name="person")
    values = pd.DataFrame({key: columns[key] for key in keys}, index=index).sort_index()
    values.columns = pd.MultiIndex.from_tuples(keys, names=["concept", "role", "year"])
    return values, dict(zip(workers["worker_id"], index.tolist(), strict=False))


def expressible_in_psid(careers: pd.DataFrame) -> pd.DataFrame:
    """Return the careers that the PSID has answers for.

    Workers are left out whose ethnicity was no answer in any of their waves (until 1984 the list was white, black,
    Spanish American and other); this depends on who is observed when and never on an occupation. Years of schooling
    above 17 become 17, the PSID's code for all graduate work, and those below 1 become 1.
    """
    stated = _race_is_stated(careers).groupby(careers["worker_id"]).transform("any")
    schooling = careers["schooling"].clip(1, _MOST_GRADES)
    return careers.assign(schooling=schooling)[stated].reset_index(drop=True)


def _race_is_stated(careers: pd.DataFrame) -> pd.Series:
    stated = careers["ethnicity"] == UNKNOWN
    for era, (start, answers) in enumerate(RACES.items()):
        inside = (careers["year"] >= start) & (careers["year"] < [*RACES, 9999][era + 1])
        stated |= inside & careers["ethnicity"].isin({*answers.values(), "hispanic"})
    return stated


def _check(careers: pd.DataFrame) -> None:
    words = {
        "year": (careers["year"], WAVES),
        "gender": (careers["gender"], (*GENDERS.values(), UNKNOWN)),
        "region": (careers["region"], (*REGIONS.values(), UNKNOWN)),
        "schooling": (careers["schooling"].dropna(), range(1, _MOST_GRADES + 1)),
    }
    for column, (found, allowed) in words.items():
        if (wrong := ~found.isin(list(allowed))).any():
            raise InputError(
                f"careers, column {column}: {found[wrong].tolist()[0]!r} has no answer in the PSID; its are "
                f"{', '.join(map(str, allowed))}."
            )
    stated = _race_is_stated(careers).groupby(careers["position"]).transform("any")
    if not stated.all():
        first = careers[~stated].iloc[0]
        raise InputError(
            f"careers, column ethnicity: {first['ethnicity']!r} was no answer in any wave of {(~stated).sum():,} "
            f"records (one of {first['year']}). Leave such workers out, as expressible_in_psid does."
        )


def _answers(
    careers: pd.DataFrame,
    occupation_codes: Mapping[str, Mapping[str, Sequence[int]]],
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Return what each record answers: columns `position`, `year` and those of head or spouse, int64."""
    count = len(careers)
    status = np.full(count, _WORKING)
    for state, statuses in _STATES.items():
        inside = (careers["occupation"] == state).to_numpy()
        status[inside] = rng.choice(statuses, inside.sum())
    answers = careers[["position", "year"]].assign(employment_status=status)
    answers["occupation"] = _occupations(careers, status == _WORKING, occupation_codes, rng)
    answers["schooling"] = careers["schooling"].astype("Int64").fillna(_MISSING_GRADES).astype("int64")
    answers["race"], answers["hispanic"] = _races(careers, rng)
    return answers


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
        targets, starts, sizes, flat = _source_codes(occupation_codes.get(frame, {}), frame)
        inside = (frames == frame).to_numpy()
        rows = np.flatnonzero(inside & works)
        target = targets.get_indexer(careers["occupation"].iloc[rows])
        if (target < 0).any():
            first = careers.iloc[rows[target < 0][0]]
            raise InputError(
                f"careers, column occupation: {first['occupation']!r} in {first['year']} has no code in {frame}. "
                "Simulate with the occupations that every frame of the survey can tell."
            )
        drawn[rows] = flat[starts[target] + (luck[rows] * sizes[target]).astype("int64")]
        if frame != "census1970" and len(flat):
            rows = np.flatnonzero(inside & ~works & (rng.random(len(careers)) < _SHARE_WITH_LAST_JOB))
            drawn[rows] = flat[(luck[rows] * len(flat)).astype("int64")]
    return drawn


def _source_codes(
    codes: Mapping[str, Sequence[int]], frame: str
) -> tuple[pd.Index, np.ndarray, np.ndarray, np.ndarray]:
    """Return the targets that have codes, where each one's codes start, how many they are, and all codes."""
    kept = {target: np.array(sorted(sources), dtype=np.int64) for target, sources in codes.items()}
    kept = {target: sources[is_occupation(frame, sources)] for target, sources in kept.items()}
    kept = {target: sources for target, sources in kept.items() if len(sources)}
    sizes = np.array([len(sources) for sources in kept.values()], dtype=np.int64)
    flat = np.concatenate([*kept.values(), np.zeros(0, np.int64)])
    return pd.Index(kept, dtype=object), np.cumsum(sizes) - sizes, sizes, flat


def _races(careers: pd.DataFrame, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return race and Hispanic origin of each record, as its wave asks for them."""
    race = np.full(len(careers), _MISSING_RACE)
    year, word = careers["year"].to_numpy(), careers["ethnicity"].to_numpy()
    origin = np.where(word == UNKNOWN, _MISSING_RACE, 0)
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
        white = inside & hispanic & (asked | ("hispanic" not in answers.unique()))
        race[white] = 1
    return race, origin


def _static_columns(
    people: pd.DataFrame, workers: pd.DataFrame, rng: np.random.Generator
) -> dict[tuple[str, str, int], pd.arrays.IntegerArray]:
    sex = rng.choice(list(GENDERS), len(people))
    codes = {word: code for code, word in GENDERS.items()}
    sex[: len(workers)] = workers["gender"].map(codes).fillna(_MISSING_SEX)
    person = people["person"].to_numpy()
    columns = {"interview_number_1968": person // 1000, "person_number": person % 1000, "sex": sex}
    return {(concept, "person", 0): pd.array(column, dtype="Int32") for concept, column in columns.items()}


def _wave_columns(
    families: Families,
    births: np.ndarray,
    asked: pd.DataFrame,
    regions: pd.Series,
    wave: int,
    rng: np.random.Generator,
) -> dict[tuple[str, str, int], pd.arrays.IntegerArray]:
    """Return a wave's columns: 0 in the individual file, NA in the family file where a person is in no family."""
    places = families.places[families.places["wave"] == wave]
    rows, family = places["position"].to_numpy(), places["family"].to_numpy()
    worker = (places["head"] | places["spouse"]).to_numpy()
    born = births[rows]
    age = np.where(np.isnan(born), _MISSING_AGE, wave - np.nan_to_num(born)).astype("int64")
    status = np.where(age >= _STATUS_FROM_AGE, rng.choice(_STATUS_OF_OTHERS, len(rows)), 0)
    status[worker] = asked.loc[rows[worker], "employment_status"]
    grades = np.clip(age - _GRADES_FROM_AGE, 0, 12)
    grades[worker] = asked.loc[rows[worker], "schooling"]
    person = {
        "ind_interview_number": family,
        "sequence_number": places["sequence"].to_numpy(),
        "relation_to_head": places["relation"].to_numpy(),
        "age": age,
        "birth_year": np.where(np.isnan(born), _MISSING_YEAR, np.nan_to_num(born)).astype("int64"),
        "employment_status": status,
        "schooling": grades,
    }
    columns = {
        (concept, "person", wave): _placed(values, rows, len(births)) for concept, values in person.items()
    }

    # Rows of the family file, by interview number: 0 where there is no spouse.
    heads = places[places["head"]].set_index("family")["position"]
    spouses = places[places["spouse"]].set_index("family")["position"]
    occupation, _ = occupation_of_wave(wave)
    for role, member in (("head", heads), ("spouse", spouses)):
        for concept in _HEAD_AND_SPOUSE:
            values = asked.loc[member, concept].to_numpy()
            if role == "spouse" and concept == "employment_status":
                missing = rng.random(len(values)) < _SHARE_OF_SPOUSES_WITHOUT_STATUS
                values = np.where(missing, _STATUS_MISSING, values)
            of_family = pd.Series(values, index=member.index).reindex(family, fill_value=0).to_numpy()
            name = occupation if concept == "occupation" else concept
            columns[name, role, wave] = _placed(of_family, rows, len(births), absent=None)
    codes = {word: code for code, word in REGIONS.items()}
    region = regions.loc[heads].map(codes).fillna(_MISSING_REGION).set_axis(heads.index)
    columns["region", "family", wave] = _placed(region.loc[family], rows, len(births), absent=None)
    columns["fam_interview_number", "family", wave] = _placed(family, rows, len(births), absent=None)
    return columns


def _placed(
    values: np.ndarray | pd.Series, rows: np.ndarray, length: int, absent: int | None = 0
) -> pd.arrays.IntegerArray:
    """Return a column with values in some rows, elsewhere `absent` (None: NA)."""
    column, mask = np.full(length, absent or 0, dtype=np.int32), np.zeros(length, bool)
    column[rows] = np.asarray(values)
    if absent is None:
        mask[:] = True
        mask[rows] = False
    return pd.arrays.IntegerArray(column, mask)
