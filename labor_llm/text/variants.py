"""Variants of careers as text: other titles for the same occupations, and no year of birth.

A variant is applied to a panel before a model is fine-tuned on it and before it is scored. Codes and records never
change, so the predictions of all variants can be compared. The paper replaces titles by numbers and leaves the year of
birth out; rewording and shuffling titles tell further whether it is the meaning of the words or the words themselves
that a model uses. Titles are decided by a seed and the set of codes, not by their order.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from labor_llm.careers.occupations import OutcomeSpace
from labor_llm.careers.panel import CareerPanel
from labor_llm.errors import MismatchError
from labor_llm.plain_text import comparable
from labor_llm.text.settings import ResumeSettings

# Whole titles first, then words and phrases; all in lower case.
_SYNONYMS = {
    "unemployed": "looking for work", "out of the labor force": "not in the labor market",
    "out of labor force": "not in the labor market", "in education": "student", "education": "student",
    "public administration": "government", "business services": "services to companies",
    "personal services": "services to persons", "professional services": "health, law and schooling",
    "machine operators": "machine tenders", "sales workers": "salespeople", "workers": "employees",
    "managers": "executives", "operators": "attendants", "operatives": "tenders", "clerks": "office staff",
    "clerical": "office", "cooks": "food preparers", "drivers": "vehicle operators", "teachers": "educators",
    "physicians": "doctors", "lawyers": "attorneys", "nurses": "nursing staff", "laborers": "manual workers",
    "cashiers": "checkout staff", "salespersons": "sellers", "repairers": "menders", "mechanics": "fitters",
    "farmers": "growers", "janitors": "caretakers", "guards": "watchmen", "waiters": "servers",
    "secretaries": "office assistants", "engineers": "engineering staff", "technicians": "technical staff",
    "supervisors": "overseers", "assistants": "helpers", "professionals": "experts", "craftsmen": "tradesmen",
    "scientists": "researchers", "inspectors": "examiners", "specialists": "experts", "agents": "brokers",
    "trade": "commerce", "agriculture": "farming", "mining": "extraction", "construction": "building",
    "transportation": "transport", "finance": "banking", "manufacturing": "industry", "entertainment": "leisure",
}  # fmt: skip
_ABBREVIATIONS = {
    "and": "&", "managers": "mgrs.", "administrators": "admins.", "administrative": "admin.",
    "administration": "admin.", "operators": "oprs.", "engineers": "engrs.", "technicians": "techs.",
    "assistants": "assts.", "supervisors": "supvrs.", "professionals": "profs.", "professional": "prof.",
    "services": "svcs.", "service": "svc.", "manufacturing": "mfg.", "transportation": "transp.",
    "machine": "mach.", "equipment": "equip.", "specialists": "specs.", "teachers": "tchrs.", "workers": "wkrs.",
    "secretaries": "secys.", "representatives": "reps.", "computer": "comp.", "mechanics": "mechs.",
    "inspectors": "insps.", "occupations": "occs.", "construction": "constr.", "agriculture": "agric.",
    "unemployed": "unempl.", "labor": "lab.",
}  # fmt: skip
# Words that hold a title together, so that its last word cannot be put first.
_JOINING = r"(?!.*\b(?:and|or|of|in|by|for|the|to|with)\b)"
# What a title looks like, and its two parts in another order.
_ORDERS = {
    r"([^,]+), ([^,.]+)": "{1} {0}",
    r"([^,]+?) in ([^,]+)": "{1} {0}",
    r"([^, ]+) and ([^, ]+)": "{1} and {0}",
    rf"{_JOINING}([^,]+) ([^, ]+)": "{1}, {0}",
}


def variant_of(panel: CareerPanel, settings: ResumeSettings) -> CareerPanel:
    """Return a panel in a variant: the same workers, years and codes."""
    frame, outcomes = panel.frame, panel.outcomes
    if settings.titles in _FORMS:
        codes = sorted(outcomes.codes)
        titles = _FORMS[settings.titles]([outcomes.title(code) for code in codes], settings.seed)
        title_of = dict(zip(codes, titles, strict=True))
        source = f"{outcomes.source}, {settings.titles}"
        outcomes = OutcomeSpace(outcomes.codes, tuple(title_of[code] for code in outcomes.codes), source)
    if not settings.birth_year:
        frame = frame.assign(birth_year=pd.array([pd.NA] * len(frame), dtype="Int64"))
    return CareerPanel(frame, outcomes, panel.survey, panel.households)


def variants_of(panels: Sequence[CareerPanel], settings: ResumeSettings) -> list[CareerPanel]:
    """Return panels of several data sets in a variant.

    Raises:
        MismatchError: if their codes differ and titles depend on all codes, so that one occupation would have
            two titles.
    """
    if settings.titles in _FORMS and len({frozenset(panel.outcomes.codes) for panel in panels}) > 1:
        raise MismatchError(
            f"The data sets {', '.join(panel.dataset for panel in panels)} have different occupations, and "
            f"{settings.titles} titles are assigned over all of them. Use data sets with the same occupations, or "
            "literal titles."
        )
    return [variant_of(panel, settings) for panel in panels]


def perturbed_titles(titles: list[str], seed: int) -> list[str]:
    """Return each title in other words: abbreviated, by synonyms, in another word order, or several of these.

    Every title changes, and none becomes that of another occupation. A title with no known word and no order
    to change is marked as a job ("Dancers (job)").

    Args:
        titles: in the order of their codes.
        seed: of the choice among the ways to put a title.
    """
    taken = {comparable(title) for title in titles}
    found = []
    for rank, title in enumerate(titles):
        ways = _ways_to_put(title)
        order = np.random.default_rng([seed, rank]).permutation(len(ways))
        marked = (f"{title} (job {number})" for number in itertools.count(2))
        candidates = itertools.chain((ways[way] for way in order), [f"{title} (job)"], marked)
        chosen = next(one for one in candidates if comparable(one) not in taken)
        taken.add(comparable(chosen))
        found.append(chosen)
    return found


def _ways_to_put(title: str) -> list[str]:
    """Return what the changes, alone and together, make of a title; the title itself is not among them."""
    changes = (
        _reordered,
        functools.partial(_replaced, words=_SYNONYMS),
        functools.partial(_replaced, words=_ABBREVIATIONS),
    )
    chosen = (some for number in (1, 2, 3) for some in itertools.combinations(changes, number))
    ways = [functools.reduce(lambda text, change: change(text), some, title) for some in chosen]
    return [way for way in dict.fromkeys(ways) if way != title]


def _reordered(title: str) -> str:
    """'Cooks, short order' becomes 'Short order cooks', 'Bus drivers' 'Drivers, bus'; 'in' and 'and' likewise."""
    for pattern, order in _ORDERS.items():
        if parts := re.fullmatch(pattern, title):
            return _capital(order.format(*map(_small, parts.groups())))
    return title


def _replaced(title: str, words: dict[str, str]) -> str:
    longest_first = sorted(words, key=len, reverse=True)
    pattern = rf"\b(?:{'|'.join(map(re.escape, longest_first))})\b(?!\.)"
    return _capital(re.sub(pattern, lambda found: words[found[0].lower()], title, flags=re.IGNORECASE))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _small(text: str) -> str:
    """Return a text that goes inside another; an acronym such as 'HR' stays as it is."""
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]


def _numeric(titles: list[str], seed: int) -> list[str]:
    """Return `job_000`, `job_001`, ... assigned at random."""
    order = np.random.default_rng(seed).permutation(len(titles))
    digits = max(3, len(str(len(titles) - 1)))
    return [f"job_{number:0{digits}d}" for number in order]


def _shuffled(titles: list[str], seed: int) -> list[str]:
    """Return the same titles, all of them moved along one random cycle, so that none stays in its place."""
    cycle = np.random.default_rng(seed).permutation(len(titles))
    moved = np.array(titles, dtype=object)
    moved[cycle] = moved[np.roll(cycle, 1)]
    return moved.tolist()


# Other titles, one for each of those given in the order of their codes.
_FORMS = {"numeric": _numeric, "perturbed": perturbed_titles, "shuffled": _shuffled}
TITLE_FORMS = ("literal", *_FORMS)
