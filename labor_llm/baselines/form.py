"""What all baselines share: their form, and what is known of a worker before a record, as features.

A baseline reads no workers but those of training and validation, and chooses its smoothing, regularisation or stopping
by the perplexity of the validation workers.

Nothing of the record itself enters but its year and education, which the resume line also states before the title.
The features follow CAREER's econometric baselines (Vafa et al. 2024; keyonvafa/career-code, the models `regression` and
`bag_of_jobs`). Age is added, because the resume that a language model reads states the year of birth.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import pandas as pd

from labor_llm.careers.occupations import OutcomeSpace
from labor_llm.careers.panel import CareerPanel, transitions
from labor_llm.careers.predictions import Predictions, from_matrix
from labor_llm.errors import InputError, MismatchError

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

# The level of `previous` and `before_previous` where there is none; no occupation code is empty.
NONE = ""
# In place of the previous occupation's column where there is none.
FIRST = -1
# Features that are levels, beside the two occupations.
COVARIATES = ["education", "calendar_year", "gender", "ethnicity", "region"]


class Baseline(ABC):
    """A model of the next occupation that knows nothing of the words in a title.

    Args:
        name: what tables show; the class's own if None.
        choices: other values of the class's attributes that say what is tried, and when an estimation stops.

    Attributes:
        outcomes_: after the fit, the occupations.
        validation_perplexity_: after the fit one row a candidate, with the column `validation_perplexity`.
        chosen: after the fit, what the validation workers chose, in words.
        kept: after the fit the same as attributes of the class, with which another fit tries nothing else.
        searched: the attributes that say what is tried, with the column of `validation_perplexity_` for each, or the
            columns.
    """

    name: str
    outcomes_: OutcomeSpace
    validation_perplexity_: pd.DataFrame
    chosen: str
    kept: dict[str, Any]
    searched: ClassVar[Mapping[str, str | tuple[str, ...]]] = {}

    def __init__(self, name: str | None = None, **choices: Any) -> None:
        self.kept = {}
        for attribute, value in {**choices, **({"name": name} if name else {})}.items():
            if not hasattr(type(self), attribute):
                raise InputError(
                    f"{type(self).__name__}: there is nothing to choose that is called {attribute!r}."
                )
            setattr(self, attribute, value)

    def fit(self, train: CareerPanel, validation: CareerPanel) -> Self:
        """Estimate on the training workers, choose on the validation workers, and return the model itself.

        Raises:
            InputError: if a panel holds no records, a worker is in both (the choice would then reward memorising), or
                the model cannot be estimated on so little.
            MismatchError: if the panels have different outcome spaces.
            NumericalError: if an estimation does not converge.
        """
        check_fitting_panels(self.name, train, validation)
        self.outcomes_ = train.outcomes
        self._estimate(train, validation)
        return self

    def predict(self, panel: CareerPanel) -> Predictions:
        """Return the log-probability of every occupation for every record of a panel.

        Raises:
            MismatchError: if the panel's outcome space is not the fitted one.
        """
        check_outcomes(self.name, self.outcomes_, panel)
        table = transitions(panel)
        return from_matrix(self.name, table, self.outcomes_, self._log_probs(panel, table))

    def _best(
        self,
        candidates: Sequence[tuple[Any, ...]],
        *columns: str,
        refine: Callable[[tuple[Any, ...]], tuple[Any, ...]] | None = None,
    ) -> tuple[Any, ...]:
        """Note the candidates (values of the columns, perplexity, what else there is), and return the best one.

        `refine` estimates the best one to its end, where the others were estimated as far as a choice asks for.
        """
        best = min(candidates, key=lambda candidate: candidate[len(columns)])
        if refine is not None:
            rough, best = best, refine(best)
            candidates = [best if candidate is rough else candidate for candidate in candidates]
        noted = [*columns, "validation_perplexity"]
        tried = [candidate[: len(noted)] for candidate in candidates]
        self.validation_perplexity_ = pd.DataFrame(tried, columns=noted)
        self._perplexity = best[len(columns)]
        values = dict(zip(columns, best, strict=False))
        self.kept = {
            attribute: [values[of] if isinstance(of, str) else [values[column] for column in of]]
            for attribute, of in self.searched.items()
        }
        return best

    @property
    def chosen_perplexity(self) -> float:
        """The perplexity of the validation workers with what was chosen; others were estimated less closely."""
        return float(getattr(self, "_perplexity", self.validation_perplexity_["validation_perplexity"].min()))

    @abstractmethod
    def _estimate(self, train: CareerPanel, validation: CareerPanel) -> None:
        """Estimate the model, and note what was tried and chosen."""

    @abstractmethod
    def _log_probs(self, panel: CareerPanel, table: pd.DataFrame) -> np.ndarray:
        """Return nats, [records, occupations], given the panel and its transitions."""


def check_fitting_panels(model: str, train: CareerPanel, validation: CareerPanel) -> None:
    """Raise InputError or MismatchError, as `Baseline.fit`, if panels are not those that a model can be fitted on."""
    for name, panel in (("training", train), ("validation", validation)):
        if panel.frame.empty:
            raise InputError(f"{model}: the {name} panel holds no records. Give it at least one worker.")
    if shared := set(train.workers) & set(validation.workers):
        raise InputError(
            f"{model}: {len(shared):,} workers are in the training and in the validation panel. "
            "Split the panel by worker (labor_llm.careers.panel.split_workers)."
        )
    check_outcomes(model, train.outcomes, validation)


def check_outcomes(model: str, outcomes: OutcomeSpace, panel: CareerPanel) -> None:
    """Raise MismatchError if a panel has another outcome space (codes or their order) than a model was fitted for."""
    if panel.outcomes.codes != outcomes.codes:
        raise MismatchError(
            f"{model}: fitted for {len(outcomes)} occupations, but the panel has an outcome space of "
            f"{len(panel.outcomes)} (or the same in another order). Give all panels the same titles."
        )


def occupation_columns(
    table: pd.DataFrame, outcomes: OutcomeSpace, column: str = "occupation", first: int = FIRST
) -> np.ndarray:
    """Return the column of an occupation in the outcome space for each transition, int64 [transitions].

    `table` is as `labor_llm.careers.panel.transitions` returns it, `column` 'occupation', 'previous' or
    'before_previous'; `first` stands where there is none.
    """
    columns = [first if code is None else outcomes.index(code) for code in table[column]]
    return np.asarray(columns, dtype=np.int64)


def record_features(panel: CareerPanel) -> pd.DataFrame:
    """Return one row of features per record, in panel order.

    Returns:
        `previous` and `before_previous` (codes, or `NONE`), the text columns `education`, `gender`, `ethnicity`,
        `region` and `calendar_year`, and as floats, all but the last zero at a first record: `years_in_occupation` and
        `records_in_occupation` (since the current spell in the previous occupation began, and earlier records of it),
        `years_since_previous`, `records_before`, `year_skipped` and `education_changed` (0 or 1, against the record
        before), and `age` in years (NaN where the birth year is not known).
    """
    table = transitions(panel)
    worker, year = table["worker_id"], table["year"]
    # A spell begins with each record that does not stay.
    begins = table["transition_type"] != "staying"
    spell_start = year.where(begins).groupby(worker).ffill()
    so_far = table.groupby(begins.cumsum()).cumcount() + 1
    education_before = table["education"].groupby(worker).shift()
    features = table[["previous", "before_previous"]].fillna(NONE).astype(object)
    features[COVARIATES] = table.assign(calendar_year=year.astype(str))[COVARIATES].astype(object)
    features["years_in_occupation"] = (year - spell_start.groupby(worker).shift()).fillna(0.0)
    features["records_in_occupation"] = so_far.groupby(worker).shift().fillna(0.0)
    features["years_since_previous"] = (year - table["previous_year"]).fillna(0).astype(float)
    features["records_before"] = table["records_before"].astype(float)
    features["year_skipped"] = (features["years_since_previous"] > 1).astype(float)
    changed = education_before.notna() & (education_before != table["education"])
    features["education_changed"] = changed.astype(float)
    features["age"] = (year - table["birth_year"]).astype("Float64").to_numpy(float, na_value=np.nan)
    return features


class LastKnownYear:
    """Counts a calendar year that training lacks as the last one before it, or else as the first.

    CAREER and its econometric baselines so carry the last year's weights on (keyonvafa/career-code,
    `evaluate_survey_data_forecast.py`); without it a year to come would have no effect at all.
    """

    def fit(self, features: pd.DataFrame, _: object = None) -> Self:
        """Note the years of `record_features` of the training workers."""
        self._years = np.unique(features["calendar_year"].astype(int))
        return self

    def transform(self, features: pd.DataFrame) -> pd.DataFrame:
        """Return features in which every year is one that training knows."""
        before = np.searchsorted(self._years, features["calendar_year"].astype(int), side="right") - 1
        return features.assign(calendar_year=self._years[np.maximum(before, 0)].astype(str).astype(object))


def design(indicators: Sequence[list[str]], numbers: list[str]) -> Pipeline:
    """Return the transformer of `record_features` into a sparse design matrix.

    Args:
        indicators: groups of columns that become one indicator a level, all zero for a level that training lacks, but
            for a year (`LastKnownYear`).
        numbers: columns that are standardised, missing ones set to the mean.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline, make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    one_hot = OneHotEncoder(handle_unknown="ignore")
    standardised = make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler())
    steps = [(group[0], one_hot, group) for group in indicators] + [("numbers", standardised, numbers)]
    columns = ColumnTransformer(steps, sparse_threshold=1.0)
    return Pipeline([("last known year", LastKnownYear()), ("columns", columns)])


def column_groups(fitted: Pipeline, groups: int) -> np.ndarray:
    """Return the place of the group of each column of a fitted `design`, int [columns]; numbers are in the last one."""
    slices = list(fitted["columns"].output_indices_.values())[: groups + 1]
    widths = [part.stop - part.start for part in slices]
    return np.repeat([*range(groups), groups - 1], widths)
