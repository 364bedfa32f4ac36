"""Trainings compared before and after the year in which one of them ends, and year by year."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from labor_llm.careers.occupations import OutcomeSpace
from labor_llm.careers.panel import CareerPanel
from labor_llm.careers.predictions import Predictions
from labor_llm.careers.samples import ALL_YEARS, UP_TO
from labor_llm.errors import InputError
from labor_llm.evaluation.structural_change import before_and_after, performance_by_year


def trainings(workers_by_year: dict[int, range]) -> dict[str, dict[str, Predictions]]:
    """A model's two trainings; in each year the workers of the range have one record, of 1/2 or 1/4."""
    rows = [(f"w{worker:02d}", year) for year, workers in workers_by_year.items() for worker in workers]
    table = pd.DataFrame(rows, columns=["worker_id", "year"]).assign(
        dataset="d", transition_type="moving", occupation="1", log_valid_mass=np.nan
    )
    space = OutcomeSpace(("1", "2"), ("Cooks", "Bakers"))
    probabilities = {ALL_YEARS: 0.5, UP_TO: 0.25}
    tables = {name: table.assign(log_prob=np.log(value)) for name, value in probabilities.items()}
    return {"m": {name: Predictions("m", table, space) for name, table in tables.items()}}


@pytest.mark.parametrize("measure", [before_and_after, performance_by_year])
def test_of_a_period_of_few_workers_neither_is_told_as_the_other_one_would_tell_it(measure) -> None:
    for few in (1980, 1981):
        given = trainings({year: range(10 if year == few else 20) for year in (1980, 1981)})
        assert measure(given, 1980, draws=10).empty


def test_years_of_few_workers_are_taken_together_and_never_over_the_end_of_training() -> None:
    # 1980 and 1981 have too few persons together, not records; the last ones of a side go with those before them.
    workers = {1979: 20, 1980: 6, 1981: 8, 1982: 15, 1983: 3, 1984: 12, 1985: 11, 1986: 10}
    given = trainings({year: range(count) for year, count in workers.items()})
    got = performance_by_year(given, 1983, draws=10)
    early = got[got["training"] == UP_TO]
    assert early["years"].tolist() == ["1979", "1980-1983", "1984", "1985-1986"]
    assert early["year"].tolist() == [1979, 1982, 1984, 1985], "the middle of what eleven workers have"
    assert early["workers"].tolist() == [20, 15, 12, 11]
    assert early["transitions"].sum() == 85, "nothing is left out that could be computed from the rest"
    assert early["difference"].to_numpy() == pytest.approx(np.full(4, 2.0))


def test_before_and_after_by_hand(chain_panel: CareerPanel, chain_model: type) -> None:
    exact, warm = (chain_model(heat=heat).predict(chain_panel) for heat in (1.0, 3.0))
    given = {"chain": {ALL_YEARS: exact, UP_TO: warm}}
    got = before_and_after(given, 1983, draws=50).set_index(["period", "training"])
    last = int(chain_panel.frame["year"].max())
    assert list(got.index.unique("period")) == ["1980-1983", f"1984-{last}"]
    after = (exact.table["year"] > 1983).to_numpy()
    perplexities = [np.exp(-one.table["log_prob"][after].mean()) for one in (exact, warm)]
    row = got.loc[(f"1984-{last}", ALL_YEARS)]
    assert row["perplexity"] == pytest.approx(perplexities[0])
    assert row["difference"] == pytest.approx(perplexities[1] - perplexities[0])
    assert 0 < row["difference_low"] < row["difference"] < row["difference_high"]
    assert np.isnan(got.loc[(f"1984-{last}", UP_TO), "difference"])
    years = performance_by_year(given, 1983, draws=20)
    counted = years[years["training"] == UP_TO].set_index("year")["transitions"]
    assert counted.to_dict() == chain_panel.frame.groupby("year").size()[counted.index].to_dict()
    assert years["workers"].min() >= 11
    whole, until = (years[years["training"] == name].set_index("year") for name in (ALL_YEARS, UP_TO))
    np.testing.assert_allclose(until["difference"], until["perplexity"] - whole["perplexity"])
    assert whole["difference"].isna().all()
    with pytest.raises(InputError, match="no predictions of the training up to 1983"):
        before_and_after({"chain": {ALL_YEARS: exact}}, 1983)
    assert before_and_after(given, 2000).empty
