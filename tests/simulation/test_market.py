"""The market: probabilities that are exact, and that hang on every covariate and on the whole history."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from labor_llm.careers.occupations import OutcomeSpace
from labor_llm.errors import ArtefactError, InputError
from labor_llm.simulation.careers import PSID81, simulate_careers
from labor_llm.simulation.histories import NONE, Histories
from labor_llm.simulation.market import Market
from labor_llm.simulation.parameters import MarketParameters

GROUPS = {
    "10": "Clerical",
    "11": "Clerical",
    "12": "Clerical",
    "40": "Service",
    "41": "Service",
    "70": "Trades",
}
# The states stand in the midst of the occupations, so that a mix-up of columns shows.
SPACE = OutcomeSpace(
    ("10", "11", "unemployed", "12", "40", "education", "41", "out_of_labor_force", "70"),
    ("Typists", "Clerks", "Unemployed", "Tellers", "Cooks", "In education", "Bakers", "Out", "Carpenters"),
)
MARKET = Market(5, outcomes=SPACE, groups=GROUPS)
COVARIATES = {
    "education": "college",
    "gender": "female",
    "ethnicity": "hispanic",
    "region": "south",
    "birth_year": 1960,
}


def career(occupations: list[str], years: list[int] | None = None, **covariates: object) -> pd.DataFrame:
    """One worker's records, yearly from 1985 if no years are given."""
    years = years or list(range(1985, 1985 + len(occupations)))
    frame = pd.DataFrame({"worker_id": "w", "year": years, "occupation": occupations})
    return frame.assign(**{**COVARIATES, **covariates})


def at_the_end(frame: pd.DataFrame, market: Market = MARKET) -> np.ndarray:
    """Log-probabilities of the last record."""
    return market.log_probabilities(frame, np.float64)[-1]


@pytest.mark.parametrize("market", [MARKET, Market(3)], ids=["six occupations", "occ1990dd"])
def test_probabilities_are_finite_and_add_up_to_one(market: Market) -> None:
    frame = simulate_careers(market, 60, PSID81, seed=2)
    got = market.log_probabilities(frame, np.float64)
    assert got.shape == (len(frame), len(market.outcomes))
    assert np.isfinite(got).all()
    assert np.abs(np.exp(got).sum(axis=1) - 1.0).max() < 1e-12
    np.testing.assert_allclose(market.log_probabilities(frame), got, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("column", "other"),
    [
        ("education", "high school"),
        ("gender", "male"),
        ("ethnicity", "asian"),
        ("region", "west"),
        ("birth_year", 1950),
    ],
)
@pytest.mark.parametrize("history", [["10"], ["10", "10", "40"]], ids=["first record", "third record"])
def test_each_covariate_matters(history: list[str], column: str, other: object) -> None:
    changed = at_the_end(career(history, **{column: other}))
    assert np.abs(changed - at_the_end(career(history))).max() > 0.01


def test_calendar_year_and_gap_matter() -> None:
    base = at_the_end(career(["10", "10"], [1990, 1992]))
    later = career(["10", "10"], [1991, 1993], birth_year=1961)
    assert np.abs(at_the_end(later) - base).max() > 0.01
    gap = at_the_end(career(["10", "10"], [1991, 1992]))
    assert np.abs(gap - base).max() > 0.01


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (["40", "10", "12", "12", "12"], ["70", "10", "12", "12", "12"]),
        (["10", "10", "12", "12", "12"], ["10", "12", "12", "12", "12"]),
        (["40", "40", "unemployed", "unemployed", "10"], ["70", "70", "unemployed", "unemployed", "10"]),
        (["10", "unemployed", "12", "12", "10"], ["10", "11", "12", "12", "10"]),
    ],
    ids=["first job", "time in the job", "job before unemployment", "a year without work"],
)
def test_careers_that_differ_only_three_records_back_have_other_chances(
    one: list[str], other: list[str]
) -> None:
    """The last two records agree, so a second-order model cannot tell the two apart."""
    assert one[-3:-1] == other[-3:-1]
    assert np.abs(at_the_end(career(one)) - at_the_end(career(other))).max() > 0.01


