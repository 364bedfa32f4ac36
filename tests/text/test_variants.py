"""Variants of careers as text: other words, the same codes."""

from __future__ import annotations

import dataclasses

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labor_llm.careers.occupations import OutcomeSpace, comparable_title
from labor_llm.careers.panel import CareerPanel, transitions
from labor_llm.errors import InputError, MismatchError
from labor_llm.models.loading import LanguageModel
from labor_llm.scoring.careers import score_careers
from labor_llm.scoring.settings import ScoringSettings
from labor_llm.text.templates import resumes
from labor_llm.text.variants import TITLE_FORMS, ResumeSettings, perturbed_titles

CHANGED = [form for form in TITLE_FORMS if form != "literal"]
WORDS = [
    "Cooks",
    "Managers",
    "Workers",
    "and",
    "clerks",
    "trade",
    "in",
    "n.e.c.",
    "Bus",
    "Executives",
    "(job)",
]


def space(titles: list[str]) -> OutcomeSpace:
    return OutcomeSpace(tuple(f"{number:03d}" for number in range(len(titles))), tuple(titles))


def test_titles_are_put_in_other_words() -> None:
    """One change at a time is possible for these, so there is nothing to choose."""
    titles = ["Lawyers and cooks, n.e.c.", "Unemployed", "Dancers", "Dental assts."]
    ways = [perturbed_titles(titles, seed) for seed in range(40)]
    by_title = [set(column) for column in zip(*ways, strict=True)]
    assert by_title == [
        {
            "Attorneys and food preparers, n.e.c.",
            "Lawyers & cooks, n.e.c.",
            "Attorneys & food preparers, n.e.c.",
        },
        {"Looking for work", "Unempl."},
        {"Dancers (job)"},
        {"Assts., dental"},
    ]


@pytest.mark.parametrize(
    ("title", "reordered"),
    [
        ("Hosts, short order", "Short order hosts"),
        ("Judges and bakers", "Bakers and judges"),
        ("Bakers in forestry", "Forestry bakers"),
        ("Speech therapists", "Therapists, speech"),
        ("HR clerk", "Clerk, HR"),
    ],
)
def test_the_order_of_words_changes(title: str, reordered: str) -> None:
    assert reordered in {perturbed_titles([title, "Dancers"], seed)[0] for seed in range(20)}


def test_a_perturbed_title_is_not_that_of_another_occupation() -> None:
    assert perturbed_titles(["Managers", "Executives", "Mgrs."], 1)[0] == "Managers (job)"
    assert perturbed_titles(["Dancers", "Dancers (job)"], 1) == ["Dancers (job 2)", "(job), dancers"]


@given(
    titles=st.lists(
        st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(" ".join),
        min_size=2,
        unique_by=str.casefold,
    ),
    seed=st.integers(0, 2**32 - 1),
    form=st.sampled_from(CHANGED),
)
def test_other_titles_are_one_to_one_seeded_and_do_not_depend_on_the_order(
    titles: list[str], seed: int, form: str
) -> None:
    outcomes = space(titles)
    frame = pd.DataFrame({"dataset": ["d"], "worker_id": ["w"], "occupation": ["000"]})
    variant = ResumeSettings(titles=form, seed=seed)
    got = variant.of(CareerPanel(frame, outcomes, "s")).outcomes
    assert got.codes == outcomes.codes
    assert len({comparable_title(title) for title in got.titles}) == len(titles)
    assert all(new != old for new, old in zip(got.titles, titles, strict=True))
    turned = OutcomeSpace(outcomes.codes[::-1], outcomes.titles[::-1])
    assert variant.of(CareerPanel(frame, turned, "s")).outcomes.titles == got.titles[::-1]
    if form == "shuffled":
        assert sorted(got.titles) == sorted(titles)
    if form == "numeric":
        assert sorted(got.titles) == [f"job_{number:03d}" for number in range(len(titles))]


@pytest.mark.parametrize("form", CHANGED)
def test_another_seed_gives_other_titles(panel: CareerPanel, form: str) -> None:
    one, again, two = (ResumeSettings(titles=form, seed=seed).of(panel).outcomes.titles for seed in (1, 1, 2))
    assert one == again != two


def test_the_default_changes_nothing(panel: CareerPanel) -> None:
    assert ResumeSettings().of(panel).outcomes == panel.outcomes
    assert ResumeSettings().of(panel).frame is panel.frame


def test_without_birth_year_the_line_is_left_out(panel: CareerPanel) -> None:
    born, unknown = (list(resumes(ResumeSettings(birth_year=known).of(panel))) for known in (True, False))
    assert "The worker was born in 1951.\n" in born[1].text
    for one, two in zip(born, unknown, strict=True):
        kept = [line for line in one.text.splitlines() if not line.startswith("The worker was born")]
        assert two.text.splitlines() == kept


def test_predictions_are_of_the_same_codes(tiny_model: LanguageModel, panel: CareerPanel) -> None:
    some = panel.restrict(panel.workers[:3])
    changed = ResumeSettings(titles="numeric", birth_year=False).of(some)
    literal, other = (score_careers(tiny_model, one, "m", ScoringSettings()) for one in (some, changed))
    same = ["worker_id", "year", "transition_type", "occupation"]
    assert other.table[same].equals(transitions(some)[same])
    assert other.outcomes.codes == literal.outcomes.codes
    assert not other.table["log_prob"].equals(literal.table["log_prob"])


def test_data_sets_of_other_occupations_share_literal_titles_alone(panel: CareerPanel) -> None:
    fewer = OutcomeSpace(panel.outcomes.codes[:-1], panel.outcomes.titles[:-1])
    both = [panel, dataclasses.replace(panel, outcomes=fewer)]
    assert ResumeSettings(birth_year=False).of_all(both)[0].frame["birth_year"].isna().all()
    with pytest.raises(MismatchError, match="numeric titles are assigned over all of them"):
        ResumeSettings(titles="numeric").of_all(both)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"titles": "codes"}, "titles: 'codes' should be 'literal'"),
        ({"seed": -1}, "greater than or equal to 0"),
    ],
)
def test_what_is_not_known_is_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ResumeSettings(**given)
