"""PSID: the Panel Study of Income Dynamics from 1981, from its variables to interviews.

Heads of families (reference persons) and their spouses or partners, asked every year to 1997 and every second
year since; no other member of a family is asked for an occupation.

* **Who**: relation 1 or 10 (head), 2, 20 or 22 (spouse, partner), with a sequence number from 1 to 20 in that
  wave: in the family at the interview. Who moved out or died since the last wave keeps an interview number
  and the old relation, but the variables of head and spouse describe whoever is that now.
* **Employment**: the status of head or spouse, from 1994 the first of its mentions. Where the spouse's is
  missing, the status that the individual file has of every person. A student (7) is enrolled.
* **Occupation**: the main job's, by the Census of 1970 to 2001, of 2000 (three digits) from 2003 to 2015 and of
  2010 (four digits) since. From 2003 one question holds the present or last job, so that a code counts only
  of persons who work. Codes of the armed forces, in 1970 the PSID's own 600, are the state `military`.
* **Schooling**: grades completed, of head or spouse (1981 to 1984, since 1991) or, where that is missing, of the
  individual file; 17 is any graduate work. 0 is missing: it is also the code of persons not asked.

Interview numbers run from 1 in every wave, so that families join to persons even if the files, layouts or numbers of
two waves are mixed up. This is found by what both files say: `check_agreement`.

Sources: PSID cross-year index; the recodes of PSID-SHELF, for race codes of each period and non-codes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from labor_llm.errors import InputError
from labor_llm.surveys.psid.waves import (
    SURVEY,
    WAVES,
    check_psid,
    file_of,
    heads_and_spouses,
    in_words,
    occupation_of_wave,
    present_waves,
    psid_variable,
)
from labor_llm.surveys.rules import SurveyInterviews
from labor_llm.surveys.variables import RawSurvey, Variable

GENDERS = {1: "male", 2: "female"}
# Below this share of equal statuses, or above this one of workers without an occupation, files are mixed up; fewer
# heads (or spouses) than these prove nothing.
LOWEST_AGREEMENT, MOST_WITHOUT_OCCUPATION, FEWEST = 0.80, 0.20, 50
_STATUS, _KNOWN, _WORKING = "employment_status", range(1, 9), 1
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
_BIRTH_YEARS_FROM = 1850
# Age 1 stands for newborns too.
_AGES = range(2, 121)
_OUT = "out of the labor force"
# Retired, permanently disabled, keeping house, student; 2 and 8 are options.
_EMPLOYMENT = {1: "working", 3: "unemployed", 4: _OUT, 5: _OUT, 6: _OUT, 7: _OUT}
_LAID_OFF, _STUDENT, _OTHER = 2, 7, 8
# Inapplicable, not known, refused, and one wild code a frame.
NO_OCCUPATION = {"census1970": (0, 810, 997, 998, 999), "census2000": (0, 615, 999), "census2010": (0, 9999)}
# 600 is the PSID's own code, 580 the Census's; the later frames tell four ranks apart.
MILITARY = {
    "census1970": (580, 600),
    "census2000": (980, 981, 982, 983),
    "census2010": (9800, 9810, 9820, 9830),
}
_GRADES = range(1, 18)


def psid_persons(raw: RawSurvey, records: pd.DataFrame) -> pd.DataFrame:
    """Return the persons who have records, in the form of `SurveyInterviews.persons`.

    * `gender`: sex (ER32000).
    * `ethnicity`: Hispanic where the origin says so, otherwise the first mention of race, each asked of head or
      spouse; the most frequent answer over the person's records, of equally frequent ones the earliest. Pacific
      Islanders count as Asian, as the question did before 2005.
    * `region`: that of the family at the first record whose region is known.
    * `birth_year`: the most frequent one in the individual file (waves since 1983, all that the person was in);
      otherwise year minus age of the earliest wave.
    * `household`: the interview number of 1968 (ER30001), the sampled family from which the person's family stems.

    Args:
        raw: what was read from the files.
        records: one row a record, sorted by person and year, with `row` (the person's position in `raw.values`),
            `person`, `year`, and the codes `race`, `hispanic` and `region` of that wave (-1 where there is none).
    """
    rows = np.unique(records["row"].to_numpy())
    persons = pd.DataFrame(index=pd.Index(raw.values.index.to_numpy("int64")[rows], name="person"))
    sex = pd.Series(raw.codes("sex", role="person")[rows], index=persons.index)
    known = {
        "gender": sex.map(GENDERS),
        "ethnicity": most_frequent(records["person"], records["year"], _ethnicities(records)),
        "region": records["region"].map(REGIONS).groupby(records["person"]).first(),
    }
    for name, words in known.items():
        persons[name] = words.reindex(persons.index).astype(object).fillna("unknown")
    persons["birth_year"] = _birth_years(raw, rows)
    persons["household"] = (persons.index.to_numpy() // 1000).astype(str)
    return persons


def _ethnicities(records: pd.DataFrame) -> pd.Series:
    """Return the ethnicity that each record's wave states, NA where it states none."""
    words = pd.Series(None, index=records.index, dtype=object)
    for start, meanings in RACES.items():
        asked = records["year"] >= start
        words[asked] = records["race"][asked].map(meanings)
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
    for wave in WAVES:
        found = raw.codes("birth_year", wave, "person")[rows]
        plausible = (found >= _BIRTH_YEARS_FROM) & (found <= wave)
        stated.append(pd.DataFrame({"person": rows, "year": wave, "value": found})[plausible])
    births = most_frequent(*(column for _, column in pd.concat(stated).items())).reindex(rows)
    births = births.to_numpy("float64", na_value=np.nan, copy=True)
    for wave in WAVES:
        age = raw.codes("age", wave, "person")[rows]
        derived = np.isnan(births) & np.isin(age, _AGES)
        births[derived] = wave - age[derived]
    return pd.array(births, dtype="Float64").astype("Int64")


def check_agreement(raw: RawSurvey, waves: Sequence[int], spouses: bool = True) -> None:
    """Check that in each wave the family file fits the individual file, and occupations fit statuses.

    The employment status is there twice: in the family file, of head and spouse, and in the individual file, of
    everybody. Assumed, from the PSID's documentation: both come from the same interview and have the same codes, 1 to
    8. They may still differ where several were mentioned or one was edited later; mixed-up files agree by chance, for
    half to two thirds of their heads. The main job's occupation is asked of whoever works. The thresholds lie between;
    they were set without genuine files, and can be switched off (`PsidOptions.consistency`).

    Raises:
        InputError: naming wave, variables and files, if of at least 50 heads or spouses whose status both files
            have less than 80 percent have the same, or if of at least 50 who work more than 20 percent have no
            occupation (0, inapplicable).
    """
    for year in waves:
        concept, _ = occupation_of_wave(year)
        for role, members in heads_and_spouses(raw, year).items():
            if role == "spouse" and not spouses:
                continue
            of_family = psid_variable(_STATUS, role, year)
            own, status = (raw.codes(_STATUS, year, of)[members] for of in ("person", role))
            both = np.isin(own, _KNOWN) & np.isin(status, _KNOWN)
            stated, equal = int(both.sum()), int((both & (own == status)).sum())
            if stated >= FEWEST and equal < LOWEST_AGREEMENT * stated:
                person = psid_variable(_STATUS, "person", year)
                raise InputError(
                    f"{SURVEY} {year}: {_named(raw, person)} and {_named(raw, of_family)} are the same for {equal:,} "
                    f"of {stated:,} {role}s only, though both come from one interview. {_remedy(person, of_family)}"
                )
            # The individual file stands in where the status of spouses is not there.
            if not raw.has(_STATUS, year, role):
                of_family, status = psid_variable(_STATUS, "person", year), own
            works = status == _WORKING
            without = int((raw.codes(concept, year, role)[members][works] <= 0).sum())
            if works.sum() >= FEWEST and without > MOST_WITHOUT_OCCUPATION * works.sum():
                occupation = psid_variable(concept, role, year)
                raise InputError(
                    f"{SURVEY} {year}: {_named(raw, occupation)} is 0, inapplicable, for {without:,} of the "
                    f"{works.sum():,} {role}s who work by {_named(raw, of_family)}. {_remedy(of_family, occupation)}"
                )


def _named(raw: RawSurvey, variable: Variable) -> str:
    found = raw.found.get(variable.key)
    return f"{variable.name} ({in_words(variable)}, {found.name if found else file_of(variable)})"


def _remedy(*variables: Variable) -> str:
    files = " and ".join(dict.fromkeys(file_of(variable) for variable in variables))
    return (
        "Layouts or releases are mixed up, or head and spouse are swapped: take "
        f"{files} of one release, with the .sas, .sps or .do file of each, as downloaded. If they are, the option "
        "consistency=ignore reads them as they are."
    )


@dataclass(frozen=True)
class PsidOptions:
    """Choices of the PSID reader.

    Attributes:
        members: whose records are taken; the spouse's answers are mostly given by the head.
        laid_off: what status 2 counts as (temporarily laid off, or on sick or maternity leave: the job is held,
            and its occupation is asked for).
        other_status: what status 8 counts as (other: prison, workfare, and the like).
        consistency: what becomes of files that contradict each other, as if those of two waves were mixed up
            (`check_agreement`).
    """

    members: Literal["heads and spouses", "heads only"] = "heads and spouses"
    laid_off: Literal["working", "unemployed", "out of the labor force"] = "working"
    other_status: Literal["out of the labor force", "unemployed", "unknown"] = "out of the labor force"
    consistency: Literal["refuse", "ignore"] = "refuse"


def psid_interviews(raw: RawSurvey, options: PsidOptions | None = None) -> SurveyInterviews:
    """Return the interviews of heads and spouses since 1981.

    Waves that the files lack have no interviews: see `missing_waves`. `code` and `frame` are given where
    `employment` is 'working'. `enrolled` is True of students, False of any other known status (the question takes
    a person's main status: a student who works counts as working).

    Raises:
        InputError: naming variable, wave and file, if a wave lacks a variable without which it has no records, if
            none is there in full, if all waves lack what a resume says of a person (`present_waves`), if the codes
            show that a column was renamed or shifted (`check_psid`), or if the files contradict each other.
    """
    options = options or PsidOptions()
    spouses = options.members == "heads and spouses"
    waves = present_waves(raw, spouses)
    check_psid(raw)
    if options.consistency == "refuse":
        check_agreement(raw, waves, spouses)
    records = pd.concat([_records(raw, wave, spouses) for wave in waves], ignore_index=True)
    records = records.sort_values(["row", "year"], ignore_index=True)
    if records.empty:
        raise InputError(
            f"{SURVEY}: no head or spouse in any of the waves read. Take a Data Center job with all individuals, "
            "or the individual file as downloaded."
        )
    return SurveyInterviews(SURVEY, psid_persons(raw, records), _interviews(records, options))


def _records(raw: RawSurvey, wave: int, spouses: bool) -> pd.DataFrame:
    """Return a wave's heads and spouses with their codes, int64 and -1 where there is none; plus `frame`."""
    of_role = heads_and_spouses(raw, wave)
    rows = np.flatnonzero(of_role["head"] | of_role["spouse"] if spouses else of_role["head"])
    is_head = of_role["head"][rows]

    def of(role: str, concept: str) -> np.ndarray:
        return raw.codes(concept, wave, role)[rows]

    def own(concept: str) -> np.ndarray:
        return np.where(is_head, of("head", concept), of("spouse", concept))

    occupation, frame = occupation_of_wave(wave)
    status, grades = own(_STATUS), own("schooling")
    return pd.DataFrame(
        {
            "row": rows,
            "person": raw.values.index.to_numpy("int64")[rows],
            "year": np.int64(wave),
            "status": np.where(is_head | np.isin(status, _KNOWN), status, of("person", _STATUS)),
            "frame": frame,
            "occupation": own(occupation),
            "schooling": np.where(np.isin(grades, _GRADES), grades, of("person", "schooling")),
            "race": own("race"),
            "hispanic": own("hispanic"),
            "region": of("family", "region"),
        }
    )


def _interviews(records: pd.DataFrame, options: PsidOptions) -> pd.DataFrame:
    meaning = _EMPLOYMENT | {_LAID_OFF: options.laid_off, _OTHER: options.other_status}
    employment = records["status"].map(meaning).astype(object).fillna("unknown")
    occupation = records["occupation"].to_numpy()
    coded, military = np.zeros(len(records), bool), np.zeros(len(records), bool)
    for frame, none in NO_OCCUPATION.items():
        inside = (records["frame"] == frame).to_numpy()
        soldiers = np.isin(occupation, MILITARY[frame])
        coded |= inside & (occupation > 0) & ~np.isin(occupation, none) & ~soldiers
        military |= inside & soldiers
    employment = employment.mask((employment == "working") & military, "military")
    working = employment == "working"
    known = records["status"].isin(meaning)
    grades = records["schooling"]
    return pd.DataFrame(
        {
            "person": records["person"],
            "year": records["year"],
            "employment": employment,
            "enrolled": (records["status"] == _STUDENT).astype("boolean").mask(~known),
            "frame": records["frame"].astype(object).where(working, None),
            "code": records["occupation"].astype("Int64").where(working & coded),
            "schooling": grades.astype("Int64").where(grades.isin(_GRADES)),
        }
    )