def test_only_what_came_before_matters() -> None:
    frame = career(["10", "10", "40", "70"])
    changed = frame.assign(
        occupation=["10", "10", "41", "unemployed"], education=["college"] * 3 + ["graduate degree"]
    )
    got, expected = (MARKET.log_probabilities(table, np.float64)[:3] for table in (changed, frame))
    np.testing.assert_array_equal(got, expected)


def test_a_worker_alone_has_the_probabilities_that_it_has_among_others() -> None:
    frame = simulate_careers(MARKET, 40, PSID81, seed=4)
    together = MARKET.log_probabilities(frame)
    alone = [MARKET.log_probabilities(own) for _, own in frame.groupby("worker_id", sort=False)]
    np.testing.assert_allclose(np.concatenate(alone), together, rtol=1e-6)


def test_a_second_market_differs_only_by_its_seed() -> None:
    history = career(["10", "40", "40"])
    same, other = (Market(seed, outcomes=SPACE, groups=GROUPS) for seed in (5, 6))
    np.testing.assert_array_equal(at_the_end(history, same), at_the_end(history))
    assert np.abs(at_the_end(history, other) - at_the_end(history)).max() > 0.1


def test_staying_and_recall_worked_by_hand() -> None:
    """All terms but those of the test are zero: the two formulas of the module's first lines, by hand."""
    zero = dict.fromkeys(dataclasses.asdict(MarketParameters()), 0.0)
    positive = {"cycle_period": 9.0, "near_code_reach": 1.0, "experience_decay": 1.0, "experience_cap": 2.0}
    # Logs of small integers, so that every chance is a ratio of integers.
    terms = {"stay": np.log(3.0), "stay_gap": -1.0, "recall_longest": 1.0}
    bare = Market(1, MarketParameters(**{**zero, **positive, **terms}), SPACE, dict.fromkeys(GROUPS, "one"))
    bare.tables.base[:] = 0.0

    got = np.exp(at_the_end(career(["10", "12", "12"], [1990, 1991, 1993]), bare))

    # Odds of staying 3/2 after a gap of two years; each of the four kinds has 1/4 of the rest; of five weights among
    # the other occupations, that of the longest-held one, 10 (one year, so log(1 + 1)), counts twice.
    kind = 2 / 5 / 4
    expected = dict.fromkeys(GROUPS, kind / 6) | {"10": kind / 3, "12": 3 / 5}
    expected |= {"unemployed": kind, "out_of_labor_force": kind, "education": kind}
    np.testing.assert_allclose(got, [expected[code] for code in SPACE.codes], rtol=1e-12)


def test_histories_worked_by_hand() -> None:
    """Occupations 0 and 1 in groups 0 and 1; 2 is unemployed, 3 out of the labor force."""
    histories = Histories(1, np.array([0, 1]), decay=0.5, cap=2.0)
    for year, education, outcome in [(1990, 1, 0), (1991, 1, 2), (1994, 2, 1), (1995, 2, 1)]:
        histories.meet(np.array([year]), np.array([education]))
        new_degree = bool(histories.new_degree[0])
        histories.record(np.array([outcome]))
        assert new_degree == (year == 1994)
    histories.meet(np.array([1997]), np.array([2]))

    assert (histories.last[0], histories.last_occupation[0], histories.longest[0]) == (1, 1, 1)
    assert (histories.duration[0], histories.gap[0]) == (3.0, 2.0)
    assert (histories.moves[0], histories.records[0]) == (2.0, 4.0)
    # 1 halved seven times; 2 (a gap of three, capped) halved once, plus 1, halved twice.
    np.testing.assert_allclose(histories.experience[0], [0.5**7, (2 * 0.5 + 1) * 0.25])
    np.testing.assert_allclose(histories.idle[0], 0.5**6)
    assert histories.held[0].tolist() == [1.0, 3.0]
    assert Histories(1, np.array([0, 1]), 0.5, 2.0).last[0] == NONE


