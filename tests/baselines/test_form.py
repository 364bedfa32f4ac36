"""Features of careers, worked by hand."""

import numpy as np
import pytest

from labor_llm.baselines.form import NONE, Baseline, LastKnownYear, record_features
from labor_llm.baselines.two_stage import BagOfJobs, TwoStageLogit
from labor_llm.careers.panel import CareerPanel


@pytest.fixture
def career(lettered) -> CareerPanel:
    panel = lettered({"1": "abbba"})
    panel.frame["year"] = [1980, 1981, 1983, 1985, 1986]
    panel.frame["education"] = ["high school", "high school", "college", "college", "college"]
    return panel


def test_features_of_one_career(career):
    got = record_features(career)
    assert got["previous"].tolist() == [NONE, "a", "b", "b", "b"]
    assert got["before_previous"].tolist() == [NONE, NONE, "a", "b", "b"]
    assert got["calendar_year"].tolist() == ["1980", "1981", "1983", "1985", "1986"]
    assert got["years_in_occupation"].tolist() == [0, 1, 2, 4, 5]
    assert got["years_since_previous"].tolist() == [0, 1, 2, 2, 1]
    assert got["records_before"].tolist() == [0, 1, 2, 3, 4]
    assert got["age"].tolist() == [20, 21, 23, 25, 26]
    assert got["records_in_occupation"].tolist() == [0, 1, 1, 2, 3]
    assert got["year_skipped"].tolist() == [0, 0, 1, 1, 0]
    assert got["education_changed"].tolist() == [0, 0, 1, 0, 0]


def test_shares_of_earlier_occupations(career):
    model = BagOfJobs()
    model._prepare(career)
    got = model._features(career).toarray()
    np.testing.assert_allclose(got[:, :2], [[0, 0], [1, 0], [0, 1], [0, 1], [0, 1]])
    np.testing.assert_allclose(got[:, 2:4], [[0, 0], [0, 0], [1, 0], [0.5, 0.5], [1 / 3, 2 / 3]])


def test_a_year_that_training_lacks_counts_as_the_last_one_before_it_or_else_as_the_first(career):
    known = LastKnownYear().fit(record_features(career))
    other = record_features(career).assign(calendar_year=["1970", "1980", "1982", "1984", "1999"])
    assert known.transform(other)["calendar_year"].tolist() == ["1980", "1980", "1981", "1983", "1986"]


@pytest.mark.parametrize("kind", [TwoStageLogit, BagOfJobs])
def test_a_level_that_fell_until_the_last_year_of_training_is_carried_on(toy, kind: type[Baseline]):
    """Workers stay with 0.9 until 1983, when they do with 0.3; 1984 is predicted like 1983."""
    generator = np.random.default_rng(1)

    def careers(first_year: int, workers: int, prefix: str) -> CareerPanel:
        rows = []
        for worker in range(workers):
            job = int(generator.integers(4))
            for year in range(first_year, first_year + 4):
                if year > first_year and generator.random() > (0.9 if year < 1983 else 0.3):
                    job = (job + int(generator.integers(1, 4))) % 4
                # Of many ages in every year, so that the year alone tells.
                rows.append((f"{prefix}{worker}", year, "abcd"[job], "college", "west", 1940 + worker % 20))
        return toy(rows)

    model = kind().fit(careers(1980, 400, "a"), careers(1980, 100, "b"))
    table = model.predict(careers(1981, 400, "c")).table
    stayers = table[(table["year"] == 1984) & (table["transition_type"] == "staying")]
    assert np.exp(stayers["log_prob"]).mean() == pytest.approx(0.3, abs=0.1)
