"""The patch table: every row documented, every target one of the 330 or no occupation at all."""

from __future__ import annotations

import pandas as pd

from labor_llm.careers.occupations import occupation_codes
from labor_llm.crosswalks.mapping import COLUMNS, FRAME_FILES, patch_of, patch_table


def test_every_row_has_a_reason_and_a_source() -> None:
    table = patch_table()
    assert tuple(table.columns) == COLUMNS
    assert table["frame"].isin(FRAME_FILES).all()
    assert not table.duplicated(["frame", "code"]).any()
    assert (table[["census_title", "reason", "source"]].map(str.strip) != "").all(axis=None)


def test_every_target_is_an_occupation_or_the_military_or_unemployed() -> None:
    allowed = {int(code) for code in occupation_codes()} | {905, 991}
    assert set(patch_table()["occ1990dd"].dropna()) <= allowed


def test_codes_have_the_digits_of_their_frame() -> None:
    table = patch_table()
    four = table["frame"].isin(["census2002", "census2010"])
    assert (table.loc[~four, "code"] < 1000).all()
    assert (table.loc[table["frame"] == "census2002", "code"] % 10 == 0).all()


def test_the_same_occupation_goes_to_the_same_place_in_2002_and_2010() -> None:
    wide = patch_table().pivot(index="code", columns="frame", values="occ1990dd")
    both = wide[["census2002", "census2010"]].dropna()
    assert len(both) > 30
    pd.testing.assert_series_equal(both["census2002"], both["census2010"], check_names=False)


def test_census2000_has_the_rows_of_census2002_with_three_digits() -> None:
    assert patch_of("census2002")[1830] == patch_of("census2000")[183] == 169
    assert patch_of("census1970")[280] == 275
    assert patch_of("census1980")[905] == 905
