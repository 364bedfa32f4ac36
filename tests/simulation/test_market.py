"""The market: probabilities that are exact, and that hang on every covariate and on the whole history."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from labor_llm.careers.occupations import OutcomeSpace
from labor_llm.errors import ArtefactError, InputError
from labor_llm.simulation.careers import PSID81, simulate_careers
from labor_llm.simulation.law import FIRST_STATE, NEW, NOWHERE, SETTLED, Year, chance_to_rise
from labor_llm.simulation.market import Market, encode_careers
from labor_llm.simulation.parameters import STEADINESS, VOCATIONS, MarketParameters

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
        # The last two records before the one predicted agree, so a second-order model cannot tell the two apart: what
        # came before tells of steadiness and vocation, and of the last job of one who is unemployed.
        (career(WORK), career(["70", *WORK[1:]])),
        (career(["10", "11", "12", "12", "12"]), career(["12", "12", "12", "12", "12"])),
        (career(["40", *["unemployed"] * 2, "10"]), career(["70", *["unemployed"] * 2, "10"])),
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


def test_a_year_between_is_summed_out_as_by_hand(space: OutcomeSpace, groups: dict[str, str]) -> None:
    """All terms but those of the test are zero: every chance is a ratio of small integers."""
    zero = dict.fromkeys(MarketParameters.model_fields, 0.0)
    positive = {"cycle_period": 9.0, "near_code_reach": 1.0}
    terms = {"stay": np.log(3.0), "recall_last": np.log(2.0)}
    bare = Market(1, MarketParameters(**{**zero, **positive, **terms}), space, dict.fromkeys(groups, "one"))
    bare.tables.base[:] = 0.0

    got = np.exp(at_the_end(bare, career(["10", "12", "12"], [1990, 1991, 1993])))

    # Of a year: three in four stay; each kind has 1/16; another occupation 1/80. Half of those in a state stay there,
    # each other kind has 1/6, and of seven weights among the occupations the last one counts twice.
    other, state, same = 1 / 80, 1 / 16, 3 / 4
    again = same**2 + 5 * other * other + 3 * state / 6 * 2 / 7
    another = 2 * same * other + 4 * other**2 + 3 * state / 6 / 7
    idle = same * state + 5 * other * state + state / 2 + 2 * state / 6
    expected = dict.fromkeys(groups, another) | {"12": again}
    expected |= {"unemployed": idle, "out_of_labor_force": idle, "education": idle}
    np.testing.assert_allclose(got, [expected[code] for code in space.codes], rtol=1e-12)
    assert got.sum() == pytest.approx(1.0)


def test_all_that_interviews_do_not_show_is_summed_out(market: Market) -> None:
    """Against every steadiness, vocation, career and course of schooling that is possible, one after the other."""
    frame = career(["10", "unemployed", "12", "12"], [1984, 1985, 1988, 1989], birth_year=1965)
    frame["education"] = ["high school", "high school", "college", "college"]
    encoded = encode_careers(frame, market.outcomes, market.columns)
    law, years, jobs = market.law, list(range(1984, 1990)), len(market.occupations)
    seen = dict(zip(encoded.year, encoded.outcome, strict=True))
    total = np.zeros(jobs + 3)

    def follow(chance: float, number: int, state: tuple[int, int, int], who: tuple[int, int]) -> None:
        """Go on from a situation, last occupation and level; at the end add the chance to each outcome."""
        situation, last, level = state
        year, steady, vocation = years[number], *who
        rising = chance_to_rise(np.array([level]), np.array([year]), np.array([1965.0]))[0] if number else 0.0
        for risen, of_level in ((0, 1.0 - rising), (1, rising)):
            if of_level == 0.0 or (
                year in seen and level + risen != encoded.education[encoded.year == year][0]
            ):
                continue
            at = Year(encoded.covariates, np.array([year]), np.array([level + risen]), np.array([risen > 0]))
            whence = NOWHERE if number == 0 else max(situation - FIRST_STATE + 1, 0)
            stays = 0.0
            if whence == 0:
                settled = np.array([float(situation == SETTLED)])
                stays = law.stays_in_occupation(at, np.array([last]), settled, STEADINESS[steady])[0]
            elif whence != NOWHERE:
                stays = law.stays_in_state(at)[0, whence - 1]
            kinds = law.kinds(at)[0, steady, whence]
            from_state = int(whence > 0)
            weights = law.attraction(at)[0, vocation] * law.tables.closeness[from_state, last]
            following = [(SETTLED if whence == 0 else situation, last, stays)] if number else []
            following += [(FIRST_STATE + k - 1, last, (1 - stays) * kinds[k]) for k in (1, 2, 3)]
            shares = (1 - stays) * kinds[0] * weights / weights.sum()
            following += [(NEW, job, share) for job, share in enumerate(shares)]
            for now, job, share in following:
                said = job if now < FIRST_STATE else jobs + now - FIRST_STATE
                whole = chance * of_level * share
                if number == len(years) - 1:
                    total[said] += whole
                elif year not in seen or seen[year] == said:
                    follow(whole, number + 1, (now, job, level + risen), who)

    for who in np.ndindex(len(STEADINESS), VOCATIONS):
        follow(1.0, 0, (NEW, jobs, int(encoded.education[0])), who)
    got = at_the_end(market, frame)[market.columns]
    np.testing.assert_allclose(np.exp(got), total / total.sum(), rtol=1e-9)


def test_two_years_ahead_are_one_year_ahead_compounded(market: Market, many: pd.DataFrame) -> None:
    """A right model agrees with itself, whatever the history: where the level is the same, and where it has risen."""
    worker = many[many["worker_id"] == many["worker_id"].value_counts().index[0]].iloc[:5]
    target = worker.iloc[[-1]].assign(year=worker["year"].iloc[-1] + 2)
    direct = np.exp(at_the_end(market, pd.concat([worker, target])))
    compounded = np.zeros(len(market.outcomes))
    for code in market.outcomes.codes:
        between = target.assign(year=target["year"] - 1, occupation=code)
        logs = market.log_probabilities(pd.concat([worker, between, target]), np.float64)[-2:]
        compounded += np.exp(logs[0, market.outcomes.indices([code])[0]]) * np.exp(logs[1])
    np.testing.assert_allclose(compounded, direct, rtol=1e-10)


def test_the_seed_and_every_parameter_matter(
    market: Market, groups: dict[str, str], many: pd.DataFrame
) -> None:
    def changed(seed: int, parameters: MarketParameters) -> float:
        other = Market(seed, parameters, market.outcomes, groups)
        return np.abs(other.log_probabilities(many, np.float64) - known).max()

    many = many[many["worker_id"].astype(int) <= 40]
    known = market.log_probabilities(many, np.float64)
    assert changed(5, MarketParameters()) == 0.0
    assert changed(6, MarketParameters()) > 0.1
    # A change of zero log-odds may come in any year.
    shifted = {"stay_change": 0.2}
    assert changed(5, MarketParameters(change_year=1990.0)) == 0.0
    assert changed(5, MarketParameters(**shifted)) > 0.01
    assert changed(5, MarketParameters(**shifted, change_year=2030.0)) == 0.0
    for name, value in market.parameters:
        if not name.startswith(("stay_change", "change_year")):
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
        ({"format": 1}, "format 1 found, 2 expected"),
        ({"seed": None}, "does not describe a market"),
        ({"seed": 6}, "make another market here"),
        ({"checksum": 1.0}, "make another market here"),
        ({"occupations": 6}, "make another market here"),
        ({"parameters": {"stay": 0.1, "size": 2.0}}, "make another market here"),
        ({"parameters": {"stays": 0.1}}, "stays: no such field; did you mean 'stay'"),
        ({"parameters": {"stay": "high"}}, "stay: 'high' should be a valid number"),
        ({"parameters": {"stay": True}}, "stay: True should be a valid number"),
        ({"parameters": {"stay": float("nan")}}, "stay: nan should be a finite number"),
        ({"parameters": {"cycle_period": 0}}, "cycle_period: 0 should be greater than 0"),
    ],
)
def test_a_json_that_describes_no_market_or_another_is_refused(changes: str | dict, message: str) -> None:
    text = changes if isinstance(changes, str) else json.dumps({**json.loads(Market(5).to_json()), **changes})
    with pytest.raises(ArtefactError, match=rf"^market\.json: .*{message}.* Simulate the careers again\."):
        Market.from_json(text)


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
    ],
)
def test_careers_that_the_market_does_not_know_are_named_by_row(
    market: Market, frame: pd.DataFrame, message: str
) -> None:
    with pytest.raises(InputError, match=f"^careers{message}"):
        market.log_probabilities(frame)
