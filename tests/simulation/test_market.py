"""The market: probabilities that are exact, and that hang on every covariate and on the whole history."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from labor_llm.careers.occupations import OutcomeSpace
from labor_llm.errors import ArtefactError, InputError
from labor_llm.settings import SettingError
from labor_llm.simulation.careers import PSID81, simulate_careers
from labor_llm.simulation.histories import NONE, Histories
from labor_llm.simulation.market import Market
from labor_llm.simulation.parameters import MarketParameters

COVARIATES = {
    "education": "college", "gender": "female", "ethnicity": "hispanic", "region": "south", "birth_year": 1960,
}  # fmt: skip


def career(occupations: list[str], years: list[int] | None = None, **covariates: object) -> pd.DataFrame:
    """One worker's records, yearly from 1985 if no years are given."""
    years = years or list(range(1985, 1985 + len(occupations)))
    frame = pd.DataFrame({"worker_id": "w", "year": years, "occupation": occupations})
    return frame.assign(**{**COVARIATES, **covariates})


def at_the_end(market: Market, frame: pd.DataFrame) -> np.ndarray:
    """Log-probabilities of the last record."""
    return market.log_probabilities(frame, np.float64)[-1]


@pytest.fixture(scope="module")
def many(market: Market) -> pd.DataFrame:
    return simulate_careers(market, 400, PSID81, seed=6)


@pytest.mark.parametrize("occupations", [6, 330])
def test_probabilities_are_finite_and_add_up_to_one(market: Market, occupations: int) -> None:
    market = market if occupations == 6 else Market(3)
    frame = simulate_careers(market, 60, PSID81, seed=2)
    got = market.log_probabilities(frame, np.float64)
    assert got.shape == (len(frame), occupations + 3)
    assert np.isfinite(got).all()
    assert np.abs(np.exp(got).sum(axis=1) - 1.0).max() < 1e-12
    np.testing.assert_allclose(market.log_probabilities(frame), got, rtol=1e-6, atol=1e-6)


WORK = ["40", "10", "12", "12", "12"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        *(
            (career(history), career(history, **{column: value}))
            for history in (["10"], ["10", "10", "40"])
            for column, value in zip(COVARIATES, ("high school", "male", "asian", "west", 1950), strict=True)
        ),
        # Calendar year, with the same age, and gap.
        (career(["10"] * 2, [1990, 1992]), career(["10"] * 2, [1991, 1993], birth_year=1961)),
        (career(["10"] * 2, [1990, 1992]), career(["10"] * 2, [1991, 1992])),
        # The last two records before the one predicted agree, so a second-order model cannot tell the two apart: first
        # job, time in the job, job before unemployment, a year without work.
        (career(WORK), career(["70", *WORK[1:]])),
        (career(["10", "10", "12", "12", "12"]), career(["10", "12", "12", "12", "12"])),
        (career([*["40"] * 2, *["unemployed"] * 2, "10"]), career([*["70"] * 2, *["unemployed"] * 2, "10"])),
        (career(["10", "unemployed", "12", "12", "10"]), career(["10", "11", "12", "12", "10"])),
    ],
)
def test_covariates_years_and_the_whole_history_matter(
    market: Market, one: pd.DataFrame, other: pd.DataFrame
) -> None:
    assert np.abs(at_the_end(market, one) - at_the_end(market, other)).max() > 0.01


def test_only_what_came_before_matters(market: Market) -> None:
    frame = career(["10", "10", "40", "70"])
    changed = frame.assign(
        occupation=["10", "10", "41", "unemployed"], education=["college"] * 3 + ["graduate degree"]
    )
    got, expected = (market.log_probabilities(table, np.float64)[:3] for table in (changed, frame))
    np.testing.assert_array_equal(got, expected)


