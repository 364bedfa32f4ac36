"""Variants of careers as text: other words, the same codes."""

import dataclasses

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labor_llm.careers.occupations import OutcomeSpace
from labor_llm.careers.panel import CareerPanel
from labor_llm.errors import MismatchError
from labor_llm.plain_text import comparable
from labor_llm.text.settings import ResumeSettings
from labor_llm.text.templates import resumes
from labor_llm.text.variants import TITLE_FORMS, perturbed_titles, variant_of, variants_of

CHANGED = [form for form in TITLE_FORMS if form != "literal"]
WORDS = ["Cooks", "Managers", "Workers", "and", "clerks", "trade", "in", "n.e.c.", "Bus", "Executives"]


@pytest.mark.parametrize(
    ("title", "ways"),
    [
        (
            "Lawyers and cooks, n.e.c.",
            "Attorneys and food preparers, n.e.c.|Lawyers & cooks, n.e.c.|Attorneys & food preparers, n.e.c.",
        ),
        ("Unemployed", "Looking for work|Unempl."),
        ("Dancers", "Dancers (job)"),
        ("Dental assts.", "Assts., dental"),
        ("Hosts, short order", "Short order hosts"),
        ("Bakers in forestry", "Forestry bakers"),
        ("Speech therapists", "Therapists, speech"),
        ("HR clerk", "Clerk, HR"),
        ("Judges and bakers", "Bakers and judges|Judges & bakers|Bakers & judges"),
    ],
)
def test_titles_are_put_in_other_words(title, ways):
    assert {perturbed_titles([title], seed)[0] for seed in range(40)} == set(ways.split("|"))


def test_a_perturbed_title_is_not_that_of_another_occupation():
    assert perturbed_titles(["Managers", "Executives", "Mgrs."], 1)[0] == "Managers (job)"
    assert perturbed_titles(["Dancers", "Dancers (job)"], 1) == ["Dancers (job 2)", "(job), dancers"]


@given(
    titles=st.lists(
        st.lists(st.sampled_from([*WORDS, "(job)"]), min_size=1, max_size=4).map(" ".join),
        min_size=2,
        unique_by=str.casefold,
    ),
    seed=st.integers(0, 2**32 - 1),
    form=st.sampled_from(CHANGED),
)
def test_other_titles_are_one_to_one_seeded_and_do_not_depend_on_the_order(titles, seed, form):
    outcomes = OutcomeSpace(tuple(f"{number:03d}" for number in range(len(titles))), tuple(titles))
    frame = pd.DataFrame({"dataset": ["d"], "worker_id": ["w"], "occupation": ["000"]})
    settings = ResumeSettings(titles=form, seed=seed)
    got = variant_of(CareerPanel(frame, outcomes, "s"), settings).outcomes
    assert got.codes == outcomes.codes
    assert len({comparable(title) for title in got.titles}) == len(titles)
    assert all(new != old for new, old in zip(got.titles, titles, strict=True))
    turned = OutcomeSpace(outcomes.codes[::-1], outcomes.titles[::-1])
    assert variant_of(CareerPanel(frame, turned, "s"), settings).outcomes.titles == got.titles[::-1]
    if form == "shuffled":
        assert sorted(got.titles) == sorted(titles)
    if form == "numeric":
        assert sorted(got.titles) == [f"job_{number:03d}" for number in range(len(titles))]


def test_another_seed_gives_other_titles(panel):
    for form in CHANGED:
        one, two = (
            variant_of(panel, ResumeSettings(titles=form, seed=seed)).outcomes.titles for seed in (1, 2)
        )
        assert one != two


def test_the_default_changes_nothing_and_the_year_of_birth_can_be_left_out(panel):
    plain, unknown = (variant_of(panel, ResumeSettings(birth_year=known)) for known in (True, False))
    assert (plain.outcomes, unknown.outcomes) == (panel.outcomes, panel.outcomes)
    assert plain.frame is panel.frame
    assert "The worker was born in 1951.\n" in list(resumes(plain))[1].text
    for one, two in zip(resumes(plain), resumes(unknown), strict=True):
        kept = [line for line in one.text.splitlines() if not line.startswith("The worker was born")]
        assert two.text.splitlines() == kept


def test_data_sets_of_other_occupations_share_literal_titles_alone(panel):
    fewer = OutcomeSpace(panel.outcomes.codes[:-1], panel.outcomes.titles[:-1])
    both = [panel, dataclasses.replace(panel, outcomes=fewer)]
    assert variants_of(both, ResumeSettings(birth_year=False))[0].frame["birth_year"].isna().all()
    with pytest.raises(MismatchError, match="numeric titles are assigned over all of them"):
        variants_of(both, ResumeSettings(titles="numeric"))
