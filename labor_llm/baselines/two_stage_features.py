"""The features of CAREER's two econometric baselines, as sparse columns.

`RegressionFeatures` are those of its regression: the last occupation, the one before, the number of records in
the current spell, the number of earlier records, the calendar year, whether a year was skipped, education and
whether it changed, ethnicity, gender and region. `BagFeatures` are those of its bag of jobs: the last occupation,
the shares of all earlier ones, and the same pair (present level, shares of earlier levels) of calendar year and
education; ethnicity, gender and region. The authors embed the bag in 1,024 dimensions, more than there are
occupations, which restricts nothing: it is a logit that is linear in the shares.

To both, age is added, because the resume that a language model reads states the year of birth. Nothing of the
record itself enters but its year and education, which the resume line also states before the title.

Source: keyonvafa/career-code, the models `regression` and `bag_of_jobs`.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix, hstack
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from labor_llm.baselines.logit import logit_features
from labor_llm.careers.panel import CareerPanel, transitions

_STATIC = ["gender", "ethnicity", "region"]
# The last occupation, earlier ones, and all covariates, each [records, columns of its own].
Blocks = tuple[csr_matrix, csr_matrix, csr_matrix]


class FeatureSet(Protocol):
    """Features in three blocks, which are shrunk differently."""

    def fit(self, train: CareerPanel) -> FeatureSet:
        """Learn the levels of categories and the scale of numbers from the training workers."""

    def blocks(self, panel: CareerPanel) -> Blocks:
        """Return the features of a panel's records, in panel order; a level that training lacks is all zero."""


class RegressionFeatures:
    """Features of CAREER's regression, and age."""

    def fit(self, train: CareerPanel) -> RegressionFeatures:
        """As `FeatureSet.fit`."""
        features = regression_features(train)
        self._previous, self._before, self._covariates = (
            _one_hot(),
            _one_hot(),
            _covariates(
                ["education", "calendar_year", *_STATIC],
                ["records_in_occupation", "records_before", "year_skipped", "education_changed", "age"],
            ),
        )
        self._previous.fit(features[["previous"]])
        self._before.fit(features[["before_previous"]])
        self._covariates.fit(features)
        return self

    def blocks(self, panel: CareerPanel) -> Blocks:
        """As `FeatureSet.blocks`."""
        features = regression_features(panel)
        return (
            self._previous.transform(features[["previous"]]),
            self._before.transform(features[["before_previous"]]),
            csr_matrix(self._covariates.transform(features)),
        )


class BagFeatures:
    """Features of CAREER's bag of jobs, and age."""

    def fit(self, train: CareerPanel) -> BagFeatures:
        """As `FeatureSet.fit`."""
        features = logit_features(train)
        self._levels = {column: _one_hot() for column in ("occupation", "education", "calendar_year")}
        self._covariates = _covariates(["education", "calendar_year", *_STATIC], ["age"]).fit(features)
        for column, levels in self._levels.items():
            levels.fit(_present(train, features)[[column]])
        return self

    def blocks(self, panel: CareerPanel) -> Blocks:
        """As `FeatureSet.blocks`."""
        features = logit_features(panel)
        present = _present(panel, features)
        numbers = features["records_before"].to_numpy(dtype=int)
        levels = {column: encoder.transform(present[[column]]) for column, encoder in self._levels.items()}
        last = _rows_before(numbers, 1, 1)
        earlier = _rows_before(numbers, 2)
        before = _rows_before(numbers, 1)
        shares = [before @ levels["education"], before @ levels["calendar_year"]]
        covariates = hstack([self._covariates.transform(features), *shares], format="csr")
        return last @ levels["occupation"], earlier @ levels["occupation"], covariates


def regression_features(panel: CareerPanel) -> pd.DataFrame:
    """Return one row of features per record, in panel order.

    Returns:
        The columns of `labor_llm.baselines.logit.logit_features`, and `records_in_occupation` (earlier
        records of the current spell in the previous occupation), `year_skipped` and `education_changed` (0 or 1,
        against the record before; 0 at a first record).
    """
    features, table = logit_features(panel), transitions(panel)
    # A spell begins with each record that does not stay; the records of a spell so far are counted within it.
    spell = (table["transition_type"] != "staying").cumsum()
    so_far = table.groupby(spell).cumcount() + 1
    worker = table["worker_id"]
    features["records_in_occupation"] = so_far.groupby(worker).shift().fillna(0.0)
    features["year_skipped"] = (features["years_since_previous"] > 1).astype(float)
    education_before = table["education"].groupby(worker).shift()
    changed = education_before.notna() & (education_before != table["education"])
    features["education_changed"] = changed.astype(float)
    return features


def _present(panel: CareerPanel, features: pd.DataFrame) -> pd.DataFrame:
    return features.assign(occupation=panel.frame["occupation"].astype(object))


def _rows_before(numbers: np.ndarray, least: int, most: int | None = None) -> csr_matrix:
    """Return the matrix that averages, for each record, earlier ones of the same worker.

    Args:
        numbers: how many records of the worker come before each record; a worker's records are together.
        least: how many records back the averaged ones begin.
        most: how many records back they end; the worker's first record if None.

    Returns:
        [records, records]; a row is zero where there is none.
    """
    counts = np.maximum(numbers - least + 1, 0)
    if most is not None:
        counts = np.minimum(counts, most - least + 1)
    rows = np.repeat(np.arange(len(numbers)), counts)
    back = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts) + least
    weights = 1.0 / np.repeat(counts, counts)
    return csr_matrix((weights, (rows, rows - back)), shape=(len(numbers), len(numbers)))


def _one_hot() -> OneHotEncoder:
    return OneHotEncoder(handle_unknown="ignore")


def _covariates(categories: list[str], numbers: list[str]) -> ColumnTransformer:
    """Return the transformer of covariates: indicators, and standardised numbers with missing ones at the mean."""
    standardised = make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler())
    columns = [("categories", _one_hot(), categories), ("numbers", standardised, numbers)]
    return ColumnTransformer(columns, sparse_threshold=1.0)
