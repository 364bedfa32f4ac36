"""The occupation classification of the three surveys: occ1990dd, and the three states without a job.

The 330 civilian occupations of Autor and Dorn are the same in all years, which makes the Census frames of 1970 to
2010 comparable. The titles are restated in `occ1990dd.csv` beside this module; where sources differ on the wording
of a title (never on its code) the column `note` says so. The surveys' own codes reach this list by the crosswalks
of `labor_llm.crosswalks`.

References: D. Dorn (2009), "Essays on Inequality, Spatial Interaction, and the Demand for Skills", dissertation,
University of St. Gallen; D. Autor and D. Dorn (2013), "The Growth of Low-Skill Service Jobs and the Polarization of
the US Labor Market", American Economic Review 103(5), 1553-1597; files at https://www.ddorn.net/data.htm.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pandas as pd

from labor_llm.occupations import OutcomeSpace, read_text_csv

NAME = "occ1990dd"
STATES = {
    "unemployed": "Unemployed",
    "out_of_labor_force": "Out of labor force",
    "education": "In education",
}
_TABLE = Path(__file__).with_name("occ1990dd.csv")
_COLUMNS = ("occupation", "title", "major_group", "note")


@cache
def _table() -> pd.DataFrame:
    return read_text_csv(_TABLE, _COLUMNS)


def occupation_codes() -> tuple[str, ...]:
    """Return the 330 codes as text, in the order of the classification."""
    return tuple(_table()["occupation"])


def outcome_space(states: bool = True) -> OutcomeSpace:
    """Return the outcome space of the surveys: 330 occupations, then the three states without a job.

    Args:
        states: whether the states (`STATES`) are outcomes too.
    """
    table = _table()
    added = STATES if states else {}
    return OutcomeSpace(
        (*table["occupation"], *added.keys()), (*table["title"], *added.values()), source=NAME
    )


def major_groups() -> dict[str, str]:
    """Return the major group of each code: Dorn's 25 groups of occupations, and each state for itself."""
    table = _table()
    return {**dict(zip(table["occupation"], table["major_group"], strict=True)), **STATES}


def doubtful_titles() -> dict[str, str]:
    """Return, by code, what is doubtful about the wording of a title; the code itself is in no doubt."""
    noted = _table().query("note != ''")
    return dict(zip(noted["occupation"], noted["note"], strict=True))
