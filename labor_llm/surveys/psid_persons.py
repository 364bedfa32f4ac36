"""What the PSID says of a person as such: gender, ethnicity, region and year of birth, from all waves together."""

from __future__ import annotations

import numpy as np
import pandas as pd

from labor_llm.surveys.psid_waves import WAVES, codes
from labor_llm.surveys.variables import RawSurvey

UNKNOWN = "unknown"
GENDERS = {1: "male", 2: "female"}
# 6 is a foreign country.
REGIONS = {1: "northeast", 2: "northcentral", 3: "south", 4: "west", 5: "alaska or hawaii"}
# The list of answers to the question on race was changed three times; each is in force from its first wave on.
_WHITE_AND_BLACK = {1: "white", 2: "black or african american"}
RACES = {
    1968: _WHITE_AND_BLACK | {3: "hispanic", 7: "other", 8: "other"},
    1985: _WHITE_AND_BLACK
    | {3: "american indian", 4: "asian", 5: "hispanic", 6: "other", 7: "other", 8: "other"},
    1994: _WHITE_AND_BLACK | {3: "american indian", 4: "asian", 5: "hispanic", 6: "other", 7: "other"},
    2005: _WHITE_AND_BLACK | {3: "american indian", 4: "asian", 5: "asian", 7: "other"},
}
# Mexican, Mexican American, Chicano, Puerto Rican, Cuban, combination, other Spanish; 0 is none of these.
HISPANIC_ORIGINS = range(1, 8)
_FIRST_BIRTH_YEAR_WAVE = 1983
_BIRTH_YEARS_FROM = 1850
# Age 1 stands for newborns too.
_AGES = (2, 120)


def psid_persons(raw: RawSurvey, records: pd.DataFrame) -> pd.DataFrame:
    """Return the persons who have records, in the form of `SurveyInterviews.persons`.

    * `gender`: sex (ER32000).
    * `ethnicity`: Hispanic where the origin says so, otherwise the first mention of race, each asked of head or
      spouse; the most frequent answer over the person's records, of equally frequent ones the earliest. Pacific
      Islanders count as Asian, as the question did before 2005.
    * `region`: that of the family at the first record whose region is known.
    * `birth_year`: the most frequent one in the individual file (waves since 1983, all that the person was in);
      otherwise year minus age of the earliest wave.
    * `family`: the interview number of 1968 (ER30001), the sampled family from which the person's family stems.

    Args:
        raw: the files' variables.
        records: one row a record, sorted by person and year, with `row` (the person's position in `raw.values`),
            `person`, `year`, and the codes `race`, `hispanic` and `region` of that wave (-1 where there is none).
    """
    rows = np.unique(records["row"].to_numpy())
    persons = pd.DataFrame(index=pd.Index(raw.values.index.to_numpy("int64")[rows], name="person"))
    sex = pd.Series(codes(raw, "sex", "person")[rows], index=persons.index)
    ethnicity = most_frequent(records["person"], records["year"], ethnicities(records))
    region = records["region"].map(REGIONS).groupby(records["person"]).first()
    for name, known in (("gender", sex.map(GENDERS)), ("ethnicity", ethnicity), ("region", region)):
        persons[name] = known.reindex(persons.index).astype(object).fillna(UNKNOWN)
    persons["birth_year"] = _birth_years(raw, rows)
    persons["family"] = persons.index.to_numpy() // 1000
    return persons


def ethnicities(records: pd.DataFrame) -> pd.Series:
    """Return the ethnicity that each record's wave states, NA where it states none."""
    starts = list(RACES)
    list_of_answers = np.searchsorted(starts, records["year"].to_numpy(), side="right") - 1
    words = pd.Series(None, index=records.index, dtype=object)
    for position, start in enumerate(starts):
        asked = list_of_answers == position
        words[asked] = records["race"][asked].map(RACES[start])
    return words.mask(records["hispanic"].isin(HISPANIC_ORIGINS), "hispanic")


def most_frequent(person: pd.Series, year: pd.Series, value: pd.Series) -> pd.Series:
    """Return each person's most frequent value, of equally frequent ones the earliest; persons without one lack."""
    known = pd.DataFrame({"person": person, "year": year, "value": value}).dropna(subset="value")
    counts = known.groupby(["person", "value"], as_index=False)["year"].agg(["size", "min"])
    ranked = counts.sort_values(["person", "size", "min"], ascending=[True, False, True])
    return ranked.drop_duplicates("person").set_index("person")["value"]


def _birth_years(raw: RawSurvey, rows: np.ndarray) -> pd.arrays.IntegerArray:
    """Return the year of birth of some rows of the raw values, `Int64`."""
    stated = []
    for wave in (wave for wave in WAVES if wave >= _FIRST_BIRTH_YEAR_WAVE):
        found = codes(raw, "birth_year", "person", wave)[rows]
        plausible = (found >= _BIRTH_YEARS_FROM) & (found <= wave)
        stated.append(pd.DataFrame({"person": rows, "year": wave, "value": found})[plausible])
    stated = pd.concat(stated)
    mode = most_frequent(stated["person"], stated["year"], stated["value"]).reindex(rows)
    births = mode.to_numpy("float64", na_value=np.nan, copy=True)
    for wave in WAVES:
        age = codes(raw, "age", "person", wave)[rows]
        derived = np.isnan(births) & (age >= _AGES[0]) & (age <= _AGES[1])
        births[derived] = wave - age[derived]
    return pd.array(births, dtype="Float64").astype("Int64")
