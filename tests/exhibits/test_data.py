"""The numbers of the data chapter against cases worked by hand, and nothing of fewer than eleven workers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labor_llm.careers.occupations import STATES, OutcomeSpace, outcome_space
from labor_llm.careers.panel import CareerPanel, career_panel
from labor_llm.disclosure import MINIMUM_PERSONS, POOLED, pool_small_groups
from labor_llm.exhibits import data, data_figures
from labor_llm.surveys.report import Conversion

OUTCOMES = OutcomeSpace(tuple("abcd"), ("Managers in trade", "Managers in mining", "Cooks in trade", "Idle"))
COLUMNS = ["worker_id", "year", "occupation", "education", "gender", "ethnicity", "region", "birth_year"]


def panel(
    careers: Sequence[tuple[Sequence[str], int]],
    dataset: str = "own",
    survey: str = "NLSY79",
    born: str = "1960",
    outcomes: OutcomeSpace = OUTCOMES,
    ethnicity: Sequence[str] = ("white",),
) -> CareerPanel:
    """Make workers with one record a year from 1980; each entry is the occupations of so many workers."""
    rows = [
        (f"{kind:02}-{worker:03}", 1980 + year, occupation, "college", "male", ethnicity[worker % len(ethnicity)],
         "west", born)
        for kind, (career, workers) in enumerate(careers)
        for worker in range(workers)
        for year, occupation in enumerate(career)
    ]  # fmt: skip
    return career_panel(pd.DataFrame(rows, columns=COLUMNS), outcomes, dataset, survey)


def conversion(
    steps: Sequence[tuple[int | None, int | None]] = ((99, 900), (99, 800), (80, 700), (80, 689), (60, 600)),
    unmapped: Sequence[tuple[int | None, int, int]] = (),
    missed: int = 0,
) -> Conversion:
    def named(names: str, rows: Sequence[tuple]) -> list[dict[str, object]]:
        return [dict(zip(names.split(), row, strict=True)) for row in rows]

    coverage = [
        (1980, "census1970", 80, 70, 50, 40, 0), (1980, "none", 20, 20, 20, 20, 0),
        (1982, "census1980", 12, 11, None, None, 0),
    ]  # fmt: skip
    kinds = ("read", "in range", "coded", "mapped", "kept")
    told = [(kind, f"after {kind}", *counts) for kind, counts in zip(kinds, steps, strict=True)]
    return Conversion(
        survey="NLSY79", options={}, crosswalks={}, missing_waves=[], missing_variables=[], skipped=[], unnamed=[],
        respondents=100, cohort=None, files=[], steps=named("step meaning workers records", told),
        coverage=named("year frame interviewed coded mapped kept undetermined", coverage),
        frames=named("frame coded mapped", [("census1970", 500, 500 - missed), ("census1980", 11, 9)]),
        unmapped=named("frame code records workers", [("census1970", *row) for row in unmapped]),
    )  # fmt: skip


def test_description_of_an_invented_panel() -> None:
    own = panel([("aab", 30)], ethnicity=["rare", "b", *["c", "b"] * 14])
    table = data.data_description([own], {"own": dict.fromkeys(own.workers, "train")})
    got = dict(table.frame.itertuples(index=False, name=None))
    assert (got["Workers"], got["Workers, test"], got["Records"]) == (30, 0, 90)
    assert got["Survey years"] == "1980\u20131982"
    assert got["Transition: moving, %"] == pytest.approx(100 / 3)
    assert got["Ethnicity: other groups pooled, %"] == pytest.approx(100 * 15 / 30)
    assert list(got)[-3:] == [f"Transition: {kind}, %" for kind in ("first", "moving", "staying")]
    assert table.persons.min() >= MINIMUM_PERSONS


@pytest.mark.parametrize(
    ("counts", "pooled"),
    [
        ({"a": 20, "b": 11}, set()),
        ({"a": 20, "b": 15, "c": 2}, {"b", "c"}),  # a single pooled group could be computed from the others
        ({"a": 20, "b": 6, "c": 5}, {"b", "c"}),
        ({"a": 20, "b": 12, "c": 3, "d": 4}, {"b", "c", "d"}),
    ],
)
def test_small_groups_are_pooled_until_the_pool_is_large_enough(counts, pooled) -> None:
    got = pool_small_groups(pd.Series(counts))
    assert {name for name, group in got.items() if group == POOLED} == pooled


def test_groups_of_occ1990dd_are_few_enough_and_the_states_stand_alone() -> None:
    groups = data.occupation_groups(panel([(["4", "7"], 1)], outcomes=outcome_space()))
    assert list(groups) == list(outcome_space().codes)
    names = list(dict.fromkeys(groups.values()))
    # None had to be pooled for rarity: every heading that is taken together with others was found.
    assert len(names) == data.MOST_GROUPS
    assert data.OTHER_GROUPS not in names
    assert names[-3:] == list(STATES.values())
    assert groups["436"] == "Service occupations"


def test_other_codes_are_grouped_by_the_title_before_in_and_the_rare_ones_of_too_many_pooled() -> None:
    groups = data.occupation_groups(panel([("a", 1)]))
    assert groups == {"a": "Managers", "b": "Managers", "c": "Cooks", "d": "Idle"}
    codes = tuple(f"x{number:02}" for number in range(30))
    outcomes = OutcomeSpace(codes, tuple(f"Title {code}" for code in codes))
    frequent = [code for code in codes[-(data.MOST_GROUPS - 1) :] for _ in range(2)]
    groups = data.occupation_groups(panel([([*codes[:3], *frequent], 1)], outcomes=outcomes))
    assert len(set(groups.values())) == data.MOST_GROUPS
    assert {groups[code] for code in codes[: -(data.MOST_GROUPS - 1)]} == {data.OTHER_GROUPS}
    assert groups["x29"] == "Title x29"


def test_attrition_lists_the_steps_of_a_conversion_and_the_last_of_any_other_panel() -> None:
    panels = [panel([("ab", 60)], "survey"), panel([("abc", 20)], "given")]
    table = data.attrition(panels, {"survey": conversion(), "given": None}, {"survey": "Survey"})
    assert table.frame.iloc[:, :4].to_numpy().tolist() == [
        ["Survey", "read", 99, 900],
        ["Survey", "in range", 99, 800],
        ["Survey", "coded", 80, 700],
        ["Survey", "mapped", 80, 689],
        ["Survey", "kept", 60, 600],
        ["given", "kept", 20, 60],
    ]
    assert table.frame["What is left"].tolist()[2] == "after coded"
    assert table.persons.tolist() == [60, 60, 60, 60, 60, 20]


@pytest.mark.parametrize(
    ("steps", "workers", "records"),
    [
        # 80 and 75 are 10 and 5 above 70; 95 is 25 above 70, the next one that is shown, and 900 is 20 above 880.
        (
            ((95, 900), (80, 890), (75, 880), (70, 700), (70, 700)),
            [95, "70 + < 11", "70 + < 11", 70, 70],
            [900, "880 + < 11", 880, 700, 700],
        ),
        # A count that was not stored is shown as few.
        (
            ((90, 900), (80, 800), (None, None), (70, 700), (70, 700)),
            [90, "70 + < 11", "< 11", 70, 70],
            [900, 800, "< 11", 700, 700],
        ),
    ],
)
def test_a_loss_of_fewer_than_eleven_is_not_told(steps, workers, records) -> None:
    table = data.attrition([panel([("ab", 70)])], {"own": conversion(steps)})
    assert table.frame["Workers"].tolist() == workers
    assert table.frame["Records"].tolist() == records
    assert "Data set" not in table.frame


def test_recalled_sizes_stand_beside_converted_surveys_alone() -> None:
    panels = [panel([("ab", 60)], name) for name in ("real", "packaged")]
    panels.append(panel([("ab", 60)], "simulated", survey="simulated NLSY79"))
    conversions = {"real": conversion(), "packaged": None, "simulated": conversion()}
    table = data.believed_sizes(panels, conversions, {"real": "Ours"})
    assert table.frame.to_numpy().tolist() == [["Ours", 60, 12_479, 120, 259_778]]
    assert table.persons.tolist() == [60]
    none = data.believed_sizes(panels[1:], conversions)
    assert none.frame.empty
    assert list(none.frame) == list(table.frame)


def test_unmapped_codes_with_the_share_that_is_mapped() -> None:
    counts = conversion(unmapped=[(580, 20, 12), (590, 40, 30), (None, 15, 11)], missed=75)
    table = data.unmapped_codes([panel([("ab", 60)])], {"own": counts})
    assert table.frame.to_numpy().tolist() == [
        ["Census 1970", "all mapped codes", "", "", 85.0],
        ["Census 1970", "590", 40, 30, 8.0],
        ["Census 1970", "580", 20, 12, 4.0],
        ["Census 1970", "all other codes", 15, "", 3.0],
    ]
    assert table.persons.tolist() == [50, 30, 12, 11]


@pytest.mark.parametrize(
    ("unmapped", "missed", "shown"),
    [
        # All codes are mapped.
        ((), 0, [("all mapped codes", "", 100.0)]),
        # Codes of few workers, whether stored as a pool or not, tell nothing of their number.
        (((None, 5, 4),), 5, [("all mapped codes", "", "< 100"), ("all other codes", "", "")]),
        ((), 5, [("all mapped codes", "", "< 100"), ("all other codes", "", "")]),
        # The rarest listed code joins them, so that their number is not the difference to the total.
        (
            ((590, 40, 30), (580, 20, 12), (None, 5, 4)),
            65,
            [("all mapped codes", "", 87.0), ("590", 40, 8.0), ("all other codes", 25, 5.0)],
        ),
        (((590, 40, 30),), 45, [("all mapped codes", "", 91.0), ("all other codes", 45, 9.0)]),
        # Five are listed.
        (
            tuple((code, 30 - code, 11) for code in range(1, 8)),
            182,
            [("all mapped codes", "", 63.6)]
            + [(str(code), 30 - code, (30 - code) / 5) for code in range(1, 6)]
            + [("all other codes", 47, 9.4)],
        ),
    ],
)
def test_codes_of_few_workers_are_pooled_and_cannot_be_computed(unmapped, missed, shown) -> None:
    counts = conversion(unmapped=unmapped, missed=missed)
    table = data.unmapped_codes([panel([("ab", 60)])], {"own": counts})
    got = table.frame[["Code", "Records", "Share of coded records, %"]]
    for row, expected in zip(got.to_numpy().tolist(), shown, strict=True):
        assert row == [pytest.approx(cell) if isinstance(cell, float) else cell for cell in expected]
    assert table.persons.min() >= MINIMUM_PERSONS


def test_shares_of_the_transition_matrix() -> None:
    # From Managers: 30 stay as managers (another occupation, the same group), 20 become cooks, 10 idle.
    careers = [("ab", 30), ("ac", 20), ("bd", 50), ("cc", 12), ("cd", 5)]
    got = data_figures.group_transitions([panel(careers)], {"own": "Ours"})
    assert set(got["dataset"]) == {"Ours"}
    shares = got.pivot(index="origin", columns="destination", values="share")
    assert list(got["origin"].unique()) == ["Managers", "Cooks", "Idle"]
    assert shares.loc["Managers"].to_dict() == {"Managers": 0.3, "Cooks": 0.2, "Idle": 0.5}
    # Of the cooks 12 stay, 5 are idle and none becomes a manager: two cells are blank already.
    assert shares.loc["Cooks", "Cooks"] == pytest.approx(12 / 17)
    assert shares.loc["Cooks"].isna().sum() == 2
    assert shares.loc["Idle"].isna().all()
    # A single blank cell takes the next smallest with it.
    got = data_figures.group_transitions([panel([("ab", 30), ("ac", 20), ("ad", 10)])])
    row = got[got["origin"] == "Managers"].set_index("destination")["share"]
    assert row.isna().to_dict() == {"Managers": False, "Cooks": True, "Idle": True}


@given(
    st.lists(st.tuples(st.text("abcd", min_size=1, max_size=4), st.integers(1, 25)), min_size=1, max_size=8)
)
@settings(max_examples=15, deadline=None)
def test_no_cell_of_few_workers_is_shown_or_can_be_computed(careers) -> None:
    got = data_figures.group_transitions([panel(careers)])
    shown = got.dropna(subset=["share"])
    assert (shown["workers"] >= MINIMUM_PERSONS).all()
    assert (got.groupby("origin")["share"].agg(lambda row: row.isna().sum()) != 1).all()
    assert (got.groupby("origin")["share"].sum() <= 1 + 1e-12).all()


def test_movers_by_age_are_counted_in_bins_of_five_years() -> None:
    # Born in 1960, so 21 and 22 in the two transitions: a and c of 15 workers each move once or twice.
    got = data_figures.mover_shares([panel([("aba", 15), ("ccd", 15), ("ddd", 15)])])
    assert got[["age", "transitions", "workers"]].to_numpy().tolist() == [[20, 90, 30]]
    assert got["share"].item() == 0.5
    # By hand: residuals of the workers are 2 - 1, 1 - 1 and 0 - 1, so the variance is 30 / 90² · 45 / 44.
    reach = 1.959964 * np.sqrt(30 / 90**2 * 45 / 44)
    assert got["ci_low"].item() == pytest.approx(0.5 - reach)
    assert got["ci_high"].item() == pytest.approx(0.5 + reach)


def test_ages_of_few_movers_or_stayers_and_of_unknown_birth_are_left_out() -> None:
    few = panel([("aa", 30), ("ab", 10)], "few")
    unknown = panel([("aa", 30), ("ab", 30)], "unknown", born="")
    enough = panel([("aa", 30), ("ab", 11)], "enough")
    assert data_figures.mover_shares([few, unknown, enough])["dataset"].tolist() == ["enough"]
    none = data_figures.mover_shares([few, unknown])
    assert none.empty
    assert {"dataset", "age", "share", "ci_low", "ci_high", "workers"} <= set(none.columns)


def test_coverage_by_frame_where_the_conversion_tells_it() -> None:
    panels = [panel([("ab", 60)], "survey"), panel([("abc", 10), ("ab", 20)], "given")]
    got = data_figures.records_by_frame(panels, {"survey": conversion(), "given": None}, {"survey": "Survey"})
    assert got[["dataset", "year", "frame", "records"]].to_numpy().tolist() == [
        ["Survey", 1980, "Census 1970", 40],
        ["Survey", 1980, "no occupation code", 20],
        ["given", 1980, "Census frame not told", 30],
        ["given", 1981, "Census frame not told", 30],
    ]


def test_the_report_of_a_conversion_tells_of_few_no_more_than_the_table() -> None:
    steps = ((111, 900), (111, 800), (None, None), (105, 605), (100, 600))
    lines = conversion(steps).lines()
    told = ("111", "111", "< 11", "600 + < 11", "600")
    assert all(count in line for count, line in zip(told, lines[1:6], strict=True))
    assert "105" not in str(lines)
