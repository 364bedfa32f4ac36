import pandas as pd

from labor_llm.careers.occupations import STATES, OutcomeSpace, major_groups, outcome_space
from labor_llm.careers.panel import career_panel
from labor_llm.exhibits.data import MOST_GROUPS, OTHER_GROUPS, occupation_groups


def panel(outcomes, occupations):
    columns = ["worker_id", "year", "occupation", "education", "gender", "ethnicity", "region", "birth_year"]
    rows = [("w", 1980 + year, code, *["unknown"] * 4, "1960") for year, code in enumerate(occupations)]
    return career_panel(pd.DataFrame(rows, columns=columns), outcomes, "own")


def test_groups_of_occ1990dd_are_few_enough_and_the_states_stand_alone():
    groups = occupation_groups(panel(outcome_space(), ["4", "7"]), major_groups())
    assert list(groups) == list(outcome_space().codes)
    names = list(dict.fromkeys(groups.values()))
    # None had to be pooled for rarity: every heading that is taken together with others was found.
    assert len(names) == MOST_GROUPS
    assert OTHER_GROUPS not in names
    assert names[-3:] == list(STATES.values())
    assert groups["436"] == "Service occupations"


def test_other_codes_are_grouped_by_the_title_before_in():
    outcomes = OutcomeSpace(("1-a", "1-b", "2-a"), ("Cooks in trade", "Cooks in mining", "Idle"))
    groups = occupation_groups(panel(outcomes, ["1-a"]), major_groups())
    assert groups == {"1-a": "Cooks", "1-b": "Cooks", "2-a": "Idle"}


def test_of_too_many_groups_the_rare_ones_are_pooled():
    codes = tuple(f"x{number:02}" for number in range(30))
    outcomes = OutcomeSpace(codes, tuple(f"Title {code}" for code in codes))
    frequent = [code for code in codes[-(MOST_GROUPS - 1) :] for _ in range(2)]
    groups = occupation_groups(panel(outcomes, [*codes[:3], *frequent]), {})
    assert len(set(groups.values())) == MOST_GROUPS
    assert {groups[code] for code in codes[: -(MOST_GROUPS - 1)]} == {OTHER_GROUPS}
    assert groups["x29"] == "Title x29"
