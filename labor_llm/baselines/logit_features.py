"""The hand-made features of the multinomial logit: what is known of a worker before a record.

The list follows the regression baseline of CAREER (Vafa et al. 2024): the last occupation, the one
before, the time spent in it, the number of records, the calendar year and the covariates; age is
added because the resume that a language model reads states the year of birth. Nothing of the record
itself enters but its year and education, which the resume line also states before the title.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from labor_llm.careers import CareerPanel, transitions

CATEGORIES = ("education", "gender", "ethnicity", "region", "calendar_year")
NUMBERS = ("years_in_occupation", "years_since_previous", "records_before", "age")
# The level of `previous` and `before_previous` where there is none; no occupation code is empty.
NONE = ""


def logit_features(panel: CareerPanel) -> pd.DataFrame:
    """Return one row of features per record, in panel order.

    Returns:
        `previous` and `before_previous` (codes, or `NONE`), the text columns `CATEGORIES` and the
        float columns `NUMBERS`: years since the current spell in the previous occupation began,
        years since the previous record (both zero at a first record), number of earlier records,
        and age in years (NaN where the birth year is not known).
    """
    table = transitions(panel)
    worker = table["worker_id"]
    spell_start = table["year"].where(table["transition_type"] != "staying").groupby(worker).ffill()
    features = table[["previous", "before_previous"]].fillna(NONE).astype(object)
    for column in ("education", "gender", "ethnicity", "region"):
        features[column] = table[column].astype(object)
    features["calendar_year"] = table["year"].astype(str).astype(object)
    features["years_in_occupation"] = (table["year"] - spell_start.groupby(worker).shift()).fillna(0.0)
    features["years_since_previous"] = (table["year"] - table["previous_year"]).fillna(0).astype(float)
    features["records_before"] = table["records_before"].astype(float)
    features["age"] = (table["year"] - table["birth_year"]).astype("Float64").to_numpy(float, na_value=np.nan)
    return features


def design(previous: float, before_previous: float, covariates: float) -> ColumnTransformer:
    """Return the transformer of features into a sparse design matrix.

    Categories become one indicator a level, all zero for a level that training did not show; numbers
    are standardised, missing ages set to the mean. The three arguments multiply the columns of the
    two occupations and of all covariates: under an L2 penalty, a column multiplied by m is penalised
    1/m^2 as much, so they say which coefficients are shrunk most.
    """
    one_hot = OneHotEncoder(handle_unknown="ignore")
    numbers = make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler())
    return ColumnTransformer(
        [
            ("previous", one_hot, ["previous"]),
            ("before_previous", one_hot, ["before_previous"]),
            ("categories", one_hot, list(CATEGORIES)),
            ("numbers", numbers, list(NUMBERS)),
        ],
        sparse_threshold=1.0,
        transformer_weights={
            "previous": previous,
            "before_previous": before_previous,
            "categories": covariates,
            "numbers": covariates,
        },
    )
