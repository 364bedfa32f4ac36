"""Features of careers, worked by hand."""

import numpy as np
import pytest

from labor_llm.baselines.form import NONE, record_features
from labor_llm.baselines.two_stage import BagOfJobs
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
    model = BagOfJobs(feature_weights=(1.0, 0.5, 0.25))
    model._prepare(career)
    got = model._features(career).toarray()
    np.testing.assert_allclose(got[:, :2], [[0, 0], [1, 0], [0, 1], [0, 1], [0, 1]])
    np.testing.assert_allclose(got[:, 2:4] * 2, [[0, 0], [0, 0], [1, 0], [0.5, 0.5], [1 / 3, 2 / 3]])
