"""Round trip: what simulated workers answer, the PSID's reader gives back; and their families are families."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from labor_llm.errors import InputError
from labor_llm.simulation.files.psid_answers import expressible_in_psid, psid_answers
from labor_llm.surveys.psid.careers import GENDERS, RACES, REGIONS, PsidOptions, psid_interviews
from labor_llm.surveys.psid.waves import WAVES, missing_waves, occupation_of_wave
from labor_llm.surveys.variables import RawSurvey, variables_of

CODES = {
    "census1970": {"4": [1, 2], "7": [245], "22": [912]},
    "census2000": {"4": [10], "7": [402], "22": [600, 612]},
    "census2010": {"4": [10], "7": [4020, 4030], "22": [9600]},
}
TARGETS = {
    (frame, code): target
    for frame, codes in CODES.items()
    for target, sources in codes.items()
    for code in sources
}
COLUMNS = ["person", "year", "occupation", "gender", "ethnicity", "region", "birth_year", "schooling"]
STATES = {"unemployed": "unemployed", "out of the labor force": "out_of_labor_force"}
OUTCOMES = (*CODES["census1970"], *STATES.values(), "education")


def invented_careers(seed: int, workers: int = 90) -> pd.DataFrame:
    """Workers of every kind, each observed in some waves between an entry and an exit."""
    rng = np.random.default_rng(seed)
    ethnicities = sorted({word for answers in RACES.values() for word in answers.values()})
    frames = []
    for worker in range(workers):
        start, length = max(0, int(rng.integers(-6, len(WAVES)))), int(rng.integers(1, 15))
        years = np.array(WAVES[start : start + length])
        years = years[(rng.random(len(years)) < 0.8) | (years == years[0])]
        frame = pd.DataFrame({"worker_id": f"w{worker}", "year": years})
        frame["occupation"] = rng.choice(OUTCOMES, len(years))
        frame["gender"] = rng.choice(list(GENDERS.values()))
        frame["ethnicity"] = rng.choice(ethnicities)
        frame["region"] = rng.choice(list(REGIONS.values()))
        frame["birth_year"] = int(years[0] - rng.integers(18, 70))
        frame["schooling"] = rng.integers(0, 21, len(years))
        frames.append(frame)
    return expressible_in_psid(pd.concat(frames, ignore_index=True))


def raw_survey(values: pd.DataFrame) -> RawSurvey:
    return RawSurvey(values, {}, (), ())


@pytest.fixture(scope="module")
def careers() -> pd.DataFrame:
    return invented_careers(seed=1)


@pytest.fixture(scope="module")
def values(careers: pd.DataFrame) -> pd.DataFrame:
    return psid_answers(careers, CODES, seed=2)[0]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_reader_gives_the_simulated_worker_years(seed: int) -> None:
    careers = invented_careers(seed)
    values, persons = psid_answers(careers.sample(frac=1, random_state=seed), CODES, seed)

    read = psid_interviews(raw_survey(values))
    rows = read.interviews.join(read.persons, on="person")
    rows["occupation"] = [
        "education"
        if row.enrolled
        else TARGETS[row.frame, row.code]
        if row.employment == "working"
        else STATES[row.employment]
        for row in rows.itertuples()
    ]
    expected = careers.assign(person=careers["worker_id"].map(persons)).sort_values(["person", "year"])
    pd.testing.assert_frame_equal(
        rows[COLUMNS].reset_index(drop=True), expected[COLUMNS].reset_index(drop=True), check_dtype=False
    )
    # Every code of an occupation is drawn.
    used = read.interviews.dropna(subset="code")
    assert set(zip(used["frame"], used["code"], strict=True)) == set(TARGETS)


def test_answers_have_the_form_of_a_raw_survey_and_depend_on_the_seed_alone(
    careers: pd.DataFrame, values: pd.DataFrame
) -> None:
    again, persons = psid_answers(careers, CODES, seed=2)
    pd.testing.assert_frame_equal(again, values)
    assert not psid_answers(careers, CODES, seed=3)[0].equals(values)
    raw = raw_survey(values)
    assert set(careers["year"]) == set(WAVES)
    assert missing_waves(raw) == []
    assert list(values.columns) == [variable.key for variable in variables_of("psid")]
    assert (values.dtypes == "Int32").all()
    assert values.index.is_monotonic_increasing and values.index.is_unique
    numbers = raw.get("interview_number_1968", role="person") * 1000 + raw.get("person_number", role="person")
    assert (numbers == values.index).all()
    assert len(values) == round(2.6 * careers["worker_id"].nunique())
    assert set(persons) == set(careers["worker_id"])
    assert len(set(persons.values())) == len(persons) and set(persons.values()) <= set(values.index)
    some = careers[careers["year"].isin([1988, 2003])]
    got = psid_answers(expressible_in_psid(some), CODES, seed=2)[0]
    assert sorted({year for _, _, year in got.columns}) == [0, 1988, 2003]


def test_every_family_has_one_head_and_one_set_of_answers(values: pd.DataFrame) -> None:
    raw = raw_survey(values)
    couples = extras = 0
    for wave in WAVES:
        number = raw.get("ind_interview_number", wave, "person")
        inside = number > 0
        relation, sequence = (
            raw.get(concept, wave, "person")[inside] for concept in ("relation_to_head", "sequence_number")
        )
        family = number[inside]
        heads = family[relation.isin([1, 10])]
        spouses = family[relation.isin([2, 20, 22])]
        assert sorted(heads) == list(range(1, family.max() + 1))
        assert spouses.is_unique and spouses.isin(heads).all()
        assert (sequence[heads.index] == 1).all() and (sequence[spouses.index] == 2).all()
        assert not pd.DataFrame({"family": family, "sequence": sequence}).duplicated().any()
        couples, extras = couples + len(spouses), extras + len(family) - len(heads) - len(spouses)
        of_family = [key for key in values.columns if key[2] == wave and key[1] != "person"]
        answers = values.loc[inside, of_family]
        assert answers.notna().all(axis=None) and values.loc[~inside, of_family].isna().all(axis=None)
        assert (answers.groupby(family).nunique() == 1).all(axis=None)
        own = [key for key in values.columns if key[2] == wave and key[1] == "person"]
        assert (values.loc[~inside, own] == 0).all(axis=None)
    # The rules are put to the test only if there are couples and other members.
    assert couples > 20 and extras > 20


def test_what_is_not_asked_of_a_record_holds_noise(values: pd.DataFrame) -> None:
    """A reader that took a last job, a member who moved out or the family's missing status would give other careers."""
    raw = raw_survey(values)
    last_jobs = moved_out = 0
    for wave in WAVES:
        not_working = raw.get("employment_status", wave, "head").gt(1).fillna(False)
        with_last_job = raw.get(occupation_of_wave(wave)[0], wave, "head")[not_working] > 0
        assert wave > 2001 or not with_last_job.any()
        last_jobs += with_last_job.sum()
        moved_out += (raw.get("sequence_number", wave, "person") > 70).sum()
    assert last_jobs > 0
    assert moved_out > 0
    heads = psid_interviews(raw, PsidOptions(members="heads only")).interviews
    assert 0 < len(heads) < len(psid_interviews(raw).interviews)