@pytest.fixture(scope="module")
def many() -> pd.DataFrame:
    return simulate_careers(MARKET, 400, PSID81, seed=6)


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(MarketParameters)])
def test_every_parameter_matters(name: str, many: pd.DataFrame) -> None:
    value = getattr(MARKET.parameters, name)
    parameters = dataclasses.replace(MARKET.parameters, **{name: value * 1.1})
    changed = Market(5, parameters, SPACE, GROUPS).log_probabilities(many, np.float64)
    assert np.abs(changed - MARKET.log_probabilities(many, np.float64)).max() > 1e-4


def test_a_market_comes_back_from_its_json(many: pd.DataFrame) -> None:
    market = Market(8, MarketParameters(stay=0.1), SPACE, GROUPS)
    again = Market.from_json(market.to_json(), SPACE, GROUPS)
    assert (again.seed, again.parameters) == (8, market.parameters)
    np.testing.assert_array_equal(again.log_probabilities(many), market.log_probabilities(many))
    assert len(market.to_json()) < 4000


def stored(**changes: object) -> str:
    return json.dumps({**json.loads(MARKET.to_json()), **changes})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "does not describe a market"),
        ("[1]", "does not describe a market"),
        (stored(format=2), "format 2 found, 1 expected"),
        (stored(seed=None), "does not describe a market"),
        (stored(seed=6), "make another market here"),
        (stored(checksum=1.0), "make another market here"),
        (stored(parameters={"stay": 0.1, "size": 2.0}), "make another market here"),
        (stored(parameters={"stays": 0.1}), "market parameter 'stays' is not known; known are attr|cycle"),
        (stored(parameters={"stay": "high"}), "market parameter stay: 'high' is not a finite number"),
        (stored(parameters={"stay": float("nan")}), "market parameter stay: nan is not a finite number"),
        (stored(parameters={"cycle_period": 0}), "market parameter cycle_period: 0 must be above zero"),
    ],
)
def test_a_json_that_describes_no_market_or_another_is_refused(text: str, message: str) -> None:
    with pytest.raises(ArtefactError, match=message) as refused:
        Market.from_json(text, SPACE, GROUPS)
    assert str(refused.value).startswith("market.json: ")
    assert "Simulate the careers again." in str(refused.value)


def test_a_market_of_other_groups_is_not_the_stored_one() -> None:
    with pytest.raises(ArtefactError, match="make another market here"):
        Market.from_json(MARKET.to_json(), SPACE, {**GROUPS, "11": "Service"})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"occupation": ["10", "13"]}, "row 3, column occupation: not known to the market"),
        ({"education": ["college", "unknown"]}, "row 3, column education: not known"),
        (
            {"ethnicity": "martian"},
            "row 2, column ethnicity: not known to the market, whose words are white, non-",
        ),
        ({"birth_year": pd.NA}, "row 2, column birth_year: missing"),
        ({"year": [1990, 1990]}, "row 3: out of order"),
        ({"year": [1990, 1989]}, "row 3: out of order"),
    ],
)
def test_careers_that_the_market_does_not_know_are_named_by_row(changes: dict, message: str) -> None:
    with pytest.raises(InputError, match=f"careers, {message}"):
        MARKET.log_probabilities(career(["10", "11"]).assign(**changes))


def test_a_worker_that_returns_and_a_missing_column_are_refused() -> None:
    frame = pd.concat([career(["10"]), career(["10"]).assign(worker_id="v"), career(["10"], [1999])])
    with pytest.raises(InputError, match="careers, row 4: out of order"):
        MARKET.log_probabilities(frame)
    with pytest.raises(InputError, match="careers: column 'region' is missing"):
        MARKET.log_probabilities(frame.drop(columns="region"))
    with pytest.raises(InputError, match="careers: no records"):
        MARKET.log_probabilities(frame.iloc[:0])