def test_a_worker_alone_has_the_probabilities_that_it_has_among_others(
    market: Market, many: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = many[many["worker_id"].isin(many["worker_id"].unique()[:40])]
    together = market.log_probabilities(some)
    monkeypatch.setattr("labor_llm.simulation.market._BLOCK", 7)
    alone = [market.log_probabilities(own) for _, own in some.groupby("worker_id", sort=False)]
    for got in (np.concatenate(alone), market.log_probabilities(some)):
        np.testing.assert_allclose(got, together, rtol=1e-6)


def test_staying_and_recall_worked_by_hand(space: OutcomeSpace, groups: dict[str, str]) -> None:
    """All terms but those of the test are zero: the formulas of the module's first lines, by hand."""
    zero = dict.fromkeys(MarketParameters.model_fields, 0.0)
    positive = {"cycle_period": 9.0, "near_code_reach": 1.0, "experience_decay": 1.0, "experience_cap": 2.0}
    # Logs of small integers, so that every chance is a ratio of integers.
    terms = {"stay": np.log(3.0), "stay_gap": -1.0, "recall_longest": 1.0}
    bare = Market(1, MarketParameters(**{**zero, **positive, **terms}), space, dict.fromkeys(groups, "one"))
    bare.tables.base[:] = 0.0

    got = np.exp(at_the_end(bare, career(["10", "12", "12"], [1990, 1991, 1993])))

    # Odds of staying 3/2 after a gap of two years; each of the four kinds has 1/4 of the rest; of five weights among
    # the other occupations, that of the longest-held one, 10 (one year, so log(1 + 1)), counts twice.
    kind = 2 / 5 / 4
    expected = dict.fromkeys(groups, kind / 6) | {"10": kind / 3, "12": 3 / 5}
    expected |= {"unemployed": kind, "out_of_labor_force": kind, "education": kind}
    np.testing.assert_allclose(got, [expected[code] for code in space.codes], rtol=1e-12)


def test_histories_worked_by_hand() -> None:
    """Occupations 0 and 1 in groups 0 and 1; 2 is unemployed, 3 out of the labor force."""
    histories = Histories(1, np.array([0, 1]), decay=0.5, cap=2.0)
    assert histories.last[0] == NONE
    for year, education, outcome in [(1990, 1, 0), (1991, 1, 2), (1994, 2, 1), (1995, 2, 1)]:
        histories.meet(np.array([year]), np.array([education]))
        assert bool(histories.new_degree[0]) == (year == 1994)
        histories.record(np.array([outcome]))
    histories.meet(np.array([1997]), np.array([2]))

    assert (histories.last[0], histories.last_occupation[0], histories.longest[0]) == (1, 1, 1)
    assert (histories.duration[0], histories.gap[0]) == (3.0, 2.0)
    assert (histories.moves[0], histories.records[0]) == (2.0, 4.0)
    # 1 halved seven times; 2 (a gap of three, capped) halved once, plus 1, halved twice.
    np.testing.assert_allclose(histories.experience[0], [0.5**7, (2 * 0.5 + 1) * 0.25])
    np.testing.assert_allclose(histories.idle[0], 0.5**6)
    assert histories.held[0].tolist() == [1.0, 3.0]


def test_the_seed_and_every_parameter_matter(
    market: Market, groups: dict[str, str], many: pd.DataFrame
) -> None:
    def changed(seed: int, parameters: MarketParameters) -> float:
        other = Market(seed, parameters, market.outcomes, groups)
        return np.abs(other.log_probabilities(many, np.float64) - known).max()

    known = market.log_probabilities(many, np.float64)
    assert changed(5, MarketParameters()) == 0.0
    assert changed(6, MarketParameters()) > 0.1
    for name, value in market.parameters:
        assert changed(5, MarketParameters(**{name: value * 1.1})) > 1e-4, name


def test_a_market_comes_back_from_its_json() -> None:
    market = Market(8, MarketParameters(stay=0.1))
    frame = simulate_careers(market, 20, PSID81, seed=1)
    again = Market.from_json(market.to_json())
    assert (again.seed, again.parameters) == (8, market.parameters)
    np.testing.assert_array_equal(again.log_probabilities(frame), market.log_probabilities(frame))
    assert len(market.to_json()) < 4000


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ("{", "does not describe a market"),
        ("[1]", "does not describe a market"),
        ({"format": 2}, "format 2 found, 1 expected"),
        ({"seed": None}, "does not describe a market"),
        ({"seed": 6}, "make another market here"),
        ({"checksum": 1.0}, "make another market here"),
        ({"occupations": 6}, "make another market here"),
        ({"parameters": {"stay": 0.1, "size": 2.0}}, "make another market here"),
        ({"parameters": {"stays": 0.1}}, "stays: no such field; did you mean 'stay'"),
        ({"parameters": {"stay": "high"}}, "stay: 'high' should be a valid number"),
        ({"parameters": {"stay": float("nan")}}, "stay: nan should be a finite number"),
        ({"parameters": {"cycle_period": 0}}, "cycle_period: 0 should be greater than 0"),
    ],
)
def test_a_json_that_describes_no_market_or_another_is_refused(changes: str | dict, message: str) -> None:
    text = changes if isinstance(changes, str) else json.dumps({**json.loads(Market(5).to_json()), **changes})
    with pytest.raises(ArtefactError, match=rf"^market\.json: .*{message}.* Simulate the careers again\."):
        Market.from_json(text)


def test_parameters_are_finite_numbers() -> None:
    with pytest.raises(SettingError, match="stay: True should be a valid number"):
        MarketParameters(stay=True)


TWO = career(["10", "11"])


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (TWO.assign(occupation=["10", "13"]), ", row 3, column occupation: not known to the market"),
        (TWO.assign(education=["college", "unknown"]), ", row 3, column education: not known"),
        (
            TWO.assign(ethnicity="martian"),
            ", row 2, column ethnicity: .* whose words are white, non-black non-",
        ),
        (TWO.assign(birth_year=pd.NA), ", row 2, column birth_year: missing"),
        (TWO.assign(year=[1990, 1990]), ", row 3: out of order"),
        (TWO.assign(year=[1990, 1989]), ", row 3: out of order"),
        (
            pd.concat([TWO.iloc[:1], TWO.iloc[:1].assign(worker_id="v"), TWO.iloc[1:]]),
            ", row 4: out of order",
        ),
        (TWO.drop(columns="region"), ": column 'region' is missing"),
        (TWO.iloc[:0], ": no records"),
    ],
)
def test_careers_that_the_market_does_not_know_are_named_by_row(
    market: Market, frame: pd.DataFrame, message: str
) -> None:
    with pytest.raises(InputError, match=f"^careers{message}"):
        market.log_probabilities(frame)
