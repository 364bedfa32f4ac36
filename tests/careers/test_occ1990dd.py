"""The classification: 330 occupations of Autor and Dorn and three states, each title one line of its own."""

from __future__ import annotations

from labor_llm.careers.occupations import (
    STATES,
    doubtful_titles,
    major_groups,
    occupation_codes,
    outcome_space,
)


def test_there_are_330_occupations_and_three_states() -> None:
    space = outcome_space()
    assert (len(space), len(outcome_space(states=False)), space.source) == (333, 330, "occ1990dd")
    assert space.codes[:2] == ("4", "7")
    assert space.codes[-3:] == tuple(STATES) == ("unemployed", "out_of_labor_force", "education")
    assert space.titles[-3:] == ("Unemployed", "Out of labor force", "In education")
    assert (space.title("436"), space.title("313")) == ("Cooks", "Secretaries and stenographers")


def test_the_codes_are_those_of_autor_and_dorn_and_not_of_a_list_like_it() -> None:
    """The updated list of 341 codes has 9, 647 and 814 and lacks 225, 346, 475 and 679; 905 and 991 are no jobs."""
    codes = [int(code) for code in occupation_codes()]
    assert codes == sorted(codes)
    assert not {9, 647, 814, 874, 905, 991, 999} & set(codes)
    assert {225, 346, 475, 679, 873} <= set(codes)


def test_every_outcome_has_one_major_group() -> None:
    groups = major_groups()
    assert tuple(groups) == outcome_space().codes
    assert len(set(groups.values())) == 25 + 3
    assert groups["436"] == "Food preparation and service occupations"
    assert groups["education"] == "In education"


def test_doubts_about_the_wording_of_titles_are_noted() -> None:
    doubts = doubtful_titles()
    assert set(doubts) == {
        "274", "473", "475", "479", "644", "653", "684", "733", "769", "834", "859",
    }  # fmt: skip
    assert "Miscellanious" in doubts["834"]
