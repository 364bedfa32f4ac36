"""Boosted trees: recovery of a two-stage market, pools of rare titles, and titles that training lacks."""

import numpy as np
import pandas as pd
import pytest

from labor_llm.baselines.boosted_trees import BoostedTrees, pooled_titles
from labor_llm.careers.occupations import OutcomeSpace
from labor_llm.careers.panel import CareerPanel

STAYS = {"high school": 0.5, "college": 0.8}


@pytest.fixture(scope="session")
def panel(toy):
    """Careers in a, b, c (never d): college stays more often; of movers half go to c from 1984 on, none before."""

    def made(workers: range, seed: int, first_year: int = 1980) -> CareerPanel:
        rng = np.random.default_rng(seed)
        rows = []
        for worker in workers:
            level, job = ("high school", "college")[worker % 2], "ab"[rng.integers(2)]
            for year in range(first_year, first_year + 8):
                if year > first_year and rng.random() > STAYS[level]:
                    other = {"a": "b", "b": "a", "c": "ab"[rng.integers(2)]}[job]
                    job = "c" if job != "c" and year >= 1984 and rng.random() < 0.5 else other
                rows.append((f"w{worker:04d}", year, job, level, "south", 1940 + worker % 20))
        return toy(rows)

    return made


@pytest.fixture(scope="session")
def fitted(panel) -> BoostedTrees:
    return BoostedTrees(stay_leaves=[7], destination_leaves=[4]).fit(
        panel(range(800), 1), panel(range(800, 1000), 2)
    )


def mean_chances(model: BoostedTrees, panel: CareerPanel, **known: object) -> np.ndarray:
    table = panel.frame.assign(previous=panel.frame.groupby("worker_id")["occupation"].shift())
    rows = np.logical_and.reduce([table[name] == value for name, value in known.items()])
    return np.exp(model.predict(panel).log_probs[rows]).mean(axis=0)


def test_recovers_staying_by_education_and_destinations_by_year(fitted, panel):
    test = panel(range(1000, 1400), 3)
    for level, stays in STAYS.items():
        early = mean_chances(fitted, test, education=level, year=1982, previous="a")
        np.testing.assert_allclose(early[:3], [stays, 1 - stays, 0], atol=0.05)
        late = mean_chances(fitted, test, education=level, year=1986, previous="a")
        np.testing.assert_allclose(late[:3], [stays, (1 - stays) / 2, (1 - stays) / 2], atol=0.07)


def test_years_beyond_training_are_the_last_one_and_the_unseen_keep_a_probability(fitted, panel):
    later = panel(range(20), 4, 1990)
    later.frame.loc[later.frame["year"] == 1991, "occupation"] = "d"
    got = np.exp(fitted.predict(later).log_probs)
    np.testing.assert_allclose(got.sum(axis=1), 1.0, atol=1e-6)
    assert (got > 0).all()
    as_1987 = later.frame.assign(year=np.minimum(later.frame["year"], 1987))
    # What follows from the year alone; age and gaps are those of the later careers.
    table, known = fitted._table(later), fitted._table(CareerPanel(as_1987, later.outcomes, "toy"))
    assert (table["calendar_year"] == known["calendar_year"]).all()
    assert (
        table["previous"].isna().sum()
        == (later.frame.groupby("worker_id")["occupation"].shift() == "d").sum()
    )


def test_predictions_do_not_look_ahead_and_are_what_was_chosen_by(fitted, panel):
    validation = panel(range(800, 1000), 2)
    table = fitted.predict(validation).table
    tried = fitted.validation_perplexity_
    best = tried["validation_perplexity"].min()
    assert np.exp(-table["log_prob"].mean()) == pytest.approx(best, rel=1e-5)
    assert tried["moves_of_a_class"].tolist() == list(BoostedTrees.moves_of_a_class)
    changed = validation.frame.copy()
    changed.loc[changed["year"] == 1987, ["occupation", "region"]] = ["d", "overseas"]
    before, after = (
        fitted.predict(careers).log_probs[changed["year"] < 1987]
        for careers in (validation, CareerPanel(changed, validation.outcomes, "toy"))
    )
    assert (before == after).all()


def test_where_everybody_stays_or_has_one_record_the_rest_stays_possible(lettered):
    for careers in ({"1": "aaa", "2": "bb"}, {"1": "a", "2": "b"}):
        model = BoostedTrees().fit(lettered(careers), lettered({"3": "abb"}))
        assert np.isfinite(model.predict(lettered({"4": "acb"})).log_probs).all()


def test_rare_titles_are_pooled_by_major_group():
    codes = ("4", "7", "8", "203", "unknown")
    space = OutcomeSpace(codes, tuple(f"title {code}" for code in codes))
    classes = pd.Series(pooled_titles(space, np.array([90, 3, 2, 5, 0]), 50), index=codes)
    assert classes["7"] == classes["8"]
    assert classes.nunique() == 4
    assert pooled_titles(space, np.array([1, 0, 0, 2, 0]), 50)[3] not in classes[["4"]].index
