"""Invented careers to pick from: the grid, what models say of it, and a page that holds it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from labor_llm.baselines.registry import fit_baselines
from labor_llm.careers.panel import split_workers, transitions, write_panel
from labor_llm.exhibits.try_it import invented_careers, next_job_answers, picker
from labor_llm.scoring.careers import score_careers
from labor_llm.scoring.settings import ScoringSettings
from labor_llm.store.results import Results


@pytest.fixture(scope="module")
def splits(panel):
    return split_workers(panel, seed=1)


@pytest.fixture(scope="module")
def asked(panel, splits):
    return invented_careers(panel.split(splits, "train"), jobs=2, educations=1)


def test_each_pair_of_frequent_jobs_is_a_career_that_ends_in_the_year_asked_for(asked, panel, splits):
    training = panel.split(splits, "train").frame
    held = training.groupby("occupation")["worker_id"].nunique().sort_values(ascending=False, kind="stable")
    first, second = held.index[:2]
    pairs = {
        f"0-{before}-{last}": (one, other)
        for before, one in enumerate((first, second))
        for last, other in enumerate((first, second))
    }
    table = transitions(panel.split(splits, "train"))
    had = table.groupby(["previous", "occupation"])["worker_id"].nunique()
    known = {name: pair for name, pair in pairs.items() if had.get(pair, 0) >= 11}
    assert 0 < len(known) < 4  # a pair that fewer had is left out
    jobs = asked.frame.groupby("worker_id")["occupation"].apply(lambda codes: tuple(codes[:2]))
    assert jobs.to_dict() == known
    years = asked.frame["year"].to_numpy().reshape(-1, 3)
    assert (np.diff(years) == 1).all() and years.max() <= training["year"].max()
    assert set(asked.frame["education"]) == {training.groupby("education")["worker_id"].nunique().idxmax()}


def test_answers_are_those_of_the_models_and_the_page_holds_them(
    asked, panel, splits, tiny_model, tiny_model_folder, tmp_path
):
    results, name = Results(tmp_path), "empirical-transitions"
    write_panel(results.panel(panel.dataset), panel, splits)
    answers = next_job_answers(
        asked, panel, splits, results, [name], str(tiny_model_folder), "Tiny <1>", ScoringSettings()
    )
    frequent = panel.split(splits, "train").frame.groupby("occupation")["worker_id"].nunique()
    listed = {panel.outcomes.title(code) for code in frequent.index[frequent >= 11]}
    assert set(answers["title"]) <= listed and answers.groupby(["worker_id", "model"]).size().max() <= 8
    of_model = {
        "Tiny <1>": score_careers(tiny_model, asked, "tiny", ScoringSettings()),
        "Empirical transitions": fit_baselines([name], panel, splits)[name].predict(asked),
    }
    codes = dict(zip(panel.outcomes.titles, range(len(panel.outcomes.titles)), strict=True))
    for row in answers.itertuples():
        last = of_model[row.model].table["worker_id"].eq(row.worker_id).to_numpy().nonzero()[0][-1]
        expected = np.exp(float(of_model[row.model].log_probs[last, codes[row.title]]))
        assert row.probability == pytest.approx(expected, rel=1e-4)
    page = picker(answers, "one")
    held = json.loads(re.search(r"answers = (\{.*\});", page.html)[1])
    one = asked.workers[-1]
    assert held.keys() == set(asked.workers) and "Tiny <1>" not in page.html
    first = answers[answers["worker_id"].eq(one) & answers["model"].eq("Tiny <1>")].iloc[0]
    assert held[one]["Tiny <1>"][0] == [first["title"], round(first["probability"], 4)]
    assert page.html.count("<option") == 5 and re.search(r"https?://", page.html) is None


def test_careers_without_a_frequent_job_leave_nothing_to_pick(panel, splits):
    few = panel.restrict(panel.workers[:10])
    assert invented_careers(few, 2, 1) is None
    nothing = next_job_answers(
        None, panel, splits, Results(Path("none")), [], "none", "None", ScoringSettings()
    )
    assert "nothing to pick" in picker(nothing, "one").markdown
