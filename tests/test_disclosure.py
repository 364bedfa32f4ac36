"""Nothing tells of one person: neither an end of a range, nor a quantile, nor the difference of two counts."""

from __future__ import annotations

import re
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.text import Text

from labor_llm.careers.occupations import OutcomeSpace
from labor_llm.careers.panel import CareerPanel, split_workers, transitions
from labor_llm.careers.predictions import Predictions, from_matrix
from labor_llm.careers.samples import ALL_YEARS, UP_TO, train_up_to
from labor_llm.disclosure import nested_counts, supported_quantile, supported_years
from labor_llm.errors import InputError
from labor_llm.evaluation.binary_tasks import shared_events
from labor_llm.evaluation.comparison import realised
from labor_llm.evaluation.groups import group_performance
from labor_llm.evaluation.structural_change import before_and_after, performance_by_year
from labor_llm.exhibits import data, data_figures, figures, models, report, studies, tables
from labor_llm.exhibits.publishing import Exhibits
from labor_llm.store.artefacts import writing
from labor_llm.store.results import Results


@given(st.lists(st.tuples(st.integers(0, 25), st.integers(1900, 2000)), min_size=30), st.floats(0, 1))
def test_eleven_persons_are_at_or_beyond_every_end_and_quantile(records, level) -> None:
    persons, values = (pd.Series(part) for part in zip(*records, strict=True))

    def enough(side: pd.Series) -> bool:
        return persons[side].nunique() >= 11

    table = pd.DataFrame({"worker_id": persons, "year": values})
    if persons.nunique() < 11:
        with pytest.raises(InputError, match="fewer than 11 persons"):
            supported_years(table)
        return
    low, high = supported_years(table)
    assert low <= high
    assert low == high or (enough(values <= low) and enough(values >= high))
    quantile = supported_quantile(values, persons, level)
    assert np.isnan(quantile) or (enough(values <= quantile) and enough(values >= quantile))


@given(st.lists(st.integers(0, 15), max_size=8))
def test_no_two_counts_shown_differ_by_few(losses) -> None:
    counts = [100 + sum(losses[:length]) for length in range(len(losses) + 1)][::-1]
    plain = [count for count in nested_counts(counts) if isinstance(count, int)]
    assert all(a == b or a - b >= 11 for a, b in pairwise(plain))
    assert nested_counts([111, None, 105, 100]) == [111, "< 11", "100 + < 11", 100]


CANARY = re.compile(r"(?i)canary|(?<![\d.])(19[34]\d|195[0-8]|1899|9,?999|10,?000)(?!\d)")


@pytest.fixture
def with_canary(panel_of_chain) -> CareerPanel:
    """300 workers of 1980 to 1987 and one who is alone with what she has: years, age, covariates, title, length."""
    usual = panel_of_chain(300, records=(3, 9))
    outcomes = OutcomeSpace((*usual.outcomes.codes, "99"), (*usual.outcomes.titles, "Canary keepers"))
    years = [*range(1931, 1959), 1985]
    canary = usual.frame.iloc[[0] * len(years)].assign(
        worker_id="x-canary", year=years, occupation=["99", "10"] * 14 + ["99"], birth_year=1899,
        **{name: f"canary {name}" for name in ("education", "gender", "ethnicity", "region")},
    )  # fmt: skip
    return CareerPanel(pd.concat([usual.frame, canary], ignore_index=True), outcomes, "chain")


def predicted(panel: CareerPanel, model: str) -> Predictions:
    random = np.random.default_rng(len(model)).normal(size=(len(panel.frame), len(panel.outcomes)))
    log_probs = random - np.log(np.exp(random).sum(axis=1, keepdims=True))
    return from_matrix(model, transitions(panel), panel.outcomes, log_probs)


def test_a_person_who_is_alone_with_all_she_has_shows_nowhere(with_canary: CareerPanel, tmp_path) -> None:
    results = Results(tmp_path)
    with writing(results.panel("chain"), {"label": "Chain"}):
        pass
    splits = split_workers(with_canary, 1) | {"x-canary": "test"}
    test = with_canary.split(splits, "test")
    one, other = predicted(test, "one"), predicted(test, "two")
    trainings = {"m": {ALL_YEARS: realised(one, ALL_YEARS), UP_TO: realised(other, UP_TO)}}
    groups, _ = group_performance([one, other], [test], draws=100)
    periods = before_and_after(trainings, 1983, draws=100)
    by_year = performance_by_year(trainings, 1983, draws=100)
    masses = tables.valid_mass_quantiles([one])
    events, _ = shared_events([one, other], [test])
    coverage = data_figures.records_by_frame([with_canary], {"chain": None})
    ages, moves = data_figures.mover_shares([with_canary]), data_figures.group_transitions([with_canary])
    lengths = [SimpleNamespace(ids=range(9999 if "x" in worker else 90)) for worker in with_canary.workers]
    words = {"draws": 100, "refits": "none", "last_year": 1983, "dataset": "Chain", "model": "m"}
    show, of_dataset = (Exhibits(results, name, "", words) for name in ("", "chain"))
    drawn = [
        data_figures.coverage(coverage), data_figures.movers_by_age(ages), figures.valid_mass(masses),
        data_figures.transition_type_shares(data_figures.type_shares([with_canary])),
    ]  # fmt: skip
    of_chain = [
        models.split_description(with_canary, splits), models.resume_lengths(lengths, [[1, 2]]),
        models.scored_transitions(one), studies.before_and_after(periods), studies.group_perplexity(groups),
        studies.group_tasks(groups),
        studies.structural_change_sentence(periods, 1983), figures.performance_by_year(by_year, 1983),
    ]  # fmt: skip
    shown = [
        data.data_description([with_canary], {"chain": splits}), data.attrition([with_canary], {"chain": None}),
        tables.task_events(events),
    ]  # fmt: skip
    displays = [*map(show, shown + drawn), *map(of_dataset, of_chain)]
    told = [display.plain + display.markdown for display in displays]
    told += [text.get_text() for each in [*drawn, of_chain[-1]] for text in each.figure.findobj(Text)]
    show.record("02", report.data_numbers(with_canary, "Chain"), persons=301)
    told += [path.read_text("utf-8") for path in results.exhibits.glob("*.[ctj]*")]
    told += [frame.to_string() for frame in (coverage, ages, masses, by_year.drop(columns="years"))]
    told += [moves.dropna().to_string(), "pooled" if "pooled" in str(told) else "canary"]
    with pytest.raises(InputError) as refused:
        train_up_to(with_canary, splits, 1900)
    told += [str(refused.value)]
    assert [hit for text in told if (hit := CANARY.search(text))] == []
    assert "1980\u20131987" in str(told)