ONE = {
    "worker_id": ["a", "a"], "year": [1983, 1984], "occupation": ["4", "unemployed"], "gender": ["male"] * 2,
    "ethnicity": ["white"] * 2, "region": ["south"] * 2, "birth_year": [1950, 1950], "schooling": [12, 12],
}  # fmt: skip


def test_more_households_than_the_numbering_holds_are_refused() -> None:
    """8,472 families of 1968 have room for 14 households each; men alone are no couples."""
    count = 14 * 8472 + 1
    men = pd.DataFrame(ONE).iloc[[0] * count].assign(worker_id=np.arange(count).astype(str))
    with pytest.raises(InputError, match=r"^simulated PSID: 118,609 households do not fit .* Simulate fewer"):
        psid_answers(men, CODES, seed=1)


def test_expressible_careers_leave_out_what_no_wave_could_state() -> None:
    early, late = pd.DataFrame(ONE | {"ethnicity": "asian"}), pd.DataFrame(ONE | {"worker_id": ["b", "b"]})
    late = late.assign(year=[1984, 1985], ethnicity="asian", schooling=[20, 0])
    got = expressible_in_psid(pd.concat([early, late], ignore_index=True))
    assert got["worker_id"].tolist() == ["b", "b"]
    assert got["schooling"].tolist() == [17, 1]
    assert len(psid_answers(got, CODES, seed=1)[1]) == 1
